"""What the engine holds for a run, by its labels, and its removal despite resistance."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import docker
import requests
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from gameday.cleanup.labels import OWNER_LABEL, RUN_LABEL, engine_name
from gameday.errors import NotHealed
from gameday.host.docker_engine import engine_client, refusing
from gameday.host.stages import each

__all__ = ["held", "owners_held", "remove_held"]

_ENGINE_LIMIT_S = 20
_TRIES = 3
_PAUSE_S = 0.2

_Thing = TypeVar("_Thing", Container, Network, Volume)


def held(run: str) -> tuple[str, ...]:
    """Return the name of each thing that the engine holds for a run."""
    only = f"{RUN_LABEL}={run}"
    with _engine() as engine:
        return (
            *(f"container {container.name}" for container in _containers(engine, only)),
            *(f"network {network.name}" for network in _networks(engine, only)),
            *(f"volume {volume.name}" for volume in _volumes(engine, only)),
        )


def owners_held() -> dict[str, str]:
    """Return the owner of every run of which the engine holds anything."""
    with _engine() as engine:
        labels: list[Mapping[str, str]] = [
            *((volume.attrs or {}).get("Labels") or {} for volume in _volumes(engine, RUN_LABEL)),
            *((net.attrs or {}).get("Labels") or {} for net in _networks(engine, RUN_LABEL)),
            *(container.labels for container in _containers(engine, RUN_LABEL)),
        ]
    return {one[RUN_LABEL]: one.get(OWNER_LABEL, "") for one in labels if RUN_LABEL in one}


def remove_held(run: str) -> Iterator[str]:
    """Remove all that the engine holds for a run; yield the name of each, and how it went.

    Containers are thawed, killed and removed; then whoever else is attached to the run's own
    network is cut off and the network removed; then the volumes. No failure keeps the next step
    from its part. NotHealed names what is still there, and why.
    """
    only = f"{RUN_LABEL}={run}"
    with _engine() as engine:
        yield from each(
            f"removing what the engine holds for run {run}",
            (
                _all_gone(partial(_containers, engine, only), _remove_container),
                _all_gone(partial(_networks, engine, only), _remove_network),
                _all_gone(partial(_volumes, engine, only), _remove_volume),
            ),
        )


def _containers(engine: docker.DockerClient, label: str) -> list[Container]:
    found: list[Container] = engine.containers.list(
        all=True, filters={"label": label}, ignore_removed=True
    )
    return [container for container in found if _was_made_by_a_run(container)]


def _was_made_by_a_run(container: Container) -> bool:
    """Tell whether the label is the container's own: an image hands its labels down.

    Whoever commits a container of a run, and starts another one of that image, has the label too.
    """
    run = container.labels[RUN_LABEL]
    if str(container.name).startswith(f"{engine_name(run)}-"):
        return True
    try:
        image = container.image
    except NotFound:
        return False
    return image is None or image.labels.get(RUN_LABEL) != run


def _networks(engine: docker.DockerClient, label: str) -> list[Network]:
    return list(engine.networks.list(filters={"label": label}))


def _volumes(engine: docker.DockerClient, label: str) -> list[Volume]:
    return list(engine.volumes.list(filters={"label": label}))


def _all_gone(
    find: Callable[[], list[_Thing]], remove: Callable[[_Thing], str | NotHealed | None]
) -> Iterator[str]:
    """Remove what is found until nothing is, side by side; the engine may be at it by itself."""
    resisting: list[NotHealed] = []
    for _ in range(_TRIES):
        if resisting:
            time.sleep(_PAUSE_S)
        found = find()
        if not found:
            return
        with ThreadPoolExecutor(len(found)) as pool:
            outcomes = list(pool.map(remove, found))
        yield from (outcome for outcome in outcomes if isinstance(outcome, str))
        resisting = [outcome for outcome in outcomes if isinstance(outcome, NotHealed)]
    if resisting:
        raise ExceptionGroup("what the engine does not remove", resisting)


def _remove_container(container: Container) -> str | NotHealed | None:
    steps = []
    if container.status == "paused":
        # Under version 1 of control groups nothing that is frozen dies.
        steps.append(_step("thawed", container.unpause))
    if container.status in ("paused", "running", "restarting"):
        steps.append(_step("killed", container.kill))
    last = partial(container.remove, force=True, v=True)
    return _outcome(f"container {container.name}", steps, last)


def _remove_network(network: Network) -> str | NotHealed | None:
    """Remove a network; it is the run's own, so whoever is attached to it has to leave."""
    name = f"network {network.name}"
    try:
        network.reload()
    except NotFound:
        return None
    except (DockerException, requests.RequestException) as error:
        return NotHealed(f"{name}: {error}")
    steps = []
    for identity, end in ((network.attrs or {}).get("Containers") or {}).items():
        # An endpoint whose container is gone has no number of one, only a name.
        attached = end["Name"] if identity.startswith("ep-") else identity
        cut = partial(network.disconnect, attached, force=True)
        steps.append(_step(f"disconnected from {end['Name']}", cut))
    return _outcome(name, steps, network.remove)


def _remove_volume(volume: Volume) -> str | NotHealed | None:
    return _outcome(f"volume {volume.name}", [], partial(volume.remove, force=True))


def _step(done: str, act: Callable[[], object]) -> str:
    """Take one step, and say whether it could be taken; the next one is taken all the same."""
    try:
        act()
    except (DockerException, requests.RequestException) as error:
        return f"not {done}: {error}"
    return done


def _outcome(name: str, steps: list[str], last: Callable[[], object]) -> str | NotHealed | None:
    """Take the last step; return what went and how, why it did not, or None if it was gone."""
    how = f" ({', '.join(steps)})" if steps else ""
    try:
        last()
    except NotFound:
        return None
    except (DockerException, requests.RequestException) as error:
        return NotHealed(f"{name}{how}: {error}")
    return f"{name}{how}"


@contextmanager
def _engine() -> Iterator[docker.DockerClient]:
    with refusing("asking the engine what it holds for runs"):
        client = engine_client(_ENGINE_LIMIT_S)
        try:
            yield client
        finally:
            client.close()
