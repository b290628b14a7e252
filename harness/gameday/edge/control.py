"""The harness's side of the proxies: one adapter for every server that speaks Toxiproxy's API.

Every call has a time limit, and everything that is set is read back and compared.
"""

import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from gameday.api.environment import Endpoint
from gameday.api.http_rules import HttpRule, RuleCounts
from gameday.api.listing import ListedConnection
from gameday.edge.transport import ApiAnswer, PlainHttp, ToxiproxyClient, Transport
from gameday.errors import EnvironmentRefused

__all__ = ["Counters", "ProxyControl", "ProxyState", "Stream", "ToxicState"]

Stream = Literal["upstream", "downstream"]
"""The direction of a toxic: upstream is from the client to the service."""

_CALL_LIMIT_S = 5.0
_RECEIVED = re.compile(
    r"^toxiproxy_proxy_received_bytes_total\{"
    r'direction="(?P<direction>\w+)",.*?proxy="(?P<proxy>[^"]*)".*?\} (?P<bytes>\S+)$',
    re.MULTILINE,
)
"""Toxiproxy's own family of metrics; it sorts the labels."""
_RETRY_PAUSE_S = 0.01
_ANY_HOST = ("", "0.0.0.0", "[::]")  # noqa: S104
_NO = (http.client.BAD_REQUEST, http.client.CONFLICT)
"""What a server answers to what it will not do; the reason is all of the answer's text."""
_SUCCESSES = range(200, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicState:
    """A toxic as the server reports it."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """A proxy as the server reports it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: tuple[ToxicState, ...] = ()
    protocol: str = "tcp"
    """Only gameday's own proxy knows another one: "http"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicCounters:
    """What one toxic has done so far."""

    bytes_dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What has passed through one proxy so far."""

    connections_open: int
    connections_total: int
    bytes_upstream: int
    bytes_downstream: int
    refused_upstream: int
    toxics: Mapping[str, ToxicCounters] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RuleState(HttpRule):
    """A rule as the server reports it."""

    delay: int | None = None
    matched: int
    met: int

    def is_as(self, asked: Mapping[str, object]) -> bool:
        """Tell whether it is the rule that was asked for."""
        return {key: getattr(self, key) for key in asked} == asked


_T = TypeVar("_T")

_PROXY = TypeAdapter(ProxyState)
_PROXIES = TypeAdapter(dict[str, ProxyState])
_RULES = TypeAdapter(tuple[_RuleState, ...])
_COUNTERS = TypeAdapter(dict[str, Counters])
_CONNECTIONS = TypeAdapter(dict[str, tuple[ListedConnection, ...]])


class ProxyControl:
    """Sets the proxies and toxics of one server, and trusts only what it reads back.

    Every method raises EnvironmentRefused, with what was asked and what was read, if the server
    does not answer within the limit, refuses, or reports something else than was asked for.
    """

    def __init__(
        self,
        host: str,
        port: int,
        limit_s: float = _CALL_LIMIT_S,
        *,
        toxiproxy: bool = False,
        token: str = "",
    ) -> None:
        """`toxiproxy`: the server is Toxiproxy, and is asked by the client of its users.

        `token` is what gameday's own proxy was started with.
        """
        self._server: Transport = (
            ToxiproxyClient(host, port, limit_s)
            if toxiproxy
            else PlainHttp(host, port, limit_s, token)
        )
        self._limit_s = limit_s
        self.endpoint = Endpoint(host=host, port=port)
        self._where = f"the proxy server at {self.endpoint}"

    def version(self) -> str:
        """Return the server's version, in its own words."""
        text = self._call("its version", lambda: self._get("/version")).text
        try:
            version: object = json.loads(text)["version"]
        except (ValueError, KeyError, TypeError):
            # Before 2.6 the answer was the bare version.
            version = text.strip()
        return str(version)

    def wait_until_up(self, deadline_ns: int) -> None:
        """Return once the server answers; EnvironmentRefused after `deadline_ns` (monotonic)."""
        while True:
            try:
                self.version()
            except EnvironmentRefused:
                if time.monotonic_ns() > deadline_ns:
                    raise
                time.sleep(_RETRY_PAUSE_S)
            else:
                return

    def proxies(self) -> Mapping[str, ProxyState]:
        """Return every proxy by name, with its toxics."""
        response = self._call("its proxies", lambda: self._get("/proxies"))
        return self._read("its proxies", lambda: _PROXIES.validate_json(response.content))

    def counters(self) -> Mapping[str, Counters] | None:
        """Return live counters by proxy, or None where the server has none, as Toxiproxy."""
        response = self._call_or_absent("counters", lambda: self._get("/gameday/counters"))
        if response is None:
            return None
        content = response.content
        return self._read("counters", lambda: _COUNTERS.validate_json(content))

    def connections(self, name: str) -> tuple[ListedConnection, ...] | None:
        """Return the connections of a proxy, open and lately over; None: the server lists none."""
        path = f"/gameday/connections/{quote(name, safe='')}"
        response = self._call_or_absent(f"connections of {name}", lambda: self._get(path))
        if response is None:
            return None
        content = response.content
        read = self._read(f"connections of {name}", lambda: _CONNECTIONS.validate_json(content))
        return (*read.get("open", ()), *read.get("over", ()))

    def traffic(self) -> Mapping[str, tuple[int, int]]:
        """Return the bytes that each proxy has read, upstream and downstream.

        Toxiproxy counts a connection when it is over, so there every proxy is disabled before.
        """
        counted = self.counters()
        if counted is not None:
            return {n: (c.bytes_upstream, c.bytes_downstream) for n, c in counted.items()}
        names = tuple(self.proxies())
        for name in names:
            self.disable(name)
        text = self._call("its metrics", lambda: self._get("/metrics")).text
        read = {
            (match["proxy"], match["direction"]): round(float(match["bytes"]))
            for match in _RECEIVED.finditer(text)
        }
        return {n: (read.get((n, "upstream"), 0), read.get((n, "downstream"), 0)) for n in names}

    def create(self, name: str, listen: str, upstream: str, *, http: bool = False) -> str:
        """Put a proxy at `listen` before `upstream`, and return the address it really has.

        Port 0 lets the server choose one. `http` makes it one that takes rules.
        """
        asked: dict[str, object]
        asked = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        if http:
            asked["protocol"] = "http"
        self._call(f"proxy {asked}", lambda: self._post("/proxies", asked))
        state = self._proxy(name)
        same = state.upstream == upstream and state.enabled and not state.toxics
        same &= state.protocol == ("http" if http else "tcp")
        if not same or not _is_at(state.listen, listen):
            raise self._differs(f"proxy {asked}", state)
        return state.listen

    def delete(self, name: str) -> None:
        """Remove a proxy with all its connections; one that is not there is well removed."""
        path = _proxy_path(name)
        self._call_or_absent(f"delete {name}", lambda: self._delete(path))
        left = self._call_or_absent(f"proxy {name}", lambda: self._get(path))
        if left is not None:
            raise self._differs(f"no proxy {name}", left.text)

    def enable(self, name: str) -> None:
        """Let the proxy accept connections again, at the same address."""
        self._switch(name, enabled=True)

    def disable(self, name: str) -> None:
        """Let the proxy refuse connections, and close the open ones."""
        self._switch(name, enabled=False)

    def state(self, name: str) -> ProxyState:
        """Return one proxy with its toxics, as it is now."""
        return self._proxy(name)

    def add_toxic(
        self, name: str, toxic: str, kind: str, stream: Stream, attributes: Mapping[str, int | str]
    ) -> None:
        """Put a toxic under a name of its own on every connection of a proxy."""
        self._add_toxic(name, kind, stream, attributes, toxic)

    def add_latency(self, name: str, stream: Stream, latency_ms: int, jitter_ms: int = 0) -> str:
        """Delay one direction of every connection, and return the toxic's name."""
        return self._add_toxic(
            name, "latency", stream, {"latency": latency_ms, "jitter": jitter_ms}
        )

    def remove_toxic(self, name: str, toxic: str) -> None:
        """Take a toxic off a proxy; one that is not there is well removed."""
        path = f"{_proxy_path(name)}/toxics/{quote(toxic, safe='')}"
        self._call_or_absent(f"remove {toxic} of {name}", lambda: self._delete(path))
        left = self._call_or_absent(f"toxic {toxic}", lambda: self._get(path))
        if left is not None:
            raise self._differs(f"no toxic {toxic} on {name}", left.text)

    def rules(self, name: str) -> Mapping[str, RuleCounts]:
        """Return the counts of every HTTP rule of a proxy, by the rule's name."""
        return {
            rule.name: RuleCounts(matched=rule.matched, met=rule.met)
            for rule in self._rules_of(name)
        }

    def add_rule(self, name: str, rule: HttpRule) -> None:
        """Put an HTTP rule behind the others of a proxy."""
        facts: dict[str, object] = asdict(rule)
        facts["delay"] = facts.pop("delay_ms")
        asked = {key: value for key, value in facts.items() if value is not None}
        self._call(f"rule {asked} on {name}", lambda: self._post(_rules_path(name), asked))
        found = [state for state in self._rules_of(name) if state.name == rule.name]
        if len(found) != 1 or not found[0].is_as(asked):
            raise self._differs(f"rule {asked} on {name}", found)

    def remove_rule(self, name: str, rule: str) -> None:
        """Take an HTTP rule off a proxy; one that is not there is well removed."""
        path = f"{_rules_path(name)}/{quote(rule, safe='')}"
        self._call_or_absent(f"remove {rule} of {name}", lambda: self._delete(path))
        if rule in self.rules(name):
            raise self._differs(f"no rule {rule} on {name}", "it is still there")

    def reset(self) -> None:
        """Enable every proxy and remove every toxic."""
        self._call("a reset", lambda: self._post("/reset", None))
        for state in self.proxies().values():
            if not state.enabled or state.toxics:
                raise self._differs(f"{state.name} enabled, without toxics", state)

    def _add_toxic(
        self,
        name: str,
        kind: str,
        stream: Stream,
        attributes: Mapping[str, int | str],
        called: str | None = None,
    ) -> str:
        toxic = ToxicState(
            name=called or f"{kind}_{stream}",
            type=kind,
            stream=stream,
            toxicity=1.0,
            attributes=dict(attributes),
        )
        path = f"{_proxy_path(name)}/toxics"
        asked = asdict(toxic)
        self._call(f"toxic {asked} on {name}", lambda: self._post(path, asked))
        # Toxiproxy takes attributes that it does not know and gives a toxic that does nothing.
        found = [state for state in self._proxy(name).toxics if state.name == toxic.name]
        if found != [toxic]:
            raise self._differs(f"toxic {asked} on {name}", found)
        return toxic.name

    def _switch(self, name: str, *, enabled: bool) -> None:
        asked = f"{name} enabled={enabled}"
        self._call(asked, lambda: self._post(_proxy_path(name), {"enabled": enabled}))
        state = self._proxy(name)
        if state.enabled is not enabled:
            raise self._differs(asked, state)

    def _proxy(self, name: str) -> ProxyState:
        response = self._call(f"proxy {name}", lambda: self._get(_proxy_path(name)))
        content = response.content
        return self._read(f"proxy {name}", lambda: _PROXY.validate_json(content))

    def _rules_of(self, name: str) -> tuple[_RuleState, ...]:
        response = self._call(f"rules of {name}", lambda: self._get(_rules_path(name)))
        content = response.content
        return self._read(f"rules of {name}", lambda: _RULES.validate_json(content))

    def _get(self, path: str) -> ApiAnswer:
        return self._server.ask("GET", path)

    def _post(self, path: str, body: Mapping[str, object] | None) -> ApiAnswer:
        return self._server.ask("POST", path, body)

    def _delete(self, path: str) -> ApiAnswer:
        return self._server.ask("DELETE", path)

    def _call(self, asked: str, call: Callable[[], ApiAnswer]) -> ApiAnswer:
        answer = self._call_or_absent(asked, call)
        if answer is None:
            raise self._differs(asked, "not found")
        return answer

    def _call_or_absent(self, asked: str, call: Callable[[], ApiAnswer]) -> ApiAnswer | None:
        try:
            answer = call()
        except OSError as error:
            raise EnvironmentRefused(
                f"{self._where} was asked for {asked} and gave no answer "
                f"within {self._limit_s:g} s: {error}"
            ) from error
        if answer.status == http.client.NOT_FOUND:
            return None
        if answer.status in _NO:
            raise self._differs(asked, answer.text)
        if answer.status not in _SUCCESSES:
            raise self._differs(asked, f"status {answer.status} {answer.text}")
        return answer

    def _read(self, asked: str, parse: Callable[[], _T]) -> _T:
        try:
            return parse()
        except ValidationError as error:
            raise self._differs(asked, error) from error

    def _differs(self, asked: str, read: object) -> EnvironmentRefused:
        return EnvironmentRefused(f"{self._where} was asked for {asked}; read back: {read}")


def _proxy_path(name: str) -> str:
    return f"/proxies/{quote(name, safe='')}"


def _rules_path(name: str) -> str:
    return f"/gameday/http/{quote(name, safe='')}/rules"


def _is_at(listen: str, asked: str) -> bool:
    """Tell whether `listen`, as reported, is the address that was asked for."""
    host, _, port = listen.rpartition(":")
    asked_host, _, asked_port = asked.rpartition(":")
    same_port = port == asked_port if asked_port != "0" else port not in ("", "0")
    # The server reports numbers: a name that was asked for cannot be compared.
    is_number = asked_host not in _ANY_HOST and asked_host.replace(".", "").isdigit()
    return same_port and (host == asked_host or not is_number)
