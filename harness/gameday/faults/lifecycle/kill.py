"""Kill: the main process of a service gets a signal, and dies of it or does what it does then."""

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import ClassVar, Literal, get_args

from gameday.api.environment import Checkpoint, Environment, Service
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import DEATH_LIMIT_NS, PROCESSES, FatalSignal, Termination
from gameday.model.clock import SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import Hits

__all__ = ["AnySignal", "Kill"]

_DEATH_LIMIT_NS = DEATH_LIMIT_NS
_HANDLED_NS = SECOND
"""How long a process that handles a signal may take to end by it, if it does."""

AnySignal = Literal[
    FatalSignal,
    "SIGHUP",
    "SIGILL",
    "SIGTRAP",
    "SIGBUS",
    "SIGFPE",
    "SIGUSR1",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGSTKFLT",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
    "SIGURG",
    "SIGWINCH",
    "SIGRTMIN",
    "SIGRTMAX",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGCONT",
    "SIGCHLD",
]
"""Every signal of Linux; the last six are refused, each with the reason."""

_MUST_END = frozenset(get_args(FatalSignal))
_FREEZING = frozenset({"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"})
_VOID = frozenset({"SIGCONT", "SIGCHLD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The main process of a service gets a signal; if it dies, it is restarted with its data.

    SIGKILL of a process leaves the operating system's page cache alone: what the process wrote
    and did not sync survives. It does not test fsync. In a container the main process is number
    1, which the kernel shields from every signal but SIGKILL that it has no handler for. Proof:
    the process has ended, with the signal's own exit code unless it handles the signal; or, of
    signals that not only ask for an end, it handles it by what the kernel says, has taken it and
    lives on. Anything else is not proven, and the run INVALID.
    """

    verb: ClassVar[str] = "kill"
    hits: ClassVar[Hits] = "service"
    conflicts: ClassVar[Conflicts] = PROCESSES
    target: str
    """The service to kill."""
    signal: AnySignal = "SIGKILL"
    """Any but SIGSTOP, SIGTSTP, SIGTTIN and SIGTTOU, which freeze, SIGCONT and SIGCHLD."""

    def __post_init__(self) -> None:
        lives, does = self.signal not in _FREEZING, self.signal not in _VOID
        require(
            ("signal", lives, "another signal: this one freezes the process; use pause for that"),
            ("signal", does, "another signal: this one has no effect that could be proven"),
        )

    def on(self, environment: Environment) -> Injection:
        service = environment.service(self.target)
        return _Killing(
            Termination(environment.clock, service),
            service,
            self.target,
            Signals[self.signal],
        )


class _Killing:
    """One kill: proven by how the process ended, undone when a write succeeds directly."""

    def __init__(
        self, termination: Termination, service: Service, name: str, number: Signals
    ) -> None:
        self._termination = termination
        self._service = service
        self._name = name
        self._number = number
        self._handling = "unknown"
        self.undo_text = f"start {self._name} again with its data"

    @property
    def asked(self) -> Mapping[str, Scalar]:
        return {"signal": self._number.name, "pid": self._termination.before.pid}

    def inject(self) -> Window:
        # Before it is sent: what has ended tells nothing any more.
        self._handling = self._read()
        return self._termination.signal(self._number)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        """Wait for the death, or see that a living process has taken the signal."""
        process_state = self._termination.await_end(self._limit_ns, checkpoint)
        code = process_state.exit_code
        if self._termination.ended:
            # A process may handle any other signal and end with a code of its own, 0 for instance.
            own = self._number is not Signals.SIGKILL and self._handling in ("caught", "unknown")
            done = own or code == 128 + self._number
        else:
            done = self._spares and self._handling == "caught" == self._read()
        return Proof(
            proven=self._termination.hit and done,
            measured={
                "pid": self._termination.before.pid,
                "alive_before": self._termination.before.alive,
                "handling": self._handling,
                "alive": process_state.alive,
                "exit_code": code,
            },
        )

    def is_active(self) -> Proof:
        return self._termination.still_down()

    def lapse(self) -> str:
        return self._termination.lapse()

    def undo(self) -> Window:
        return self._termination.start_again(spare=self._spares)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """A write on the direct path, by a new start if the old one ended."""
        return self._termination.prove_new_start(checkpoint)

    @property
    def _spares(self) -> bool:
        """Whether a process that gets the signal may live on."""
        return self._number.name not in _MUST_END

    @property
    def _limit_ns(self) -> int:
        if not self._termination.hit:
            return 0
        return _HANDLED_NS if self._spares and self._handling == "caught" else _DEATH_LIMIT_NS

    def _read(self) -> str:
        """Return what the kernel says that the process does about the signal."""
        try:
            signals = self._service.signals()
        except EnvironmentRefused:
            return "unknown"
        if self._number in signals.waiting:
            return "waiting"
        if self._number in signals.caught:
            return "caught"
        return "ignored" if self._number in signals.ignored else "default"
