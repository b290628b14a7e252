"""Memory-alarm and disk-alarm: a broker that takes no message from anybody."""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import attempted, timed, undo_error
from gameday.model.clock import Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.rabbitmq.broker import KIND, Broker, BrokerConnection, broker_of

__all__ = ["DiskAlarm", "MemoryAlarm"]

_HUGE_BYTES = 10**18
"""No disk is as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAlarm:
    """A broker's memory counts as used up: publishers are blocked, consumers are not.

    Mechanism: the high watermark of its memory becomes 0. Proven when the broker lists the alarm,
    tells a publisher so (connection.blocked) and gives no confirm for 500 ms more. Undone when the
    watermark of before stands, the alarm is off and a message is confirmed.
    """

    verb: ClassVar[str] = "memory-alarm"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    target: str
    """The broker."""

    def on(self, environment: Environment) -> Injection:
        return _Alarming(environment.clock, broker_of(environment, self.target, self.verb), _MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskAlarm:
    """A broker's disk counts as full: publishers are blocked, consumers are not.

    Mechanism: the limit of its free disk space becomes 1 EB. Proven and undone as a memory alarm
    is, with the limit of before.
    """

    verb: ClassVar[str] = "disk-alarm"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    target: str
    """The broker."""

    def on(self, environment: Environment) -> Injection:
        return _Alarming(environment.clock, broker_of(environment, self.target, self.verb), _DISK)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """One resource of a broker, as the broker tells it."""

    alarm: bool
    setting: str
    """The limit as it was set: a share or bytes, as an Erlang term."""
    limit_bytes: int
    amount: int | None
    """What is compared with the limit, in bytes; None: the broker does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    """What an alarm is about, and how its limit is read and set."""

    name: str
    setting: str
    """What reads the limit as it was set."""
    limit: str
    amount: str
    amount_name: str
    alarming: tuple[str, ...]
    """What sets a limit that is broken at once, in the words of rabbitmqctl."""
    restoring: Callable[[str], tuple[str, ...]]

    def state(self, broker: Broker) -> _State:
        """Return the state that the broker tells. Raises EnvironmentRefused."""
        told = broker.evaluate(
            f"{{gameday, lists:member({self.name}, "
            "[S || {{resource_limit, S, _}, _} <- rabbit_alarm:get_alarms()]), "
            f"{self.setting}, {self.limit}, {self.amount}}}."
        )
        match = re.fullmatch(r"(true|false),(.+),(\d+),(.+)", told)
        if match is None:
            raise EnvironmentRefused(f"{broker.service.spec.name}: {self.name} reads as {told}")
        return _State(
            alarm=match[1] == "true",
            setting=match[2],
            limit_bytes=int(match[3]),
            amount=int(match[4]) if match[4].isdigit() else None,
        )


def _restoring_memory(setting: str) -> tuple[str, ...]:
    absolute = re.fullmatch(r'\{absolute,"?(\w+)"?\}', setting)
    value = ("absolute", absolute[1]) if absolute else (setting,)
    return ("set_vm_memory_high_watermark", *value)


_MEMORY = _Resource(
    name="memory",
    setting="vm_memory_monitor:get_vm_memory_high_watermark()",
    limit="vm_memory_monitor:get_memory_limit()",
    amount="vm_memory_monitor:get_process_memory()",
    amount_name="used_bytes",
    alarming=("set_vm_memory_high_watermark", "0"),
    restoring=_restoring_memory,
)
_DISK = _Resource(
    name="disk",
    setting="rabbit_disk_monitor:get_disk_free_limit()",
    limit="rabbit_disk_monitor:get_disk_free_limit()",
    amount="rabbit_disk_monitor:get_disk_free()",
    amount_name="free_bytes",
    alarming=("set_disk_free_limit", str(_HUGE_BYTES)),
    restoring=lambda setting: ("set_disk_free_limit", setting),
)


class _Alarming:
    """One alarm: proven by a publisher that is blocked, undone when the old limit stands again."""

    def __init__(self, clock: Clock, broker: Broker, resource: _Resource) -> None:
        self._clock = clock
        self._broker = broker
        self._resource = resource
        self._before: _State | None = None
        self._witness: BrokerConnection | None = None
        self._trouble = ""
        self.asked: Mapping[str, Scalar] = {}

    @property
    def undo_text(self) -> str:
        name = self._broker.service.spec.name
        return f"set the {self._resource.name} limit of {name} to what it was"

    def inject(self) -> Window:
        self._before = self._resource.state(self._broker)
        # A publisher from before; one that is blocked already would prove nothing.
        witness = self._broker.open()
        if witness.publish().confirmed:
            self._witness = witness
        return timed(self._clock, lambda: self._broker.control(*self._resource.alarming))

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """The alarm is listed, and who was let publish before is blocked by it."""
        checkpoint()
        try:
            state = self._resource.state(self._broker)
            if self._witness is None:
                return Proof(proven=False, measured={"alarm": state.alarm})
            with closing(self._witness) as witness:
                seen = witness.publish()
        except (EnvironmentRefused, NotReadyError) as error:
            return Proof(proven=False, measured={"error": str(error)})
        return Proof(
            proven=state.alarm and not seen.confirmed,
            measured={
                "alarm": state.alarm,
                "limit_bytes": state.limit_bytes,
                self._resource.amount_name: state.amount,
                "blocked": not seen.confirmed,
                "waited_ns": seen.waited_ns,
            },
        )

    def is_active(self) -> Proof:
        """Who publishes is blocked yet; the broker's own tool takes seconds to be asked."""
        with closing(self._broker.open()) as line:
            seen = line.publish()
        return Proof(proven=not seen.confirmed, measured={"blocked": not seen.confirmed})

    def undo(self) -> Window:
        window, self._trouble = attempted(self._clock, self._restore)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A message is confirmed, the old limit stands and the alarm is off.

        The message comes first: a broker that is just being started again can be asked after it.
        """
        answer = answers_again(self._broker.service, checkpoint)
        measured = {**undo_error(self._trouble), **answer.measured}
        try:
            state = self._resource.state(self._broker)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        as_before = self._before is None or self._before.limit_bytes == state.limit_bytes
        return Proof(
            proven=answer.proven and not state.alarm and as_before,
            measured={
                **measured,
                "alarm_after": state.alarm,
                "limit_after_bytes": state.limit_bytes,
            },
        )

    def _restore(self) -> None:
        if self._witness is not None:
            self._witness.close()
        if self._before is not None:
            self._broker.control(*self._resource.restoring(self._before.setting))
