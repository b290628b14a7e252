"""`gameday`: what can be done without a test run."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from gameday.environment.containers import engine_problem
from gameday.environment.marks import is_dead
from gameday.environment.reaping import abandoned_runs, owners, reap
from gameday.errors import GamedayError
from gameday.planning import Options, find, load, make_plan, scenario_schema

__all__ = ["main"]

_STOP_LIMIT_S = 12.0
_OK, _PROBLEM, _USAGE = 0, 1, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 when it found a problem, or 4 when it was asked wrongly."""
    parser = argparse.ArgumentParser(prog="gameday", description="Chaos scenarios for pytest.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="the scenarios that can be run from here")
    listing.set_defaults(act=_list)
    validating = commands.add_parser("validate", help="check scenarios; nothing is started")
    validating.add_argument("scenario", nargs="+", help="a name, a glob, tag:NAME or a path")
    validating.set_defaults(act=_validate)
    schema = commands.add_parser("schema", help="print the JSON Schema of a scenario file")
    schema.set_defaults(act=_schema)
    doctor = commands.add_parser("doctor", help="try what scenarios need on this host")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(act=_doctor)
    reaping = commands.add_parser("reap", help="remove what runs whose harness died have left")
    reaping.add_argument("--run", help="remove all of this run, whoever owns it")
    reaping.set_defaults(act=_reap)
    stop = commands.add_parser("stop", help="stop every run of this host: heal, remove, report")
    stop.add_argument("--run", help="only this run")
    stop.set_defaults(act=_stop)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.act(chosen))
    except GamedayError as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _folders() -> tuple[Path, ...]:
    here = Path("scenarios")
    return (here,) if here.is_dir() else ()


def _options() -> Options:
    return Options(runtime="process", seed=0, settings={}, folders=_folders())


def _list(_: argparse.Namespace) -> int:
    for path in find("*", _folders()):
        scenario = load(path, _options()).scenario
        tags = f"  [{', '.join(sorted(scenario.tags))}]" if scenario.tags else ""
        _say(f"{scenario.name:24} {scenario.title}{tags}")
    return _OK


def _validate(chosen: argparse.Namespace) -> int:
    paths = {path for selector in chosen.scenario for path in find(selector, _folders())}
    problems = 0
    for path in sorted(paths):
        try:
            make_plan(load(path, _options()), _options())
        except GamedayError as error:
            problems += 1
            sys.stderr.write(f"{error}\n")
        else:
            _say(f"{path}: right")
    return _PROBLEM if problems else _OK


def _schema(_: argparse.Namespace) -> int:
    _say(json.dumps(scenario_schema(), indent=2, sort_keys=True))
    return _OK


def _doctor(chosen: argparse.Namespace) -> int:
    from gameday.doctor import examine  # starts servers, so only for this command

    found = []
    for capability in examine():
        found.append(capability)
        if not chosen.json:
            works = "works" if capability.works else "no"
            cure = f"; {capability.cure}" if capability.cure else ""
            _say(f"{capability.name:40} {works:6} {capability.seen}{cure}")
    able = {capability.name: capability.works for capability in found}
    runtime = "docker" if able["docker engine"] else "process"
    if chosen.json:
        _say(json.dumps({"runtime": runtime, "capabilities": [asdict(c) for c in found]}, indent=2))
    else:
        _say(f"scenarios run in {runtime} unless --gameday-runtime says otherwise")
    needed = ("docker engine",) if runtime == "docker" else ("redis server", "gameday's own proxy")
    return _OK if all(able[name] for name in (*needed, "janitor")) else _PROBLEM


def _reap(chosen: argparse.Namespace) -> int:
    in_docker = engine_problem() is None
    runs = (chosen.run,) if chosen.run else abandoned_runs(in_docker=in_docker)
    for run in runs:
        for what in reap(run, in_docker=in_docker):
            _say(f"{run}: removed {what}")
    if not runs:
        _say("nothing to reap: no run whose harness is dead has left anything")
    return _OK


def _stop(chosen: argparse.Namespace) -> int:
    in_docker = engine_problem() is None

    def running() -> dict[str, str]:
        found = owners(in_docker=in_docker)
        return {run: owner for run, owner in found.items() if chosen.run in (None, run)}

    asked = running()
    for run, owner in asked.items():
        pid = owner.partition("@")[0]
        if owner and not is_dead(owner):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
                _say(f"{run}: asked process {pid} to stop")
    give_up = time.monotonic() + _STOP_LIMIT_S
    while asked.keys() & running().keys() and time.monotonic() < give_up:
        time.sleep(0.1)
    for run in asked.keys() & running().keys():
        for what in reap(run, in_docker=in_docker):
            _say(f"{run}: removed {what}")
    _say("stopped" if asked else "nothing runs")
    return _OK
