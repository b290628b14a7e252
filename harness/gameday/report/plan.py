"""A plan for people, and for the file that replays a run."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from gameday.escaping import printable
from gameday.model.plan import Plan, PlannedFault
from gameday.model.units import format_duration
from gameday.report.labels import details

__all__ = ["plan_text", "plan_to_json"]


def plan_to_json(plan: Plan) -> str:
    """Return plan.json."""
    return json.dumps(asdict(plan), indent=2, ensure_ascii=False) + "\n"


def plan_text(plan: Plan) -> str:
    """Return what the run is going to do, step by step, on its own time line."""
    return printable("\n".join(map(_whole, _lines(plan))))


def _whole(line: str) -> str:
    """Return a line as one, whatever titles and parameters hold."""
    return line.replace("\n", " ")


def _lines(plan: Plan) -> Iterator[str]:
    sabotage = f", sabotaged: {plan.sabotage}" if plan.sabotage else ""
    yield f"{plan.scenario}: {plan.title}{sabotage}"
    yield f"  target {plan.target} in {plan.runtime}, {_proxy(plan)} in front of every edge"
    yield f"  {plan.runtime}: {plan.runtime_why}"
    yield f"  seed {plan.seed}{_parameters(plan)}"
    yield f"  start     {' | '.join(', '.join(wave) for wave in plan.waves)}"
    for stream in plan.streams:
        yield (
            f"  load      {stream.name}: {stream.edge}, {stream.rate_per_s:g}/s, "
            f"answered within {format_duration(stream.deadline_ns)}"
        )
    yield _step(
        0,
        f"baseline: until steady for {format_duration(plan.baseline_ns)}, "
        f"at most {format_duration(plan.baseline_limit_ns)}",
    )
    moments = []
    for fault in plan.faults:
        what = f"{fault.fault} {fault.target}"
        moments.append((fault.at_ns, f"{what}{_how(fault)}"))
        moments.append((fault.until_ns, f"undo: {what}"))
    for at_ns, what in sorted(moments):
        yield _step(plan.baseline_ns + at_ns, what)
    if plan.stop:
        yield f"  stop      at {plan.stop}: every fault is undone at once"
    yield _step(
        plan.baseline_ns + plan.faults_end_ns,
        f"recover: until steady for {format_duration(plan.steady_ns)}, "
        f"at most {format_duration(plan.recovery_limit_ns)}",
    )
    yield f"  then      quiet for {format_duration(plan.quiet_ns)}, final reads, verdict"
    for number, expectation in enumerate(plan.expectations):
        yield f"  {'expect' if number == 0 else '':9} {expectation}"
    yield (
        f"  takes     {format_duration(plan.scripted_ns)} if the system recovers at once, "
        f"at most {format_duration(plan.longest_ns)}"
    )


def _how(fault: PlannedFault) -> str:
    """Return what is not as usual about it, what it needs and who will meet it."""
    said = {name: value for name, value in fault.settings.items() if name not in fault.usual}
    parts = [details(said)] if said else []
    parts += [f"needs {' and '.join(fault.needs)}"] if fault.needs else []
    parts += [f"met by {', '.join(fault.met_by)}"] if fault.met_by else []
    return f" ({'; '.join(parts)})" if parts else ""


def _step(at_ns: int, what: str) -> str:
    return f"  {format_duration(at_ns) if at_ns else '0 s':9} {what}"


def _proxy(plan: Plan) -> str:
    return "Toxiproxy" if plan.proxy == "toxiproxy" else "gameday's own proxy"


def _parameters(plan: Plan) -> str:
    return "".join(f", {name} {value}" for name, value in plan.parameters.items())
