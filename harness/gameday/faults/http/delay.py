"""HTTP delay: requests on an edge reach the service later."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Environment
from gameday.api.fault import Bears, Conflicts, Example, Injection, Proof, Requirements
from gameday.api.http_rules import HttpAnswer, HttpProbe
from gameday.api.service_kind import speaks_http
from gameday.faults.http.injection import RULES, prepared, requirements_of, usual
from gameday.faults.http.matching import Matching, Method
from gameday.faults.network.measuring import close_enough, tolerance_ns
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs, RatioField

__all__ = ["HttpDelay"]

_LEAST_NS = 20 * MILLISECOND
_MOST_NS = 5 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDelay:
    """Requests on an edge are held back before the service gets them.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit are answered later, as many as the share asks for within its bounds, and the median
    of what they take more than on the direct way is the delay within 10 % or 5 ms; others take
    as long as directly. Undo: the rule is removed, and no request that fits takes half of the
    delay longer than directly.
    """

    verb: ClassVar[str] = "http-delay"
    hits: ClassVar[Hits] = "edge"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = RULES
    example: ClassVar[Example] = Example(parameters={"delay_ns": _LEAST_NS})
    target: str
    """The edge, such as "client -> relay"."""
    delay_ns: DurationNs
    """Whole milliseconds, 20ms to 5s."""
    method: Method = "any"
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: RatioField = 1.0
    """Of the requests that fit: 10% to 90%, or 100%."""

    def __post_init__(self) -> None:
        self._matching()
        fits = _LEAST_NS <= self.delay_ns <= _MOST_NS and not self.delay_ns % MILLISECOND
        require(("delay", fits, "20ms to 5s in whole milliseconds"))

    def requirements(self, runtime: str) -> Requirements:
        return requirements_of(self.target)

    def on(self, environment: Environment) -> Injection:
        return prepared(
            environment,
            self,
            self._matching(),
            verb=self.verb,
            target=self.target,
            action="delay",
            delay_ns=self.delay_ns,
        )

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        return usual(answer, direct) and answer.took_ns - direct.took_ns >= self.delay_ns // 2

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        added_ns = None
        if bitten:
            median_ns = statistics.median(one.took_ns for one in bitten)
            added_ns = round(median_ns) - direct.took_ns
        return Proof(
            proven=close_enough(added_ns, self.delay_ns),
            measured={
                "added_ns": added_ns,
                "direct_ns": direct.took_ns,
                "tolerance_ns": tolerance_ns(self.delay_ns),
            },
        )

    def _matching(self) -> Matching:
        return Matching(method=self.method, path=self.path, share=self.share)
