"""The embedded environment: the target's services as processes of this host, on loopback."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from gameday.environment.edges import Edges
from gameday.environment.protocol import (
    Checkpoint,
    Emit,
    Endpoint,
    Surroundings,
    Vitals,
)
from gameday.environment.proxies import (
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)
from gameday.environment.services import KINDS, ServiceKind
from gameday.environment.waiting import READY_LIMIT_NS, busy_ports, free_ports, until_ready
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.model.result import Window
from gameday.model.scenario import Edge, ServiceSpec
from gameday.resources import bundled

__all__ = ["ProcessEnvironment", "ProcessService"]

_LOOPBACK = "127.0.0.1"
_STOP_LIMIT_S = 3.0


class ProcessService:
    """One service as a process of its own session, so that a Ctrl-C does not reach it."""

    def __init__(
        self,
        spec: ServiceSpec,
        kind: ServiceKind,
        *,
        port: int,
        home: Path,
        log: Path,
        env: Mapping[str, str],
    ) -> None:
        self.spec = spec
        self._kind = kind
        self._home = home
        self._log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._started = ""
        self.direct = Endpoint(host=_LOOPBACK, port=port)

    def start(self) -> None:
        """Start the process; its data, its port and its log are those of every start."""
        self._home.mkdir(parents=True, exist_ok=True)
        own = self._kind.environment(
            self.spec, host=_LOOPBACK, port=self.direct.port, home=str(self._home)
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._kind.process_command(self.spec, port=self.direct.port, home=self._home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env={**os.environ, **own, **self._env, **self.spec.env},
                start_new_session=True,
            )
        self._started = f"{psutil.Process(self._process.pid).create_time():.2f}"

    def check(self) -> str:
        return self._kind.check(self.direct)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        def check_alive() -> str:
            vitals = self.vitals()
            if not vitals.alive:
                raise EnvironmentRefused(
                    f"{self.spec.name} ended with exit code {vitals.exit_code} while it started:\n"
                    f"{_tail(self._log)}"
                )
            return self.check()

        return until_ready(self.spec.name, check_alive, limit_ns=limit_ns, checkpoint=checkpoint)

    def vitals(self) -> Vitals:
        if self._process is None:
            return Vitals(alive=False, pid=0, started="", exit_code=None)
        code = self._process.poll()
        return Vitals(
            alive=code is None,
            pid=self._process.pid,
            started=self._started,
            exit_code=128 - code if code is not None and code < 0 else code,
        )

    def kill(self, number: signal.Signals) -> Window:
        called_ns = time.monotonic_ns()
        if self._process is not None:
            self._process.send_signal(number)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        if not self.vitals().alive:
            self.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def ask_to_end(self) -> None:
        """Send SIGTERM, to a process that may be stopped."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)

    def make_end(self, limit_s: float) -> None:
        """Wait for the end for `limit_s` seconds, then force it; NotHealed if even that fails."""
        if self._process is None:
            return
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(limit_s)
            except subprocess.TimeoutExpired:
                raise NotHealed(
                    f"{self.spec.name}: process {self._process.pid} does not end by SIGKILL"
                ) from None


class ProcessEnvironment:
    """Services on loopback behind a proxy process; everything ends with `stop`."""

    runtime = "process"

    def __init__(self, surroundings: Surroundings) -> None:
        self._given = surroundings
        self._home: Path | None = None
        self._proxy: ProxyProcess | None = None
        self._edges: Edges | None = None
        self._services: dict[str, ProcessService] = {}
        self.proxy = surroundings.proxy

    def missing(self) -> tuple[str, ...]:
        specs = self._given.target.services
        lacks = [KINDS[spec.kind].missing(spec) for spec in specs]
        if self._given.proxy == "toxiproxy" and find_toxiproxy_server() is None:
            lacks.append(
                "proxy: no toxiproxy-server on PATH; install it, or use --gameday-proxy=own"
            )
        if self._given.port_base:
            lacks.append(busy_ports(self._given.port_base, len(self._given.target.edges)))
        return tuple(lack for lack in lacks if lack is not None)

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        self._home = Path(tempfile.mkdtemp(prefix=f"gameday-{self._given.run}-"))
        self._proxy = self._start_proxy()
        target = self._given.target
        ports = dict(
            zip((s.name for s in target.services), free_ports(len(target.services)), strict=True)
        )
        self._edges = Edges(self._proxy.control)
        base = self._given.port_base
        for number, edge in enumerate(target.edges):
            self._edges.open(
                edge,
                listen=f"{_LOOPBACK}:{base + number if base else 0}",
                upstream=f"{_LOOPBACK}:{ports[edge.service]}",
            )
        self.proxy = f"{self._given.proxy} {self._proxy.control.version()}"
        for wave in target.waves:
            checkpoint()
            for spec in wave:
                self._services[spec.name] = self._make(spec, ports[spec.name])
                self._services[spec.name].start()
            self._await_wave(wave, emit, checkpoint)

    def service(self, name: str) -> ProcessService:
        return self._services[name]

    def front(self, edge: Edge) -> Endpoint:
        assert self._edges is not None, "start() comes first"
        return self._edges.front(edge)

    def stop(self) -> None:
        problems: list[Exception] = []
        for service in self._services.values():
            service.ask_to_end()
        for service in self._services.values():
            try:
                service.make_end(_STOP_LIMIT_S)
            except NotHealed as error:
                problems.append(error)
        if self._proxy is not None:
            try:
                self._proxy.stop(_STOP_LIMIT_S)
            except (NotHealed, OSError, subprocess.SubprocessError) as error:
                problems.append(error)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
        if problems:
            raise NotHealed("; ".join(str(problem) for problem in problems))

    def leftovers(self) -> tuple[str, ...]:
        left = [
            f"process {service.vitals().pid} of {name}"
            for name, service in self._services.items()
            if service.vitals().alive
        ]
        if self._proxy is not None and psutil.pid_exists(self._proxy.pid):
            left.append(f"process {self._proxy.pid} of the proxy")
        if self._home is not None and self._home.exists():
            left.append(f"folder {self._home}")
        return tuple(left)

    def _start_proxy(self) -> ProxyProcess:
        log = self._given.logs / "proxy.log"
        if self._given.proxy == "own":
            return start_own_proxy(log, self._given.seed)
        server = find_toxiproxy_server()
        assert server is not None, "missing() is asked first"
        return start_toxiproxy_server(server, log)

    def _make(self, spec: ServiceSpec, port: int) -> ProcessService:
        assert self._home is not None
        env = {"PYTHONPATH": str(bundled("targets"))}
        for need in spec.needs:
            front = self.front(Edge(client=spec.name, service=need))
            env |= {f"{need.upper()}_HOST": front.host, f"{need.upper()}_PORT": str(front.port)}
        return ProcessService(
            spec,
            KINDS[spec.kind],
            port=port,
            home=self._home / spec.name,
            log=self._given.logs / f"{spec.name}.log",
            env=env,
        )

    def _await_wave(
        self, wave: tuple[ServiceSpec, ...], emit: Emit, checkpoint: Checkpoint
    ) -> None:
        """Wait for the services of one wave side by side: the slowest one sets the pace."""

        def wait(spec: ServiceSpec) -> tuple[str, int, str]:
            began_ns = time.monotonic_ns()
            evidence = self._services[spec.name].wait_until_ready(READY_LIMIT_NS, checkpoint)
            return spec.name, time.monotonic_ns() - began_ns, evidence

        with ThreadPoolExecutor(len(wave)) as pool:
            for name, took_ns, evidence in pool.map(wait, wave):
                emit(name, took_ns, evidence)


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
