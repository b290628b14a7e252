"""Scenarios as pytest items. Imported only once a scenario is asked for."""

import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TextIO

import pytest

from gameday.cleanup.abandoned import still_there
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.engine.assembly import assemble
from gameday.engine.conductor import Conductor
from gameday.engine.options import folders_of, options_of
from gameday.engine.planning import (
    Experiment,
    find,
    load,
    make_environment,
    make_plan,
)
from gameday.errors import EnvironmentRefused, GamedayError, InternalError, ScenarioError
from gameday.escaping import file_name, one_line
from gameday.host.full_disk import is_full, lacks_room, no_room
from gameday.load.load import history_bytes
from gameday.model.listener import Listener
from gameday.model.result import Result
from gameday.model.verdict import Verdict
from gameday.report.failure_report import failure_text
from gameday.report.journal import Journal
from gameday.report.json import ResultWriter
from gameday.report.junit import junit_properties
from gameday.report.plan import plan_text, plan_to_json
from gameday.report.table import verdict_table
from gameday.report.terminal import TerminalReporter
from gameday.report.timeline import TimelineWriter

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


_QUARANTINED = pytest.StashKey[tuple[str, str]]()
"""The run that left something behind, and its runtime."""


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
    for name, value in settings.items():
        if not isinstance(value, str):
            text = f"{value:g}s" if isinstance(value, int | float) else "..."
            raise ScenarioError(
                f"{name}={value!r} is not text; parameters are written as in a scenario, such as "
                f"{name}={text!r}"
            )
    files = find(selector, folders_of(config))
    if len(files) != 1:
        names = ", ".join(path.stem for path in files)
        raise ScenarioError(f"{selector!r} names {len(files)} scenarios, wanted one: {names}")
    return _run(config, load(files[0], options_of(config), settings))


def _run(config: pytest.Config, experiment: Experiment) -> Result:
    """Plan, make the run's folder, conduct, and tell the reporters.

    What goes wrong and is no error of ours is told in one line: InternalError.
    """
    _refuse_a_quarantined_host(config)
    folder = _make_folder(_reports(config), experiment)
    try:
        return _run_in(folder, config, experiment)
    except GamedayError:
        raise
    except Exception as error:
        if is_full(error):
            raise EnvironmentRefused(no_room(error)) from None
        log = folder / "logs" / "harness.log"
        with suppress(OSError):
            log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        raise InternalError(
            f"ERROR  gameday itself failed, {_words(error)}; the traceback is in {log}"
        ) from None


def _words(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")


def _run_in(folder: Path, config: pytest.Config, experiment: Experiment) -> Result:
    options = options_of(config)
    run = token_hex(4)
    try:
        plan = make_plan(experiment, options)
        environment = make_environment(
            plan, experiment, run=run, logs=folder / "logs", port_base=options.port_base
        )
        lack = lacks_room(folder, history_bytes(plan))
        if lack is not None:
            raise EnvironmentRefused(lack)
    except EnvironmentRefused:
        shutil.rmtree(folder)  # nothing was run, so there is nothing to report
        raise
    (folder / "plan.json").write_text(plan_to_json(plan), encoding="utf-8")
    with _listeners(config, experiment, folder) as listeners:
        equipment = assemble(experiment, plan, environment, run=run, folder=folder)
        conductor = Conductor(
            experiment, plan, equipment, run=run, folder=folder, listeners=listeners
        )
        try:
            return conductor.execute()
        finally:
            if conductor.clean:
                config.stash[_QUARANTINED] = (run, plan.runtime)


def _refuse_a_quarantined_host(config: pytest.Config) -> None:
    """Raise EnvironmentRefused while anything is left of an earlier run that left something.

    What is measured beside the remains of another run says little of the system.
    """
    run, runtime = config.stash.get(_QUARANTINED, ("", ""))
    if not run:
        return
    in_docker = runtime == "docker"
    reap(run, in_docker=in_docker)
    left = leftovers_of(run, in_docker=in_docker)
    if left:
        raise EnvironmentRefused(still_there(run, left))
    del config.stash[_QUARANTINED]


@contextmanager
def _listeners(
    config: pytest.Config, experiment: Experiment, folder: Path
) -> Iterator[list[Listener]]:
    """Yield those who want to know of a run; the files are written before Allure attaches them."""
    journal = Journal(folder / "journal.jsonl")
    listeners: list[Listener] = [journal, ResultWriter(folder), TimelineWriter(folder)]
    terminal = config.pluginmanager.getplugin("terminalreporter")
    with ExitStack() as open_ones:
        open_ones.callback(journal.close)
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


def _make_folder(reports: Path, experiment: Experiment) -> Path:
    """Make the run's folder; never use, and never empty, one that is already there."""
    scenario = experiment.scenario
    parts = [datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), scenario.name]
    parts += [f"{name}={value}" for name, value in scenario.parameters.items()]
    if experiment.sabotage is not None:
        parts.append(experiment.sabotage.name)
    name = file_name("-".join(parts))
    for attempt in range(100):
        folder = reports / (f"{name}-{attempt + 1}" if attempt else name)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            # What services write may be nobody else's business.
            folder.mkdir(mode=0o700)
            (folder / "logs").mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise EnvironmentRefused(
                f"reports folder {reports}: {error.strerror or error}"
            ) from error
        return folder
    raise EnvironmentRefused(f"reports folder {reports}: 100 runs named {name} are already there")
