"""What every container of a run is bounded with, and its log as it is kept in the end."""

import time
from pathlib import Path

from docker.models.containers import Container
from docker.types import LogConfig

from gameday.host.log_keeper import capped_line
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.process.logs import LOG_CAP_BYTES

__all__ = ["MEMORY_BYTES", "PIDS", "bounds_of", "collected", "save_log"]

MEMORY_BYTES = 2 * 1024**3
"""What the processes of a service may hold, unless its target says otherwise by `memory:`."""
PIDS = 4096
"""How many processes and threads it may have, unless its target says so by `pids:`."""

_FILES = 2
_COLLECT_LIMIT_S = 5.0
_LATE = f"\ngameday: the rest was not read within {_COLLECT_LIMIT_S:g} s\n".encode()
_TURNED = (
    f"\ngameday: docker keeps the last {LOG_CAP_BYTES // _FILES / 1e6:g} to "
    f"{LOG_CAP_BYTES / 1e6:g} MB of a log; older lines may be missing\n"
).encode()
_SURELY_WHOLE_BYTES = LOG_CAP_BYTES // (2 * _FILES)
"""The engine keeps some hundred bytes beside each line, so that its files turn earlier."""


def bounds_of(spec: ServiceSpec | None = None) -> dict[str, object]:
    """Return the options of the engine's client that bound a container, of a service or not.

    Of memory there is no swap beside it, as the faults on memory have it, too.
    """
    memory = (spec and spec.memory_bytes) or MEMORY_BYTES
    size = str(LOG_CAP_BYTES // _FILES)
    return {
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": (spec and spec.pids) or PIDS,
        "log_config": LogConfig(
            type=LogConfig.types.JSON, config={"max-size": size, "max-file": str(_FILES)}
        ),
    }


def collected(container: Container, before: bytes = b"") -> bytes:
    """Return the log of a container behind what there is already, within the cap and in time."""
    over = time.monotonic() + _COLLECT_LIMIT_S
    log = bytearray(before)
    own = 0
    for chunk in container.logs(stream=True, follow=False, timestamps=True):
        own += len(chunk)
        log += chunk
        if len(log) >= LOG_CAP_BYTES:
            del log[LOG_CAP_BYTES:]
            return bytes(log + capped_line(LOG_CAP_BYTES))
        if time.monotonic() > over:
            return bytes(log + _LATE)
    return bytes(log + _TURNED) if own > _SURELY_WHOLE_BYTES else bytes(log)


def save_log(container: Container, before: bytes, file: Path) -> None:
    """Write the log of a service, of which `before` is what its earlier containers said."""
    file.write_bytes(collected(container, before[:LOG_CAP_BYTES]))
