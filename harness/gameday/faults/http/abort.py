"""HTTP abort: the connection of a request on an edge is reset."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Seen
from gameday.api.environment import Environment
from gameday.api.fault import Bears, Conflicts, Injection, Proof, Requirements
from gameday.api.http_rules import HttpAnswer, HttpProbe
from gameday.api.service_kind import speaks_http
from gameday.faults.http.injection import RULES, prepared, requirements_of
from gameday.faults.http.matching import Matching, Method
from gameday.model.scenario import Hits
from gameday.model.units import RatioField

__all__ = ["HttpAbort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAbort:
    """The connections of requests on an edge are reset; the service never sees the requests.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit end with ECONNRESET, as many as the share asks for within its bounds; others get
    what they get directly. Undo: the rule is removed, and every request that fits is answered
    as on the direct way.
    """

    verb: ClassVar[str] = "http-abort"
    hits: ClassVar[Hits] = "edge"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = RULES
    target: str
    """The edge, such as "client -> relay"."""
    method: Method = "any"
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: RatioField = 1.0
    """Of the requests that fit: 10% to 90%, or 100%."""

    def __post_init__(self) -> None:
        self._matching()

    def requirements(self, runtime: str) -> Requirements:
        return requirements_of(self.target)

    def on(self, environment: Environment) -> Injection:
        return prepared(
            environment,
            self,
            self._matching(),
            verb=self.verb,
            target=self.target,
            action="abort",
        )

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        return answer.seen is Seen.RESET

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        return Proof(proven=True)

    def _matching(self) -> Matching:
        return Matching(method=self.method, path=self.path, share=self.share)
