"""Live tests run only when asked for, and in CI nothing that they need may be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import docker

_HERE = Path(__file__).parent
_MISSING = "missing: "
_MOST_SECOND_TRIES = 3
_LAST_LINES = 20


@pytest.hookimpl(tryfirst=True)  # before -m selects by these marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what the gate leaves out; keep live tests out unless `-m` or a path asks for them."""
    _mark_full(items, whole=not any("::" in arg for arg in config.args))
    if config.option.markexpr or _names_this_folder(config.invocation_params.dir, config.args):
        return
    live = [item for item in items if _HERE in item.path.parents]
    if live:
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if _HERE not in item.path.parents]


def _mark_full(items: Sequence[pytest.Item], whole: bool) -> None:
    """Mark as full the parameters that `sample` of their test does not name."""
    unnamed: dict[str, str] = {}
    named: set[str] = set()
    for item in items:
        sample = item.get_closest_marker("sample")
        if sample is None:
            continue
        test, _, parameters = item.nodeid.partition("[")
        if any(text in parameters for text in sample.args):
            named.add(test)
        else:
            item.add_marker("full")
            unnamed[test] = " ".join(sample.args)
    lost = [f"{test}: no parameter has {unnamed[test]}" for test in unnamed if test not in named]
    if whole and lost:
        raise pytest.UsageError(*lost)


def _names_this_folder(start: Path, args: Sequence[str]) -> bool:
    paths = ((start / arg.split("::")[0]).resolve() for arg in args)
    return any(path.is_relative_to(_HERE) for path in paths)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for something missing into a failure in CI."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and os.environ.get("CI"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(_MISSING):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: in CI nothing may be missing; {reason}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail when more tests than a shared host explains passed on their second try only."""
    if session.exitstatus == 0 and len(_second_tries(session.config)) > _MOST_SECOND_TRIES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what each first try said: a second one hides nothing."""
    tries = _second_tries(config)
    if not tries:
        return
    terminalreporter.section(f"tried twice: {len(tries)}, at most {_MOST_SECOND_TRIES} may be")
    for report in tries:
        terminalreporter.write_line(report.nodeid)
        for line in report.longreprtext.splitlines()[-_LAST_LINES:]:
            terminalreporter.write_line(f"    {line}")


def _second_tries(config: pytest.Config) -> Sequence[pytest.TestReport]:
    """Return the reports of first tries that pytest-rerunfailures let go; see --reruns."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return () if terminal is None else terminal.stats.get("rerun", ())


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Skip for want of what is named; in CI, fail."""

    def skip(what: str) -> NoReturn:
        pytest.skip(_MISSING + what)

    return skip


@pytest.fixture(scope="session")
def docker_engine(missing: Callable[[str], NoReturn]) -> Generator[docker.DockerClient]:
    """A client of the Docker engine that answers here."""
    import docker

    try:
        client = docker.from_env(timeout=60)
    except docker.errors.DockerException:
        missing("docker engine")
    try:
        client.ping()
        yield client
    finally:
        client.close()


@pytest.fixture
def docker_image(
    docker_engine: docker.DockerClient, missing: Callable[[str], NoReturn]
) -> Callable[[str], str]:
    """Give back the name of an image that is on this host; tests pull nothing."""

    from docker.errors import ImageNotFound

    def named(name: str) -> str:
        try:
            docker_engine.images.get(name)
        except ImageNotFound:
            missing(f"image {name} (tests/live/images/build.sh makes it)")
        return name

    return named


@pytest.fixture(scope="session")
def program(missing: Callable[[str], NoReturn]) -> Callable[[str], str]:
    """Give back the path of a program that is on PATH."""

    def path(name: str) -> str:
        return shutil.which(name) or missing(f"{name} on PATH")

    return path


@pytest.fixture(params=["process", "docker"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each environment; the images of docker are built by tests/live/images/build.sh."""
    if request.param == "docker":
        request.getfixturevalue("docker_engine")
        named = request.getfixturevalue("docker_image")
        for image in ("redis:7.0-bookworm", "ghcr.io/shopify/toxiproxy:2.12.0"):
            named(image)
    return str(request.param)


@pytest.fixture(scope="session")
def launch() -> Callable[[Path, list[str]], subprocess.Popen[str]]:
    """Start pytest as a user does, in a folder where there is nothing but what pip installed.

    Its data lie in memory where programs may run there, unless `temporary` is somewhere else.
    """

    def start(
        folder: Path, arguments: list[str], temporary: str = "/dev/shm"
    ) -> subprocess.Popen[str]:
        ours = ("PYTEST_", "COVERAGE_", "COV_")
        environ = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        # Disks of CI machines stall for half a second after an installation; memory does not.
        # In a container it may be mounted noexec, and servers are copied where theirs is closed.
        if Path(temporary).is_dir() and not os.statvfs(temporary).f_flag & os.ST_NOEXEC:
            environ["TMPDIR"] = temporary
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start
