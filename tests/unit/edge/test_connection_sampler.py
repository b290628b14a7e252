"""A lookout keeps what it has seen, and forgets nothing that has ended since."""

import random
import threading
from collections.abc import Callable

import pytest

from gameday.api.traffic import Paths
from gameday.edge.connection_sampler import ConnectionSampler
from gameday.errors import EnvironmentRefused
from gameday.model.scenario import Edge

EDGE = Edge(client="a", service="b")
LIMIT_S = 10


class Traced:
    """Looks that bring one of these after the other, then the last one again and again."""

    def __init__(self, *looks: Paths | Exception | None) -> None:
        self.looks = list(looks)
        self.looked = threading.Semaphore(0)

    def paths(self, edge: Edge) -> Paths | None:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        self.looked.release()
        if isinstance(look, Exception):
            raise look
        return look

    def arrivals(self, service: str) -> frozenset[int] | None:
        return None


def sampler(traced: Traced) -> ConnectionSampler:
    return ConnectionSampler(traced, [EDGE], random.Random(1))


def ports(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


def test_each_connection_is_kept_once() -> None:
    one = sampler(
        Traced(
            Paths(through=ports(1), around=ports(5)),
            Paths(through=ports(1, 2)),
            Paths(around=ports(6), around_closed=ports(5)),
        )
    )
    for _ in range(3):
        one.look()
    assert one.seen == {
        EDGE: Paths(through=ports(1, 2), around=ports(5, 6), around_closed=ports(5))
    }


@pytest.mark.parametrize("nothing", [None, EnvironmentRefused("it is being started")])
def test_a_look_that_shows_nothing_is_passed_over(nothing: Paths | Exception | None) -> None:
    one = sampler(Traced(nothing, Paths(around=ports(5))))
    one.look()
    assert one.seen == {}
    one.look()
    assert one.seen == {EDGE: Paths(around=ports(5))}


def test_it_looks_on_until_it_is_stopped_and_once_more_then() -> None:
    traced = Traced(Paths())
    one = sampler(traced)
    one.start()
    for _ in range(4):
        assert traced.looked.acquire(timeout=LIMIT_S)
    traced.looks = [Paths(around=ports(9))]
    one.stop()
    assert one.seen[EDGE].around == ports(9)
    traced.looks = [Paths(around=ports(10))]
    one.stop()
    assert one.seen[EDGE].around == ports(9), "it is over"


def test_what_was_closed_before_it_began_is_left_out() -> None:
    traced = Traced(Paths(around_closed=ports(1)), Paths(around_closed=ports(1, 2)))
    one = sampler(traced)
    one.start()
    one.stop()
    assert one.seen[EDGE].around_closed == ports(2)


def test_what_ends_the_looking_is_told() -> None:
    traced = Traced(Paths(), ValueError("no port"))
    one = sampler(traced)
    one.start()
    for _ in range(2):
        assert traced.looked.acquire(timeout=LIMIT_S)
    traced.looks = [Paths()]
    with pytest.raises(ValueError, match="no port"):
        one.stop()


@pytest.mark.parametrize("end", [ConnectionSampler.stop, lambda one: (one.stop(), one.stop())])
def test_to_stop_what_never_began_is_nothing(end: Callable[[ConnectionSampler], object]) -> None:
    traced = Traced(Paths())
    end(sampler(traced))
    assert not traced.looked.acquire(blocking=False)
