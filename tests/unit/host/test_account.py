"""Whether servers can have a name of their own is tried without leaving anything behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_ASK = "from gameday.host.account import account; account(with_a_name=True)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a process a name")
def test_a_harness_that_is_killed_while_it_tries_leaves_no_folder(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _ASK], env={**os.environ, "TMPDIR": str(tmp_path)}
        ) as asking:
            give_up = time.monotonic() + 10
            while not list(tmp_path.iterdir()) and asking.poll() is None:
                assert time.monotonic() < give_up
                time.sleep(0.0005)
            time.sleep(0.004)
            asking.kill()
    give_up = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []
