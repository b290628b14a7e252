"""The marks that everything a run creates carries, so that it is found whoever is left to look.

Processes inherit GAMEDAY_RUN and GAMEDAY_OWNER in their environment, containers, networks and
volumes carry labels of the same meaning, and folders have the run's id in their name. Servers that
write their own title over their environment, as Redis and PostgreSQL do, are known by the folder
that they work in. No list has to be kept, so none can be torn by a SIGKILL between a creation and
its note.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = [
    "OWNER_LABEL",
    "OWNER_MARK",
    "RUN_LABEL",
    "RUN_MARK",
    "Marked",
    "cell_name",
    "folders_of",
    "is_dead",
    "make_folder",
    "marked",
    "marked_folders",
    "marked_processes",
    "marks_of",
    "this_owner",
]

RUN_MARK = "GAMEDAY_RUN"
OWNER_MARK = "GAMEDAY_OWNER"
RUN_LABEL = "gameday.run"
OWNER_LABEL = "gameday.owner"

_PREFIX = "gameday-"
_OWNER_FILE = "owner"
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A process that some run created, itself or through a child."""

    process: psutil.Process
    run: str
    owner: str


def this_owner() -> str:
    """Return what tells this process from every other, now and later, here and elsewhere."""
    process = psutil.Process()
    return f"{process.pid}@{process.create_time():.2f}@{_place()}"


def is_dead(owner: str) -> bool:
    """Tell whether that owner is surely gone; of one that lives elsewhere nothing is sure."""
    pid, _, rest = owner.partition("@")
    started, _, place = rest.partition("@")
    if not pid.isdigit() or place != _place():
        return False
    try:
        process = psutil.Process(int(pid))
        return f"{process.create_time():.2f}" != started or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def marks_of(run: str) -> dict[str, str]:
    """Return the environment variables that mark a process as that run's, of this owner."""
    return {RUN_MARK: run, OWNER_MARK: this_owner()}


@contextmanager
def marked(run: str) -> Iterator[None]:
    """While entered, every process that is started carries the marks of `run`."""
    before = {mark: os.environ.get(mark) for mark in (RUN_MARK, OWNER_MARK)}
    os.environ.update(marks_of(run))
    try:
        yield
    finally:
        for mark, value in before.items():
            if value is None:
                os.environ.pop(mark, None)
            else:
                os.environ[mark] = value


def marked_processes(run: str | None = None) -> list[Marked]:
    """Return the living processes of one run, or of all, that this user may look at."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mark, owner = _mark_of(process)
            if not mark or run not in (None, mark):
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(Marked(process=process, run=mark, owner=owner))
    return found


def cell_name(run: str, service: str = "") -> str:
    """Return the name of a control group of that run, or what all of them begin with."""
    return f"{_PREFIX}{run}-{service}"


def make_folder(run: str) -> Path:
    """Make and return a temporary folder of that run."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{run}-"))
    (folder / _OWNER_FILE).write_text(this_owner(), encoding="ascii")
    return folder


def marked_folders() -> list[tuple[str, str]]:
    """Return the run and the owner of every temporary folder that a run made."""
    folders = (folder for root in _roots() for folder in root.glob(f"{_PREFIX}*-*"))
    return [(_run_in(folder), _owner_in(folder)) for folder in folders]


def folders_of(run: str) -> list[Path]:
    """Return the temporary folders of one run."""
    return sorted(folder for root in _roots() for folder in root.glob(f"{_PREFIX}{run}-*"))


def _mark_of(process: psutil.Process) -> tuple[str, str]:
    """Return the run and the owner of a process, by its environment or by where it works."""
    environ = process.environ()
    if RUN_MARK in environ:
        return environ[RUN_MARK], environ.get(OWNER_MARK, "")
    where = Path(process.cwd())
    for folder in (where, *where.parents):
        if folder.name.startswith(_PREFIX) and (folder / _OWNER_FILE).is_file():
            return _run_in(folder), _owner_in(folder)
    return "", ""


def _roots() -> set[Path]:
    """Return where temporary folders are: whoever looks may have another TMPDIR than the run."""
    places = (tempfile.gettempdir(), *_TEMPORARY)
    return {Path(place).resolve() for place in places if Path(place).is_dir()}


def _run_in(folder: Path) -> str:
    return folder.name.removeprefix(_PREFIX).partition("-")[0]


def _owner_in(folder: Path) -> str:
    try:
        return (folder / _OWNER_FILE).read_text(encoding="ascii")
    except OSError:
        return ""


def _place() -> str:
    """Return what differs between hosts, boots and containers that number processes anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}@{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{psutil.boot_time():.0f}"
