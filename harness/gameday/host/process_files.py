"""What the kernel says of a process of ours, also where root may not look at other accounts'.

Root in a container has no CAP_SYS_PTRACE as a rule, and servers run as an account of their own
there: what root may not read, that account may.
"""

import os
import subprocess
from itertools import takewhile
from pathlib import Path

from gameday.host.account import as_account, our_uids

__all__ = ["environment_of", "mappings_of", "working_folder_of"]

_LIMIT_S = 10


def environment_of(pid: int) -> dict[str, str] | None:
    """Return the variables of a process; OSError if they may not be read, or it is gone.

    None stands for no environment at all, as while a program is being started. Of one that the
    process has overwritten, what stands after the first empty entry counts for nothing.
    """
    block = _read(pid, "environ")
    entries = (entry.partition("=") for entry in takewhile(bool, block.split("\0")))
    return {name: value for name, is_one, value in entries if is_one} if block else None


def mappings_of(pid: int) -> str:
    """Return the lines of /proc/PID/maps; OSError if they may not be read, or it is gone."""
    return _read(pid, "maps")


def working_folder_of(pid: int) -> Path:
    """Return the folder that a process works in; OSError if that may not be read, or it is gone."""
    link = Path(f"/proc/{pid}/cwd")
    try:
        return link.readlink()
    except PermissionError:
        return Path(_as_its_account(pid, "readlink", "-n", str(link)))


def _read(pid: int, name: str) -> str:
    file = Path(f"/proc/{pid}/{name}")
    try:
        return os.fsdecode(file.read_bytes())
    except PermissionError:
        return _as_its_account(pid, "cat", str(file))


def _as_its_account(pid: int, *command: str) -> str:
    """Run a command as the servers' account, if the process is that one's; return its output."""
    number = Path(f"/proc/{pid}").stat().st_uid
    if os.geteuid() != 0 or number == 0 or number not in our_uids():
        raise PermissionError(f"process {pid} is not ours")
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            cwd="/",
            env={"PATH": os.defpath},  # and no run's label
            timeout=_LIMIT_S,
            check=False,
            **as_account(number),
        )
    except subprocess.TimeoutExpired as error:
        raise PermissionError(f"process {pid} did not tell in {_LIMIT_S} s") from error
    if done.returncode != 0:
        raise PermissionError(os.fsdecode(done.stderr).strip())
    return os.fsdecode(done.stdout)
