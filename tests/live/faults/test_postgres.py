"""What a PostgreSQL and its replica can be made to do wrong, in each environment."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import errors

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Injection, Proof
from gameday.engine.planning import vocabulary
from gameday.errors import EnvironmentRefused
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.loading import load_target
from gameday.model.clock import SECOND
from gameday.model.scenario import Target
from gameday.resources import bundled
from gameday.technologies.postgres.faults import (
    AsyncCommit,
    ConnectionCap,
    LockTable,
    Promote,
    StopReplay,
    TerminateBackends,
)
from gameday.technologies.postgres.login import postgres_login

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]
Client = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def system() -> Target:
    """PostgreSQL and its replica alone."""
    stores = load_target(bundled("targets") / "stores" / "target.yaml", vocabulary())
    two = tuple(s for s in stores.services if s.kind in ("postgres", "postgres-replica"))
    return replace(stores, services=two, switches={})


def client(environment: Environment, name: str = "postgres", calls_itself: str = "app") -> Client:
    service = environment.service(name)
    return psycopg.connect(
        host=service.upstream.host,
        port=service.upstream.port,
        connect_timeout=5,
        application_name=calls_itself,
        autocommit=True,
        options="-c lock_timeout=200",
        **postgres_login(service.spec),
    )


def ask(environment: Environment, statement: str, name: str = "postgres") -> object:
    with client(environment, name) as asking:
        row = asking.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


@contextmanager
def during(injection: Injection) -> Iterator[Proof]:
    """Give the proof of the effect while the fault is in; its undoing is proven afterwards."""
    try:
        injection.inject()
        effect = injection.prove(lambda: None)
        assert effect.proven, effect.measured
        yield effect
    finally:
        injection.undo()
        undone = injection.prove_healed(lambda: None)
    assert undone.proven, undone.measured


@pytest.fixture
def orders(environment: Environment) -> Iterator[str]:
    """A table of the name that it gives back."""
    with client(environment) as owner:
        owner.execute("CREATE TABLE orders (id int)")
        owner.execute('CREATE TABLE "or ders" (id int)')
    yield "orders"
    with client(environment) as owner:
        owner.execute('DROP TABLE orders, "or ders"')


@pytest.mark.full
def test_a_server_that_reads_its_settings_again_has_taken_the_signal_and_lives_on(
    through: Through,
) -> None:
    effect, undone = through(Kill(target="postgres", signal="SIGHUP"))
    assert (effect.measured["handling"], effect.measured["alive"]) == ("caught", True)
    assert undone.measured["pid_after"] == effect.measured["pid"]


@pytest.mark.sample("process")
def test_the_clients_that_match_are_ended_and_the_others_are_not(
    environment: Environment, through: Through
) -> None:
    with (
        client(environment, calls_itself="orders-1") as hit,
        client(environment, calls_itself="orders-2") as also_hit,
        client(environment, calls_itself="billing") as spared,
    ):
        effect, _ = through(TerminateBackends(target="postgres", application="^orders"))
        assert effect.measured["matched"] == effect.measured["terminated"] == 2
        for ended in (hit, also_hit):
            with pytest.raises(errors.AdminShutdown):
                ended.execute("SELECT 1")
        assert spared.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgres", "postgres-replica"])
def test_without_a_pattern_every_client_is_ended_and_replication_is_not(
    environment: Environment, through: Through, name: str
) -> None:
    senders = "SELECT min(pid) FROM pg_stat_replication"
    before = ask(environment, senders)
    with client(environment, name) as hit:
        through(TerminateBackends(target=name))
        with pytest.raises(errors.AdminShutdown):
            hit.execute("SELECT 1")
    assert ask(environment, senders) == before


@pytest.mark.full
def test_a_locked_table_makes_its_clients_wait_and_no_others(
    environment: Environment, orders: str
) -> None:
    injection = LockTable(target="postgres", table=f"public.{orders}").on(environment)
    with client(environment) as waiting:
        with during(injection):
            with pytest.raises(errors.LockNotAvailable):
                waiting.execute("SELECT * FROM orders")
            waiting.execute('SELECT * FROM "or ders"')
        waiting.execute("SELECT * FROM orders")


@pytest.mark.full
@pytest.mark.usefixtures("orders")
def test_a_table_that_wants_quotes_is_locked(through: Through) -> None:
    effect, _ = through(LockTable(target="postgres", table='"or ders"'))
    assert effect.measured["select_said"] == "55P03"


@pytest.mark.sample("process")
def test_a_lock_that_somebody_else_has_is_not_proven_and_leaves_nothing(
    environment: Environment, orders: str
) -> None:
    injection = LockTable(target="postgres", table=orders).on(environment)
    with client(environment) as owner:
        owner.execute("BEGIN")
        owner.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
        injection.inject()
        assert not injection.prove(lambda: None).proven
        injection.undo()
        owner.execute("ROLLBACK")
    undone = injection.prove_healed(lambda: None)
    assert undone.proven, undone.measured


@pytest.mark.sample("process")
def test_what_cannot_be_locked_is_refused(environment: Environment) -> None:
    environment.service("postgres").check()
    for table, words in (("nowhere", "no table 'nowhere'"), ("gameday_ready", "lock another")):
        with pytest.raises(EnvironmentRefused, match=words):
            LockTable(target="postgres", table=table).on(environment)


@pytest.mark.full
@pytest.mark.parametrize("name", ["postgres", "postgres-replica"])
def test_a_full_server_refuses_new_clients_and_keeps_the_old_ones(
    environment: Environment, name: str
) -> None:
    with client(environment, name) as old, client(environment, name) as leaving:
        with during(ConnectionCap(target=name).on(environment)) as effect:
            assert effect.measured["refused_with"] == "53300"
            leaving.close()
            time.sleep(0.5)  # what is given back is taken within 100 ms
            with pytest.raises(psycopg.OperationalError, match="too many clients"):
                client(environment, name)
            assert old.execute("SELECT 1").fetchone() == (1,)
        client(environment, name).close()


@pytest.mark.sample("process")
def test_as_many_slots_as_asked_for_are_left_free(environment: Environment) -> None:
    with during(ConnectionCap(target="postgres", free=3).on(environment)) as effect:
        assert effect.measured["admitted"] == 3
        assert effect.measured["refused_with"] == "53300"


@pytest.mark.full
def test_a_stopped_replay_hides_what_the_primary_commits_until_it_resumes(
    environment: Environment,
) -> None:
    with during(StopReplay(target="postgres-replica").on(environment)) as effect:
        assert int(effect.measured["lag_bytes"] or 0) >= 1000
        assert effect.measured["replayed_bytes"] == 0
        with client(environment) as primary:
            primary.execute("CREATE TABLE unseen ()")
        assert ask(environment, "SELECT to_regclass('unseen')", "postgres-replica") is None
    with client(environment) as primary:
        primary.execute("DROP TABLE unseen")


@pytest.mark.full
@pytest.mark.parametrize(
    "fault",
    [
        ConnectionCap(target="postgres"),
        StopReplay(target="postgres-replica"),
        Promote(target="postgres-replica"),
    ],
    ids=lambda fault: fault.verb,
)
def test_what_is_asked_of_a_server_is_proven_and_undone(through: Through, fault: Fault) -> None:
    through(fault)


@pytest.mark.full
def test_async_commits_are_confirmed_before_they_are_flushed(
    environment: Environment, through: Through
) -> None:
    effect, undone = through(AsyncCommit(target="postgres"))
    assert int(effect.measured["confirmed_early"] or 0) > 0
    assert undone.measured["confirmed_early_after"] == 0
    assert undone.measured["in_auto_conf_after"] == "nothing"


@pytest.mark.sample("process")
def test_a_setting_that_was_there_before_is_there_again(
    environment: Environment, through: Through
) -> None:
    with client(environment) as owner:
        owner.execute("ALTER SYSTEM SET synchronous_commit = 'local'")
        owner.execute("SELECT pg_reload_conf()")
    give_up_ns = time.monotonic_ns() + 5 * SECOND
    while ask(environment, "SHOW synchronous_commit") != "local":
        assert time.monotonic_ns() < give_up_ns
    try:
        _, undone = through(AsyncCommit(target="postgres"))
        assert undone.measured["reads_after"] == "local"
    finally:
        with client(environment) as owner:
            owner.execute("ALTER SYSTEM RESET synchronous_commit")
            owner.execute("SELECT pg_reload_conf()")


@pytest.mark.full
def test_a_promoted_replica_takes_writes_and_is_a_replica_again_afterwards(
    environment: Environment,
) -> None:
    name = "postgres-replica"
    with client(environment) as primary:
        primary.execute("DROP TABLE IF EXISTS trades")
        primary.execute("CREATE TABLE trades (id int)")
    injection = Promote(target=name).on(environment)
    with during(injection) as effect:
        assert effect.measured["timeline"] == int(effect.measured["timeline_before"] or 0) + 1
        with client(environment, name) as other, client(environment) as primary:
            other.execute("CREATE TABLE only_here ()")
            primary.execute("INSERT INTO trades VALUES (1)")
    assert ask(environment, "SELECT to_regclass('only_here')", name) is None
    assert ask(environment, "SELECT id FROM trades", name) == 1
    with pytest.raises(errors.ReadOnlySqlTransaction), client(environment, name) as replica:
        replica.execute("CREATE TABLE only_here ()")
    # It was rebuilt already: nothing is dropped again.
    started = ask(environment, "SELECT pg_postmaster_start_time()::text", name)
    injection.undo()
    assert injection.prove_healed(lambda: None).proven
    assert ask(environment, "SELECT pg_postmaster_start_time()::text", name) == started


@pytest.mark.sample("process")
def test_a_replica_takes_over_from_a_dead_primary_and_follows_it_again(
    environment: Environment,
) -> None:
    with client(environment) as primary:
        primary.execute("DROP TABLE IF EXISTS trades")
        primary.execute("CREATE TABLE trades (id int)")
        primary.execute("INSERT INTO trades VALUES (7)")
        lsn = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    behind = f"SELECT pg_last_wal_replay_lsn() < '{lsn[0] if lsn else None}'"
    give_up_ns = time.monotonic_ns() + 5 * SECOND
    while ask(environment, behind, "postgres-replica"):
        assert time.monotonic_ns() < give_up_ns
    killing = Kill(target="postgres").on(environment)
    promotion: Injection | None = None
    try:
        killing.inject()
        assert killing.prove(lambda: None).proven
        promotion = Promote(target="postgres-replica").on(environment)
        promotion.inject()
        effect = promotion.prove(lambda: None)
        assert effect.proven, effect.measured
        assert ask(environment, "SELECT id FROM trades", "postgres-replica") == 7
    finally:
        killing.undo()
        assert killing.prove_healed(lambda: None).proven
        if promotion is not None:
            promotion.undo()
            undone = promotion.prove_healed(lambda: None)
            assert undone.proven, undone.measured


@pytest.mark.sample("process-lock-table", "process-promote")
@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize(
    "fault",
    [
        TerminateBackends(target="postgres"),
        LockTable(target="postgres", table="orders"),
        ConnectionCap(target="postgres"),
        Promote(target="postgres-replica"),
        StopReplay(target="postgres-replica"),
        AsyncCommit(target="postgres"),
    ],
    ids=lambda fault: fault.verb,
)
def test_what_did_nothing_is_not_proven_on_a_real_server(
    environment: Environment, unproven: Unproven, fault: Fault
) -> None:
    with client(environment), client(environment, "postgres-replica"):
        unproven(fault)


@pytest.mark.sample("Restart-postgres]")
@pytest.mark.parametrize("name", ["postgres", "postgres-replica"])
@pytest.mark.parametrize("kind", [Stop, Restart])
def test_a_stop_and_a_restart_wait_for_no_client(
    environment: Environment, through: Through, kind: type[Stop | Restart], name: str
) -> None:
    with client(environment, name):  # SIGTERM would wait for it until the grace is over
        effect, _ = through(kind(target=name, grace_ns=8 * SECOND))
    assert (effect.measured["grace_ran_out"], effect.measured["exit_code"]) == (False, 0)
