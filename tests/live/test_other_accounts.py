"""What another account of the same host can do to a run of root's, which is nothing.

An attack runs in a child of this process that gives up every right it has: it is as a program of
a local user, who sees lists of processes, loopback and the folders that are open to all.
"""

import ctypes
import http.client
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

import pika
import psutil
import psycopg
import pytest

from gameday.api.environment import Endpoint, EnvironmentConfig
from gameday.cleanup.abandoned import heal_abandoned
from gameday.cleanup.owner import this_owner
from gameday.edge.edges import proxy_name
from gameday.engine.planning import vocabulary
from gameday.loading import load_target
from gameday.model.login import Login
from gameday.model.scenario import Edge
from gameday.resources import bundled
from gameday.runtimes.kinds import login_of
from gameday.runtimes.process.environment import ProcessEnvironment

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another account as well"),
]

Attack = Callable[[], object]
Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

STRANGER = 65534
_ATTACK_LIMIT_S = 30
_RUN_LIMIT_S = 120
_IPC_CREAT, _IPC_RMID = 0o1000, 0


def as_a_stranger(attack: Attack) -> str:
    """Return what an attack came to as another account: what it gives, or how it was refused."""
    told, tells = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(_ATTACK_LIMIT_S)
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            try:
                came = f"came to: {attack()}"
            except Exception as error:
                came = f"refused: {type(error).__name__}: {error}"
            os.write(tells, came.encode(errors="replace")[:4000])
        finally:
            os._exit(0)
    os.close(tells)
    with os.fdopen(told, "rb") as answer:
        came_to = answer.read().decode()
    os.waitpid(child, 0)
    return came_to


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], NoReturn]
) -> Iterator[ProcessEnvironment]:
    """The target `stores` in process, behind gameday's own proxy."""
    target = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    logs = tmp_path_factory.mktemp("logs")
    given = EnvironmentConfig(run=token_hex(4), target=target, logs=logs, seed=1, proxy="own")
    made = ProcessEnvironment(given)
    if made.missing():
        missing("; ".join(made.missing()))
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


def redis_says(at: Endpoint, *lines: str) -> list[str]:
    """Return the answer to each line that a client sends."""
    with socket.create_connection((at.host, at.port), timeout=5) as line:
        answers = line.makefile("rb")
        said = []
        for words in lines:
            line.sendall(f"{words}\r\n".encode())
            said.append(answers.readline().decode().strip())
        return said


def test_redis_obeys_nobody_without_the_runs_password(environment: ProcessEnvironment) -> None:
    at = environment.service("redis").upstream
    orders = ["CONFIG SET dir /root", "SET a 1", "SAVE", "INFO", "EVAL x 0"]
    guesses = ["AUTH gameday", "AUTH gameday gameday", "AUTH gameday-admin gameday"]

    def attack() -> list[str]:
        return redis_says(at, *orders, *guesses, *orders)

    answers = as_a_stranger(attack)
    assert answers.count("-NOAUTH") == 2 * len(orders), answers
    assert answers.count("-WRONGPASS") == len(guesses), answers


def test_who_has_a_services_password_of_redis_gets_at_its_data_and_not_at_the_server(
    environment: ProcessEnvironment,
) -> None:
    service = environment.service("redis")
    login = login_of(service.spec)
    orders = [
        "CONFIG SET dir /root", "CONFIG GET dir", "SAVE", "BGREWRITEAOF", "DEBUG SLEEP 0",
        "MODULE LIST", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "ACL LIST", "MONITOR", "SYNC",
        "CLIENT LIST", "CLIENT KILL TYPE normal", "MIGRATE h 1 k 0 1", "SLAVEOF NO ONE",
    ]  # fmt: skip

    def attack() -> list[str]:
        return redis_says(
            service.upstream, f"AUTH {login.user} {login.password}", "SET a 1", *orders
        )

    answers = as_a_stranger(attack)
    assert answers.count("'+OK'") == 2, answers
    refused = answers.count("-NOPERM") + answers.count("-ERR unknown command")
    assert refused == len(orders), answers
    assert environment.service("redis").check()


def postgres_says(at: Endpoint, login: Login, *statements: str) -> list[str]:
    said = []
    with psycopg.connect(
        host=at.host,
        port=at.port,
        user=login.user,
        password=login.password or None,
        dbname=login.database,
        connect_timeout=5,
        autocommit=True,
    ) as connection:
        for statement in statements:
            try:
                connection.execute(statement.encode())
                said.append("done")
            except psycopg.Error as error:
                said.append(f"{error.sqlstate}")
    return said


@pytest.mark.parametrize("store", ["postgres", "postgres-replica"])
def test_postgres_lets_nobody_in_without_the_runs_password(
    environment: ProcessEnvironment, store: str
) -> None:
    at = environment.service(store).upstream
    for user in ("gameday", "gameday_admin", "postgres"):
        for password in ("gameday", ""):
            login = Login(user=user, password=password, database="gameday")

            def attack(login: Login = login) -> list[str]:
                return postgres_says(at, login, "COPY (SELECT 1) TO PROGRAM 'id'")

            answer = as_a_stranger(attack)
            assert answer.startswith("refused: OperationalError"), answer
            assert "password" in answer, answer


def test_who_has_a_services_password_of_postgres_runs_no_program_and_reads_no_file(
    environment: ProcessEnvironment,
) -> None:
    service = environment.service("postgres")
    orders = [
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "CREATE TABLE t (x text)",
        "COPY t FROM PROGRAM 'id'",
        "COPY t FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "ALTER SYSTEM SET archive_command = 'id'",
        f"ALTER ROLE {login_of(service.spec).user} SUPERUSER",
        "SELECT rolpassword FROM pg_authid",
    ]

    def attack() -> list[str]:
        return postgres_says(service.upstream, login_of(service.spec), *orders)

    answer = as_a_stranger(attack)
    assert answer.count("'done'") == 1, answer
    assert answer.count("'42501'") == len(orders) - 1, "insufficient privilege"


def test_rabbitmq_lets_nobody_in_and_listens_on_loopback_alone(
    environment: ProcessEnvironment,
) -> None:
    service = environment.service("rabbitmq")
    for user in ("guest", "gameday"):

        def attack(user: str = user) -> object:
            return pika.BlockingConnection(
                pika.ConnectionParameters(
                    host=service.upstream.host,
                    port=service.upstream.port,
                    credentials=pika.PlainCredentials(user, user),
                    connection_attempts=1,
                )
            )

        answer = as_a_stranger(attack)
        assert answer.startswith("refused: ProbableAuthenticationError"), answer
    listening = {
        connection.laddr.ip
        for process in service._processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::1"}, "AMQP, Erlang's own, and who keeps the names"
    assert listening


def test_servers_run_as_an_account_that_is_nobody_else(environment: ProcessEnvironment) -> None:
    uids = {
        process.uids()
        for store in ("redis", "redis-replica", "postgres", "postgres-replica", "rabbitmq")
        for process in environment.service(store)._processes()
    }
    assert len(uids) == 1
    assert uids.pop().real not in (0, STRANGER)


def test_nothing_that_a_run_writes_or_is_told_can_be_read(
    environment: ProcessEnvironment, tmp_path: Path
) -> None:
    home = Path(environment.service("redis").data_folder).parent
    passwords = {
        login.password
        for spec in (environment.service(name).spec for name in ("redis", "postgres", "rabbitmq"))
        for login in (spec.logins.service, spec.logins.admin)
    }
    pids = [process.pid for process in environment.service("redis")._processes()]
    places = [
        *(f"/proc/{pid}/environ" for pid in (*pids, os.getpid())),
        *(str(path) for path in home.rglob("*")),
    ]

    def attack() -> object:
        opened = []
        for place in (str(home), *places):
            with suppress(OSError):
                os.close(os.open(place, os.O_RDONLY))
                opened.append(place)
        seen = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        return [opened, [word for word in passwords if word in seen.stdout]]

    assert as_a_stranger(attack) == "came to: [[], []]"
    logs = [file.read_text(errors="replace") for file in environment._given.logs.iterdir()]
    assert logs
    assert not [password for password in passwords for log in logs if password in log]


def test_the_proxy_does_nothing_for_others(environment: ProcessEnvironment) -> None:
    assert environment._proxy is not None
    at = environment._proxy.control.endpoint
    made = {"name": "x", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:1"}

    def call(method: str, path: str, body: object, **headers: str) -> int:
        connection = http.client.HTTPConnection(at.host, at.port, timeout=5)
        connection.request(method, path, json.dumps(body), headers)
        return connection.getresponse().status

    def attack() -> list[int]:
        return [
            call("POST", "/reset", None),
            call("POST", "/proxies", made),
            call("POST", "/proxies", made, Authorization="Bearer guess"),
            call("GET", "/proxies", None, Host="evil.example"),
            call("GET", "/proxies", None, Origin="http://evil.example"),
        ]

    assert as_a_stranger(attack) == "came to: [401, 401, 401, 403, 403]"
    assert set(environment._proxy.control.proxies()) >= {
        proxy_name(Edge(client="client", service="redis"))
    }


class Planted:
    """What a stranger has put on the host, and what of root's it points at."""

    def __init__(self, folder: Path) -> None:
        self.runs = [token_hex(4) for _ in range(4)]
        self.victim = subprocess.Popen(["sleep", "300"], start_new_session=True)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "getpid", lambda: self.victim.pid)
            self.owner = this_owner()
        self.precious = folder / "precious"
        self.precious.write_text("kept")
        self.mode = self.precious.stat().st_mode
        self.segment = ctypes.CDLL(None).shmget(0, 56, _IPC_CREAT | 0o600)
        self.shared = Path(f"/dev/shm/PostgreSQL.{os.getpid()}")
        self.shared.write_bytes(bytes(4096))
        self.alike = Path(f"/tmp/alike-{token_hex(4)}")
        self.strangers = [self._labelled(), self._supervisor()]
        self.folders = as_a_stranger(self._plant).removeprefix("came to: ").split()

    def _plant(self) -> str:
        """Make folders of runs of the victim's or of the dead's, and links in place of others."""
        dead = "0@1@@@"
        made = []
        for run, owner in zip(self.runs, (self.owner, dead, "nobody", dead), strict=True):
            folder = Path(tempfile.mkdtemp(prefix=f"gameday-{run}-", dir="/tmp"))
            (folder / "owner").write_text(owner)
            data = folder / "postgres" / "data"
            data.mkdir(parents=True)
            lock = f"{os.getppid()}\n/d\n1\n1\n\n127.0.0.1\n 1 {self.segment}\nready\n"
            (data / "postmaster.pid").write_text(lock)
            folder.chmod(0o700 if owner == dead else 0o755)
            made.append(str(folder))
        for name in (f"clock-gameday-{self.runs[0]}-app", f"sem.clock-gameday-{self.runs[1]}-app"):
            link = Path("/dev/shm") / name
            link.symlink_to(self.precious)
            made.append(str(link))
        link = Path(f"/tmp/gameday-{token_hex(4)}-link")
        link.symlink_to("/root")
        return " ".join([*made, str(link)])

    def _labelled(self) -> int:
        """Start a process with a run's marks that has mapped what is called as root's is."""

        def attack() -> None:
            alike = self.alike / "dev" / "shm" / self.shared.name
            alike.parent.mkdir(parents=True)
            alike.write_bytes(bytes(4096))
            held = mmap.mmap(os.open(alike, os.O_RDWR), 4096)
            os.execve(
                "/bin/sleep",
                ["sleep", "300"],
                {"PATH": "/bin", "GAMEDAY_RUN": self.runs[1], "GAMEDAY_OWNER": "0@1@@@"},
            ) if held else None

        return _start(attack)

    def _supervisor(self) -> int:
        """Start a process that says it is the janitor of a run of the victim's."""
        module = "gameday.cleanup.supervisor"

        def attack() -> None:
            words = ["sh", "-c", "read _", module, self.runs[2], "process", self.owner]
            reads, writes = os.pipe()  # nobody ever writes to it
            os.dup2(reads, 0)
            os.set_inheritable(writes, True)
            os.execve("/bin/sh", words, {"PATH": "/bin"})

        return _start(attack)

    def remove(self) -> None:
        for pid in self.strangers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.victim.kill()
        self.victim.wait()
        ctypes.CDLL(None).shmctl(self.segment, _IPC_RMID, None)
        self.shared.unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", "--", self.alike, *self.folders], check=True)

    def assert_unharmed(self) -> None:
        assert self.victim.poll() is None
        assert (self.precious.read_text(), self.precious.stat().st_mode) == ("kept", self.mode)
        assert self.shared.exists()
        known = Path("/proc/sysvipc/shm").read_text().split()
        assert str(self.segment) in known
        assert all(psutil.pid_exists(pid) for pid in self.strangers)
        assert all(os.path.lexists(folder) for folder in self.folders), "nothing of theirs went"


def _start(attack: Callable[[], None]) -> int:
    child = os.fork()
    if not child:
        try:
            os.closerange(3, 4096)
            os.setgroups([])
            os.setresgid(STRANGER, STRANGER, STRANGER)
            os.setresuid(STRANGER, STRANGER, STRANGER)
            attack()
        finally:
            os._exit(1)
    while psutil.Process(child).name() not in ("sleep", "sh"):
        time.sleep(0.01)
    return child


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    made = Planted(tmp_path)
    try:
        yield made
    finally:
        made.remove()


@pytest.mark.alone
def test_what_is_planted_is_mentioned_believed_by_nobody_and_in_nobodys_way(
    planted: Planted, launch: Launch, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "gameday"]
    said = ""
    for act in (["reap"], *(["stop", "--run", run] for run in planted.runs)):
        done = subprocess.run([*command, *act], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        said += done.stdout
        planted.assert_unharmed()
    for folder in planted.folders:
        if folder.startswith("/tmp"):
            assert f"left alone: {folder}, which is not ours" in said
    assert f"left alone: process {planted.strangers[0]} of user {STRANGER}" in said
    assert not [text for text in heal_abandoned(in_docker=False) if "abandoned" in text]

    arguments = ["--scenario=redis-restart", "--gameday-runtime=process"]
    process = launch(tmp_path, [*arguments, "--gameday-set=outage=500ms"])
    output, _ = process.communicate(timeout=_RUN_LIMIT_S)
    assert process.returncode == 0, output
    (report,) = (tmp_path / "reports").iterdir()
    assert json.loads((report / "result.json").read_text())["clean"] == []
    planted.assert_unharmed()

    def read_report() -> list[str]:
        return [str(file) for file in report.iterdir()]

    tmp_path.chmod(0o755)
    assert "PermissionError" in as_a_stranger(read_report)
