"""The user that a server runs as where root may not run it."""

import functools
import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

__all__ = ["Identity", "account", "as_account", "may_run"]

_ANSWER_LIMIT_S = 10


class Identity(TypedDict):
    """The arguments of Popen that make a child somebody else, or leave it who we are."""

    user: str | None
    group: int | None
    extra_groups: Sequence[int] | None


def account(names: Sequence[str]) -> str | None:
    """Return the first of these users that exists, if we are root; None stands for who we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in names if name in known), None)


def as_account(name: str | None) -> Identity:
    """Return what makes a child that user; it gets none of root's groups."""
    if name is None:
        return Identity(user=None, group=None, extra_groups=None)
    return Identity(user=name, group=pwd.getpwnam(name).pw_gid, extra_groups=())


@functools.cache
def may_run(program: Path, name: str | None, *arguments: str) -> bool:
    """Tell whether that user can run it: a folder of root's that holds it may be closed to them."""
    try:
        done = subprocess.run(
            [program, *(arguments or ("--version",))],
            capture_output=True,
            cwd="/",
            timeout=_ANSWER_LIMIT_S,
            check=False,
            **as_account(name),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
