"""The packages that an extra installs, and what to do where one of them is missing."""

from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["Missing", "docker_missing", "installing", "missing_packages"]

_DOCKER = ("docker", "testcontainers", "toxiproxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What an extra lacks here, and the command that installs it."""

    seen: str
    cure: str


def installing(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'pytest-gameday[{extra}]'"


def missing_packages(extra: str, *packages: str) -> Missing | None:
    """Return which of an extra's packages is not installed; None: all are.

    Nothing is imported, because most of these packages take a quarter of a second.
    """
    for package in packages:
        if find_spec(package) is None:
            return Missing(
                seen=f"the Python package {package} is not installed", cure=installing(extra)
            )
    return None


def docker_missing() -> Missing | None:
    """Return which package is lacking that talks to a Docker engine; None: none is."""
    return missing_packages("docker", *_DOCKER)
