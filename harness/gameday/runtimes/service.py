"""A running service: what is the same of it in every runtime."""

import signal
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

import psutil

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.clocks import Reading
from gameday.api.descriptors import Descriptors
from gameday.api.environment import Checkpoint, ChildProcess, Endpoint, Service
from gameday.api.service_kind import ServiceKind, told_by
from gameday.api.signals import Dispositions, signals_in
from gameday.api.throttling import DiskBounds
from gameday.errors import EnvironmentRefused
from gameday.host import faketime as clocks
from gameday.host import process_tree
from gameday.host.descriptors import descriptors_of, limit_descriptors, listener_among
from gameday.host.waiting import until_ready
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec

__all__ = ["RunningService"]


class _ServiceBounds(Protocol):
    """How much of the host a service may use, and what runs within the same bounds."""

    def of(self, resource: Resource) -> Bounds: ...

    def disk(self) -> DiskBounds: ...

    def stressor(self, script: str, limit_ns: int, share: float) -> Stressor: ...

    def first_to_die(self, yes: bool) -> None: ...


class RunningService(Service):
    """One service of a run. A runtime adds what it alone knows: the process or the container."""

    _bounds: _ServiceBounds
    _look_pause_ns = 0
    """How long to wait between two looks at whether it has ended, while it is not ready yet."""

    def __init__(
        self, spec: ServiceSpec, kind: ServiceKind, upstream: Endpoint, own_port: int
    ) -> None:
        """`own_port` is where it listens in the network that it is in."""
        self.spec = spec
        self.upstream = upstream
        self.end_signal = kind.end_signal
        self._kind = kind
        self._own_port = own_port

    @abstractmethod
    def _signaller(self, number: signal.Signals) -> Callable[[], None]:
        """Find the main process, and return the call that signals it: the shortest that can be."""

    @abstractmethod
    def _start_again(self) -> None: ...

    @abstractmethod
    def _freeze(self) -> None: ...

    @abstractmethod
    def _thaw(self) -> None: ...

    @abstractmethod
    def _processes(self) -> list[psutil.Process]:
        """Return its living processes, as far as they are processes of this host."""

    @abstractmethod
    def _main_pid(self) -> int:
        """Return the pid of the main process; refused where that lives and is not this host's."""

    @abstractmethod
    def _main_status(self) -> str:
        """Return what the kernel says of the main process, as /proc/PID/status. Raises OSError."""

    @abstractmethod
    def _has_loaded(self, library: str) -> bool:
        """Tell whether the main process has mapped a library of that name."""

    @abstractmethod
    def _say_clock(self, text: str) -> None:
        """Let its own clock go by `text`, in libfaketime's words; nothing where it has none."""

    @abstractmethod
    def _last_words(self) -> str:
        """Return the end of its log as a clause to append to an error."""

    def check(self) -> str:
        return self._kind.check(self.spec, self.upstream)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        next_look_ns = 0

        def check_alive() -> str:
            nonlocal next_look_ns
            if time.monotonic_ns() >= next_look_ns:
                self._refuse_if_ended()
                next_look_ns = time.monotonic_ns() + self._look_pause_ns
            evidence = self.check()
            if who := self.stranger():
                raise EnvironmentRefused(
                    f"{self.spec.name} has lost its port {self.upstream.port} to {who}, "
                    "which answers instead"
                )
            return evidence

        return until_ready(
            self.spec.name,
            check_alive,
            limit_ns=limit_ns,
            checkpoint=checkpoint,
            log=self._last_words,
        )

    def _refuse_if_ended(self) -> None:
        state = self.process_state()
        if not state.alive:
            raise EnvironmentRefused(
                f"{self.spec.name} ended with exit code {state.exit_code} before it was ready"
                f"{self._last_words()}"
            )

    def kill(self, number: signal.Signals) -> Window:
        return _bracket_of(self._signaller(number))

    def signals(self) -> Dispositions:
        try:
            return signals_in(self._main_status())
        except (OSError, ValueError) as error:
            raise EnvironmentRefused(f"the signals of {self.spec.name}: {error}") from error

    def start_again(self) -> Window:
        return _bracket_of(self._start_again)

    def freeze(self) -> Window:
        return _bracket_of(self._freeze)

    def thaw(self) -> Window:
        return _bracket_of(self._thaw)

    def plant(self, marker: str) -> bool:
        return self._kind.plant(self.spec, self.upstream, marker)

    def finds(self, marker: str) -> bool:
        return self._kind.finds(self.spec, self.upstream, marker)

    def child_processes(self) -> tuple[ChildProcess, ...]:
        main = self._main_pid()
        return process_tree.child_processes_of(self._processes(), main=main)

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        hit = {(child_process.pid, child_process.started) for child_process in child_processes}
        found = [p for p in self._processes() if (p.pid, p.create_time()) in hit]
        return _bracket_of(lambda: process_tree.send(found, number))

    @property
    def disk_bytes(self) -> int | None:
        return self.spec.disk_bytes

    def set_clock(self, offset_ns: int, rate: float) -> Window:
        called_ns = time.monotonic_ns()
        self._say_clock(clocks.ahead(offset_ns, rate))
        return clocks.until_read(called_ns)

    def read_clock(self) -> Reading:
        return told_by(self._kind, self.spec, self.upstream)

    def refuse_without_clock(self) -> None:
        """Raise EnvironmentRefused if it was to have a clock of its own, and ignores it."""
        if self.own_clock and not self._has_loaded("libfaketime"):
            raise EnvironmentRefused(clocks.ignored(self.spec.name))

    def bounds(self, resource: Resource) -> Bounds:
        return self._bounds.of(resource)

    def disk(self) -> DiskBounds:
        return self._bounds.disk()

    def stressor(self, script: str, limit_ns: int, share: float = 1.0) -> Stressor:
        return self._bounds.stressor(script, limit_ns, share)

    def first_to_die(self, yes: bool) -> None:
        self._bounds.first_to_die(yes)

    def descriptors(self) -> Descriptors:
        process = listener_among(self._processes(), self._own_port, self.spec.name)
        return descriptors_of(process, self.spec.name)

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        limit_descriptors(of, soft)


def _bracket_of(act: Callable[[], None]) -> Window:
    """Do it, and return the moments right before and right after."""
    called_ns = time.monotonic_ns()
    act()
    return Window(start_ns=called_ns, end_ns=time.monotonic_ns())
