"""Checks that the parts of a scenario fit together, once its form is valid."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Literal, cast

from gameday.loading.bounds import length_of
from gameday.loading.limit_checks import complain_of_limit
from gameday.loading.schema_types import Item, Names, build
from gameday.loading.source import Source, Where, composed, one_of, quoted
from gameday.model.invalid_parameter import InvalidParameter
from gameday.model.scenario import (
    CLIENT,
    Expectation,
    FaultSpec,
    FaultStep,
    Hits,
    Sabotage,
    Sla,
    Target,
    Vocabulary,
    WorkloadSpec,
)
from gameday.model.targeting import groups_of, unreached
from gameday.model.units import Limit
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
    """What to turn off, and which expectation must then fail or which verdict must follow."""

    disable: Names
    """One or several switches of the target, or verbs of the scenario's faults."""
    breaks: Names | None = None
    """The expectations that must then fail."""
    gives: _Gives | None = None
    """The verdict that the run must come out with; by default FAIL."""


class Checks:
    """Each check turns a part of the file into the model and reports what is invalid."""

    def __init__(self, source: Source, vocabulary: Vocabulary) -> None:
        self._source = source
        self._vocabulary = vocabulary

    def name(self, name: str) -> None:
        stem = self._source.path.stem
        if composed(name) != composed(stem):
            text = f"{quoted(name)} is not the name of its file; write {quoted(stem)}"
            self._source.complain(("scenario",), text)

    def workload(
        self, items: Sequence[Item | None], target: Target | None
    ) -> tuple[WorkloadSpec, ...]:
        """Return what was not complained about; who gets the load is judged in every item."""
        if len(items) > 1:
            # The conductor drives one stream: a second would be shown as right and never sent.
            text = (
                "only one workload is supported so far, and this is a second one; take it out, or "
                "give it a scenario of its own"
            )
            self._source.complain(("workload", 1), text)
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
            self._complain_of_no_length(i)
            if step is not None and aim is not None and target is not None:
                with self._fitting(("faults", i)):
                    self._vocabulary.validate_step(step, target, workload)
                if workload and (why := unreached(step, target, workload[0])):
                    self._source.complain(where, why)
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
        except InvalidParameter as error:
            self._source.complain_of_invalid(item, error.misfits)

    def _step(self, i: int, item: Item, aim: str | None) -> FaultStep | None:
        where = ("faults", i, item.word)
        values = item.values
        if aim is not None:
            values["target"] = aim
        step = {name: values.pop(name) for name in _STEP}
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
                ("faults", i, "exposure"),
                "a fault that meets nothing shows nothing; write at least 1",
            )
        return made

    def _complain_of_no_length(self, i: int) -> None:
        if length_of(self._source, i) == 0:
            text = "a fault of no length breaks nothing; write a duration, such as '100ms'"
            self._source.complain(("faults", i, "for"), text)

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
        self, items: Sequence[Item | None], slas: Mapping[str, Sla] | None
    ) -> tuple[Expectation | None, ...]:
        """Return the expectations, with None in the place of what is wrong or not known."""
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

    def _expectation(
        self, i: int, item: Item, slas: Mapping[str, Sla] | None
    ) -> Expectation | None:
        where = ("expect", i, item.word)
        wanted = item.values["limit"]
        if isinstance(wanted, Limit):
            unit = self._vocabulary.findings[item.word]
            complain_of_limit(self._source, where, wanted, unit, item.word)
            return Expectation(name=item.word, finding=item.word, limit=wanted)
        if slas is None:
            return None
        sla = slas.get(composed(str(wanted)))
        if sla is None:
            text = f"{quoted(str(wanted))} is not a known SLA"
            self._source.complain(where, text + one_of(str(wanted), tuple(sorted(slas))))
            return None
        return Expectation(name=sla.name, finding=sla.finding, limit=sla.limit, sla=sla)

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
            where = ("sabotage", i)
            # The names are judged also in an item that is wrong otherwise.
            what = "a switch of the target or a fault of the scenario"
            self._names((*where, "disable"), known, what)
            self._names((*where, "breaks"), expectations, "expected here")
            if item is None:
                continue
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

    def _names(self, where: Where, known: tuple[str, ...] | None, what: str) -> None:
        """Complain of names that stand there, one or a list, and are none of those known."""
        written = self._source.at(where)
        if written == []:
            self._source.complain(where, "is empty; wanted at least one")
        for i, name in enumerate(written if isinstance(written, list) else [written]):
            if known is not None and isinstance(name, str) and name not in known:
                place = (*where, i) if (*where, i) in self._source.spots else where
                self._source.complain(place, f"{quoted(name)} is not {what}{one_of(name, known)}")
