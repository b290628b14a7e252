"""Scenarios as pytest items. Imported only once a scenario is asked for."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TextIO

import pytest

from gameday.engine.options import options_of
from gameday.engine.planning import (
    Experiment,
    make_environment,
    make_plan,
)
from gameday.engine.session import Session, load_one
from gameday.errors import EnvironmentRefused, GamedayError
from gameday.model.listener import Listener
from gameday.model.result import Result
from gameday.model.verdict import Verdict
from gameday.report.failure_report import failure_text
from gameday.report.junit import junit_properties
from gameday.report.plan import plan_text
from gameday.report.table import verdict_table
from gameday.report.terminal import TerminalReporter

__all__ = [
    "BrokenPromise",
    "CouldNotTell",
    "HarnessFailed",
    "ScenarioItem",
    "complete_report",
    "print_plans",
    "run_by_name",
]


class BrokenPromise(AssertionError):
    """The system under test broke a promise: pytest's failed, Allure's failed."""


class CouldNotTell(Exception):
    """The run is INVALID or INCONCLUSIVE: pytest's failed, Allure's broken."""


class HarnessFailed(Exception):
    """The verdict is ERROR: pytest's error, Allure's broken."""


_SESSION = pytest.StashKey[Session]()


class ScenarioItem(pytest.Item):
    """One run of one scenario."""

    def __init__(self, *, experiment: Experiment, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.experiment = experiment
        self.result: Result | None = None
        self.add_marker(pytest.mark.gameday)
        self.extra_keyword_matches.update(experiment.scenario.tags)

    def runtest(self) -> None:
        """Run, report, and raise what the verdict means to pytest."""
        self.result = _run(self.config, self.experiment)
        self.user_properties.extend(junit_properties(self.result))
        problem = _sabotage_problem(self.experiment, self.result)
        if problem is not None:
            raise CouldNotTell(f"{problem}\n\n{failure_text(self.result)}")
        if self.experiment.sabotage is None:
            _raise_verdict(self.result)

    def repr_failure(  # type: ignore[override]
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> object:
        """Return the text that lets a reader understand; a stack only for what is our own bug."""
        if isinstance(excinfo.value, (BrokenPromise, CouldNotTell, HarnessFailed, GamedayError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def complete_report(
    item: ScenarioItem, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    """Give the report the verdict's table, and make a failure of the harness an error."""
    if item.result is not None and call.when == "call":
        setattr(report, "gameday_table", verdict_table(item.result))  # noqa: B010  xdist carries it
    raised = None if call.excinfo is None else call.excinfo.value
    if isinstance(raised, Exception) and not isinstance(raised, (BrokenPromise, CouldNotTell)):
        # pytest counts a failure outside of the call as an error, which is what this is.
        report.when = "setup"


def print_plans(session: pytest.Session) -> None:
    """Print the plan of every collected scenario; UsageError when the host lacks something."""
    terminal = session.config.pluginmanager.getplugin("terminalreporter")
    options = options_of(session.config)
    lacking: list[str] = []
    items = [item for item in session.items if isinstance(item, ScenarioItem)]
    if not items and not session.testsfailed:
        raise pytest.UsageError(
            "--gameday-plan shows what scenarios would do, and none is chosen; name one, as in "
            "--scenario=NAME"
        )
    for item in items:
        try:
            plan = make_plan(item.experiment, options)
        except EnvironmentRefused as error:
            lacking.append(f"{item.name}: {error}")
            continue
        try:
            make_environment(
                plan, item.experiment, run="plan", logs=Path(), port_base=options.port_base
            )
        except EnvironmentRefused as error:
            lacking.append(f"{item.name}: {error}")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(plan_text(plan))
    if lacking:
        raise pytest.UsageError("\n".join(lacking))


def run_by_name(config: pytest.Config, selector: str, settings: Mapping[str, str]) -> Result:
    """Run the one scenario that `selector` names, with these parameters, and return its result."""
    return _run(config, load_one(selector, options_of(config), settings))


def _run(config: pytest.Config, experiment: Experiment) -> Result:
    """Run an experiment as the command line says, and tell the reporters of this session."""
    session = config.stash.setdefault(_SESSION, Session())
    return session.run(
        experiment,
        options_of(config),
        _reports(config),
        lambda folder: _listeners(config, experiment),
    )


@contextmanager
def _listeners(config: pytest.Config, experiment: Experiment) -> Iterator[list[Listener]]:
    """Yield those of this session who want to know of a run beside the files that it leaves."""
    listeners: list[Listener] = []
    terminal = config.pluginmanager.getplugin("terminalreporter")
    with ExitStack() as open_ones:
        if config.getoption("allure_report_dir", None):
            from gameday.report.allure import AllureReporter

            # Events count from the start of the run, which is now.
            allure = AllureReporter(
                tags=experiment.scenario.tags, wall_minus_monotonic_ns=time.time_ns()
            )
            open_ones.callback(allure.close)
            listeners.append(allure)
        if terminal is not None:
            out = open_ones.enter_context(_uncaptured(config))
            terminal.ensure_newline()
            live = TerminalReporter(out, is_tty=terminal.isatty)
            open_ones.callback(live.close)
            listeners.append(live)
        yield listeners


@contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[TextIO]:
    """Yield the stream that the user sees, while pytest captures nothing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        yield sys.stdout


def _raise_verdict(result: Result) -> None:
    text = failure_text(result)
    match result.verdict:
        case Verdict.PASS:
            return
        case Verdict.FAIL:
            raise BrokenPromise(text)
        case Verdict.ERROR:
            raise HarnessFailed(text)
        case Verdict.INVALID | Verdict.INCONCLUSIVE:
            raise CouldNotTell(text)


def _sabotage_problem(experiment: Experiment, result: Result) -> str | None:
    """Return in what the run did not come out as its sabotage entry says; None: it did."""
    wanted = experiment.sabotage
    if wanted is None:
        return None
    if result.verdict is not wanted.gives:
        return f"sabotage {wanted.name} should give {wanted.gives}, it gave {result.verdict}"
    failed = {j.name for j in result.expectations if j.verdict is Verdict.FAIL}
    held = [name for name in wanted.breaks if name not in failed]
    if held:
        return f"sabotage {wanted.name} should break {', '.join(held)}, which did not fail"
    return None


def _reports(config: pytest.Config) -> Path:
    chosen: str | None = config.getoption("gameday_reports")
    if chosen is not None:
        return config.invocation_params.dir / chosen
    return config.rootpath / str(config.getini("gameday_reports"))
