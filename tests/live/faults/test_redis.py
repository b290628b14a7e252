"""Redis, a primary and its replica: what its own commands do to it, and how that is undone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis

from gameday.environment.protocol import Endpoint, Environment
from gameday.faults.kill import Kill
from gameday.faults.network import Refuse
from gameday.faults.protocol import Fault, Proof
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Target
from gameday.planning import vocabulary
from gameday.resources import bundled

pytestmark = [pytest.mark.live, pytest.mark.alone]

Through = Callable[[Fault], tuple[Proof, Proof]]

PRIMARY, REPLICA = "redis", "redis-replica"


@pytest.fixture(scope="module")
def system() -> Target:
    """The two Redis servers of the target `stores`."""
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    ours = tuple(spec for spec in stores.services if spec.name in (PRIMARY, REPLICA))
    return replace(stores, services=ours, switches={})


@contextmanager
def talk(endpoint: Endpoint) -> Iterator[redis.Redis]:
    client = redis.Redis(
        host=endpoint.host, port=endpoint.port, socket_timeout=2, decode_responses=True
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


def test_a_replica_has_what_its_primary_has_and_takes_no_writes(environment: Environment) -> None:
    primary, replica = environment.service(PRIMARY), environment.service(REPLICA)
    with talk(primary.direct) as above, talk(replica.direct) as below:
        above.set("word", "one")
        assert comes(lambda: below.get("word") == "one")
        with pytest.raises(redis.ReadOnlyError):
            below.set("word", "two")


def test_the_link_of_a_replica_is_cut_by_its_edge(
    environment: Environment, through: Through
) -> None:
    direct = environment.service(REPLICA).direct
    with talk(direct) as below:
        injection = Refuse(target=f"{REPLICA} -> {PRIMARY}").on(environment)
        try:
            injection.inject()
            assert comes(lambda: below.info("replication")["master_link_status"] == "down")
        finally:
            injection.undo()
        assert injection.prove_undone(lambda: None).proven
        assert comes(lambda: below.info("replication")["master_link_status"] == "up")


def test_a_killed_replica_comes_back_as_a_replica_in_sync(
    environment: Environment, through: Through
) -> None:
    _, undone = through(Kill(target=REPLICA))
    assert str(undone.measured["direct_write"]).startswith("in sync at offset")
    with talk(environment.service(REPLICA).direct) as below:
        assert below.info("replication")["role"] == "slave"
