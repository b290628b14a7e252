"""What a fault is aimed at tells which services and connections it can break."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.model.scenario import Edge, Hits, ServiceSpec, Target
from gameday.model.targeting import Pairs, RequestPath, breaks, services_of


@dataclass(frozen=True)
class Hit:
    verb: ClassVar[str] = "hit"
    hits: ClassVar[Hits] = "services"
    target: str


@dataclass(frozen=True)
class Parted(Hit):
    parted: Pairs | None

    def pairs(self) -> Pairs | None:
        return self.parted


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
    assert RequestPath.through(target, ["relay", "listener"], first).meets(Hit(hit)) is met


def test_who_is_parted_decides_what_a_list_breaks() -> None:
    edges = [Edge(client=client, service="redis") for client in ("relay", "listener")]
    apart = frozenset({("redis", "listener")})
    assert [breaks("redis, relay, listener", edge, apart) for edge in edges] == [False, True]
    assert not breaks("redis, relay, listener", edges[1], frozenset())


def test_a_way_asks_the_fault_who_is_parted(target: Target) -> None:
    way = RequestPath.through(target, ["relay"])
    assert way.meets(Parted("redis, relay, listener", frozenset({("relay", "redis")})))
    assert not way.meets(Parted("redis, relay, listener", frozenset({("listener", "redis")})))
    assert way.meets(Parted("redis, relay, listener", None)), "its target alone tells"


def test_a_direct_way_takes_no_edge(target: Target) -> None:
    way = RequestPath.through(target, ["redis"])
    assert way.meets(Hit("redis"))
    assert not way.meets(Hit("client -> redis"))
    assert not way.meets(Hit("redis | relay"))
