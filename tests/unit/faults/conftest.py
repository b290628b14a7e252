from pathlib import Path

import pytest

from gameday.model.scenario import ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryEnvironment, MemoryService


@pytest.fixture
def environment() -> MemoryEnvironment:
    """A target of one service, `db`, in memory."""
    target = Target(
        name="t", title="T", path=Path(), services=(ServiceSpec(name="db", kind="redis"),)
    )
    return MemoryEnvironment(target=target, clock=ManualClock())


@pytest.fixture
def db(environment: MemoryEnvironment) -> MemoryService:
    return environment.service("db")
