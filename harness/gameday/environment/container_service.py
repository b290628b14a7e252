"""One service of the docker environment: what can be done to its container."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests
from docker.errors import DockerException
from docker.models.containers import Container

from gameday.environment.protocol import Checkpoint, Endpoint, NotReadyError, Vitals
from gameday.environment.services import ServiceKind
from gameday.environment.services.protocol import Private
from gameday.environment.waiting import READY_LIMIT_NS, until_ready
from gameday.errors import EnvironmentRefused
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec

__all__ = ["ContainerService", "refusing"]


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise EnvironmentRefused(f"{what}: {error}") from error


class ContainerService:
    """One service in a container that can die without taking its address with it."""

    def __init__(
        self, spec: ServiceSpec, kind: ServiceKind, container: Container, direct: Endpoint
    ) -> None:
        self.spec = spec
        self._kind = kind
        self.container = container
        self.direct = direct

    def check(self) -> str:
        if isinstance(self._kind, Private):
            return self._kind.check_as(self.spec, self.direct)
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
        with refusing(f"looking at the container of {self.spec.name}"):
            self.container.reload()
        state: Mapping[str, object] = self.container.attrs["State"]
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
            with refusing(f"killing {self.spec.name}"):
                self.container.kill(signal=number.name)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        with refusing(f"starting {self.spec.name} again"):
            self.container.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def _is_ours(self, pid: int) -> bool:
        """Whether `pid` of this host's /proc is a process of this very container."""
        try:
            return str(self.container.id) in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            return False

    def _refuse_if_ended(self) -> None:
        vitals = self.vitals()
        if not vitals.alive:
            log = self.container.logs(tail=10).decode(errors="replace")
            raise EnvironmentRefused(
                f"{self.spec.name} ended with exit code {vitals.exit_code} while it started:\n{log}"
            )
