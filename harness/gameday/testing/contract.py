"""The contract of every fault, as checks that a test runs over a fault in a world of fakes.

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    def test_flush_all_keeps_the_contract(check: Check) -> None:
        check(lambda: World(fault=FlushAll(target="cache"), environment=memcached()))

Each check makes a world of its own and raises AssertionError for what the fault does not keep. The
environment's clock should be a `ManualClock`, so that nothing waits.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Injection, Lasting, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.noop import Noop
from gameday.model.result import Window

__all__ = ["CONTRACT", "Check", "MakeWorld", "World"]

_MOST_CALLS = 500
_CLOCKS = "gameday.testing.clocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A fault and the fakes that it is put on, as they are before anything has happened."""

    fault: Fault
    environment: Environment
    fakes: tuple[str, ...] = ()
    """The modules of fakes, or packages of them, beside `gameday.testing` and the environment's:
    calls from the fault into these are cut off in the middle of an injection."""
    disable: Callable[[], object] | None = None
    """Lets the world take the fault without an effect, such as a process that survives its kill."""
    settle: Callable[[], object] = lambda: None
    """What happens by itself once the fault has had its effect, such as a client coming back."""
    state: Callable[[], object] = lambda: None
    """Returns what has to be after the fault what it was before, beyond what its proofs read."""
    close: Callable[[], object] = lambda: None
    """Gives back what the fakes hold, such as a socket."""


MakeWorld = Callable[[], World]
Check = Callable[[MakeWorld], None]


def its_effect_is_proven_and_its_undoing_too(make: MakeWorld) -> None:
    """Raise AssertionError unless an honest world proves all that a run asks of the fault."""
    with _opened(make) as world:
        before = world.state()
        injection = world.fault.on(world.environment)
        _claim(bool(injection.undo_text), "says what would undo it, before it is in")
        _claim(dict(injection.asked) is not None, "says what was asked for")
        _ordered(injection.inject())
        _proven(injection.prove(_go_on), "its effect is proven")
        if isinstance(injection, Lasting):
            _proven(injection.is_active(), "it is active once proven")
        world.settle()
        _ordered(injection.undo())
        _healed(injection, world, before, "its undoing is proven")


def one_that_does_nothing_is_found_out(make: MakeWorld) -> None:
    """Raise AssertionError if the fault's proofs hold although nothing was injected."""
    with _opened(make) as world:
        before = world.state()
        injection = Noop(fault=world.fault).on(world.environment)
        injection.inject()
        _disproven(injection.prove(_go_on), "what was never injected is not proven")
        injection.undo()
        _healed(injection, world, before, "nothing was broken, so nothing is left")


def a_world_in_which_it_has_no_effect_is_found_out(make: MakeWorld) -> None:
    """Raise AssertionError if the fault is proven where the world only seems to obey."""
    with _opened(make) as world:
        if world.disable is None:
            return
        world.disable()
        injection = world.fault.on(world.environment)
        with suppress(EnvironmentRefused):
            injection.inject()
            _disproven(injection.prove(_go_on), "what had no effect is not proven")


def an_undo_that_does_nothing_is_found_out(make: MakeWorld) -> None:
    """Raise AssertionError if a lasting fault passes for healed while it is still active."""
    with _opened(make) as world:
        injection = _broken(world)
        if isinstance(injection, Lasting):
            _disproven(injection.prove_healed(_go_on), "what was not undone is not healed")


def undoing_it_twice_is_harmless(make: MakeWorld) -> None:
    """Raise AssertionError unless the fault can be undone again, and is healed after that."""
    with _opened(make) as world:
        before = world.state()
        injection = _broken(world)
        world.settle()
        injection.undo()
        injection.undo()
        _healed(injection, world, before, "undone twice, it is healed")


def undoing_it_after_half_an_injection_heals(make: MakeWorld) -> None:
    """Raise AssertionError unless the undo heals whatever part of the injection was done.

    The injection is cut off before and after each call that it makes to the fakes, one at a time.
    """
    for number in range(1, _MOST_CALLS):
        with _opened(make) as world:
            injection = world.fault.on(world.environment)
            cut = _Cut(number, _fakes(world))
            with suppress(EnvironmentRefused), cut:
                injection.inject()
            if not cut.done:
                return
            injection.undo()
            _proven(injection.prove_healed(_go_on), f"healed when cut off {cut.where}")
    _claim(False, f"injecting takes fewer than {_MOST_CALLS // 2} calls")


CONTRACT: tuple[Check, ...] = (
    its_effect_is_proven_and_its_undoing_too,
    one_that_does_nothing_is_found_out,
    a_world_in_which_it_has_no_effect_is_found_out,
    an_undo_that_does_nothing_is_found_out,
    undoing_it_twice_is_harmless,
    undoing_it_after_half_an_injection_heals,
)
"""Everything that a run relies on a fault to keep."""


class _Cut:
    """Lets the so-manieth call into a fake fail: each counts once as it begins and as it ends."""

    def __init__(self, number: int, fakes: tuple[str, ...]) -> None:
        self._number = number
        self._fakes = fakes
        self._passed = 0
        self.where = ""

    @property
    def done(self) -> bool:
        return bool(self.where)

    def __enter__(self) -> None:
        sys.setprofile(self._look)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _look(self, frame: FrameType, event: str, result: object) -> None:
        if event not in ("call", "return") or not self._is_fake(_module_of(frame)):
            return
        if frame.f_back is not None and self._is_fake(_module_of(frame.f_back)):
            return
        if event == "return" and self._is_fake(type(result).__module__):
            # A connection of which nobody has heard is closed by whoever has opened it.
            return
        self._passed += 1
        if self._passed == self._number:
            name = frame.f_code.co_qualname
            self.where = f"{'before' if event == 'call' else 'after'} {name}"
            raise EnvironmentRefused("there was no answer")

    def _is_fake(self, module: str) -> bool:
        if module in (_CLOCKS, __name__):
            return False
        return any(module == one or module.startswith(f"{one}.") for one in self._fakes)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _fakes(world: World) -> tuple[str, ...]:
    return ("gameday.testing", type(world.environment).__module__, *world.fakes)


@contextmanager
def _opened(make: MakeWorld) -> Iterator[World]:
    world = make()
    try:
        yield world
    finally:
        world.close()


def _broken(world: World) -> Injection:
    injection = world.fault.on(world.environment)
    injection.inject()
    _proven(injection.prove(_go_on), "its effect is proven")
    return injection


def _healed(injection: Injection, world: World, before: object, what: str) -> None:
    _proven(injection.prove_healed(_go_on), what)
    after = world.state()
    _claim(after == before, f"{what}: it is {before} as before; it is {after}")


def _go_on() -> None:
    """Nobody wants to stop."""


def _ordered(window: Window) -> None:
    _claim(window.start_ns <= window.end_ns, "a call ends after it has begun")


def _proven(proof: Proof, what: str) -> None:
    _claim(proof.proven, f"{what}; measured was {dict(proof.measured)}")


def _disproven(proof: Proof, what: str) -> None:
    _claim(not proof.proven, f"{what}; measured was {dict(proof.measured)}")


def _claim(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"wanted: {what}")
