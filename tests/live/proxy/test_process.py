"""The process of the proxy: its start and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.environment.proxies import start_own_proxy

pytestmark = pytest.mark.live

LIMIT_S = 5.0


def test_the_proxy_ends_with_its_stdin_and_prints_one_line() -> None:
    command = [sys.executable, "-P", "-m", "gameday.proxy", "--port", "0"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    line = json.loads(child.stdout.readline())
    assert (set(line), line["pid"]) == ({"port", "pid"}, child.pid)
    child.send_signal(2)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)
    child.stdin.close()
    assert child.wait(LIMIT_S) == 0
    assert child.stdout.read() == b""
    child.stdout.close()


def test_a_terminated_proxy_ends_in_order(tmp_path: Path) -> None:
    own = start_own_proxy(tmp_path / "proxy.log", seed=1)
    own._process.terminate()
    assert own._process.wait(LIMIT_S) == 0
    own.stop(LIMIT_S)
