"""`gameday`: what can be done without a test run."""

import argparse
import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.cleanup.labels import belonging_to_others, is_run, supervisors
from gameday.cleanup.owner import ask_to_end, is_alive, is_dead, pid_of
from gameday.cleanup.reaper import force_clean, owners
from gameday.errors import EnvironmentRefused, GamedayError, ScenarioError
from gameday.escaping import one_line, printable

if TYPE_CHECKING:
    import pytest

    from gameday.engine.planning import Options

__all__ = ["EXIT_CODES", "main", "parser"]

_STOP_LIMIT_S = 12.0
_ENGINE_LIMIT_S = 20
_OK, _PROBLEM, _USAGE, _INTERRUPTED, _NOBODY_READS = 0, 1, 2, 130, 141
EXIT_CODES: Mapping[int, str] = {
    _OK: "done",
    _PROBLEM: "a problem was found, or the output could not be written",
    _USAGE: "a usage error, or a scenario or target that does not exist",
    _INTERRUPTED: "interrupted by Ctrl-C",
    _NOBODY_READS: "the reader of the output closed it",
}
_MOST_WIDTH = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, one of EXIT_CODES."""
    try:
        return _answer(arguments)
    except BrokenPipeError:
        _drop_output()
        return _NOBODY_READS
    except OSError as error:
        _drop_output()
        _complain(f"gameday: {error.filename or 'output'}: {error.strerror or error}")
        return _PROBLEM
    except KeyboardInterrupt:
        _drop_output()
        return _INTERRUPTED


def _answer(arguments: Sequence[str] | None) -> int:
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF), "standard output")
    try:
        chosen = parser().parse_args(arguments)
        code = int(chosen.act(chosen))
    except GamedayError as error:
        _complain(str(error))
        code = _USAGE
    except SystemExit:
        sys.stdout.flush()
        raise
    # Here what cannot be written is still told in one line; the interpreter would shout.
    sys.stdout.flush()
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="gameday", description="Chaos scenarios for pytest.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the scenarios that can be run from here")
    listing.set_defaults(act=_list)
    validating = commands.add_parser("validate", help="check scenarios; nothing is started")
    validating.add_argument("scenario", nargs="+", help="a name, a glob, tag:NAME, or a path")
    validating.set_defaults(act=_validate)
    schema = commands.add_parser("schema", help="print the JSON Schema of a file")
    schema.add_argument("file", nargs="?", choices=("scenario", "target"), default="scenario")
    schema.set_defaults(act=_schema)
    doctor = commands.add_parser("doctor", help="try what scenarios need on this host")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(act=_doctor)
    reaping = commands.add_parser("reap", help="remove what runs whose harness died left behind")
    reaping.add_argument(
        "--run", type=_run_id, help="remove everything of this run, whoever owns it"
    )
    reaping.set_defaults(act=_reap)
    stop = commands.add_parser("stop", help="stop every run of this host: heal, remove, report")
    stop.add_argument("--run", type=_run_id, help="only this run")
    stop.set_defaults(act=_stop)
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(f"{printable(text)}\n")


def _drop_output() -> None:
    """Let nothing of what is still to be written be missed when the interpreter ends."""
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Settings:
    """A plugin that takes the folders of the user's own scenarios from pytest's settings."""

    folders: tuple[Path, ...] | None = None

    def pytest_cmdline_main(self, config: "pytest.Config") -> int:
        from gameday.engine.options import folders_of

        self.folders = folders_of(config)
        return _OK


def _folders() -> tuple[Path, ...]:
    """Return where pytest, called here, would look for scenarios; nothing else of it is run."""
    import pytest

    settings = _Settings()
    with redirect_stdout(sys.stderr):
        pytest.main(["--noconftest", "-o", "addopts=", "-p", "gameday"], plugins=[settings])
    if settings.folders is None:
        raise ScenarioError("pytest cannot read its settings here")
    return settings.folders


def _options(folders: tuple[Path, ...]) -> "Options":
    from gameday.engine.planning import Options

    return Options(runtime="process", seed=0, settings={}, folders=folders)


def _list(_: argparse.Namespace) -> int:
    from gameday.engine.planning import find, load
    from gameday.registry import registry

    additions = registry().additions
    folders = _folders()
    code = _OK
    own = find("*", folders)
    names = {path.stem for path in own}
    others = [path for path in find("bundled:*", folders) if path.stem not in names]
    for path in [*own, *others]:
        try:
            scenario = load(path, _options(folders)).scenario
        except GamedayError as error:
            _complain(str(error))
            code = _PROBLEM
            continue
        tags = f"  [{', '.join(sorted(scenario.tags))}]" if scenario.tags else ""
        bundled = "  (bundled)" if path in others else ""
        _say(f"{one_line(scenario.name):24} {one_line(scenario.title)}{tags}{bundled}")
    for addition in additions:
        _say(one_line(f"{addition.by} adds: {', '.join(addition.names)}"))
    return code


def _validate(chosen: argparse.Namespace) -> int:
    from gameday.engine.planning import find, load, make_plan
    from gameday.registry import registry

    registry()  # an extension that is broken is told once, not of each scenario
    folders = _folders()
    options = _options(folders)
    paths: set[Path] = set()
    wrong: list[str] = []
    for selector in chosen.scenario:
        try:
            paths.update(find(selector, folders))
        except ScenarioError as error:
            wrong += error.problems
    if wrong:
        raise ScenarioError(*wrong)
    problems = 0
    for path in sorted(paths):
        try:
            make_plan(load(path, options), options)
        except GamedayError as error:
            problems += 1
            _complain(str(error))
        else:
            _say(f"{printable(str(path))}: valid")
    return _PROBLEM if problems else _OK


def _schema(chosen: argparse.Namespace) -> int:
    from gameday.engine.planning import scenario_schema
    from gameday.loading import target_schema

    made = target_schema() if chosen.file == "target" else scenario_schema()
    _say(json.dumps(made, indent=2, sort_keys=True))
    return _OK


def _doctor(chosen: argparse.Namespace) -> int:
    from gameday.cli import doctor

    watched = sys.stderr is not None and sys.stderr.isatty()

    def progress(name: str) -> None:
        if watched:
            sys.stderr.write(f"\r\x1b[Ktrying {name}")
            sys.stderr.flush()

    try:
        found = list(doctor.examine(progress))
        used = [use for name in doctor.RUNTIMES for use in doctor.uses(name)]
    finally:
        if watched:
            sys.stderr.write("\r\x1b[K")
    runtime = doctor.usual_runtime()
    if chosen.json:
        told = {
            "runtime": runtime,
            "capabilities": [asdict(capability) for capability in found],
            "uses": [asdict(use) for use in used],
        }
        _say(json.dumps(told, indent=2))
    else:
        width = min(_MOST_WIDTH, shutil.get_terminal_size((100, 24)).columns)
        _say(doctor.report(found, used, runtime, width))
    return _OK if doctor.can_run(runtime) else _PROBLEM


def engine_problem(limit_s: int) -> str | None:
    """Return why no Docker engine can be used, or None when one answers within the limit."""
    from gameday.host import docker_presence as engine_presence

    return engine_presence.engine_problem(limit_s)


def has_engine() -> bool:
    """Tell whether there is a Docker engine for this user to ask, whether or not it answers."""
    from gameday.host import docker_presence as engine_presence

    return engine_presence.has_engine()


def _reap(chosen: argparse.Namespace) -> int:
    in_docker, problems = _engine()
    found = {} if chosen.run else _owners(in_docker, problems)
    runs = (chosen.run,) if chosen.run else sorted(r for r, o in found.items() if is_dead(o))
    for run in runs:
        problems += _remove(run, in_docker)
    for run, owner in sorted(found.items()):
        if not is_dead(owner) and not is_alive(owner):
            _say(_elsewhere(run, owner))
    if not runs and not problems:
        _say("nothing to reap: no dead run has left anything behind")
    _tell_of_others(chosen.run)
    return _told(problems)


def _stop(chosen: argparse.Namespace) -> int:
    in_docker, problems = _engine()

    def running() -> dict[str, str]:
        # A run that pulls its images has nothing but its janitor yet.
        found = {**supervisors(), **_owners(in_docker, problems)}
        return {run: owner for run, owner in found.items() if chosen.run in (None, run)}

    asked = running()
    mine = set()
    for run, owner in sorted(asked.items()):
        if is_alive(owner):
            problem = _ask_to_stop(run, owner)
        else:
            problem = None if is_dead(owner) else _elsewhere(run, owner)
        if problem is None:
            mine.add(run)
        else:
            problems.append(problem)
    give_up = time.monotonic() + _STOP_LIMIT_S
    while mine & running().keys() and time.monotonic() < give_up:
        time.sleep(0.1)
    for run in sorted(mine):
        problems += _remove(run, in_docker)
    if not problems:
        _say("stopped" if asked else "nothing runs")
    _tell_of_others(chosen.run)
    return _told(problems)


def _engine() -> tuple[bool, list[str]]:
    """Return whether an engine answers, and a problem if there is one that does not."""
    problem = engine_problem(limit_s=_ENGINE_LIMIT_S)
    if problem is None or not has_engine():
        return problem is None, []
    return False, [f"{problem}; it was not searched for runs"]


def _owners(in_docker: bool, problems: list[str]) -> dict[str, str]:
    """Return whose all runs are; that the engine did not tell is a problem, once."""
    try:
        return owners(in_docker=in_docker)
    except EnvironmentRefused as error:
        if str(error) not in problems:
            problems.append(str(error))
        return owners(in_docker=False)


def _ask_to_stop(run: str, owner: str) -> str | None:
    """Send SIGTERM to a harness; return why it could not be sent."""
    pid = pid_of(owner)
    try:
        ask_to_end(owner)
    except ProcessLookupError:
        return None
    except PermissionError:
        return f"{run}: process {pid} is another user's and was not asked to stop"
    _say(f"{run}: asked process {pid} to stop")
    return None


def _tell_of_others(run: str | None) -> None:
    """Say what looks like a run's and is another user's; nothing in it is believed."""
    for what in belonging_to_others(run):
        _say(f"left alone: {what}")


def _elsewhere(run: str, owner: str) -> str:
    return (
        f"{run}: left alone, since its owner may be alive elsewhere: "
        f"{owner or 'unknown'}; `gameday reap --run {run}` removes it anyway"
    )


def _remove(run: str, in_docker: bool) -> list[str]:
    """Remove all of a run and say so; return what is left of it or could not be looked at."""
    problems = force_clean(run, in_docker=in_docker, say=lambda text: _say(f"{run}: {text}"))
    return [f"{run}: {problem}" for problem in problems]


def _told(problems: Sequence[str]) -> int:
    for problem in problems:
        _complain(problem)
    return _PROBLEM if problems else _OK


def _run_id(text: str) -> str:
    if not is_run(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the id of a run, which is 8 hexadecimal digits"
        )
    return text
