"""What a fault is aimed at tells which services and connections it can break."""

from pathlib import Path

import pytest

from gameday.model.aim import Way, breaks, services_of
from gameday.model.scenario import Edge, ServiceSpec, Target


@pytest.mark.parametrize(
    ("target", "services"),
    [
        ("redis", ("redis",)),
        ("relay -> redis", ("redis",)),
        ("redis | relay, client", ("redis", "relay")),
        ("a, b, c", ("a", "b", "c")),
    ],
)
def test_the_services_of_a_target(target: str, services: tuple[str, ...]) -> None:
    assert services_of(target) == services


@pytest.mark.parametrize(
    ("target", "broken"),
    [
        ("redis", ["relay -> redis", "listener -> redis"]),
        ("relay", []),
        ("relay -> redis", ["relay -> redis"]),
        ("relay | redis, listener", ["relay -> redis"]),
        ("relay, redis | listener", ["listener -> redis"]),
        ("relay | listener", []),
        ("relay, listener, redis", ["relay -> redis", "listener -> redis"]),
    ],
)
def test_a_target_breaks_the_connections_that_it_parts(target: str, broken: list[str]) -> None:
    edges = [Edge(client=client, service="redis") for client in ("relay", "listener")]
    assert [str(edge) for edge in edges if breaks(target, edge)] == broken


@pytest.fixture
def target() -> Target:
    return Target(
        name="t",
        title="T",
        path=Path(),
        services=(
            ServiceSpec(name="redis", kind="redis"),
            ServiceSpec(name="beside", kind="postgres"),
            ServiceSpec(name="relay", kind="app", needs=("redis",)),
            ServiceSpec(name="listener", kind="app", needs=("redis",)),
        ),
    )


@pytest.mark.parametrize(
    ("hit", "met"),
    [
        ("relay", True),
        ("redis", True),
        ("listener", True),
        ("beside", False),
        ("client -> relay", True),
        ("relay -> redis", True),
        ("listener -> redis", True),
        ("client -> redis", False),
        ("client -> beside", False),
        ("redis | relay, listener", True),
        ("redis | beside", False),
    ],
)
def test_an_operation_meets_what_its_answer_rests_on(target: Target, hit: str, met: bool) -> None:
    first = Edge(client="client", service="relay")
    assert Way.through(target, ["relay", "listener"], first).meets(hit) is met


def test_a_direct_way_takes_no_edge(target: Target) -> None:
    way = Way.through(target, ["redis"])
    assert way.meets("redis")
    assert not way.meets("client -> redis")
    assert not way.meets("redis | relay")
