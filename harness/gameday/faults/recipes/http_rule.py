"""One rule for HTTP requests on one edge, from before it is in until it is proven gone."""

import itertools
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import EdgeState, Route, Seen
from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.fault import Bears, Conflicts, Proof, Requirements
from gameday.api.http_rules import (
    HttpAction,
    HttpAnswer,
    HttpProbe,
    HttpRule,
    HttpRuled,
)
from gameday.api.service_kind import speaks_http
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.http_matching import Matching, Method
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.scenario import Edge, Hits
from gameday.model.units import RatioField

__all__ = ["HttpFault", "prepared", "usual"]

_ANSWER_LIMIT_NS = 2 * SECOND
_MORE = 100
_DIRECT_SAMPLES = 9
_PIECE = 64
_CROWDS = ((SECOND, 64), (250 * MILLISECOND, 32))
"""How many wait side by side from which delay on: shorter ones would measure the crowd."""
_FEW = 8

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFault(ABC):
    """Which requests on an edge are met; what becomes of them is each fault's own."""

    verb: ClassVar[str]
    action: ClassVar[HttpAction]
    hits: ClassVar[Hits] = "edge"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = Conflicts(acts_on="its HTTP rules", several=True)
    target: str
    """The edge, such as "client -> relay"."""
    method: Method = "any"
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: RatioField = 1.0
    """Of the requests that fit: 10% to 90%, or 100%."""

    def __post_init__(self) -> None:
        _ = self.matching  # raises for what cannot be

    @property
    def matching(self) -> Matching:
        """Which requests are met."""
        return Matching(method=self.method, path=self.path, share=self.share)

    def requirements(self, runtime: str) -> Requirements:
        """Return what each of them needs: gameday's own proxy, which speaks HTTP."""
        client, _, service = self.target.partition(" -> ")
        edge = Edge(client=client, service=service)
        return Requirements(features=Features(own_proxy=True, http=frozenset({edge})))

    @abstractmethod
    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        """Tell whether an answer through the front is what was asked for.

        `direct` is the usual one, of the direct way.
        """

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        """Measure what was asked for in all of these answers, beyond each one's look."""
        return Proof(proven=True)


def usual(answer: HttpAnswer, direct: HttpAnswer) -> bool:
    """Tell whether an answer is as it would be without a fault, as far as that can be said."""
    return answer.seen is Seen.ANSWERED and answer.status == direct.status


def prepared(
    environment: Environment,
    fault: HttpFault,
    *,
    status: int | None = None,
    delay_ns: int | None = None,
    body: str | None = None,
) -> EdgeInjection:
    """Return the injection of a rule; EnvironmentRefused if nothing could be proven of it."""
    verb, target, action, matching = fault.verb, fault.target, fault.action, fault.matching
    scene = scene_of(environment, target, verb, bare=action == "abort")
    edge = scene.edge
    if not isinstance(edge, HttpRuled):
        raise EnvironmentRefused(f"{verb} on {target}: its proxy knows no HTTP")
    edge.rules()
    known = scene.dialect.greeting.split()[1].decode()
    probe = matching.probe(known)
    if action == "body" and edge.request(Route.UPSTREAM, probe, _ANSWER_LIMIT_NS).status == _MORE:
        raise EnvironmentRefused(
            f"{verb} on {target}: the service reads all of a {probe.method} to {matching.path} "
            "before it answers, so that no answer can be had without doing something; "
            "write a pattern that also fits a path which it does not have, "
            f"such as {matching.path}*"
        )
    rule = HttpRule(
        # Chosen before the first call: one that was never answered may have added its rule.
        name=f"{verb}_{next(_numbers)}",
        action=action,
        method="" if matching.method == "any" else matching.method,
        path=matching.path,
        share=matching.share,
        status=status,
        delay_ms=None if delay_ns is None else delay_ns // MILLISECOND,
        body=body,
    )
    looks = _Requests(
        edge=edge,
        effect=fault,
        matching=matching,
        rule=rule,
        probe=probe,
        controls=matching.controls(probe, known),
        delay_ns=delay_ns or 0,
    )
    asked: dict[str, Scalar] = {
        "method": matching.method,
        "path": matching.path,
        "share_ratio": matching.share,
    }
    if status is not None:
        asked["status"] = status
    if delay_ns is not None:
        asked["delay_ns"] = delay_ns
    if body is not None:
        asked["body_bytes"] = len(body.encode())
    return _RuleInjection(scene, _Rules(edge, rule), looks, asked)


class _RuleInjection(EdgeInjection):
    """A rule that tells how many requests met it."""

    def __init__(
        self, scene: EdgeScene, rules: "_Rules", looks: "_Requests", asked: Mapping[str, Scalar]
    ) -> None:
        super().__init__(scene, rules, asked=asked, effect=looks.effect_of, normal=looks.normal_of)
        self._rules = rules
        self._looks = looks

    def met(self) -> int | None:
        counted = self._rules.met
        return None if counted is None else max(0, counted - self._looks.own)


class _Rules:
    """One rule of an edge's proxy."""

    what = "rules"

    def __init__(self, edge: HttpRuled, rule: HttpRule) -> None:
        self._edge = edge
        self._rule = rule
        self.met: int | None = None
        """What the proxy had counted just before the rule was removed."""
        self.undo_text = f"remove the HTTP rule {self._rule.name}"

    def put(self) -> None:
        self._edge.add_rule(self._rule)

    def lift(self) -> None:
        # The count goes with the rule. Not to know it is no reason to leave the rule in.
        with suppress(EnvironmentRefused):
            counts = self._edge.rules().get(self._rule.name)
            self.met = self.met if counts is None else counts.met
        self._edge.remove_rule(self._rule.name)

    def left(self, state: EdgeState) -> tuple[str, ...]:
        return tuple(name for name in self._edge.rules() if name == self._rule.name)

    def is_active(self, state: EdgeState) -> Proof:
        left = self.left(state)
        return Proof(proven=bool(left), measured={"rules": ", ".join(left) or "none"})


@dataclass(slots=True, kw_only=True)
class _Requests:
    """Requests of the harness's own that meet a rule, and others that do not."""

    edge: HttpRuled
    effect: HttpFault
    matching: Matching
    rule: HttpRule
    probe: HttpProbe
    controls: tuple[HttpProbe, ...]
    delay_ns: int
    own: int = 0
    """How many of those that fit may have met it: all that were not spared."""

    def effect_of(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        direct = self._directly(self.probe, checkpoint)
        before = self.edge.rules().get(self.rule.name)
        answers = self._through(self.probe, self.matching.samples, checkpoint)
        after = self.edge.rules().get(self.rule.name)
        bitten = [one for one in answers if self._is_bitten(one, direct)]
        spared = [one for one in answers if self._is_spared(one, direct)]
        self.own += len(answers) - len(spared)
        least, most = self.matching.bounds
        size = self.effect.magnitude(bitten, direct)
        counted = after.met - before.met if after and before else 0
        strange = self._strange(checkpoint)
        return Proof(
            proven=least <= len(bitten) <= most
            and len(bitten) + len(spared) == len(answers)
            # One that looks like that anyway shows nothing.
            and direct.seen is Seen.ANSWERED
            and not self._is_bitten(direct, direct)
            and counted >= len(bitten)
            and size.proven
            and strange.proven,
            measured={
                "requests": f"{self.probe.method} {self.probe.path}",
                "sent": len(answers),
                "bitten": len(bitten),
                "bitten_least": least,
                "bitten_most": most,
                "spared": len(spared),
                "counted": counted,
                "direct": direct.seen.value,
                "direct_status": direct.status,
                **size.measured,
                **strange.measured,
            },
        )

    def normal_of(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        """Requests that fit are answered as on the direct way, every one of them."""
        direct = self._directly(self.probe, checkpoint)
        answers = self._through(self.probe, self.matching.samples_after, checkpoint)
        spared = [one for one in answers if self._is_spared(one, direct)]
        return Proof(
            proven=direct.seen is Seen.ANSWERED and len(spared) == len(answers),
            measured={"sent_after": len(answers), "spared_after": len(spared)},
        )

    def _strange(self, checkpoint: Checkpoint) -> Proof:
        """Requests that do not fit, for their method or for their path, are let alone."""
        sent = spared = 0
        for stranger in self.controls:
            direct = self._directly(stranger, checkpoint)
            # As many as show that the fault is gone: a small share may spare a few by chance.
            answers = self._through(stranger, self.matching.samples_after, checkpoint)
            sent += len(answers)
            spared += sum(
                usual(one, direct) and not self.effect.bitten(one, direct, stranger)
                for one in answers
            )
        others = ", ".join(f"{one.method} {one.path}" for one in self.controls)
        return Proof(
            proven=spared == sent,
            measured={
                "others": others or "none: every request fits",
                "others_sent": sent,
                "others_spared": spared,
            },
        )

    def _is_bitten(self, answer: HttpAnswer, direct: HttpAnswer) -> bool:
        return self.effect.bitten(answer, direct, self.probe)

    def _is_spared(self, answer: HttpAnswer, direct: HttpAnswer) -> bool:
        return usual(answer, direct) and not self._is_bitten(answer, direct)

    def _directly(self, probe: HttpProbe, checkpoint: Checkpoint) -> HttpAnswer:
        """Return what a request brings without the proxy, with the median of what it takes."""
        answers = []
        for _ in range(_DIRECT_SAMPLES):
            checkpoint()
            answers.append(self.edge.request(Route.UPSTREAM, probe, _ANSWER_LIMIT_NS))
            if not usual(answers[-1], answers[0]):
                return answers[-1]
        took_ns = round(statistics.median(one.took_ns for one in answers))
        last = answers[-1]
        return HttpAnswer(seen=last.seen, status=last.status, body=last.body, took_ns=took_ns)

    def _through(self, probe: HttpProbe, number: int, checkpoint: Checkpoint) -> list[HttpAnswer]:
        """Ask through the front; long waits are spent side by side, short ones one by one."""
        limit_ns = 2 * self.delay_ns + _ANSWER_LIMIT_NS
        at_once = next((crowd for least, crowd in _CROWDS if self.delay_ns >= least), 1)
        if self.delay_ns and number > _DIRECT_SAMPLES:
            at_once = max(at_once, _FEW)
        answers: list[HttpAnswer] = []
        with ThreadPoolExecutor(at_once) as pool:
            while len(answers) < number:
                checkpoint()
                piece = min(_PIECE, number - len(answers))
                answers += pool.map(
                    lambda _: self.edge.request(Route.PROXIED, probe, limit_ns), range(piece)
                )
        return answers
