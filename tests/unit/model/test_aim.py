"""What a fault is aimed at tells which services and connections it can break."""

import pytest

from gameday.model.aim import breaks, services_of
from gameday.model.scenario import Edge


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
