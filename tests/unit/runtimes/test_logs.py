"""A log has a cap, and whoever writes it never waits, and never dies of it."""

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gameday.host.log_keeper import capped_line
from gameday.runtimes.process.logs import Logs

_CAP = 100_000


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    made = Logs({name: tmp_path / f"{name}.log" for name in ("a", "b")}, _CAP)
    yield made
    made.stop()


def write(logs: Logs, name: str, script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["sh", "-c", script], stdout=logs.writer(name), stderr=logs.writer(name)
    )


def test_what_was_written_is_in_the_file_once_it_has_settled(logs: Logs) -> None:
    write(logs, "a", "echo one; echo two >&2").wait(10)
    write(logs, "b", "echo three").wait(10)
    logs.settle()
    assert logs.files["a"].read_text() == "one\ntwo\n"
    assert logs.files["b"].read_text() == "three\n"


def test_a_service_that_starts_again_goes_on_with_its_log(logs: Logs) -> None:
    for word in ("one", "two"):
        write(logs, "a", f"echo {word}").wait(10)
    logs.settle()
    assert logs.files["a"].read_text() == "one\ntwo\n"


def test_a_flood_is_cut_off_at_the_cap_and_its_writer_lives_on(logs: Logs) -> None:
    writer = write(logs, "a", "head -c 200000000 /dev/zero; echo; echo still here; exit 7")
    assert writer.wait(30) == 7
    logs.settle()
    kept = logs.files["a"].read_bytes()
    assert kept == b"\0" * _CAP + capped_line(_CAP)
    write(logs, "b", "echo heard").wait(10)
    logs.settle()
    assert logs.files["b"].read_text() == "heard\n", "a flood beside it keeps no other log"


def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    logs = Logs({"a": Path("/dev/full")}, _CAP)
    try:
        assert write(logs, "a", "head -c 5000000 /dev/zero; exit 7").wait(30) == 7
    finally:
        logs.stop()


def test_the_keeper_outlives_the_harness_and_ends_with_the_last_writer(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from gameday.runtimes.process.logs import Logs\n"
        "logs = Logs({'a': Path(sys.argv[1])})\n"
        "text = 'until [ -e $0 ]; do sleep 0.01; done; head -c 3000000 /dev/zero; echo end'\n"
        "p = subprocess.Popen(['sh', '-c', text, sys.argv[2]], stdout=logs.writer('a'))\n"
        "print(logs._keeper.pid, p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    go = tmp_path / "go"
    command = [sys.executable, "-c", script, str(tmp_path / "a.log"), str(go)]
    harness = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert harness.stdout is not None
    keeper, service = (psutil.Process(int(pid)) for pid in harness.stdout.readline().split())
    harness.send_signal(signal.SIGKILL)
    harness.wait()
    assert keeper.is_running()
    go.touch()
    psutil.wait_procs([service, keeper], timeout=20)
    assert not keeper.is_running()
    assert (tmp_path / "a.log").read_bytes().endswith(b"end\n")


def test_a_writer_whose_keeper_is_gone_is_not_ended_by_that(logs: Logs) -> None:
    logs._keeper.kill()
    logs._keeper.wait()
    assert write(logs, "a", "echo one; exit 7").wait(10) == 7
    began = time.monotonic()
    logs.settle()
    assert time.monotonic() - began < 5


def test_nothing_stays_open(tmp_path: Path) -> None:
    def open_ones() -> set[str]:
        """Name what is open; a number that is free again may go meanwhile, and none may come."""
        links = Path("/proc/self/fd").iterdir()
        return {f"{link.name} {link.readlink()}" for link in links if link.is_symlink()}

    gc.collect()
    before = open_ones()
    Logs({"a": tmp_path / "a.log"}).stop()
    assert not open_ones() - before
