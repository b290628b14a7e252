"""The failure text of a run, which explains it without any other file."""

from collections.abc import Iterable, Iterator

from gameday.escaping import printable
from gameday.model.event import Phase
from gameday.model.fault_facts import asked_of, measured_of
from gameday.model.finding import Finding
from gameday.model.result import FaultRecord, Result
from gameday.model.verdict import Judgement, Verdict
from gameday.report.labels import (
    DATA,
    MARKS,
    RECOVERY,
    details,
    fault_name,
    findings_named,
    in_short,
    one_line,
    parameters_of,
    replay_command,
    seconds,
    window_of,
)

__all__ = ["failure_text"]

_MEANING = {
    Verdict.PASS: "every expectation held, and the evidence supports saying so",
    Verdict.FAIL: "the system under test broke an expectation",
    Verdict.INVALID: "a fault was not proven, so this says nothing about the system",
    Verdict.INCONCLUSIVE: "the evidence does not decide, so this says nothing about the system",
    Verdict.ERROR: (
        "the environment refused or the harness failed; the system under test was not judged"
    ),
}
_NOT_UP = "the environment refused to come up; nothing was broken, and nothing was judged"


def failure_text(result: Result) -> str:
    """Return everything of a result that a reader needs who has nothing but this text."""
    sections = (
        ("", _head(result)),
        ("Why", _why(result)),
        ("Expectations", _expectations(result.expectations)),
        ("Faults", _faults(result.faults)),
        ("Milestones, from the start of the run", _marks(result)),
        ("Recovery, with bounds", _recovery(result)),
        ("Data", _findings(findings_named(result, DATA))),
        ("Service", _findings(_other_findings(result))),
        ("Validity guards that failed", (f"  {one_line(text)}" for text in result.guards)),
        ("Left behind", _left_behind(result)),
        ("Further", _further(result)),
    )
    blocks = []
    for title, content in sections:
        lines = list(content)
        if lines:
            whole = (line.replace("\n", " ") for line in lines)
            blocks.append("\n".join([title, *whole] if title else whole))
    return printable("\n\n".join(blocks))


def _head(result: Result) -> Iterator[str]:
    yield f"{result.verdict}  {in_short(result)}"
    never_up = result.verdict is Verdict.ERROR and Phase.BASELINE not in result.phases
    yield f"  that is: {_NOT_UP if never_up else _MEANING[result.verdict]}"
    yield f"  scenario {result.scenario}: {one_line(result.title)}"
    run = f"  run in {result.runtime} at {result.started_at}"
    if result.parameters:
        run += f", with {parameters_of(result)}"
    yield run
    if result.sabotage:
        yield f"  sabotaged on purpose: {result.sabotage}"


def _why(result: Result) -> Iterator[str]:
    reasons = result.reason.splitlines()
    if len(reasons) > 1:
        yield from (f"  {one_line(reason)}" for reason in reasons)


def _expectations(judgements: Iterable[Judgement]) -> Iterator[str]:
    # What broke comes first: it is what the reader came for.
    order = list(reversed(Verdict))
    for judgement in sorted(judgements, key=lambda j: order.index(j.verdict)):
        seen = f"wanted {judgement.wanted}, seen {one_line(judgement.seen)}"
        margin = one_line(judgement.margin)
        line = f"  {judgement.verdict:<12}  {judgement.name}: {seen}"
        yield f"{line}, margin {margin}" if margin else line
        if judgement.source:
            yield f"{'':16}promised in {one_line(judgement.source)}"


def _faults(faults: Iterable[FaultRecord]) -> Iterator[str]:
    for fault in faults:
        yield f"  {fault_name(fault)}, {window_of(fault)}"
        yield f"    asked     {details(asked_of(fault)) or 'nothing beyond that'}"
        yield f"    measured  {details(measured_of(fault)) or 'nothing'}"
        bit = "its effect" if fault.proven else "ITS EFFECT WAS NOT PROVEN"
        gone = "its undo" if fault.undone else "ITS UNDO WAS NOT PROVEN"
        yield f"    proven    {bit}; {gone}"


def _marks(result: Result) -> Iterator[str]:
    moments = [(name, getattr(result.marks, name)) for name in MARKS]
    if all(at_ns is None for _, at_ns in moments):
        return
    for name, at_ns in moments:
        when = "did not happen" if at_ns is None else seconds(at_ns, 3)
        yield f"  {name}  {MARKS[name]:<16}  {when:>14}"


def _recovery(result: Result) -> Iterator[str]:
    for finding in findings_named(result, RECOVERY):
        yield f"  {finding.name:<20}  {finding!s:<30}  {RECOVERY[finding.name]}"
        if finding.value is None:
            yield f"{'':24}{one_line(finding.evidence)}"
    if result.proxy_share is not None:
        share = result.proxy_share
        yield f"  {'the harness’s own':<20}  {share!s:<30}  {one_line(share.evidence)}"


def _findings(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"  {finding.name:<20}  {finding!s:<30}  {one_line(finding.evidence)}"


def _other_findings(result: Result) -> list[Finding]:
    told = {*RECOVERY, *DATA, "proxy_share"}
    return [finding for finding in result.findings if finding.name not in told]


def _left_behind(result: Result) -> Iterator[str]:
    if not result.clean:
        yield "  nothing: the last check found no process, container, rule or file of this run"
    for text in result.clean:
        yield f"  {one_line(text)}"


def _further(result: Result) -> Iterator[str]:
    yield f"  replay    {replay_command(result)}"
    yield f"  seed      {result.seed}"
    if result.folder:
        yield f"  evidence  {result.folder}"
    if result.host:
        yield f"  host      {details(result.host)}"
