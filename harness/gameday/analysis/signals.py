"""End-to-end signals: what was published, joined with what the receiver says it received."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gameday.analysis.operations import Flags, Int64s, Operations, settled
from gameday.model.history import Deliveries, History
from gameday.model.operation import Outcome, StreamInfo

__all__ = ["NO_FINAL_READ", "PUBLISH", "LedgerCounts", "PublishedCounts", "match", "published_in"]

PUBLISH = "publish"
NO_FINAL_READ = "the receiver's record could not be read at the end, so nothing is known of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCounts:
    """Every signal that the publisher attempted, also outside the load window, by due time.

    A signal's value is its own: no two rows have the same.
    """

    stream: StreamInfo
    value: Int64s
    due_ns: Int64s
    sent_ns: Int64s
    acked_ns: Int64s
    """When the publisher was answered, whatever the answer; 0 when it never was."""
    outcome: NDArray[np.uint8]

    def operations(self) -> Operations:
        """Return the publisher's own view: served is what was acknowledged."""
        outcome = settled(self.outcome, self.sent_ns > 0)
        return Operations.of(self.due_ns, self.acked_ns, outcome, self.stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCounts:
    """What became of each published signal at the receiver, row by row of `published`."""

    published: PublishedCounts
    deliveries: Deliveries
    copies: Int64s
    """How many intact copies of a signal were received."""
    place: Int64s
    """Where in the receiver's record its first intact copy stands; -1 when there is none."""
    strays: Int64s
    """The values that were received intact and that nobody ever published, each once."""

    @property
    def delivered(self) -> Flags:
        return self.copies > 0

    def operations(self) -> Operations:
        """Return the signals as operations from end to end.

        Served is what was acknowledged *and* delivered, at the later of the two. What was
        acknowledged and never arrived is FAILED and has no end. What the publisher was refused
        is FAILED even if it was delivered. What it was not told stays UNKNOWN either way: that
        it arrived is known to the receiver, not to the one who waited for an answer.
        """
        sent = self.published
        received_ns = np.zeros_like(sent.due_ns)
        here = self.delivered
        received_ns[here] = self.deliveries.received_ns[self.place[here]]
        # A row without a send time that was delivered after all was sent: only its stamp is gone.
        outcome = settled(sent.outcome, (sent.sent_ns > 0) | here)
        acked = sent.outcome == Outcome.OK
        outcome[acked & ~here] = Outcome.FAILED
        done_ns = sent.acked_ns.copy()
        served = acked & here
        done_ns[served] = np.maximum(sent.acked_ns[served], received_ns[served])
        done_ns[acked & ~here] = 0
        return Operations.of(sent.due_ns, done_ns, outcome, sent.stream)


def published_in(history: History) -> PublishedCounts:
    """Return the publisher's rows; KeyError when the history has no stream of that name."""
    stream = history.stream(PUBLISH)
    rows = history.rows
    mine = np.flatnonzero(rows["stream"] == stream.index)
    due_ns = rows["due_ns"][mine].astype(np.int64)
    if due_ns.size and bool(np.any(due_ns[1:] < due_ns[:-1])):
        order = np.argsort(due_ns, kind="stable")
        mine, due_ns = mine[order], due_ns[order]
    return PublishedCounts(
        stream=stream,
        value=rows["value"][mine].astype(np.int64),
        due_ns=due_ns,
        sent_ns=rows["sent_ns"][mine].astype(np.int64),
        acked_ns=rows["done_ns"][mine].astype(np.int64),
        outcome=rows["outcome"][mine],
    )


def match(published: PublishedCounts, deliveries: Deliveries) -> LedgerCounts:
    """Return the ledger that joins the two by value; only intact deliveries have a value."""
    places = np.flatnonzero(deliveries.intact)
    received = deliveries.value[places].astype(np.int64)
    # Numbered values need no sorting: a value is its own index. Scattered ones are ranked first.
    base = int(published.value.min(initial=np.iinfo(np.int64).max))
    span = int(published.value.max(initial=base)) - base + 1
    if not published.value.size:
        known, slot, own, size = np.zeros(received.size, np.bool_), received, published.value, 0
    elif span <= 4 * published.value.size + 65_536:
        own, slot, size = published.value - base, received - base, span
        exists = np.zeros(size, np.bool_)
        exists[own] = True
        known = (slot >= 0) & (slot < size)
        known[known] = exists[slot[known]]
    else:
        ranked = np.unique(published.value)
        size = int(ranked.size)
        own = np.searchsorted(ranked, published.value)
        slot = np.minimum(np.searchsorted(ranked, received), size - 1)
        known = ranked[slot] == received
    slot, places = slot[known], places[known]
    copies = np.bincount(slot, minlength=size)
    first = np.full(size, -1, np.int64)
    first[slot[::-1]] = places[::-1]  # the last store wins, so the first delivery does
    return LedgerCounts(
        published=published,
        deliveries=deliveries,
        copies=copies[own],
        place=first[own],
        strays=np.unique(received[~known]),
    )
