"""Step 5: what is begun is recorded before, proven, and healed whatever happens."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.chronicle import Chronicle
from gameday.environment.protocol import Checkpoint, Environment, Killable
from gameday.errors import InternalError
from gameday.faults import kill
from gameday.faults.kill import Kill
from gameday.faults.protocol import Fault, Injection, Proof
from gameday.faults.undo import UndoRecord
from gameday.injecting import Injector
from gameday.model.clock import SECOND
from gameday.model.event import Event, FaultInjected, UndoProven, UndoRecorded
from gameday.model.plan import PlannedFault
from gameday.model.result import Result, Window
from gameday.model.scenario import Hits, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment


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
        self.chronicle = Chronicle([self.listening], self.clock)
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
        faults = [Kill(target="a"), second or Kill(target="b")]
        self.lease = Leased()
        self.injector = Injector(
            faults, planned, self.environment, self.chronicle, self.record, self.lease
        )

    def wait_until(self, at_ns: int) -> None:
        self.clock.sleep_ns(at_ns - self.clock.now_ns())

    def play(self) -> bool:
        return self.injector.play(self.wait_until, self.clock.now_ns(), lambda: None)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(kill, "_DEATH_LIMIT_NS", 0)
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
        "spec": victim.spec, "vitals": victim.vitals, "kill": staticmethod(look_first),
        "start_again": victim.start_again, "wait_until_ready": victim.wait_until_ready,
        "check": victim.check, "direct": victim.direct,
    })()  # fmt: skip
    stage.play()
    assert json.loads(seen[0])["undo"] == "start a again with its data"


def test_a_fault_without_proof_stops_the_play_and_heal_brings_the_others_back(
    stage: Stage,
) -> None:
    stage.environment.service("b").survives_signals = True
    assert not stage.play()
    assert not stage.environment.service("a").vitals().alive
    stage.injector.heal()
    assert stage.environment.service("a").vitals().alive
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
    assert stage.environment.service("a").vitals().alive


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
    assert stage.environment.service("b").vitals().alive
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


class HeldInjection:
    def __init__(self, inner: Injection, environment: Environment, waits_for: str) -> None:
        self.undo_text, self.asked = inner.undo_text, inner.asked
        self.inject, self.undo, self.prove_undone = inner.inject, inner.undo, inner.prove_undone
        service = environment.service(waits_for)
        assert isinstance(service, Killable)
        self._awaited = service

    def prove(self, checkpoint: Checkpoint) -> Proof:
        give_up = time.monotonic() + 5
        while not self._awaited.vitals().alive and time.monotonic() < give_up:
            time.sleep(0.01)
        return Proof(proven=self._awaited.vitals().alive)


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
    assert stage.environment.service("a").vitals().alive
    assert stage.injector.times() == ()


def test_the_record_and_its_name_are_on_the_disk_before_anything_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(
        "gameday.faults.undo.os.fsync",
        lambda entry: synced.append(Path(f"/proc/self/fd/{entry}").resolve()),
    )
    with UndoRecord(tmp_path / "undo.jsonl") as record:
        assert synced == [tmp_path, tmp_path.parent]
        record.write(state="will inject")
    assert synced[2:] == [tmp_path / "undo.jsonl"]
