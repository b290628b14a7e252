"""The images that containers are made of: here already, pulled, or built from what is bundled."""

from collections.abc import Iterable, Mapping

import docker
from docker.errors import BuildError, DockerException, ImageNotFound

from gameday.environment.container_service import refusing
from gameday.environment.protocol import Checkpoint
from gameday.environment.proxy_image import proxy_context, proxy_image
from gameday.environment.services.app import app_image
from gameday.resources import bundled

__all__ = ["bring"]


def bring(client: docker.DockerClient, image: str, checkpoint: Checkpoint) -> None:
    """Make sure of an image: pull an official one, build one of what is bundled.

    Raises EnvironmentRefused when it is not here and cannot be had.
    """
    try:
        client.images.get(image)
    except ImageNotFound:
        with refusing(f"image {image} is not here and cannot be had"):
            if image == app_image():
                _build_apps(client, image, checkpoint)
            elif image == proxy_image():
                _build_proxy(client, image, checkpoint)
            else:
                _pull(client, image, checkpoint)


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


def _build_proxy(client: docker.DockerClient, image: str, checkpoint: Checkpoint) -> None:
    built = client.api.build(
        fileobj=proxy_context(),
        custom_context=True,
        tag=image,
        rm=True,
        forcerm=True,
        decode=True,
        labels={"gameday.image": "proxy"},
    )
    _follow(built, checkpoint)


def _follow(built: Iterable[Mapping[str, object]], checkpoint: Checkpoint) -> None:
    """Wait for a build to end; BuildError with its last words if it fails."""
    log: list[str] = []
    for line in built:
        checkpoint()
        log.append(str(line.get("stream", "")))
        if "error" in line:
            raise BuildError(f"{line['error']}\n{''.join(log[-10:])}", iter(()))
