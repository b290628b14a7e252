"""One HTTP request of the harness; its fate is returned, never raised."""

import http.client
import socket
import time

from gameday.api.edge import Seen
from gameday.api.environment import Endpoint
from gameday.api.http_rules import HttpAnswer, HttpProbe
from gameday.http_reader import BoundedSocket
from gameday.model.clock import MILLISECOND, SECOND

__all__ = ["ask_http"]

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 256 * 1024
_STATUS_LINE = len("HTTP/1.1 100")
_READ = 4096
_LOOK_S = MILLISECOND / SECOND


def ask_http(endpoint: Endpoint, probe: HttpProbe, limit_ns: int) -> HttpAnswer:
    """Send a request over a new connection and return what was seen within the limit."""
    limit_s = limit_ns / SECOND
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=limit_s) as line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Before it is sent: on one host the answer may be there before the sender runs again.
            asked_ns = time.monotonic_ns()
            line.sendall(_head(probe))
            return _answer(line, probe, asked_ns, limit_ns)
    except TimeoutError:
        return HttpAnswer(seen=Seen.SILENT)
    except ConnectionRefusedError:
        return HttpAnswer(seen=Seen.REFUSED)
    except (http.client.HTTPException, BrokenPipeError):
        # An end before the end of the answer. The first is to be caught before a reset: what
        # http.client calls a disconnected server is both.
        return HttpAnswer(seen=Seen.CLOSED)
    except ConnectionResetError:
        return HttpAnswer(seen=Seen.RESET)
    except OSError:
        return HttpAnswer(seen=Seen.UNREACHABLE)


def _head(probe: HttpProbe) -> bytes:
    lines = [f"{probe.method} {probe.path} HTTP/1.1", "Host: gameday", "Connection: close"]
    if not probe.finished:
        lines += ["Content-Length: 1", "Expect: 100-continue"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _answer(line: socket.socket, probe: HttpProbe, asked_ns: int, limit_ns: int) -> HttpAnswer:
    start = line.recv(_STATUS_LINE, socket.MSG_PEEK)
    took_ns = time.monotonic_ns() - asked_ns
    while start and len(start) < _STATUS_LINE:
        if time.monotonic_ns() - asked_ns > limit_ns:
            return HttpAnswer(seen=Seen.SILENT)
        time.sleep(_LOOK_S)
        start = line.recv(_STATUS_LINE, socket.MSG_PEEK)
    if not start:
        return HttpAnswer(seen=Seen.CLOSED, took_ns=took_ns)
    if start.endswith(b" 100"):
        line.recv(_READ)  # what is left unread would make a reset of the end
        return HttpAnswer(seen=Seen.ANSWERED, status=100, took_ns=took_ns)
    bounded = BoundedSocket(line, asked_ns + limit_ns, _HEAD_LIMIT + _BODY_LIMIT)
    response = bounded.response(probe.method)
    response.begin()
    body = response.read(_BODY_LIMIT)
    if response.length and len(body) < _BODY_LIMIT:
        return HttpAnswer(seen=Seen.CLOSED, took_ns=took_ns)
    return HttpAnswer(seen=Seen.ANSWERED, status=response.status, body=body, took_ns=took_ns)
