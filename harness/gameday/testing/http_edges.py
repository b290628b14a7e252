"""The proxies of edges in memory that take rules for HTTP requests."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from threading import Lock

from gameday.api.edge import Dialect, Route, Seen
from gameday.api.http_rules import (
    HttpAnswer,
    HttpProbe,
    HttpRule,
    RuleCounts,
)
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MICROSECOND, MILLISECOND
from gameday.model.scenario import Edge
from gameday.testing.edges import EdgedEnvironment, MemoryEdge, TerseDialect

__all__ = ["HttpDialect", "RuledEdge", "RuledEnvironment"]

_DIRECT_NS = 200 * MICROSECOND
_FRONT_NS = 500 * MICROSECOND
_KNOWN = "/status"
_TAKES_BODIES = "/orders"


class HttpDialect(TerseDialect):
    """A service that answers to one path, and takes what is posted to another."""

    greeting = b"ASK /status"


@dataclass(slots=True, kw_only=True)
class RuledEdge(MemoryEdge):
    """A proxy whose rules meet what they are to meet; each of its defects is a field."""

    dialect: Dialect | None = field(default_factory=HttpDialect)
    rules_work: bool = True
    """Whether rules do anything; the server reports them either way."""
    meets_times: float = 1.0
    """How many times the share that was asked for is met."""
    asks_method: bool = True
    """Whether requests with another method are spared."""
    asks_path: bool = True
    """Whether requests for another path are spared."""
    spoils: bool = False
    """Whether requests that fit, and are not drawn, get an answer of nobody's."""
    delays_times: float = 1.0
    gives_status: int = 0
    """What `status` answers with, whatever was asked for."""
    gives_body: bytes | None = None
    counts: bool = True
    rules_linger: bool = False
    """Whether rules go on acting when the server lists them no more."""
    speaks_http: bool = True
    takes_rules: bool = True
    _rules: dict[str, HttpRule] = field(default_factory=dict)
    _acting: dict[str, HttpRule] = field(default_factory=dict)
    _met: dict[str, int] = field(default_factory=dict)
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _lock: Lock = field(default_factory=Lock)

    def add_rule(self, rule: HttpRule) -> None:
        if not self.takes_rules:
            raise EnvironmentRefused("the proxy server gives no answer")
        self._rules[rule.name] = self._acting[rule.name] = rule
        self._met[rule.name] = 0

    def remove_rule(self, name: str) -> None:
        if not self.removes:
            raise EnvironmentRefused("the removal gives no answer")
        self._rules.pop(name, None)
        if not self.rules_linger:
            self._acting.pop(name, None)

    def rules(self) -> Mapping[str, RuleCounts]:
        if not self.speaks_http or not self.readable:
            raise EnvironmentRefused("the proxy passes bytes on")
        return {name: RuleCounts(matched=0, met=self._met[name]) for name in self._rules}

    def request(self, route: Route, probe: HttpProbe, limit_ns: int) -> HttpAnswer:
        usual = _served(probe, _DIRECT_NS if route is Route.UPSTREAM else _FRONT_NS)
        if not self.serves:
            usual = HttpAnswer(seen=Seen.SILENT)
        if route is Route.UPSTREAM:
            return usual
        with self._lock:
            rule = self._meeting(probe)
        if rule is not None:
            return self._bitten(rule, usual)
        if self.spoils and any(
            _of_method(one, probe) and _of_path(one, probe) for one in self._acting.values()
        ):
            return HttpAnswer(seen=Seen.ANSWERED, status=418)
        return usual

    def _meeting(self, probe: HttpProbe) -> HttpRule | None:
        """Meet the share evenly: no luck is needed to stay within its bounds."""
        for rule in self._acting.values() if self.rules_work else ():
            if (self.asks_method and not _of_method(rule, probe)) or (
                self.asks_path and not _of_path(rule, probe)
            ):
                continue
            turn, share = next(self._turns), rule.share * self.meets_times
            if int((turn + 1) * share) > int(turn * share):
                self._met[rule.name] += self.counts
                return rule
        return None

    def _bitten(self, rule: HttpRule, usual: HttpAnswer) -> HttpAnswer:
        body = (rule.body or "").encode() if self.gives_body is None else self.gives_body
        match rule.action:
            case "abort":
                return HttpAnswer(seen=Seen.RESET)
            case "status":
                status = self.gives_status or rule.status or 0
                return HttpAnswer(seen=Seen.ANSWERED, status=status, body=body)
            case "body":
                return replace(usual, body=body)
            case "delay":
                delay_ns = round((rule.delay_ms or 0) * MILLISECOND * self.delays_times)
                return replace(usual, took_ns=usual.took_ns + delay_ns)


@dataclass(slots=True, kw_only=True)
class RuledEnvironment(EdgedEnvironment):
    """The services of a target in memory, with a proxy that speaks HTTP before each edge."""

    ruled: dict[Edge, RuledEdge] = field(default_factory=dict)

    def edge(self, edge: Edge) -> RuledEdge:
        return self.ruled.setdefault(edge, RuledEdge())


def _of_method(rule: HttpRule, probe: HttpProbe) -> bool:
    return rule.method in ("", probe.method)


def _of_path(rule: HttpRule, probe: HttpProbe) -> bool:
    return fnmatchcase(probe.path, rule.path)


def _served(probe: HttpProbe, took_ns: int) -> HttpAnswer:
    if not probe.finished and probe.path == _TAKES_BODIES:
        return HttpAnswer(seen=Seen.ANSWERED, status=100, took_ns=took_ns)
    status = 200 if probe.path == _KNOWN else 404
    return HttpAnswer(seen=Seen.ANSWERED, status=status, body=b"as ever", took_ns=took_ns)
