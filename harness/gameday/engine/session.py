"""Runs one after the other, each reported into a folder of its own."""

import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from gameday.cleanup.abandoned import still_there
from gameday.cleanup.reaper import leftovers_of, reap
from gameday.engine.assembly import assemble
from gameday.engine.conductor import Conductor
from gameday.engine.planning import Experiment, Options, find, load, make_environment, make_plan
from gameday.errors import EnvironmentRefused, GamedayError, InternalError, ScenarioError
from gameday.escaping import file_name, one_line
from gameday.host.full_disk import is_full, lacks_room, no_room
from gameday.load.load import history_bytes
from gameday.model.listener import Listener
from gameday.model.result import Result
from gameday.registry import registry
from gameday.report.journal import Journal
from gameday.report.json import ResultWriter
from gameday.report.plan import plan_to_json
from gameday.report.timeline import TimelineWriter

__all__ = ["More", "Session", "load_one", "run"]

_MOST_OF_A_NAME = 100

More = Callable[[Path], AbstractContextManager[Sequence[Listener]]]
"""Opens listeners of one run beside those that write its files, given its folder."""


class Session:
    """The runs of one process. What one of them left behind keeps the next from starting."""

    def __init__(self) -> None:
        self._quarantined: tuple[str, str] | None = None
        """The run that left something behind, and its runtime."""

    def run(self, experiment: Experiment, options: Options, reports: Path, more: More) -> Result:
        """Plan, make the run's folder in `reports`, conduct, and tell all listeners.

        What goes wrong and is no error of ours is told in one line: InternalError.
        """
        self._refuse_a_quarantined_host()
        folder = _make_folder(reports, experiment)
        try:
            return self._run_in(folder, experiment, options, more)
        except GamedayError:
            raise
        except Exception as error:
            if is_full(error):
                raise EnvironmentRefused(no_room(error)) from None
            log = folder / "logs" / "harness.log"
            with suppress(OSError):
                log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            what = one_line(f"{type(error).__name__}: {error}")
            raise InternalError(
                f"ERROR  gameday itself failed, {what}; the traceback is in {log}"
            ) from None

    def _run_in(self, folder: Path, experiment: Experiment, options: Options, more: More) -> Result:
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
        with _files_of(folder) as files, more(folder) as others:
            listeners = [*files, *(make(folder) for make in registry().reporters.values()), *others]
            equipment = assemble(experiment, plan, environment, run=run, folder=folder)
            conductor = Conductor(
                experiment, plan, equipment, run=run, folder=folder, listeners=listeners
            )
            try:
                return conductor.execute()
            finally:
                if conductor.clean:
                    self._quarantined = (run, plan.runtime)

    def _refuse_a_quarantined_host(self) -> None:
        """Raise EnvironmentRefused while anything is left of an earlier run that left something.

        What is measured beside the remains of another run says little of the system.
        """
        if self._quarantined is None:
            return
        run, runtime = self._quarantined
        in_docker = runtime == "docker"
        reap(run, in_docker=in_docker)
        left = leftovers_of(run, in_docker=in_docker)
        if left:
            raise EnvironmentRefused(still_there(run, left))
        self._quarantined = None


def load_one(selector: str, options: Options, parameters: Mapping[str, str]) -> Experiment:
    """Return the one experiment that `selector` names; ScenarioError if it is not one, or wrong."""
    for name, value in parameters.items():
        if not isinstance(value, str):
            text = f"{value:g}s" if isinstance(value, int | float) else "..."
            raise ScenarioError(
                f"{name}={value!r} is not text; parameters are written as in a scenario, such as "
                f"{name}={text!r}"
            )
    files = find(selector, options.folders)
    if len(files) != 1:
        names = ", ".join(path.stem for path in files)
        raise ScenarioError(f"{selector!r} names {len(files)} scenarios, wanted one: {names}")
    return load(files[0], options, parameters)


def run(
    selector: str,
    /,
    *,
    options: Options | None = None,
    reports: Path | str = "reports",
    **parameters: str,
) -> Result:
    """Run a scenario outside of pytest, such as `run("redis-restart", outage="500ms")`.

    The scenario is one of the folder `scenarios` here, one that comes with gameday, or a path;
    `options` say where its services run, and in which folders else to look. A folder of the run is
    made in `reports`. Returns the Result, whatever its verdict; raises what loading or the
    environment refuses. Ctrl-C heals and removes everything first.
    """
    chosen = options or Options()
    if not chosen.folders:
        here = Path("scenarios").absolute()
        chosen = replace(chosen, folders=(here,) if here.is_dir() else ())
    experiment = load_one(selector, chosen, parameters)
    return _SESSION.run(experiment, chosen, Path(reports).absolute(), lambda _: nullcontext(()))


_SESSION = Session()
"""That of this process, for those who run scenarios without pytest."""


@contextmanager
def _files_of(folder: Path) -> Iterator[list[Listener]]:
    """Yield those who write the files of a run; other listeners may read them."""
    journal = Journal(folder / "journal.jsonl")
    try:
        yield [journal, ResultWriter(folder), TimelineWriter(folder)]
    finally:
        journal.close()


def _make_folder(reports: Path, experiment: Experiment) -> Path:
    """Make the run's folder; never use, and never empty, one that is already there."""
    scenario = experiment.scenario
    parts = [datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), scenario.name]
    parts += [f"{name}={value}" for name, value in scenario.parameters.items()]
    if experiment.sabotage is not None:
        parts.append(experiment.sabotage.name)
    name = file_name("-".join(parts))
    for attempt in range(_MOST_OF_A_NAME):
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
    raise EnvironmentRefused(
        f"reports folder {reports}: {_MOST_OF_A_NAME} runs named {name} are already there"
    )
