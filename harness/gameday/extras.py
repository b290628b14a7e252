"""The packages that an extra installs, and what to do where one of them is missing."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["Missing", "installing", "missing_of"]

_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "docker": ("docker", "testcontainers", "toxiproxy"),
    "postgres": ("psycopg",),
    "rabbitmq": ("pika",),
}
_LIBPQ = ("psycopg_binary", "psycopg_c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What an extra lacks here, and the command that installs it."""

    seen: str
    cure: str


def installing(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'pytest-gameday[{extra}]'"


def missing_of(extra: str) -> Missing | None:
    """Return which package of an extra is not installed; None: all are, or it is no extra.

    Nothing is imported, because most of these packages take a quarter of a second.
    """
    for package in _PACKAGES.get(extra, ()):
        if find_spec(package) is None:
            return Missing(
                seen=f"the Python package {package} is not installed", cure=installing(extra)
            )
    if extra == "postgres" and not any(map(find_spec, _LIBPQ)):
        return _unusable_psycopg()
    return None


def _unusable_psycopg() -> Missing | None:
    """Import psycopg to see whether it finds a libpq of this host."""
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        lines = str(error).strip().splitlines()
        return Missing(
            seen=f"the Python package psycopg cannot be used: {lines[0]}",
            cure=installing("postgres"),
        )
    return None
