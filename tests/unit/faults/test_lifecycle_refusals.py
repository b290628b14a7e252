"""A service that cannot bear a fault is refused by name, before anything is broken."""

from typing import cast

import pytest

from gameday.api.fault import Fault
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.kill_inside import KillInside
from gameday.faults.lifecycle.pause import Pause
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.testing.environments import MemoryEnvironment, MemoryService


@pytest.mark.parametrize(
    "fault",
    [
        Kill(target="db"),
        Stop(target="db"),
        Restart(target="db"),
        CrashLoop(target="db"),
        Pause(target="db"),
        Remove(target="db"),
        KillInside(target="db", pattern="x"),
    ],
    ids=lambda fault: fault.verb,
)
def test_a_service_without_the_ability_is_refused_by_name(
    environment: MemoryEnvironment, fault: Fault
) -> None:
    fault.on(environment)
    environment.services["db"] = cast(MemoryService, object())
    with pytest.raises(EnvironmentRefused, match=r"\bdb\b.* in memory|in memory .*\bdb\b"):
        fault.on(environment)
