"""Toxiproxy's API as `python -m gameday.proxy` serves it, called over HTTP as any client would."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Snapshots

LIMIT_S = 10
_ROUTES = (
    "/version",
    "/proxies",
    "/proxies/p",
    "/proxies/p/toxics",
    "/proxies/p/toxics/latency_downstream",
    "/reset",
    "/populate",
    "/metrics",
    "/gameday/counters",
    "/gameday/connections/p",
    "/gameday/http/p/rules",
    "/gameday/http/p/rules/r",
    "/",
)
_SIDES = ("upstream", "downstream")
_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_PROXY = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
_TOXICS = (
    "latency",
    "bandwidth",
    "slow_close",
    "timeout",
    "reset_peer",
    "slicer",
    "limit_data",
    "half_open",
)
_PROXY_CALLS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/version", None),
    ("GET", "/proxies", None),
    ("POST", "/proxies", _PROXY),
    ("POST", "/proxies", _PROXY),
    ("POST", "/proxies", {"name": "q"}),
    ("POST", "/proxies", {"upstream": "127.0.0.1:9"}),
    ("GET", "/proxies/p", None),
    ("GET", "/proxies/nobody", None),
    ("POST", "/proxies/p", {"enabled": False}),
    ("PATCH", "/proxies/p", {"enabled": True}),
    ("PATCH", "/proxies/p", {"upstream": "127.0.0.1:10"}),
    ("GET", "/proxies", None),
    ("POST", "/reset", None),
    ("POST", "/populate", [{**_PROXY, "name": "q", "enabled": False}]),
    ("POST", "/populate", [{"name": "q"}]),
    ("DELETE", "/proxies/q", None),
    ("DELETE", "/proxies/q", None),
    ("GET", "/nowhere", None),
)
_TOXIC = "/proxies/p/toxics/latency_downstream"
_TOXIC_CALLS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/proxies/p/toxics", None),
    *(("POST", "/proxies/p/toxics", {"type": each}) for each in _TOXICS if each != "slicer"),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "attributes": {"average_size": 9}}),
    ("POST", "/proxies/p/toxics", {"type": "latency"}),
    ("POST", "/proxies/p/toxics", {"type": "nonsense"}),
    ("POST", "/proxies/p/toxics", {"type": "latency", "stream": "sideways"}),
    ("POST", "/proxies/p/toxics", {"name": "u", "type": "timeout", "stream": "upstream"}),
    ("GET", _TOXIC, None),
    ("POST", _TOXIC, {"attributes": {"jitter": 5}}),
    ("PATCH", _TOXIC, {"toxicity": 0.25}),
    ("GET", "/proxies/p/toxics", None),
    ("DELETE", _TOXIC, None),
    ("GET", _TOXIC, None),
)
_RULE_CALLS: tuple[tuple[str, str, object], ...] = (
    ("POST", "/proxies", {**_PROXY, "name": "h", "protocol": "http"}),
    ("POST", "/gameday/http/h/rules", {"name": "s", "action": "status", "status": 503}),
    ("POST", "/gameday/http/h/rules", {"action": "abort", "method": "GET", "path": "/a*"}),
    ("POST", "/gameday/http/h/rules", {"action": "delay", "delay": 50, "share": 0.5}),
    ("POST", "/gameday/http/h/rules", {"action": "body", "body": "hello"}),
    ("GET", "/gameday/http/h/rules", None),
    ("GET", "/gameday/http/h/rules/s", None),
    ("DELETE", "/gameday/http/h/rules/s", None),
    ("DELETE", "/gameday/http/h/rules", None),
)


class Answer(NamedTuple):
    status: int
    kind: str
    body: str

    @property
    def told(self) -> str:
        """The answer as a snapshot has it: JSON in order of its keys, and no port by chance."""
        try:
            body = json.dumps(json.loads(self.body), sort_keys=True)
        except ValueError:
            body = self.body.strip()
        body = re.sub(r"(127\.0\.0\.1):\d{4,5}\b", r"\1:PORT", body)
        return "\n".join(
            [f"    {self.status} {self.kind}".rstrip(), *([f"    {body}"] if body else [])]
        )


class Proxy:
    """The proxy's process, and its API."""

    def __init__(self, token: str = "") -> None:
        command = [sys.executable, "-m", "gameday.proxy", "--port", "0", "--seed", "1"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "GAMEDAY_PROXY_TOKEN": token},
            text=True,
        )
        assert self.process.stdout is not None
        self.ready: dict[str, int] = json.loads(self.process.stdout.readline())

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.ready["port"], timeout=LIMIT_S)
        raw = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, raw, headers or {})
            answer = connection.getresponse()
            kind = answer.headers.get("Content-Type", "")
            return Answer(answer.status, kind, answer.read().decode())
        finally:
            connection.close()

    def end(self) -> int:
        """End it as its parent's death would: by the end of its stdin."""
        try:
            self.process.communicate(timeout=LIMIT_S)
        finally:
            self.process.kill()
        return self.process.wait(LIMIT_S)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    started = Proxy()
    yield started
    started.end()


def conversation(proxy: Proxy, calls: tuple[tuple[str, str, object], ...]) -> str:
    told = []
    for method, path, body in calls:
        asked = "" if body is None else f" {json.dumps(body)}"
        told.append(f"{method} {path}{asked}\n{proxy.call(method, path, body).told}")
    return "\n".join(told)


def test_which_routes_take_which_methods(proxy: Proxy, snapshots: Snapshots) -> None:
    """The statuses of calls without a body, where there is a proxy p with a toxic."""
    told = [f"{'':40}{''.join(f'{method:8}' for method in _METHODS)}"]
    for route in _ROUTES:
        statuses = []
        for method in _METHODS:
            proxy.call("POST", "/proxies", _PROXY)
            proxy.call("POST", "/proxies/p/toxics", {"type": "latency"})
            statuses.append(proxy.call(method, route).status)
        told.append(f"{route:40}{''.join(f'{status:<8}' for status in statuses)}")
    snapshots.text("proxy-routes.txt", "\n".join(line.rstrip() for line in told))


def test_the_calls_about_proxies(proxy: Proxy, snapshots: Snapshots) -> None:
    snapshots.text("proxy-proxies.txt", conversation(proxy, _PROXY_CALLS))


def test_the_calls_about_toxics(proxy: Proxy, snapshots: Snapshots) -> None:
    proxy.call("POST", "/proxies", _PROXY)
    snapshots.text("proxy-toxics.txt", conversation(proxy, _TOXIC_CALLS))


def test_the_calls_about_rules(proxy: Proxy, snapshots: Snapshots) -> None:
    snapshots.text("proxy-rules.txt", conversation(proxy, _RULE_CALLS))


def test_what_is_counted_of_connections(proxy: Proxy, snapshots: Snapshots) -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.settimeout(LIMIT_S)
        given = {**_PROXY, "upstream": f"127.0.0.1:{upstream.getsockname()[1]}", "protocol": "http"}
        made = json.loads(proxy.call("POST", "/proxies", given).body)
        proxy.call("POST", "/proxies/p/toxics", {"type": "latency"})
        proxy.call("POST", "/gameday/http/p/rules", {"action": "abort", "path": "/never"})
        address = ("127.0.0.1", int(made["listen"].rpartition(":")[2]))
        with ask(address, upstream):
            pass
        give_up = time.monotonic() + LIMIT_S
        while not connections(proxy)["over"] and time.monotonic() < give_up:
            time.sleep(0.01)
        with ask(address, upstream):
            shown = {
                "counters": json.loads(proxy.call("GET", "/gameday/counters").body),
                "connections": connections(proxy),
            }
            metrics = proxy.call("GET", "/metrics")
    sides = [f"connections.{which}[].{side}" for which in ("open", "over") for side in _SIDES]
    moments = [f"{side}.{name}" for side in sides for name in ("last_ns", "ended_ns")]
    numbers = re.sub(r" \d+$", " NUMBER", metrics.body, flags=re.MULTILINE)
    lines = [line for line in numbers.splitlines() if not line.startswith("# HELP")]
    series = Answer(metrics.status, metrics.kind, "\n    ".join(lines)).told
    snapshots.shape("proxy-counters.txt", shown, measured=moments, more=f"metrics\n{series}")


def connections(proxy: Proxy) -> dict[str, list[object]]:
    told: dict[str, list[object]] = json.loads(proxy.call("GET", "/gameday/connections/p").body)
    return told


@contextmanager
def ask(address: tuple[str, int], upstream: socket.socket) -> Iterator[None]:
    """Hold a connection by which a request came to the upstream."""
    with socket.create_connection(address, timeout=LIMIT_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with upstream.accept()[0] as accepted:
            accepted.settimeout(LIMIT_S)
            assert accepted.recv(100).startswith(b"GET /")
            yield


def test_who_is_let_in(snapshots: Snapshots) -> None:
    proxy = Proxy(token="secret")
    calls: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("GET", "/proxies", {}),
        ("POST", "/reset", {}),
        ("POST", "/reset", {"Authorization": "Bearer wrong"}),
        ("POST", "/reset", {"Authorization": "Bearer secret"}),
        ("GET", "/proxies", {"Origin": "http://localhost"}),
        ("GET", "/proxies", {"Host": "example.com"}),
        ("GET", "/proxies", {"User-Agent": "Mozilla/5.0"}),
    )
    try:
        told = [
            f"{proxy.call(method, path, None, headers).status}  {method} {path}  {headers or ''}"
            for method, path, headers in calls
        ]
    finally:
        code = proxy.end()
    told += [f"on standard output: {', '.join(proxy.ready)}", f"exit code: {code}"]
    snapshots.text("proxy-access.txt", "\n".join(line.rstrip() for line in told))
