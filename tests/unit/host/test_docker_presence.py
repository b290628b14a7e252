"""An engine that cannot be used is told of in plain words, with the cure that fits."""

import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import DockerException

from gameday.host.docker_presence import engine_problem, engine_trouble


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


@pytest.mark.parametrize("by", ["variable", "settings"])
def test_a_context_of_the_docker_command_is_named_with_how_to_choose_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    if by == "variable":
        monkeypatch.setenv("DOCKER_CONTEXT", "far-away")
    else:
        (tmp_path / "config.json").write_text('{"currentContext": "far-away"}')
    trouble = engine_trouble()
    assert trouble is not None
    assert "the Docker context 'far-away' is active" in trouble.seen
    assert trouble.cure.startswith("export DOCKER_HOST=")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert f"{tmp_path}/none.sock" in str(engine_problem()), "which says where the engine is"


@pytest.mark.parametrize("settings", ['{"currentContext": "default"}', "{}", "[]", "not JSON"])
def test_the_usual_context_is_nothing_to_speak_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(settings)
    assert "context" not in str(engine_problem())


def test_who_may_not_open_the_usual_socket_is_told_to_join_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        # As requests hands on what urllib3 has wrapped: an argument of an argument, and no cause.
        denied = PermissionError(13, "Permission denied")
        aborted = requests.ConnectionError(requests.ConnectionError("Connection aborted.", denied))
        raise DockerException("Error while fetching server API version") from aborted

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    # The host that tests run on may have no engine.
    monkeypatch.setattr("gameday.host.docker_presence._ping", lambda _: True)
    monkeypatch.setattr("gameday.host.docker_engine.engine_client", refused)
    assert engine_problem() == (
        "no Docker engine answers: this user may not open the socket /var/run/docker.sock; "
        "join the group docker"
    )


def test_what_the_kernel_said_nothing_of_is_told_in_the_librarys_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "carrier://pigeon")
    assert "DOCKER_HOST=carrier://pigeon: Invalid bind address" in str(engine_problem())


class _Engine(BaseHTTPRequestHandler):
    """Answers every ping, and nothing that the package docker would believe."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/_ping" else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an engine that answers, which is what DOCKER_HOST says."""
    server = HTTPServer(("127.0.0.1", 0), _Engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"tcp://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("DOCKER_HOST", address)
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_engine_that_answers_but_not_to_the_package_docker_is_said_to_do_so(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def invalid(_: int) -> None:
        # What docker 7.0 says beside a newer requests.
        raise DockerException("Not supported URL scheme http+docker")

    monkeypatch.setattr("gameday.host.docker_engine.engine_client", invalid)
    trouble = engine_trouble()
    assert trouble is not None
    assert trouble.unusable
    assert trouble.seen == (
        f"DOCKER_HOST={engine} answers, but the Python package docker {docker.__version__} "
        "cannot talk to it: Not supported URL scheme http+docker"
    )
    assert trouble.cure == (
        "pip install --upgrade 'pytest-gameday[docker]', or use --gameday-runtime=process"
    )
    assert str(engine_problem()).startswith("the Docker engine cannot be used: ")


@pytest.mark.usefixtures("engine")
def test_any_error_of_the_package_docker_is_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise TypeError("HTTPConnection.request() got an unexpected keyword argument")

    monkeypatch.setattr("gameday.host.docker_engine.engine_client", broken)
    assert "unexpected keyword argument" in str(engine_problem())


def test_an_engine_that_answers_needs_the_packages_that_talk_to_it(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.extras.find_spec", lambda _: None)
    trouble = engine_trouble()
    assert trouble is not None
    assert trouble.seen == (
        f"DOCKER_HOST={engine} answers, but the Python package docker is not installed"
    )
    assert trouble.cure == "pip install 'pytest-gameday[docker]'"


def test_no_package_is_imported_to_find_that_nothing_answers(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{closed_port}")
    monkeypatch.setitem(sys.modules, "docker", None)
    assert "Connection refused" in str(engine_problem())
