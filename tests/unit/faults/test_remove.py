"""The removal: nothing is left of the old but what was to be kept, and the new is another."""

from typing import Literal

import pytest

from gameday.api.fault import Fault, Injection
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.remove import Remove
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

BOTH = pytest.mark.parametrize("volume", ["keep", "drop"])
Volume = Literal["keep", "drop"]


def no_checkpoint() -> None:
    return


def injected(environment: MemoryEnvironment, fault: Fault) -> Injection:
    injection = fault.on(environment)
    injection.inject()
    return injection


@BOTH
def test_a_removal_is_proven_and_undone_by_another_body(
    environment: MemoryEnvironment, volume: Volume
) -> None:
    injection = injected(environment, Remove(target="db", volume=volume))
    proof = injection.prove(no_checkpoint)
    assert proof.proven
    assert proof.measured["left"] == ("volume 1" if volume == "keep" else "nothing")
    injection.undo()
    undone = injection.prove_healed(no_checkpoint)
    assert undone.proven
    assert undone.measured["marker_found"] is (volume == "keep")


@BOTH
@pytest.mark.parametrize("defect", ["removes", "drops", "keeps"])
def test_what_is_left_or_gone_against_the_asking_is_not_proven(
    environment: MemoryEnvironment, db: MemoryService, volume: Volume, defect: str
) -> None:
    setattr(db, defect, False)
    proof = injected(environment, Remove(target="db", volume=volume)).prove(no_checkpoint)
    meant = {"removes": True, "drops": volume == "drop", "keeps": volume == "keep"}
    assert proof.proven is not meant[defect]


@BOTH
@pytest.mark.parametrize("defect", ["starts", "answers"])
def test_what_does_not_answer_again_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, volume: Volume, defect: str
) -> None:
    injection = injected(environment, Remove(target="db", volume=volume))
    injection.prove(no_checkpoint)
    setattr(db, defect, False)
    injection.undo()
    assert not injection.prove_healed(no_checkpoint).proven


def test_dropped_data_that_come_back_are_not_undone(
    environment: MemoryEnvironment, db: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    injection = injected(environment, Remove(target="db", volume="drop"))
    injection.prove(no_checkpoint)
    injection.undo()
    monkeypatch.setattr(MemoryService, "finds", lambda *_: True)
    assert not injection.prove_healed(no_checkpoint).proven


def test_a_service_that_still_lives_was_not_removed(
    environment: MemoryEnvironment, db: MemoryService
) -> None:
    injection = injected(environment, Remove(target="db"))
    db._code = None
    assert not injection.prove(no_checkpoint).proven


@pytest.mark.parametrize("old", ["_body", "_volume"])
def test_an_old_part_that_comes_back_is_not_undone(
    environment: MemoryEnvironment, db: MemoryService, old: str
) -> None:
    injection = injected(environment, Remove(target="db", volume="drop"))
    injection.prove(no_checkpoint)
    injection.undo()
    setattr(db, old, 1)
    assert not injection.prove_healed(no_checkpoint).proven


@BOTH
def test_a_kind_without_markers_is_judged_by_its_volumes(
    environment: MemoryEnvironment, db: MemoryService, volume: Volume
) -> None:
    db.markable = False
    injection = injected(environment, Remove(target="db", volume=volume))
    assert injection.prove(no_checkpoint).proven
    injection.undo()
    undone = injection.prove_healed(no_checkpoint)
    assert undone.proven
    assert undone.measured["marker_found"] is None


def test_in_process_only_data_can_be_removed(environment: MemoryEnvironment) -> None:
    environment.runtime = "process"
    Remove(target="db", volume="drop").on(environment)
    with pytest.raises(EnvironmentRefused, match=r"db cannot be removed in process .* use kill"):
        Remove(target="db", volume="keep").on(environment)


@BOTH
def test_what_was_made_anew_by_somebody_else_is_not_removed_any_more(
    environment: MemoryEnvironment, db: MemoryService, volume: Volume
) -> None:
    injection = injected(environment, Remove(target="db", volume=volume))
    assert injection.prove(no_checkpoint).proven
    assert is_active(injection)
    db.start_again()
    assert not is_active(injection)
