"""An owner is taken for dead, or for a process to signal, only when that is sure."""

import os
import subprocess
from dataclasses import replace

import psutil
import pytest

from gameday.cleanup import owner
from gameday.cleanup.owner import NOBODY, is_alive, is_dead, pid_of, this_owner

_HOST = owner._Place(
    host="0123456789ab", boot="first", namespaces="pid:[4026531836],time:[4026531834]"
)
_CONTAINER = replace(_HOST, namespaces="pid:[4026532999],time:[4026531834]")


def seen_from(place: owner._Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "_here", lambda: place)


def test_this_process_lives() -> None:
    assert is_alive(this_owner())
    assert not is_dead(this_owner())
    assert pid_of(this_owner()) == os.getpid()


def test_a_step_of_the_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = this_owner()
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
    monkeypatch.setattr("psutil.boot_time", lambda: booted + 3600)
    assert this_owner() == mine
    assert is_alive(mine)


def test_another_process_of_the_same_number_is_not_the_owner() -> None:
    pid, started, place = this_owner().split("@", 2)
    other = f"{pid}@{int(started) + 1}@{place}"
    assert is_dead(other)
    assert not is_alive(other)


def test_a_process_that_has_ended_is_dead_also_while_nobody_has_asked_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr(os, "getpid", lambda: process.pid)
    its = this_owner()
    monkeypatch.undo()
    assert is_alive(its)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(its)
    process.wait()
    assert is_dead(its)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(_HOST, boot="another", host="another"),
        replace(_HOST, boot="another", host=""),
        replace(_HOST, namespaces="pid:[4026532999],time:[4026531834]"),
        replace(_HOST, namespaces="pid:[4026531836],time:[4026532111]"),
        replace(_CONTAINER, boot="another"),
    ],
    ids=["host", "host-without-a-name", "container", "counts-time-anew", "container-before"],
)
def test_of_an_owner_elsewhere_nothing_is_sure(
    monkeypatch: pytest.MonkeyPatch, elsewhere: owner._Place
) -> None:
    seen_from(elsewhere, monkeypatch)
    theirs = this_owner()
    seen_from(_HOST, monkeypatch)
    assert not is_dead(theirs)
    assert not is_alive(theirs), "its number means another process here"


def test_nobody_outlives_a_reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_from(_HOST, monkeypatch)
    before = this_owner()
    seen_from(replace(_HOST, boot="second"), monkeypatch)
    assert is_dead(before)
    seen_from(replace(_CONTAINER, boot="second"), monkeypatch)
    assert not is_dead(before), "an image may have the same number on every host"


@pytest.mark.parametrize("text", ["", "1", "me@here", "1@1.00@another-host", "-1@1@h@b@n"])
def test_what_is_no_owner_is_neither_alive_nor_dead(text: str) -> None:
    assert not is_dead(text)
    assert not is_alive(text)


def test_what_has_no_owner_belongs_to_a_dead_one() -> None:
    assert is_dead(NOBODY)
    assert not is_alive(NOBODY)


def test_of_a_process_that_hides_nothing_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = this_owner()
    monkeypatch.setattr(owner, "_started", lambda pid: None)
    assert not is_dead(mine)
    assert not is_alive(mine)
