"""Those who use a service badly: measured at the server, and gone without a trace."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import redis

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.faults.noop import Noop
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Target
from gameday.resources import bundled
from gameday.technologies.redis.faults import SlowConsumer, slow_consumer
from gameday.technologies.redis.login import redis_login

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.full]

Through = Callable[[Fault], tuple[Proof, Proof]]


@pytest.fixture(scope="module")
def system() -> Target:
    """The Redis of the target `stores`."""
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    ours = tuple(spec for spec in stores.services if spec.name == "redis")
    return replace(stores, services=ours, switches={})


@pytest.fixture
def traffic(environment: Environment) -> Iterator[None]:
    """Some 100 kB of news a second."""
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    stop = threading.Event()

    def publish() -> None:
        with redis.Redis(host=direct.host, port=direct.port, **login) as client:
            while not stop.wait(0.01):
                client.publish("news", "x" * 1000)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


SLOW = [
    SlowConsumer(target="redis", channel="news"),
    SlowConsumer(target="redis", channel="news", through="front"),
    SlowConsumer(target="redis", channel="news", rate_bytes_per_s=20_000),
    SlowConsumer(target="redis", channel="news", rate_bytes_per_s=20_000, through="front"),
]


def name(fault: SlowConsumer) -> str:
    return f"{fault.rate_bytes_per_s}-{fault.through}"


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("fault", SLOW, ids=name)
def test_what_a_slow_consumer_does_not_take_the_server_keeps(
    through: Through, fault: Fault
) -> None:
    _, undone = through(fault)
    assert undone.measured["dropped_by_server"] is False


@pytest.mark.usefixtures("traffic")
def test_a_consumer_that_keeps_up_is_not_proven_slow(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_consumer, "_TRAFFIC_LIMIT_NS", 3 * SECOND)
    injection = SlowConsumer(target="redis", channel="news", rate_bytes_per_s=1_000_000).on(
        environment
    )
    try:
        injection.inject()
        effect = injection.prove(lambda: None)
    finally:
        injection.undo()
        undone = injection.prove_healed(lambda: None)
    assert not effect.proven, effect.measured
    assert undone.proven, undone.measured


@pytest.mark.usefixtures("traffic")
def test_a_consumer_that_never_was_is_not_proven(environment: Environment) -> None:
    injection = Noop(fault=SLOW[0]).on(environment)
    injection.inject()
    assert not injection.prove(lambda: None).proven
    injection.undo()
    assert injection.prove_healed(lambda: None).proven
