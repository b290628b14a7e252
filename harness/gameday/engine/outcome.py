"""What a run came to, as the one Result that every report shows."""

import signal
from collections.abc import Mapping
from pathlib import Path

from gameday.analysis import Analysis
from gameday.engine.equipment import Supervisor
from gameday.judge import Judged
from gameday.load.noise_meter import host_facts
from gameday.model.event import Event, Phase, PhaseEntered
from gameday.model.history import HostNoise
from gameday.model.plan import Plan
from gameday.model.result import FaultRecord, Marks, Result, Window
from gameday.model.scenario import Scenario
from gameday.model.verdict import Verdict
from gameday.report.json import FILE_NAME, result_to_json

__all__ = ["Draft", "cut_short", "outcome", "what_ended"]


def outcome(
    plan: Plan,
    scenario: Scenario,
    judged: Judged,
    *,
    started_at: str,
    folder: str,
    noise: HostNoise | None = None,
    proxy: str = "",
    versions: Mapping[str, str] | None = None,
    faults: tuple[FaultRecord, ...] = (),
    analysis: Analysis | None = None,
    phases: Mapping[str, Window] | None = None,
    clean: tuple[str, ...] = (),
) -> Result:
    """Return the result of a run, with what was measured of it so far."""
    findings = analysis.findings if analysis else ()
    return Result(
        scenario=plan.scenario,
        title=plan.title,
        verdict=judged.verdict,
        reason=judged.reason,
        runtime=plan.runtime,
        seed=plan.seed,
        parameters=plan.parameters,
        started_at=started_at,
        host=host_facts(noise, proxy),
        faults=faults,
        findings=findings,
        expectations=judged.judgements,
        guards=judged.guards,
        marks=analysis.marks if analysis else Marks(),
        outages=analysis.outages if analysis else (),
        phases=phases or {},
        series=analysis.series if analysis else None,
        steady={"success": scenario.steady.success.text, "p99": scenario.steady.p99.text},
        proxy_share=next((f for f in findings if f.name == "proxy_share"), None),
        images=(versions or {}) if plan.runtime == "docker" else {},
        servers={} if plan.runtime == "docker" else (versions or {}),
        clean=clean,
        folder=folder,
        sabotage=plan.sabotage,
    )


def cut_short(*problems: str) -> Judged:
    """Return the judgement on a run that came to no end of its own: nothing is judged."""
    sentences = (f"{' '.join(text.split())}." for text in problems)
    return Judged(judgements=(), verdict=Verdict.ERROR, reason="\n".join(sentences))


def what_ended(error: BaseException, number: signal.Signals | None, phase: Phase) -> str:
    """Say what ended a run from outside: a signal, or else that exception."""
    if number is not None:
        return f"interrupted by {number.name} during {phase}"
    return f"interrupted during {phase}: {str(error) or type(error).__name__}"


class Draft:
    """A listener that lets the janitor write the result of a run whose harness dies."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def begin(self, result: Result) -> None:
        """Let the janitor have `result`, whose reason and `clean` it completes."""
        self._supervisor.leave_result(Path(result.folder) / FILE_NAME, result_to_json(result))

    def on_event(self, event: Event) -> None:
        if isinstance(event, PhaseEntered):
            self._supervisor.enter(event.phase)

    def on_result(self, result: Result) -> None:
        """Leave it to who writes it."""
