"""Which scenarios a pytest run collects: those of `--scenario`, of paths and of node ids."""

import os
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import pytest

from gameday.engine.options import folders_of, options_of
from gameday.engine.planning import Experiment, find, load, sabotaged, sweeps
from gameday.errors import ScenarioError
from gameday.escaping import one_line, printable
from gameday.plugin.items import ScenarioItem
from gameday.resources import bundled

__all__ = ["CollectedScenario", "collect_selected", "select_scenarios"]

_SELECTED = pytest.StashKey[dict[Path, set[str]]]()
"""The chosen files, each with the names of the tests that are wanted; none of them: all."""
_BUNDLED_ID = "gameday/"


def select_scenarios(config: pytest.Config, selectors: Iterable[str]) -> None:
    """Note the files of the chosen scenarios, and leave out the folders pytest would search.

    Paths that the user gave beside `--scenario` stay; among them may be the ids of bundled tests,
    though there is no file of such a path. Raises pytest.UsageError.
    """
    try:
        files = [path for selector in selectors for path in find(selector, folders_of(config))]
    except ScenarioError as error:
        raise pytest.UsageError(str(error)) from error
    selected: dict[Path, set[str]] = {path: set() for path in files}
    others = []
    for arg in config.args:
        head, _, test = arg.partition("::")
        if not _is_bundled(head, config.invocation_params.dir):
            others.append(arg)
            continue
        path = bundled("scenarios") / head.removeprefix(_BUNDLED_ID)
        if path not in files:
            selected.setdefault(path, set()).update({test} if test else ())
    config.stash[_SELECTED] = selected
    config.args = others if config.args_source is pytest.Config.ArgsSource.ARGS else []


def _is_bundled(head: str, here: Path) -> bool:
    if not head.startswith(_BUNDLED_ID) or (here / head).exists():
        return False
    name = head.removeprefix(_BUNDLED_ID)
    return "/" not in name and (bundled("scenarios") / name).is_file()


def collect_selected(session: pytest.Session) -> Iterator[pytest.Item]:
    """Yield the tests of the chosen files; pytest.UsageError if one of them is wrong.

    They are no arguments of pytest's own: those it reaches by way of every folder above them, and
    it would read the conftest.py of a checkout that gameday is installed from.
    """
    problems: list[str] = []
    found = False
    collected = {item.nodeid for item in session.items}
    for path, names in session.config.stash[_SELECTED].items():
        file = CollectedScenario.make(session, path)
        try:
            tests = list(file.collect())
        except CollectError as error:
            problems += error.problems
            continue
        found = found or bool(tests)
        wanted = [
            test
            for test in tests
            if not names or names & {test.name, test.experiment.scenario.name}
        ]
        new = [test for test in wanted if test.nodeid not in collected]
        # Without pytest's own hook around it: --lf would skip files whose id is no path.
        report = pytest.CollectReport(file.nodeid, "passed", None, [*new])
        file.ihook.pytest_collectreport(report=report)
        yield from new
    if problems:
        raise pytest.UsageError(str(ScenarioError(*problems)))
    if session.config.getoption("gameday_sabotage") and not found:
        stems = ", ".join(path.stem for path in session.config.stash[_SELECTED])
        raise pytest.UsageError(printable(f"--gameday-sabotage: {stems} has no sabotage entries"))


class CollectError(pytest.Collector.CollectError):
    """A scenario file is wrong; `problems` are all that is wrong with it."""

    def __init__(self, error: ScenarioError) -> None:
        super().__init__(str(error))
        self.problems = error.problems


class CollectedScenario(pytest.File):
    """One scenario file: a test, or one for each value of its sweeps or for each sabotage."""

    @classmethod
    def make(cls, parent: pytest.Collector, path: Path) -> Self:
        """Return the collector, whose id is the file's path from pytest's root folder.

        A bundled file has a short one wherever it is installed; in a checkout it has its path.
        """
        rootpath, usual = parent.config.rootpath, bundled("scenarios")
        nodeid = f"{_BUNDLED_ID}{path.name}"
        here = path.parent != usual or usual.parent == rootpath
        if here or (rootpath / nodeid).exists():
            nodeid = os.path.relpath(path, rootpath).replace(os.sep, "/")
        file = cls.from_parent(parent, path=path, nodeid=printable(nodeid))
        file.name = printable(file.name)
        return file

    def collect(self) -> Iterator["ScenarioItem"]:
        options = options_of(self.config)
        self._names: dict[str, int] = {}
        try:
            if self.config.getoption("gameday_sabotage"):
                experiment = load(self.path, options)
                if not experiment.scenario.sabotage:
                    name = experiment.scenario.name
                    text = one_line(f"{name} has no sabotage entries to run")
                    self.warn(pytest.PytestWarning(text))
                for sabotage in experiment.scenario.sabotage:
                    yield self._item(sabotaged(experiment, sabotage), sabotage.name)
            elif self.config.getoption("gameday_sweep"):
                load(self.path, options)  # tells of all values at once
                for settings in sweeps(self.path, options):
                    label = ",".join(f"{name}={value}" for name, value in settings.items())
                    yield self._item(load(self.path, options, settings), label)
            else:
                yield self._item(load(self.path, options), "")
        except ScenarioError as error:
            raise CollectError(error) from error
        except Exception as error:
            # A stack of a thousand lines tells a reader less than the place that it came from.
            last = traceback.extract_tb(error.__traceback__)[-1]
            words = one_line(f"{type(error).__name__}: {error}")
            text = (
                f"{self.path.name}: gameday itself failed while it read this, {words}, at "
                f"{Path(last.filename).name}:{last.lineno}"
            )
            raise CollectError(ScenarioError(text)) from error

    def _item(self, experiment: Experiment, label: str) -> "ScenarioItem":
        scenario = experiment.scenario.name
        name = one_line(f"{scenario}[{label}]" if label else scenario)
        times = self._names[name] = self._names.get(name, 0) + 1
        if times > 1:  # entries that are called the same are told apart, as pytest does
            name = one_line(f"{scenario}[{label}-{times}]")
        return ScenarioItem.from_parent(self, name=name, experiment=experiment)
