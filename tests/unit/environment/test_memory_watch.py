"""Whoever the kernel would choose is killed while too much is held, and nobody afterwards."""

import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from gameday.environment import memory_watch
from gameday.environment.memory_watch import WatchedMemory
from gameday.environment.using import lives

_LIMIT_S = 5
_SOME_LOOKS_S = 0.3
HELD = (30, 50, 10)


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[psutil.Process]]:
    """Three processes, of which the first is the worst and the second holds the most."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in HELD]
    family = [psutil.Process(process.pid) for process in started]
    held = dict(zip(family, HELD, strict=True))

    def resident(process: psutil.Process) -> int:
        return held[process] if lives(process) else 0

    monkeypatch.setattr(memory_watch, "_resident", resident)
    monkeypatch.setattr(memory_watch, "memory_of", lambda found: sum(map(resident, found)))
    monkeypatch.setattr(memory_watch, "_badness", lambda process: (process == family[0], 0))
    yield family
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def watch(family: list[psutil.Process]) -> Iterator[WatchedMemory]:
    watch = WatchedMemory(lambda: [process for process in family if lives(process)])
    yield watch
    watch.release()


def comes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + _LIMIT_S
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.005)
    return condition()


def test_the_worst_is_killed_and_no_more_than_needed(
    family: list[psutil.Process], watch: WatchedMemory
) -> None:
    watch.hold(75)
    assert watch.limit() == 75
    assert comes_true(lambda: watch.denials() == 1)
    time.sleep(_SOME_LOOKS_S)
    assert [lives(process) for process in family] == [False, True, True]
    assert (watch.denials(), watch.usage()) == (1, 60)


def test_nobody_else_pays_while_the_memory_of_the_dead_comes_back(
    family: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: dict[psutil.Process, float] = {}

    def lives_on(process: psutil.Process) -> bool:
        if lives(process):
            return True
        return time.monotonic() - ended.setdefault(process, time.monotonic()) < 0.2

    monkeypatch.setattr(memory_watch, "lives", lives_on)
    monkeypatch.setattr(memory_watch, "_resident", lambda process: 30 if lives_on(process) else 0)
    monkeypatch.setattr(memory_watch, "memory_of", lambda _: 30 * sum(map(lives_on, family)))
    watch = WatchedMemory(lambda: family)
    watch.hold(75)
    assert comes_true(lambda: watch.denials() == 1)
    time.sleep(_SOME_LOOKS_S)
    watch.release()
    assert watch.denials() == 1


def test_what_is_shared_does_not_count_twice(
    family: list[psutil.Process], watch: WatchedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_watch, "memory_of", lambda _: 70)
    watch.hold(75)
    time.sleep(_SOME_LOOKS_S)
    assert all(map(lives, family))


def test_after_the_release_nobody_is_killed(
    family: list[psutil.Process], watch: WatchedMemory
) -> None:
    watch.hold(100)
    assert watch.left()
    watch.release()
    watch.release()
    assert (watch.left(), watch.limit()) == ("", None)
    watch.hold(1)
    watch.release()
    killed = watch.denials()
    time.sleep(_SOME_LOOKS_S)
    assert watch.denials() == killed <= 1


def test_a_watch_ends_by_itself(
    family: list[psutil.Process], watch: WatchedMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.environment.watch._LONGEST_NS", 1)
    watch.hold(100)
    assert comes_true(lambda: watch.limit() is None)


def test_the_kernels_score_decides_and_then_what_is_held() -> None:
    with subprocess.Popen(
        ["sh", "-c", "echo 900 > /proc/self/oom_score_adj; exec sleep 60"]
    ) as bad:
        try:
            worse, me = psutil.Process(bad.pid), psutil.Process()
            assert comes_true(lambda: worse.name() == "sleep")
            assert max(worse, me, key=memory_watch._badness) == worse
            assert memory_watch._resident(me) > memory_watch._resident(worse) > 0
        finally:
            bad.kill()
