"""A RabbitMQ broker in memory, to test what is done to it without a server."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gameday.api.environment import NotReadyError, Ran, Service
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND
from gameday.technologies.rabbitmq.broker import BrokerConnection, Depth, Published
from gameday.testing.environments import MemoryService

__all__ = ["BrokerHouse", "MemoryBroker"]


@dataclass(slots=True, kw_only=True)
class BrokerHouse(MemoryService):
    """A service in which commands can be run; what they would do is for the broker to say."""

    ran: list[list[str]] = field(default_factory=list)
    result: Ran = field(default_factory=lambda: Ran(code=0, output=""))

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        self.ran.append(list(command))
        return self.result


@dataclass(slots=True, kw_only=True)
class MemoryBroker:
    """A broker in memory; each of its defects is a field."""

    service: Service
    user: str = "gameday"
    connections: int = 3
    closes: bool = True
    words: str = "320 closed by gameday"
    """What it tells those that it closes."""
    alarms: dict[str, str] = field(
        default_factory=lambda: {"memory": "0.4,400,100", "disk": "50,50,900"}
    )
    alarmed: set[str] = field(default_factory=set)
    alarms_come: bool = True
    alarms_go: bool = True
    blocks: bool = True
    runs: bool = True
    refuses: bool = True
    """Whether one that does not run lets nobody in."""
    stops: bool = True
    hangs_up: bool = True
    """Whether one that is stopped closes its connections."""
    starts: bool = True
    depth: Depth = field(default_factory=lambda: Depth(messages=40, consumers=2))
    purges: bool = True
    claims: int | None = None
    """How many messages it says that it dropped, if that is not the truth."""
    arrive: int = 0
    """How many messages come after a purge."""
    has_queue: bool = True
    delivers: bool = True
    cancels: bool = True
    consumers_left: int = 0
    shape: str = "running,1234,2"
    shape_after: str = "running,1234,2"
    controls: bool = True
    """Whether rabbitmqctl works."""
    said: list[tuple[str, ...]] = field(default_factory=list)
    lines: list["MemoryBrokerLine"] = field(default_factory=list)

    def open(self, vhost: str = "/") -> BrokerConnection:
        if not self.runs:
            raise NotReadyError("refused")
        self.lines.append(MemoryBrokerLine(self))
        return self.lines[-1]

    def greeting(self) -> str:
        return "answered" if self.runs or not self.refuses else "refused"

    def control(self, *words: str, limit_ns: int = 0) -> str:
        self.said.append(words)
        if not self.controls:
            raise EnvironmentRefused("rabbitmqctl does not work")
        match words:
            case ("stop_app",):
                self.runs = not self.stops
                if self.stops and self.hangs_up:
                    self._end("320 shutdown")
            case ("start_app",):
                self.runs = self.runs or self.starts
            case ("set_vm_memory_high_watermark", *value):
                self._set("memory", value[-1], breaks=value == ["0"])
            case ("set_disk_free_limit", value):
                self._set("disk", value, breaks=len(value) > 10)
        return ""

    def evaluate(self, expression: str) -> str:
        if not self.controls:
            raise EnvironmentRefused("rabbitmqctl does not work")
        if "rabbit_networking:close_connection" in expression:
            mine = "User = <<>>" in expression
            if self.closes and mine:
                self._end(self.words)
            return f"{self.connections + mine},{0 if self.closes else self.connections}"
        if "is_running" in expression:
            return str(self.runs).lower()
        if "sys:suspend" in expression:
            for line in self.lines:
                line.was_cancelled = self.cancels
            self.shape = self.shape_after
            return f"{self.depth.consumers + 1},{self.consumers_left},40,40,20000"
        if "phash2" in expression:
            return self.shape
        name = "memory" if "vm_memory_monitor" in expression else "disk"
        return f"{str(name in self.alarmed).lower()},{self.alarms[name]}"

    def _set(self, name: str, value: str, *, breaks: bool) -> None:
        amount = self.alarms[name].split(",")[-1]
        limit = {"0.4": "400"}.get(value, value)
        self.alarms[name] = f"{value},{limit},{amount}"
        if breaks and self.alarms_come:
            self.alarmed.add(name)
        elif not breaks and self.alarms_go:
            self.alarmed.discard(name)

    def _end(self, words: str) -> None:
        for line in self.lines:
            line.words = words


class MemoryBrokerLine:
    """A connection to it."""

    def __init__(self, house: MemoryBroker) -> None:
        self._broker = house
        self.words: str | None = None
        self.was_cancelled = False
        self.is_open = True

    def publish(self) -> Published:
        blocked = bool(self._broker.alarmed) and self._broker.blocks
        return Published(confirmed=not blocked, waited_ns=500 * MILLISECOND)

    def round_trip(self) -> bool:
        return self._broker.delivers

    def ended(self, limit_ns: int) -> str | None:
        return self.words

    def depth(self, queue: str) -> Depth:
        if not self._broker.has_queue:
            raise NotReadyError("NOT_FOUND")
        return self._broker.depth

    def purge(self, queue: str) -> int:
        dropped = self._broker.depth.messages
        if self._broker.purges:
            self._broker.depth = Depth(messages=self._broker.arrive, consumers=2)
        return dropped if self._broker.claims is None else self._broker.claims

    def watch(self, queue: str) -> None:
        return

    def cancelled(self, limit_ns: int) -> bool:
        return self.was_cancelled

    def close(self) -> None:
        self.is_open = False
