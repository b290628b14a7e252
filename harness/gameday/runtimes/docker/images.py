"""The images that containers are made of: here already, pulled, or built from what is bundled."""

import io
from collections.abc import Iterable, Mapping
from contextlib import suppress

import docker
from docker.errors import BuildError, DockerException, ImageNotFound

from gameday.api.environment import Checkpoint
from gameday.edge.image import proxy_context, proxy_image
from gameday.host.docker_engine import refusing
from gameday.model.scenario import ServiceSpec
from gameday.resources import bundled
from gameday.runtimes.program import app_image, program_context, program_image

__all__ = ["bring"]


def bring(
    client: docker.DockerClient, image: str, checkpoint: Checkpoint, spec: ServiceSpec | None = None
) -> str:
    """Make sure of an image: pull an official one, build one of what is bundled or the target's.

    Return its digest, or its id if it was built here. `spec` is a service that wants it. Raises
    EnvironmentRefused when it cannot be had.
    """
    try:
        return _digest(client, image)
    except ImageNotFound:
        with refusing(f"image {image} is not here and cannot be had"):
            if image == app_image():
                _build_apps(client, image, checkpoint)
            elif image == proxy_image():
                _build(client, image, checkpoint, proxy_context(), "proxy")
            elif spec is not None and spec.image is None and image == program_image(spec):
                bring(client, app_image(), checkpoint)
                _build(client, image, checkpoint, program_context(spec), "programs", spec)
            else:
                _pull(client, image, checkpoint)
            return _digest(client, image)


def _digest(client: docker.DockerClient, image: str) -> str:
    found = client.images.get(image)
    pulled = [str(name) for name in (found.attrs or {}).get("RepoDigests") or ()]
    return pulled[0].rpartition("@")[2] if pulled else str(found.id)


def _pull(client: docker.DockerClient, image: str, checkpoint: Checkpoint) -> None:
    for line in client.api.pull(image, stream=True, decode=True):
        checkpoint()
        if "error" in line:
            raise DockerException(str(line["error"]))


def _build_apps(client: docker.DockerClient, image: str, checkpoint: Checkpoint) -> None:
    built = client.api.build(
        path=str(bundled("targets")),
        dockerfile="images/apps/Dockerfile",
        tag=image,
        rm=True,
        forcerm=True,
        decode=True,
        use_config_proxy=True,  # pip's way to the internet, as with `docker build`
        labels={"gameday.image": "apps"},
    )
    _follow(built, checkpoint)


def _build(
    client: docker.DockerClient,
    image: str,
    checkpoint: Checkpoint,
    context: io.BytesIO,
    what: str,
    spec: ServiceSpec | None = None,
) -> None:
    labels = {"gameday.image": what}
    if spec is not None:
        labels["gameday.programs"] = _programs_of(spec)
    built = client.api.build(
        fileobj=context,
        custom_context=True,
        tag=image,
        rm=True,
        forcerm=True,
        decode=True,
        use_config_proxy=True,
        labels=labels,
    )
    _follow(built, checkpoint)
    if spec is not None:
        _remove_older(client, image, f"gameday.programs={_programs_of(spec)}")


def _programs_of(spec: ServiceSpec) -> str:
    return f"{spec.name} of {spec.places[0]}"


def _remove_older(client: docker.DockerClient, image: str, label: str) -> None:
    """Remove the images of earlier states of the same programs; one in use stays."""
    for other in client.images.list(filters={"label": label}):
        if image not in other.tags:
            with suppress(DockerException):
                client.images.remove(str(other.id))


def _follow(built: Iterable[Mapping[str, object]], checkpoint: Checkpoint) -> None:
    """Wait for a build to end; BuildError with its last words if it fails."""
    log: list[str] = []
    for line in built:
        checkpoint()
        log.append(str(line.get("stream", "")))
        if "error" in line:
            raise BuildError(f"{line['error']}\n{''.join(log[-10:])}", iter(()))
