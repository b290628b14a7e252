"""Rules of a proxy that understands HTTP, and requests that test them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from gameday.api.edge import Route, Seen

__all__ = ["HttpAction", "HttpAnswer", "HttpProbe", "HttpRule", "HttpRuled", "RuleCounts"]

HttpAction = Literal["status", "abort", "delay", "body"]
"""What becomes of a request that a rule meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRule:
    """Which requests match, what share of them is hit, and what happens to those."""

    name: str
    action: HttpAction
    method: str = ""
    """Empty: any."""
    path: str = "*"
    """A shell's pattern for the path without its query; an asterisk also crosses slashes."""
    share: float = 1.0
    status: int | None = None
    delay_ms: int | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCounts:
    """What the proxy counted of one rule."""

    matched: int
    """Requests that fit by method and path."""
    met: int
    """Those that were drawn as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """A request of the harness's own."""

    method: str
    path: str
    finished: bool = True
    """False: a body is announced, and held back until the service asks for it. It never comes,
    so that a service which reads its requests does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """The outcome of one request."""

    seen: Seen
    status: int = 0
    """100 when the service asks for the body that was held back."""
    body: bytes = b""
    took_ns: int = 0
    """From the request to the first byte of the answer."""


@runtime_checkable
class HttpRuled(Protocol):
    """The proxy of an edge that takes rules for HTTP requests.

    Every call is bounded in time. What is set is read back; EnvironmentRefused if it is not what
    was asked for, or if the proxy takes no rules.
    """

    def add_rule(self, rule: HttpRule) -> None: ...

    def remove_rule(self, name: str) -> None:
        """Take a rule off; one that is not there is well removed."""
        ...

    def rules(self) -> Mapping[str, RuleCounts]:
        """Return every rule by name."""
        ...

    def request(self, route: Route, probe: HttpProbe, limit_ns: int) -> HttpAnswer:
        """Ask over a connection of its own."""
        ...
