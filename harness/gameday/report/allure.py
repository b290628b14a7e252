"""What an Allure report shows of a run. Imported only when allure-pytest is writing one."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import quote

from allure_commons import plugin_manager
from allure_commons.model2 import (
    Label,
    Parameter,
    Status,
    StatusDetails,
    TestResult,
    TestStepResult,
)
from allure_commons.types import AttachmentType, LabelType, Severity

from gameday.model.event import (
    EffectProven,
    Event,
    FaultInjected,
    FaultUndone,
    Note,
    Phase,
    PhaseEntered,
    Scalar,
    ServiceUp,
    UndoProven,
    UndoRecorded,
)
from gameday.model.result import Result
from gameday.model.verdict import Judgement, Verdict
from gameday.report.failure_report import failure_text
from gameday.report.json import result_to_json
from gameday.report.labels import details, one_line
from gameday.report.timeline import timeline_svg

__all__ = ["STATUS", "AllureReporter"]

STATUS: Mapping[Verdict, str] = {
    Verdict.PASS: Status.PASSED,
    Verdict.FAIL: Status.FAILED,
    Verdict.INVALID: Status.BROKEN,
    Verdict.INCONCLUSIVE: Status.BROKEN,
    Verdict.ERROR: Status.BROKEN,
}
"""How a verdict is shown. allure-pytest itself shows a test that raised AssertionError (or
pytest.fail) as failed and one that raised anything else as broken."""

_LOG_BYTES_MAX = 1 << 20
"""Of a longer log only the end is attached."""


class AllureReporter:
    """Adds steps, parameters, labels, links and attachments to the test that is running.

    The steps have the times of the events, not of the calls. It must be called from within the
    test, since allure-pytest knows of none before, and finds it at the first event. `close` ends
    a run that has no result. The first event is taken to happen when it is reported, unless
    `wall_minus_monotonic_ns` gives the difference between wall time and event time.
    """

    def __init__(self, *, tags: Iterable[str] = (), wall_minus_monotonic_ns: int | None = None):
        self._tags = tuple(tags)
        self._offset_ns = wall_minus_monotonic_ns
        self._test: TestResult | None = None
        self._phase: TestStepResult | None = None
        self._entered: dict[Phase, TestStepResult] = {}
        self._faults: dict[int, TestStepResult] = {}
        self._last_ms = 0

    def on_event(self, event: Event) -> None:
        if self._test is None:
            self._test = _current_test()
        if self._offset_ns is None:
            self._offset_ns = time.time_ns() - event.at_ns
        at_ms = self._wall_ms(event.at_ns)
        self._last_ms = max(self._last_ms, at_ms)
        match event:
            case PhaseEntered():
                self._enter(event.phase, at_ms)
            case ServiceUp():
                name = f"{event.service} is up: {event.evidence}"
                _add(self._parent, _step(name, self._wall_ms(event.at_ns - event.took_ns), at_ms))
            case UndoRecorded():
                fault = self._fault(event.step, event.fault, event.target, at_ms)
                _add(fault, _step(f"undo recorded: {event.undo}", at_ms, at_ms))
            case FaultInjected():
                fault = self._fault(event.step, event.fault, event.target, at_ms)
                fault.parameters.extend(_parameters(event.asked))
                self._call(fault, "injected", event)
            case EffectProven():
                self._proof(event, "effect", at_ms)
            case FaultUndone():
                fault = self._fault(event.step, event.fault, event.target, at_ms)
                self._call(fault, "undone", event)
            case UndoProven():
                self._proof(event, "undo", at_ms)
            case Note():
                _add(self._parent, _step(event.text, at_ms, at_ms))

    def on_result(self, result: Result) -> None:
        if self._test is None:
            self._test = _current_test()
        for judgement in result.expectations:
            _add(self._parent, _expectation(judgement, self._last_ms))
        if self._phase is not None and result.verdict is not Verdict.PASS:
            self._phase.status = _worse(self._phase.status, STATUS[result.verdict])
            self._phase.statusDetails = StatusDetails(message=one_line(result.reason))
        self._leave(self._last_ms)
        self._add_unreached()
        self._test.parameters.extend(_test_parameters(result))
        self._test.labels.extend(
            Label(name, one_line(value)) for name, value in _labels(result, self._tags)
        )
        self._test.description = f"```\n{failure_text(result)}\n```"
        _link(result.expectations)
        _attach(result)

    def close(self) -> None:
        """Show the step that a run without a result ended in as broken; else do nothing."""
        if self._phase is not None:
            self._phase.status = Status.BROKEN
            self._leave(self._last_ms)

    @property
    def _parent(self) -> TestStepResult | TestResult:
        if self._phase is not None:
            return self._phase
        assert self._test is not None, "the first event has found the test"
        return self._test

    def _wall_ms(self, at_ns: int) -> int:
        return (at_ns + (self._offset_ns or 0)) // 1_000_000

    def _enter(self, phase: Phase, at_ms: int) -> None:
        self._leave(at_ms)
        step = _step(_phase_name(phase), at_ms, at_ms)
        _add(self._parent, step)
        self._phase = self._entered[phase] = step

    def _leave(self, at_ms: int) -> None:
        if self._phase is not None:
            self._phase.stop = max(at_ms, self._phase.start)
            self._phase = None

    def _add_unreached(self) -> None:
        """Put a skipped step where each of the nine would stand that the run never came to."""
        if not self._entered or self._test is None:
            return
        first = min(phase.number for phase in self._entered)
        steps = []
        at_ms = next(iter(self._entered.values())).start
        for phase in Phase:
            step = self._entered.get(phase)
            if step is not None:
                at_ms = step.stop
                steps.append(step)
            elif phase.number > first:
                name = f"{_phase_name(phase)} (not reached)"
                steps.append(_step(name, at_ms, at_ms, Status.SKIPPED))
        ours = {id(step) for step in self._entered.values()}
        others = [step for step in self._test.steps if id(step) not in ours]
        self._test.steps[:] = [*steps, *others]

    def _fault(self, number: int, fault: str, target: str, at_ms: int) -> TestStepResult:
        """Return the step of a fault; its first event starts it."""
        if number not in self._faults:
            self._faults[number] = _step(f"{fault} {target}", at_ms, at_ms)
            _add(self._parent, self._faults[number])
        return self._faults[number]

    def _call(self, fault: TestStepResult, name: str, event: FaultInjected | FaultUndone) -> None:
        start, stop = self._wall_ms(event.called_ns), self._wall_ms(event.returned_ns)
        _add(fault, _step(name, start, stop))
        fault.start, fault.stop = min(fault.start, start), max(fault.stop, stop)

    def _proof(self, event: EffectProven | UndoProven, what: str, at_ms: int) -> None:
        fault = self._fault(event.step, event.fault, event.target, at_ms)
        words = "proven" if event.proven else "NOT PROVEN"
        measured = details(event.measured)
        name = f"{what} {words}: {measured}" if measured else f"{what} {words}"
        status = Status.PASSED if event.proven else Status.BROKEN
        proof = _step(name, fault.stop, max(at_ms, fault.stop), status)
        proof.parameters.extend(_parameters(event.measured))
        _add(fault, proof)
        fault.stop = max(fault.stop, at_ms)
        for step in (fault, self._phase):
            if step is not None:
                step.status = _worse(step.status, status)


def _current_test() -> TestResult:
    test = _logger().get_test(None)
    if test is None:
        raise RuntimeError("allure-pytest knows of no running test; is this told from within one?")
    return test


class _Logger(Protocol):
    """What is used of `allure_commons.reporter.AllureReporter`, which has no types of its own."""

    def get_test(self, uuid: str | None) -> TestResult | None: ...


def _logger() -> _Logger:
    """Return where allure-pytest keeps the tests that run; its hooks cannot set a step's times."""
    for plugin in plugin_manager.get_plugins():
        logger = getattr(plugin, "allure_logger", None)
        if logger is not None:
            return cast(_Logger, logger)
    raise RuntimeError("allure-pytest is not writing a report; use this with --alluredir only")


def _phase_name(phase: Phase) -> str:
    return f"{phase.number}/9 {phase.value}"


def _step(name: str, start: int, stop: int, status: str = Status.PASSED) -> TestStepResult:
    return TestStepResult(name=one_line(name), start=start, stop=stop, status=status)


def _add(parent: TestStepResult | TestResult, step: TestStepResult) -> None:
    parent.steps.append(step)


def _worse(one: str | None, other: str) -> str:
    order = (Status.PASSED, Status.BROKEN, Status.FAILED)
    return max(one or Status.PASSED, other, key=order.index)


def _parameters(values: Mapping[str, Scalar]) -> list[Parameter]:
    return [
        Parameter(name=one_line(name), value=one_line(str(value))) for name, value in values.items()
    ]


def _expectation(judgement: Judgement, at_ms: int) -> TestStepResult:
    seen = f"wanted {judgement.wanted}, seen {judgement.seen}"
    step = _step(f"{judgement.name}: {seen}", at_ms, at_ms, STATUS[judgement.verdict])
    shown = {"wanted": judgement.wanted, "seen": judgement.seen, "margin": judgement.margin}
    if judgement.source:
        shown["source"] = judgement.source
    step.parameters.extend(_parameters(shown))
    if judgement.verdict is not Verdict.PASS:
        message = f"{judgement.verdict}: {seen}, margin {judgement.margin}"
        step.statusDetails = StatusDetails(message=one_line(message))
    return step


def _test_parameters(result: Result) -> Iterator[Parameter]:
    yield from _parameters(result.parameters)
    yield Parameter(name="runtime", value=result.runtime)
    if result.sabotage:
        yield Parameter(name="sabotage", value=result.sabotage)
    # Not part of the test's identity: with another seed it is still the same test.
    yield Parameter(name="seed", value=str(result.seed), excluded=True)


def _labels(result: Result, tags: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Return the labels; allure-pytest itself adds host, thread, framework and language."""
    yield LabelType.PARENT_SUITE, "gameday"
    yield LabelType.SUITE, result.scenario
    yield LabelType.EPIC, "Chaos experiments"
    yield LabelType.FEATURE, result.title or result.scenario
    for judgement in result.expectations:
        yield LabelType.STORY, judgement.name
    yield LabelType.SEVERITY, _severity(result.expectations)
    yield "layer", "chaos"
    for tag in dict.fromkeys((*tags, result.runtime, result.verdict.value)):
        yield LabelType.TAG, tag


def _severity(judgements: Iterable[Judgement]) -> str:
    """Return the most severe of the promises, or "normal"."""
    order = [severity.value for severity in Severity]
    known = [j.severity for j in judgements if j.severity in order]
    return min(known, key=order.index, default=Severity.NORMAL.value)


def _link(judgements: Iterable[Judgement]) -> None:
    """Link each promise to its document and section.

    The address is the document's name; `--allure-link-pattern=sla:https://docs.example/{}` makes
    it one that a browser can open.
    """
    for judgement in judgements:
        if judgement.sla is None or judgement.source is None:
            continue
        document, _, section = one_line(judgement.source).partition(", ")
        address = f"{quote(document)}#{quote(section)}" if section else quote(document)
        name = one_line(f"{judgement.sla}: {judgement.source}")
        plugin_manager.hook.add_link(url=address, link_type="sla", name=name)


def _attach(result: Result) -> None:
    _attach_text(timeline_svg(result), "timeline.svg", AttachmentType.SVG)
    _attach_text(result_to_json(result), "result.json", AttachmentType.JSON)
    folder = Path(result.folder) if result.folder else None
    if folder is None:
        return
    journal = folder / "journal.jsonl"
    if journal.is_file():
        plugin_manager.hook.attach_file(
            source=str(journal), name=journal.name, attachment_type="text/plain", extension="jsonl"
        )
    for log in sorted((folder / "logs").glob("**/*")):
        if log.is_file() and log.stat().st_size:
            name = log.relative_to(folder).as_posix()
            _attach_text(_end_of(log), name, AttachmentType.TEXT)


def _attach_text(body: str, name: str, kind: AttachmentType) -> None:
    plugin_manager.hook.attach_data(
        body=body.encode("utf-8", "backslashreplace"),
        name=name,
        attachment_type=kind,
        extension=None,
    )


def _end_of(log: Path) -> str:
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(max(0, size - _LOG_BYTES_MAX))
        end = file.read(_LOG_BYTES_MAX).decode("utf-8", "replace")
    return end if size <= _LOG_BYTES_MAX else f"[the last {_LOG_BYTES_MAX} of {size} bytes]\n{end}"
