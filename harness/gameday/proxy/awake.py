"""A loop that stays awake for a moment after data arrived, since the answer comes soon.

A processor that went to sleep takes some tens of microseconds to wake, once for a request and once
for its answer. Most of what a proxy adds to an answer that is quick is this.
"""

import asyncio
import time

__all__ = ["Awake"]

_MOMENT_NS = 50_000


class Awake:
    """Lets a loop go round, with its sockets served, for a moment after the last `heard`."""

    __slots__ = ("_call_soon", "_going", "_heard", "_until_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._heard = False
        self._going = False
        self._until_ns = 0

    def heard(self) -> None:
        """Take it that something came."""
        self._heard = True
        if not self._going:
            self._going = True
            self._call_soon(self._go_round)

    def _go_round(self) -> None:
        now_ns = time.monotonic_ns()
        if self._heard:
            self._heard = False
            self._until_ns = now_ns + _MOMENT_NS
        self._going = now_ns < self._until_ns
        if self._going:
            self._call_soon(self._go_round)
