"""A flood of connections is seen by the kernel at the service, and dies with its harness."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.network import ConnectionFlood
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Target
from gameday.resources import bundled
from gameday.technologies.redis.login import redis_login

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

FLOODS = [
    ConnectionFlood(target="client -> redis", count=500, rate_per_s=500.0),
    ConnectionFlood(target="client -> postgres", count=30, rate_per_s=50.0),
    ConnectionFlood(target="client -> rabbitmq", count=100, rate_per_s=100.0),
]


def name(fault: Fault) -> str:
    return fault.target.replace(" ", "")


@pytest.fixture(scope="module")
def system() -> Target:
    return load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())


def accepted_connections(environment: Environment, service: str) -> int:
    house = environment.service(service)
    return house.accepted_connections()


def wait_until(holds: Callable[[], bool], what: str) -> None:
    give_up_ns = time.monotonic_ns() + 10 * SECOND
    while not holds():
        assert time.monotonic_ns() < give_up_ns, what
        time.sleep(0.02)


@pytest.fixture
def few_clients(environment: Environment) -> Iterator[None]:
    """A Redis that takes forty clients."""
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    with redis.Redis(host=direct.host, port=direct.port, socket_timeout=2, **login) as client:
        before = client.config_get("maxclients")["maxclients"]
        client.config_set("maxclients", 40)
        yield
        client.config_set("maxclients", before)


@pytest.mark.parametrize("fault", FLOODS, ids=name)
def test_as_many_as_asked_for_are_accepted_by_the_service(
    through: Through, fault: ConnectionFlood
) -> None:
    effect, _ = through(fault)
    assert effect.measured["held"] == fault.count
    assert effect.measured["limit"] == "not reached"


def test_a_postgres_that_is_full_turns_new_clients_away(through: Through) -> None:
    effect, _ = through(ConnectionFlood(target="client -> postgres", count=130, rate_per_s=50.0))
    assert effect.measured["limit"] == "turned away"
    assert 80 < int(effect.measured["held"] or 0) <= 100


@pytest.mark.usefixtures("few_clients")
def test_a_redis_that_is_full_turns_new_clients_away(through: Through) -> None:
    effect, _ = through(ConnectionFlood(target="client -> redis", count=100, rate_per_s=100.0))
    assert effect.measured["limit"] == "turned away"
    assert 30 < int(effect.measured["held"] or 0) < 40


@pytest.mark.parametrize("fault", FLOODS, ids=name)
def test_what_does_not_flood_is_not_proven(unproven: Unproven, fault: ConnectionFlood) -> None:
    unproven(fault)


def test_what_waits_to_be_accepted_is_no_visitor(environment: Environment) -> None:
    service = environment.service("redis")
    before = accepted_connections(environment, "redis")
    service.freeze()
    try:
        address = (service.upstream.host, service.upstream.port)
        waiting = [socket.create_connection(address, timeout=2) for _ in range(5)]
        time.sleep(0.2)
        frozen = accepted_connections(environment, "redis")
    finally:
        service.thaw()
    wait_until(
        lambda: accepted_connections(environment, "redis") == before + 5, "the five are accepted"
    )
    for connection in waiting:
        connection.close()
    assert frozen == before
    wait_until(lambda: accepted_connections(environment, "redis") == before, "the five are gone")


def test_a_flood_dies_with_its_harness(environment: Environment) -> None:
    before = accepted_connections(environment, "redis")
    fault = ConnectionFlood(target="client -> redis", count=100, rate_per_s=500.0)

    def flood() -> None:
        injection = fault.on(environment)  # what holds the connections has to be held
        injection.inject()
        time.sleep(30)

    harness = multiprocessing.get_context("fork").Process(target=flood)
    harness.start()
    try:
        wait_until(
            lambda: accepted_connections(environment, "redis") >= before + 100, "the flood is in"
        )
        assert harness.pid is not None
        os.kill(harness.pid, signal.SIGKILL)
        wait_until(
            lambda: accepted_connections(environment, "redis") <= before, "the flood is gone"
        )
    finally:
        harness.kill()
        harness.join(5)
