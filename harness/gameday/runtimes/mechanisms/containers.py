"""The Docker engine, what it makes containers of, and where their processes are."""

import platform
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING

from gameday.api.mechanism import Lacking, Mechanism, trial
from gameday.cleanup.labels import OWNER_LABEL, RUN_LABEL
from gameday.cleanup.owner import this_owner
from gameday.edge.image import TOXIPROXY_IMAGE, proxy_image
from gameday.host.docker_presence import engine_trouble
from gameday.host.process_tree import of_container
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.runtimes.program import app_image

if TYPE_CHECKING:
    import docker

__all__ = ["CONTAINERS_HERE", "ENGINE", "images"]

_LIMIT_S = 20
_ELSEWHERE = "run on the host of the engine, not in a container or beside a virtual machine"


def _answers() -> str:
    trouble = engine_trouble()
    if trouble is not None:
        raise Lacking(trouble.seen, trouble.cure)
    with closing(_client()) as engine:
        return f"version {engine.version()['Version']} answers"


ENGINE = Mechanism(
    name="Docker engine",
    used_for="the docker environment",
    cure="install and start a Docker engine",
    check=_answers,
    instead="the process environment",
)


def images() -> Iterator[Mechanism]:
    """Yield each image that containers of the bundled kinds, and their proxies, are made of."""
    users = {TOXIPROXY_IMAGE: ["the proxies of docker"]}
    users[proxy_image()] = ["the proxies of docker, where a fault needs gameday's own"]
    for name, kind in KINDS.items():
        users.setdefault(kind.image(ServiceSpec(name=name, kind=name)), []).append(name)
    built = (proxy_image(), app_image())
    for image, names in users.items():
        yield Mechanism(
            name=f"image {image}",
            used_for=", ".join(names),
            cure=f"it is {'built' if image in built else 'pulled'} when it is first needed",
            check=partial(_is_here, image),
        )


def _is_here(image: str) -> str:
    from docker.errors import ImageNotFound

    with closing(_engine()) as engine:
        try:
            size = int(engine.images.get(image).attrs["Size"])
        except ImageNotFound:
            raise OSError("not here yet") from None
    return f"here, {size / 1e6:.0f} MB"


def _are_here() -> str:
    """Start a container and look for its process among those of this host."""
    from docker.errors import ImageNotFound

    from gameday.host.docker_engine import refusing

    usual = (kind.image(ServiceSpec(name=name, kind=name)) for name, kind in KINDS.items())
    with refusing("starting a container"), closing(_engine()) as engine:
        for image in (TOXIPROXY_IMAGE, *usual):
            try:
                engine.images.get(image)
            except ImageNotFound:
                continue
            return _seen_of(engine, image)
        kernel = str(engine.info()["KernelVersion"])
    if kernel != platform.release():
        raise Lacking(
            f"the engine runs on a kernel {kernel}, this host on {platform.release()}", _ELSEWHERE
        )
    return "the engine runs on this kernel; no image is here yet to start a container of"


def _seen_of(engine: "docker.DockerClient", image: str) -> str:
    container = engine.containers.create(
        image,
        network_mode="none",
        labels={RUN_LABEL: token_hex(4), OWNER_LABEL: this_owner()},
    )
    try:
        container.start()
        seen = of_container(str(container.id))
        container.reload()
        number = int(container.attrs["State"]["Pid"])
    finally:
        container.remove(force=True, v=True)
    if not seen:
        raise Lacking(
            f"process {number} of a container is not among this host's, where the engine "
            "does not run",
            _ELSEWHERE,
        )
    return f"process {seen[0].pid} was that of a container"


def _engine() -> "docker.DockerClient":
    tried = trial(ENGINE)
    if not tried.works:
        raise Lacking(f"no Docker engine to ask: {tried.seen}", tried.cure)
    return _client()


def _client() -> "docker.DockerClient":
    from gameday.host.docker_engine import engine_client

    return engine_client(_LIMIT_S)


CONTAINERS_HERE = Mechanism(
    name="containers' processes on this host",
    used_for="resource faults, kill-inside, connection-flood, partition and packet-loss in docker",
    cure=_ELSEWHERE,
    check=_are_here,
)
