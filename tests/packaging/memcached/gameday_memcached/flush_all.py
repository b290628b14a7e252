"""flush-all: a Memcached forgets everything that it holds, while it serves on."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

from gameday import (
    Checkpoint,
    Endpoint,
    Environment,
    EnvironmentRefused,
    Hits,
    Injection,
    NotReadyError,
    Proof,
    Scalar,
    Window,
)
from gameday_memcached.talk import ask

__all__ = ["FlushAll"]

_KEPT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushAll:
    """A Memcached forgets everything that it holds, and serves on.

    Mechanism, both environments: `flush_all`. Proof: a key of the fault's own, read back before it,
    is gone after it. Undo: what was flushed cannot come back; the key is stored again, and read
    back, which shows that the server keeps what it is given.
    """

    verb: ClassVar[str] = "flush-all"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"memcached"})
    target: str
    """The Memcached."""

    def on(self, environment: Environment) -> Injection:
        return _Flushing(environment.service(self.target).upstream)


class _Flushing:
    """One flush, and the key that shows it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._key = f"gameday:canary:{token_hex(4)}".encode()

    @property
    def undo_text(self) -> str:
        return f"nothing brings back what was flushed; {self._key.decode()} is stored again"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {}

    def inject(self) -> Window:
        self._store()
        if not self._is_there():
            raise EnvironmentRefused(f"flush-all: {self._endpoint} does not keep what it stores")
        began_ns = time.monotonic_ns()
        answer = ask(self._endpoint, b"flush_all\r\n", b"\r\n")
        if answer != b"OK\r\n":
            raise EnvironmentRefused(f"flush-all: {self._endpoint} answered {answer!r}")
        return Window(start_ns=began_ns, end_ns=time.monotonic_ns())

    def prove(self, checkpoint: Checkpoint) -> Proof:
        there = self._is_there()
        return Proof(proven=not there, measured={"canary_left": there})

    def undo(self) -> Window:
        began_ns = time.monotonic_ns()
        self._store()
        return Window(start_ns=began_ns, end_ns=time.monotonic_ns())

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        try:
            there = self._is_there()
        except NotReadyError as error:
            return Proof(proven=False, measured={"error": str(error)})
        return Proof(proven=there, measured={"canary_after": there})

    def _store(self) -> None:
        ask(self._endpoint, b"set %b 0 %d 1\r\n1\r\n" % (self._key, _KEPT_S), b"\r\n")

    def _is_there(self) -> bool:
        return ask(self._endpoint, b"get %b\r\n" % self._key, b"END\r\n") != b"END\r\n"
