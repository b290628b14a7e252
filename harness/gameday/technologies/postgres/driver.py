"""Whether psycopg, which the harness speaks SQL by, can be used here."""

import importlib
from importlib.util import find_spec

from gameday.extras import Missing, installing, missing_packages

__all__ = ["psycopg_missing"]

_LIBPQ = ("psycopg_binary", "psycopg_c")


def psycopg_missing() -> Missing | None:
    """Return what psycopg lacks; it is imported only to see whether it finds the host's libpq."""
    absent = missing_packages("postgres", "psycopg")
    if absent is not None or any(map(find_spec, _LIBPQ)):
        return absent
    try:
        importlib.import_module("psycopg")
    except ImportError as error:
        lines = str(error).strip().splitlines()
        return Missing(
            seen=f"the Python package psycopg cannot be used: {lines[0]}",
            cure=installing("postgres"),
        )
    return None
