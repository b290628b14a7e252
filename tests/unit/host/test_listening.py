"""Who listens on a port is told from the service that should, by the kernel's lists."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from gameday.host.listening import stranger_on

_LISTEN = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    input()
"""


@pytest.fixture
def other() -> Iterator[tuple[int, psutil.Process]]:
    """Another process that listens, and its port."""
    command = [sys.executable, "-c", _LISTEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), psutil.Process(process.pid)
        process.kill()


def test_who_is_not_ours_is_named(other: tuple[int, psutil.Process]) -> None:
    port, process = other
    assert stranger_on(port, list) == f"process {process.pid} ({process.name()})"


def test_our_own_is_no_stranger(other: tuple[int, psutil.Process]) -> None:
    port, process = other
    assert stranger_on(port, lambda: [process]) == ""


def test_where_nobody_listens_nobody_is_told() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert stranger_on(held.getsockname()[1], list) == ""


def test_where_descriptors_are_listed_and_cannot_be_read_nobody_is_told(
    other: tuple[int, psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for root in a container, whose services run as another account."""

    def refuse(_: Path) -> NoReturn:
        raise PermissionError

    monkeypatch.setattr(Path, "readlink", refuse)
    port, process = other
    assert stranger_on(port, lambda: [process]) == ""
