"""The proxy servers that a run starts and ends."""

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from gameday.edge.control import (
    Counters,
    ProxyControl,
    ProxyState,
    Stream,
    ToxicState,
)
from gameday.edge.transport import TOKEN_VARIABLE
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.host.variables import for_own
from gameday.host.waiting import free_ports
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
_LOOK_NS = SECOND // 20

_SUPERVISED = 'exec 3<&0; { read _ <&3; kill "$$"; } & exec "$0" "$@" 3<&- >&2'
"""Becomes a server that does not watch its parent, beside a child that ends it with stdin."""


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
    """gameday's own proxy: it ends with its stdin, and so with this process."""

    def __init__(self, process: subprocess.Popen[bytes], control: ProxyControl) -> None:
        self._process = process
        self._control = control

    @property
    def control(self) -> ProxyControl:
        """The adapter to this server."""
        return self._control

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._process.pid

    def stop(self, timeout_s: float) -> None:
        _end(self._process, timeout_s)


class ToxiproxyServer(OwnProxy):
    """The real Toxiproxy, under a shell that ends it when this process dies."""


def start_own_proxy(
    log: Path, seed: int, *options: str, token: str = "", stderr: int | None = None
) -> OwnProxy:
    """Start gameday's own proxy and return once it listens; EnvironmentRefused if it does not.

    With a token nobody else can change anything at it. `stderr` leads to its log, if it is given.
    """
    # -P keeps the working folder, which may hold a file of any name, off the import path.
    command = [sys.executable, "-P", "-m", "gameday.proxy", "--host", _LOOPBACK, "--port", "0"]
    process = _start([*command, "--seed", str(seed), *options], log, token, stderr)
    assert process.stdout is not None
    line = _first_line(process.stdout)
    if not line.endswith(b"\n"):
        raise _not_up(process, log)
    ready: dict[str, int] = json.loads(line)
    return OwnProxy(process, ProxyControl(_LOOPBACK, ready["port"], token=token))


def find_toxiproxy_server() -> Path | None:
    """Return the `toxiproxy-server` on PATH, if there is one."""
    found = shutil.which("toxiproxy-server")
    return Path(found) if found else None


def start_toxiproxy_server(path: Path, log: Path, stderr: int | None = None) -> ToxiproxyServer:
    """Start the real Toxiproxy and return once it answers; EnvironmentRefused if it does not."""
    for last in (False,) * (_PORT_TRIES - 1) + (True,):
        # It cannot choose a port and say which: another process may be quicker with ours.
        (port,) = free_ports(1)
        command = [
            "/bin/sh",
            "-c",
            _SUPERVISED,
            str(path),
            "-host",
            _LOOPBACK,
            "-port",
            str(port),
            "-proxy-metrics",
        ]
        process = _start(command, log, stderr=stderr)
        control = ProxyControl(_LOOPBACK, port, toxiproxy=True)
        if _answers(process, control):
            return ToxiproxyServer(process, control)
        error = _not_up(process, log)
        if last:
            raise error
    raise AssertionError("the last try returns or raises")


def _answers(process: subprocess.Popen[bytes], control: ProxyControl) -> bool:
    """Wait until the server answers, ends, or the limit is over."""
    give_up_ns = time.monotonic_ns() + int(_START_LIMIT_S * SECOND)
    while process.poll() is None and time.monotonic_ns() < give_up_ns:
        with suppress(EnvironmentRefused):
            control.wait_until_up(time.monotonic_ns() + _LOOK_NS)
            # A stranger on that port would answer, too.
            return process.poll() is None
    return False


def _start(
    command: list[str], log: Path, token: str = "", stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` out of reach of the terminal's Ctrl-C."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file if stderr is None else stderr,
            env={**for_own(), TOKEN_VARIABLE: token},
            start_new_session=True,
        )


def _not_up(process: subprocess.Popen[bytes], log: Path) -> EnvironmentRefused:
    """End what did not come up and say so."""
    ended = process.poll()
    _end(process, 0)
    seen = f"still ran after {_START_LIMIT_S:g} s" if ended is None else f"ended with {ended}"
    tail = log.read_text(errors="replace")[-_LOG_TAIL:]
    return EnvironmentRefused(
        f"the proxy did not report that it is listening; it {seen}; command: {process.args!r}; "
        f"its log:\n{tail}"
    )


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


def _end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Let `process` end by the end of its stdin; kill it if it stays."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            process.wait(_KILL_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise NotHealed(f"the proxy, process {process.pid}, survives SIGKILL") from error
