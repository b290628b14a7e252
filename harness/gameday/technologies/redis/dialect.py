"""How Redis is spoken to over a connection that is measured."""

from gameday.api.edge import BulkDialect
from gameday.api.opening import Login, Opening
from gameday.technologies.redis import resp

__all__ = ["RedisDialect"]

_INFO_BYTES = 300
"""No Redis answers INFO server with less."""


class RedisDialect(BulkDialect):
    """Commands of the services' user; none of them writes."""

    greeting = b"PING\r\n"

    def __init__(self, login: Login) -> None:
        self._login = login

    def opening(self) -> Opening:
        return resp.RedisOpening(self._login)

    def download(self, size: int) -> bytes:
        """INFO answers with half a kilobyte, QUIT with an end."""
        return b"INFO server\r\n" * (size // _INFO_BYTES + 1) + b"QUIT\r\n"

    def upload(self, size: int) -> bytes:
        """EXISTS of a long key that nobody has: much to read and nothing to write."""
        return resp.command(b"EXISTS", b"x" * size) + b"QUIT\r\n"
