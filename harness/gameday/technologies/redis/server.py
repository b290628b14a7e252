"""What the Redis faults ask a server: its settings, its state and whether it takes a write."""

from collections.abc import Mapping

from gameday.api.environment import Environment
from gameday.errors import EnvironmentRefused
from gameday.technologies.redis import connection as line
from gameday.technologies.redis.connection import ANSWER_LIMIT_NS, RedisConnection, Refusal, Reply

__all__ = ["READY_KEY", "RedisServer", "asked", "text_of"]

READY_KEY = "gameday:ready"
"""The key that the check of the kind writes: a write of it leaves nothing new behind."""


class RedisServer:
    """A Redis server at its direct address, as its admin, each question over its own connection.

    What is asked rarely and matters much shall not depend on a connection that a fault may end.
    """

    def __init__(self, environment: Environment, name: str) -> None:
        """`name` is that of a service; KeyError if there is none of it."""
        service = environment.service(name)
        self._endpoint = service.upstream
        self.login = service.spec.logins.admin
        self.clock = environment.clock

    def line(self) -> RedisConnection:
        """Connect; EnvironmentRefused if nobody accepts."""
        return line.dial(self._endpoint, self.login)

    def answer(self, *words: str, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
        """Return the answer to a command, also if that is a refusal."""
        connection = self.line()
        try:
            connection.send(*words)
            return connection.receive(limit_ns)
        finally:
            connection.close()

    def ask(self, *words: str, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
        """Return the answer to a command; EnvironmentRefused if the server refuses it."""
        return _accepted(self.answer(*words, limit_ns=limit_ns), words)

    def write(self, value: str = "1") -> Reply:
        """Try to write one small key that every check of the server writes, too."""
        return self.answer("SET", READY_KEY, value)

    def info(self, section: str) -> Mapping[str, str]:
        """Return what INFO tells in a section."""
        lines = text_of(self.ask("INFO", section)).splitlines()
        pairs = (entry.partition(":") for entry in lines if not entry.startswith("#"))
        return {name: value for name, _, value in pairs if name}

    def setting(self, name: str) -> str:
        """Return a setting; EnvironmentRefused if this server has none of that name."""
        pair = self.ask("CONFIG", "GET", name)
        if not isinstance(pair, list) or len(pair) != 2:
            raise EnvironmentRefused(f"Redis at {self._endpoint} has no setting {name}")
        return text_of(pair[1])

    def set(self, name: str, value: str) -> None:
        """Change a setting."""
        self.ask("CONFIG", "SET", name, value)


def asked(connection: RedisConnection, *words: str, limit_ns: int = ANSWER_LIMIT_NS) -> Reply:
    """Return the answer to a command over a connection; EnvironmentRefused if it is refused."""
    connection.send(*words)
    return _accepted(connection.receive(limit_ns), words)


def text_of(reply: Reply) -> str:
    """Return a text that a server answered with; EnvironmentRefused if it is none."""
    if not isinstance(reply, str):
        raise EnvironmentRefused(f"Redis answered {str(reply)[:50]!r}; wanted a text")
    return reply


def _accepted(reply: Reply, words: tuple[str, ...]) -> Reply:
    if isinstance(reply, Refusal):
        raise EnvironmentRefused(f"{' '.join(words)[:60]}: {reply}")
    return reply
