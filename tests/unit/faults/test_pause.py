"""The pause: frozen, accepting and silent, or not proven; thawed and answering, or not undone."""

import socket
from collections.abc import Iterator
from itertools import count

import pytest

from gameday.api.environment import Endpoint, FreezerState
from gameday.api.fault import Fault, Injection
from gameday.faults.lifecycle.pause import Pause
from gameday.model.clock import MILLISECOND
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

PAUSE = Pause(target="db")


@pytest.fixture(autouse=True)
def _accepting(db: MemoryService) -> Iterator[None]:
    """The kernel accepts for whoever listens, even if that does nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        db.upstream = Endpoint(host="127.0.0.1", port=int(listener.getsockname()[1]))
        yield


def no_checkpoint() -> None:
    return


def injected(environment: MemoryEnvironment, fault: Fault = PAUSE) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


def test_who_is_frozen_accepts_and_is_silent_is_paused(environment: MemoryEnvironment) -> None:
    injection = injected(environment)
    proof = injection.prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["silent_at_least_ns"] == 250 * MILLISECOND
    injection.undo()
    undone = injection.prove_healed(no_checkpoint)
    assert undone.proven
    assert undone.measured["state_after"] == "running"


def test_who_is_called_frozen_and_answers_is_not_paused(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    db.answers_frozen = True
    proof = injected(environment).prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["answered_after_ns"] is not None


def test_who_refuses_connections_is_not_paused_but_gone(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        db.upstream = Endpoint(host="127.0.0.1", port=int(closed.getsockname()[1]))
    proof = injected(environment).prove(no_checkpoint)
    assert not proof.proven
    assert proof.measured["accepts_connections"] is False


@pytest.mark.parametrize("defect", ["thaws", "answers"])
def test_what_stays_frozen_or_silent_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, defect: str
) -> None:
    injection = injected(environment)
    setattr(db, defect, False)
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_the_pause_is_measured_to_the_first_thaw(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment)
    db.clock.sleep_ns(7)
    injection.undo()
    db.clock.sleep_ns(5)
    injection.undo()
    assert injection.prove_healed(no_checkpoint).measured["paused_ns"] == 7


def test_who_was_thawed_by_somebody_else_is_not_paused_any_more(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment)
    assert injection.prove(no_checkpoint).proven
    assert is_active(injection)
    db.thaw()
    assert not is_active(injection)


def test_who_is_thawed_in_turns_is_not_paused_any_more(
    environment: MemoryEnvironment, db: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    injection = injected(environment)
    assert injection.prove(no_checkpoint).proven
    looks = count(1)

    def freezer_state(_: MemoryService) -> FreezerState:
        return "running" if next(looks) == 3 else "frozen"

    monkeypatch.setattr(MemoryService, "freezer_state", freezer_state)
    assert not is_active(injection)
