"""A process of the servers' account is read and cleaned up after, whatever root may do here."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gameday.host.account import account, as_account
from gameday.host.process_files import environment_of, mappings_of, working_folder_of

_TOLD = """
import json, sys
from gameday.host.process_files import environment_of, mappings_of, working_folder_of
pid = int(sys.argv[1])
print(environment_of(pid), working_folder_of(pid), len(mappings_of(pid)) > 0)
"""
_REMOVED = """
import ctypes, sys
from gameday.host.shared_memory import remove_segments
from pathlib import Path
print(remove_segments(Path(sys.argv[1])))
"""
_IPC_CREATE = 0o1000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts another account's")


def without(capability: str, program: str, argument: str) -> str:
    """Run a program of Python as root in most containers does; return what it printed."""
    bounded = ["setpriv", f"--bounding-set=-{capability}", "--", sys.executable, "-c", program]
    done = subprocess.run([*bounded, argument], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def servers_process() -> Iterator[int]:
    """A process of the servers' account that has one variable and works in /usr."""
    sleep = ["sleep", "60"]
    with subprocess.Popen(sleep, cwd="/usr", env={"A": "b=c"}, **as_account(account())) as process:
        yield process.pid
        process.kill()


def test_a_process_tells_its_variables_its_folder_and_what_it_has_mapped(
    servers_process: int,
) -> None:
    assert environment_of(servers_process) == {"A": "b=c"}
    assert working_folder_of(servers_process) == Path("/usr")
    assert "/sleep" in mappings_of(servers_process)


@needs_root
def test_root_that_may_not_trace_reads_the_same(servers_process: int) -> None:
    assert without("sys_ptrace", _TOLD, str(servers_process)) == "{'A': 'b=c'} /usr True"


@needs_root
def test_root_that_may_not_trace_reads_nothing_of_other_accounts() -> None:
    with subprocess.Popen(["sleep", "60"], user=4242, group=4242, extra_groups=()) as process:
        with pytest.raises(AssertionError, match=f"process {process.pid} is not ours"):
            without("sys_ptrace", _TOLD, str(process.pid))
        process.kill()


@needs_root
def test_root_that_may_not_administer_removes_the_shared_memory_of_the_servers(
    tmp_path: Path,
) -> None:
    made = subprocess.run(
        ["ipcmk", "--shmem", "56"],
        capture_output=True,
        text=True,
        check=True,
        **as_account(account()),
    )
    number = int(made.stdout.split()[-1])
    rows = [row.split() for row in Path("/proc/sysvipc/shm").read_text().splitlines()]
    (creator,) = (row[4] for row in rows[1:] if row[1] == str(number))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{creator}\n\n\n\n\n\n 1 {number}\n")
    try:
        assert without("sys_admin", _REMOVED, str(tmp_path)) == f"({number},)"
    finally:
        ctypes.CDLL(None).shmctl(number, 0, None)


def test_what_a_process_has_made_of_its_environment_counts_to_the_first_empty_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for block, wanted in (
        (b"", None),
        (b"A=1\0B=2\0", {"A": "1", "B": "2"}),
        (b"postgres: walwriter\0\0\0PATH=/bin\0", {}),
    ):
        monkeypatch.setattr(Path, "read_bytes", lambda _, said=block: said)
        assert environment_of(1) == wanted
