"""Every fault on real services: asked, measured, undone, and what that adds to the table."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, cast

import pytest

from gameday.environment.protocol import Environment
from gameday.faults.protocol import Fault, Proof
from gameday.model.event import Scalar
from gameday.planning import Options, load, make_environment, make_plan
from gameday.resources import bundled

Through = Callable[[Fault], tuple[Proof, Proof]]
"""Takes a fault from its injection to the proof of its undoing; gives back both proofs."""


@pytest.fixture(scope="session", params=["process", "docker"])
def environment(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    missing: Callable[[str], NoReturn],
) -> Iterator[Environment]:
    """The target `signals`, started once in each environment; nothing may be left of it."""
    runtime = str(request.param)
    if runtime == "docker":
        request.getfixturevalue("docker_engine")
    options = Options(runtime=runtime, seed=1, settings={})
    experiment = load(bundled("scenarios") / "redis-restart.yaml", options)
    plan = make_plan(experiment, options)
    logs = tmp_path_factory.mktemp("logs")
    made = make_environment(plan, experiment.target, run=f"t{os.getpid()}", logs=logs, port_base=0)
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


@pytest.fixture(scope="session")
def table() -> Iterator[list[Mapping[str, object]]]:
    """The rows of docs/faults.md; they are written when GAMEDAY_FAULT_TABLE names a file."""
    rows: list[Mapping[str, object]] = []
    yield rows
    file = os.environ.get("GAMEDAY_FAULT_TABLE")
    if file:
        Path(file).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def through(environment: Environment, table: list[Mapping[str, object]]) -> Through:
    def play(fault: Fault) -> tuple[Proof, Proof]:
        injection = fault.on(environment)
        try:
            injection.inject()
            effect = injection.prove(lambda: None)
        finally:
            injection.undo()
            undone = injection.prove_undone(lambda: None)
        assert effect.proven, effect.measured
        assert undone.proven, undone.measured
        asked = cast(Mapping[str, Scalar], dict(injection.asked))
        row = {"fault": fault.verb, "runtime": environment.runtime, "asked": asked}
        table.append({**row, "measured": dict(effect.measured), "undone": dict(undone.measured)})
        return effect, undone

    return play
