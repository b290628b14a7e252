"""Redis, a primary and its replica: what its own commands do to it, and how that is undone."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis
from redis.client import PubSub

from gameday.api.environment import Environment, Service
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.network import Refuse
from gameday.loading import load_target
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Target
from gameday.resources import bundled
from gameday.technologies.redis.faults import (
    ClientKill,
    Failover,
    MaxMemory,
    PersistenceOff,
    ScriptBusy,
)
from gameday.technologies.redis.login import redis_login

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

PRIMARY, REPLICA = "redis", "redis-replica"
FAULTS: list[Fault] = [
    ClientKill(target=PRIMARY),
    ClientKill(target=REPLICA, clients="pubsub"),
    ClientKill(target=PRIMARY, clients="replica"),
    ClientKill(target=PRIMARY, interval_ns=300 * MILLISECOND),
    ClientKill(target=PRIMARY, clients="replica", interval_ns=300 * MILLISECOND),
    Failover(target=PRIMARY, to=REPLICA),
    MaxMemory(target=PRIMARY, of_used=0.9),
    MaxMemory(target=PRIMARY, limit_bytes=500_000, policy="allkeys-lru"),
    MaxMemory(target=PRIMARY, of_used=0.5, policy="volatile-ttl"),
    ScriptBusy(target=PRIMARY),
    ScriptBusy(target=REPLICA, busy_after_ns=SECOND),
    PersistenceOff(target=PRIMARY),
]


def name(fault: Fault) -> str:
    words = (fault.verb, fault.target, getattr(fault, "clients", ""), getattr(fault, "policy", ""))
    again = "again" if getattr(fault, "interval_ns", 0) else ""
    return "-".join(word for word in (*words, again) if word)


@pytest.fixture(scope="module")
def system() -> Target:
    """The two Redis servers of the target `stores`."""
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    ours = tuple(spec for spec in stores.services if spec.name in (PRIMARY, REPLICA))
    return replace(stores, services=ours, switches={})


@contextmanager
def dialect(service: Service) -> Iterator[redis.Redis]:
    client = redis.Redis(
        host=service.upstream.host,
        port=service.upstream.port,
        socket_timeout=2,
        decode_responses=True,
        **redis_login(service.spec),
    )
    try:
        yield client
    finally:
        client.close()


def comes(what: Callable[[], bool], within_ns: int = 10 * SECOND) -> bool:
    give_up_ns = time.monotonic_ns() + within_ns
    while not what():
        if time.monotonic_ns() > give_up_ns:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.full
def test_a_replica_has_what_its_primary_has_and_takes_no_writes(environment: Environment) -> None:
    primary, replica = environment.service(PRIMARY), environment.service(REPLICA)
    with dialect(primary) as above, dialect(replica) as below:
        above.set("word", "one")
        assert comes(lambda: below.get("word") == "one")
        with pytest.raises(redis.ReadOnlyError):
            below.set("word", "two")


@pytest.mark.full
def test_the_link_of_a_replica_is_cut_by_its_edge(
    environment: Environment, through: Through
) -> None:
    with dialect(environment.service(REPLICA)) as below:
        injection = Refuse(target=f"{REPLICA} -> {PRIMARY}").on(environment)
        try:
            injection.inject()
            assert comes(lambda: below.info("replication")["master_link_status"] == "down")
        finally:
            injection.undo()
        assert injection.prove_healed(lambda: None).proven
        assert comes(lambda: below.info("replication")["master_link_status"] == "up")


@pytest.mark.full
def test_a_killed_replica_comes_back_as_a_replica_in_sync(
    environment: Environment, through: Through
) -> None:
    _, undone = through(Kill(target=REPLICA))
    assert str(undone.measured["direct_write"]).startswith("in sync at offset")
    with dialect(environment.service(REPLICA)) as below:
        assert below.info("replication")["role"] == "slave"


@pytest.fixture
def bystanders(environment: Environment) -> Iterator[None]:
    """Clients of somebody else, of either type, on both servers; and a few keys."""
    with dialect(environment.service(PRIMARY)) as above:
        above.mset({f"kept:{number}": "x" * 100 for number in range(1000)})
        with dialect(environment.service(REPLICA)) as below:
            subscriptions = [PubSub(above.connection_pool), PubSub(below.connection_pool)]
            for subscription in subscriptions:
                subscription.subscribe("news")
            above.ping()
            below.ping()
            yield
            for subscription in subscriptions:
                subscription.close()


@pytest.mark.full
@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_a_redis_fault_bites_as_asked_and_is_undone(through: Through, fault: Fault) -> None:
    through(fault)


@pytest.mark.sample("process-failover", "process-maxmemory-redis-noeviction")
@pytest.mark.usefixtures("bystanders")
@pytest.mark.parametrize("fault", FAULTS, ids=name)
def test_what_does_nothing_to_redis_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.sample("process")
def test_a_failover_is_undone_though_the_new_primary_died_in_between(
    environment: Environment,
) -> None:
    primary, replica = environment.service(PRIMARY), environment.service(REPLICA)
    injection = Failover(target=PRIMARY, to=REPLICA).on(environment)
    try:
        injection.inject()
        assert injection.prove(lambda: None).proven
        replica.kill(signal.SIGKILL)
        assert comes(lambda: not replica.process_state().alive)
        replica.start_again()
    finally:
        injection.undo()
        undone = injection.prove_healed(lambda: None)
    assert undone.proven, undone.measured
    assert undone.measured["forced"] is True
    assert primary.check()
    assert replica.check()


@pytest.mark.sample("process")
def test_a_busy_script_ends_by_itself_if_nobody_is_left_to_kill_it(
    environment: Environment,
) -> None:
    injection = ScriptBusy(target=PRIMARY, at_most_ns=SECOND).on(environment)
    began_ns = time.monotonic_ns()
    injection.inject()
    try:
        assert injection.prove(lambda: None).proven
        with dialect(environment.service(PRIMARY)) as client:
            assert comes(lambda: answers(client), 3 * SECOND)
        assert time.monotonic_ns() - began_ns >= SECOND
    finally:
        injection.undo()
        undone = injection.prove_healed(lambda: None)
    assert undone.proven, undone.measured
    assert undone.measured["ended_by"] == "itself, or its server's end"


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.mark.sample("process")
def test_what_is_written_without_persistence_does_not_survive_a_kill(
    environment: Environment,
) -> None:
    primary = environment.service(PRIMARY)
    with dialect(primary) as client:
        injection = PersistenceOff(target=PRIMARY).on(environment)
        client.set("before", "kept")
        try:
            injection.inject()
            client.set("during", "forgotten")
            primary.kill(signal.SIGKILL)
            assert comes(lambda: not primary.process_state().alive)
            primary.start_again()
            primary.wait_until_ready(10 * SECOND, lambda: None)
            assert (client.get("before"), client.get("during")) == ("kept", None)
        finally:
            injection.undo()
            undone = injection.prove_healed(lambda: None)
        assert undone.proven, undone.measured
