"""Room for many open files, of which every connection is one."""

import resource
from functools import partial

import psutil

from gameday.api.mechanism import Mechanism

__all__ = ["open_files"]

_ENDS = 2
"""gameday's own proxy, which has the same limit, needs one for either side of a connection."""
_OTHERS = 100


def open_files(connections: int) -> Mechanism:
    """Return the room that a flood of so many connections takes."""
    needed = _ENDS * connections + _OTHERS
    return Mechanism(
        name=f"{needed} open files",
        used_for=f"a connection-flood of {connections}",
        cure=f"ulimit -n {needed}, or a lower count",
        check=partial(_check, needed),
    )


def _check(needed: int) -> str:
    """Read the limit and what is in use: to use it up would break whoever opens a file then."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = psutil.Process().num_fds()
    if limit != resource.RLIM_INFINITY and limit - used < needed:
        raise OSError(f"RLIMIT_NOFILE is {limit}, of which {used} are in use")
    return f"RLIMIT_NOFILE is {limit}, of which {used} are in use"
