"""The receiver's record, read over HTTP during the run and once more at its end."""

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from gameday.api.workload import surge_of
from gameday.http_reader import HttpReader, NoReply
from gameday.model.clock import MILLISECOND, SECOND, Clock, MonotonicClock
from gameday.model.history import Deliveries
from gameday.technologies.app.publish import checksum
from gameday.technologies.app.status import json_answer

__all__ = ["RecordLedger"]

_POLL_LIMIT_NS = 250 * MILLISECOND
_PAGE_LIMIT_NS = 5 * SECOND
_FINAL_LIMIT_NS = 60 * SECOND
_POLL_PAUSE_NS = SECOND
"""How long a receiver that kept a poll waiting is left alone: the conductor waits with it."""
_PAGES_MOST = 10_000
"""Bounds a final read at 50 million entries: more than any load here can write."""
_PAGE_BYTES = 8_000_000


_NO_VALUE = 2**32 - 1
"""Stands for a number that no signal has: what a receiver writes down may be anything."""
_NO_TIME = 2**63 - 1


@dataclass(slots=True, kw_only=True)
class _Entries:
    """Some entries of the record, a list a column; `read` counts those that are left out, too."""

    read: int = 0
    values: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    intact: list[bool] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    """When the read that first showed an entry had ended."""
    place: list[int] = field(default_factory=list)
    """Where in the record an entry stands, counted from 0."""


class RecordLedger:
    """Reads GET /record of one service; entries of other runs or with a bad checksum are kept.

    Those of the run's own surges are left out: they are load, and nothing is expected of them.
    """

    def __init__(self, reader: HttpReader, run: str, clock: Clock | None = None) -> None:
        """`reader` is on the direct path: no fault on an edge comes between."""
        self._reader = reader
        self._run = run
        self._clock = clock or MonotonicClock()
        self._next_poll_ns = 0
        self._seen = _Entries()
        self._asked_ns: list[int] = []
        self._had: list[int] = []
        self._anew = False
        """When each read began that had the record to its end, and how many entries that were."""

    def poll(self) -> None:
        """Read what is new; a service that does not answer now is asked again later."""
        if self._clock.now_ns() < self._next_poll_ns:
            return
        asked_ns = self._clock.now_ns()
        try:
            if not self._page(_POLL_LIMIT_NS) and not self._anew:
                self._asked_ns.append(asked_ns)
                self._had.append(self._seen.read)
        except NoReply:
            if self._clock.now_ns() - asked_ns >= _POLL_LIMIT_NS // 2:
                self._next_poll_ns = self._clock.now_ns() + _POLL_PAUSE_NS

    def final_read(self) -> Deliveries:
        """Return the whole record, read anew from its first entry: the authoritative read.

        Raises NoReply when the service does not give it, whole and in time.
        """
        self._seen = _Entries()
        over_ns = self._clock.now_ns() + _FINAL_LIMIT_NS
        for _ in range(_PAGES_MOST):
            before = self._seen.read
            left_ns = over_ns - self._clock.now_ns()
            if left_ns <= 0:
                raise NoReply(f"{before} entries came within {_FINAL_LIMIT_NS // SECOND} s")
            if not self._page(min(_PAGE_LIMIT_NS, left_ns)):
                return self.seen()
            if self._seen.read == before:
                raise NoReply(f"it returns {before} entries and says that there are more")
        raise NoReply("the record does not end")

    def seen(self) -> Deliveries:
        """Return what has been read so far."""
        return self._from(0)

    def since(self, at_ns: int) -> Deliveries:
        """Return what reads showed that ended at that moment or later.

        No signal that came due later is missing, for it cannot have been received before.
        """
        return self._from(bisect_left(self._seen.shown, at_ns))

    def _from(self, first: int) -> Deliveries:
        """Return the entries from there on; none was received before a read that did not show it.

        The receiver's own stamp counts, but not against what was seen from outside.
        """
        received_ns = np.array(self._seen.received[first:], dtype=np.int64)
        place = np.array(self._seen.place[first:], dtype=np.int64)
        lacking = np.searchsorted(np.array(self._had, dtype=np.int64), place, "right")
        not_before_ns = np.array([-_NO_TIME, *self._asked_ns], dtype=np.int64)[lacking]
        return Deliveries(
            value=np.array(self._seen.values[first:], dtype=np.uint32),
            received_ns=np.maximum(received_ns, not_before_ns),
            intact=np.array(self._seen.intact[first:], dtype=np.bool_),
            backdated=int(np.count_nonzero(received_ns < not_before_ns)),
        )

    def close(self) -> None:
        self._reader.close()

    def _page(self, limit_ns: int) -> bool:
        """Read one page, whole or not at all; tell whether there may be another."""
        seen = self._seen
        body = json_answer(
            self._reader, f"/record?after={seen.read}", limit_ns=limit_ns, most_bytes=_PAGE_BYTES
        )
        try:
            page, total = self._entries(body["entries"]), int(str(body["total"]))
        except (ValueError, TypeError, KeyError) as error:
            raise NoReply(f"GET /record: {type(error).__name__}: {str(error)[:200]}") from error
        self._anew = total < seen.read
        if self._anew:  # the receiver has begun another record: no place is what it was
            self._asked_ns, self._had = [], []
        seen.place += [seen.read + place for place in page.place]
        seen.read += page.read
        seen.values += page.values
        seen.received += page.received
        seen.intact += page.intact
        seen.shown += [self._clock.now_ns()] * len(page.values)
        return seen.read < total

    def _entries(self, listed: object) -> _Entries:
        page = _Entries()
        if not isinstance(listed, list):
            raise TypeError("entries is no list")
        own, surge = self._run, surge_of(self._run)
        for value, check, received_ns in listed:
            page.read += 1
            if check == checksum(surge, int(value)):
                continue
            page.place.append(page.read - 1)
            page.values.append(min(max(int(value), 0), _NO_VALUE))
            page.received.append(min(max(int(received_ns), -_NO_TIME), _NO_TIME))
            page.intact.append(check == checksum(own, int(value)))
        return page
