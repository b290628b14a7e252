"""Everybody hears of everything, and who cannot listen keeps nobody else from it."""

import errno
from dataclasses import dataclass, field
from typing import cast

import pytest

from gameday.engine.event_bus import EventBus
from gameday.errors import EnvironmentRefused
from gameday.model.event import Event, Note
from gameday.model.result import Result
from gameday.testing.clocks import ManualClock


@dataclass
class Ear:
    deaf: OSError | None = None
    heard: list[str] = field(default_factory=list)

    def on_event(self, event: Event) -> None:
        if self.deaf is not None:
            raise self.deaf
        assert isinstance(event, Note)
        self.heard.append(event.text)

    def on_result(self, result: Result) -> None:
        if self.deaf is not None:
            raise self.deaf
        self.heard.append("the result")


class Mouth(Ear):
    """Another listener."""


def test_a_listener_that_fails_is_named_once_and_the_others_hear_all() -> None:
    deaf, ear = Ear(deaf=OSError("no space left")), Ear()
    event_bus = EventBus([deaf, ear], ManualClock())
    event_bus.note("one")
    event_bus.note("two")
    assert ear.heard == ["one", "two"]
    assert event_bus.problems == ("Ear could not record an event: no space left",)


def test_a_result_that_somebody_cannot_keep_is_refused_once_all_the_others_have_it() -> None:
    deaf, ear = Ear(deaf=OSError("no space left")), Ear()
    with pytest.raises(EnvironmentRefused, match="Ear could not record an event: no space"):
        EventBus([deaf, ear], ManualClock()).finish(cast(Result, object()))
    assert ear.heard == ["the result"]


def test_a_full_disk_is_one_sentence_whoever_meets_it() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    event_bus = EventBus([Ear(deaf=full), Mouth(deaf=full)], ManualClock())
    event_bus.note("one")
    (problem,) = event_bus.problems
    assert problem == (
        "the disk of the reports is full (No space left on device): Ear, Mouth could not keep "
        "everything; make room, or choose another folder by --gameday-reports"
    )
    with pytest.raises(EnvironmentRefused) as raised:
        event_bus.finish(cast(Result, object()))
    assert str(raised.value) == problem


def test_nobody_who_listens_is_a_problem() -> None:
    event_bus = EventBus([Ear()], ManualClock())
    event_bus.note("one")
    assert event_bus.problems == ()


def test_a_note_of_any_length_takes_a_bounded_part_of_the_journal() -> None:
    ear = Ear()
    EventBus([ear], ManualClock()).note("x" * 600_000_000)
    (text,) = ear.heard
    assert len(text) < 21_000
    assert text.endswith("and 599980000 characters more")
