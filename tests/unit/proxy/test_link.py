import asyncio
from collections.abc import Callable
from random import Random

import pytest

from gameday.proxy.link import Link, Meter
from gameday.proxy.timer import Entry
from gameday.proxy.toxic_chain import Draws, NamedToxic, Stream, ToxicChain
from gameday.proxy.toxics import TOXICS, Outlet, Place, Stage


class NoTimer:
    """Time stands still."""

    def now_ns(self) -> int:
        return 0

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry:
        return Entry(deadline_ns, 0, callback)

    def cancel(self, entry: Entry | None) -> None: ...


class Socket(asyncio.Transport):
    """What was written, and whether it may be read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Ends:
    def link_ended(self) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...


class Lead(Stage):
    """Notes that it was dropped, and that what it passes on piles up."""

    dropped = False
    is_crowded = False

    def crowded(self, is_crowded: bool) -> None:
        self.is_crowded = is_crowded

    def drop(self) -> None:
        self.dropped = True


class Bench:
    """One link from one socket to another."""

    def __init__(self) -> None:
        self.source, self.sink, self.meter = Socket(), Socket(), Meter()
        self.draws = 0
        self.link = Link(self.source, self.sink, Ends(), NoTimer(), self.draw, self.meter)

    def draw(self, toxic: NamedToxic) -> Draws:
        self.draws += 1
        return Draws(Random(1), Random(1))

    def lead(self) -> Lead:
        made: list[Lead] = []

        def make(place: Place, outlet: Outlet) -> Stage:
            made.append(Lead(place, outlet))
            return made[0]

        self.link.lead(make)
        return made[0]


def latency(toxicity: float = 1.0) -> NamedToxic:
    return NamedToxic(
        name="t",
        kind="latency",
        stream_text="upstream",
        toxicity=toxicity,
        attributes=TOXICS["latency"].made({"latency": 5}),
    )


@pytest.mark.parametrize("leads", [False, True])
def test_what_the_sink_is_given_is_counted_as_sent(leads: bool) -> None:
    bench = Bench()
    if leads:
        bench.lead()
    bench.link.feed(b"abc")
    assert (bench.sink.written, bench.meter.sent) == (b"abc", 3)


def test_a_connection_that_meets_a_toxic_again_after_a_change_counts_once() -> None:
    bench, chain, toxic = Bench(), ToxicChain(), latency()
    chain.add(toxic)
    chain.join(bench.link, Stream.UPSTREAM)
    for toxicity in (0.0, 1.0):
        toxic.toxicity = toxicity
        chain.changed(toxic)
    assert toxic.tally.connections == 1


def test_a_toxic_that_is_removed_leaves_nothing_with_the_connection() -> None:
    bench, chain, toxic = Bench(), ToxicChain(), latency()
    chain.join(bench.link, Stream.UPSTREAM)
    for _ in range(3):
        chain.add(toxic)
        chain.remove(toxic)
    # Each time it is drawn anew, so that nothing was kept of the time before.
    assert bench.draws == 3
    assert toxic.tally.connections == 3


def test_the_leading_stage_stays_first_whatever_toxics_come_and_go() -> None:
    bench, chain, toxic = Bench(), ToxicChain(), latency()
    lead = bench.lead()
    chain.join(bench.link, Stream.UPSTREAM)
    chain.add(toxic)
    bench.link.feed(b"abc")
    assert bench.sink.written == b""
    chain.remove(toxic)
    assert bench.sink.written == b"abc"
    bench.link.feed(b"def")
    assert bench.sink.written == b"abcdef"
    bench.link.drop()
    assert lead.dropped


def test_the_source_waits_while_the_leading_stage_holds_too_much() -> None:
    bench = Bench()
    lead = bench.lead()
    lead.held_bytes = lead.HOLD_BYTES + 1
    bench.link.balance()
    assert not bench.source.reads
    lead.held_bytes = 0
    bench.link.balance()
    assert bench.source.reads


@pytest.mark.parametrize("ended", [False, True])
def test_the_leading_stage_is_told_when_the_sink_is_full_also_after_the_end(ended: bool) -> None:
    bench = Bench()
    lead = bench.lead()
    bench.link.ended = ended
    for full in (True, False):
        bench.link.sink_full(full)
        assert lead.is_crowded is full


def test_whom_a_changed_toxic_meets_does_not_depend_on_how_much_came_before() -> None:
    def met(chunks: int) -> list[bool]:
        bench, chain, toxic = Bench(), ToxicChain(), latency(0.5)
        toxic.attributes = TOXICS["latency"].made({"latency": 5, "jitter": 5})
        chain.add(toxic)
        chain.join(bench.link, Stream.UPSTREAM)
        got: list[bool] = []
        for _ in range(20):
            for _ in range(chunks):
                bench.link.feed(b"x")
            chain.changed(toxic)
            got.append(toxic in bench.link._stages)
        return got

    assert met(0) == met(3)
    assert 3 <= sum(met(0)) <= 17
