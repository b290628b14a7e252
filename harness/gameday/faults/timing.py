"""What faults do with a clock: wait for a fact, time a call, try a proof again."""

from collections.abc import Callable, Iterator, Mapping

from gameday.api.environment import Checkpoint
from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window

__all__ = ["attempted", "first_proven", "rest", "timed", "took_ns", "undo_error", "until"]

_ATTEMPTS = 3
"""A busy host can spoil one measurement; a fault that does nothing spoils all of them."""

_PAUSE_NS = 2 * MILLISECOND
_REST_NS = 20 * MILLISECOND


def until(
    clock: Clock, fact: Callable[[], bool], limit_ns: int, checkpoint: Checkpoint = lambda: None
) -> bool:
    """Tell whether `fact` came to hold within `limit_ns` nanoseconds; it is asked at least once."""
    give_up_ns = clock.now_ns() + limit_ns
    while not fact():
        if clock.now_ns() > give_up_ns:
            return False
        checkpoint()
        clock.sleep_ns(_PAUSE_NS)
    return True


def rest(clock: Clock, duration_ns: int, checkpoint: Checkpoint) -> None:
    """Let time pass, in steps short enough for whoever wants to stop."""
    until_ns = clock.now_ns() + duration_ns
    while clock.now_ns() < until_ns:
        checkpoint()
        clock.sleep_ns(_REST_NS)


def took_ns(
    clock: Clock, act: Callable[[], None], limit_ns: int, checkpoint: Checkpoint
) -> int | None:
    """Return how long a call took; None: it did not end within the limit, and is left behind."""
    ended_ns: list[int] = []
    began_ns = clock.now_ns()

    def call() -> Iterator[int]:
        try:
            act()
        finally:
            ended_ns.append(clock.now_ns())
        yield from ()

    clock.in_background(call(), "call")
    until(clock, lambda: bool(ended_ns), limit_ns, checkpoint)
    if not ended_ns or ended_ns[0] - began_ns > limit_ns:
        return None
    return ended_ns[0] - began_ns


def timed(clock: Clock, *acts: Callable[[], object]) -> Window:
    """Do these and return the bracket of the calls; what they raise passes through."""
    called_ns = clock.now_ns()
    for act in acts:
        act()
    return Window(start_ns=called_ns, end_ns=clock.now_ns())


def attempted(clock: Clock, *acts: Callable[[], object]) -> tuple[Window, str]:
    """Do each of these whatever becomes of the others; return when, and what was refused.

    Whether a refusal left anything is for the re-reading to say.
    """
    troubles: list[str] = []
    called_ns = clock.now_ns()
    for act in acts:
        try:
            act()
        except EnvironmentRefused as error:
            troubles.append(str(error))
    return Window(start_ns=called_ns, end_ns=clock.now_ns()), "; ".join(troubles)


def undo_error(trouble: str) -> Mapping[str, Scalar]:
    """Return what an undo was refused with, as evidence; nothing if it was not."""
    return {"undo_error": trouble} if trouble else {}


def first_proven(
    look: Callable[[], Proof],
    checkpoint: Checkpoint,
    between: Callable[[], object] = lambda: None,
) -> Proof:
    """Return the first proof of three attempts that shows the effect, or the last one."""
    attempt = 0
    while True:
        attempt += 1
        checkpoint()
        proof = look()
        if proof.proven or attempt == _ATTEMPTS:
            return Proof(proven=proof.proven, measured={**proof.measured, "attempts": attempt})
        between()
