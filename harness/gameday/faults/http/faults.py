"""The faults on HTTP requests of an edge: each is a rule, and what a request then meets."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.edge import Seen
from gameday.api.environment import Environment
from gameday.api.fault import Example, Injection, Proof
from gameday.api.http_rules import HttpAction, HttpAnswer, HttpProbe
from gameday.faults.network.measuring import close_enough, tolerance_ns
from gameday.faults.recipes.http_matching import body_within_bounds
from gameday.faults.recipes.http_rule import HttpFault, prepared, usual
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.invalid_parameter import require
from gameday.model.units import DurationNs

__all__ = ["HttpAbort", "HttpBody", "HttpDelay", "HttpStatus"]

_LEAST_STATUS, _MOST_STATUS = 200, 599
_BODILESS = (204, 304)
_LEAST_DELAY_NS = 20 * MILLISECOND
_MOST_DELAY_NS = 5 * SECOND
_ELSEWHERE_TOO = (
    "a pattern that also fits a path which the service does not have, such as '/signals*': no "
    "answer to such a request can be had without sending it whole, and so doing something"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStatus(HttpFault):
    """Requests are answered with a status at once; the service never sees them.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit get that status and body, as many as the share asks for within its bounds; others
    get what they get directly. Undo: the rule is removed, and every request that fits is
    answered as on the direct way.
    """

    verb: ClassVar[str] = "http-status"
    action: ClassVar[HttpAction] = "status"
    example: ClassVar[Example] = Example(parameters={"status": 503})
    status: int
    """200 to 599."""
    body: str = ""
    """The body of the answer, at most 64 kB."""

    def __post_init__(self) -> None:
        HttpFault.__post_init__(self)
        bodiless = self.status in _BODILESS
        require(
            ("status", _LEAST_STATUS <= self.status <= _MOST_STATUS, "200 to 599"),
            ("body", not (self.body and bodiless), f"none: status {self.status} has no body"),
        )
        body_within_bounds(self.body)

    def on(self, environment: Environment) -> Injection:
        return prepared(environment, self, status=self.status, body=self.body)

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        same_body = probe.method == "HEAD" or answer.body == self.body.encode()
        return answer.seen is Seen.ANSWERED and answer.status == self.status and same_body

    def magnitude(self, bitten: Sequence[HttpAnswer], direct: HttpAnswer) -> Proof:
        seen = bitten[-1].status if bitten else None
        return Proof(proven=True, measured={"status_seen": seen})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAbort(HttpFault):
    """The connections of requests are reset; the service never sees the requests.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit end with ECONNRESET, as many as the share asks for within its bounds; others get
    what they get directly. Undo: the rule is removed, and every request that fits is answered
    as on the direct way.
    """

    verb: ClassVar[str] = "http-abort"
    action: ClassVar[HttpAction] = "abort"

    def on(self, environment: Environment) -> Injection:
        return prepared(environment, self)

    def bitten(self, answer: HttpAnswer, direct: HttpAnswer, probe: HttpProbe) -> bool:
        return answer.seen is Seen.RESET


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDelay(HttpFault):
    """Requests are delayed before the service gets them.

    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit are answered later, as many as the share asks for within its bounds, and the median
    of what they take more than on the direct way is the delay within 10 % or 5 ms; others take
    as long as directly. Undo: the rule is removed, and no request that fits takes half of the
    delay longer than directly.
    """

    verb: ClassVar[str] = "http-delay"
    action: ClassVar[HttpAction] = "delay"
    example: ClassVar[Example] = Example(parameters={"delay_ns": _LEAST_DELAY_NS})
    delay_ns: DurationNs
    """Whole milliseconds, 20ms to 5s."""

    def __post_init__(self) -> None:
        HttpFault.__post_init__(self)
        whole = not self.delay_ns % MILLISECOND
        fits = _LEAST_DELAY_NS <= self.delay_ns <= _MOST_DELAY_NS and whole
        require(("delay", fits, "20ms to 5s in whole milliseconds"))

    def on(self, environment: Environment) -> Injection:
        return prepared(environment, self, delay_ns=self.delay_ns)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpBody(HttpFault):
    """Requests are served, but the body of the answer is replaced.

    Status and headers are the service's, but for those of the body's length and coding.
    Mechanism, both environments: a rule of gameday's own proxy. Proof: requests of the harness
    that fit get the status that they get directly and that body, as many as the share asks for
    within its bounds; others get what they get directly. Undo: the rule is removed, and no
    request that fits gets that body.
    """

    verb: ClassVar[str] = "http-body"
    action: ClassVar[HttpAction] = "body"
    example: ClassVar[Example] = Example(parameters={"body": ""})
    body: str
    """At most 64 kB; it may be empty."""

    def __post_init__(self) -> None:
        HttpFault.__post_init__(self)
        require(("method", self.method != "HEAD", "another: an answer to HEAD has no body"))
        require(("path", not self.matching.waits_for_body, _ELSEWHERE_TOO))
        body_within_bounds(self.body)

    def on(self, environment: Environment) -> Injection:
        return prepared(environment, self, body=self.body)

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
