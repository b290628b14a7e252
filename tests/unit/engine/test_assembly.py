"""The parts of a run are made for its plan, and do nothing before the target is up."""

from pathlib import Path

import pytest

from gameday.api.environment import Endpoint
from gameday.engine.assembly import assemble
from gameday.engine.equipment import Equipment
from gameday.engine.planning import Options, load, make_plan
from gameday.errors import InternalError
from gameday.resources import bundled
from gameday.testing.environments import MemoryEnvironment
from gameday.testing.schedulers import ManualScheduler


@pytest.fixture
def environment(tmp_path: Path) -> MemoryEnvironment:
    experiment = load(bundled("scenarios") / "redis-restart.yaml", OPTIONS)
    return MemoryEnvironment(target=experiment.target, clock=ManualScheduler())


OPTIONS = Options(runtime="process", seed=7, settings={})


@pytest.fixture
def equipment(environment: MemoryEnvironment, tmp_path: Path) -> Equipment:
    experiment = load(bundled("scenarios") / "redis-restart.yaml", OPTIONS)
    plan = make_plan(experiment, OPTIONS)
    return assemble(experiment, plan, environment, run="0a1b2c3d", folder=tmp_path)


def test_making_the_parts_starts_none_of_them(equipment: Equipment, tmp_path: Path) -> None:
    assert {file.name for file in tmp_path.iterdir()} == {"undo.jsonl"}
    with pytest.raises(InternalError, match="the load was not started"):
        equipment.load.poll()
    with pytest.raises(InternalError, match="was not watched yet"):
        equipment.monitor.look(0)


def test_what_was_not_started_can_be_ended(equipment: Equipment) -> None:
    equipment.load.kill()
    equipment.monitor.close()
    equipment.ledger.close()
    equipment.noise_meter.kill()
    equipment.supervisor.dismiss()
    equipment.bypass.stop()


def test_the_ledger_is_read_where_its_service_is_by_then(
    equipment: Equipment, environment: MemoryEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def get(reader: object, path: str, **_: object) -> None:
        asked.append(reader._address)  # type: ignore[attr-defined]
        raise OSError("nobody is there")

    monkeypatch.setattr("gameday.http_reader.HttpReader.get", get)
    environment.service("listener").upstream = Endpoint(host="127.0.0.7", port=7)
    with pytest.raises(OSError, match="nobody is there"):
        equipment.ledger.final_read()
    assert asked == [("127.0.0.7", 7)]
