"""What a fault that creates load needs of an environment."""

from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["Hosting"]


@runtime_checkable
class Hosting(Protocol):
    """An environment that gives a fault the run's id and a place for files."""

    @property
    def run(self) -> str:
        """The id of the run."""
        ...

    def scratch(self) -> Path:
        """Make and return a folder for a fault's own files; it goes when the environment goes."""
        ...
