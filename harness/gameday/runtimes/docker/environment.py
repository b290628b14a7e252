"""The docker environment: official images, a proxy before every edge, one network a run.

Every service lives in the network of a companion container, which runs the proxy of the
service's incoming edges. Address, name and published ports belong to the companion, so they
outlive a kill, a restart and a removal of the service. And a dead service refuses connections at
once, as a dead process on a live host does: without the companion its address would vanish, and
a proxy would wait seconds for the name or the route (measured: 3.3 s added to a recovery).
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import docker
from docker.errors import DockerException
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from gameday.api.environment import (
    Checkpoint,
    Emit,
    Endpoint,
    EnvironmentConfig,
)
from gameday.api.packets import Datagrams
from gameday.api.traffic import Paths, Traffic
from gameday.cleanup.labels import OWNER_LABEL, RUN_LABEL, engine_name, make_folder
from gameday.cleanup.owner import this_owner
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.edge.connections import ControlledEdge, reaches
from gameday.edge.edges import proxy_name, traffic_of, traffic_so_far
from gameday.edge.image import TOXIPROXY_IMAGE, proxy_image
from gameday.edge.servers import ProxyControl
from gameday.edge.transport import TOKEN_VARIABLE
from gameday.errors import NotHealed
from gameday.host.docker_engine import engine_client, refusing, started
from gameday.host.docker_presence import engine_problem
from gameday.host.process_tree import is_of_container
from gameday.host.sockets import Peer, connections_in_network_of
from gameday.host.stages import side_by_side
from gameday.host.variables import for_containers
from gameday.host.waiting import READY_LIMIT_NS, busy_ports, free_ports, release_ports
from gameday.model.clock import SECOND, MonotonicClock
from gameday.model.scenario import CLIENT, Edge, ServiceSpec
from gameday.registry import KINDS
from gameday.runtimes.docker.clock import ContainerClock
from gameday.runtimes.docker.disk import disk_of
from gameday.runtimes.docker.images import bring
from gameday.runtimes.docker.network import ContainerNetwork, chain_of, send_datagrams
from gameday.runtimes.docker.options import bounds_of, save_log
from gameday.runtimes.docker.service import ContainerService
from gameday.runtimes.kinds import with_logins
from gameday.runtimes.passwords import new_password
from gameday.runtimes.program import container_path
from gameday.runtimes.variables import Need, variables_of

__all__ = ["ContainerEnvironment"]

_PROXY_API = 8474
_FIRST_FRONT = 21000
_API_LIMIT_S = 10
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Companion:
    """The container that owns a service's address, and the proxies before the service."""

    container: Container
    control: ProxyControl
    upstream: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outlook:
    """Where the connections of an edge's client are seen, and what they look like there."""

    pid: int
    """A process of the client's network."""
    proxied: Peer
    upstream: Peer


class ContainerEnvironment:
    """Containers of one run on a network of their own, all labelled with the run's id."""

    runtime = "docker"
    clock = MonotonicClock()

    def __init__(self, config: EnvironmentConfig) -> None:
        self._given = replace(config, target=with_logins(config.target))
        self._open = ExitStack()
        self._labels = {RUN_LABEL: config.run, OWNER_LABEL: this_owner()}
        self._network: Network | None = None
        self._fronts: dict[Edge, Endpoint] = {}
        self._companions: dict[str, _Companion] = {}
        self._services: dict[str, ContainerService] = {}
        self._clocks: dict[str, ContainerClock] = {}
        self._outlooks: dict[Edge, _Outlook | None] = {}
        self.proxy = config.proxy
        self.versions: dict[str, str] = {}
        # The containers are labelled before they start and removed by label; testcontainers'
        # reaper would only add an image to pull.
        testcontainers_config.ryuk_disabled = True
        # Its settings may name another engine than the one that everything else is asked of.
        testcontainers_config.tc_properties.pop("tc.host", None)

    def missing(self) -> tuple[str, ...]:
        if (problem := engine_problem()) is not None:
            return (f"{problem}, or use --gameday-runtime=process",)
        base = self._given.port_base
        busy = busy_ports(base, len(self._given.target.edges)) if base else None
        return () if busy is None else (busy,)

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        target = self._given.target
        wanted = {KINDS[spec.kind].image(spec): spec for spec in target.services}
        for image in sorted({self._proxy_image, *wanted}):
            checkpoint()
            self.versions[image] = bring(self._client, image, checkpoint, wanted.get(image))
        checkpoint()
        with refusing("creating the run's network"):
            self._network = Network(self._engine_kw, {"labels": self._labels})
            self._network.name = engine_name(self._given.run)
            # It has no end of its own.
            self._open.callback(self._network._docker.client.close)  # noqa: SLF001
            self._network.create()
        fixed = self._given.port_base
        number = len(target.edges)
        fronts = [fixed + n for n in range(number)] if fixed else free_ports(number)
        self._fronts = {
            edge: Endpoint(host=_LOOPBACK, port=port)
            for edge, port in zip(target.edges, fronts, strict=True)
        }
        began_ns = time.monotonic_ns()
        side_by_side(self._start_companion, target.services)
        version = self._companions[target.services[0].name].control.version()
        self.proxy = f"{self._given.proxy} {version}"
        emit("proxies", time.monotonic_ns() - began_ns, f"{number} edges behind {self.proxy}")
        for wave in target.waves:
            checkpoint()
            began_ns = time.monotonic_ns()
            for name, evidence in side_by_side(
                lambda spec: (spec.name, self._start_service(spec, checkpoint)), wave
            ):
                emit(name, time.monotonic_ns() - began_ns, evidence)

    @cached_property
    def _client(self) -> docker.DockerClient:
        """The engine, which `missing` has asked before anything else needs it."""
        return self._open.enter_context(closing(engine_client(_API_LIMIT_S)))

    @property
    def _engine_kw(self) -> dict[str, str]:
        """What keeps testcontainers from asking for the version, through a proxy perhaps."""
        return {"version": self._client.api.api_version}

    def service(self, name: str) -> ContainerService:
        return self._services[name]

    def proxied(self, edge: Edge) -> Endpoint:
        return self._fronts[edge]

    @property
    def edges(self) -> tuple[Edge, ...]:
        return self._given.target.edges

    def edge(self, edge: Edge) -> ControlledEdge:
        """Return the proxy of an edge, at the container's own address where this host reaches it.

        Behind a published port the engine's forwarder accepts before the proxy does: a reset
        arrives as an orderly end, and a refusal as a reset or an end after the connect.
        """
        companion = self._companions[edge.service]
        spec = self._services[edge.service].spec
        kind = KINDS[spec.kind]
        inside = self._inside(companion.container)
        proxied, upstream = self._fronts[edge], companion.upstream
        if inside is not None:
            proxied = Endpoint(host=inside, port=self._inner_proxied(edge))
            upstream = Endpoint(host=inside, port=kind.port)
        return ControlledEdge(
            companion.control,
            proxy_name(edge),
            proxied=proxied,
            upstream=upstream,
            dialect=kind.dialect(spec),
            forwarded=inside is None,
            resets_open=self._own_proxy,
        )

    def proxy_servers(self) -> tuple[Endpoint, ...]:
        return tuple(companion.control.endpoint for companion in self._companions.values())

    def network(self, service: str) -> ContainerNetwork:
        """Return the network of a service, which its companion holds."""
        return ContainerNetwork(self._companions[service].container, service, self._given.run)

    def inner_proxied(self, edge: Edge) -> Endpoint:
        address = self.network(edge.service).address
        return Endpoint(host=address, port=self._inner_proxied(edge))

    def new_chain(self) -> str:
        return chain_of(self._given.run)

    def send(self, datagrams: Datagrams) -> int:
        sender = None if datagrams.sender == CLIENT else self.network(datagrams.sender)
        return send_datagrams(datagrams, sender, self.network(datagrams.receiver))

    @property
    def run(self) -> str:
        return self._given.run

    def scratch(self) -> Path:
        return make_folder(self._given.run)

    def traffic_so_far(self) -> Mapping[Edge, Traffic] | None:
        return traffic_so_far(self.edges, (one.control for one in self._companions.values()))

    def traffic(self) -> Mapping[Edge, Traffic]:
        by_name: dict[str, tuple[int, int]] = {}
        for companion in self._companions.values():
            by_name |= companion.control.traffic()
        return traffic_of(self.edges, by_name)

    def paths(self, edge: Edge) -> Paths | None:
        """Look into the network of the client's companion, which the client shares.

        The kernel remembers there for a minute what the client has closed.
        """
        if edge not in self._outlooks:
            self._outlooks[edge] = self._outlook(edge)
        outlook = self._outlooks[edge]
        if outlook is None:
            return None
        seen = connections_in_network_of(outlook.pid)
        direct = [one for one in seen if one.peer == outlook.upstream]
        return Paths(
            through=frozenset(one.port for one in seen if one.peer == outlook.proxied),
            around=frozenset(one.port for one in direct if not one.over),
            around_closed=frozenset(one.port for one in direct if one.over),
        )

    def arrivals(self, service: str) -> frozenset[int] | None:
        return None

    def _outlook(self, edge: Edge) -> _Outlook | None:
        """Return where the client's connections are seen; no companion moves while it runs."""
        inside = self._inside(self._companions[edge.service].container)
        client = self._companions[edge.client].container
        with refusing(f"looking at the network of {edge.client}"):
            client.reload()
        pid = int(client.attrs["State"]["Pid"])
        if inside is None or not is_of_container(pid, str(client.id)):
            return None
        kind = KINDS[self._services[edge.service].spec.kind]
        proxied = Peer(inside, self._inner_proxied(edge))
        return _Outlook(pid=pid, proxied=proxied, upstream=Peer(inside, kind.port))

    def stop(self) -> None:
        problems: list[str] = []
        logs = [(name, s.container, s.past_log) for name, s in self._services.items()]
        logs += [(f"{name}-proxy", c.container, b"") for name, c in self._companions.items()]
        for name, container, past in logs:
            try:
                save_log(container, past, self._given.logs / f"{name}.log")
            except (DockerException, OSError) as error:
                problems.append(f"saving the log of {name}: {error}")
        reap(self._given.run, in_docker=True)
        release_ports()
        self._open.close()
        if problems:
            raise NotHealed("; ".join(problems))

    def leftovers(self) -> tuple[str, ...]:
        return leftovers_of(self._given.run, in_docker=True)

    def _start_companion(self, spec: ServiceSpec) -> None:
        """Start the holder of a service's address, with a proxy for each edge that leads to it."""
        kind = KINDS[spec.kind]
        direct, api = free_ports(2)
        incoming = [edge for edge in self._given.target.edges if edge.service == spec.name]
        ports = {self._inner_proxied(edge): self._fronts[edge].port for edge in incoming}
        # Our own ends with its stdin, which an engine holds open only when it is asked to.
        made = self._labelled(self._proxy_image, f"{spec.name}-proxy", stdin_open=self._own_proxy)
        assert self._network is not None
        made.with_network(self._network)
        made.with_network_aliases(spec.name)
        made.with_command(self._proxy_command())
        made.with_env(TOKEN_VARIABLE, token := new_password())
        # Its with_bind_ports knows no address, and a port on all interfaces is not ours to open.
        made.ports |= {
            f"{inner}/tcp": (_LOOPBACK, outer)  # type: ignore[misc]
            for inner, outer in {**ports, kind.port: direct, _PROXY_API: api}.items()
        }
        clock: ContainerClock | None = None
        if spec.name in self._given.features.clocks:
            clock = ContainerClock(f"{engine_name(self._given.run)}-{spec.name}-clock")
            clock.reach_from(made, self._client, self._labels)
            self._clocks[spec.name] = clock
        container = started(made)
        if clock is not None:
            clock.fill(container)
        control = ProxyControl(_LOOPBACK, api, toxiproxy=not self._own_proxy, token=token)
        control.wait_until_up(time.monotonic_ns() + READY_LIMIT_NS)
        for edge in incoming:
            listen = f"0.0.0.0:{self._inner_proxied(edge)}"
            upstream = f"{_LOOPBACK}:{kind.port}"
            http = edge in self._given.features.http
            control.create(proxy_name(edge), listen, upstream, http=http)
        self._companions[spec.name] = _Companion(
            container=container, control=control, upstream=Endpoint(host=_LOOPBACK, port=direct)
        )

    def _start_service(self, spec: ServiceSpec, checkpoint: Checkpoint) -> str:
        """Start a service in its companion's network and return the evidence that it is ready."""
        kind = KINDS[spec.kind]
        companion = self._companions[spec.name]
        disk = disk_of(spec, kind, self._given.run, self._labels, self._client)
        home = disk.folder if disk else "/tmp"  # noqa: S108
        needs = [
            Need(spec=self._spec(need), at=Endpoint(host=need, port=self._inner_proxied(edge)))
            for need in spec.needs
            for edge in (Edge(client=spec.name, service=need),)
        ]
        told = variables_of(spec, needs, host="0.0.0.0", port=kind.port, home=home)  # noqa: S104
        if spec.program is not None and spec.image is None:
            told["PYTHONPATH"] = container_path(spec)
        image = kind.image(spec)
        more = bounds_of(spec)
        more["network_mode"] = f"container:{companion.container.id}"
        clock = self._clocks.get(spec.name)
        if clock is not None:
            more["entrypoint"] = clock.entry_point(self._client.images.get(image).attrs["Config"])
        made = self._labelled(image, spec.name, **more)
        made.with_envs(**{**for_containers(), **told})
        made.with_command(kind.container_command(spec))
        for volume in (clock, disk):
            if volume is not None:
                volume.mount(made)
        service = ContainerService(spec, kind, started(made), companion.upstream, clock, disk)
        self._services[spec.name] = service
        evidence = service.wait_until_ready(READY_LIMIT_NS, checkpoint)
        service.refuse_without_clock()
        return evidence

    def _spec(self, name: str) -> ServiceSpec:
        return next(spec for spec in self._given.target.services if spec.name == name)

    @staticmethod
    def _inside(container: Container) -> str | None:
        """Return the container's address if this host reaches it, as a native engine's host does.

        A virtual machine between the two is the usual reason why not.
        """
        with refusing("looking at the proxy's container"):
            container.reload()
        for network in container.attrs["NetworkSettings"]["Networks"].values():
            host = str(network["IPAddress"])
            if host and reaches(Endpoint(host=host, port=_PROXY_API), SECOND):
                return host
        return None

    @property
    def _own_proxy(self) -> bool:
        return self._given.proxy == "own"

    @property
    def _proxy_image(self) -> str:
        return proxy_image() if self._own_proxy else TOXIPROXY_IMAGE

    def _proxy_command(self) -> list[str]:
        command = ["--host=0.0.0.0", f"--port={_PROXY_API}"]
        own = [f"--seed={self._given.seed}", "--beyond-loopback"]
        return [*command, *(own if self._own_proxy else ["-proxy-metrics"])]

    def _inner_proxied(self, edge: Edge) -> int:
        return _FIRST_FRONT + self._given.target.edges.index(edge)

    def _labelled(self, image: str, name: str, **more: object) -> DockerContainer:
        """Return a container to be, marked as this run's before it exists."""
        made = DockerContainer(image, self._engine_kw)
        client = made.get_docker_client().client
        client.api.trust_env = False
        self._open.callback(client.close)
        made.image = image  # which a variable of testcontainers may have put a registry before
        made.with_name(f"{engine_name(self._given.run)}-{name}")
        labels = {**self._labels, "gameday.service": name}
        # The proxy of the user's Docker settings is for the internet, and services are here.
        return made.with_kwargs(labels=labels, use_config_proxy=False, **{**bounds_of(), **more})
