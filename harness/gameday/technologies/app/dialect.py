"""How an app is spoken to over a connection that is measured."""

from gameday.api.edge import BulkDialect

__all__ = ["AppDialect"]

_ANSWER_BYTES = 100
"""No answer with its headers is shorter."""
_PADDING_BYTES = 4_000
_LAST = b"GET /status HTTP/1.1\r\nHost: gameday\r\nConnection: close\r\n\r\n"


class AppDialect(BulkDialect):
    """Requests by HTTP; none of them writes."""

    greeting = b"GET /status HTTP/1.1\r\nHost: gameday\r\n\r\n"

    def download(self, size: int) -> bytes:
        """Many small questions, without a wait for the answers; the last one asks for the end."""
        return self.greeting * (size // _ANSWER_BYTES + 1) + _LAST

    def upload(self, size: int) -> bytes:
        """Questions with a long header, which nobody reads."""
        padding = b"\r\nX-Padding: " + b"x" * _PADDING_BYTES + b"\r\n\r\n"
        padded = self.greeting.replace(b"\r\n\r\n", padding)
        return padded * (size // _PADDING_BYTES + 1) + _LAST
