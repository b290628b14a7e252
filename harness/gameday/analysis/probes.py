"""How long each path took to serve again, through the harness's proxy and past it."""

import math
from collections.abc import Sequence
from dataclasses import replace

from gameday.analysis.operations import Operations
from gameday.analysis.phases import FaultSpan, Measured
from gameday.analysis.recovery import Bracket, estimate
from gameday.model.finding import Finding
from gameday.model.history import Observation
from gameday.model.units import Limit, Unit

__all__ = ["PROBES", "probes", "unmeasured_probes"]

PROBES = ("recovery_front", "recovery_direct", "proxy_share")


def unmeasured_probes(why: str) -> list[Finding]:
    """Return every finding of the probes as not measured, for this reason."""
    return [Finding.unmeasured(name, Unit.NS, why) for name in PROBES]


def probes(observation: Observation) -> list[Finding]:
    """Return how long after the undoing was asked for each path served again, and the difference.

    The front path leads through the harness's proxy, the direct one does not: what the front is
    later is the harness's own share.
    """
    span = FaultSpan.of(observation.faults)
    if span is None or span.undone is None:
        return unmeasured_probes("no fault was undone")
    served: dict[str, Bracket] = {}
    findings = []
    for name, stream in (("recovery_front", "probe-front"), ("recovery_direct", "probe-direct")):
        finding, back = _probe(observation, name, stream, span.undone)
        findings.append(finding)
        if back is not None:
            served[name] = back
    findings.append(_proxy_share(served, findings))
    return findings


def _probe(
    observation: Observation, name: str, stream_name: str, undone: Bracket
) -> tuple[Finding, Bracket | None]:
    streams = [s for s in observation.history.streams if s.name == stream_name]
    if not streams:
        return Finding.unmeasured(name, Unit.NS, f"there was no stream {stream_name}"), None
    operations = Operations.from_rows(observation.history.rows, streams[0])
    operations = operations.within(observation.load)
    # A probe tells whether a path serves, not how fast: its p99 is not promised to anybody.
    any_p99 = Limit(op="<=", value=math.inf, unit=Unit.NS, text="any")
    steady = replace(observation.steady, p99=any_p99)
    end_ns = observation.load.end_ns
    found = estimate(operations, observation.faults, steady, end_ns)
    if found is None:
        return Finding.unmeasured(name, Unit.NS, f"{stream_name} sent no probe"), None
    say = Measured(
        operations=operations,
        found=found,
        watched_ns=end_ns - undone.low_ns,
        t0_ns=round(undone.low_ns),
    )
    if found.served is None or found.served.high_ns < undone.low_ns:
        spacing_ns = operations.spacing_ns
        back = Bracket(at_ns=undone.at_ns, low_ns=undone.at_ns, high_ns=undone.high_ns + spacing_ns)
        return replace(
            say.nothing_failed(name), evidence=f"{stream_name} served when the undo began"
        ), back
    return say.between(
        name,
        undone,
        found.served,
        f"{found.bad} of {found.samples} probes of {stream_name} failed; from when the undo was "
        "requested until the first success after the last failure",
    ), found.served


def _proxy_share(served: dict[str, Bracket], findings: Sequence[Finding]) -> Finding:
    name = "proxy_share"
    front, direct = served.get("recovery_front"), served.get("recovery_direct")
    if front is None or direct is None:
        return Finding.unmeasured(name, Unit.NS, "not both paths were probed")
    if not (front.came and direct.came):
        return Finding.unmeasured(name, Unit.NS, "not both paths served again")
    return Finding(
        name=name,
        value=max(0.0, front.at_ns - direct.at_ns),
        low=max(0.0, front.low_ns - direct.high_ns),
        high=max(0.0, front.high_ns - direct.low_ns),
        unit=Unit.NS,
        samples=min(finding.samples for finding in findings),
        resolution=max(finding.resolution for finding in findings),
        evidence=(
            "how much later the path through the harness's proxy served again than the direct one"
        ),
    )
