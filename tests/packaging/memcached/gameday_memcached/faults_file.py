"""A reporter: the faults of a run, a line each."""

from pathlib import Path

from gameday import Event, Result

__all__ = ["FaultsFile"]


class FaultsFile:
    """Writes faults.txt into the folder of the run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "faults.txt"

    def on_event(self, event: Event) -> None:
        """Only the result is written."""

    def on_result(self, result: Result) -> None:
        lines = [f"{fault.fault} {fault.target}\n" for fault in result.faults]
        self._file.write_text("".join(lines), encoding="utf-8")
