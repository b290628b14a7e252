"""What goes down and up in turns, seen from outside."""

from collections.abc import Callable
from itertools import pairwise

from gameday.api.environment import Checkpoint
from gameday.api.fault import Proof
from gameday.model.clock import MILLISECOND, SECOND, Clock

__all__ = ["watch_turns"]

_LOOK_PAUSE_NS = 4 * MILLISECOND


def watch_turns(
    clock: Clock,
    is_up: Callable[[], bool],
    *,
    down_ns: int,
    up_ns: int,
    least_tolerance_ns: int,
    checkpoint: Checkpoint,
) -> Proof:
    """Look until three changes have been seen: between them lie one time up and one down.

    Each has to be as long as asked for within 10 %, or the least tolerance if that is more.
    """
    patience_ns = max(down_ns, up_ns) + SECOND // 2
    give_up_ns = clock.now_ns() + patience_ns
    changes: list[tuple[int, bool]] = []
    up: bool | None = None
    while len(changes) < 3 and clock.now_ns() < give_up_ns:
        checkpoint()
        now_ns = clock.now_ns()
        was, up = up, is_up()
        if was is not None and was is not up:
            changes.append((now_ns, up))
            give_up_ns = now_ns + patience_ns
        clock.sleep_ns(_LOOK_PAUSE_NS)
    spans = {begins_up: later_ns - at_ns for (at_ns, begins_up), (later_ns, _) in pairwise(changes)}
    measured = {"down_ns": spans.get(False), "up_ns": spans.get(True)}

    def as_long(span_ns: int | None, asked_ns: int) -> bool:
        within_ns = max(asked_ns // 10, least_tolerance_ns)
        return span_ns is not None and abs(span_ns - asked_ns) <= within_ns

    return Proof(
        proven=as_long(spans.get(False), down_ns) and as_long(spans.get(True), up_ns),
        measured={**measured, "changes": len(changes)},
    )
