"""What the words of a scenario must mean together, once its form is right."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal, cast

from gameday.loading.forms import Item, Names, build
from gameday.loading.source import Source, Where, one_of, quoted
from gameday.loading.words import complain_of_limit
from gameday.model.aim import groups_of
from gameday.model.scenario import (
    CLIENT,
    Expectation,
    FaultSpec,
    FaultStep,
    Hits,
    Sabotage,
    Safety,
    Sla,
    Steady,
    Target,
    Timeline,
    Vocabulary,
    WorkloadSpec,
)
from gameday.model.unfit import Unfit
from gameday.model.units import Limit, Unit, format_duration
from gameday.model.verdict import Verdict

# Of a run that passes, nobody learns that it can fail.
_Gives = Literal["FAIL", "INVALID", "INCONCLUSIVE", "ERROR"]

__all__ = ["Checks", "SabotageItem"]

_EDGE = re.compile(r"\s*->\s*")
_STEP = tuple(entry.name for entry in fields(FaultStep) if entry.name != "fault")
_AIMS: Mapping[Hits, str] = {
    "edge": "a connection",
    "service": "a service",
    "services": "services",
}
_ONE: Mapping[Hits, str] = {"edge": "connection", "service": "service"}
_SERVICES_OF_A_WORKLOAD = ("to", "ledger")
_WATCHED = ("recovery", "recovery_after_heal", "outage")
"""The findings that are measured for as long as `timeline.recovery` says."""


@dataclass(frozen=True, kw_only=True)
class SabotageItem:
    """What to turn off, and which expectation that breaks or which verdict it gives."""

    disable: Names
    breaks: Names | None = None
    gives: _Gives | None = None


class Checks:
    """Each check turns a part of the file into the model and complains about what cannot be."""

    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self._source = source
        self._vocabulary = vocabulary

    def name(self, name: str) -> None:
        stem = self._source.path.stem
        if name != stem:
            self._source.complain(
                ("scenario",), f"{quoted(name)} is not the name of its file; write {stem!r}"
            )

    def workload(
        self, items: Sequence[Item | None], target: Target | None
    ) -> tuple[WorkloadSpec, ...]:
        """Return what was not complained about; who gets the load is judged in every item."""
        for i in range(len(items)):
            word = self._word(("workload", i), self._vocabulary.workloads)
            for name in _SERVICES_OF_A_WORKLOAD:
                where = ("workload", i, word, name)
                service = self._source.at(where)
                if isinstance(service, str) and not self._source.spots[where].spoilt:
                    self._app(where, word, service, target)
        return tuple(cast("WorkloadSpec", item.values["spec"]) for item in items if item)

    def faults(
        self,
        items: Sequence[Item | None],
        target: Target | None,
        workload: Sequence[WorkloadSpec] = (),
    ) -> tuple[FaultStep | None, ...]:
        """Return the steps, with None in the place of what was complained about."""
        steps: list[FaultStep | None] = []
        for i, item in enumerate(items):
            verb = self._word(("faults", i), self._vocabulary.faults)
            where = ("faults", i, verb)
            hit = self._source.at(where)
            judged = isinstance(hit, str) and not self._source.spots[where].spoilt
            # What is hit is judged also in an item that is wrong otherwise.
            aim = self._aim(where, verb, str(hit), target) if judged else None
            step = None if item is None else self._step(i, item, aim)
            if step is not None and aim is not None and target is not None:
                with self._fitting(("faults", i)):
                    self._vocabulary.situate(step, target, workload)
            steps.append(step)
        return tuple(steps)

    def _word(self, where: Where, known: Mapping[str, object]) -> str:
        item = self._source.at(where)
        words = [key for key in item if key in known] if isinstance(item, dict) else []
        return words[0] if words else ""

    def _aim(self, where: Where, verb: str, hit: str, target: Target | None) -> str | None:
        """Return what is hit as the target spells it; None when the fault cannot hit such."""
        if not self._aimed(where, verb, hit, target):
            return None
        several = self._vocabulary.faults[verb].hits == "services"
        spelled = (self._several if several else self._hit)(where, hit, target)
        self._of_kind(where, verb, spelled, target)
        return spelled

    @contextmanager
    def _fitting(self, item: Where) -> Iterator[None]:
        """Complain of the parameters that are refused meanwhile, each at its own key."""
        try:
            yield
        except Unfit as error:
            self._source.complain_of_unfit(item, error.misfits)

    def _step(self, i: int, item: Item, aim: str | None) -> FaultStep | None:
        where = ("faults", i, item.word)
        values = item.values
        if aim is not None:
            values["target"] = aim
        step = {name: values.pop(name) for name in _STEP}
        if step["for_ns"] == 0:
            self._source.complain(
                ("faults", i, "for"), "a fault of no length breaks nothing; write '100ms', say"
            )
        fault: FaultSpec | None = None
        try:
            with self._fitting(where[:2]):
                fault = self._vocabulary.faults[item.word](**values)
        except ValueError as error:
            # Two keys at odds, or a target that the fault cannot do with.
            if aim is not None:
                self._source.complain(where, str(error))
        if fault is None:
            return None
        made = build(FaultStep, {**step, "fault": fault})
        if made.exposure < 1:
            self._source.complain(
                ("faults", i, "exposure"), "a fault that meets nothing shows nothing; write 1, say"
            )
        return made

    def _aimed(self, where: Where, verb: str, hit: str, target: Target | None) -> bool:
        """Tell whether what is hit is of the kind that the fault can hit; complain if it is not."""
        wants = self._vocabulary.faults[verb].hits
        if (wants == "edge") is ("->" in hit):
            return True
        if target is not None:
            edges, names = [str(e) for e in target.edges], [s.name for s in target.services]
            wanted, known = _AIMS[wants], edges if wants == "edge" else names
            text = f"{verb} hits {wanted}, which {quoted(hit)} is not"
            near, far = hit.split("->")[-1].strip(), hit.split("->")[0].strip()
            if wants == "services" and {near, far} <= {*names, CLIENT}:
                text += f"; valid: {', '.join(known)}; nearest: '{far} | {near}'"
            else:
                text += one_of(near, known)
            self._source.complain(where, text)
        return False

    def wanted_of(self, where: Where, target: Target | None) -> str:
        """Return what may stand at `where`, when it is what a fault hits; empty elsewhere."""
        fault = self._vocabulary.faults.get(str(where[-1])) if where[:1] == ("faults",) else None
        if fault is None or len(where) != 3 or target is None:
            return ""
        known = target.edges if fault.hits == "edge" else [spec.name for spec in target.services]
        one = "services, as text" if fault.hits == "services" else f"one {_ONE[fault.hits]}"
        return f"{one}; valid: {', '.join(map(str, known))}"

    def _hit(self, where: Where, hit: str, target: Target | None) -> str:
        """Return what a fault hits, spelled as the target does: a service, or an edge of it."""
        if "->" not in hit:
            self._service(where, hit, target)
            return hit
        edge = " -> ".join(_EDGE.split(hit.strip()))
        if target is not None:
            edges = [str(known) for known in target.edges]
            if edge not in edges:
                text = f"{quoted(hit)} is not a connection of target {target.name!r}"
                turned = " -> ".join(reversed(edge.split(" -> ")))
                meant = turned if turned in edges else edge
                self._source.complain(where, text + one_of(meant, edges))
        return edge

    def _several(self, where: Where, hit: str, target: Target | None) -> str:
        """Return several services, spelled out: one alone is meant against all others."""
        groups = groups_of(hit)
        names = ["others"] if target is None else [spec.name for spec in target.services]
        for name in (name for group in groups for name in group):
            if target is not None and name not in (*names, CLIENT):
                text = f"{quoted(name)} is not a service of target {target.name!r}"
                self._source.complain(where, text + one_of(name, (*names, CLIENT)))
        if len(groups) == len(groups[0]) == 1:
            groups = (groups[0], tuple(name for name in names if name not in groups[0]))
        return " | ".join(", ".join(group) for group in groups)

    def _of_kind(self, where: Where, verb: str, hit: str, target: Target | None) -> None:
        """Complain of a service that is not of a kind which the fault knows how to hit."""
        wanted = self._vocabulary.kinds.get(verb)
        if target is None or wanted is None:
            return
        kinds = {spec.name: spec.kind for spec in target.services}
        service = hit.rpartition(" -> ")[2]
        if service in kinds and kinds[service] not in wanted:
            others = tuple(name for name in kinds if kinds[name] in wanted)
            what = " or ".join(sorted(wanted))
            text = f"{verb} hits a service of kind {what}, and {service} is {kinds[service]}"
            self._source.complain(where, text + one_of(service, others))

    def _app(self, where: Where, verb: str, service: str, target: Target | None) -> None:
        """Complain of a service that no load can be sent to: the harness speaks to programs."""
        self._service(where, service, target)
        known = [] if target is None else list(target.services)
        apps = [spec.name for spec in known if spec.kind in self._vocabulary.programs]
        kind = next((spec.kind for spec in known if spec.name == service), None)
        if kind is not None and service not in apps:
            what = " or ".join(sorted(self._vocabulary.programs))
            text = f"{verb} wants a service of kind {what}, and {service} is {kind}"
            self._source.complain(where, text + one_of(service, apps))

    def _service(self, where: Where, service: str, target: Target | None) -> None:
        if target is None:
            return
        names = [spec.name for spec in target.services]
        if service not in names:
            text = f"{quoted(service)} is not a service of target {target.name!r}"
            self._source.complain(where, text + one_of(service, names))

    def expect(
        self, items: Sequence[Item | None], slas: Mapping[str, Sla]
    ) -> tuple[Expectation | None, ...]:
        """Return the expectations, with None in the place of what was complained about."""
        expectations: list[Expectation | None] = []
        names: set[str] = set()
        for i, item in enumerate(items):
            expectation = None if item is None else self._expectation(i, item, slas)
            if item is not None and expectation is not None:
                if expectation.name in names:
                    text = f"{expectation.name} is expected twice"
                    self._source.complain(("expect", i, item.word), text)
                names.add(expectation.name)
            expectations.append(expectation)
        return tuple(expectations)

    def _expectation(self, i: int, item: Item, slas: Mapping[str, Sla]) -> Expectation | None:
        where = ("expect", i, item.word)
        wanted = item.values["limit"]
        if isinstance(wanted, Limit):
            unit = self._vocabulary.findings[item.word]
            complain_of_limit(self._source, where, wanted, unit, item.word)
            return Expectation(name=item.word, finding=item.word, limit=wanted)
        sla = slas.get(str(wanted))
        if sla is None:
            text = f"{quoted(str(wanted))} is not a known SLA"
            self._source.complain(where, text + one_of(str(wanted), tuple(sorted(slas))))
            return None
        return Expectation(name=sla.name, finding=sla.finding, limit=sla.limit, sla=sla)

    def steady(self, steady: Steady) -> None:
        for key, limit, unit, ops, example in (
            ("success", steady.success, Unit.RATIO, (">=", ">"), ">= 99%"),
            ("p99", steady.p99, Unit.NS, ("<=", "<"), "<= 50ms"),
        ):
            if limit.unit != unit or limit.op not in ops:
                text = f"{limit.text!r} cannot be a steady state; write it as in {example!r}"
                self._source.complain(("steady", key), text)

    def watched_long_enough(self, timeline: Timeline, expect: Sequence[Expectation | None]) -> None:
        """A limit that is longer than the watch for it could not be found broken."""
        where = ("timeline", "recovery")
        spot = self._source.spots.get(where)
        watched = (spot and spot.text) or format_duration(timeline.recovery_ns)
        for expectation in expect:
            if expectation is None:
                continue
            limit = expectation.limit
            if (
                expectation.finding in _WATCHED
                and limit.unit == Unit.NS
                and limit.wants_less
                and timeline.recovery_ns <= limit.value
            ):
                self._source.complain(
                    where,
                    f"{expectation.name} wants {limit.text}, but recovery is watched for "
                    f"{watched} only: it could never fail; "
                    f"write more than {format_duration(limit.value)}",
                )

    def safety(self, safety: Safety, steps: Sequence[FaultStep | None]) -> None:
        """Complain of faults that go further than the file itself allows."""
        if safety.services < 1:
            self._source.complain_of_unfit(("safety",), [("services", "at least 1")])
        stop = safety.stop
        if stop and (stop.success.unit != Unit.RATIO or stop.success.op not in ("<", "<=")):
            text = f"{stop.success.text!r} cannot be a reason to stop; write it as in '< 5%'"
            self._source.complain(("safety", "stop", "success"), text)
        for i, step in enumerate(steps):
            if step is None:
                continue
            if step.for_ns > safety.longest_ns:
                self._source.complain(
                    ("faults", i, "for"),
                    f"{format_duration(step.for_ns)} is longer than safety.longest, "
                    f"{format_duration(safety.longest_ns)}",
                )
            hit = sorted(_hit_at(step.at_ns, steps))
            if step.fault.hits == "service" and len(hit) > max(1, safety.services):
                self._source.complain(
                    ("faults", i, step.fault.verb),
                    f"{len(hit)} services are hit at the same time, {', '.join(hit)}; "
                    f"safety.services allows {safety.services}",
                )

    def overlaps(self, steps: Sequence[FaultStep | None]) -> None:
        """Complain of faults that are in at the same time and would undo or feign each other."""
        for j, step in enumerate(steps):
            for i, other in enumerate(steps[:j]):
                if step is None or other is None or not _overlap(step, other):
                    continue
                why = self._vocabulary.at_odds(other, step)
                if why is not None:
                    text = (
                        f"is in at the same time as {other.fault.verb} of {other.fault.target}, "
                        f"faults[{i}], and {why}; let one end before the other begins"
                    )
                    self._source.complain(("faults", j, step.fault.verb), text)

    def sabotage(
        self,
        items: Sequence[SabotageItem | None],
        *,
        switches: tuple[str, ...] | None,
        verbs: tuple[str, ...] | None,
        expectations: tuple[str, ...] | None,
    ) -> tuple[Sabotage, ...]:
        """Return the sabotages; names are judged only against what is known (not None)."""
        known = None if switches is None or verbs is None else (*switches, *dict.fromkeys(verbs))
        sabotages = []
        for i, item in enumerate(items):
            if item is None:
                continue
            where = ("sabotage", i)
            what = "a switch of the target or a fault of the scenario"
            self._names((*where, "disable"), item.disable, known, what)
            if item.breaks is not None:
                self._names((*where, "breaks"), item.breaks, expectations, "expected here")
            if (item.breaks is None) == (item.gives is None):
                also = "" if item.breaks is None else ", not both"
                self._source.complain(where, f"write either breaks or gives{also}")
            sabotages.append(
                Sabotage(
                    disable=item.disable,
                    breaks=item.breaks or (),
                    gives=Verdict(item.gives or Verdict.FAIL),
                )
            )
        return tuple(sabotages)

    def _names(
        self, where: Where, names: tuple[str, ...], known: tuple[str, ...] | None, what: str
    ) -> None:
        if not names:
            self._source.complain(where, "is empty; wanted at least one")
        for i, name in enumerate(names):
            if known is not None and name not in known:
                place = (*where, i) if (*where, i) in self._source.spots else where
                self._source.complain(place, f"{quoted(name)} is not {what}{one_of(name, known)}")


def _overlap(one: FaultStep, other: FaultStep) -> bool:
    return one.at_ns < other.at_ns + other.for_ns and other.at_ns < one.at_ns + one.for_ns


def _hit_at(at_ns: int, steps: Sequence[FaultStep | None]) -> set[str]:
    """Return the services on which a fault is in at that moment."""
    return {
        step.fault.target
        for step in steps
        if step and step.fault.hits == "service" and step.at_ns <= at_ns < step.at_ns + step.for_ns
    }
