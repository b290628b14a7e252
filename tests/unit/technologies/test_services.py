"""How each kind is started, and what is said when it cannot be."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gameday.api.edge import BulkDialect
from gameday.api.environment import Endpoint, NotReadyError
from gameday.errors import EnvironmentRefused
from gameday.host import waiting
from gameday.host.waiting import (
    busy_ports,
    free_ports,
    release_ports,
    until_ready,
)
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import ServiceSpec, Target
from gameday.registry import KINDS
from gameday.runtimes.kinds import login_of, versions_of, with_logins
from gameday.runtimes.program import app_image, is_program
from gameday.technologies.redis import service as redis
from gameday.testing.logins import armed

REDIS = ServiceSpec(name="db", kind="redis", options={"appendonly": "yes"})

_CHOOSE = """
import sys
from gameday.host import waiting

waiting._settled_ports = lambda: [int(sys.argv[1])]
print(*waiting.free_ports(1))
"""


def test_a_server_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.find_redis_server() == server


def test_a_valkey_on_path_is_as_good_as_a_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "valkey-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.find_redis_server() == server


def test_without_one_the_wheel_carries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = redis.find_redis_server()
    assert server is None or server.name == "valkey-server"


def test_with_neither_the_lack_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gameday.host.carried.find_spec", lambda _: None)
    lack = KINDS["redis"].missing(REDIS)
    assert lack == (
        "db: no redis-server or valkey-server on PATH; pip install 'pytest-gameday[servers]', "
        "install redis-server, or start a Docker engine"
    )


def test_options_of_the_target_reach_both_commands(tmp_path: Path) -> None:
    kind = KINDS["redis"]
    for command in (
        kind.container_command(REDIS),
        kind.process_command(REDIS, port=7, home=tmp_path),
    ):
        assert command[command.index("--appendonly") + 1] == "yes"
        assert command[command.index("--save") + 1] == "", "no snapshot that was not asked for"


def test_a_replica_follows_the_one_that_it_needs_whatever_that_is_called(tmp_path: Path) -> None:
    spec = ServiceSpec(name="copy", kind="redis-replica", needs=("main-db",))
    kind = KINDS["redis-replica"]
    for command, announced in (
        (kind.container_command(spec), ("copy", "6379")),
        (kind.process_command(spec, port=7, home=tmp_path), ("127.0.0.1", "7")),
    ):
        assert command[4] == "MAIN_DB"
        for option, value in zip(("ip", "port"), announced, strict=True):
            assert command[command.index(f"--replica-announce-{option}") + 1] == value


def test_a_closed_port_is_not_ready() -> None:
    (port,) = free_ports(1)
    for kind in KINDS.values():
        with pytest.raises(NotReadyError):
            kind.check(ServiceSpec(name="x", kind=kind.name), Endpoint(host="127.0.0.1", port=port))


def test_the_image_of_the_apps_changes_with_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.runtimes.program.bundled", lambda _: tmp_path)
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "relay.py").write_text("one")
    before = app_image()
    (tmp_path / "apps" / "relay.py").write_text("two")
    assert app_image() != before


@pytest.mark.parametrize(
    ("kind", "env", "login"),
    [
        ("postgres", {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p"}, ("u", "p", "u")),
        ("postgres", {"POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d"}, ("gameday", "p", "d")),
        ("rabbitmq", {"RABBITMQ_DEFAULT_PASS": "p"}, ("gameday", "p", "/")),
    ],
)
def test_services_log_in_as_the_user_that_the_target_names(
    kind: str, env: dict[str, str], login: tuple[str, str, str]
) -> None:
    spec = armed(ServiceSpec(name="db", kind=kind, env={**env, "OTHER": "x"}))
    found = login_of(spec)
    assert (found.user, found.password, found.database) == login
    assert spec.env == {"OTHER": "x"}, "the image would make that user its admin"


STORES = ("redis", "redis-replica", "postgres", "postgres-replica", "rabbitmq")


@pytest.mark.parametrize("kind", STORES)
def test_every_store_has_passwords_that_are_new_in_every_run(kind: str) -> None:
    spec = ServiceSpec(name="db", kind=kind.removesuffix("-replica"))
    services = (spec, ServiceSpec(name="copy", kind=kind, needs=("db",)))
    wanted = services if kind.endswith("-replica") else (spec,)
    target = Target(name="t", title="T", path=Path(), services=wanted)
    passwords = []
    for made in (with_logins(target), with_logins(target)):
        assert len({str(one.logins) for one in made.services}) == 1, "a replica has its primary's"
        logins = made.services[-1].logins
        passwords.append({logins.service.password, logins.admin.password})
        assert all(len(password) >= 32 for password in passwords[-1])
        assert not any(password in repr(made) for password in passwords[-1])
    assert not passwords[0] & passwords[1]
    dialect = KINDS[kind].dialect(made.services[-1])
    assert isinstance(dialect, BulkDialect)
    assert dialect.opening() is not None


def test_a_redis_keeps_its_services_from_what_changes_the_server(tmp_path: Path) -> None:
    spec = armed(REDIS)
    kind = KINDS["redis"]
    told = kind.environment(spec, host="", port=1, home="")["GAMEDAY_REDIS_SETTINGS"]
    default, admin, *_ = told.splitlines()
    assert default.startswith("user default on #")
    assert "-@admin -@dangerous" in default
    assert "config" not in default
    assert admin.startswith("user gameday-admin on #")
    assert spec.logins.service.password not in told, "the server can do with a hash"
    words = kind.process_command(spec, port=7, home=tmp_path)
    assert words[words.index("--protected-mode") + 1] == "yes"
    for login in (spec.logins.service, spec.logins.admin):
        assert login.password not in " ".join(words), "everybody on the host sees a command"
        assert login.password not in " ".join(kind.container_command(spec))


def test_a_wait_ends_with_the_last_answer_when_its_limit_is_over() -> None:
    def never() -> str:
        raise NotReadyError("still loading")

    with pytest.raises(EnvironmentRefused, match="db is not ready after 20 ms: still loading"):
        until_ready("db", never, limit_ns=20 * MILLISECOND, checkpoint=lambda: None)


def test_a_check_that_hangs_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_CHECK_LIMIT_NS", 50_000_000)
    hangs = threading.Event()

    def drips() -> str:
        hangs.wait(20)
        return "too late"

    with pytest.raises(EnvironmentRefused, match="db is not ready after 100 ms: no end within"):
        until_ready("db", drips, limit_ns=100 * MILLISECOND, checkpoint=lambda: None)
    hangs.set()


def test_a_wait_minds_its_checkpoint() -> None:
    def never() -> str:
        raise NotReadyError("still loading")

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        until_ready("db", never, limit_ns=10**10, checkpoint=stop)


def test_free_ports_are_different_and_not_busy() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert busy_ports(ports[0], 1) is None


def test_a_free_port_is_given_to_nobody_else_before_a_server_listens_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (mine,) = free_ports(1)
    monkeypatch.setattr(waiting, "_settled_ports", lambda: [mine])
    assert free_ports(1) != [mine]
    assert int(_run_python(_CHOOSE, mine)) != mine


def test_a_port_that_was_given_long_ago_can_be_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_RESERVED", 2)
    (first,) = free_ports(1)
    free_ports(2)
    assert int(_run_python(_CHOOSE, first)) == first


def test_a_port_whose_run_is_over_can_be_given_again_and_holds_nothing_open() -> None:
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    (first, other) = free_ports(2)
    release_ports([first, other])
    release_ports([first])
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    assert int(_run_python(_CHOOSE, first)) == first


def _run_python(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("name", ["apps.relay", "json.tool", "json", "unittest"])
def test_a_module_that_is_there_is_found_without_being_imported(name: str) -> None:
    sys.modules.pop("apps.relay", None)
    runs = {"apps.relay": True, "json.tool": True, "json": False, "unittest": True}
    assert is_program(app(name)) == runs[name], "a package runs only if it has a __main__"
    assert "apps.relay" not in sys.modules


@pytest.mark.parametrize(
    "name", ["apps", "apps.nosuch", "apps.relay.x", "apps.nosuch; rm", "", "a..b"]
)
def test_what_is_no_module_is_no_program(name: str) -> None:
    assert not is_program(app(name))


def app(program: str) -> ServiceSpec:
    return ServiceSpec(name="app", kind="app", program=program)


def test_what_the_server_says_of_its_version_is_told_for_kinds_of_one_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\necho Redis server v=7.0.15\necho more\n")
    server.chmod(0o755)
    monkeypatch.setattr(redis, "find_redis_server", lambda: server)
    app = ServiceSpec(name="relay", kind="app", program="apps.relay", needs=("db",))
    assert versions_of((REDIS, app)) == {"db": "Redis server v=7.0.15"}


def test_a_server_that_cannot_tell_its_version_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "find_redis_server", lambda: tmp_path / "none")
    assert versions_of((REDIS,))["db"].startswith("not told: ")
