"""What gameday's processes and a target's services get of the caller's variables."""

import subprocess
import sys
from pathlib import Path

import pytest

from gameday.edge.servers import start_own_proxy
from gameday.host import variables
from gameday.host.child import Child
from gameday.model.clock import SECOND

CALLERS = {
    "SIGNALS_RECONNECT": "off",
    "HTTP_PROXY": "http://proxy:3128",
    "no_proxy": "*",
    "PGHOSTADDR": "192.0.2.1",
    "PYTHONPATH": "/somewhere",
    "BASH_ENV": "/somewhere/else",
    "LD_PRELOAD": "none.so",
}
HOST = {"HOME": "/root", "TZ": "UTC", "LANG": "C.UTF-8", "LC_TIME": "C", "SSL_CERT_FILE": "/c.pem"}
DISTURBING = {
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONIOENCODING": "utf-16",
    "PYTHONVERBOSE": "1",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "/none/such",
}


@pytest.fixture(autouse=True)
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CALLERS, **HOST, **DISTURBING}.items():
        monkeypatch.setenv(name, value)


def test_a_service_gets_where_it_runs_and_nothing_of_how() -> None:
    given = variables.for_services()
    assert given.items() >= HOST.items()
    assert "PATH" in given
    assert not given.keys() & {*CALLERS, *DISTURBING}


def test_a_container_gets_the_time_zone_and_has_its_own_of_the_rest() -> None:
    assert variables.for_containers() == {"TZ": "UTC"}


def test_a_service_has_a_path_where_the_caller_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert variables.for_services()["PATH"]


def test_a_process_of_our_own_gets_all_but_how_python_runs() -> None:
    given = variables.for_own()
    assert given.items() >= {**CALLERS, **HOST}.items()
    assert not given.keys() & DISTURBING.keys()


@pytest.mark.parametrize("name", DISTURBING)
def test_no_variable_of_python_keeps_one_from_speaking(tmp_path: Path, name: str) -> None:
    program = "import os, sys; print('{\"%s\": %d}' % (name, name in os.environ), flush=True)"
    code = f"name = {name!r}; {program}; sys.stdin.read()"
    child = Child("a child", ["-c", code], tmp_path / "log")
    try:
        assert child.hear(20 * SECOND) == {name: 0}
        assert child.end(20 * SECOND)
    finally:
        child.kill()


def test_the_proxy_starts_whatever_the_caller_says_of_python(tmp_path: Path) -> None:
    proxy = start_own_proxy(tmp_path / "log", seed=1)
    try:
        assert proxy.control.version()
    finally:
        proxy.stop(5)


def test_the_variables_that_a_reader_is_told_of_are_those_that_are_given() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "services.md"
    told = page.read_text().split("## Variables")[1].split("\n## ")[0]
    for name in variables._TO_SERVICES:
        assert f"`{name}`" in told


def test_a_python_of_this_host_runs_with_what_a_service_gets() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import redis, sys; print(sys.flags.optimize)"],
        env=variables.for_services(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "0\n"
