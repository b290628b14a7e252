"""Kill: a death by that very signal, and a new start with the data."""

from collections.abc import Callable

import pytest

from gameday.faults.kill import Kill
from gameday.faults.protocol import Fault, Proof

pytestmark = pytest.mark.live

Through = Callable[[Fault], tuple[Proof, Proof]]


@pytest.mark.parametrize(("signal", "code"), [("SIGKILL", 137), ("SIGTERM", 0)])
def test_a_killed_service_is_gone_and_comes_back(through: Through, signal: str, code: int) -> None:
    effect, undone = through(Kill(target="redis", signal=signal))  # type: ignore[arg-type]
    assert effect.measured["exit_code"] == code
    assert undone.measured["pid_after"] != effect.measured["pid"]
