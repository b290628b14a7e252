"""The write probes against real stores: what was confirmed is there, also after a kill -9."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import NoReturn

import numpy as np
import pika
import psycopg
import pytest

from gameday.api.environment import Environment, EnvironmentConfig
from gameday.engine.addresses import Addresses
from gameday.engine.planning import vocabulary
from gameday.load.load import LoadDriver
from gameday.load.reader import LiveView, read_history
from gameday.loading import load_target
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.operation import Outcome
from gameday.model.plan import PlannedStream
from gameday.resources import bundled
from gameday.runtimes.kinds import login_of
from gameday.runtimes.process.environment import ProcessEnvironment

pytestmark = [pytest.mark.live, pytest.mark.alone]

CLIENTS = {
    "postgres": "postgres-write",
    "rabbitmq": "rabbitmq-publish",
}


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], NoReturn]
) -> Iterator[Environment]:
    """One of each store, as processes of this host."""
    given = EnvironmentConfig(
        run=token_hex(4),
        target=load_target(bundled("targets") / "stores" / "target.yaml", vocabulary()),
        logs=tmp_path_factory.mktemp("logs"),
        seed=1,
        proxy="own",
    )
    made = ProcessEnvironment(given)
    if made.missing():
        missing("; ".join(made.missing()))
    try:
        made.start(lambda *_: None, lambda: None)
        yield made
    finally:
        made.stop()
    assert made.leftovers() == ()


def probing(environment: Environment, store: str, folder: Path) -> LoadDriver:
    reach = Addresses(
        load_target(bundled("targets") / "stores" / "target.yaml", vocabulary()), environment
    )
    streams = [
        reach.stream(
            PlannedStream(
                name=name,
                client=CLIENTS[store],
                edge=edge,
                rate_per_s=50.0,
                deadline_ns=SECOND,
            )
        )
        for name, edge in (("probe-front", f"client -> {store}"), ("probe-direct", store))
    ]
    driver = LoadDriver(streams, folder, "ab12", 60 * SECOND, folder / "driver.log")
    driver.start()
    driver.begin(time.monotonic_ns())
    return driver


def wait_for(view: LiveView, operations: int) -> None:
    give_up_ns = time.monotonic_ns() + 10 * SECOND
    wanted = view.operations + operations
    while view.operations < wanted:
        assert time.monotonic_ns() < give_up_ns, f"{view.operations} operations, wanted {wanted}"
        time.sleep(0.01)


def stored(environment: Environment, store: str, stream: str) -> int:
    """Return the value that another client finds in the store."""
    service = environment.service(store)
    at, login = service.upstream, login_of(service.spec)
    if store == "postgres":
        with psycopg.connect(
            host=at.host,
            port=at.port,
            user=login.user,
            password=login.password,
            dbname=login.database,
        ) as connection:
            row = connection.execute(
                "SELECT value FROM gameday_probe WHERE stream = %s", [stream]
            ).fetchone()
        assert row is not None
        return int(row[0])
    credentials = pika.PlainCredentials(login.user, login.password)
    broker = pika.BlockingConnection(
        pika.ConnectionParameters(host=at.host, port=at.port, credentials=credentials)
    )
    _, _, body = broker.channel().basic_get(f"gameday.probe.{stream}", auto_ack=True)
    broker.close()
    assert body is not None
    return int(body.split()[1])


@pytest.mark.sample("rabbitmq")
@pytest.mark.parametrize("store", ["postgres", "rabbitmq"])
def test_a_probe_recovers_from_a_kill_and_what_it_was_told_is_stored(
    environment: Environment, store: str, tmp_path: Path
) -> None:
    service = environment.service(store)
    driver = probing(environment, store, tmp_path)
    try:
        view = LiveView(tmp_path)
        wait_for(view, 60)
        killed_ns = service.kill(signal.SIGKILL).start_ns
        wait_for(view, 60)
        started_ns = service.start_again().start_ns
        service.wait_until_ready(30 * SECOND, lambda: None)
        ready_ns = time.monotonic_ns()
        wait_for(view, 150)
        driver.stop(5 * SECOND)
        view.close()
    finally:
        driver.kill()
    rows = read_history(tmp_path).rows
    for number, stream in enumerate(("probe-front", "probe-direct")):
        of = rows[rows["stream"] == number]
        before = of[of["due_ns"] < killed_ns - 100 * MILLISECOND]
        down = of[(of["due_ns"] > killed_ns + 100 * MILLISECOND) & (of["due_ns"] < started_ns)]
        after = of[of["due_ns"] > ready_ns + SECOND]
        assert len(before) > 10
        assert (before["outcome"] == Outcome.OK).all()
        assert len(down) > 10
        assert (down["outcome"] == Outcome.FAILED).all()
        assert len(after) > 10
        assert (after["outcome"] == Outcome.OK).all()
        confirmed = of[of["outcome"] == Outcome.OK]["value"]
        assert stored(environment, store, stream) == int(np.max(confirmed))


@pytest.mark.sample("postgres")
@pytest.mark.parametrize("store", ["postgres", "rabbitmq"])
def test_a_probe_does_not_wait_for_an_answer_before_it_writes_again(
    environment: Environment, store: str, tmp_path: Path
) -> None:
    service = environment.service(store)
    driver = probing(environment, store, tmp_path)
    try:
        view = LiveView(tmp_path)
        wait_for(view, 40)
        service.freeze()
        frozen_ns = time.monotonic_ns()
        time.sleep(0.4)
        service.thaw()
        thawed_ns = time.monotonic_ns()
        wait_for(view, 40)
        driver.stop(5 * SECOND)
        view.close()
    finally:
        driver.kill()
    rows = read_history(tmp_path).rows
    during = rows[(rows["due_ns"] > frozen_ns) & (rows["due_ns"] < thawed_ns)]
    assert len(during) >= 30
    assert (during["sent_ns"] - during["due_ns"] < 50 * MILLISECOND).all()
    assert (during["outcome"] == Outcome.OK).all()
