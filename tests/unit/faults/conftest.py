from pathlib import Path

import pytest

from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.edges import EdgedEnvironment, MemoryEdge
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


@pytest.fixture
def edged() -> EdgedEnvironment:
    """An app that uses `db`, with a proxy between them."""
    app = ServiceSpec(name="app", kind="app", program="p", needs=("db",))
    db = ServiceSpec(name="db", kind="redis")
    target = Target(name="t", title="T", path=Path(), services=(db, app))
    return EdgedEnvironment(target=target, clock=ManualClock())


@pytest.fixture
def edge(edged: EdgedEnvironment) -> MemoryEdge:
    """The proxy between them."""
    return edged.edge(Edge(client="app", service="db"))
