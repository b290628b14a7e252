"""Operations as columns, which every estimator of this package reads."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gameday.model.clock import SECOND
from gameday.model.history import Rows
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.result import Window
from gameday.model.units import Limit

__all__ = ["Flags", "Int64s", "Operations", "keeps", "nearest_rank", "settled"]

Int64s = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Operations of one stream in the order in which they came due; none is PENDING any more.

    `done_ns` is 0 where no answer ever came. `good` holds for what was served within the
    stream's deadline, counted from when it was due.
    """

    due_ns: Int64s
    done_ns: Int64s
    outcome: NDArray[np.uint8]
    good: Flags
    deadline_ns: int
    rate_per_s: float

    @classmethod
    def of(
        cls, due_ns: Int64s, done_ns: Int64s, outcome: NDArray[np.uint8], stream: StreamInfo
    ) -> Self:
        """Return the operations of these columns, in the order of their due times."""
        if due_ns.size and bool(np.any(due_ns[1:] < due_ns[:-1])):
            order = np.argsort(due_ns, kind="stable")
            due_ns, done_ns, outcome = due_ns[order], done_ns[order], outcome[order]
        good = (outcome == Outcome.OK) & (done_ns - due_ns <= stream.deadline_ns)
        return cls(
            due_ns=due_ns,
            done_ns=done_ns,
            outcome=outcome,
            good=good,
            deadline_ns=stream.deadline_ns,
            rate_per_s=stream.rate_per_s,
        )

    @classmethod
    def from_rows(cls, rows: Rows, stream: StreamInfo) -> Self:
        """Return the rows of one stream."""
        mine = np.flatnonzero(rows["stream"] == stream.index)
        return cls.of(
            rows["due_ns"][mine].astype(np.int64),
            rows["done_ns"][mine].astype(np.int64),
            settled(rows["outcome"][mine], rows["sent_ns"][mine] > 0),
            stream,
        )

    def within(self, window: Window) -> Self:
        """Return only what came due in `window`."""
        first, last = np.searchsorted(self.due_ns, (window.start_ns, window.end_ns))
        span = slice(int(first), int(last))
        return replace(
            self,
            due_ns=self.due_ns[span],
            done_ns=self.done_ns[span],
            outcome=self.outcome[span],
            good=self.good[span],
        )

    def then(self, later: Self) -> Self:
        """Return these and what came due `later`."""
        return replace(
            self,
            due_ns=np.concatenate((self.due_ns, later.due_ns)),
            done_ns=np.concatenate((self.done_ns, later.done_ns)),
            outcome=np.concatenate((self.outcome, later.outcome)),
            good=np.concatenate((self.good, later.good)),
        )

    def __len__(self) -> int:
        return int(self.due_ns.size)

    @property
    def spacing_ns(self) -> int:
        """The time from one operation to the next: nothing shorter can be seen."""
        return round(SECOND / self.rate_per_s)

    @property
    def latency_ns(self) -> Int64s:
        """From due to done; means nothing where nothing was done."""
        return self.done_ns - self.due_ns

    @property
    def unanswered(self) -> Flags:
        """What was not served, and had no answer of any kind by its deadline."""
        silent = np.equal(self.done_ns, 0) | np.greater_equal(self.latency_ns, self.deadline_ns)
        return np.logical_and(silent, ~self.ok)

    @property
    def ok(self) -> Flags:
        """What was served, however late."""
        return np.equal(self.outcome, Outcome.OK)

    def visible_ns(self, indices: Int64s) -> Int64s:
        """When a client knew what became of these: its answer, at latest its deadline."""
        done_ns, last_ns = self.done_ns[indices], self.due_ns[indices] + self.deadline_ns
        return np.where(done_ns > 0, np.minimum(done_ns, last_ns), last_ns)


def keeps(limit: Limit, values: NDArray[np.float64] | Int64s) -> Flags:
    """Tell for each of `values` whether it keeps `limit`."""
    compare = {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "==": np.equal,
    }[limit.op]
    return np.asarray(compare(values, limit.value), np.bool_)


def settled(outcome: NDArray[np.uint8], sent: Flags) -> NDArray[np.uint8]:
    """Return the outcomes with none PENDING: UNKNOWN when it had been sent, else FAILED."""
    pending = outcome == Outcome.PENDING
    unanswered = np.where(sent, np.uint8(Outcome.UNKNOWN), np.uint8(Outcome.FAILED))
    return np.where(pending, unanswered, outcome)


def nearest_rank(count: int, share: float) -> int:
    """Return the index, among `count` sorted values, of the least that `share` do not exceed."""
    return min(count - 1, max(0, int(np.ceil(round(share * count, 9))) - 1))
