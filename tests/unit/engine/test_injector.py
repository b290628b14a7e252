"""Step 5: what is begun is recorded before, proven, and healed whatever happens."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.api.environment import Checkpoint, Environment, Killable, NotReadyError
from gameday.api.fault import Fault, Injection, Proof
from gameday.engine import active_fault as active_fault
from gameday.engine import injector as injecting
from gameday.engine.event_bus import EventBus
from gameday.engine.injector import Injector
from gameday.engine.undo_log import UndoRecord
from gameday.errors import EnvironmentRefused, InternalError, NotHealed
from gameday.faults.lifecycle import kill
from gameday.faults.lifecycle import termination as termination
from gameday.faults.lifecycle.kill import Kill
from gameday.model.clock import SECOND
from gameday.model.event import (
    EffectProven,
    Event,
    FaultInjected,
    FaultUndone,
    UndoProven,
    UndoRecorded,
)
from gameday.model.plan import PlannedFault
from gameday.model.result import Result, Window
from gameday.model.scenario import Hits, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment, MemoryService


class Listening:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_result(self, result: Result) -> None:
        raise AssertionError(result)


class Leased:
    """Whoever heals from outside: what is held there, and whether anybody is."""

    def __init__(self) -> None:
        self.until_ns: dict[int, int] = {}
        self.gone = False

    def fault_until(self, step: int, until_ns: int) -> None:
        if self.gone:
            raise InternalError("the janitor is gone")
        self.until_ns[step] = until_ns

    def healed(self, step: int) -> None:
        del self.until_ns[step]


class Stage:
    """Two services, each killed for a second, the second kill inside the first."""

    def __init__(
        self,
        folder: Path,
        *,
        first: Fault | None = None,
        second: Fault | None = None,
        later_ns: int = SECOND,
        lasts_ns: int = 2 * SECOND,
    ) -> None:
        """`later_ns`: when the second fault comes; `lasts_ns`: how long each is in."""
        self.clock = ManualClock()
        services = tuple(ServiceSpec(name=name, kind="redis") for name in ("a", "b"))
        target = Target(name="t", title="T", path=folder, services=services)
        self.environment = MemoryEnvironment(target=target, clock=self.clock)
        self.listening = Listening()
        self.event_bus = EventBus([self.listening], self.clock)
        self.file = folder / "undo.jsonl"
        self.record = UndoRecord(self.file)
        planned = [
            PlannedFault(
                step=step,
                fault="kill",
                target=target,
                at_ns=step * later_ns,
                until_ns=step * later_ns + lasts_ns,
                settings={},
                exposure=2,
            )
            for step, target in enumerate("ab")
        ]
        faults = [first or Kill(target="a"), second or Kill(target="b")]
        self.lease = Leased()
        self.injector = Injector(
            faults, planned, self.environment, self.event_bus, self.record, self.lease
        )

    def wait_until(self, at_ns: int) -> None:
        self.clock.sleep_ns(at_ns - self.clock.now_ns())

    def play(self) -> bool:
        return self.injector.play(self.wait_until, self.clock.now_ns(), lambda: None)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    monkeypatch.setattr(termination, "DEATH_LIMIT_NS", 0)
    stage = Stage(tmp_path)
    with stage.record:
        yield stage


def test_faults_come_and_go_at_their_times(stage: Stage) -> None:
    start_ns = stage.clock.now_ns()
    assert stage.play()
    first, second = stage.injector.times()
    assert first.injected.start_ns == start_ns
    assert second.injected.start_ns == start_ns + SECOND
    assert first.undone is not None
    assert first.undone.start_ns == first.injected.end_ns + 2 * SECOND


def test_the_undo_is_on_disk_before_the_fault_is_in(stage: Stage) -> None:
    seen: list[str] = []
    victim = stage.environment.service("a")
    before = victim.kill

    def look_first(number: object) -> Window:
        seen.append(stage.file.read_text())
        return before(number)  # type: ignore[arg-type]

    object.__setattr__(stage.environment, "services", dict(stage.environment.services))
    stage.environment.services["a"] = type("Watched", (), {
        "spec": victim.spec, "process_state": victim.process_state,
        "kill": staticmethod(look_first), "start_again": victim.start_again,
        "wait_until_ready": victim.wait_until_ready, "check": victim.check,
        "upstream": victim.upstream, "end_signal": victim.end_signal,
    })()  # fmt: skip
    stage.play()
    assert json.loads(seen[0])["undo"] == "start a again with its data"


def test_a_fault_without_proof_stops_the_play_and_heal_brings_the_others_back(
    stage: Stage,
) -> None:
    stage.environment.service("b").survives_signals = True
    assert not stage.play()
    assert not stage.environment.service("a").process_state().alive
    stage.injector.heal()
    assert stage.environment.service("a").process_state().alive
    undone = [e.target for e in stage.listening.events if isinstance(e, UndoProven)]
    assert undone == ["b", "a"], "last in, first out"


def test_healing_twice_undoes_once(stage: Stage) -> None:
    stage.play()
    count = len(stage.listening.events)
    stage.injector.heal()
    assert len(stage.listening.events) == count


def test_an_interrupted_play_is_healed(stage: Stage) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(lambda _: stop(), 0, lambda: None)
    stage.injector.heal()
    assert stage.environment.service("a").process_state().alive


def test_a_service_that_does_not_answer_is_told_with_the_fault_that_wanted_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(stage.environment.service("b"))
    usual = kind.kill

    def refuse(service: MemoryService, number: signal.Signals) -> Window:
        if service.spec.name == "b":
            raise NotReadyError("Redis at b: connection refused")
        return usual(service, number)

    monkeypatch.setattr(kind, "kill", refuse)
    with pytest.raises(
        EnvironmentRefused, match="kill of b could not be injected: Redis at b: conn"
    ):
        stage.play()
    stage.injector.heal()
    assert stage.environment.service("a").process_state().alive


def test_what_cannot_be_undone_is_recorded_as_such_and_the_others_are_healed(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    assert not stage.play()
    stage.injector.heal()
    first, second = stage.injector.records(lambda *_: 2)
    assert (first.proven, first.undone) == (True, False)
    assert second.undone
    lines = [json.loads(line) for line in stage.file.read_text().splitlines()]
    assert [line["target"] for line in lines if line["state"] == "undone"] == ["b"]


def test_nothing_more_is_broken_once_something_is_not_proven_gone(tmp_path: Path) -> None:
    stage = Stage(tmp_path, later_ns=5 * SECOND)
    stage.environment.service("a").starts = False
    with stage.record:
        assert not stage.play()
    assert stage.environment.service("b").process_state().alive
    assert len(stage.injector.times()) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A fault whose proof holds everything up until a service lives again, in real time."""

    verb: ClassVar[str] = "held"
    hits: ClassVar[Hits] = "service"
    target: str
    waits_for: str

    def on(self, environment: Environment) -> Injection:
        return HeldInjection(Kill(target=self.target).on(environment), environment, self.waits_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """A kill that counts who met it."""

    verb: ClassVar[str] = "tallied"
    hits: ClassVar[Hits] = "service"
    target: str
    counts: int | None

    def on(self, environment: Environment) -> Injection:
        return TalliedInjection(Kill(target=self.target).on(environment), self.counts)


class TalliedInjection:
    def __init__(self, inner: Injection, counts: int | None) -> None:
        self.undo_text, self.asked = inner.undo_text, inner.asked
        self.inject, self.prove = inner.inject, inner.prove
        self.undo, self.prove_healed = inner.undo, inner.prove_healed
        self._counts = counts

    def met(self) -> int | None:
        return self._counts


class HeldInjection:
    def __init__(self, inner: Injection, environment: Environment, waits_for: str) -> None:
        self.undo_text, self.asked = inner.undo_text, inner.asked
        self.inject, self.undo, self.prove_healed = inner.inject, inner.undo, inner.prove_healed
        service = environment.service(waits_for)
        assert isinstance(service, Killable)
        self._awaited = service

    def prove(self, checkpoint: Checkpoint) -> Proof:
        give_up = time.monotonic() + 5
        while not self._awaited.process_state().alive and time.monotonic() < give_up:
            time.sleep(0.01)
        return Proof(proven=self._awaited.process_state().alive)


def test_an_undoing_waits_for_no_proof_of_another_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    stage = Stage(tmp_path, second=Held(target="b", waits_for="a"), later_ns=0, lasts_ns=1)
    with stage.record:
        assert stage.play()


@pytest.mark.parametrize(("met", "proven"), [(1, False), (2, True), (None, True)])
def test_a_fault_that_too_few_operations_met_is_not_proven(
    stage: Stage, met: int | None, proven: bool
) -> None:
    stage.play()
    assert [record.proven for record in stage.injector.records(lambda *_: met)] == [proven] * 2


@pytest.mark.parametrize(
    ("due", "counted", "met", "proven"),
    [
        (9, 1, 1, False),
        (9, 2, 2, True),
        (1, 9, 1, False),
        (9, None, 9, True),
        (None, 0, None, True),
    ],
)
def test_what_a_mechanism_counts_bounds_what_met_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    due: int | None,
    counted: int | None,
    met: int | None,
    proven: bool,
) -> None:
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    stage = Stage(tmp_path, second=Tallied(target="b", counts=counted))
    with stage.record:
        assert stage.play()
    _, record = stage.injector.records(lambda *_: due)
    assert record.measured["operations_exposed"] == met
    assert record.proven is proven


def test_each_event_counts_from_the_start_of_the_run(stage: Stage) -> None:
    stage.play()
    recorded, injected = (
        next(e for e in stage.listening.events if isinstance(e, kind))
        for kind in (UndoRecorded, FaultInjected)
    )
    assert recorded.at_ns == 0
    assert isinstance(injected, FaultInjected)
    assert 0 == injected.called_ns < injected.returned_ns < SECOND


def test_a_fault_is_leased_for_its_span_and_returned_when_it_is_proven_gone(stage: Stage) -> None:
    stage.environment.service("b").starts = False
    start_ns = stage.clock.now_ns()
    stage.play()
    (left,) = stage.lease.until_ns.items()
    assert left[0] == 1, "what is not proven gone stays with the janitor"
    assert left[1] > start_ns + 3 * SECOND


def test_nothing_is_broken_when_nobody_would_heal_it(stage: Stage) -> None:
    stage.lease.gone = True
    with pytest.raises(InternalError):
        stage.play()
    assert stage.environment.service("a").process_state().alive
    assert stage.injector.times() == ()


def test_the_record_and_its_name_are_on_the_disk_before_anything_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        "gameday.engine.undo_log.os.fsync",
        lambda entry: synced.append(Path(f"/proc/self/fd/{entry}").resolve()),
    )
    with UndoRecord(tmp_path / "undo.jsonl") as record:
        assert synced == [tmp_path, tmp_path.parent]
        record.write(state="will inject")
    assert synced[2:] == [tmp_path / "undo.jsonl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A kill that says what it is told to when it is asked whether it is in still."""

    verb: ClassVar[str] = "watched"
    hits: ClassVar[Hits] = "service"
    target: str
    says: Callable[[], Proof]
    asked_for: list[str] = field(default_factory=list)
    """What was called, in its order."""
    needs: Killable | None = None
    """Who has to live before it can be undone."""

    def on(self, environment: Environment) -> Injection:
        return WatchedInjection(Kill(target=self.target).on(environment), self)


class WatchedInjection:
    def __init__(self, inner: Injection, fault: Watched) -> None:
        self.undo_text, self.asked = inner.undo_text, inner.asked
        self.inject, self.prove, self.prove_healed = inner.inject, inner.prove, inner.prove_healed
        self._inner = inner
        self._fault = fault

    def is_active(self) -> Proof:
        self._fault.asked_for.append("still in")
        return self._fault.says()

    def undo(self) -> Window:
        self._fault.asked_for.append("undo")
        if self._fault.needs is not None and not self._fault.needs.process_state().alive:
            return Window(start_ns=0, end_ns=0)
        return self._inner.undo()


def watching(folder: Path, monkeypatch: pytest.MonkeyPatch, says: Callable[[], Proof]) -> Stage:
    """Return a stage whose first fault is watched, and lasts until the second is in."""
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    monkeypatch.setattr(termination, "DEATH_LIMIT_NS", 0)
    return Stage(folder, first=Watched(target="a", says=says))


def first_of(stage: Stage) -> Watched:
    fault = stage.injector._faults[0]
    assert isinstance(fault, Watched)
    return fault


def shown(stage: Stage) -> list[bool]:
    """Return whether each proof of an effect showed it, of the first fault."""
    events = stage.listening.events
    return [e.proven for e in events if isinstance(e, EffectProven) and e.step == 0]


def raising() -> Proof:
    raise OSError("nobody answers")


def test_a_fault_that_is_in_still_at_its_end_is_looked_at_once_and_then_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = watching(tmp_path, monkeypatch, lambda: Proof(proven=True, measured={"left": 3}))
    with stage.record:
        assert stage.play()
    assert first_of(stage).asked_for == ["still in", "undo"]
    record = stage.injector.records(lambda *_: 2)[0]
    assert (record.proven, record.undone) == (True, True)
    assert (record.measured["in_at_end"], record.measured["at_end_left"]) == (True, 3)
    assert shown(stage) == [True], "that it is in still is no news"


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (lambda: Proof(proven=False, measured={"left": 0}), ("at_end_left", 0)),
        (raising, ("at_end_error", "nobody answers")),
    ],
)
def test_a_fault_that_is_not_shown_to_be_in_still_is_not_proven_and_undone_all_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    says: Callable[[], Proof],
    why: tuple[str, object],
) -> None:
    stage = watching(tmp_path, monkeypatch, says)
    with stage.record:
        assert not stage.play(), "nothing more is broken"
        stage.injector.heal()
    record = stage.injector.records(lambda *_: 2)[0]
    assert (record.proven, record.undone) == (False, True)
    assert record.measured["in_at_end"] is False
    assert why in record.measured.items()
    assert shown(stage) == [True, False]
    assert first_of(stage).asked_for == ["still in", "undo"]
    assert all(stage.environment.service(name).process_state().alive for name in "ab")


def test_a_fault_whose_state_is_not_told_in_time_is_undone_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_fault, "_LOOK_LIMIT_S", 0.05)
    for_ever = threading.Event()

    def hanging() -> Proof:
        for_ever.wait(10)
        return Proof(proven=True)

    stage = watching(tmp_path, monkeypatch, hanging)
    with stage.record:
        assert not stage.play()
    for_ever.set()
    record = stage.injector.records(lambda *_: 2)[0]
    assert (record.proven, record.undone) == (False, True)
    assert record.measured["at_end_error"] == "no answer within 0.05 s"


def test_the_timer_of_a_fault_looks_at_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    says = Watched(target="a", says=lambda: Proof(proven=False))
    held = Held(target="b", waits_for="a")
    stage = Stage(tmp_path, first=says, second=held, later_ns=0, lasts_ns=1)
    with stage.record:
        assert not stage.play()
    assert says.asked_for == ["still in", "undo"]
    assert [record.proven for record in stage.injector.records(lambda *_: 2)] == [False, True]


def test_a_fault_that_was_not_proven_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = watching(tmp_path, monkeypatch, lambda: Proof(proven=True))
    stage.environment.service("a").survives_signals = True
    with stage.record:
        assert not stage.play()
        stage.injector.heal()
    assert first_of(stage).asked_for == ["undo"]


def test_a_run_that_is_cut_short_heals_without_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = watching(tmp_path, monkeypatch, lambda: Proof(proven=False))
    stage.environment.service("b").survives_signals = True
    with stage.record:
        assert not stage.play()
        stage.injector.heal(at_once=True)
    assert first_of(stage).asked_for == ["undo"]
    assert stage.injector.records(lambda *_: 2)[0].proven


def test_a_heal_at_once_does_not_wait_for_a_look_that_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_fault, "_LOOK_LIMIT_S", 10)
    looking, for_ever = threading.Event(), threading.Event()

    def hanging() -> Proof:
        looking.set()
        for_ever.wait(10)
        return Proof(proven=False)

    def interrupt(at_ns: int) -> None:
        if at_ns > start_ns:
            assert looking.wait(5), "the fault's own timer looks at it"
            raise KeyboardInterrupt

    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
    first = Watched(target="a", says=hanging)
    stage = Stage(tmp_path, first=first, later_ns=SECOND, lasts_ns=1)
    start_ns = stage.clock.now_ns()
    with stage.record:
        with pytest.raises(KeyboardInterrupt):
            stage.injector.play(interrupt, start_ns, lambda: None)
        began = time.monotonic()
        stage.injector.heal(at_once=True)
        assert time.monotonic() - began < 5
    for_ever.set()
    record = stage.injector.records(lambda *_: 2)[0]
    assert (record.proven, record.undone) == (True, True)


def test_what_another_fault_keeps_in_is_undone_again_once_that_one_is_gone(
    stage: Stage,
) -> None:
    says = Watched(
        target="b", says=lambda: Proof(proven=True), needs=stage.environment.service("a")
    )
    stage.injector._faults = [Kill(target="a"), says]
    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(interrupted_after(stage, 2), stage.clock.now_ns(), lambda: None)
    stage.injector.heal()
    undone = [(e.target, e.proven) for e in stage.listening.events if isinstance(e, UndoProven)]
    assert undone == [("b", False), ("a", True), ("b", True)]
    assert all(record.undone for record in stage.injector.records(lambda *_: 2))
    assert stage.lease.until_ns == {}


def interrupted_after(stage: Stage, moments: int) -> Callable[[int], None]:
    """Return what waits that often, and is interrupted after that."""
    seen: list[int] = []

    def wait_until(at_ns: int) -> None:
        seen.append(at_ns)
        if len(seen) > moments:
            raise KeyboardInterrupt
        stage.wait_until(at_ns)

    return wait_until


def test_what_is_proven_gone_too_late_is_healed_and_counts_as_not_undone(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    assert not stage.play()
    stage.environment.service("a").starts = True
    stage.injector.heal()
    assert stage.environment.service("a").process_state().alive
    assert stage.lease.until_ns == {}
    assert [record.undone for record in stage.injector.records(lambda *_: 2)] == [False, True]


def test_what_cannot_be_healed_is_not_tried_without_end(stage: Stage) -> None:
    stage.environment.service("a").starts = False
    stage.play()
    for _ in range(10):
        stage.injector.heal()
    tried = [e for e in stage.listening.events if isinstance(e, UndoProven) and e.target == "a"]
    assert len(tried) == 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered:
    """A kill of which some calls are somebody else's."""

    verb: ClassVar[str] = "altered"
    hits: ClassVar[Hits] = "service"
    target: str
    alter: Callable[[Injection], None]

    def on(self, environment: Environment) -> Injection:
        inner = Kill(target=self.target).on(environment)
        made = TalliedInjection(inner, None)
        self.alter(made)
        return made


def in_order(stage: Stage) -> list[tuple[str, str]]:
    undoing = (FaultUndone, UndoProven)
    told = [event for event in stage.listening.events if isinstance(event, undoing)]
    return [(type(event).__name__, event.target) for event in told]


def test_all_are_undone_before_the_first_is_read_again(stage: Stage) -> None:
    stage.environment.service("b").survives_signals = True
    assert not stage.play()
    stage.injector.heal()
    assert in_order(stage) == [
        ("FaultUndone", "b"),
        ("FaultUndone", "a"),
        ("UndoProven", "b"),
        ("UndoProven", "a"),
    ]


def test_an_undoing_that_hangs_keeps_no_other_from_being_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_fault, "_UNDO_LIMIT_S", 0.05)
    over = threading.Event()

    def hang(injection: Injection) -> None:
        def undo() -> Window:
            over.wait(10)
            return Window(start_ns=0, end_ns=0)

        injection.undo = undo  # type: ignore[method-assign]

    stage = Stage(tmp_path, second=Altered(target="b", alter=hang))
    try:
        with stage.record:
            with suppress(NotHealed):
                stage.play()
            with pytest.raises(ExceptionGroup) as caught:
                stage.injector.heal()
    finally:
        over.set()
    (error,) = caught.value.exceptions
    assert str(error) == "kill of b: its undoing has not ended within 0.05 s"
    assert stage.environment.service("a").process_state().alive
    assert [record.undone for record in stage.injector.records(lambda *_: 2)] == [True, False]


def test_a_fault_whose_proof_takes_too_long_is_undone_and_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(injecting, "_PROOF_LIMIT_NS", 0)
    alive = threading.Event()

    def take_long(injection: Injection) -> None:
        undo = injection.undo

        def undone() -> Window:
            try:
                return undo()
            finally:
                alive.set()

        def prove(checkpoint: Checkpoint) -> Proof:
            assert alive.wait(5), "nobody undid it"
            return Proof(proven=True)

        injection.undo, injection.prove = undone, prove  # type: ignore[method-assign]

    stage = Stage(tmp_path, first=Altered(target="a", alter=take_long), lasts_ns=1)
    with stage.record:
        assert not stage.play()
        stage.injector.heal()
    (record,) = stage.injector.records(lambda *_: 2)
    assert (record.proven, record.undone) == (False, True)


def test_a_signal_cuts_the_rereading_short_and_heal_catches_up_on_it(stage: Stage) -> None:
    def stop() -> None:
        if any(isinstance(event, FaultUndone) for event in stage.listening.events):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage.injector.play(stage.wait_until, stage.clock.now_ns(), stop)
    assert not [event for event in stage.listening.events if isinstance(event, UndoProven)]
    stage.injector.heal()
    assert all(record.undone for record in stage.injector.records(lambda *_: 2))
