"""What pytest sees of gameday: options, collection and the fixture.

Every pytest run in an environment that has gameday installed imports this module, so everything
else is imported on first use, and nothing is used unless a scenario is asked for.
"""

import argparse
import difflib
import gc
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from gameday.api.fault import Fault
    from gameday.api.finding_kind import FindingKind
    from gameday.api.technology import Technology
    from gameday.model.result import Result
    from gameday.plugin.collection import CollectedScenario
    from gameday.registry import Reporter

_LARGEST_BYTES = 256 * 1024
_CHECKED = ("scenario", "gameday_set", "gameday_ports", "gameday_sabotage", "gameday_plan")
_CHOSEN = pytest.StashKey[bool]()
"""Whether scenarios were chosen, by `--scenario` or by the id of a bundled one."""


class _AsWritten:
    """Finds modules of gameday before pytest does, which would rewrite the asserts of each.

    That is for the tests of a plugin's users. It would take a second of every run where the result
    cannot be kept, as with PYTHONDONTWRITEBYTECODE, and a quarter of one where it can.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, path) if name.startswith("gameday.") else None


class Hooks:
    """What a conftest.py or a plugin may define to add to gameday; a package has entry points.

    They are called once a scenario is asked for, and hold for the session. A conftest.py counts if
    pytest reads it before it collects: that of the root folder or of a folder that is named.
    """

    @staticmethod
    def pytest_gameday_technologies(config: pytest.Config) -> "Iterable[Technology]":  # type: ignore[empty-body]
        """Return technologies, each with its kinds of service, workloads and faults."""

    @staticmethod
    def pytest_gameday_faults(config: pytest.Config) -> "Iterable[type[Fault]]":  # type: ignore[empty-body]
        """Return classes of faults that know no technology, or whose technology is known."""

    @staticmethod
    def pytest_gameday_findings(config: pytest.Config) -> "Iterable[FindingKind]":  # type: ignore[empty-body]
        """Return findings that expectations and SLA files may then name."""

    @staticmethod
    def pytest_gameday_reporters(config: pytest.Config) -> "Iterable[Reporter]":  # type: ignore[empty-body]
        """Return what makes a `Listener` of each run, given the folder of the run's report."""


class RunScenario(Protocol):
    """What the fixture `gameday` is: takes a scenario's name and its parameters."""

    def __call__(self, selector: str, **settings: str) -> "Result": ...


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let `pytest_gameday_*` be known to pytest."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--scenario`, and the options that choose how it runs."""
    group = parser.getgroup("gameday", "chaos scenarios (gameday)")
    group.addoption(
        "--scenario",
        action="append",
        metavar="NAME",
        help="run chaos scenarios: a name, a glob, tag:NAME, a path, or a comma list of these; "
        "bundled:NAME, bundled:GLOB and bundled:tag:NAME mean those that come with gameday",
    )
    group.addoption(
        "--gameday-runtime",
        type=_one_of("auto", "docker", "process"),
        metavar="{auto,docker,process}",
        default="auto",
        help="where the services run; auto: docker where an engine answers, else process",
    )
    group.addoption(
        "--gameday-proxy",
        type=_one_of("auto", "own", "toxiproxy"),
        metavar="{auto,own,toxiproxy}",
        default="auto",
        help="the proxy in front of every edge; auto: toxiproxy in docker unless a fault needs "
        "what only gameday's own has, and gameday's own in process",
    )
    group.addoption(
        "--gameday-seed",
        type=int,
        metavar="N",
        help="the seed of every random draw, to replay a run",
    )
    group.addoption(
        "--gameday-set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a scenario's parameter",
    )
    group.addoption(
        "--gameday-sweep", action="store_true", help="one test for each value that a sweep lists"
    )
    group.addoption(
        "--gameday-sabotage",
        action="store_true",
        help="run each scenario's sabotage entries instead: a test passes when the run fails as "
        "the entry says",
    )
    group.addoption(
        "--gameday-plan",
        action="store_true",
        help="print what would be done and stop; nothing is started",
    )
    group.addoption(
        "--gameday-reports",
        metavar="FOLDER",
        help="where each run's folder is made (default: reports, or the ini key gameday_reports)",
    )
    group.addoption(
        "--gameday-ports",
        type=int,
        default=0,
        metavar="N",
        help="use fixed proxy ports from N upward (default: free ones)",
    )
    parser.addini(
        "gameday_reports", "the folder in which each run makes its own", default="reports"
    )
    parser.addini("gameday_scenarios", "folders with scenarios of your own", type="paths")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and let `--scenario` take the place of the folders to search."""
    config.addinivalue_line("markers", "gameday: a chaos scenario; every scenario's test has it")
    selectors: list[str] = config.getoption("scenario") or []
    config.stash[_CHOSEN] = bool(selectors) or any(
        arg.startswith("gameday/") and ".yaml" in arg for arg in config.args
    )
    if not config.stash[_CHOSEN] and not any(config.getoption(name) for name in _CHECKED):
        return
    with _importing():
        from gameday.engine.options import check_options
        from gameday.plugin.collection import select_scenarios
        from gameday.plugin.extensions import extended

    check_options(config)
    extended(config)
    if config.stash[_CHOSEN]:
        select_scenarios(config, selectors)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Spare the end of the process a last search of our modules for garbage, a third of a second.

    Only where they were imported: a session without a scenario ends as it would without us.
    """
    if "gameday.plugin.items" in sys.modules:
        from gameday.plugin.extensions import forget_extensions

        forget_extensions(config)
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Add the tests of the chosen scenarios, before `-k` and `-m` choose among all tests."""
    if session.config.stash.get(_CHOSEN, False):
        from gameday.plugin.collection import collect_selected

        items.extend(collect_selected(session))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "CollectedScenario | None":
    """Collect a scenario file whose path was given, and no other YAML."""
    if file_path.suffix not in (".yaml", ".yml") or not parent.session.isinitpath(file_path):
        return None
    if not _looks_like_a_scenario(file_path):
        return None
    from gameday.plugin.collection import CollectedScenario
    from gameday.plugin.extensions import extended

    extended(parent.config)
    return CollectedScenario.make(parent, file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Print the plans instead of running them when that was asked for."""
    if not session.config.getoption("gameday_plan"):
        return None
    from gameday.plugin.items import print_plans

    print_plans(session)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a broken harness count as an error, not as a failed test."""
    report = yield
    if item.get_closest_marker("gameday") is not None:
        from gameday.plugin.items import ScenarioItem, complete_report

        if isinstance(item, ScenarioItem):
            complete_report(item, call, report)
    return report


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    """Show the verdicts of scenarios that ran in other processes, where nobody saw them."""
    config = terminalreporter.config
    if getattr(config.option, "dist", "no") == "no":  # the option is there only with xdist
        return
    for reports in terminalreporter.stats.values():
        for report in reports:
            table = getattr(report, "gameday_table", None)
            if table:
                terminalreporter.write_line(table)


@pytest.fixture
def gameday(request: pytest.FixtureRequest) -> RunScenario:
    """Run a scenario inside a test, such as `gameday("redis-restart", outage="500ms")`.

    Returns the Result, whatever its verdict; raises what loading or the environment refuses.
    """
    with _importing():
        from gameday.errors import GamedayError
        from gameday.plugin.extensions import extended
        from gameday.plugin.items import run_by_name

    extended(request.config)

    def run(selector: str, **settings: str) -> "Result":
        __tracebackhide__ = True
        try:
            return run_by_name(request.config, selector, settings)
        except GamedayError as error:
            # Its text says everything; the way that it took through gameday says nothing more.
            raise error.with_traceback(None) from None

    return run


def _one_of(*names: str) -> Callable[[str], str]:
    """Return what an option takes that is one of these; argparse alone names no nearest one."""

    def chosen(text: str) -> str:
        if text in names:
            return text
        near = difflib.get_close_matches(text.lower(), names, n=1)
        nearest = f"; nearest: {near[0]!r}" if near else ""
        raise argparse.ArgumentTypeError(
            f"{text!r} is not valid here; valid: {', '.join(names)}{nearest}"
        )

    return chosen


@contextmanager
def _importing() -> Iterator[None]:
    """Let our modules be imported as they are written, and without the collector of garbage.

    They make none, and looking for it takes a fifth of the time.
    """
    if _AsWritten not in sys.meta_path:
        sys.meta_path.insert(0, _AsWritten)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _looks_like_a_scenario(path: Path) -> bool:
    """Whether the file has a top-level key `scenario`; other plugins have YAML of their own."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except OSError:
        return False
    if b"scenario" not in content and b"\\" not in content:  # in quotes it may be "\x73cenario"
        return False
    with _importing():
        from gameday.loading import is_scenario  # as the loader reads it

    return is_scenario(path)
