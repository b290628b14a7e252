"""Redis's protocol as far as a login needs it."""

from gameday.api.opening import Login, TurnedAway

__all__ = ["RedisOpening", "command"]

_WELCOME = b"+OK\r\n"
_LONGEST_REASON = 100


def command(*words: bytes) -> bytes:
    """Return a command, whatever is in its words."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


class RedisOpening:
    """Logs in by AUTH."""

    def __init__(self, login: Login) -> None:
        self.done = False
        self._login = login
        self._data = b""

    def start(self) -> bytes:
        return command(b"AUTH", self._login.user.encode(), self._login.password.encode())

    def hear(self, data: bytes) -> bytes:
        self._data += data
        if self._data == _WELCOME:
            self.done = True
        elif not _WELCOME.startswith(self._data):
            reason = self._data[:_LONGEST_REASON].removeprefix(b"-").decode(errors="replace")
            raise TurnedAway(reason.strip())
        return b""
