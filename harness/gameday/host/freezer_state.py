"""Whether frozen processes have stood still all the time, according to the kernel."""

from collections.abc import Iterable
from pathlib import Path

import psutil

from gameday.api.environment import FreezerState

__all__ = ["FrozenGroup", "StoppedProcesses", "freezer_of"]

_STOPPED = ("T", "t")
_FREEZER_STATES: dict[str, FreezerState] = {
    "FROZEN": "frozen",
    "FREEZING": "partly frozen",
    "THAWED": "running",
    "1": "frozen",
    "0": "running",
}
"""How the two versions of cgroups say it."""


class StoppedProcesses:
    """Processes stopped by a signal: one that runs, however briefly, shows a context switch."""

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._before = {process.pid: _read(process.pid) for process in processes}

    def thawed(self) -> str:
        for pid, before in self._before.items():
            now = _read(pid)
            if now is None or before is None or now[0] not in _STOPPED:
                return f"process {pid} was not stopped any more"
            if now[1] != before[1]:
                return f"process {pid} ran in between"
        return ""


class FrozenGroup:
    """A frozen control group, according to the freezer's own file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def thawed(self) -> str:
        now = self.freezer_state()
        return "" if now == "frozen" else f"its control group was {now or 'gone'}"

    def freezer_state(self) -> FreezerState | None:
        """Return what the kernel says; None: nothing that is known."""
        try:
            return _FREEZER_STATES.get(self._file.read_text().strip())
        except OSError:
            return None


def freezer_of(pid: int) -> FrozenGroup | None:
    """Return the freezer that a process of this host is in; None: there is none to be read."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "freezer":
            file = Path(f"/sys/fs/cgroup/freezer{path}/freezer.state")
        elif controllers == "":
            file = Path(f"/sys/fs/cgroup{path}/cgroup.freeze")
        else:
            continue
        if file.is_file():
            return FrozenGroup(file)
    return None


def _read(pid: int) -> tuple[str, int] | None:
    """Return the state of a process, and how often its main thread was switched away from."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    switches = sum(int(fields[f"{kind}_ctxt_switches"]) for kind in ("voluntary", "nonvoluntary"))
    return fields["State"].strip()[:1], switches
