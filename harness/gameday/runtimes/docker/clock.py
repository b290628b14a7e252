"""The clock of one service in a container: libfaketime and what it reads, in a volume."""

import io
import tarfile
import time
from collections.abc import Mapping

import docker
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from gameday.errors import EnvironmentRefused
from gameday.host import faketime as clocks
from gameday.host.docker_engine import refusing

__all__ = ["ContainerClock"]

_SAY = 'printf "%s" "$0" > "$1.new" && mv "$1.new" "$1"'


class ContainerClock:
    """A volume that the companion has as well, so that it can be written to at any time."""

    def __init__(self, volume: str) -> None:
        self._volume = volume
        self._companion: Container | None = None

    def reach_from(
        self, companion: DockerContainer, engine: docker.DockerClient, labels: Mapping[str, str]
    ) -> None:
        """Make the volume, and let the companion have it."""
        with refusing(f"making the volume {self._volume}"):
            engine.volumes.create(self._volume, labels=dict(labels))
        self.mount(companion)

    def mount(self, container: DockerContainer) -> None:
        """Let a container that is to be started have the volume."""
        container.with_volume_mapping(self._volume, clocks.CONTAINER_FOLDER, "rw")

    def fill(self, companion: Container) -> None:
        """Put this host's library in, and a clock that nobody has touched."""
        library = clocks.find_libfaketime()
        assert library is not None, "planning has tried it"
        put = {
            library.name: library.read_bytes(),
            "start": clocks.START.encode(),
            "now": clocks.UNTOUCHED.encode(),
        }
        with refusing(f"filling the volume {self._volume}"):
            companion.put_archive(clocks.CONTAINER_FOLDER, _archive(put))
        self._companion = companion

    @staticmethod
    def entry_point(image: Mapping[str, object]) -> list[str]:
        """Return what a container of that image has to start with."""
        own = image.get("Entrypoint") or []
        assert isinstance(own, list)
        return ["sh", f"{clocks.CONTAINER_FOLDER}/start", *(str(word) for word in own)]

    def said(self) -> str:
        """Return what the file says, by the companion, which has the volume too."""
        assert self._companion is not None, "it is filled before anything starts"
        chunks, _ = self._companion.get_archive(f"{clocks.CONTAINER_FOLDER}/now")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            found = archive.extractfile("now")
            return "" if found is None else found.read().decode()

    def say(self, service: Container, text: str) -> None:
        """Replace the file at once; what nobody reads may be replaced from the companion."""
        file = f"{clocks.CONTAINER_FOLDER}/now"
        service.reload()
        if service.status == "running":
            done = service.exec_run(["sh", "-c", _SAY, text, file], user="0")
            if done.exit_code != 0:
                raise EnvironmentRefused(f"setting the clock of {service.name}: {done.output!r}")
        else:
            assert self._companion is not None, "it is filled before anything starts"
            archive = _archive({"now": text.encode()})
            self._companion.put_archive(clocks.CONTAINER_FOLDER, archive)


def _archive(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            entry.mtime = int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
