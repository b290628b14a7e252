"""The data folders that come with gameday."""

from pathlib import Path

__all__ = ["bundled"]

_HERE = Path(__file__).parent


def bundled(kind: str) -> Path:
    """Return the folder of `kind`, "scenarios" or "targets", of a wheel or of a checkout."""
    installed = _HERE / "_bundled" / kind
    return installed if installed.is_dir() else _HERE.parents[1] / kind
