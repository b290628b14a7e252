"""What a broker did is believed only when a client of its own saw it, and so is its undoing."""

from pathlib import Path
from signal import SIGKILL

import pytest

from gameday.api.environment import Ran
from gameday.api.fault import Fault, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.model.scenario import ServiceSpec, Target
from gameday.registry import kinds_of
from gameday.technologies.rabbitmq import broker
from gameday.technologies.rabbitmq.broker import AmqpBroker, Depth, erlang_text
from gameday.technologies.rabbitmq.fake import BrokerHouse, MemoryBroker
from gameday.technologies.rabbitmq.faults import (
    CloseConnections,
    ConsumerCancel,
    DiskAlarm,
    MemoryAlarm,
    QueuePurge,
    StopApp,
)
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.is_active import is_active

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


@pytest.fixture
def house() -> BrokerHouse:
    spec = ServiceSpec(name="mq", kind="rabbitmq")
    return BrokerHouse(spec=spec, clock=ManualClock())


@pytest.fixture
def environment(house: BrokerHouse) -> MemoryEnvironment:
    target = Target(name="t", title="T", path=Path(), services=(house.spec,))
    return MemoryEnvironment(target=target, clock=house.clock, services={"mq": house})


@pytest.fixture
def mq(house: BrokerHouse, monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    made = MemoryBroker(service=house)
    monkeypatch.setattr(broker, "AmqpBroker", lambda *_: made)
    return made


def injected(fault: Fault, environment: MemoryEnvironment) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def effect(fault: Fault, environment: MemoryEnvironment) -> Proof:
    return injected(fault, environment).prove(lambda: None)


def undone(injection: Injection) -> Proof:
    injection.undo()
    return injection.prove_healed(lambda: None)


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
def test_only_a_broker_that_can_be_controlled_is_hit(
    environment: MemoryEnvironment, fault: Fault
) -> None:
    assert kinds_of(type(fault)) == {"rabbitmq"}
    environment.services["mq"] = BrokerHouse(
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
) -> None:
    injection = injected(fault, environment)
    for name, value in defect.items():
        setattr(mq, name, value)
    proof = undone(injection)
    assert not proof.proven, proof.measured


@each_fault
def test_a_broker_that_takes_no_write_is_not_healed(
    environment: MemoryEnvironment, house: BrokerHouse, mq: MemoryBroker, fault: Fault
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
    assert not injection.prove_healed(lambda: None).proven


def test_a_broker_that_was_down_when_the_limit_was_to_be_set_is_asked_once_it_answers(
    environment: MemoryEnvironment, mq: MemoryBroker
) -> None:
    injection = injected(MemoryAlarm(target="mq"), environment)
    mq.controls = False
    injection.undo()
    # It was started again, and has forgotten both.
    mq.controls, mq.alarms["memory"] = True, "0.4,400,100"
    mq.alarmed.clear()
    proof = injection.prove_healed(lambda: None)
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
    environment: MemoryEnvironment, house: BrokerHouse, mq: MemoryBroker
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


def test_what_rabbitmqctl_says_is_found_among_its_warnings(house: BrokerHouse) -> None:
    house.result = Ran(code=0, output="warning: latin1\n{gameday,12,\n   {absolute, 3}}\n")
    assert AmqpBroker(house).evaluate("x.") == "12,{absolute,3}"
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
    house: BrokerHouse, result: Ran
) -> None:
    house.result = result
    with pytest.raises(EnvironmentRefused, match=r"mq: rabbitmqctl eval .*(unable|badrpc)"):
        AmqpBroker(house).evaluate("x.")


def test_a_name_cannot_end_the_expression_that_it_stands_in() -> None:
    assert erlang_text('">>, x') == "<<34,62,62,44,32,120>>"


@pytest.mark.parametrize("fault", [MemoryAlarm(target="mq"), DiskAlarm(target="mq")], ids=str)
def test_a_broker_that_takes_messages_again_is_not_alarmed_any_more(
    environment: MemoryEnvironment, mq: MemoryBroker, fault: Fault
) -> None:
    made = injected(fault, environment)
    assert made.prove(lambda: None).proven
    assert is_active(made)
    mq.alarmed.clear()
    assert not is_active(made)
    assert not any(line.is_open for line in mq.lines)


@pytest.mark.parametrize("lost", ["broker", "node"])
def test_a_broker_that_runs_again_is_not_stopped_any_more(
    environment: MemoryEnvironment, mq: MemoryBroker, house: BrokerHouse, lost: str
) -> None:
    made = injected(StopApp(target="mq"), environment)
    assert made.prove(lambda: None).proven
    assert is_active(made)
    if lost == "broker":
        mq.runs = True
    else:
        house.kill(SIGKILL)
        house.start_again()
    assert not is_active(made)
