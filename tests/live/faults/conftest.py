"""Every fault on real services: asked, measured, undone, and what that adds to the table."""

import fcntl
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

import pytest

from gameday.api.environment import Environment, EnvironmentConfig, Features
from gameday.api.fault import Fault, Proof
from gameday.engine.planning import vocabulary
from gameday.errors import EnvironmentRefused
from gameday.faults.noop import Noop
from gameday.loading import load_target
from gameday.model.scenario import Target
from gameday.report.labels import details
from gameday.resources import bundled

_TITLE = """# What was asked, measured and undone

Every fault on real services in both runtimes, as `tests/live/faults` ran it.
"""
_TABLE = Path("reports") / "faults"
_HEAD = (("fault", "runtime", "asked", "measured", "after the undo"), ("---",) * 5)

Unproven = Callable[[Fault], None]

Impossible = Callable[[Fault], str]
"""Takes a fault that the environment refuses, and gives back why."""

Through = Callable[[Fault], tuple[Proof, Proof]]
"""Takes a fault from its injection to the proof of its undoing; gives back both proofs."""


@pytest.fixture(scope="module")
def system() -> Target:
    """What the faults of a module hit; a module may have a fixture of this name of its own."""
    return load_target(bundled("targets") / "signals" / "target.yaml", vocabulary())


@pytest.fixture(scope="module")
def features() -> Features:
    """What the faults of a module need from the start; a module may have one of its own."""
    return Features()


@pytest.fixture(scope="module", params=["process", "docker"])
def environment(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    missing: Callable[[str], NoReturn],
    system: Target,
    features: Features,
) -> Iterator[Environment]:
    """The target, started once a module and environment; nothing may be left."""
    runtime = str(request.param)
    if runtime == "docker":
        request.getfixturevalue("docker_engine")
    given = EnvironmentConfig(
        run=token_hex(4),
        target=system,
        logs=tmp_path_factory.mktemp("logs"),
        seed=1,
        proxy="own" if runtime == "process" or features.own_proxy else "toxiproxy",
        features=features,
    )
    made: Environment
    if runtime == "docker":
        from gameday.runtimes.docker.environment import ContainerEnvironment

        made = ContainerEnvironment(given)
    else:
        from gameday.runtimes.process.environment import ProcessEnvironment

        made = ProcessEnvironment(given)
    if made.missing():
        missing("; ".join(made.missing()))
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


@pytest.fixture(scope="session")
def evidence(request: pytest.FixtureRequest) -> Iterator[dict[str, list[list[str]]]]:
    """The rows of the table of faults by test; at the end they replace those of earlier runs.

    A full run is several processes, of which each has some of the tests.
    """
    now: dict[str, list[list[str]]] = {}
    yield now
    if not now:
        return
    folder = request.config.rootpath / _TABLE
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "rows.json").open("a+", encoding="utf-8") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        kept.seek(0)
        every: dict[str, list[list[str]]] = {**json.loads(kept.read() or "{}"), **now}
        kept.truncate(0)
        json.dump(every, kept, indent=1)
        rows = sorted({tuple(row) for rows in every.values() for row in rows})
        lines = [" | ".join(("", *row, "")).strip() for row in (*_HEAD, *rows)]
        (folder / "README.md").write_text("\n".join([_TITLE, *lines, ""]), encoding="utf-8")


@pytest.fixture
def table(request: pytest.FixtureRequest, evidence: dict[str, list[list[str]]]) -> list[list[str]]:
    """The rows of this test: fault, runtime, asked, measured, and after the undo."""
    return evidence.setdefault(request.node.nodeid, [])


@pytest.fixture
def unproven(environment: Environment) -> Unproven:
    """Take a fault that does nothing through its proofs: its effect is missed, its absence seen."""

    def play(fault: Fault) -> None:
        injection = Noop(fault=fault).on(environment)
        try:
            injection.inject()
            effect = injection.prove(lambda: None)
        finally:
            injection.undo()
            undone = injection.prove_healed(lambda: None)
        assert not effect.proven, effect.measured
        assert undone.proven, undone.measured

    return play


@pytest.fixture
def through(environment: Environment, table: list[list[str]]) -> Through:
    def play(fault: Fault) -> tuple[Proof, Proof]:
        injection = fault.on(environment)
        try:
            injection.inject()
            effect = injection.prove(lambda: None)
        finally:
            injection.undo()
            undone = injection.prove_healed(lambda: None)
        assert effect.proven, effect.measured
        assert undone.proven, undone.measured
        evidence = (injection.asked, effect.measured, undone.measured)
        table.append([fault.verb, environment.runtime, *(details(facts) for facts in evidence)])
        return effect, undone

    return play


@pytest.fixture
def impossible(environment: Environment, table: list[list[str]]) -> Impossible:
    def play(fault: Fault) -> str:
        with pytest.raises(EnvironmentRefused) as refusal:
            fault.on(environment)
        assert is_dataclass(fault)
        asked = {f.name: getattr(fault, f.name) for f in fields(fault) if f.name != "target"}
        why = str(refusal.value)
        table.append([fault.verb, environment.runtime, details(asked), f"not possible: {why}", ""])
        return why

    return play
