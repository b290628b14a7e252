"""Wins a lost connection back: the policy of backoff and breaker, joined to real attempts."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol

from resilience.breaker import State
from resilience.policy import ReconnectPolicy
from resilience.redis_link import LinkError

__all__ = ["Reconnecting", "Session"]

_SECOND_NS = 1_000_000_000
_log = logging.getLogger("reconnect")


class Session(Protocol):
    """One life of the connection, from established to lost."""

    async def lost(self) -> str:
        """Return why the connection was lost, once it is."""
        ...

    async def close(self) -> None:
        """Let go of everything the session holds."""
        ...


class Reconnecting:
    """Keeps one logical connection: notices its loss and opens it again, in the background.

    `open_session` makes one attempt; it raises LinkError when the attempt failed. The first
    retry comes one base delay after a loss; success resets the delay and the breaker.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[Session]],
        policy: ReconnectPolicy,
        *,
        give_up_when_lost: bool = False,
        random: Random | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._open_session = open_session
        self._backoff = policy.backoff
        self._breaker = policy.breaker()
        self._give_up_when_lost = give_up_when_lost
        self._random = random or Random()
        self._clock_ns = clock_ns
        self._sleep = sleep
        self._waits = 0
        self.connected = False
        self.given_up = False
        self.attempts = 0
        self.connections_lost = 0
        self.connections_restored = 0

    @property
    def breaker(self) -> State:
        """What the breaker lets through now."""
        return self._breaker.state

    @property
    def why_not(self) -> str:
        """Why there is no connection now."""
        if self.given_up:
            return "not connected to Redis: given up"
        if self.breaker is not State.CLOSED:
            return f"not connected to Redis: breaker {self.breaker}"
        return f"not connected to Redis: {self._breaker.failures} attempts failed so far"

    async def run(self) -> None:
        """Connect, and connect again after every loss, until cancelled or given up."""
        while not self.given_up:
            if self._admitted():
                session = await self._attempt()
                if session is not None:
                    await self._live(session)
                if self.given_up:
                    return
            await self._sleep(self._pause_ns() / _SECOND_NS)

    def _pause_ns(self) -> int:
        until_trial_ns = self._breaker.wait_ns(self._clock_ns())
        if self.breaker is State.OPEN:
            return until_trial_ns
        self._waits += 1
        return self._backoff.delay_ns(self._waits, self._random)

    def _admitted(self) -> bool:
        before = self.breaker
        admitted = self._breaker.admit(self._clock_ns())
        self._log_breaker(before)
        return admitted

    async def _attempt(self) -> Session | None:
        self.attempts += 1
        before = self.breaker
        try:
            session = await self._open_session()
        except LinkError as error:
            self._breaker.failed(self._clock_ns())
            _log.warning("attempt failed (%d in a row): %s", self._breaker.failures, error)
            self._log_breaker(before)
            return None
        self._breaker.succeeded()
        self._waits = 0
        self._log_breaker(before)
        return session

    async def _live(self, session: Session) -> None:
        self.connected = True
        if self.connections_lost:
            self.connections_restored += 1
            _log.warning("connection restored (%d of %d losses)", *self._losses())
        else:
            _log.info("connected")
        try:
            reason = await session.lost()
        finally:
            self.connected = False
            await session.close()
        self.connections_lost += 1
        _log.warning("connection lost: %s", reason)
        if self._give_up_when_lost:
            self.given_up = True
            _log.error("reconnection is off: given up")

    def _losses(self) -> tuple[int, int]:
        return self.connections_restored, self.connections_lost

    def _log_breaker(self, before: State) -> None:
        if before is not self.breaker:
            _log.warning("breaker %s -> %s", before, self.breaker)
