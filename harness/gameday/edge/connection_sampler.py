"""Samples which paths the clients of edges take while a run goes on."""

import random
import threading
import time
from collections.abc import Iterable, Mapping

from gameday.api.traffic import Paths, Traced
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import Edge

__all__ = ["ConnectionSampler"]

_BUSY = 1 / 40
"""The most of its time that it may look: 5 ms in 200 ms. The rest it waits."""
_LEAST_PAUSE_NS = 10 * MILLISECOND
_STOP_LIMIT_S = 5.0


class ConnectionSampler:
    """Records every connection that it sees, in a thread of its own, until it is stopped."""

    def __init__(self, environment: Traced, edges: Iterable[Edge], draws: random.Random) -> None:
        """`draws` vary the pauses: at an even pace it could always miss a load that is as even."""
        self._environment = environment
        self._edges = tuple(edges)
        self._draws = draws
        self._seen: dict[Edge, Paths] = {}
        self._from_before: dict[Edge, frozenset[int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="lookout", daemon=True)
        self._error: Exception | None = None

    @property
    def seen(self) -> Mapping[Edge, Paths]:
        """Every connection that was seen of each edge; what was over at the start is left out."""
        return self._seen

    def start(self) -> None:
        for edge in self._edges:
            paths = self._paths(edge)
            if paths is not None:
                self._from_before[edge] = paths.around_closed
        if self._edges:
            self._thread.start()

    def stop(self) -> None:
        """Take a last look, and return when nobody looks any more; the second time do nothing.

        Raises what ended the looking early.
        """
        if self._over.is_set() or self._thread.ident is None:
            return
        self._over.set()
        self._thread.join(_STOP_LIMIT_S)
        if self._error is not None:
            raise self._error
        self.look()

    def look(self) -> None:
        """Take one look at every edge."""
        for edge in self._edges:
            paths = self._paths(edge)
            if paths is not None:
                known = self._seen.get(edge, Paths())
                lately = paths.around_closed - self._from_before.get(edge, frozenset())
                self._seen[edge] = Paths(
                    through=known.through | paths.through,
                    around=known.around | paths.around,
                    around_closed=known.around_closed | lately,
                )

    def _paths(self, edge: Edge) -> Paths | None:
        try:
            return self._environment.paths(edge)
        except EnvironmentRefused:
            return None  # A service that is being started again, say; there are more looks.

    def _look_on(self) -> None:
        wait_ns = 0
        while not self._over.wait(wait_ns / SECOND):
            began_ns = time.monotonic_ns()
            try:
                self.look()
            except Exception as error:
                self._error = error
                return
            took_ns = time.monotonic_ns() - began_ns
            pause_ns = max(_LEAST_PAUSE_NS, round(took_ns * (1 - _BUSY) / _BUSY))
            wait_ns = round(pause_ns * self._draws.uniform(0.75, 1.5))
