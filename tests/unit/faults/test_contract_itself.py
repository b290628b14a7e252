"""The contract finds a fault that breaks one of its terms, by the check of that term."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.timing import timed
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.contract import CONTRACT, Check, World
from gameday.testing.environments import MemoryEnvironment, MemoryService


@dataclass(slots=True, kw_only=True)
class Lamps(MemoryService):
    """Two lamps; `stuck` ones are said to be what they were told to be."""

    on: tuple[bool, bool] = (True, True)
    stuck: bool = False

    def switch(self, number: int, on: bool) -> None:
        if not self.stuck:
            first, second = self.on
            self.on = (on, second) if number == 0 else (first, on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dark:
    """Both lamps go out; `flaw` is what this fault does wrong."""

    verb: ClassVar[str] = "dark"
    hits: ClassVar[Hits] = "service"
    target: str = "lamps"
    flaw: str = ""

    def on(self, environment: Environment) -> Injection:
        lamps = environment.service(self.target)
        assert isinstance(lamps, Lamps)
        return Darkness(lamps, self.flaw)


class Darkness:
    undo_text = "switch both on"
    asked: Mapping[str, Scalar] = {}

    def __init__(self, lamps: Lamps, flaw: str) -> None:
        self._lamps = lamps
        self._flaw = flaw
        self._in = False
        self._undone = 0

    def inject(self) -> Window:
        lamps = self._lamps
        window = timed(lamps.clock, lambda: lamps.switch(0, False), lambda: lamps.switch(1, False))
        self._in = True
        return window

    def prove(self, checkpoint: Checkpoint) -> Proof:
        dark = self._lamps.on == (False, False)
        match self._flaw:
            case "is never proven":
                dark = False
            case "believes itself":
                dark = True
            case "believes its call":
                dark = self._in
        return Proof(proven=dark)

    def is_active(self) -> Proof:
        dark = self._lamps.on == (False, False)
        return Proof(proven=dark and self._flaw != "is not active")

    def undo(self) -> Window:
        self._undone += 1
        if self._flaw == "minds a second undo" and self._undone > 1:
            raise EnvironmentRefused("it is undone already")
        if self._flaw == "undoes what it knows of" and not self._in:
            return timed(self._lamps.clock)
        if self._flaw == "is not undone":
            return timed(self._lamps.clock)
        lamps = self._lamps
        return timed(lamps.clock, lambda: lamps.switch(0, True), lambda: lamps.switch(1, True))

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        healed = self._lamps.on == (True, True)
        return Proof(proven=healed or self._flaw == "heals by its word")


def world(flaw: str) -> World:
    spec, clock = ServiceSpec(name="lamps", kind="redis"), ManualClock()
    lamps = Lamps(spec=spec, clock=clock)
    target = Target(name="t", title="T", path=Path(), services=(spec,))
    return World(
        fault=Dark(flaw=flaw),
        environment=MemoryEnvironment(target=target, clock=clock, services={"lamps": lamps}),
        fakes=(__name__,),
        disable=lambda: setattr(lamps, "stuck", True),
        state=lambda: lamps.on,
    )


def broken(flaw: str) -> set[str]:
    """Return the checks that a fault with this flaw does not pass."""

    def passes(check: Check) -> bool:
        try:
            check(lambda: world(flaw))
        except (AssertionError, EnvironmentRefused):
            return False
        return True

    return {check.__name__ for check in CONTRACT if not passes(check)}


def test_a_fault_without_a_flaw_keeps_all_of_it() -> None:
    assert broken("") == set()


@pytest.mark.parametrize(
    ("flaw", "check"),
    [
        ("is never proven", "its_effect_is_proven_and_its_undoing_too"),
        ("is not active", "its_effect_is_proven_and_its_undoing_too"),
        ("is not undone", "its_effect_is_proven_and_its_undoing_too"),
        ("believes itself", "one_that_does_nothing_is_found_out"),
        ("believes its call", "a_world_in_which_it_has_no_effect_is_found_out"),
        ("heals by its word", "an_undo_that_does_nothing_is_found_out"),
        ("minds a second undo", "undoing_it_twice_is_harmless"),
        ("undoes what it knows of", "undoing_it_after_half_an_injection_heals"),
    ],
)
def test_each_flaw_is_found_by_the_check_of_what_it_breaks(flaw: str, check: str) -> None:
    assert check in broken(flaw)


def test_a_call_is_cut_off_before_and_after_it_has_done_its_work() -> None:
    with pytest.raises(AssertionError, match="healed when cut off after"):
        CONTRACT[-1](lambda: world("undoes what it knows of"))
