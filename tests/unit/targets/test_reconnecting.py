import asyncio
from collections import deque
from random import Random

from resilience.breaker import State
from resilience.policy import ReconnectPolicy
from resilience.reconnecting import Reconnecting
from resilience.redis_link import Unavailable

SECOND = 1_000_000_000


class Life:
    """A session that is lost as soon as somebody waits for it."""

    closed = False

    async def lost(self) -> str:
        return "gone"

    async def close(self) -> None:
        self.closed = True


class Story:
    """Plays attempts by a list (True connects, False fails) on a clock that sleeping moves."""

    def __init__(
        self, attempts: list[bool], env: dict[str, str] | None = None, *, give_up: bool = False
    ) -> None:
        self.now_ns = 0
        self.tried_s: list[float] = []
        self.states: list[State] = []
        self._attempts = deque(attempts)
        self.connection = Reconnecting(
            self._open,
            ReconnectPolicy.from_env({"REDIS_RECONNECT_JITTER_PCT": "0", **(env or {})}),
            give_up_when_lost=give_up,
            random=Random(1),
            clock_ns=lambda: self.now_ns,
            sleep=self._sleep,
        )

    def play(self) -> "Story":
        async def until_told() -> None:
            try:
                await self.connection.run()
            except StopAsyncIteration:
                return

        asyncio.run(until_told())
        return self

    async def _open(self) -> Life:
        self.tried_s.append(self.now_ns / SECOND)
        self.states.append(self.connection.breaker)
        if not self._attempts.popleft():
            raise Unavailable("refused")
        return Life()

    async def _sleep(self, seconds: float) -> None:
        if not self._attempts:
            raise StopAsyncIteration
        self.now_ns += round(seconds * SECOND)


def test_after_a_loss_the_retries_come_after_1_2_4_8_16_32_and_60_s() -> None:
    story = Story([True] + [False] * 8).play()
    assert story.tried_s == [0, 1, 3, 7, 15, 31, 63, 123, 183]


def test_a_service_that_starts_before_redis_waits_as_after_a_loss() -> None:
    assert Story([False] * 4).play().tried_s == [0, 1, 3, 7]


def test_a_success_resets_the_delay() -> None:
    story = Story([True, False, False, True, False, True]).play()
    assert story.tried_s == [0, 1, 3, 7, 8, 10]


def test_the_tenth_failure_opens_the_breaker_and_one_trial_follows_every_60_s() -> None:
    env = {"REDIS_RECONNECT_BASE_DELAY_MS": "1", "REDIS_RECONNECT_MAX_DELAY_MS": "1"}
    story = Story([False] * 12 + [True], env).play()
    assert story.tried_s[9] == 0.009
    assert [round(at, 3) for at in story.tried_s[10:]] == [60.009, 120.009, 180.009]
    assert story.states == [State.CLOSED] * 10 + [State.HALF_OPEN] * 3
    assert story.connection.breaker is State.CLOSED


def test_losses_and_restorations_are_counted_and_the_first_connection_is_neither() -> None:
    connection = Story([False, True, False, True, True]).play().connection
    assert connection.connections_lost == 3
    assert connection.connections_restored == 2
    assert connection.attempts == 5
    assert not connection.connected


def test_without_reconnection_the_first_loss_is_the_end() -> None:
    story = Story([False, True, True], give_up=True).play()
    assert story.tried_s == [0, 1]
    assert story.connection.given_up
    assert story.connection.connections_lost == 1
