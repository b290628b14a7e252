"""The embedded environment: the target's services as processes of this host, on loopback."""

import os
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil

from gameday.api.environment import (
    Checkpoint,
    Emit,
    Endpoint,
    EnvironmentConfig,
)
from gameday.api.mechanism import trial
from gameday.api.traffic import Paths, Traffic
from gameday.cleanup.labels import labelled, make_folder
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.edge.connections import ControlledEdge
from gameday.edge.edges import Edges, proxy_name, traffic_of, traffic_so_far
from gameday.edge.servers import (
    ProxyProcess,
    find_toxiproxy_server,
    start_own_proxy,
    start_toxiproxy_server,
)
from gameday.errors import NotHealed
from gameday.extras import docker_missing
from gameday.host.account import account
from gameday.host.faketime import FakeClock
from gameday.host.sockets import Peer, accepted_connections_of
from gameday.host.waiting import READY_LIMIT_NS, busy_ports, free_ports, release_ports
from gameday.model.clock import MonotonicClock
from gameday.model.scenario import Edge, ServiceSpec
from gameday.registry import KINDS
from gameday.runtimes.kinds import versions_of, with_logins
from gameday.runtimes.mechanisms.storage import BOUNDED_DISK
from gameday.runtimes.passwords import new_password
from gameday.runtimes.process.logs import Logs
from gameday.runtimes.process.service import ProcessService
from gameday.runtimes.variables import Need, process_variables

__all__ = ["ProcessEnvironment"]

_LOOPBACK = "127.0.0.1"
_STOP_LIMIT_S = 3.0
_PROXY = "(proxy)"
"""What the proxy is called among those that write a log: no service can have that name."""


class ProcessEnvironment:
    """Services on loopback behind a proxy process; everything ends with `stop`."""

    runtime = "process"
    clock = MonotonicClock()

    def __init__(self, config: EnvironmentConfig) -> None:
        self._given = replace(config, target=with_logins(config.target))
        self._home: Path | None = None
        self._logs: Logs | None = None
        self._proxy: ProxyProcess | None = None
        self._edges: Edges | None = None
        self._services: dict[str, ProcessService] = {}
        self.proxy = config.proxy
        self.versions: dict[str, str] = {}

    def missing(self) -> tuple[str, ...]:
        specs = self._given.target.services
        lacks = [KINDS[spec.kind].missing(spec) for spec in specs]
        if self._given.proxy == "toxiproxy":
            if find_toxiproxy_server() is None:
                lacks.append(
                    "proxy: no toxiproxy-server on PATH; install it, or use --gameday-proxy=own"
                )
            if absent := docker_missing():
                lacks.append(f"proxy: {absent.seen}; {absent.cure}, or use --gameday-proxy=own")
        if self._given.port_base:
            lacks.append(busy_ports(self._given.port_base, len(self._given.target.edges)))
        bounded = [spec.name for spec in specs if spec.disk_bytes is not None]
        if bounded and not (tried := trial(BOUNDED_DISK)).works:
            lacks.append(
                f"disk of {', '.join(bounded)} needs {BOUNDED_DISK.name}: {tried.seen}; "
                f"{tried.cure}"
            )
        return tuple(lack for lack in lacks if lack is not None)

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        self._home = make_folder(self._given.run)
        number = account()
        if number is not None:
            # The servers' account reaches its own folders through this one, and cannot list it.
            os.chown(self._home, -1, number)
            self._home.chmod(0o710 if account(with_a_name=True) == number else 0o711)
        target = self._given.target
        files = {spec.name: self._given.logs / f"{spec.name}.log" for spec in target.services}
        with labelled(self._given.run):
            self._logs = Logs({**files, _PROXY: self._given.logs / "proxy.log"})
            self._proxy = self._start_proxy()
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
                http=edge in self._given.features.http,
            )
        self.proxy = f"{self._given.proxy} {self._proxy.control.version()}"
        for wave in target.waves:
            checkpoint()
            for spec in wave:
                self._services[spec.name] = self._make(spec, ports[spec.name])
            with labelled(self._given.run):  # what prepares a service is part of the run, too
                self._start_wave(wave, emit, checkpoint)
        self.versions = versions_of(target.services)

    def service(self, name: str) -> ProcessService:
        return self._services[name]

    def proxied(self, edge: Edge) -> Endpoint:
        assert self._edges is not None, "start() comes first"
        return self._edges.proxied(edge)

    @property
    def edges(self) -> tuple[Edge, ...]:
        return self._given.target.edges

    def edge(self, edge: Edge) -> ControlledEdge:
        """Return the proxy of an edge, for faults and what is measured through them."""
        assert self._proxy is not None, "start() comes first"
        service = self._services[edge.service]
        return ControlledEdge(
            self._proxy.control,
            proxy_name(edge),
            proxied=self.proxied(edge),
            upstream=service.upstream,
            dialect=KINDS[service.spec.kind].dialect(service.spec),
            resets_open=self._given.proxy == "own",
        )

    @property
    def run(self) -> str:
        return self._given.run

    def scratch(self) -> Path:
        return make_folder(self._given.run)

    def proxy_servers(self) -> tuple[Endpoint, ...]:
        assert self._proxy is not None, "start() comes first"
        return (self._proxy.control.endpoint,)

    def traffic_so_far(self) -> Mapping[Edge, Traffic] | None:
        assert self._proxy is not None, "start() comes first"
        return traffic_so_far(self.edges, [self._proxy.control])

    def traffic(self) -> Mapping[Edge, Traffic]:
        assert self._proxy is not None, "start() comes first"
        return traffic_of(self.edges, self._proxy.control.traffic())

    def paths(self, edge: Edge) -> Paths | None:
        front, direct = self.proxied(edge), self._services[edge.service].upstream
        by_peer: dict[Peer, set[int]] = {
            Peer(front.host, front.port): set(),
            Peer(direct.host, direct.port): set(),
        }
        for connection in self._services[edge.client].connections():
            by_peer.get(connection.peer, set()).add(connection.port)
        through, around = (frozenset(ports) for ports in by_peer.values())
        return Paths(through=through, around=around)

    def arrivals(self, service: str) -> frozenset[int] | None:
        direct = self._services[service].upstream
        return accepted_connections_of(Peer(direct.host, direct.port))

    def stop(self) -> None:
        problems: list[Exception] = []
        for service in self._services.values():
            try:
                service.ask_to_end()
            except (OSError, psutil.Error) as error:
                problems.append(error)
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
        if self._logs is not None:
            try:
                self._logs.stop()
            except (OSError, subprocess.SubprocessError) as error:
                problems.append(error)
        reap(self._given.run, in_docker=False)
        release_ports()
        if problems:
            raise NotHealed("; ".join(str(problem) for problem in problems))

    def leftovers(self) -> tuple[str, ...]:
        return leftovers_of(self._given.run, in_docker=False)

    def _start_proxy(self) -> ProxyProcess:
        assert self._logs is not None
        log, stderr = self._logs.files[_PROXY], self._logs.writer(_PROXY)
        if self._given.proxy == "own":
            return start_own_proxy(log, self._given.seed, token=new_password(), stderr=stderr)
        server = find_toxiproxy_server()
        assert server is not None, "missing() is asked first"
        return start_toxiproxy_server(server, log, stderr)

    def _make(self, spec: ServiceSpec, port: int) -> ProcessService:
        assert self._home is not None
        assert self._logs is not None
        home = self._home / spec.name
        needs = [
            Need(spec=self._spec(need), at=self.proxied(Edge(client=spec.name, service=need)))
            for need in spec.needs
        ]
        return ProcessService(
            spec,
            KINDS[spec.kind],
            port=port,
            home=home,
            logs=self._logs,
            env=process_variables(spec, needs, port=port, home=home, run=self._given.run),
            clock=FakeClock(self._given.run, spec.name, self._home)
            if spec.name in self._given.features.clocks
            else None,
        )

    def _spec(self, name: str) -> ServiceSpec:
        return next(spec for spec in self._given.target.services if spec.name == name)

    def _start_wave(
        self, wave: tuple[ServiceSpec, ...], emit: Emit, checkpoint: Checkpoint
    ) -> None:
        """Start the services of one wave side by side: the slowest one sets the pace."""

        def start(spec: ServiceSpec) -> tuple[str, int, str]:
            began_ns = time.monotonic_ns()
            self._services[spec.name].start()
            evidence = self._services[spec.name].wait_until_ready(READY_LIMIT_NS, checkpoint)
            self._services[spec.name].refuse_without_clock()
            if spec.memory_bytes is not None or spec.pids is not None:
                evidence += "; its `memory:` and `pids:` hold in docker only"
            return spec.name, time.monotonic_ns() - began_ns, evidence

        with ThreadPoolExecutor(len(wave)) as pool:
            for name, took_ns, evidence in pool.map(start, wave):
                emit(name, took_ns, evidence)
