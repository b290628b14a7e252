"""The slow consumer: what it leaves is counted at the server, against what others received."""

from pathlib import Path

import pytest

from gameday.api.environment import Endpoint
from gameday.api.fault import Injection, Proof
from gameday.model.clock import MINUTE
from gameday.model.login import Login
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.technologies.redis import connection as line
from gameday.technologies.redis.fake import MemoryRedis, dialler
from gameday.technologies.redis.faults import SlowConsumer
from gameday.testing.edges import EdgedEnvironment
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.is_active import is_active

SLOW = SlowConsumer(target="db", channel="news")
DIRECT, FRONT = 1, 7


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> MemoryRedis:
    server = MemoryRedis(traffic_bytes=200_000)
    monkeypatch.setattr(line, "dial", dialler({DIRECT: server, FRONT: server}))
    return server


@pytest.fixture
def target() -> Target:
    db = ServiceSpec(name="db", kind="redis")
    return Target(name="t", title="T", path=Path(), services=(db,))


@pytest.fixture
def environment(target: Target, db: MemoryRedis) -> MemoryEnvironment:
    return EdgedEnvironment(target=target, clock=db.clock)


def no_checkpoint() -> None:
    return


def put(fault: SlowConsumer, environment: MemoryEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(no_checkpoint)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(no_checkpoint)


def test_what_is_left_is_kept_and_that_is_the_proof(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, effect = put(SLOW, environment)
    assert effect.proven, effect.measured
    assert effect.measured["kept_more_bytes"] == effect.measured["published_bytes"] == 200_000
    undone = healed(made)
    assert undone.proven
    assert undone.measured["dropped_by_server"] is False
    assert healed(made).proven, "twice is harmless"
    assert db.clients("pubsub") == []


@pytest.mark.parametrize("keeps", [0.0, 0.4, 2.0])
def test_a_server_that_keeps_another_amount_disproves_it(
    environment: MemoryEnvironment, db: MemoryRedis, keeps: float
) -> None:
    db.keeps = keeps
    proof = put(SLOW, environment)[1]
    assert not proof.proven
    assert proof.measured["attempts"] == 3


def test_without_traffic_nothing_is_proven(environment: MemoryEnvironment, db: MemoryRedis) -> None:
    db.traffic_bytes = 10
    proof = put(SLOW, environment)[1]
    assert not proof.proven
    assert proof.measured["attempts"] == 1


def test_a_consumer_that_reads_at_another_rate_is_not_proven(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    db.traffic_bytes = 70_000
    made = SlowConsumer(target="db", channel="news", rate_bytes_per_s=20_000).on(environment)
    made.inject()
    environment.clock.sleep_ns(10 * MINUTE)  # by then it has come to its own end
    proof = made.prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["kept_more_bytes"] == proof.measured["surplus_bytes"]


def test_a_consumer_that_the_server_drops_is_not_proven_and_says_so(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made = SLOW.on(environment)
    made.inject()
    for client in db.clients("pubsub"):
        client.close()
    assert not made.prove(no_checkpoint).proven
    assert healed(made).measured["dropped_by_server"] is True


def test_a_server_that_does_not_answer_is_not_rid_of_it(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(SLOW, environment)
    db.alive = False
    assert not healed(made).proven


@pytest.mark.parametrize(("through", "port"), [("direct", DIRECT), ("front", FRONT)])
def test_it_comes_by_the_way_that_was_asked_for(
    target: Target, db: MemoryRedis, monkeypatch: pytest.MonkeyPatch, through: str, port: int
) -> None:
    edged = EdgedEnvironment(target=target, clock=db.clock)
    edged.edge(Edge(client="client", service="db")).proxied = Endpoint(host="", port=FRONT)
    came: list[tuple[int, int]] = []
    dial = line.dial

    def noted(endpoint: Endpoint, login: Login, receive_bytes: int = 0) -> line.RedisConnection:
        came.append((endpoint.port, receive_bytes))
        return dial(endpoint, login, receive_bytes)

    monkeypatch.setattr(line, "dial", noted)
    made, _ = put(SlowConsumer(target="db", channel="news", through=through), edged)  # type: ignore[arg-type]
    assert healed(made).proven
    assert [entry for entry in came if entry[1]] == [(port, 4096)]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"channel": "news", "rate_bytes_per_s": 2_000_000}, "at most 1MB/s"),
        ({"channel": "news", "rate_bytes_per_s": 7}, "20 times a second"),
        ({"channel": ""}, "channel: wanted the name"),
    ],
)
def test_what_could_not_be_done_is_refused_before_anything_starts(
    fault: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        SlowConsumer(target="db", **fault)  # type: ignore[arg-type]


def test_a_consumer_of_a_server_that_was_started_anew_is_not_in_any_more(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, effect = put(SLOW, environment)
    assert effect.proven
    assert is_active(made)
    for client in db.clients("pubsub"):
        client.close()
    assert is_active(made), "who is dropped by the server itself has been too slow"
    db.run += 1
    assert not is_active(made)


def test_a_consumer_that_reads_no_more_is_not_in_any_more(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made = SlowConsumer(target="db", channel="news", rate_bytes_per_s=20_000).on(environment)
    made.inject()
    assert is_active(made)
    environment.clock.sleep_ns(10 * MINUTE)
    assert not is_active(made), "the reading has come to its own end"
    healed(made)
