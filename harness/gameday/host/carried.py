"""Servers that come in Python wheels, for hosts that have none."""

import importlib.metadata
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path

from gameday.api.mechanism import Lacking
from gameday.extras import installing

__all__ = ["Carried", "server_in_use"]

_OLD_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A wheel of the extra `servers`, and the server in it."""

    distribution: str
    """The wheel; its version is that of the server."""
    package: str
    pattern: str
    """Where the server is in the package's folder."""
    product: str
    tested: tuple[int, ...]
    """The server's version that this version of gameday was tested with."""
    released: date
    """When that was released."""

    def server(self) -> Path | None:
        """Return the server in the installed wheel; the package itself is never imported."""
        return next(self._servers(), None)

    def version(self) -> str | None:
        """Return the version of the installed wheel."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def too_old(self, today: date | None = None) -> str | None:
        """Return why the installed server should be replaced by a newer one; None: it is fine.

        A wheel does not say when it was made. So a version is old if it is older than the tested
        one, or if it is the tested one and that was released more than a year ago.
        """
        installed = _numbers(self.version() or "")[: len(self.tested)]
        today = today or datetime.now(UTC).date()
        if installed < self.tested:
            return f"it is older than {_dotted(self.tested)}, which gameday was tested with"
        if installed == self.tested and (today - self.released).days > _OLD_DAYS:
            return f"it was released in {self.released:%B %Y}, more than a year ago"
        return None

    def _servers(self) -> Iterator[Path]:
        spec = find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for server in sorted(Path(folder).glob(self.pattern)):
                if os.access(server, os.X_OK):
                    yield server


def server_in_use(wheel: Carried, find: Callable[[], Path | None], name: str) -> str:
    """Say which server is used, and refuse to call one fine that is old and came with a wheel."""
    server = find()
    if server is None:
        raise Lacking(f"no {name} of this host and none of a wheel", installing("servers"))
    if server != wheel.server():
        return f"{server}, of this host"
    seen = f"{wheel.product} of the wheel {wheel.distribution} {wheel.version()}"
    if old := wheel.too_old():
        raise Lacking(f"{seen}: {old}", f"pip install --upgrade {wheel.distribution}")
    return seen


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
