"""Redis faults: proven by what the server then does, undone when it does as before."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gameday.api.environment import Endpoint
from gameday.api.fault import Fault, Injection, Lasting, Proof
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, MINUTE, SECOND
from gameday.model.login import Login
from gameday.model.scenario import ServiceSpec, Target
from gameday.technologies.redis import connection as line
from gameday.technologies.redis.fake import MemoryRedis, RedisHouse, dialler
from gameday.technologies.redis.faults import (
    ClientKill,
    Failover,
    MaxMemory,
    PersistenceOff,
    ScriptBusy,
)
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.is_active import is_active

FAULTS: list[Fault] = [
    ClientKill(target="db"),
    ClientKill(target="db", clients="pubsub"),
    ClientKill(target="db", clients="replica"),
    Failover(target="db", to="copy", within_ns=100 * MILLISECOND),
    MaxMemory(target="db", of_used=0.5),
    MaxMemory(target="db", limit_bytes=1_000_050, policy="allkeys-lru"),
    ScriptBusy(target="db", busy_after_ns=50 * MILLISECOND),
    PersistenceOff(target="db"),
]


def name(fault: Fault) -> str:
    words = (fault.verb, getattr(fault, "clients", ""), getattr(fault, "policy", ""))
    return "-".join(word for word in words if word)


every = pytest.mark.parametrize("fault", FAULTS, ids=name)


@pytest.fixture
def db() -> MemoryRedis:
    """A primary with a few keys."""
    return MemoryRedis(keys={f"kept:{n}": "x" for n in range(10)})


@pytest.fixture
def copy(db: MemoryRedis) -> MemoryRedis:
    return MemoryRedis(primary=db, clock=db.clock)


@pytest.fixture
def environment(
    db: MemoryRedis, copy: MemoryRedis, monkeypatch: pytest.MonkeyPatch
) -> MemoryEnvironment:
    """Two servers, with somebody connected in each way to the first."""
    monkeypatch.setattr(line, "dial", dialler({1: db, 2: copy}))
    for kind in ("normal", "pubsub", "replica"):
        bystander = line.dial(Endpoint(host="", port=1), Login())
        bystander.kind = kind  # type: ignore[attr-defined]
    specs = (
        ServiceSpec(name="db", kind="redis"),
        ServiceSpec(name="copy", kind="redis-replica", needs=("db",)),
    )
    clock = db.clock
    services: dict[str, MemoryService] = {
        "db": RedisHouse(spec=specs[0], clock=clock, server=db),
        "copy": MemoryService(
            spec=specs[1], clock=clock, upstream=Endpoint(host="127.0.0.1", port=2)
        ),
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


def come_back(db: MemoryRedis) -> None:
    """Let a killed replica connect again, as it would by itself."""
    replica = line.dial(Endpoint(host="", port=1), Login())
    replica.kind = "replica"  # type: ignore[attr-defined]


DEFECTS: list[tuple[Fault, str, object]] = [
    (FAULTS[0], "kills", False),
    (FAULTS[0], "spares", 1),
    (FAULTS[0], "miscounts", 1),
    (FAULTS[0], "hides", True),
    (FAULTS[3], "swaps", False),
    (FAULTS[3], "takes_writes", True),
    (FAULTS[4], "minds_limit", False),
    (FAULTS[5], "minds_limit", False),
    (FAULTS[5], "ignores", "maxmemory-policy"),
    (FAULTS[6], "busies", False),
    (FAULTS[6], "busy_word", "LOADING"),
    (FAULTS[6], "hasty", True),
    (FAULTS[7], "says_on", True),
    (FAULTS[7], "keeps_writing", True),
    (FAULTS[7], "loses_writes", True),
]


@pytest.mark.parametrize(("fault", "defect", "value"), DEFECTS)
def test_what_the_server_only_says_is_not_proven(
    environment: MemoryEnvironment, db: MemoryRedis, fault: Fault, defect: str, value: object
) -> None:
    setattr(db, defect, value)
    assert not put(fault, environment)[1].proven


@pytest.mark.parametrize("fault", FAULTS[4:], ids=name)
def test_a_setting_that_does_not_come_back_is_not_undone(
    environment: MemoryEnvironment, db: MemoryRedis, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    db.resets = False
    undone = healed(made)
    assert not undone.proven
    assert "undo_error" in undone.measured
    db.resets = True
    assert healed(made).proven


@pytest.mark.parametrize(
    ("fault", "defect", "value"),
    [
        (FAULTS[0], "ends_new", True),
        (FAULTS[4], "refuses", "MISCONF no disk"),
        (FAULTS[7], "ignores", "save"),
        (FAULTS[7], "loses_writes", True),
    ],
)
def test_what_does_not_serve_as_before_is_not_undone(
    environment: MemoryEnvironment, db: MemoryRedis, fault: Fault, defect: str, value: object
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    setattr(db, defect, value)
    assert not healed(made).proven


@pytest.mark.parametrize(("defect", "value"), [("takes_writes", True), ("link", "connect")])
def test_a_replica_that_is_none_yet_is_not_back(
    environment: MemoryEnvironment, copy: MemoryRedis, defect: str, value: object
) -> None:
    made, effect = put(FAULTS[3], environment)
    assert effect.proven
    setattr(copy, defect, value)
    assert not healed(made).proven


def test_a_new_primary_that_takes_no_writes_disproves_the_failover(
    environment: MemoryEnvironment, copy: MemoryRedis
) -> None:
    copy.refuses = "MISCONF no disk"
    assert not put(FAULTS[3], environment)[1].proven


def test_writes_that_are_taken_elsewhere_are_no_failover_while_the_roles_are_as_before(
    environment: MemoryEnvironment, db: MemoryRedis, copy: MemoryRedis
) -> None:
    db.swaps, db.refuses, copy.takes_writes = False, "READONLY for maintenance", True
    assert not put(FAULTS[3], environment)[1].proven


def test_the_harness_leaves_itself_out_of_the_kill(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    proof = put(FAULTS[0], environment)[1]
    assert (proof.measured["listed"], proof.measured["killed"]) == (2, 2)


def test_another_limit_than_was_asked_for_is_not_proven(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(FAULTS[4], environment)
    db.settings["maxmemory"] = "7"
    assert not made.prove(no_checkpoint).proven


def test_a_limit_from_before_comes_back(environment: MemoryEnvironment, db: MemoryRedis) -> None:
    db.settings |= {"maxmemory": "5000000", "maxmemory-policy": "allkeys-lru"}
    made, effect = put(FAULTS[4], environment)
    assert effect.proven
    assert healed(made).proven
    assert db.settings["maxmemory"] == "5000000"
    assert db.settings["maxmemory-policy"] == "allkeys-lru"


def test_a_limit_is_undone_once_the_writes_that_another_fault_refuses_are_taken_again(
    environment: MemoryEnvironment,
    db: MemoryRedis,
    copy: MemoryRedis,
) -> None:
    made, _ = put(FAULTS[4], environment)
    db.primary = copy
    assert not healed(made).proven
    assert made.prove_healed(lambda: setattr(db, "primary", None)).proven


@every
def test_a_server_that_does_not_answer_is_not_undone(
    environment: MemoryEnvironment, db: MemoryRedis, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    db.alive = False
    assert not healed(made).proven


def test_a_kill_that_hits_nobody_but_ourselves_is_not_proven(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    for client in db.clients():
        client.close()
    proof = put(ClientKill(target="db"), environment)[1]
    assert not proof.proven
    assert proof.measured["killed"] == 1
    assert proof.measured["killed_of_others"] == 0


def test_replicas_that_stay_away_are_not_back(environment: MemoryEnvironment) -> None:
    made, effect = put(ClientKill(target="db", clients="replica"), environment)
    assert effect.proven
    assert not healed(made).proven


def test_a_policy_that_evicts_is_proven_by_what_is_forgotten(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, effect = put(FAULTS[5], environment)
    assert effect.proven
    assert effect.measured["evicted_keys"] == 10
    assert healed(made).measured["evicted_keys_in_all"] == 10


def test_a_limit_that_is_above_what_is_used_does_not_bite(environment: MemoryEnvironment) -> None:
    assert not put(MaxMemory(target="db", limit_bytes=2_000_000), environment)[1].proven


def test_keys_that_were_evicted_before_prove_nothing(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    db.evicted = 5
    fault = MaxMemory(target="db", limit_bytes=2_000_000, policy="allkeys-lru")
    assert not put(fault, environment)[1].proven


def test_a_script_that_has_ended_by_itself_kills_no_other(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(FAULTS[6], environment)
    assert db._script is not None
    db._script.pending = False  # ours is over
    healed(made)
    assert db.scripts_killed == 0


def test_a_file_that_cannot_be_found_proves_nothing(environment: MemoryEnvironment) -> None:
    house = environment.service("db")
    assert isinstance(house, RedisHouse)
    house.misses_file = True
    made = PersistenceOff(target="db").on(environment)
    with pytest.raises(EnvironmentRefused, match="looking into /data/aof"):
        made.inject()
    assert house.server.settings["appendonly"] == "yes"


def test_a_rewrite_that_fails_is_not_undone(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(PersistenceOff(target="db"), environment)
    db.rewrites = False
    assert not healed(made).proven


def test_a_server_without_a_file_has_no_persistence_to_lose(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    db.settings["appendonly"] = "no"
    with pytest.raises(EnvironmentRefused, match="no append-only file"):
        PersistenceOff(target="db").on(environment)


def test_a_failover_is_forced_back_if_the_new_primary_will_not(
    environment: MemoryEnvironment, db: MemoryRedis, copy: MemoryRedis
) -> None:
    made, _ = put(FAULTS[3], environment)
    copy.swaps = False
    made.undo()
    assert db.primary is None
    copy.follow(db)
    undone = made.prove_healed(no_checkpoint)
    assert undone.proven, undone.measured
    assert undone.measured["forced"] is True


@pytest.mark.parametrize(
    ("defect", "value"), [("replicates", False), ("alive", False)], ids=["no word", "dead"]
)
def test_a_replica_that_gets_no_word_is_not_back(
    environment: MemoryEnvironment, db: MemoryRedis, defect: str, value: bool
) -> None:
    made, _ = put(FAULTS[3], environment)
    setattr(db, defect, value)
    assert not healed(made).proven


@pytest.mark.parametrize("to", ["db", "nobody", "copy"])
def test_a_failover_to_no_replica_is_refused(environment: MemoryEnvironment, to: str) -> None:
    copy = environment.service("copy")
    copy.spec = replace(copy.spec, needs=("another",))
    with pytest.raises(EnvironmentRefused, match=to):
        Failover(target="db", to=to).on(environment)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: ClientKill(target="db", interval_ns=MILLISECOND), "100ms to 10s"),
        (lambda: Failover(target="db", to="copy", within_ns=MILLISECOND), "100ms to 20s"),
        (lambda: MaxMemory(target="db"), "neither is given"),
        (lambda: MaxMemory(target="db", limit_bytes=9, of_used=0.5), "both are given"),
        (lambda: MaxMemory(target="db", of_used=1.0), "1% to 99%"),
        (lambda: ScriptBusy(target="db", busy_after_ns=MILLISECOND), "50ms to 10s"),
        (lambda: ScriptBusy(target="db", busy_after_ns=50_500_000), "whole milliseconds"),
        (lambda: ScriptBusy(target="db", at_most_ns=11 * 60 * SECOND), "1s to 10min"),
    ],
)
def test_what_could_not_be_done_is_refused_before_anything_starts(
    make: type[Fault], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def swap_back(db: MemoryRedis, copy: MemoryRedis) -> None:
    db.primary = None
    copy.follow(db)


LOST: list[tuple[Fault, Callable[[MemoryRedis, MemoryRedis], object]]] = [
    (FAULTS[3], swap_back),
    (FAULTS[4], lambda db, _: db.settings.update({"maxmemory": "0"})),
    (FAULTS[5], lambda db, _: db.settings.update({"maxmemory-policy": "noeviction"})),
    (FAULTS[6], lambda db, _: db.said(db.lines[0], ("SCRIPT", "KILL"))),
    (FAULTS[6], lambda db, _: setattr(db, "busies", False)),
    (FAULTS[7], lambda db, _: db.settings.update({"appendonly": "yes"})),
    (FAULTS[7], lambda db, _: db.settings.update({"save": "60 1"})),
]


@pytest.mark.parametrize(("fault", "lose"), LOST)
def test_what_somebody_else_sets_back_is_not_in_any_more(
    environment: MemoryEnvironment,
    db: MemoryRedis,
    copy: MemoryRedis,
    fault: Fault,
    lose: Callable[[MemoryRedis, MemoryRedis], object],
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    assert is_active(made)
    lose(db, copy)
    assert not is_active(made)


def test_persistence_that_is_off_ends_with_its_server_and_says_so(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(FAULTS[7], environment)
    db.run += 1
    db.settings |= {"appendonly": "yes", "save": "60 1"}
    assert isinstance(made, Lasting)
    seen = made.is_active()
    assert seen.proven
    assert seen.measured["server_started_anew"] is True


def test_a_script_that_others_run_is_not_the_faults(
    environment: MemoryEnvironment, db: MemoryRedis
) -> None:
    made, _ = put(FAULTS[6], environment)
    script = db._script
    assert script is not None
    script.pending = False
    assert not is_active(made), "ours has come to its end"


def test_clients_that_nobody_kills_any_more(
    environment: MemoryEnvironment,
) -> None:
    once, _ = put(FAULTS[0], environment)
    assert not isinstance(once, Lasting), "a kill of those who are there is over at once"
    made = ClientKill(target="db", interval_ns=10 * SECOND).on(environment)
    made.inject()
    assert is_active(made)
    environment.clock.sleep_ns(10 * MINUTE)
    assert not is_active(made), "the killing has come to its own end"
