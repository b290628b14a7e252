"""What a broker did is believed only when a client of its own saw it, and so is its undoing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

import pytest

from gameday.environment.protocol import NotReadyError, Ran, Service
from gameday.errors import EnvironmentRefused
from gameday.faults.protocol import Fault, Injection, Proof
from gameday.faults.rabbitmq import (
    CloseConnections,
    ConsumerCancel,
    DiskAlarm,
    MemoryAlarm,
    QueuePurge,
    StopApp,
    broker,
)
from gameday.faults.rabbitmq.broker import AmqpBroker, Depth, Line, Published, erlang_text
from gameday.faults.registry import kinds_of
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.dud import Dud
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.lasting import still_in

FAULTS: list[Fault] = [
    CloseConnections(target="mq"),
    CloseConnections(target="mq", user="ann"),
    MemoryAlarm(target="mq"),
    DiskAlarm(target="mq"),
    StopApp(target="mq"),
    QueuePurge(target="mq", queue="orders"),
    ConsumerCancel(target="mq", queue="orders"),
]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=str)


@dataclass(slots=True, kw_only=True)
class House(MemoryService):
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
    lines: list["MemoryLine"] = field(default_factory=list)

    def open(self, vhost: str = "/") -> Line:
        if not self.runs:
            raise NotReadyError("refused")
        self.lines.append(MemoryLine(self))
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


class MemoryLine:
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


@pytest.fixture
def house() -> House:
    spec = ServiceSpec(name="mq", kind="rabbitmq")
    return House(spec=spec, clock=ManualClock())


@pytest.fixture
def environment(house: House) -> MemoryEnvironment:
    target = Target(name="t", title="T", path=Path(), services=(house.spec,))
    return MemoryEnvironment(target=target, clock=house.clock, services={"mq": house})


@pytest.fixture
def mq(house: House, monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    made = MemoryBroker(service=house)
    monkeypatch.setattr(broker, "AmqpBroker", lambda *_: made)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return made


def injected(fault: Fault, environment: MemoryEnvironment) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def effect(fault: Fault, environment: MemoryEnvironment) -> Proof:
    return injected(fault, environment).prove(lambda: None)


def undone(injection: Injection) -> Proof:
    injection.undo()
    return injection.prove_undone(lambda: None)


@each_fault
def test_what_a_client_saw_is_proven_and_so_is_its_end(
    environment: MemoryEnvironment, mq: MemoryBroker, fault: Fault
) -> None:
    injection = injected(fault, environment)
    proof = injection.prove(lambda: None)
    assert proof.proven, proof.measured
    injection.undo()
    again = undone(injection)
    assert again.proven, again.measured
    assert not any(line.is_open for line in mq.lines)


@each_fault
def test_what_did_nothing_is_not_proven(
    environment: MemoryEnvironment, mq: MemoryBroker, fault: Fault
) -> None:
    injection = injected(Dud(fault=fault), environment)
    assert not injection.prove(lambda: None).proven
    assert undone(injection).proven


@each_fault
def test_only_a_broker_that_can_be_controlled_is_hit(
    environment: MemoryEnvironment, fault: Fault
) -> None:
    assert kinds_of(type(fault)) == {"rabbitmq"}
    environment.services["mq"] = MemoryService(
        spec=ServiceSpec(name="mq", kind="rabbitmq"), clock=ManualClock()
    )
    with pytest.raises(EnvironmentRefused, match="rabbitmqctl cannot be run in mq in memory"):
        fault.on(environment)
    environment.services["mq"] = House(
        spec=ServiceSpec(name="mq", kind="redis"), clock=ManualClock()
    )
    with pytest.raises(EnvironmentRefused, match="mq is no RabbitMQ in memory"):
        fault.on(environment)


@pytest.mark.parametrize(
    ("fault", "defect"),
    [
        (FAULTS[0], {"closes": False}),
        (FAULTS[0], {"connections": 0}),
        (FAULTS[0], {"words": "320 shutdown"}),
        (FAULTS[0], {"words": "501 closed by gameday"}),
        (FAULTS[1], {"closes": False}),
        (FAULTS[1], {"connections": 0}),
        (FAULTS[2], {"alarms_come": False}),
        (FAULTS[2], {"blocks": False}),
        (FAULTS[3], {"alarms_come": False}),
        (FAULTS[3], {"blocks": False}),
        (FAULTS[4], {"stops": False}),
        (FAULTS[4], {"refuses": False}),
        (FAULTS[4], {"hangs_up": False}),
        (FAULTS[5], {"purges": False}),
        (FAULTS[5], {"depth": Depth(messages=0, consumers=2), "claims": 5}),
        (FAULTS[5], {"claims": 0}),
        (FAULTS[5], {"arrive": 5}),
        (FAULTS[5], {"has_queue": False}),
        (FAULTS[6], {"cancels": False}),
        (FAULTS[6], {"consumers_left": 1}),
        (FAULTS[6], {"depth": Depth(messages=40, consumers=0)}),
        (FAULTS[6], {"has_queue": False}),
    ],
    ids=str,
)
def test_half_an_effect_is_not_proven(
    environment: MemoryEnvironment, mq: MemoryBroker, fault: Fault, defect: dict[str, object]
) -> None:
    for name, value in defect.items():
        setattr(mq, name, value)
    proof = effect(fault, environment)
    assert not proof.proven, proof.measured


@pytest.mark.parametrize(
    ("fault", "defect"),
    [
        (FAULTS[0], {"delivers": False}),
        (FAULTS[0], {"runs": False}),
        (FAULTS[2], {"alarms_go": False}),
        (FAULTS[2], {"controls": False}),
        (FAULTS[3], {"alarms_go": False}),
        (FAULTS[4], {"starts": False}),
        (FAULTS[4], {"controls": False}),
        (FAULTS[5], {"delivers": False}),
        (FAULTS[5], {"has_queue": False}),
        (FAULTS[6], {"shape": "crashed,1234,2"}),
        (FAULTS[6], {"shape": "running,1234,1"}),
        (FAULTS[6], {"shape": "running,4321,2"}),
        (FAULTS[6], {"controls": False}),
        (FAULTS[6], {"has_queue": False}),
    ],
    ids=str,
)
def test_what_is_not_as_it_was_is_not_undone(
    environment: MemoryEnvironment,
    mq: MemoryBroker,
    fault: Fault,
    defect: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gameday.faults.rabbitmq.consumer_cancel._BACK_LIMIT_NS", 0)
    injection = injected(fault, environment)
    for name, value in defect.items():
        setattr(mq, name, value)
    proof = undone(injection)
    assert not proof.proven, proof.measured


@each_fault
def test_a_broker_that_takes_no_write_is_not_healed(
    environment: MemoryEnvironment, house: House, mq: MemoryBroker, fault: Fault
) -> None:
    injection = injected(fault, environment)
    house.answers = False
    assert not undone(injection).proven


@pytest.mark.parametrize(
    ("setting", "restored"),
    [
        ("0.4,400,100", ("set_vm_memory_high_watermark", "0.4")),
        ("{absolute,2000},2000,100", ("set_vm_memory_high_watermark", "absolute", "2000")),
        ('{absolute,"2GB"},2000,100', ("set_vm_memory_high_watermark", "absolute", "2GB")),
    ],
)
def test_the_limit_of_before_is_what_is_set_again(
    environment: MemoryEnvironment, mq: MemoryBroker, setting: str, restored: tuple[str, ...]
) -> None:
    mq.alarms["memory"] = setting
    injection = injected(MemoryAlarm(target="mq"), environment)
    injection.undo()
    assert mq.said[-1] == restored


def test_another_limit_than_that_of_before_is_not_undone(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    injection = injected(DiskAlarm(target="mq"), environment)
    injection.undo()
    mq.alarms["disk"] = "60,60,900"
    assert not injection.prove_undone(lambda: None).proven


def test_a_broker_that_was_down_when_the_limit_was_to_be_set_is_asked_once_it_answers(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    injection = injected(MemoryAlarm(target="mq"), environment)
    mq.controls = False
    injection.undo()
    # It was started again, and has forgotten both.
    mq.controls, mq.alarms["memory"] = True, "0.4,400,100"
    mq.alarmed.clear()
    proof = injection.prove_undone(lambda: None)
    assert proof.proven
    assert proof.measured["undo_error"] == "rabbitmqctl does not work"


def test_an_alarm_that_was_on_before_proves_nothing(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    mq.alarmed.add("disk")
    assert not effect(MemoryAlarm(target="mq"), environment).proven


def test_a_publisher_that_another_alarm_blocks_proves_nothing(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    mq.alarms_come = False
    injection = injected(MemoryAlarm(target="mq"), environment)
    mq.alarmed.add("disk")
    assert not injection.prove(lambda: None).proven


def test_a_node_that_died_is_no_stopped_app(
    environment: MemoryEnvironment, house: House, mq: MemoryBroker
) -> None:
    injection = injected(StopApp(target="mq"), environment)
    house._pid += 1
    assert not injection.prove(lambda: None).proven


def test_some_messages_may_come_while_a_queue_is_purged(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    mq.arrive = 4
    proof = effect(QueuePurge(target="mq", queue="orders"), environment)
    assert proof.proven
    assert proof.measured == {
        "messages_before": 40,
        "messages_purged": 40,
        "messages_after": 4,
    }


def test_our_own_connection_and_consumer_are_not_counted(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    for fault, name, number in (
        (FAULTS[0], "connections_before", 3),
        (FAULTS[1], "connections_before", 3),
        (FAULTS[6], "consumers_before", 2),
    ):
        assert effect(fault, environment).measured[name] == number


def test_who_was_not_asked_for_has_to_stay_connected(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    injection = injected(CloseConnections(target="mq", user="ann"), environment)
    mq.lines[0].words = "320 closed by gameday"
    assert not injection.prove(lambda: None).proven


@pytest.mark.parametrize("reason", ["", "x" * 101, "é" * 51])
def test_a_reason_that_amqp_cannot_carry_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match=r"reason: wanted 1 to 100 bytes; these are \d+"):
        CloseConnections(target="mq", reason=reason)


def test_what_rabbitmqctl_says_is_found_among_its_warnings(house: House) -> None:
    house.result = Ran(code=0, output="warning: latin1\n{gameday,12,\n   {absolute, 3}}\n")
    assert AmqpBroker(house, house).evaluate("x.") == "12,{absolute,3}"
    assert house.ran == [["rabbitmqctl", "eval", "x."]]


@pytest.mark.parametrize(
    "result",
    [
        Ran(code=69, output="{gameday,1} Error: unable to connect"),
        Ran(code=0, output="{badrpc, timeout}"),
    ],
    ids=str,
)
def test_a_rabbitmqctl_that_did_not_work_is_an_error_with_its_words(
    house: House, result: Ran
) -> None:
    house.result = result
    with pytest.raises(EnvironmentRefused, match=r"mq: rabbitmqctl eval .*(unable|badrpc)"):
        AmqpBroker(house, house).evaluate("x.")


def test_a_name_cannot_end_the_expression_that_it_stands_in() -> None:
    assert erlang_text('">>, x') == "<<34,62,62,44,32,120>>"


@pytest.mark.parametrize("fault", [MemoryAlarm(target="mq"), DiskAlarm(target="mq")], ids=str)
def test_a_broker_that_takes_messages_again_is_not_alarmed_any_more(
    environment: MemoryEnvironment, mq: MemoryBroker, fault: Fault
) -> None:
    made = injected(fault, environment)
    assert made.prove(lambda: None).proven
    assert still_in(made)
    mq.alarmed.clear()
    assert not still_in(made)
    assert not any(line.is_open for line in mq.lines)


@pytest.mark.parametrize("lost", ["broker", "node"])
def test_a_broker_that_runs_again_is_not_stopped_any_more(
    environment: MemoryEnvironment, mq: MemoryBroker, house: House, lost: str
) -> None:
    made = injected(StopApp(target="mq"), environment)
    assert made.prove(lambda: None).proven
    assert still_in(made)
    if lost == "broker":
        mq.runs = True
    else:
        house.kill(SIGKILL)
        house.start_again()
    assert not still_in(made)
