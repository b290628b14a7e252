import statistics
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.proxy.timer import Entry
from gameday.proxy.toxics import TOXICS, End, Stage, Toxic
from gameday.proxy.toxics.latency import LatencyToxic

MS = 1_000_000


class ManualTimer:
    """Time passes when the test says so."""

    def __init__(self) -> None:
        self.time_ns = 0
        self._entries: list[Entry] = []
        self._order = 0

    def now_ns(self) -> int:
        return self.time_ns

    def at(self, deadline_ns: int, callback: Callable[[], None]) -> Entry:
        self._order += 1
        entry = Entry(deadline_ns, self._order, callback)
        self._entries.append(entry)
        return entry

    def cancel(self, entry: Entry | None) -> None:
        if entry is not None:
            entry.callback = None

    @property
    def pending(self) -> int:
        return sum(entry.callback is not None for entry in self._entries)

    def pass_ms(self, ms: float) -> None:
        until_ns = self.time_ns + int(ms * MS)
        while due := sorted(
            entry
            for entry in self._entries
            if entry.callback is not None and entry.deadline_ns <= until_ns
        ):
            entry = due[0]
            self._entries.remove(entry)
            self.time_ns = max(self.time_ns, entry.deadline_ns)
            callback, entry.callback = entry.callback, None
            assert callback is not None
            callback()
        self.time_ns = until_ns


class Line:
    """A place with one stage of a toxic, and everything that came out of it, with its instant."""

    def __init__(self, kind: str, *, seed: int = 1, **attributes: int) -> None:
        self._timer = ManualTimer()
        self.toxic = TOXICS[kind].made(attributes)
        self.out: list[tuple[float, bytes | End]] = []
        self.was_reset_at: float | None = None
        self.balanced = 0
        self.stage: Stage = self.toxic.stage(self, self, Random(seed))
        self.stage.begin()

    @property
    def timer(self) -> ManualTimer:
        return self._timer

    @property
    def now_ms(self) -> float:
        return self._timer.time_ns / MS

    @property
    def bytes_out(self) -> bytes:
        return b"".join(item for _, item in self.out if isinstance(item, bytes))

    def change(self, **attributes: int) -> None:
        name = next(name for name, kind in TOXICS.items() if isinstance(self.toxic, kind))
        self.toxic.follow(TOXICS[name].made({**self.toxic.values(), **attributes}))
        self.stage.changed()

    def data(self, chunk: bytes) -> None:
        self.out.append((self.now_ms, chunk))

    def end(self, how: End) -> None:
        self.out.append((self.now_ms, how))

    def balance(self) -> None:
        self.balanced += 1

    def reset(self) -> None:
        self.was_reset_at = self.now_ms


def test_latency_delays_bytes_and_their_end_by_the_same() -> None:
    line = Line("latency", latency=50)
    line.stage.data(b"a")
    line.timer.pass_ms(10)
    line.stage.data(b"b")
    line.stage.end(End.EOF)
    line.timer.pass_ms(100)
    assert line.out == [(50, b"a"), (60, b"b"), (60, End.EOF)]
    assert (line.stage.held_bytes, line.balanced) == (0, 3)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_jitter_stays_within_its_bounds_and_never_reorders(seed: int, gaps: list[int]) -> None:
    line = Line("latency", seed=seed, latency=20, jitter=10)
    sent: list[float] = []
    for number, gap in enumerate(gaps):
        line.timer.pass_ms(gap)
        sent.append(line.now_ms)
        line.stage.data(bytes([number]))
    line.timer.pass_ms(100)
    assert line.bytes_out == bytes(range(len(gaps)))
    for came, (left, _item) in zip(sent, line.out, strict=True):
        # An earlier chunk with a longer delay may hold this one up, by no more than its own bound.
        assert came + 10 <= left <= came + 30


def test_the_same_seed_draws_the_same_jitter() -> None:
    def leaves(seed: int) -> list[tuple[float, bytes | End]]:
        line = Line("latency", seed=seed, latency=50, jitter=50)
        for _ in range(5):
            line.stage.data(b"x")
            line.timer.pass_ms(200)
        return line.out

    assert leaves(1) == leaves(1) != leaves(2)


def draws(distribution: str, count: int, *, seed: int = 1) -> list[float]:
    toxic = LatencyToxic.made({"latency": 100, "jitter": 30, "distribution": distribution})
    assert isinstance(toxic, LatencyToxic)
    random = Random(seed)
    return sorted(toxic.delay_ns(random) / MS for _ in range(count))


def test_normal_delays_have_the_latency_as_their_mean_and_the_jitter_as_their_deviation() -> None:
    drawn = draws("normal", 20_000)
    assert statistics.mean(drawn) == pytest.approx(100, abs=1)
    assert statistics.stdev(drawn) == pytest.approx(30, abs=1)
    assert drawn[0] >= 0


def test_pareto_delays_are_never_less_than_the_latency_and_the_jitter_more_on_the_average() -> None:
    drawn = draws("pareto", 20_000)
    assert 100 <= drawn[0] < 100.1
    assert statistics.mean(drawn) == pytest.approx(130, abs=2)
    # 30 * 2 * (1000 ** (1 / 3) - 1): one in a thousand is nine times as late as the mean.
    assert drawn[-20] == pytest.approx(100 + 540, rel=0.2)


@pytest.mark.parametrize("distribution", ["normal", "pareto"])
def test_the_same_seed_draws_the_same_delays(distribution: str) -> None:
    once, again = (draws(distribution, 10, seed=7) for _ in range(2))
    assert once == again != draws(distribution, 10, seed=8)


def test_the_usual_distribution_is_not_told_and_comes_back() -> None:
    shaped = LatencyToxic.made({"jitter": 1, "distribution": "pareto"})
    assert shaped.values() == {"latency": 0, "jitter": 1, "distribution": "pareto"}
    shaped.follow(LatencyToxic.made({"distribution": "uniform"}))
    assert shaped.values() == {"latency": 0, "jitter": 0}


def test_latency_that_changes_moves_what_is_on_its_way() -> None:
    line = Line("latency", latency=1000)
    line.stage.data(b"a")
    line.timer.pass_ms(10)
    line.change(latency=20)
    line.timer.pass_ms(1000)
    assert line.out == [(20, b"a")]


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("latency", {"latency": 1000}),
        ("bandwidth", {"rate": 1}),
        ("bandwidth", {"rate": 0}),
        ("slicer", {"average_size": 1, "delay": 1000}),
        ("slow_close", {"delay": 1000}),
    ],
)
def test_a_released_toxic_passes_on_at_once_all_that_it_held(
    kind: str, attributes: dict[str, int]
) -> None:
    line = Line(kind, **attributes)
    line.stage.data(b"abc" * 100)
    line.stage.end(End.EOF)
    line.stage.release()
    assert line.bytes_out == b"abc" * 100
    assert line.out[-1] == (0, End.EOF)
    assert line.stage.held_bytes == 0
    assert line.timer.pending == 0


@pytest.mark.parametrize("kind", TOXICS)
def test_a_dropped_toxic_leaves_no_timer_and_says_nothing_more(kind: str) -> None:
    attributes = {"slicer": {"average_size": 1, "delay": 9}, "reset_peer": {"timeout": 9}}.get(
        kind, dict.fromkeys(TOXICS[kind].made({"average_size": 1}).values(), 9)
    )
    line = Line(kind, **attributes)
    line.stage.data(b"abc" * 10_000)
    line.stage.end(End.EOF)
    line.stage.drop()
    line.out.clear()
    line.timer.pass_ms(10_000)
    assert line.timer.pending == 0
    assert (line.out, line.was_reset_at) == ([], None)


@given(st.integers(1, 5000), st.lists(st.binary(min_size=1, max_size=3000), max_size=20))
def test_bandwidth_delivers_everything_in_its_time(rate: int, chunks: list[bytes]) -> None:
    line = Line("bandwidth", rate=rate)
    for chunk in chunks:
        line.stage.data(chunk)
    line.stage.end(End.EOF)
    line.timer.pass_ms(100_000_000)
    total = sum(map(len, chunks))
    assert line.bytes_out == b"".join(chunks)
    assert line.stage.held_bytes == 0
    left_ms, last = line.out[-1]
    assert last is End.EOF
    # A piece takes a whole number of nanoseconds.
    assert left_ms == pytest.approx(total / rate, abs=1e-6 * (total + 1))


def test_bandwidth_zero_holds_everything_until_it_changes() -> None:
    line = Line("bandwidth", rate=0)
    line.stage.data(b"x" * 1000)
    line.timer.pass_ms(10_000)
    assert line.out == []
    assert line.stage.held_bytes == 1000
    line.change(rate=100)
    line.timer.pass_ms(10)
    assert line.bytes_out == b"x" * 1000


def test_changes_that_come_quicker_than_a_piece_do_not_hold_it_up() -> None:
    line = Line("bandwidth", rate=10)
    line.stage.data(bytes(1000))
    for _ in range(19):
        line.timer.pass_ms(5)
        line.change(rate=10)
    line.timer.pass_ms(5)
    assert line.bytes_out == bytes(1000)
    assert line.out[-1][0] == pytest.approx(100)


def test_slow_close_delays_only_the_end() -> None:
    line = Line("slow_close", delay=30)
    line.stage.data(b"a")
    line.stage.end(End.CLOSE)
    line.timer.pass_ms(100)
    assert line.out == [(0, b"a"), (30, End.CLOSE)]


def test_timeout_counts_from_when_it_met_the_connection_not_from_the_last_data() -> None:
    line = Line("timeout", timeout=50)
    line.timer.pass_ms(40)
    line.stage.data(b"a")
    line.timer.pass_ms(100)
    assert line.out == [(50, End.CLOSE)]


def test_timeout_zero_never_closes_until_it_is_removed() -> None:
    line = Line("timeout", timeout=0)
    line.stage.data(b"a")
    line.timer.pass_ms(1_000_000)
    assert line.out == []
    line.stage.release()
    assert [item for _, item in line.out] == [End.CLOSE]


def test_reset_peer_resets_without_waiting_for_data() -> None:
    assert Line("reset_peer", timeout=0).was_reset_at == 0
    line = Line("reset_peer", timeout=50)
    line.timer.pass_ms(100)
    assert line.was_reset_at == 50


def test_a_removed_reset_peer_lets_go_a_connection_that_lost_nothing() -> None:
    line = Line("reset_peer", timeout=50)
    line.stage.release()
    line.timer.pass_ms(100)
    assert line.was_reset_at is None


def test_a_removed_reset_peer_resets_a_connection_that_lost_bytes() -> None:
    line = Line("reset_peer", timeout=50)
    line.stage.data(b"x")
    line.stage.release()
    assert line.was_reset_at == 0


@given(st.binary(min_size=1, max_size=2000), st.integers(1, 50), st.data())
def test_slices_stay_within_their_bounds_and_join_to_the_whole(
    chunk: bytes, size: int, data: st.DataObject
) -> None:
    variation = data.draw(st.integers(0, size - 1))
    line = Line("slicer", average_size=size, size_variation=variation, delay=10)
    line.stage.data(chunk)
    line.timer.pass_ms(1000)
    pieces = [item for _, item in line.out if isinstance(item, bytes)]
    assert b"".join(pieces) == chunk
    assert all(size - variation <= len(piece) <= size + variation for piece in pieces[:-1])
    assert [at for at, _ in line.out] == pytest.approx([0.01 * n for n in range(len(pieces))])


def test_a_slicer_cuts_a_piece_when_it_leaves_and_none_before() -> None:
    line = Line("slicer", average_size=1, delay=1000)
    for chunk in (b"ab", b"cdef"):
        line.stage.data(chunk)
    line.stage.end(End.EOF)
    line.timer.pass_ms(3)
    assert line.out == [(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d")]
    assert line.stage.held_bytes == 2
    line.stage.release()
    assert line.out[4:] == [(3, b"ef"), (3, End.EOF)]
    assert (line.stage.held_bytes, line.stage.tally.bytes_delayed) == (0, 5)


def test_limit_data_passes_its_bytes_and_closes_once() -> None:
    line = Line("limit_data", bytes=5)
    for chunk in (b"abc", b"def", b"ghi"):
        line.stage.data(chunk)
    assert line.bytes_out == b"abcde"
    assert [item for _, item in line.out if isinstance(item, End)] == [End.CLOSE]


def test_half_open_swallows_bytes_and_every_end_until_its_removal_resets() -> None:
    line = Line("half_open")
    line.stage.data(b"abc")
    for how in End:
        line.stage.end(how)
    line.timer.pass_ms(1_000_000)
    assert (line.out, line.was_reset_at) == ([], None)
    line.stage.release()
    assert line.was_reset_at == 1_000_000


@pytest.mark.parametrize(
    ("kind", "attributes", "delayed", "dropped"),
    [
        ("latency", {"latency": 5}, 300, 0),
        ("latency", {"latency": 0}, 0, 0),
        ("bandwidth", {"rate": 1}, 300, 0),
        ("slicer", {"average_size": 100, "delay": 5}, 200, 0),
        ("slow_close", {"delay": 5}, 0, 0),
        ("timeout", {"timeout": 0}, 0, 300),
        ("reset_peer", {"timeout": 5}, 0, 300),
        ("limit_data", {"bytes": 120}, 0, 180),
        ("half_open", {}, 0, 300),
    ],
)
def test_a_toxic_counts_the_bytes_that_it_delays_and_drops(
    kind: str, attributes: dict[str, int], delayed: int, dropped: int
) -> None:
    line = Line(kind, **attributes)
    line.stage.data(b"abc" * 100)
    line.timer.pass_ms(1_000)
    tally = line.stage.tally
    assert (tally.bytes_delayed, tally.bytes_dropped) == (delayed, dropped)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("latency", {"latency": -1}, "latency is -1; wanted 0"),
        ("latency", {"latency": 1.5}, "wanted a whole number"),
        ("latency", {"latency": True}, "wanted a whole number"),
        ("latency", {"jitter": 2**63}, "jitter is 9223372036854775808"),
        ("latency", {"distribution": "gauss"}, "'gauss'; known: uniform, normal, pareto"),
        ("latency", {"distribution": 1}, "distribution is 1; known"),
        ("slicer", {}, "average_size is 0; wanted at least 1"),
        ("slicer", {"average_size": 5, "size_variation": 5}, "wanted less than average_size"),
    ],
)
def test_attributes_out_of_range_are_refused(
    kind: str, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        TOXICS[kind].made(values)


def test_every_toxic_has_its_attributes_in_the_order_of_the_api() -> None:
    def names(toxic: type[Toxic]) -> list[str]:
        return list(toxic.made({"average_size": 1}).values())

    assert {name: names(toxic) for name, toxic in TOXICS.items()} == {
        "latency": ["latency", "jitter"],
        "bandwidth": ["rate"],
        "slow_close": ["delay"],
        "timeout": ["timeout"],
        "reset_peer": ["timeout"],
        "slicer": ["average_size", "size_variation", "delay"],
        "limit_data": ["bytes"],
        "half_open": [],
    }
