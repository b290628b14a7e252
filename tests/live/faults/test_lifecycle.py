"""A service ends, freezes or loses parts of itself, and is brought back, in each environment."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from signal import Signals

import pytest
import redis

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof, Watchful
from gameday.engine.planning import Options, load, make_environment, make_plan
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.kill_inside import KillInside
from gameday.faults.lifecycle.pause import Pause
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.faults.timing import until
from gameday.model.clock import MILLISECOND, SECOND, MonotonicClock
from gameday.resources import bundled
from gameday.runtimes.kinds import login_of
from gameday.technologies.redis.login import redis_login

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

SAVING = "redis-rdb-bgsave"


@contextmanager
def dialect(environment: Environment) -> Iterator[redis.Redis]:
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    client = redis.Redis(host=direct.host, port=direct.port, socket_timeout=2, **login)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def slow_save(environment: Environment) -> Iterator[None]:
    """A child of Redis that takes seconds to save a few keys."""
    house = environment.service("redis")
    with dialect(environment) as client:
        client.mset({f"saved:{number}": "x" for number in range(20)})
        client.config_set("rdb-key-save-delay", 500_000)
        client.bgsave()
        give_up_ns = time.monotonic_ns() + 3 * SECOND
        while not any(SAVING in child_process.command for child_process in house.child_processes()):
            assert time.monotonic_ns() < give_up_ns, house.child_processes()
            time.sleep(0.01)
        yield
        client.config_set("rdb-key-save-delay", 0)


@pytest.mark.full
@pytest.mark.parametrize(("signal", "code"), [("SIGKILL", 137), ("SIGTERM", 0)])
def test_a_killed_service_is_gone_and_comes_back(through: Through, signal: str, code: int) -> None:
    effect, undone = through(Kill(target="redis", signal=signal))  # type: ignore[arg-type]
    assert effect.measured["exit_code"] == code
    assert undone.measured["pid_after"] != effect.measured["pid"]


@pytest.mark.sample("redis")
@pytest.mark.parametrize("target", ["redis", "relay"])
def test_a_signal_that_nobody_handles_ends_a_process_but_no_container(
    environment: Environment, through: Through, target: str
) -> None:
    fault = Kill(target=target, signal="SIGUSR2")
    if environment.runtime == "process":
        effect, _ = through(fault)
        assert effect.measured["exit_code"] == 128 + Signals.SIGUSR2
        return
    # Process 1 of a container is shielded from it by the kernel.
    injection = fault.on(environment)
    injection.inject()
    effect = injection.prove(lambda: None)
    injection.undo()
    assert injection.prove_healed(lambda: None).proven
    assert (effect.proven, effect.measured["handling"]) == (False, "default")


@pytest.mark.sample("process")
def test_a_signal_that_is_ignored_is_not_proven(environment: Environment) -> None:
    injection = Kill(target="redis", signal="SIGHUP").on(environment)
    injection.inject()
    effect = injection.prove(lambda: None)
    injection.undo()
    assert injection.prove_healed(lambda: None).proven
    assert (effect.proven, effect.measured["handling"]) == (False, "ignored")


@pytest.mark.sample("kill")
@pytest.mark.parametrize(
    "fault", [Kill(target="redis"), Stop(target="redis")], ids=lambda f: f.verb
)
def test_a_service_that_is_dead_already_is_not_ended_once_more(
    environment: Environment, fault: Fault
) -> None:
    first = Kill(target="redis").on(environment)
    first.inject()
    try:
        assert first.prove(lambda: None).proven
        second = fault.on(environment)
        second.inject()
        assert not second.prove(lambda: None).proven
    finally:
        first.undo()
    assert first.prove_healed(lambda: None).proven


@pytest.mark.full
def test_a_stopped_service_says_goodbye_within_the_grace(through: Through) -> None:
    effect, _ = through(Stop(target="redis", grace_ns=5 * SECOND))
    assert effect.measured["exit_code"] == 0
    assert effect.measured["grace_ran_out"] is False


def test_who_does_not_stop_within_the_grace_is_forced(
    environment: Environment, through: Through
) -> None:
    service = environment.service("redis")
    direct, login = service.upstream, login_of(service.spec)
    with socket.create_connection((direct.host, direct.port)) as busy:
        busy.sendall(f"AUTH {login.user} {login.password}\r\n".encode())
        # A server in a script hears the signal and keeps it for afterwards.
        busy.sendall(b"EVAL 'while true do end' 0\r\n")
        effect, _ = through(Stop(target="redis", grace_ns=300 * MILLISECOND))
    assert effect.measured["exit_code"] == 137
    assert effect.measured["grace_ran_out"] is True
    assert int(effect.measured["ended_after_ns"] or 0) >= 300 * MILLISECOND


@pytest.mark.full
def test_a_restarted_service_is_another_start(through: Through) -> None:
    effect, undone = through(Restart(target="redis"))
    assert effect.measured["started_after"] != effect.measured["started_before"]
    assert undone.measured["started_after"] == effect.measured["started_after"]


@pytest.mark.full
def test_a_crash_loop_is_as_many_deaths_and_starts_as_asked_for(through: Through) -> None:
    effect, _ = through(CrashLoop(target="redis", times=3, interval_ns=300 * MILLISECOND))
    assert effect.measured["exit_codes"] == "137 137 137"
    assert effect.measured["starts"] == 3


@pytest.mark.full
@pytest.mark.parametrize("target", ["redis", "relay"])
def test_a_paused_service_accepts_and_does_not_answer(through: Through, target: str) -> None:
    effect, undone = through(Pause(target=target))
    assert effect.measured["accepts_connections"] is True
    assert undone.measured["state_after"] == "running"


def test_a_thaw_twice_is_harmless(environment: Environment) -> None:
    injection = Pause(target="redis").on(environment)
    injection.inject()
    try:
        injection.undo()
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven


def test_a_frozen_environment_goes_down_clean(environment: Environment, tmp_path: Path) -> None:
    """With a volume that a successor took over, too."""
    options = Options(runtime=environment.runtime, seed=1, settings={})
    experiment = load(bundled("scenarios") / "redis-restart.yaml", options)
    target = replace(experiment.target, services=experiment.target.services[:1])
    plan = make_plan(experiment, options)
    alone = replace(experiment, target=target)
    frozen = make_environment(plan, alone, run=f"f{os.getpid()}", logs=tmp_path, port_base=0)
    try:
        frozen.start(lambda *_: None, lambda: None)
        service = frozen.service("redis")
        if frozen.runtime == "docker":
            service.remove(keep_data=True)
            service.start_again()
            service.wait_until_ready(5 * SECOND, lambda: None)
        parts = service.parts()
        pause = Pause(target="redis").on(frozen)
        pause.inject()
        assert pause.prove(lambda: None).proven
    finally:
        frozen.stop()
    assert frozen.leftovers() == ()
    assert service.left(parts) == frozenset()


def test_a_removed_service_comes_back_with_its_data_if_they_are_kept(
    environment: Environment, through: Through, impossible: Callable[[Fault], str]
) -> None:
    fault = Remove(target="redis", volume="keep")
    if environment.runtime == "process":
        assert "use kill" in impossible(fault)
        return
    _, undone = through(fault)
    assert undone.measured["marker_found"] is True
    through(fault)  # the successor can be removed as well


@pytest.mark.full
def test_a_removed_service_comes_back_empty_if_its_data_are_dropped(through: Through) -> None:
    effect, undone = through(Remove(target="redis", volume="drop"))
    assert effect.measured["left"] == "nothing"
    assert undone.measured["marker_found"] is False


@pytest.mark.full
@pytest.mark.usefixtures("slow_save")
def test_a_process_inside_dies_and_the_service_lives(through: Through) -> None:
    effect, undone = through(KillInside(target="redis", pattern="^" + SAVING))
    assert effect.measured["matched"] == 1
    assert effect.measured["main_alive"] is True
    assert undone.measured["matching_after"] == 0


@pytest.mark.sample("pause")
@pytest.mark.parametrize(
    "fault",
    [
        Stop(target="redis", grace_ns=100 * MILLISECOND),
        Restart(target="redis", grace_ns=100 * MILLISECOND),
        CrashLoop(target="redis", times=2, interval_ns=100 * MILLISECOND),
        Pause(target="redis"),
        KillInside(target="redis", pattern="redis-server"),
    ],
    ids=lambda fault: fault.verb,
)
def test_what_did_nothing_is_not_proven_on_a_real_service(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


def test_a_pause_that_was_lifted_for_a_while_is_found_out(environment: Environment) -> None:
    service = environment.service("redis")
    injection = Pause(target="redis").on(environment)
    assert isinstance(injection, Watchful)
    injection.inject()
    try:
        assert injection.prove(lambda: None).proven
        assert (injection.lapse(), injection.is_active().proven) == ("", True)
        service.thaw()
        in_between = injection.lapse()
        time.sleep(0.1)
        service.freeze()
        after = injection.lapse()
    finally:
        injection.undo()
    assert injection.prove_healed(lambda: None).proven
    assert in_between
    # In docker the freezer's file tells of now alone, and is read every 20 ms.
    assert after or environment.runtime == "docker"


def test_a_service_whose_port_another_took_is_not_back(environment: Environment) -> None:
    if environment.runtime == "docker":
        pytest.skip("the port is in a network of the service's own")
    direct = environment.service("redis").upstream
    injection = Kill(target="redis").on(environment)
    assert isinstance(injection, Watchful)
    injection.inject()
    assert injection.prove(lambda: None).proven
    command = ["redis-server", "--port", str(direct.port), "--save", "", "--bind", direct.host]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
        try:
            assert until(MonotonicClock(), lambda: bool(injection.lapse()), 5 * SECOND)
            assert injection.lapse().startswith(f"process {other.pid} (redis-server)")
            assert not injection.is_active().proven
            injection.undo()
            taken = injection.prove_healed(lambda: None)
        finally:
            other.kill()
    injection.undo()
    assert injection.prove_healed(lambda: None).proven
    assert not taken.proven
    assert "port" in str(taken.measured["error"])
