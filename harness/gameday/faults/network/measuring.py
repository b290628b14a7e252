"""What connections of the harness's own tell of an edge; all of it bounded in time."""

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gameday.api.edge import EdgeConnection, Heard, Route, Seen, Stream
from gameday.api.environment import Checkpoint
from gameday.api.fault import Proof
from gameday.api.listing import ListedConnection
from gameday.faults.network.proxy_observer import Passed, ProxyObserver
from gameday.faults.recipes.edge import EdgeScene
from gameday.faults.recipes.edge_settings import streams_of
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar

__all__ = [
    "ANSWER_LIMIT_NS",
    "CONNECT_LIMIT_NS",
    "SAMPLES",
    "Added",
    "added",
    "answered_again",
    "ask",
    "close_enough",
    "greet",
    "greet_directly",
    "in_direction",
    "say",
    "times_added",
    "tolerance_ns",
]

SAMPLES = 9
ANSWER_LIMIT_NS = 2 * SECOND
CONNECT_LIMIT_NS = SECOND
_GREETINGS_AFTER = 3
_MOST_AT_ONCE = 20
_MANY_PER_S = 100
_SIDE_BY_SIDE_FROM_NS = 250 * MILLISECOND
"""Longer waits are spent side by side; shorter ones one by one, so as not to measure ourselves."""


def tolerance_ns(asked_ns: int) -> int:
    """How far a measured time may be from what was asked for: 10 %, or 5 ms if that is more."""
    return max(asked_ns // 10, 5 * MILLISECOND)


def close_enough(measured_ns: int | None, asked_ns: int) -> bool:
    """Tell whether a measured time is what was asked for, within the tolerance."""
    return measured_ns is not None and abs(measured_ns - asked_ns) <= tolerance_ns(asked_ns)


def say(
    scene: EdgeScene, route: Route, question: bytes, limit_ns: int, *, to_the_end: bool = False
) -> Heard:
    """Ask once over a connection of its own; one that cannot be opened says how that went.

    Where the service wants a login, each answer of that may take as long as the question's.
    """
    line = scene.edge.open(route, CONNECT_LIMIT_NS, limit_ns)
    try:
        return ask(line, question, limit_ns, to_the_end=to_the_end)
    finally:
        line.close()


def ask(line: EdgeConnection, question: bytes, limit_ns: int, *, to_the_end: bool = False) -> Heard:
    """Ask over a line; one that could not be opened says how that went, and is asked nothing."""
    if line.opened is not Seen.ANSWERED:
        return Heard(seen=line.opened)
    return line.ask(question, limit_ns, to_the_end=to_the_end)


def greet(scene: EdgeScene, limit_ns: int = ANSWER_LIMIT_NS) -> Heard:
    """Greet the service through the edge's front."""
    return say(scene, Route.PROXIED, scene.dialect.greeting, limit_ns)


def greet_directly(scene: EdgeScene) -> Heard:
    """Greet the service past the proxy."""
    return say(scene, Route.UPSTREAM, scene.dialect.greeting, ANSWER_LIMIT_NS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What the front adds to the time of an exchange, by the medians of both ways."""

    front_ns: int | None
    direct_ns: int | None
    answered: int
    served_ns: int | None = None
    """From the question's arrival at the proxy to the answer's; None where it did not tell."""

    @property
    def ns(self) -> int | None:
        return _less(self.front_ns, self.direct_ns)

    def ns_of(self, stream: Stream) -> int | None:
        """What one direction adds: before the service has answered, or after that."""
        if stream == "upstream":
            return _less(self.served_ns, self.direct_ns)
        return _less(self.front_ns, self.served_ns)

    def as_evidence(self) -> Mapping[str, Scalar]:
        return {
            "added_ns": self.ns,
            "front_ns": self.front_ns,
            "direct_ns": self.direct_ns,
            "samples": self.answered,
        }


def _less(one_ns: int | None, other_ns: int | None) -> int | None:
    return None if one_ns is None or other_ns is None else one_ns - other_ns


def added(
    scene: EdgeScene,
    expected_ns: int,
    checkpoint: Checkpoint,
    *,
    by_end: bool = False,
    apart: bool = False,
) -> Added:
    """Compare nine exchanges through the front with nine on the direct way.

    An exchange is a greeting and its first answer; `by_end`: from hanging up to the other
    side's end; `apart`: the proxy is asked, too, so that the directions can be told apart.
    """
    limit_ns = 2 * expected_ns + ANSWER_LIMIT_NS
    greeting = scene.dialect.greeting

    def once(route: Route) -> tuple[int | None, Passed]:
        line = scene.edge.open(route, CONNECT_LIMIT_NS, limit_ns)
        try:
            heard = ask(line, greeting, limit_ns)
            passed = Passed.over(line, sent=len(greeting), heard=heard.received)
            if by_end and heard.seen is Seen.ANSWERED:
                return line.hang_up(limit_ns).ended_ns, passed
            return None if by_end else heard.first_ns, passed
        finally:
            line.close()

    def every(route: Route, at_once: int) -> tuple[list[int], list[Passed]]:
        with ThreadPoolExecutor(at_once) as pool:
            made = list(pool.map(once, [route] * SAMPLES))
        return [ns for ns, _ in made if ns is not None], [passed for _, passed in made]

    direct, _ = every(Route.UPSTREAM, 1)
    checkpoint()
    observer = ProxyObserver(scene.edge) if apart else None
    front, lines = every(Route.PROXIED, SAMPLES if expected_ns >= _SIDE_BY_SIDE_FROM_NS else 1)
    seen = (observer.of(lines) if observer else None) or ()
    checkpoint()
    # A sample that did not come back is no sample that was quick: all are wanted.
    whole = len(front) == len(direct) == SAMPLES
    return Added(
        front_ns=round(statistics.median(front)) if whole else None,
        direct_ns=round(statistics.median(direct)) if whole else None,
        answered=len(front),
        served_ns=_median([_served_ns(one, by_end) for one in seen]) if whole else None,
    )


def _served_ns(seen: ListedConnection, by_end: bool) -> int | None:
    """Return how long the service took by its proxy; None: it has not answered, or not ended."""
    if by_end:
        return _less(seen.downstream.ended_ns, seen.upstream.ended_ns)
    return _less(seen.downstream.last_ns, seen.upstream.last_ns)


def _median(times_ns: Sequence[int | None]) -> int | None:
    """Return the median of all of them; None if one is missing."""
    whole = [ns for ns in times_ns if ns is not None]
    return round(statistics.median(whole)) if whole and len(whole) == len(times_ns) else None


def in_direction(size: Proof, seen: Added, stream: Stream, delay_ns: int) -> Proof:
    """Add to the proof of a delay that it is all in one direction, and how much is in each."""
    adds_ns = {each: seen.ns_of(each) for each in streams_of("both")}
    late_ns = adds_ns[stream]
    (other_ns,) = (ns for each, ns in adds_ns.items() if each != stream)
    there = late_ns is not None and other_ns is not None and late_ns > other_ns
    return Proof(
        proven=size.proven and there and abs(other_ns or 0) <= tolerance_ns(delay_ns),
        measured={**size.measured, **{f"{each}_ns": ns for each, ns in adds_ns.items()}},
    )


def times_added(
    scene: EdgeScene, count: int, *, usual_ns: int, limit_ns: int, checkpoint: Checkpoint
) -> list[int]:
    """Return what the front adds to each of many greetings; what is not answered is not there.

    A greeting is expected to take `usual_ns`; so many are under way at once that some hundred are
    answered a second. Each has one on the direct way behind it, which meets the same host.
    """
    checkpoint()
    at_once = max(1, min(_MOST_AT_ONCE, usual_ns * _MANY_PER_S // SECOND))

    def pair(_: int) -> tuple[int | None, int | None]:
        return greet(scene, limit_ns).first_ns, greet_directly(scene).first_ns

    with ThreadPoolExecutor(at_once) as pool:
        heard = list(pool.map(pair, range(count)))
    checkpoint()
    direct = [ns for _, ns in heard if ns is not None]
    if len(direct) < count:
        return []
    usually_ns = round(statistics.median(direct))
    return [ns - usually_ns for ns, _ in heard if ns is not None]


def answered_again(scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
    """Greetings through the front are answered, each over a new connection."""
    seen = [greet(scene).seen for _ in range(_GREETINGS_AFTER)]
    answers = seen.count(Seen.ANSWERED)
    return Proof(
        proven=answers == len(seen),
        measured={"answered_after": answers, "asked_after": len(seen)},
    )
