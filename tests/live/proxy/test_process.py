"""The process of the proxy: its start and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gameday.edge.servers import ProxyControl, start_own_proxy
from gameday.errors import EnvironmentRefused

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


def test_other_hosts_are_let_in_only_where_that_is_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "gameday.proxy", "--port", "0", "--host", "0.0.0.0"]
    refused = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "other hosts could reach 0.0.0.0" in refused.stderr
    allowed = subprocess.Popen(
        [*command, "--beyond-loopback"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert allowed.stdin is not None
    assert allowed.stdout is not None
    assert json.loads(allowed.stdout.readline())["pid"] == allowed.pid
    allowed.stdin.close()
    assert allowed.wait(LIMIT_S) == 0
    allowed.stdout.close()


def test_only_who_has_the_token_changes_anything(tmp_path: Path) -> None:
    own = start_own_proxy(tmp_path / "proxy.log", seed=1, token="word")
    endpoint = own.control.endpoint
    stranger = ProxyControl(endpoint.host, endpoint.port)
    try:
        own.control.create("p", "127.0.0.1:0", "127.0.0.1:9")
        assert set(stranger.proxies()) == {"p"}, "to look it takes none"
        for change in (
            lambda: stranger.disable("p"),
            lambda: stranger.delete("p"),
            lambda: stranger.create("q", "127.0.0.1:0", "127.0.0.1:9"),
            stranger.reset,
        ):
            with pytest.raises(EnvironmentRefused, match=r"status 401.*token"):
                change()
        command = Path(f"/proc/{own.pid}/cmdline").read_bytes()
        assert b"word" not in command
        assert own.control.state("p").enabled
    finally:
        own.stop(LIMIT_S)
