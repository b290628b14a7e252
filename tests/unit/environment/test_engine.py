"""An engine that cannot be used is told of in the kernel's words, with the cure that fits."""

import socket
from pathlib import Path

import pytest
import requests
from docker.errors import DockerException

from gameday.environment.engine import engine_problem, refusing
from gameday.errors import EnvironmentRefused


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_an_address_where_nobody_listens_is_named(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{closed_port}")
    assert engine_problem() == (
        f"no Docker engine answers: DOCKER_HOST=tcp://127.0.0.1:{closed_port}: Connection refused; "
        "start that engine, or unset DOCKER_HOST"
    )


def test_a_socket_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert f"{tmp_path}/none.sock: No such file or directory; " in str(engine_problem())


def test_who_may_not_open_the_usual_socket_is_told_to_join_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: int) -> None:
        # As requests hands on what urllib3 has wrapped: an argument of an argument, and no cause.
        denied = PermissionError(13, "Permission denied")
        aborted = requests.ConnectionError(requests.ConnectionError("Connection aborted.", denied))
        raise DockerException("Error while fetching server API version") from aborted

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr("gameday.environment.engine.engine_client", refused)
    assert engine_problem() == (
        "no Docker engine answers: this user may not open the socket /var/run/docker.sock; "
        "join the group docker"
    )


def test_what_the_kernel_said_nothing_of_is_told_in_the_librarys_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "carrier://pigeon")
    assert "DOCKER_HOST=carrier://pigeon: Invalid bind address" in str(engine_problem())


def test_an_engine_that_goes_away_is_told_of_in_the_kernels_words() -> None:
    with (
        pytest.raises(EnvironmentRefused, match=r"^making a thing: Broken pipe$"),
        refusing("making a thing"),
    ):
        raise requests.ConnectionError(
            "HTTPConnectionPool(host=...", BrokenPipeError(32, "Broken pipe")
        )
