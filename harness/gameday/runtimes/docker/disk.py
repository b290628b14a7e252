"""The bounded disk of one service in a container: a volume in memory, and who keeps it."""

from collections.abc import Mapping

import docker
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from gameday.api.service_kind import ServiceKind
from gameday.host.docker_engine import refusing
from gameday.model.scenario import ServiceSpec

__all__ = ["ContainerDisk", "disk_of"]


class ContainerDisk:
    """A volume of type tmpfs, held by a container that sleeps.

    The engine unmounts such a volume, and with that empties it, when the last container that uses
    it stops: a service that is killed and started again would find nothing. The holder is of the
    service's own image, so the volume gets the owner and the mode of the image's data folder.
    """

    def __init__(
        self,
        engine: docker.DockerClient,
        labels: Mapping[str, str],
        *,
        name: str,
        image: str,
        folder: str,
        size_bytes: int,
    ) -> None:
        self._engine = engine
        self._labels = dict(labels)
        self._stem = name
        self._image = image
        self._size_bytes = size_bytes
        self._number = 0
        self.folder = folder
        self.renew()

    @property
    def volume(self) -> str:
        return f"{self._stem}-{self._number}"

    def renew(self) -> str:
        """Make an empty one and return the name of the one before, which is still held."""
        before = self.volume
        self._number += 1
        with refusing(f"making the disk {self.volume}"):
            self._engine.volumes.create(
                self.volume,
                driver="local",
                driver_opts={
                    "type": "tmpfs",
                    "device": "tmpfs",
                    "o": f"size={self._size_bytes},mode=0755",
                },
                labels=self._labels,
            )
            self.holder: Container = self._engine.containers.run(
                self._image,
                ["infinity"],
                entrypoint=["sleep"],
                name=self.volume,
                detach=True,
                network_mode="none",
                user="0:0",
                labels=self._labels,
                volumes={self.volume: {"bind": self.folder, "mode": "rw"}},
            )
        return before

    def drop(self, volume: str) -> None:
        """Remove a volume that no service uses any more, and who held it."""
        with refusing(f"removing the disk {volume}"):
            self._engine.containers.get(volume).remove(force=True, v=True)
            self._engine.volumes.get(volume).remove(force=True)

    def mount(self, container: DockerContainer) -> None:
        """Let a container that is to be started have it."""
        container.with_volume_mapping(self.volume, self.folder, "rw")


def disk_of(
    spec: ServiceSpec,
    kind: ServiceKind,
    run: str,
    labels: Mapping[str, str],
    engine: docker.DockerClient,
) -> ContainerDisk | None:
    """Return a new disk for a service whose target bounds it."""
    if spec.disk_bytes is None:
        return None
    return ContainerDisk(
        engine,
        {**labels, "gameday.service": spec.name},
        name=f"gameday-{run}-{spec.name}-disk",
        image=kind.image(spec),
        folder=kind.data,
        size_bytes=spec.disk_bytes,
    )
