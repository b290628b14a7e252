"""A kind of service: how it is started in either environment and when it is ready."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from gameday.environment.protocol import Endpoint
from gameday.model.scenario import ServiceSpec

__all__ = ["ServiceKind"]


class ServiceKind(Protocol):
    """What is known of one kind; a new kind is one file with one class, listed in `KINDS`."""

    name: str
    port: int
    """The port inside a container."""

    def image(self, spec: ServiceSpec) -> str:
        """Return the container image, by its official name."""
        ...

    def container_command(self, spec: ServiceSpec) -> list[str]: ...

    def missing(self, spec: ServiceSpec) -> str | None:
        """Return what this host lacks to run it as a process, with how to get it."""
        ...

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]: ...

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        """Return the environment variables that the kind itself needs."""
        ...

    def check(self, endpoint: Endpoint) -> str:
        """Return evidence that it answers by its protocol, with a write; NotReadyError if not."""
        ...
