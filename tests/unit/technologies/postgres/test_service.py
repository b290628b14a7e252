"""Which PostgreSQL is run, as whom, and what is made before its first start."""

import importlib.machinery
import os
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.api.environment import Endpoint, NotReadyError
from gameday.errors import EnvironmentRefused
from gameday.host import account, carried
from gameday.host.waiting import free_ports
from gameday.model.login import Login, Logins
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.technologies.postgres import service as postgres
from gameday.testing.logins import armed

SPEC = ServiceSpec(name="db", kind="postgres", options={"max_connections": "20"})
KIND = KINDS["postgres"]


@pytest.fixture(autouse=True)
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this host's is found, and nobody else is needed to run what a test makes."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(postgres, "_PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(carried, "find_spec", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def script(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def server(folder: Path, *, initdb: str = "exit 0", single: str = "exit 0") -> Path:
    script(folder / "initdb", initdb)
    return script(folder / "postgres", single)


def wheel(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    found = importlib.machinery.ModuleSpec("wheel", None, is_package=True)
    found.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(carried, "find_spec", lambda name: found)


def test_the_server_on_path_is_preferred_then_debians_newest_then_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(monkeypatch, tmp_path / "wheel")
    of_the_wheel = server(tmp_path / "wheel" / "pginstall" / "bin")
    assert postgres.find_postgres() == of_the_wheel
    server(tmp_path / "packaged" / "9.6" / "bin")
    packaged = server(tmp_path / "packaged" / "15" / "bin")
    assert postgres.find_postgres() == packaged
    on_path = server(tmp_path / "path")
    assert postgres.find_postgres() == on_path


def test_a_server_without_its_initdb_is_none(tmp_path: Path) -> None:
    server(tmp_path / "path").with_name("initdb").unlink()
    assert postgres.find_postgres() is None


def test_a_link_on_path_leads_to_the_folder_that_has_initdb(tmp_path: Path) -> None:
    real = server(tmp_path / "elsewhere")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "postgres").symlink_to(real)
    assert postgres.find_postgres() == real


def test_without_any_server_the_lack_is_named_with_its_cure() -> None:
    lack = KIND.missing(SPEC)
    assert lack is not None
    assert "\n" not in lack
    assert lack.startswith("db: no postgres on PATH")
    assert "install postgresql" in lack


def test_a_server_that_may_not_be_run_is_passed_over_and_named(tmp_path: Path) -> None:
    refused = server(tmp_path / "path", single="exit 126")
    assert postgres.find_postgres() is None
    lack = KIND.missing(SPEC)
    assert lack is not None
    assert str(refused) in lack
    server(tmp_path / "packaged" / "15" / "bin")
    assert KIND.missing(SPEC) is None


def test_root_runs_servers_as_an_account_that_nobody_else_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert account.account() is None, "who is not root stays who they are"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    number = account.account()
    assert number is not None
    with pytest.raises(KeyError):
        pwd.getpwuid(number)
    monkeypatch.setattr(account, "_can_be_named", lambda _: False)
    assert account.account() == number
    assert account.account(with_a_name=True) == pwd.getpwnam("nobody").pw_uid, "it has a name"
    monkeypatch.setattr(account, "_is_free", lambda _: False)
    assert account.account() == pwd.getpwnam("nobody").pw_uid, "where that is not to be had"


def test_who_becomes_another_account_keeps_none_of_its_groups() -> None:
    identity = account.as_account(7)
    assert identity == {"user": 7, "group": 7, "extra_groups": ()}
    assert set(account.as_account(None).values()) == {None}


def test_the_server_is_told_the_admin_and_the_services_user_owns_the_database() -> None:
    spec = armed(SPEC)
    given = KIND.environment(spec, host="0.0.0.0", port=5432, home="/tmp")
    admin, service = spec.logins.admin, spec.logins.service
    assert (given["POSTGRES_USER"], given["POSTGRES_PASSWORD"]) == (admin.user, admin.password)
    assert f'ALTER DATABASE "gameday" OWNER TO "{service.user}"' in given["GAMEDAY_ROLE"]
    assert "SUPERUSER" not in given["GAMEDAY_ROLE"]
    assert service.password not in str(given), "the server can do with a hash"
    assert "scram-sha-256" in given["POSTGRES_INITDB_ARGS"], "the image trusts its loopback"


def test_options_reach_both_commands_and_cannot_open_it_to_other_hosts(tmp_path: Path) -> None:
    server(tmp_path / "path")
    spec = ServiceSpec(
        name="db", kind="postgres", options={"max_connections": "20", "listen_addresses": "*"}
    )
    command = KIND.process_command(spec, port=7, home=tmp_path)
    assert "max_connections=20" in command
    assert "max_connections=20" in KIND.container_command(spec)
    assert "listen_addresses=127.0.0.1" in command
    assert "listen_addresses=*" not in command
    assert command[command.index("-p") + 1] == "7"
    assert "unix_socket_directories=" in command, "no socket in a folder that others use"


MAKES_DATA = """
for word in "$@"; do case $word in
  --pgdata=*) mkdir "${word#*=}" ;;
  --pwfile=*) cat "${word#*=}" >> told; stat -c %a "${word#*=}" >> told ;;
  --username=*) echo "${word#*=}" >> told ;;
esac; done"""


def test_the_data_are_made_once_and_nothing_secret_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    server(tmp_path / "path", initdb=MAKES_DATA, single="cat >> told")
    home = tmp_path / "home"
    home.mkdir()
    env = {"POSTGRES_USER": "ann", "POSTGRES_PASSWORD": "secret", "POSTGRES_DB": 'a"b'}
    spec = armed(ServiceSpec(name="db", kind="postgres", env=env))
    for _ in range(2):
        KIND.prepare(spec, home=home)
    told = (home / "told").read_text().splitlines()
    assert sorted(told[:3]) == sorted(["600", "gameday_admin", spec.logins.admin.password])
    assert told[3] == 'CREATE DATABASE "a""b";'
    assert told[4].startswith('CREATE ROLE "ann" LOGIN PASSWORD \'SCRAM-SHA-256$4096:')
    assert told[5:] == ['ALTER DATABASE "a""b" OWNER TO "ann";']
    assert {path.name for path in home.iterdir()} == {"data", "told"}


@pytest.mark.parametrize(
    ("initdb", "single", "words"),
    [
        ("echo no room >&2; exit 1", "exit 0", "making the data folder: exit code 1:\nno room"),
        ("exit 0", "echo 'ERROR: bad name' >&2", "making the database: exit code 0:\nERROR: bad"),
    ],
)
def test_what_fails_is_refused_in_its_own_words(
    tmp_path: Path, initdb: str, single: str, words: str
) -> None:
    # Any server answers --version with success.
    server(tmp_path / "path", initdb=initdb, single=f'[ "$1" = --version ] || {single}')
    with pytest.raises(EnvironmentRefused) as refused:
        KIND.prepare(SPEC, home=tmp_path)
    assert str(refused.value).startswith(f"db: {words}")


def test_what_outlived_a_killed_server_ends_before_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    orphan, stranger = (
        subprocess.Popen(
            ["/bin/sleep", "60"], cwd=tmp_path / folder, start_new_session=True, env=os.environ
        )
        for folder in ("data", "other")
    )
    try:
        KIND.prepare(SPEC, home=tmp_path)
        assert orphan.poll() is not None
        assert stranger.poll() is None
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()


def test_a_closed_port_is_not_ready_for_whoever_logs_in() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotReadyError, match="PostgreSQL at 127"):
        KIND.check(SPEC, Endpoint(host="127.0.0.1", port=port))


REPLICA = ServiceSpec(
    name="Copy-2",
    kind="postgres-replica",
    needs=("my-db",),
    logins=Logins(admin=Login(user="admin", password="word", database="d")),
)


def test_a_replica_without_what_copies_is_named_in_one_line(tmp_path: Path) -> None:
    kind = KINDS["postgres-replica"]
    lack = kind.missing(REPLICA)
    assert lack is not None
    assert lack.startswith("Copy-2: no postgres on PATH")
    found = server(tmp_path / "path")
    script(found.with_name("pg_receivewal"))
    lack = kind.missing(REPLICA)
    assert lack is not None
    assert "\n" not in lack
    assert lack.startswith(f"Copy-2: no pg_basebackup beside {found}")
    script(found.with_name("pg_basebackup"))
    assert kind.missing(REPLICA) is None


COPIES = """
echo "$0 $PGHOST:$PGPORT $PGUSER $PGPASSWORD $*" | sed 's|.*/bin/||' >> "$TOLD"
for word in "$@"; do case $word in
  --pgdata=*) mkdir "${word#*=}"; touch "${word#*=}/PG_VERSION.not" "${word#*=}/base"
    echo 15 > "${word#*=}/PG_VERSION"; exit "$COPY_FAILS" ;;
esac; done"""


@pytest.fixture
def copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Run the command of a replica as its environment would, with tools that tell their words."""
    tools = tmp_path / "bin"
    found = server(tools, single='[ "$1" = --version ] || echo "server $*" >> "$TOLD"')
    for tool in ("pg_basebackup", "pg_receivewal"):
        script(found.with_name(tool), COPIES)
    script(found.with_name("sleep"))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    home = tmp_path / "home"
    home.mkdir()

    def run(fails: str) -> int:
        variables = {
            "TOLD": str(tmp_path / "told"),
            "MY_DB_HOST": "h",
            "MY_DB_PORT": "7",
            "COPY_FAILS": fails,
        }
        kind = KINDS["postgres-replica"]
        own = kind.environment(REPLICA, host="127.0.0.1", port=9, home=str(home))
        command = kind.process_command(REPLICA, port=9, home=home)
        variables = {**os.environ, **own, **variables}
        return subprocess.run(command, env=variables, cwd=home, check=False).returncode

    return run


def test_a_replica_copies_its_primary_once_and_becomes_the_server(
    tmp_path: Path, copying: Callable[[str], int]
) -> None:
    assert copying("0") == 0
    told = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[0] for line in told] == ["pg_receivewal", "pg_basebackup", "server"]
    assert all(line.split()[1:4] == ["h:7", "admin", "word"] for line in told[:2])
    assert all("--slot=copy_2" in line for line in told[:2])
    data = tmp_path / "home" / "data"
    assert {path.name for path in data.iterdir()} == {"PG_VERSION", "PG_VERSION.not", "base"}
    assert data.stat().st_mode & 0o777 == 0o700
    assert copying("0") == 0
    assert len((tmp_path / "told").read_text().splitlines()) == 4, "only the server, again"


def test_a_copy_that_was_cut_short_is_made_again(
    tmp_path: Path, copying: Callable[[str], int]
) -> None:
    assert copying("3") != 0
    told = (tmp_path / "told").read_text().splitlines()
    assert [line.split()[0] for line in told] == ["pg_receivewal", *["pg_basebackup"] * 5]
    assert not (tmp_path / "home" / "data" / "PG_VERSION").exists()
    assert copying("0") == 0
    assert (tmp_path / "home" / "data" / "PG_VERSION").exists()


def test_in_a_container_the_entrypoint_of_the_image_becomes_the_server() -> None:
    command = KINDS["postgres-replica"].container_command(REPLICA)
    assert command[-2:] == ["docker-entrypoint.sh", "postgres"]
