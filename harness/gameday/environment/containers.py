"""The docker environment: official images, Toxiproxy before every edge, one network a run."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import docker
import requests
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.networks import Network as DockerNetwork
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from gameday.environment.edges import Edges
from gameday.environment.protocol import (
    Checkpoint,
    Emit,
    Endpoint,
    NotReadyError,
    Surroundings,
    Vitals,
)
from gameday.environment.proxies import ProxyControl
from gameday.environment.services import KINDS, ServiceKind
from gameday.environment.services.app import app_image
from gameday.environment.waiting import READY_LIMIT_NS, free_ports, until_ready
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.model.result import Window
from gameday.model.scenario import Edge, ServiceSpec
from gameday.resources import bundled

__all__ = ["RUN_LABEL", "ContainerEnvironment", "ContainerService", "engine_problem"]

RUN_LABEL = "gameday.run"
"""Stands on everything that a run creates, with the run's id as its value."""

TOXIPROXY_IMAGE = "ghcr.io/shopify/toxiproxy:2.12.0"
_TOXIPROXY_API = 8474
_TOXIPROXY_FIRST_FRONT = 21000
_API_LIMIT_S = 10
_LOOPBACK = "127.0.0.1"


def engine_problem() -> str | None:
    """Return why no Docker engine can be used, or None when one answers."""
    try:
        client = docker.from_env(timeout=3)
        try:
            client.ping()
        finally:
            client.close()
    except (DockerException, requests.RequestException) as error:
        return f"no Docker engine answers: {str(error).splitlines()[0]}"
    return None


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise EnvironmentRefused(f"{what}: {error}") from error


class ContainerService:
    """One service in a container whose published port stays the same over restarts."""

    def __init__(
        self, spec: ServiceSpec, kind: ServiceKind, container: Container, port: int
    ) -> None:
        self.spec = spec
        self._kind = kind
        self._container = container
        self.direct = Endpoint(host=_LOOPBACK, port=port)

    def check(self) -> str:
        return self._kind.check(self.direct)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        next_look_ns = 0

        def check_alive() -> str:
            nonlocal next_look_ns
            try:
                return self.check()
            except NotReadyError:
                if time.monotonic_ns() > next_look_ns:
                    self._refuse_if_ended()
                    next_look_ns = time.monotonic_ns() + READY_LIMIT_NS // 100
                raise

        return until_ready(self.spec.name, check_alive, limit_ns=limit_ns, checkpoint=checkpoint)

    def vitals(self) -> Vitals:
        with _refusing(f"looking at the container of {self.spec.name}"):
            self._container.reload()
        state: Mapping[str, object] = self._container.attrs["State"]
        alive = bool(state["Running"])
        return Vitals(
            alive=alive,
            pid=int(str(state["Pid"])),
            started=str(state["StartedAt"]),
            exit_code=None if alive else int(str(state["ExitCode"])),
        )

    def kill(self, number: signal.Signals) -> Window:
        """Signal the host's pid where that is this container's process, else ask the engine.

        The first takes microseconds, the second a fifth of a second: that width goes into the
        uncertainty of every time that is counted from the fault.
        """
        pid = self.vitals().pid
        called_ns = time.monotonic_ns()
        if self._is_ours(pid):
            os.kill(pid, number)
        else:
            called_ns = time.monotonic_ns()
            with _refusing(f"killing {self.spec.name}"):
                self._container.kill(signal=number.name)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        with _refusing(f"starting {self.spec.name} again"):
            self._container.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def save_log(self, path: Path) -> None:
        """Write what all starts of this container printed."""
        path.write_bytes(self._container.logs(timestamps=True))

    def _is_ours(self, pid: int) -> bool:
        """Whether `pid` of this host's /proc is a process of this very container."""
        try:
            return str(self._container.id) in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False

    def _refuse_if_ended(self) -> None:
        vitals = self.vitals()
        if not vitals.alive:
            log = self._container.logs(tail=10).decode(errors="replace")
            raise EnvironmentRefused(
                f"{self.spec.name} ended with exit code {vitals.exit_code} while it started:\n{log}"
            )


class ContainerEnvironment:
    """Containers of one run on a network of their own, all labelled with the run's id."""

    runtime = "docker"

    def __init__(self, surroundings: Surroundings) -> None:
        self._given = surroundings
        self._labels = {RUN_LABEL: surroundings.run}
        self._client = docker.from_env(timeout=_API_LIMIT_S)
        self._network: Network | None = None
        self._edges: Edges | None = None
        self._services: dict[str, ContainerService] = {}
        self.proxy = "toxiproxy"
        # The containers are labelled before they start and removed by label; testcontainers'
        # reaper would only add an image to pull.
        testcontainers_config.ryuk_disabled = True

    def missing(self) -> tuple[str, ...]:
        problem = engine_problem()
        if problem is not None:
            return (f"{problem}; start one, or use --gameday-runtime=process",)
        if self._given.proxy == "own":
            return (
                "proxy: gameday's own proxy is a process of this host; "
                "use --gameday-proxy=toxiproxy, or --gameday-runtime=process",
            )
        return ()

    def start(self, emit: Emit, checkpoint: Checkpoint) -> None:
        target = self._given.target
        self._bring_images(checkpoint)
        checkpoint()
        with _refusing("creating the run's network"):
            self._network = Network(docker_network_kw={"labels": self._labels})
            self._network.name = f"gameday-{self._given.run}"
            self._network.create()
        waves = [(None, *target.waves[0]), *target.waves[1:]]
        ports = dict(
            zip((s.name for s in target.services), free_ports(len(target.services)), strict=True)
        )
        for wave in waves:
            checkpoint()
            self._start_wave(wave, ports, emit, checkpoint)

    def service(self, name: str) -> ContainerService:
        return self._services[name]

    def front(self, edge: Edge) -> Endpoint:
        assert self._edges is not None, "start() comes first"
        return self._edges.front(edge)

    def stop(self) -> None:
        problems: list[str] = []
        for name, service in self._services.items():
            try:
                service.save_log(self._given.logs / f"{name}.log")
            except (DockerException, requests.RequestException, OSError) as error:
                problems.append(f"saving the log of {name}: {error}")
        containers = self._ours()
        if containers:
            with ThreadPoolExecutor(len(containers)) as pool:
                problems += [p for p in pool.map(_remove, containers) if p is not None]
        for network in self._networks():
            try:
                network.remove()
            except (DockerException, requests.RequestException) as error:
                problems.append(f"removing the network {network.name}: {error}")
        if problems:
            raise NotHealed("; ".join(problems))

    def leftovers(self) -> tuple[str, ...]:
        containers = [f"container {c.name}" for c in self._ours()]
        networks = [f"network {n.name}" for n in self._networks()]
        volumes = [f"volume {v.name}" for v in self._client.volumes.list(filters=self._only_ours())]
        return (*containers, *networks, *volumes)

    def _only_ours(self) -> dict[str, str | list[str] | bool]:
        return {"label": f"{RUN_LABEL}={self._given.run}"}

    def _ours(self) -> list[Container]:
        return list(self._client.containers.list(all=True, filters=self._only_ours()))

    def _networks(self) -> list[DockerNetwork]:
        return list(self._client.networks.list(filters=self._only_ours()))

    def _bring_images(self, checkpoint: Checkpoint) -> None:
        """Make sure of every image: pull the official ones, build that of the bundled services."""
        wanted = {KINDS[s.kind].image(s) for s in self._given.target.services}
        for image in sorted({TOXIPROXY_IMAGE, *wanted}):
            checkpoint()
            try:
                self._client.images.get(image)
            except ImageNotFound:
                with _refusing(f"image {image} is not here and cannot be had"):
                    if image == app_image():
                        self._build(image, checkpoint)
                    else:
                        self._pull(image, checkpoint)

    def _pull(self, image: str, checkpoint: Checkpoint) -> None:
        for line in self._client.api.pull(image, stream=True, decode=True):
            checkpoint()
            if "error" in line:
                raise DockerException(str(line["error"]))

    def _build(self, image: str, checkpoint: Checkpoint) -> None:
        log: list[str] = []
        for line in self._client.api.build(
            path=str(bundled("targets")),
            dockerfile="images/apps/Dockerfile",
            tag=image,
            rm=True,
            forcerm=True,
            decode=True,
            labels={"gameday.image": "apps"},
        ):
            checkpoint()
            log.append(str(line.get("stream", "")))
            if "error" in line:
                raise BuildError(f"{line['error']}\n{''.join(log[-10:])}", iter(()))

    def _start_wave(
        self,
        wave: tuple[ServiceSpec | None, ...],
        ports: Mapping[str, int],
        emit: Emit,
        checkpoint: Checkpoint,
    ) -> None:
        """Start the services of one wave side by side; None stands for the proxy."""

        def start(spec: ServiceSpec | None) -> tuple[str, int, str]:
            began_ns = time.monotonic_ns()
            if spec is None:
                evidence = self._start_proxy(checkpoint)
            else:
                service = self._make(spec, ports[spec.name])
                self._services[spec.name] = service
                evidence = service.wait_until_ready(READY_LIMIT_NS, checkpoint)
            return spec.name if spec else "toxiproxy", time.monotonic_ns() - began_ns, evidence

        with ThreadPoolExecutor(len(wave)) as pool:
            for name, took_ns, evidence in pool.map(start, wave):
                emit(name, took_ns, evidence)

    def _make(self, spec: ServiceSpec, port: int) -> ContainerService:
        kind = KINDS[spec.kind]
        env = dict(kind.environment(spec, host="0.0.0.0", port=kind.port, home="/tmp"))  # noqa: S104, S108
        for need in spec.needs:
            inner = self._inner_front(Edge(client=spec.name, service=need))
            env |= {f"{need.upper()}_HOST": "toxiproxy", f"{need.upper()}_PORT": str(inner)}
        container = self._run(
            kind.image(spec),
            alias=spec.name,
            env={**env, **spec.env},
            ports={f"{kind.port}/tcp": port},
            configure=lambda c: c.with_command(kind.container_command(spec)),
        )
        return ContainerService(spec, kind, container, port)

    def _start_proxy(self, checkpoint: Checkpoint) -> str:
        """Start Toxiproxy with one listening port an edge, each published on loopback."""
        edges = self._given.target.edges
        fixed = self._given.port_base
        fronts = [fixed + n for n in range(len(edges))] if fixed else free_ports(len(edges))
        (api,) = free_ports(1)
        published = {f"{self._inner_front(edge)}/tcp": fronts[n] for n, edge in enumerate(edges)}
        container = self._run(
            TOXIPROXY_IMAGE,
            alias="toxiproxy",
            env={},
            ports={**published, f"{_TOXIPROXY_API}/tcp": api},
            configure=lambda c: c.with_command(["-host=0.0.0.0"]),
        )
        control = ProxyControl(_LOOPBACK, api)
        control.wait_until_up(time.monotonic_ns() + READY_LIMIT_NS)
        checkpoint()
        self._edges = Edges(control)
        for edge, port in zip(edges, fronts, strict=True):
            self._edges.open(
                edge,
                listen=f"0.0.0.0:{self._inner_front(edge)}",
                upstream=f"{edge.service}:{self._inner_port(edge.service)}",
                published=Endpoint(host=_LOOPBACK, port=port),
            )
        self.proxy = f"toxiproxy {control.version()}"
        return f"Toxiproxy {control.version()} in {container.short_id}"

    def _inner_front(self, edge: Edge) -> int:
        return _TOXIPROXY_FIRST_FRONT + self._given.target.edges.index(edge)

    def _inner_port(self, service: str) -> int:
        spec = next(s for s in self._given.target.services if s.name == service)
        return KINDS[spec.kind].port

    def _run(
        self,
        image: str,
        *,
        alias: str,
        env: Mapping[str, str],
        ports: Mapping[str, int],
        configure: Callable[[DockerContainer], object],
    ) -> Container:
        """Create and start a labelled container, reachable on the run's network as `alias`."""
        assert self._network is not None
        made = DockerContainer(image)
        made.with_name(f"gameday-{self._given.run}-{alias}")
        made.with_envs(**env)
        made.with_network(self._network)
        made.with_network_aliases(alias)
        # Its with_bind_ports knows no address, and a port on all interfaces is not ours to open.
        made.ports |= {inner: (_LOOPBACK, outer) for inner, outer in ports.items()}  # type: ignore[misc]
        made.with_kwargs(labels={**self._labels, "gameday.service": alias})
        configure(made)
        with _refusing(f"starting {alias} from {image}"):
            made.start()
        return made.get_wrapped_container()


def _remove(container: Container) -> str | None:
    """Remove a container with its anonymous volumes, whatever its state; return what failed."""
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return None
    except (APIError, requests.RequestException) as error:
        return f"removing the container {container.name}: {error}"
    return None
