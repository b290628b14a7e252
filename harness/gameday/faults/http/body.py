"""HTTP body: requests on an edge are served, and the body of the answer is another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Environment
from gameday.api.fault import Bears, Conflicts, Example, Injection, Proof, Requirements
from gameday.api.http_rules import HttpAnswer, HttpProbe
from gameday.api.service_kind import speaks_http
from gameday.faults.http.injection import RULES, prepared, requirements_of, usual
from gameday.faults.http.matching import Matching, Method, body_within_bounds
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import RatioField

__all__ = ["HttpBody"]

_ELSEWHERE_TOO = (
    "a pattern that also fits a path which the service does not have, such as '/signals*': no "
    "answer to such a request can be had without sending it whole, and so doing something"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBody:
    """Requests on an edge are served as ever, and the body of the answer is replaced.

    Status and headers are the service's, but for those of the body's length and coding.
    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit get the status that they get directly and that body, as many as the share asks for
    within its bounds; others get what they get directly. Undo: the rule is removed, and no
    request that fits gets that body.
    """

    verb: ClassVar[str] = "http-body"
    hits: ClassVar[Hits] = "edge"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = RULES
    example: ClassVar[Example] = Example(parameters={"body": ""})
    target: str
    """The edge, such as "client -> relay"."""
    body: str
    """At most 64 kB; empty is a body, too."""
    method: Method = "any"
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: RatioField = 1.0
    """Of the requests that fit: 10% to 90%, or 100%."""

    def __post_init__(self) -> None:
        self._matching()
        require(("method", self.method != "HEAD", "another: an answer to HEAD has no body"))
        require(("path", not self._matching().waits_for_body, _ELSEWHERE_TOO))
        body_within_bounds(self.body)

    def requirements(self, runtime: str) -> Requirements:
        return requirements_of(self.target)

    def on(self, environment: Environment) -> Injection:
        return prepared(
            environment,
            self,
            self._matching(),
            verb=self.verb,
            target=self.target,
            action="body",
            body=self.body,
        )

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        if probe.method == "HEAD":
            return False
        return usual(answer, direct) and answer.body == self.body.encode()

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        return Proof(
            proven=True,
            measured={
                "body_bytes": len(bitten[-1].body) if bitten else None,
                "direct_body_bytes": len(direct.body),
            },
        )

    def _matching(self) -> Matching:
        return Matching(method=self.method, path=self.path, share=self.share)
