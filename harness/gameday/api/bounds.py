"""Limits on what a service may use of the host."""

from contextlib import AbstractContextManager
from typing import Literal, Protocol

__all__ = [
    "DUTY_CYCLE",
    "Bounds",
    "Resource",
    "Stressor",
]

Resource = Literal["cpu", "memory", "pids", "io"]
"""cpu is counted in thousandths of a core, memory in bytes, pids in processes and threads.

io has more than one number: see `abilities.throttling`.
"""


DUTY_CYCLE = "duty cycle"
"""The mechanism that bounds processor time where no control group can be made."""


class Stressor(Protocol):
    """A command that runs beside a service's processes, within the same bounds."""

    def alive(self) -> bool:
        """Tell whether any process of it lives."""
        ...

    def cpu_ns(self) -> int:
        """Return the processor time that its living processes have used."""
        ...

    def waited_ns(self) -> int:
        """Return how long its living processes were ready to run and had no core."""
        ...

    def memory_bytes(self) -> int:
        """Return the memory that its living processes hold."""
        ...

    def end(self) -> None:
        """Kill every process of it and wait for that; twice is harmless."""
        ...


class Bounds(Protocol):
    """The limit of one resource: read from the kernel, set, and restored."""

    @property
    def mechanism(self) -> str:
        """What holds it, such as "cgroup v1" or "duty cycle"."""
        ...

    def limit(self) -> int | None:
        """Return what the kernel allows the service's main process now; None: no limit."""
        ...

    def usage(self) -> int:
        """Return how much the service uses now; of cpu, the nanoseconds used so far."""
        ...

    def denials(self) -> int:
        """Return how often it was stopped at its limit: throttled, killed for want, not forked."""
        ...

    def hold(self, limit: int) -> None:
        """Let the service use no more than that; EnvironmentRefused if it cannot be had."""
        ...

    def finely(self) -> AbstractContextManager[None]:
        """Count the same limit of cpu over a thousandth of a second or some, not over a tenth.

        On a busy host nobody gets much for a tenth of a second, and everybody for a moment.
        """
        ...

    def release(self) -> None:
        """Give back what there was before `hold`, however far that came; twice is harmless."""
        ...

    def left(self) -> str:
        """Return what is still there of `hold`; empty: nothing, and the old limit is back."""
        ...
