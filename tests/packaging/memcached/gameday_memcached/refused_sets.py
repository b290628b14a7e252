"""A finding: how many sets of the probes a Memcached refused."""

from gameday import Finding, FindingKind, Observation, Outcome, Unit

__all__ = ["REFUSED_SETS"]

_NAME = "refused_sets"


def _find(observation: Observation) -> Finding:
    history = observation.history
    probes = [history.of(s.name) for s in history.streams if s.name.startswith("probe-")]
    sets = sum(map(len, probes))
    if not sets:
        return Finding.unmeasured(_NAME, Unit.COUNT, "nothing was probed")
    refused = sum(int((rows["outcome"] == Outcome.FAILED).sum()) for rows in probes)
    evidence = f"{refused} of {sets} sets of the probes were refused"
    return Finding.count(_NAME, refused, samples=sets, evidence=evidence)


REFUSED_SETS = FindingKind(name=_NAME, unit=Unit.COUNT, find=_find)
