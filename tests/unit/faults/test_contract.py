"""Every fault keeps the contract: its proofs hold where it acts, and only there."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest

from gameday.api.environment import ChildProcess, Endpoint, Environment
from gameday.api.fault import Fault
from gameday.faults.clock import ClockDrift, ClockOffset
from gameday.faults.http import HttpAbort, HttpBody, HttpDelay, HttpStatus
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.kill_inside import KillInside
from gameday.faults.lifecycle.pause import Pause
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.faults.load import MalformedPayload, Surge, surge
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    ConnectionFlood,
    Flap,
    HalfOpen,
    Latency,
    PacketLoss,
    Partition,
    Refuse,
    Reset,
    Slice,
    SlowClose,
)
from gameday.faults.resources import (
    CpuBurn,
    CpuLimit,
    FileDescriptors,
    IoThrottle,
    MemoryBurn,
    MemoryLimit,
    PidsLimit,
)
from gameday.faults.storage import DiskFill, ReadOnlyData
from gameday.load.load import StreamPlan
from gameday.load.recorder import Recorder
from gameday.model.clock import MILLISECOND, SECOND, BackgroundTask
from gameday.model.login import Login
from gameday.model.operation import Outcome, StreamInfo
from gameday.model.scenario import CLIENT, Edge, ServiceSpec, Target
from gameday.registry import FAULTS
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
from gameday.technologies.postgres.server import OURS
from gameday.technologies.rabbitmq import broker
from gameday.technologies.rabbitmq.fake import BrokerHouse, MemoryBroker
from gameday.technologies.rabbitmq.faults import (
    CloseConnections,
    ConsumerCancel,
    DiskAlarm,
    MemoryAlarm,
    QueuePurge,
    StopApp,
)
from gameday.technologies.redis import connection
from gameday.technologies.redis.fake import MemoryRedis, MemoryRedisLine, RedisHouse
from gameday.technologies.redis.faults import (
    ClientKill,
    Failover,
    MaxMemory,
    PersistenceOff,
    PoisonMessage,
    ScriptBusy,
    SlowConsumer,
)
from gameday.testing.bounds import BoundedService, FilingService, MemoryDisk
from gameday.testing.clocked import ClockedService
from gameday.testing.clocks import ManualClock
from gameday.testing.contract import CONTRACT, Check, World
from gameday.testing.edges import EdgedEnvironment
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.http_edges import RuledEnvironment
from gameday.testing.networks import NetworkedEnvironment
from gameday.testing.storage import DataDirService

EDGE = "app -> db"
MIB = 1024 * 1024
TECHNOLOGIES = tuple(
    f"gameday.technologies.{name}.fake" for name in ("redis", "postgres", "rabbitmq")
)
Defects = Mapping[str, object]


class MakeService(Protocol):
    """What makes a service of a kind of fakes."""

    def __call__(self, *, spec: ServiceSpec, clock: ManualClock) -> MemoryService: ...


def spoil(thing: object, defects: Defects) -> None:
    for name, value in defects.items():
        setattr(thing, name, value)


def on_service(fault: Fault, make: MakeService = MemoryService, **defects: object) -> World:
    """Return a world of one service, whose fault has no effect once it has these defects."""
    spec, clock = ServiceSpec(name="db", kind="redis"), ManualClock()
    target = Target(name="t", title="T", path=Path(), services=(spec,))
    service = make(spec=spec, clock=clock)
    port = socket.create_server(("127.0.0.1", 0))  # the kernel accepts for whoever listens
    service.upstream = Endpoint(host="127.0.0.1", port=int(port.getsockname()[1]))
    environment = MemoryEnvironment(target=target, clock=clock, services={"db": service})
    disable = (lambda: spoil(service, defects)) if defects else None

    def state() -> object:
        return isinstance(service, BoundedService) and service.probing

    return World(
        fault=fault, environment=environment, disable=disable, state=state, close=port.close
    )


def inhabited(*, spec: ServiceSpec, clock: ManualClock) -> MemoryService:
    child = ChildProcess(pid=200, started=1.5, command="worker 1")
    return MemoryService(spec=spec, clock=clock, inside=(child,))


def on_bounds(fault: Fault, resource: str = "", **defects: object) -> World:
    def bounded(*, spec: ServiceSpec, clock: ManualClock) -> BoundedService:
        made = BoundedService(spec=spec, clock=clock, stressor_holds=64 * MIB)
        made.bounds("cpu").rate = 0.1
        made.dies_of_want = getattr(fault, "until", "") == "oom"
        return made

    world = on_service(fault, bounded, **defects)
    service = world.environment.service("db")
    assert isinstance(service, BoundedService)
    if resource == "":
        return world
    bounds = service.bounds(resource)  # type: ignore[arg-type]
    return replace(world, disable=lambda: setattr(bounds, "bites", False))


def filing(*, spec: ServiceSpec, clock: ManualClock) -> FilingService:
    return FilingService(spec=spec, clock=clock, drive=MemoryDisk(clock=clock))


def pair() -> Target:
    db = ServiceSpec(name="db", kind="redis")
    app = ServiceSpec(name="app", kind="app", program="p", needs=("db",))
    return Target(name="t", title="T", path=Path(), services=(db, app))


def on_edge(fault: Fault, **defects: object) -> World:
    environment = EdgedEnvironment(target=pair(), clock=ManualClock())
    edge = environment.edge(Edge(client="app", service="db"))
    environment.services["db"].count_accepted_connections = lambda: edge.accepted_connections

    def state() -> object:
        return edge.state(), edge.accepted_connections

    return World(
        fault=fault,
        environment=environment,
        disable=lambda: spoil(edge, defects),
        state=state,
    )


def on_network(fault: Fault) -> World:
    environment = NetworkedEnvironment(target=pair(), clock=ManualClock())
    return World(
        fault=fault,
        environment=environment,
        disable=lambda: setattr(environment, "works", False),
        state=lambda: [name for name, net in environment.networks.items() if net.chains],
    )


def on_http(fault: Fault) -> World:
    environment = RuledEnvironment(target=pair(), clock=ManualClock())
    edge = environment.edge(Edge(client=CLIENT, service="app"))
    return World(
        fault=fault,
        environment=environment,
        disable=lambda: setattr(edge, "rules_work", False),
        state=edge.rules,
    )


SERVERS: dict[int, MemoryRedis] = {}
"""The server in memory at each port, in the world that was made last."""


def on_redis(fault: Fault, **defects: object) -> World:
    keys = {f"kept:{n}": "x" for n in range(10)}
    db = MemoryRedis(keys=keys, traffic_bytes=200_000, streams={"s": []})
    copy = MemoryRedis(primary=db, clock=db.clock)
    SERVERS.clear()
    SERVERS.update({1: db, 2: copy})
    for kind in ("normal", "pubsub"):
        MemoryRedisLine(db).kind = kind
    specs = (
        ServiceSpec(name="db", kind="redis"),
        ServiceSpec(name="copy", kind="redis-replica", needs=("db",)),
    )
    services: dict[str, MemoryService] = {
        "db": RedisHouse(spec=specs[0], clock=db.clock, server=db),
        "copy": MemoryService(
            spec=specs[1], clock=db.clock, upstream=Endpoint(host="127.0.0.1", port=2)
        ),
    }
    target = Target(name="t", title="T", path=Path(), services=specs)
    environment = EdgedEnvironment(target=target, clock=db.clock, services=services)

    def state() -> object:
        return dict(db.settings), db.primary is None, copy.primary is db, dict(db.streams)

    return World(
        fault=fault,
        environment=environment,
        fakes=TECHNOLOGIES,
        disable=lambda: spoil(db, defects),
        state=state,
    )


def on_postgres(fault: Fault, **defects: object) -> World:
    db = MemoryPostgres()
    copy = MemoryPostgres(primary=db, clock=db.clock)
    for name in ("app-1", "billing"):
        db.open(name)
    specs = (
        ServiceSpec(name="db", kind="postgres"),
        ServiceSpec(name="copy", kind="postgres-replica", needs=("db",)),
    )
    services: dict[str, MemoryService] = {
        spec.name: PostgresHouse(spec=spec, clock=db.clock, server=server)
        for spec, server in zip(specs, (db, copy), strict=True)
    }
    target = Target(name="t", title="T", path=Path(), services=specs)
    environment = MemoryEnvironment(target=target, clock=db.clock, services=services)

    def disable() -> None:
        spoil(db, defects)
        spoil(copy, defects)

    def state() -> object:
        ours = [
            one.application for s in (db, copy) for one in s.sessions if OURS in one.application
        ]
        return ours, copy.standby, copy.timeline, copy.paused, db.setting, db.own, db.locked_by

    return World(
        fault=fault, environment=environment, fakes=TECHNOLOGIES, disable=disable, state=state
    )


BROKERS: list[MemoryBroker] = []
"""The broker in memory of the world that was made last."""


def on_rabbitmq(fault: Fault, **defects: object) -> World:
    clock, spec = ManualClock(), ServiceSpec(name="mq", kind="rabbitmq")
    house = BrokerHouse(spec=spec, clock=clock)
    mq = MemoryBroker(service=house)
    BROKERS[:] = [mq]
    target = Target(name="t", title="T", path=Path(), services=(spec,))
    environment = MemoryEnvironment(target=target, clock=clock, services={"mq": house})
    return World(
        fault=fault,
        environment=environment,
        fakes=TECHNOLOGIES,
        disable=lambda: spoil(mq, defects),
        state=lambda: (mq.runs, dict(mq.alarms), any(line.is_open for line in mq.lines)),
    )


class Rude(BaseHTTPRequestHandler):
    """Takes nothing that is posted."""

    def do_POST(self) -> None:
        self.send_response(400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be silent."""


@dataclass(slots=True, kw_only=True)
class AtPort(MemoryEnvironment):
    """An environment of which one port of this host is every proxy."""

    port: int

    def proxied(self, edge: Edge) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=self.port)


def on_http_server(fault: Fault) -> World:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rude)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    environment = AtPort(target=pair(), clock=ManualClock(), port=server.server_port)

    def close() -> None:
        server.shutdown()
        server.server_close()

    return World(fault=fault, environment=environment, close=close)


class MemoryDriver:
    """A load driver that records its operations as time passes, and has no process."""

    clock = ManualClock()
    obeys = True

    def __init__(self, streams: Sequence[StreamPlan], folder: Path, *_: object) -> None:
        (self._stream,) = streams
        self._folder = folder
        self._task: BackgroundTask | None = None
        self._recorder: Recorder | None = None

    def start(self) -> None:
        stream = self._stream
        info = StreamInfo(
            index=0, name=stream.name, rate_per_s=stream.rate_per_s, deadline_ns=stream.deadline_ns
        )
        self._recorder = Recorder(self._folder, run="r", streams=[info], capacity=10_000)

    def begin(self, start_ns: int) -> None:
        if self.obeys:
            self._task = self.clock.in_background(self._send(start_ns), "driver")

    def poll(self) -> None:
        """It lives."""

    def kill(self) -> None:
        if self._task is not None:
            self._task.end(0)
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _send(self, due_ns: int) -> Iterator[int]:
        while True:
            yield due_ns
            if self._recorder is None:
                return
            slot = self._recorder.due(0, self._recorder.rows + 1, due_ns)
            self._recorder.sent(slot, due_ns)
            self._recorder.done(slot, due_ns + MILLISECOND, Outcome.OK)
            due_ns += round(SECOND / self._stream.rate_per_s)


@dataclass(slots=True, kw_only=True)
class Host(MemoryEnvironment):
    """An environment that lends a folder."""

    folder: Path
    run: str = "r"

    def scratch(self) -> Path:
        made = self.folder / str(len(list(self.folder.iterdir())))
        made.mkdir()
        return made


FOLDERS: list[Path] = []


def on_driver(fault: Fault) -> World:
    clock = MemoryDriver.clock = ManualClock()
    MemoryDriver.obeys = True
    environment = Host(target=pair(), clock=clock, folder=FOLDERS[-1])
    return World(
        fault=fault,
        environment=environment,
        fakes=(__name__,),
        disable=lambda: setattr(MemoryDriver, "obeys", False),
    )


WORLDS: tuple[partial[World], ...] = (
    partial(on_service, Kill(target="db"), survives_signals=True),
    partial(on_service, Stop(target="db"), survives_signals=True),
    partial(on_service, Restart(target="db"), survives_signals=True),
    partial(on_service, CrashLoop(target="db", times=2), survives_signals=True),
    partial(on_service, Pause(target="db"), freezes=False),
    partial(on_service, Pause(target="db"), answers_frozen=True),
    partial(on_service, Remove(target="db"), removes=False),
    partial(on_service, Remove(target="db", volume="drop"), drops=False),
    partial(on_service, KillInside(target="db", pattern="w"), inhabited, inside_survives=True),
    partial(on_service, ClockOffset(target="db", offset_ns=-60 * SECOND), ClockedService, obeys=0),
    partial(on_service, ClockDrift(target="db", rate=1.5), ClockedService, obeys=0),
    partial(on_bounds, CpuLimit(target="db", cores=0.1), "cpu"),
    partial(on_bounds, CpuBurn(target="db", workers=2), gets=0.0),
    partial(on_bounds, MemoryLimit(target="db", limit_bytes=64 * MIB), "memory"),
    partial(on_bounds, MemoryBurn(target="db", size_bytes=64 * MIB), stressor_holds=0),
    partial(on_bounds, MemoryBurn(target="db", size_bytes=64 * MIB, until="oom"), "memory"),
    partial(on_bounds, PidsLimit(target="db", free=8), "pids"),
    partial(on_service, FileDescriptors(target="db", free=3), filing, obeys=False),
    partial(on_service, FileDescriptors(target="db", free=3), filing, serves_beyond=True),
    partial(on_service, IoThrottle(target="db", write_bytes_per_s=1_000_000), filing),
    partial(on_service, DiskFill(target="db"), DataDirService, fills=False),
    partial(on_service, DiskFill(target="db", fill=0.75), DataDirService, fills=False),
    partial(on_service, ReadOnlyData(target="db"), DataDirService, refuses_writes=False),
    partial(on_edge, Latency(target=EDGE, delay_ns=50 * MILLISECOND), works=False),
    partial(on_edge, Latency(target=EDGE, delay_ns=2 * SECOND, stream="upstream"), works=False),
    partial(on_edge, Bandwidth(target=EDGE, rate_bytes_per_s=64_000), works=False),
    partial(on_edge, Bandwidth(target=EDGE, rate_bytes_per_s=0), works=False),
    partial(on_edge, Blackhole(target=EDGE), works=False),
    partial(on_edge, Blackhole(target=EDGE, stream="downstream"), works=False),
    partial(on_edge, Refuse(target=EDGE), works=False),
    partial(on_edge, Reset(target=EDGE), works=False),
    partial(on_edge, Slice(target=EDGE, size_bytes=50), works=False),
    partial(on_edge, Slice(target=EDGE, size_bytes=64, stream="upstream"), works=False),
    partial(on_edge, ByteLimit(target=EDGE, after_bytes=4_000), works=False),
    partial(on_edge, ByteLimit(target=EDGE, after_bytes=4_000, stream="upstream"), works=False),
    partial(on_edge, SlowClose(target=EDGE, delay_ns=100 * MILLISECOND), works=False),
    partial(on_edge, SlowClose(target=EDGE, delay_ns=SECOND, stream="both"), works=False),
    partial(on_edge, Flap(target=EDGE, down_ns=SECOND, up_ns=SECOND), works=False),
    partial(on_edge, HalfOpen(target=EDGE), works=False),
    partial(on_edge, HalfOpen(target=EDGE, stream="upstream"), works=False),
    partial(on_edge, ConnectionFlood(target=EDGE, count=40), works=False),
    partial(on_edge, Partition(target="db | app", direction="in"), works=False),
    partial(on_edge, Partition(target="db | app"), works=False),
    partial(on_network, Partition(target="db | app", direction="out")),
    partial(on_network, Partition(target="db | app")),
    partial(on_network, Partition(target="db | app", down_ns=SECOND, up_ns=SECOND)),
    partial(on_network, PacketLoss(target=EDGE, share=0.2)),
    partial(on_network, PacketLoss(target=EDGE, share=1.0, stream="upstream")),
    partial(on_http, HttpStatus(target="client -> app", status=503)),
    partial(on_http, HttpStatus(target="client -> app", status=429, path="/orders", share=0.25)),
    partial(on_http, HttpAbort(target="client -> app")),
    partial(on_http, HttpDelay(target="client -> app", delay_ns=50 * MILLISECOND)),
    partial(on_http, HttpBody(target="client -> app", body="{}")),
    partial(on_http, HttpBody(target="client -> app", body="", method="POST", path="/orders/*")),
    partial(on_driver, Surge(target="app", rate_per_s=100.0)),
    partial(on_http_server, MalformedPayload(target="app")),
    partial(on_redis, ClientKill(target="db"), kills=False),
    partial(on_redis, ClientKill(target="db", clients="pubsub"), kills=False),
    partial(on_redis, ClientKill(target="db", interval_ns=SECOND), kills=False),
    partial(on_redis, Failover(target="db", to="copy"), swaps=False),
    partial(on_redis, MaxMemory(target="db", of_used=0.5), minds_limit=False),
    partial(
        on_redis,
        MaxMemory(target="db", limit_bytes=1_000_050, policy="allkeys-lru"),
        minds_limit=False,
    ),
    partial(on_redis, ScriptBusy(target="db"), busies=False),
    partial(on_redis, PersistenceOff(target="db"), keeps_writing=True),
    partial(on_redis, PoisonMessage(target="db", to="s", times=2), forgets_entries=True),
    partial(on_redis, SlowConsumer(target="db", channel="news"), keeps=0.4),
    partial(on_postgres, TerminateBackends(target="db"), terminates=False),
    partial(on_postgres, LockTable(target="db", table="orders"), locks=False),
    partial(on_postgres, ConnectionCap(target="db"), refuses=False),
    partial(on_postgres, ConnectionCap(target="db", free=3), refuses=False),
    partial(on_postgres, Promote(target="copy"), promotes=False),
    partial(on_postgres, StopReplay(target="copy"), pauses=False),
    partial(on_postgres, AsyncCommit(target="db"), early=False),
    partial(on_rabbitmq, CloseConnections(target="mq"), closes=False),
    partial(on_rabbitmq, CloseConnections(target="mq", user="ann"), closes=False),
    partial(on_rabbitmq, MemoryAlarm(target="mq"), blocks=False),
    partial(on_rabbitmq, DiskAlarm(target="mq"), alarms_come=False),
    partial(on_rabbitmq, StopApp(target="mq"), stops=False),
    partial(on_rabbitmq, QueuePurge(target="mq", queue="orders"), purges=False),
    partial(on_rabbitmq, ConsumerCancel(target="mq", queue="orders"), cancels=False),
)


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let faults that dial a server themselves meet one in memory."""

    def dial(endpoint: Endpoint, login: Login, receive_bytes: int = 0) -> MemoryRedisLine:
        return MemoryRedisLine(SERVERS[2 if endpoint.port == 2 else 1])

    def server_of(environment: Environment, name: str) -> MemoryPostgres:
        house = environment.service(name)
        assert isinstance(house, PostgresHouse)
        return house.server

    monkeypatch.setattr(connection, "dial", dial)
    sql = (async_commit, connection_cap, lock_table, promote, stop_replay, terminate_backends)
    for module in sql:
        monkeypatch.setattr(module, "server_of", server_of)
    monkeypatch.setattr(broker, "AmqpBroker", lambda *_: BROKERS[0])
    monkeypatch.setattr(surge, "LoadDriver", MemoryDriver)
    FOLDERS.append(tmp_path)


def named(make: partial[World]) -> str:
    """Return the verb, the settings that are not the usual ones, and the defects."""
    fault: Fault = make.args[0]
    changed = [
        str(getattr(fault, field.name))
        for field in fields(fault)  # type: ignore[arg-type]  # every fault is a dataclass
        if field.name != "target" and getattr(fault, field.name) != field.default
    ]
    return " ".join([fault.verb, *changed, *make.keywords])


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", WORLDS, ids=named)
def test_every_fault_keeps_the_contract(make: partial[World], check: Check) -> None:
    check(make)


def test_every_registered_fault_has_a_world() -> None:
    worlds = [make() for make in WORLDS]
    for world in worlds:
        world.close()
    assert {world.fault.verb for world in worlds} == set(FAULTS)
