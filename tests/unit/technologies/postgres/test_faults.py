"""PostgreSQL faults: proven by what the server then does, undone when it does as before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import ServiceSpec, Target
from gameday.technologies.postgres.fake import MemoryPostgres, PostgresHouse
from gameday.technologies.postgres.faults import (
    AsyncCommit,
    ConnectionCap,
    LockTable,
    Promote,
    StopReplay,
    TerminateBackends,
    async_commit,
    connection_cap,
    lock_table,
    promote,
    stop_replay,
    terminate_backends,
)
from gameday.technologies.postgres.server import OURS, SqlError
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

FAULTS: list[Fault] = [
    TerminateBackends(target="db"),
    TerminateBackends(target="db", application="^app", user="ann"),
    LockTable(target="db", table="orders"),
    ConnectionCap(target="db"),
    ConnectionCap(target="db", free=3),
    Promote(target="copy"),
    StopReplay(target="copy"),
    AsyncCommit(target="db"),
]


def name(fault: Fault) -> str:
    return " ".join(str(getattr(fault, key, "")) for key in ("verb", "user", "free")).strip()


every = pytest.mark.parametrize("fault", FAULTS, ids=name)

MODULES = (terminate_backends, lock_table, connection_cap, promote, stop_replay, async_commit)


@pytest.fixture
def db() -> MemoryPostgres:
    return MemoryPostgres()


@pytest.fixture
def copy(db: MemoryPostgres) -> MemoryPostgres:
    return MemoryPostgres(primary=db, clock=db.clock)


@pytest.fixture
def environment(
    db: MemoryPostgres, copy: MemoryPostgres, monkeypatch: pytest.MonkeyPatch
) -> MemoryEnvironment:
    """A server with two clients, and its replica."""
    servers = {"db": db, "copy": copy}

    def server_of(_: Environment, name: str) -> MemoryPostgres:
        return servers[name]

    for module in MODULES:
        monkeypatch.setattr(module, "server_of", server_of)
    for name, user in (("app-1", "ann"), ("billing", "bob")):
        db.open(name).user = user
    specs = (
        ServiceSpec(name="db", kind="postgres"),
        ServiceSpec(name="copy", kind="postgres-replica", needs=("db",)),
    )
    clock = db.clock
    services: dict[str, MemoryService] = {
        spec.name: PostgresHouse(spec=spec, clock=clock, server=servers[spec.name])
        for spec in specs
    }
    target = Target(name="t", title="T", path=Path(), services=specs)
    return MemoryEnvironment(target=target, clock=clock, services=services)


def no_checkpoint() -> None:
    return


def put(fault: Fault, environment: MemoryEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(no_checkpoint)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(no_checkpoint)


def ours(db: MemoryPostgres) -> list[str]:
    return [s.application for s in db.sessions if s.application.startswith(OURS)]


@pytest.mark.parametrize(
    ("fault", "defect"),
    [
        (TerminateBackends(target="db"), "terminates"),
        (TerminateBackends(target="db"), "tells_why"),
        (LockTable(target="db", table="orders"), "locks"),
        (LockTable(target="db", table="orders"), "waits"),
        (ConnectionCap(target="db"), "refuses"),
        (Promote(target="copy"), "promotes"),
        (Promote(target="copy"), "steps"),
        (StopReplay(target="copy"), "pauses"),
        (StopReplay(target="copy"), "receives"),
        (AsyncCommit(target="db"), "reloads"),
        (AsyncCommit(target="db"), "early"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.verb,
)
def test_what_has_no_effect_is_not_proven_and_yet_undone(
    environment: MemoryEnvironment,
    db: MemoryPostgres,
    copy: MemoryPostgres,
    fault: Fault,
    defect: str,
) -> None:
    setattr(copy if fault.target == "copy" else db, defect, False)
    made, effect = put(fault, environment)
    assert not effect.proven, effect.measured
    assert healed(made).proven


@pytest.mark.parametrize(
    ("fault", "defect"),
    [
        (LockTable(target="db", table="orders"), "lets_go"),
        (ConnectionCap(target="db", free=3), "lets_go"),
        (StopReplay(target="copy"), "resumes"),
        (AsyncCommit(target="db"), "restores"),
        (AsyncCommit(target="db"), "reloads"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.verb,
)
def test_what_is_still_in_is_not_undone(
    environment: MemoryEnvironment,
    db: MemoryPostgres,
    copy: MemoryPostgres,
    fault: Fault,
    defect: str,
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven, effect.measured
    setattr(copy if fault.target == "copy" else db, defect, False)
    undone = healed(made)
    assert not undone.proven, undone.measured


@pytest.mark.parametrize("defect", ["copies", "starts"])
def test_a_promoted_replica_that_does_not_follow_again_is_not_undone(
    environment: MemoryEnvironment, defect: str
) -> None:
    made, effect = put(Promote(target="copy"), environment)
    assert effect.proven, effect.measured
    setattr(environment.service("copy"), defect, False)
    assert not healed(made).proven


@every
def test_what_cannot_be_read_is_neither_proven_nor_undone(
    environment: MemoryEnvironment, db: MemoryPostgres, copy: MemoryPostgres, fault: Fault
) -> None:
    made = fault.on(environment)
    made.inject()
    db.answers = copy.answers = False
    effect, undone = made.prove(no_checkpoint), healed(made)
    assert not effect.proven, effect.measured
    assert not undone.proven, undone.measured


def test_only_clients_that_match_both_patterns_are_ended(
    environment: MemoryEnvironment, db: MemoryPostgres
) -> None:
    for user, left in (("bob", {"app-1", "billing"}), ("ann", {"billing"})):
        fault = TerminateBackends(target="db", application="app", user=user)
        made, effect = put(fault, environment)
        assert effect.proven is (left == {"billing"}), effect.measured
        made.undo()
        assert {session.application for session in db.sessions} == left


def test_the_sessions_of_other_faults_are_not_clients(
    environment: MemoryEnvironment, db: MemoryPostgres
) -> None:
    lock, _ = put(LockTable(target="db", table="orders"), environment)
    termination, effect = put(TerminateBackends(target="db"), environment)
    assert effect.measured["terminated"] == 2
    assert db.locked_by in db.sessions
    assert healed(termination).proven
    assert healed(lock).proven


def test_a_slot_that_is_given_back_is_taken(
    environment: MemoryEnvironment, db: MemoryPostgres
) -> None:
    made, effect = put(ConnectionCap(target="db", free=1), environment)
    assert effect.measured["admitted"] == 1
    db.sessions[0].close()
    assert len(db.sessions) < db.slots - 1
    environment.clock.sleep_ns(100 * MILLISECOND)
    assert len(db.sessions) == db.slots - 1
    assert healed(made).proven
    assert [session.application for session in db.sessions] == ["billing"]


@pytest.mark.parametrize(
    ("name", "proven"), [("app-2", True), (connection_cap._HOLDER, False)], ids=["others", "ours"]
)
def test_as_many_are_admitted_as_asked_for_unless_others_took_the_slots(
    environment: MemoryEnvironment, db: MemoryPostgres, name: str, proven: bool
) -> None:
    made = ConnectionCap(target="db", free=3).on(environment)
    made.inject()
    late = [db.open(name), db.open(name)]
    effect = made.prove(no_checkpoint)
    assert effect.measured["admitted"] == 1
    assert effect.proven is proven, effect.measured
    for session in late:
        session.close()
    assert healed(made).proven


def test_a_server_that_is_nearly_full_leaves_as_many_slots_as_it_has(
    environment: MemoryEnvironment, db: MemoryPostgres
) -> None:
    for _ in range(db.slots - len(db.sessions) - 2):
        db.open("app-2")
    made, effect = put(ConnectionCap(target="db", free=3), environment)
    assert effect.proven, effect.measured
    assert (effect.measured["admitted"], effect.measured["taken_by_others"]) == (1, 2)
    assert healed(made).proven


def test_a_setting_from_before_is_put_back(
    environment: MemoryEnvironment, db: MemoryPostgres
) -> None:
    db.own = db.setting = "local"
    db.source = "configuration file"
    made, effect = put(AsyncCommit(target="db"), environment)
    assert effect.proven, effect.measured
    assert made.undo_text.startswith("ALTER SYSTEM SET synchronous_commit = 'local'")
    assert healed(made).proven
    assert (db.own, db.setting) == ("local", "local")


def test_a_server_that_cannot_bear_a_fault_is_refused_by_name(
    environment: MemoryEnvironment, db: MemoryPostgres, copy: MemoryPostgres
) -> None:
    db.setting, db.slots, copy.standby = "off", 501, False
    refused: list[tuple[Fault, str]] = [
        (AsyncCommit(target="db"), "db: synchronous_commit is off without it"),
        (ConnectionCap(target="db"), "db: max_connections is 501"),
        (Promote(target="copy"), "copy: it is promoted without it"),
        (StopReplay(target="db"), "db: it has no primary"),
        (LockTable(target="db", table="nowhere"), "db: no table 'nowhere'"),
    ]
    for fault, words in refused:
        with pytest.raises(EnvironmentRefused, match=words):
            fault.on(environment)
    db.setting, db.source, db.table = "on", "command line", "gameday_ready"
    with pytest.raises(EnvironmentRefused, match="set by its command line"):
        AsyncCommit(target="db").on(environment)
    with pytest.raises(EnvironmentRefused, match="lock another"):
        LockTable(target="db", table="gameday_ready").on(environment)
    db.answers = copy.answers = False
    unreachable: list[Fault] = [
        AsyncCommit(target="db"),
        ConnectionCap(target="db"),
        Promote(target="copy"),
        LockTable(target="db", table="orders"),
    ]
    for fault in unreachable:
        with pytest.raises(EnvironmentRefused, match=f"{fault.verb} of {fault.target}: conn"):
            fault.on(environment)


def test_bounds_are_told_with_what_is_given() -> None:
    for free in (-1, 21):
        with pytest.raises(ValueError, match="free: wanted 0 to 20"):
            ConnectionCap(target="db", free=free)
    with pytest.raises(ValueError, match="user: wanted a regular expression; in this one: missing"):
        TerminateBackends(target="db", user="(")


def end_sessions(db: MemoryPostgres, _: MemoryPostgres) -> None:
    """End one of each fault's sessions, as a server does with those of a client that it lost."""
    db.sessions = [s for s in db.sessions if not s.application.startswith(OURS)]
    db.locked_by = None


LOST: list[tuple[Fault, Callable[[MemoryPostgres, MemoryPostgres], object]]] = [
    (LockTable(target="db", table="orders"), end_sessions),
    (LockTable(target="db", table="orders"), lambda db, _: setattr(db, "locked_by", None)),
    (ConnectionCap(target="db"), end_sessions),
    (ConnectionCap(target="db", free=3), lambda db, _: db.sessions.pop()),
    (Promote(target="copy"), lambda _, copy: setattr(copy, "standby", True)),
    (StopReplay(target="copy"), lambda _, copy: setattr(copy, "paused", False)),
    (AsyncCommit(target="db"), lambda db, _: setattr(db, "setting", "on")),
]


@pytest.mark.parametrize(("fault", "lose"), LOST)
def test_what_somebody_else_ends_or_sets_back_is_not_in_any_more(
    environment: MemoryEnvironment,
    db: MemoryPostgres,
    copy: MemoryPostgres,
    fault: Fault,
    lose: Callable[[MemoryPostgres, MemoryPostgres], object],
) -> None:
    made, effect = put(fault, environment)
    try:
        assert effect.proven
        assert is_active(made)
        lose(db, copy)
        assert not lasts(made)
    finally:
        healed(made)


def test_slots_that_nobody_keeps_filled_are_not_held_any_more(
    environment: MemoryEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, effect = put(ConnectionCap(target="db"), environment)
    assert effect.proven
    monkeypatch.setattr(connection_cap._Capping, "_fill", failing)
    environment.clock.sleep_ns(SECOND)
    assert not lasts(made)
    healed(made)


def failing(_: object) -> None:
    raise SqlError("the connection is closed")


def lasts(made: Injection) -> bool:
    """Return whether it is shown to be in still; who is not answered shows nothing."""
    try:
        return is_active(made)
    except SqlError:
        return False
