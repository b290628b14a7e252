"""The account that servers run under when root starts them: it owns nothing on this host."""

import functools
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from gameday.host.variables import for_services

__all__ = [
    "Identity",
    "account",
    "as_account",
    "create_file",
    "give_to",
    "may_run",
    "named",
    "our_uids",
]

_UNUSED = 2_100_731_429
"""Above what directories of users and containers give out, below what systemd keeps for itself."""
_NOBODY = 65534
_NAME = "gameday"
_ANSWER_LIMIT_S = 10

# For this command alone /etc/passwd says a name, which initdb insists on.
_NAMED = """
set -e
mount --bind "$1" /etc/passwd
rm -- "$1"
exec setpriv --reuid="$2" --regid="$2" --clear-groups -- "$0" "${@:3}"
"""

# Whoever is killed meanwhile leaves no folder behind: the child removes it.
_THEN_REMOVE = """
"$@"
status=$?
rm -rf -- "$0"
exit $status
"""


class Identity(TypedDict):
    """The arguments of Popen that make a child run as another user, or as ours."""

    user: int | None
    group: int | None
    extra_groups: Sequence[int] | None


def account(*, with_a_name: bool = False) -> int | None:
    """Return the number of the servers' account if we are root; None stands for who we are.

    It has no name, no files and no other processes. Where that is not to be had, as in a container
    that knows few numbers, it is nobody's, whom others may use as well.
    """
    if os.geteuid() != 0:
        return None
    if _is_free(_UNUSED) and (not with_a_name or _can_be_named(_UNUSED)):
        return _UNUSED
    return _NOBODY if _is_mapped(_NOBODY) else None


def our_uids() -> frozenset[int]:
    """Return the numbers of all accounts that processes and files of our runs can have."""
    servers = (account(), account(with_a_name=True))
    return frozenset({os.geteuid(), *(number for number in servers if number is not None)})


def as_account(number: int | None) -> Identity:
    """Return what makes a child that account; it gets none of root's groups."""
    if number is None:
        return Identity(user=None, group=None, extra_groups=None)
    return Identity(user=number, group=number, extra_groups=())


def give_to(path: Path, number: int | None) -> None:
    """Make a file or a folder that account's."""
    if number is not None:
        os.chown(path, number, number, follow_symlinks=False)


def create_file(file: Path, content: bytes, number: int | None = None, mode: int = 0o600) -> None:
    """Make a file that was not there, for that account; no link is followed."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(opened, "wb") as made:
        made.write(content)
        if number is not None:
            os.fchown(opened, number, number)


def named(command: Sequence[str], number: int, home: Path) -> list[str]:
    """Return a command for root that runs another one as that account, with a name of its own."""
    if number != _UNUSED:
        drop = [f"--reuid={number}", f"--regid={number}", "--clear-groups"]
        return ["setpriv", *drop, "--", *command]
    names = home / f"passwd-{secrets.token_hex(4)}"
    said = f"root:x:0:0::/:/bin/sh\n{_NAME}:x:{number}:{number}::/:/bin/sh\n"
    create_file(names, said.encode(), mode=0o644)
    program, *arguments = command
    shell = ["bash", "-c", _NAMED, program, str(names), str(number), *arguments]
    return ["unshare", "--mount", *shell]


@functools.cache
def may_run(program: Path, number: int | None, *arguments: str) -> bool:
    """Tell whether that account can run it: a folder that holds it may be closed to it."""
    try:
        done = subprocess.run(
            [program, *(arguments or ("--version",))],
            capture_output=True,
            cwd="/",
            env=for_services(),
            timeout=_ANSWER_LIMIT_S,
            check=False,
            **as_account(number),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


@functools.cache
def _is_free(number: int) -> bool:
    """Tell whether no account of this host has that number, and a process can have it."""
    try:
        pwd.getpwuid(number)
    except KeyError:
        return _is_mapped(number)
    return False


def _is_mapped(number: int) -> bool:
    """Tell whether the number is one of those that this namespace of users has."""
    try:
        for map_file in ("uid_map", "gid_map"):
            rows = Path(f"/proc/self/{map_file}").read_text(encoding="ascii").splitlines()
            spans = [(int(row.split()[0]), int(row.split()[2])) for row in rows]
            if not any(first <= number < first + length for first, length in spans):
                return False
    except OSError:
        return False
    return True


@functools.cache
def _can_be_named(number: int) -> bool:
    """Tell whether root may do that here, and whether names come from the file."""
    folder = tempfile.mkdtemp(prefix="gameday-name-")
    try:
        Path(folder).chmod(0o711)
        done = subprocess.run(
            ["bash", "-c", _THEN_REMOVE, folder, *named(["id", "-un"], number, Path(folder))],
            capture_output=True,
            text=True,
            timeout=_ANSWER_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return done.stdout.strip() == _NAME
