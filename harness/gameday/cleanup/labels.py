"""The labels that everything a run creates carries, so that any later process can find it.

Processes inherit GAMEDAY_RUN and GAMEDAY_OWNER in their environment, containers, networks and
volumes carry labels of the same meaning, and folders have the run's id in their name. Servers that
write their own title over their environment, as some stores do, are known by the folder
that they work in. No list has to be kept, so a SIGKILL between a creation and its note loses
nothing. The supervisor does not remove itself: it has the run and its owner among its arguments.
Anybody can forge labels, so they count only on what belongs to our own accounts.
"""

import glob
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from gameday.cleanup.owner import is_alive, pid_of, this_owner
from gameday.host.account import create_file
from gameday.host.ours import is_our_folder, is_our_process, read_ours, whose
from gameday.host.process_files import environment_of, working_folder_of

__all__ = [
    "EVERY_CGROUP",
    "OWNER_LABEL",
    "OWNER_VARIABLE",
    "RUN_LABEL",
    "RUN_VARIABLE",
    "SUPERVISOR",
    "Labelled",
    "announced_by",
    "belonging_to_others",
    "cgroup_name",
    "engine_name",
    "folders_of",
    "is_run",
    "labelled",
    "labelled_folders",
    "labelled_processes",
    "labels_of",
    "make_folder",
    "runs_of_cgroups",
    "supervisors",
]

RUN_VARIABLE = "GAMEDAY_RUN"
OWNER_VARIABLE = "GAMEDAY_OWNER"
RUN_LABEL = "gameday.run"
OWNER_LABEL = "gameday.owner"
SUPERVISOR = "gameday.cleanup.supervisor"

EVERY_CGROUP = "gameday-"
"""What the names of all control groups of all runs begin with."""

_PREFIX = EVERY_CGROUP
_OWNER_FILE = "owner"
_ROOT_FILE = "root"
_RUN = re.compile("[0-9a-f]{8}")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A process that some run created, itself or through a child."""

    process: psutil.Process
    run: str
    owner: str


def is_run(name: str) -> bool:
    """Tell whether that can be the id of a run; nothing else is ever looked for unasked."""
    return _RUN.fullmatch(name) is not None


def labels_of(run: str) -> dict[str, str]:
    """Return the environment variables that mark a process as that run's, of this owner."""
    return {RUN_VARIABLE: run, OWNER_VARIABLE: this_owner()}


def labels_here() -> dict[str, str]:
    """Return the marks that this process has, and with it what it starts."""
    return {mark: os.environ[mark] for mark in (RUN_VARIABLE, OWNER_VARIABLE) if mark in os.environ}


@contextmanager
def labelled(run: str) -> Iterator[None]:
    """While entered, every process that is started carries the marks of `run`."""
    before = labels_here()
    os.environ.update(labels_of(run))
    try:
        yield
    finally:
        for mark in (RUN_VARIABLE, OWNER_VARIABLE):
            os.environ.pop(mark, None)
        os.environ.update(before)


def labelled_processes(run: str | None = None) -> list[Labelled]:
    """Return the living processes of one run, or of all, that this user may look at."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark, owner = _label_of(process)
            if not mark or run not in (None, mark) or not is_our_process(process):
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(Labelled(process=process, run=mark, owner=owner))
    return found


def supervisors() -> dict[str, str]:
    """Return the owner of every run that a janitor of ours watches, which is there first of all.

    A janitor is a child of the owner that it names, as long as that lives.
    """
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            words = process.cmdline()
            run, _, owner = words[words.index(SUPERVISOR) + 1 :]
            child = not is_alive(owner) or process.ppid() == pid_of(owner)
            if child and is_our_process(process):
                found[run] = owner
    return found


def belonging_to_others(run: str | None = None) -> list[str]:
    """Name what carries the marks of one run, or of any, and is another user's: nothing of ours."""
    found = []
    for folder in sorted(f for root in _roots() for f in root.glob(f"{_PREFIX}*-*")):
        mine = is_our_folder(folder)
        if not mine and is_run(_run_in(folder.name)) and run in (None, _run_in(folder.name)):
            with suppress(OSError):
                found.append(f"{folder}, which is not ours but belongs to {whose(folder)}")
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark = process.environ().get(RUN_VARIABLE, "")
            if is_run(mark) and run in (None, mark) and not is_our_process(process):
                found.append(f"process {process.pid} of user {process.uids().real}")
    return found


def cgroup_name(run: str, service: str = "") -> str:
    """Return the name of a control group of that run, or what all of them begin with."""
    return f"{_PREFIX}{run}-{service}"


def engine_name(run: str) -> str:
    """Return the name of a run's network; those of its containers and volumes begin with it."""
    return f"{_PREFIX}{run}"


def runs_of_cgroups(names: Iterable[str]) -> set[str]:
    """Return the runs whose control groups, perhaps among others, have these names."""
    return {_run_in(name) for name in names if name.startswith(_PREFIX)}


def make_folder(run: str) -> Path:
    """Make and return a temporary folder of that run.

    In a place where nobody would look for it, it is announced in one where everybody does.
    """
    root = Path(tempfile.gettempdir()).resolve()
    known = _known_roots()
    if root not in known:
        for place in known:
            with suppress(OSError):
                announced = _make_folder(run, place)
                (announced / _ROOT_FILE).write_bytes(os.fsencode(root))
                break
    return _make_folder(run, root)


def labelled_folders() -> list[tuple[str, str]]:
    """Return the run and the owner of every temporary folder that a run made."""
    folders = (
        folder
        for root in _roots()
        for folder in root.glob(f"{_PREFIX}*-*")
        if is_our_folder(folder)
    )
    found = ((_run_in(folder.name), _owner_in(folder)) for folder in folders)
    return [(run, owner) for run, owner in found if is_run(run) and owner]


def folders_of(run: str) -> list[Path]:
    """Return the temporary folders of one run, the announcements of others the last.

    One counts if an owner made it; an empty one, as its maker may have died the moment after.
    """
    near = _folders_in(_roots(), run)
    far = [other for folder in near for other in announced_by(folder)]
    return [*dict.fromkeys(far), *(folder for folder in near if folder not in far)]


def announced_by(folder: Path) -> list[Path]:
    """Return the folders of the same run of which a folder says where they are."""
    try:
        root = Path(os.fsdecode(read_ours(folder / _ROOT_FILE)))
    except OSError:
        return []
    return _folders_in({root}, _run_in(folder.name)) if root.is_absolute() else []


def _make_folder(run: str, root: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{run}-", dir=root))
    create_file(folder / _OWNER_FILE, this_owner().encode("ascii"))
    return folder


def _folders_in(roots: set[Path], run: str) -> list[Path]:
    pattern = f"{glob.escape(_PREFIX + run)}-*"
    found = sorted(f for root in roots for f in root.glob(pattern) if is_our_folder(f))
    return [folder for folder in found if _owner_in(folder) or _is_empty(folder)]


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except OSError:
        return False


def _label_of(process: psutil.Process) -> tuple[str, str]:
    """Return the run and the owner of a process, by its environment or by where it works.

    The folder tells only of a server that has overwritten its environment: anybody may work there.
    One that has none is a program that is just being started, of whoever it may be.
    """
    environ = environment_of(process.pid)
    if environ is None:
        return "", ""
    if RUN_VARIABLE in environ:
        return environ[RUN_VARIABLE], environ.get(OWNER_VARIABLE, "")
    if "PATH" in environ:
        return "", ""
    where = working_folder_of(process.pid)
    for folder in (where, *where.parents):
        if folder.name.startswith(_PREFIX) and is_our_folder(folder) and _owner_in(folder):
            return _run_in(folder.name), _owner_in(folder)
    return "", ""


def _roots() -> set[Path]:
    """Return where temporary folders are, as far as whoever looks can know."""
    return {Path(tempfile.gettempdir()).resolve(), *_known_roots()}


def _known_roots() -> list[Path]:
    """Return where everybody looks: whoever does may have another TMPDIR than the run."""
    return [Path(place).resolve() for place in _TEMPORARY if Path(place).is_dir()]


def _run_in(name: str) -> str:
    return name.removeprefix(_PREFIX).partition("-")[0]


def _owner_in(folder: Path) -> str:
    try:
        return read_ours(folder / _OWNER_FILE).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
