"""`gameday doctor` uses what there is, and says of what there is not how to get it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gameday.cleanup.labels import labelled_processes

if TYPE_CHECKING:
    from tests.conftest import Snapshots

pytestmark = pytest.mark.live

LIMIT_S = 180
COMMAND = [sys.executable, "-m", "gameday", "doctor"]
MISSING = ("dd", "epmd", "erl", "toxiproxy-server")

Told = dict[str, list[dict[str, object]]]


def doctor(env: Mapping[str, str]) -> tuple[int, Told]:
    done = subprocess.run(
        [*COMMAND, "--json"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def poor_path() -> Iterator[str]:
    """Everything that is on PATH but a few programs, and a Toxiproxy that only ends.

    As root, servers run as another account, which has to reach it as it reaches /usr/bin.
    """
    with tempfile.TemporaryDirectory(prefix="gameday-poor-") as folder:
        poor = Path(folder)
        poor.chmod(0o755)
        _fill(poor)
        yield folder


def _fill(poor: Path) -> None:
    for folder in reversed(os.get_exec_path()):
        for program in Path(folder).glob("*"):
            (poor / program.name).unlink(missing_ok=True)
            (poor / program.name).symlink_to(program)
    for name in MISSING:
        (poor / name).unlink(missing_ok=True)
    (poor / "toxiproxy-server").write_text("#!/bin/sh\nexit 1\n")
    (poor / "toxiproxy-server").chmod(0o755)


def test_what_is_missing_is_named_with_its_cure_and_what_it_costs(
    poor_path: str, snapshots: Snapshots
) -> None:
    code, told = doctor({"PATH": poor_path, "DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert code == 0
    found = {str(one["name"]): one for one in told["capabilities"]}
    used = {(use["runtime"], use["what"]): use for use in told["uses"]}

    assert found["redis in process"]["works"]
    assert found["app in process"]["works"]

    rabbit = found["rabbitmq in process"]
    assert not rabbit["works"]
    assert "on PATH" in str(rabbit["seen"])
    assert str(rabbit["cure"]).startswith("install ")
    assert "on PATH" in str(used["process", "queue-purge"]["refused"])
    assert used["process", "kill"]["refused"] == ""

    toxiproxy = found["toxiproxy-server"]
    assert not toxiproxy["works"]
    assert "it ended with 1" in str(toxiproxy["seen"])
    assert toxiproxy["instead"] == "gameday's own proxy"

    throttle = found["disk throttle in process"]
    assert (throttle["seen"], throttle["cure"]) == ("no dd on PATH", "install coreutils")

    engine = found["Docker engine"]
    assert engine["seen"] == "DOCKER_HOST=tcp://127.0.0.1:1: Connection refused"
    assert str(used["docker", "kill"]["refused"]).endswith(": Connection refused")

    named = sorted(f"{runtime} {what}" for runtime, what in used)
    snapshots.shape("doctor.txt", told, keep=("runtime",), more="\n".join(named))


def test_the_table_is_as_wide_as_it_may_be_and_nothing_stays_behind() -> None:
    done = subprocess.run(
        COMMAND,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mechanism ")
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("In process") for line in lines)
    assert list(Path(tempfile.gettempdir()).glob("gameday-trial*")) == []
    assert [one for one in labelled_processes() if one.run.startswith("trial")] == []


def test_ctrl_c_in_the_midst_of_a_trial_is_quiet_and_leaves_nothing() -> None:
    asked = subprocess.Popen(
        COMMAND,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # pytest itself may have been started where Ctrl-C is ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    owned = f"{asked.pid}@"
    give_up = time.monotonic() + LIMIT_S
    while not any(one.owner.startswith(owned) for one in labelled_processes()):
        assert asked.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    asked.send_signal(signal.SIGINT)
    said, complained = asked.communicate(timeout=LIMIT_S)
    assert (asked.returncode, said, complained) == (130, b"", b"")
    assert [one for one in labelled_processes() if one.owner.startswith(owned)] == []
