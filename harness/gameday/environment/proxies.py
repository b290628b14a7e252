"""The proxy servers that a run starts for itself, and ends."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from gameday.environment.proxy_control import (
    Counters,
    ProxyControl,
    ProxyState,
    Stream,
    ToxicState,
)
from gameday.environment.waiting import free_ports
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.model.clock import SECOND

__all__ = [
    "Counters",
    "OwnProxy",
    "ProxyControl",
    "ProxyProcess",
    "ProxyState",
    "Stream",
    "ToxicState",
    "ToxiproxyServer",
    "find_toxiproxy_server",
    "start_own_proxy",
    "start_toxiproxy_server",
]

_LOOPBACK = "127.0.0.1"
_START_LIMIT_S = 10.0
_KILL_LIMIT_S = 5.0
_PORT_TRIES = 3
_LOG_TAIL = 2000

_SUPERVISED = '"$0" "$@" >&2 & echo "$!"; read _; kill "$!"; wait "$!"'
"""Runs a server that does not watch its parent, prints its pid, and ends it when stdin ends."""


class ProxyProcess(Protocol):
    """A proxy server that this process started."""

    @property
    def control(self) -> ProxyControl: ...

    @property
    def pid(self) -> int: ...

    def stop(self, timeout_s: float) -> None:
        """End it, by force after `timeout_s`; does nothing the second time. Raises NotHealed."""
        ...


class OwnProxy:
    """gameday's own proxy: it ends when its stdin does, so also when this process dies."""

    def __init__(self, process: subprocess.Popen[bytes], control: ProxyControl, pid: int) -> None:
        self._process = process
        self._control = control
        self._pid = pid

    @property
    def control(self) -> ProxyControl:
        """The adapter to this server."""
        return self._control

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._pid

    def stop(self, timeout_s: float) -> None:
        _end(self._process, self._pid, timeout_s)


class ToxiproxyServer(OwnProxy):
    """The real Toxiproxy, under a shell that ends it when this process dies."""


def start_own_proxy(log: Path, seed: int) -> OwnProxy:
    """Start gameday's own proxy and return once it listens; EnvironmentRefused if it does not."""
    # -P keeps the working folder, which may hold a file of any name, off the import path.
    command = [sys.executable, "-P", "-m", "gameday.proxy", "--host", _LOOPBACK, "--port", "0"]
    process, line = _start([*command, "--seed", str(seed)], log)
    ready: dict[str, int] = json.loads(line)
    return OwnProxy(process, ProxyControl(_LOOPBACK, ready["port"]), ready["pid"])


def find_toxiproxy_server() -> Path | None:
    """Return the `toxiproxy-server` on PATH, if there is one."""
    found = shutil.which("toxiproxy-server")
    return Path(found) if found else None


def start_toxiproxy_server(path: Path, log: Path) -> ToxiproxyServer:
    """Start the real Toxiproxy and return once it answers; EnvironmentRefused if it does not."""
    for last in (False,) * (_PORT_TRIES - 1) + (True,):
        # It cannot choose a port and say which: another process may be quicker with ours.
        (port,) = free_ports(1)
        command = ["/bin/sh", "-c", _SUPERVISED, str(path), "-host", _LOOPBACK, "-port", str(port)]
        process, line = _start(command, log)
        server = ToxiproxyServer(process, ProxyControl(_LOOPBACK, port), int(line))
        try:
            server.control.wait_until_up(time.monotonic_ns() + int(_START_LIMIT_S * SECOND))
        except EnvironmentRefused as error:
            server.stop(_KILL_LIMIT_S)
            if last:
                raise EnvironmentRefused(f"{error}\n{_tail(log)}") from error
        else:
            return server
    raise AssertionError("the last try returns or raises")


def _start(command: list[str], log: Path) -> tuple[subprocess.Popen[bytes], bytes]:
    """Start `command` out of reach of the terminal's Ctrl-C and return its first line."""
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    assert process.stdout is not None
    line = _first_line(process.stdout)
    if not line.endswith(b"\n"):
        _end(process, process.pid, 0)
        raise EnvironmentRefused(
            f"the proxy did not say that it listens within {_START_LIMIT_S:g} s; "
            f"command: {command}; exit code {process.returncode}; its log:\n{_tail(log)}"
        )
    return process, line


def _first_line(stream: IO[bytes]) -> bytes:
    """Read up to the first line end, the end of the stream, or the limit."""
    give_up_s = time.monotonic() + _START_LIMIT_S
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, give_up_s - time.monotonic())):
                return line
            some = os.read(stream.fileno(), 1)
            if not some:
                return line
            line += some
    return line


def _end(process: subprocess.Popen[bytes], pid: int, timeout_s: float) -> None:
    """Let `process` and its server `pid` end by the end of stdin; kill what stays."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        # The process leads a group of its own, and the group's number cannot become anybody else's
        # before the process has been waited for.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(_KILL_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise NotHealed(f"the proxy, process {pid}, survives SIGKILL") from error


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-_LOG_TAIL:]
