"""Which RabbitMQ is run, what keeps its node apart from others, and when it is not ready."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gameday.api.environment import Endpoint, NotReadyError
from gameday.host.waiting import free_ports
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.technologies.rabbitmq import service as rabbitmq
from gameday.testing.logins import armed

SPEC = ServiceSpec(name="queue", kind="rabbitmq", options={"vm_memory_high_watermark": "0.3"})
KIND = KINDS["rabbitmq"]


@pytest.fixture(autouse=True)
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this host's is found."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(rabbitmq, "_PACKAGED", tmp_path / "packaged" / "rabbitmq-server")
    monkeypatch.setattr(rabbitmq, "account", lambda: None)


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def installed(folder: Path) -> Path:
    program(folder / "rabbitmq-env")
    return program(folder / "rabbitmq-server", '. "$SCRIPTS_DIR/rabbitmq-env"')


def test_the_server_on_path_is_preferred(tmp_path: Path) -> None:
    installed(tmp_path / "packaged")
    on_path = installed(tmp_path / "path")
    assert rabbitmq.find_rabbitmq_server() == on_path


def test_a_script_that_waits_for_the_one_it_runs_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "path" / "rabbitmq-env")
    program(tmp_path / "path" / "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
    assert rabbitmq.find_rabbitmq_server() is None
    packaged = installed(tmp_path / "packaged")
    assert rabbitmq.find_rabbitmq_server() == packaged


def test_without_a_server_the_lack_is_one_line_with_its_cure() -> None:
    assert KIND.missing(SPEC) == (
        "queue: no rabbitmq-server on PATH; install rabbitmq-server, or start a Docker engine"
    )


def test_a_server_without_erlang_lacks_erlang(tmp_path: Path) -> None:
    installed(tmp_path / "path")
    lack = KIND.missing(SPEC)
    assert lack is not None
    assert "no erl and no epmd on PATH" in lack
    for name in ("erl", "epmd"):
        program(tmp_path / "path" / name)
    assert KIND.missing(SPEC) is None


def command(port: int, home: Path) -> list[str]:
    home.mkdir(exist_ok=True)
    KIND.prepare(SPEC, home=home)
    return KIND.process_command(SPEC, port=port, home=home)


def settings(command: list[str]) -> dict[str, str]:
    words = command[1 : command.index("/bin/sh")]
    return dict(word.split("=", 1) for word in words)


def test_a_node_keeps_all_it_writes_in_its_home_and_reads_nothing_of_the_hosts(
    tmp_path: Path,
) -> None:
    installed(tmp_path / "path")
    own = settings(command(7, tmp_path / "home"))
    paths = {key: value for key, value in own.items() if value.startswith("/")}
    assert all(Path(value).is_relative_to(tmp_path / "home") for value in paths.values())
    assert {"HOME", "RABBITMQ_CONFIG_FILES", "RABBITMQ_CONF_ENV_FILE"} < set(paths)
    assert own["RABBITMQ_NODE_IP_ADDRESS"] == own["ERL_EPMD_ADDRESS"] == "127.0.0.1"


def test_the_nodes_name_is_that_of_every_start_and_no_other_nodes(tmp_path: Path) -> None:
    installed(tmp_path / "path")
    one, again, other = (settings(command(port, tmp_path)) for port in (7, 7, 8))
    assert one["RABBITMQ_NODENAME"] == again["RABBITMQ_NODENAME"] != other["RABBITMQ_NODENAME"]
    ports = [s[key] for s in (one, other) for key in ("ERL_EPMD_PORT", "RABBITMQ_DIST_PORT")]
    assert len(set(ports)) == 4
    highest = settings(command(65535, tmp_path))
    assert int(highest["RABBITMQ_DIST_PORT"]) < 65536, "the server's default is 20000 more"


def test_options_are_parameters_of_the_application_in_both_commands(tmp_path: Path) -> None:
    server = installed(tmp_path / "path")
    wanted = ["-rabbit", "vm_memory_high_watermark", "0.3"]
    assert KIND.container_command(SPEC) == ["rabbitmq-server", *wanted]
    words = command(7, tmp_path)
    assert words[words.index(str(server)) :][-3:] == wanted


def test_a_program_beside_the_node_finds_it_and_is_that_of_its_release(tmp_path: Path) -> None:
    server = installed(tmp_path / "path")
    own = settings(command(7, tmp_path))
    beside = KIND.companion_variables(port=7, home=tmp_path)
    assert {key: beside[key] for key in own} == own
    assert beside["PATH"].split(":")[0] == str(server.parent)


def test_the_server_is_told_the_login_of_its_clients() -> None:
    spec = armed(SPEC)
    told = KIND.environment(spec, host="0.0.0.0", port=5672, home="/tmp")
    assert rabbitmq.rabbitmq_login(spec) == tuple(told.values())


def test_the_cookie_of_a_node_is_for_it_alone_and_no_other_nodes(tmp_path: Path) -> None:
    installed(tmp_path / "path")
    cookies = set()
    for home in ("one", "two", "one"):
        command(7, tmp_path / home)
        cookie = tmp_path / home / ".erlang.cookie"
        assert cookie.stat().st_mode & 0o777 == 0o400
        cookies.add(cookie.read_text())
    assert len(cookies) == 2, "that of every start is the same"
    assert all(len(cookie) == 64 for cookie in cookies)


@contextmanager
def answering(answer: bytes) -> Iterator[Endpoint]:
    """A server that reads once, gives one answer and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            accepted, _ = listening.accept()
            with accepted:
                accepted.recv(100)
                accepted.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(host="127.0.0.1", port=listening.getsockname()[1])
        thread.join(5)


@pytest.mark.parametrize("answer", [b"", b"AMQP\x00\x01\x00\x00"])
def test_a_port_that_speaks_no_amqp_of_ours_is_not_ready_and_nothing_is_logged(
    answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        answering(answer) as endpoint,
        pytest.raises(NotReadyError, match=r"answers b'A?' to AMQP 0-9-1"),
    ):
        KIND.check(SPEC, endpoint)
    assert caplog.records == []


def test_a_connection_that_ends_while_it_is_made_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(_: object) -> None:
        # What pika raises where the other end has gone before it asks for the peer's name.
        raise ValueError("Expected connected socket, but getpeername() failed")

    monkeypatch.setattr("pika.BlockingConnection", ended)
    with (
        answering(b"\x01\x00\x00") as endpoint,
        pytest.raises(NotReadyError, match="Expected connected socket"),
    ):
        KIND.check(SPEC, endpoint)


def test_a_closed_port_is_not_ready_and_nothing_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotReadyError, match="RabbitMQ at 127"):
        KIND.check(SPEC, Endpoint(host="127.0.0.1", port=port))
    assert caplog.records == []
