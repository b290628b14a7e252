"""Persistence off: a Redis server keeps what it is told in memory only."""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import attempted, timed, undo_error, until
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits, Target
from gameday.technologies.redis.connection import Refusal
from gameday.technologies.redis.server import READY_KEY, RedisServer

__all__ = ["PersistenceOff"]

_LOOK_LIMIT_NS = 10 * SECOND
_ARRIVAL_LIMIT_NS = 3 * SECOND
_REWRITE_LIMIT_NS = 30 * SECOND
_ABSENCE_NS = 300 * MILLISECOND
"""How long a write may fail to come to the file before it counts as not coming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistenceOff:
    """New writes stay in the server's memory only and would not survive its death.

    Mechanism: CONFIG SET appendonly no, and no snapshots. Proof: a word that is written before is
    found in the append-only file on the server's disk, one that is written afterwards is not,
    and INFO says that the file is off. Undo: both settings as before; INFO says that the rewrite
    is over and went well, and a new word is found in the file.
    """

    verb: ClassVar[str] = "persistence-off"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({"redis"})
    conflicts: ClassVar[Conflicts] = Conflicts(outlives_process=True)
    target: str
    """The Redis server, which has an append-only file."""

    def validate_in_context(self, target: Target, for_ns: int) -> None:
        """Refuse a server that has nothing to turn off."""
        (spec,) = (spec for spec in target.services if spec.name == self.target)
        wanted = f'a Redis with the option appendonly: "yes"; {self.target} has none'
        require((self.verb, spec.options.get("appendonly") == "yes", wanted))

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        server = RedisServer(environment, self.target)
        if server.setting("appendonly") != "yes":
            raise EnvironmentRefused(
                f"persistence-off: {self.target} has no append-only file to turn off; give it the "
                'option appendonly: "yes"'
            )
        return _Forgetting(server, _File(server, service), server.setting("save"))


class _File:
    """The append-only file of a server, looked into where it lies."""

    def __init__(self, server: RedisServer, service: Service) -> None:
        self._server = server
        self._service = service
        folder = server.setting("dir")
        try:
            self._path = f"{folder}/{server.setting('appenddirname')}"
        except EnvironmentRefused:  # before 7.0 it is one file
            self._path = f"{folder}/{server.setting('appendfilename')}"

    def holds(self, word: str) -> bool:
        """Tell whether the word is in the file."""
        look = ["grep", "-r", "-q", "-a", "-F", "-e", word, self._path]
        ran = self._service.run_inside(look, _LOOK_LIMIT_NS)
        if ran.code not in (0, 1):
            raise EnvironmentRefused(f"looking into {self._path}: {ran.output.strip()}")
        return ran.code == 0

    def receives_a_write(self, limit_ns: int, checkpoint: Checkpoint) -> bool:
        """Write a word that nobody knows, and tell whether it comes to the file."""
        word = token_hex(10)
        answer = self._server.write(word)
        if isinstance(answer, Refusal):
            raise EnvironmentRefused(f"SET {READY_KEY}: {answer}")
        return until(self._server.clock, lambda: self.holds(word), limit_ns, checkpoint)


class _Forgetting:
    """A server that writes nothing down, until its old settings are back and have had effect."""

    def __init__(self, server: RedisServer, file: _File, save: str) -> None:
        self._clock = server.clock
        self._server = server
        self._file = file
        self._save = save
        self._arrived_before: bool | None = None
        self._run = ""
        """Which start of the server it was."""
        self._trouble = ""
        self.undo_text = f"set appendonly yes and save {self._save!r}"
        self.asked: Mapping[str, Scalar] = {
            "appendonly": "no",
            "save": "",
            "save_before": self._save,
        }

    def inject(self) -> Window:
        # Without this, a file that is looked for in the wrong place would prove everything.
        self._arrived_before = self._file.receives_a_write(_ARRIVAL_LIMIT_NS, lambda: None)
        self._run = self._server.info("server")["run_id"]
        return timed(
            self._clock,
            lambda: self._server.set("appendonly", "no"),
            lambda: self._server.set("save", ""),
        )

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """A word from before is in the file, one from now is not."""
        enabled = self._server.info("persistence")["aof_enabled"]
        arrives = self._file.receives_a_write(_ABSENCE_NS, checkpoint)
        return Proof(
            proven=self._arrived_before is True and enabled == "0" and not arrives,
            measured={
                "aof_enabled": enabled,
                "write_before_in_file": self._arrived_before,
                "write_in_file": arrives,
            },
        )

    def is_active(self) -> Proof:
        """Neither file is written, or the server was started anew, with which this ends.

        What a server forgets by its death is what this fault is for.
        """
        anew = self._server.info("server")["run_id"] != self._run
        enabled = self._server.info("persistence")["aof_enabled"]
        save = self._server.setting("save")
        return Proof(
            proven=anew or (enabled == "0" and not save),
            measured={"server_started_anew": anew, "aof_enabled": enabled, "save": save},
        )

    def undo(self) -> Window:
        window, self._trouble = attempted(
            self._clock,
            lambda: self._server.set("save", self._save),
            lambda: self._server.set("appendonly", "yes"),
        )
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The rewrite is over, and a new word comes to the file."""
        measured = dict(undo_error(self._trouble))
        began_ns = self._clock.now_ns()
        try:
            written = until(
                self._clock, lambda: self._rewritten(measured), _REWRITE_LIMIT_NS, checkpoint
            )
            measured["rewrite_waited_ns"] = self._clock.now_ns() - began_ns
            save = self._server.setting("save")
            arrives = self._file.receives_a_write(_ARRIVAL_LIMIT_NS, checkpoint)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {"save_after": save, "write_after_in_file": arrives}
        return Proof(proven=written and save == self._save and arrives, measured=measured)

    def _rewritten(self, measured: dict[str, Scalar]) -> bool:
        """Whether the file is on and whole: a server that just turned it on writes it first."""
        info = self._server.info("persistence")
        wanted = {
            "aof_enabled": "1",
            "aof_rewrite_in_progress": "0",
            "aof_rewrite_scheduled": "0",
            "aof_last_bgrewrite_status": "ok",
            "aof_last_write_status": "ok",
        }
        measured |= {f"{name}_after": info[name] for name in wanted}
        return all(info[name] == value for name, value in wanted.items())
