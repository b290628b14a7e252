"""HTTP status: requests on an edge are answered with a status that the service never gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Seen
from gameday.api.environment import Environment
from gameday.api.fault import Bears, Conflicts, Example, Injection, Proof, Requirements
from gameday.api.http_rules import HttpAnswer, HttpProbe
from gameday.api.service_kind import speaks_http
from gameday.faults.http.injection import RULES, prepared, requirements_of
from gameday.faults.http.matching import Matching, Method, body_within_bounds
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import RatioField

__all__ = ["HttpStatus"]

_LEAST, _MOST = 200, 599
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStatus:
    """Requests on an edge are answered with a status at once; the service never sees them.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit get that status and body, as many as the share asks for within its bounds; others
    get what they get directly. Undo: the rule is removed, and every request that fits is
    answered as on the direct way.
    """

    verb: ClassVar[str] = "http-status"
    hits: ClassVar[Hits] = "edge"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = RULES
    example: ClassVar[Example] = Example(parameters={"status": 503})
    target: str
    """The edge, such as "client -> relay"."""
    status: int
    """200 to 599."""
    body: str = ""
    """Of the answer, at most 64 kB."""
    method: Method = "any"
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: RatioField = 1.0
    """Of the requests that fit: 10% to 90%, or 100%."""

    def __post_init__(self) -> None:
        self._matching()
        bodiless = self.status in _BODILESS
        require(
            ("status", _LEAST <= self.status <= _MOST, "200 to 599"),
            ("body", not (self.body and bodiless), f"none: status {self.status} has no body"),
        )
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
            action="status",
            status=self.status,
            body=self.body,
        )

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        same_body = probe.method == "HEAD" or answer.body == self.body.encode()
        return answer.seen is Seen.ANSWERED and answer.status == self.status and same_body

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        seen = bitten[-1].status if bitten else None
        return Proof(proven=True, measured={"status_seen": seen})

    def _matching(self) -> Matching:
        return Matching(method=self.method, path=self.path, share=self.share)
