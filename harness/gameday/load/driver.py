"""The load driver's process: `python -m gameday.load.driver`, started by `load.LoadDriver`.

It reads one line, a `DriverSpec`, answers {"ready": true, "pid": n}, and then takes the lines
{"begin_at_ns": n} and {"stop": true}. Its last line is {"done": true, …}, a `DriverReport`.
The end of its input stops it too, so load never outlives the run that asked for it.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict

from gameday.host.child import cap_stderr
from gameday.load.client import Client, Terms, load_client
from gameday.load.messages import DriverReport, DriverSpec, StreamPlan
from gameday.load.pacer import Pacer, Schedule
from gameday.load.recorder import LATENESS, Recorder
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.operation import StreamInfo
from gameday.proxy.timer import DeadlineTimer

__all__ = ["main"]

# What an operation may take beyond its deadline until the sweeper has ended it.
_SWEEP_GRACE_NS = SECOND // 2
_LONGEST_LINE = 1 << 20
_LATE_NS = MILLISECOND
_OTHER_DESCRIPTORS = 64
# Linux gives 28 232 ports towards one address; a connection that was closed keeps its own a while.
_MOST_CONNECTIONS = 16_384


class _Input:
    """The lines of standard input: it waits for the first, and polls for the others."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data = b""

    def first(self) -> bytes:
        """Return the first line; empty when the input ended before it was whole."""
        while b"\n" not in self._data and len(self._data) < _LONGEST_LINE:
            data = os.read(self._fd, 1 << 16)
            if not data:
                return b""
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        return line

    def listen(self, obey: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """Call `obey` with every further line, and `end` when the input ends."""
        os.set_blocking(self._fd, False)
        loop = asyncio.get_running_loop()

        def lines() -> None:
            *whole, self._data = self._data.split(b"\n")
            for line in whole:
                obey(line)

        def read() -> None:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return
            self._data += data
            lines()
            if not data or len(self._data) > _LONGEST_LINE:
                loop.remove_reader(self._fd)
                end()

        lines()
        loop.add_reader(self._fd, read)


class _Load:
    """The streams of one run, from when their clients are set up until the last answer."""

    def __init__(self, spec: DriverSpec) -> None:
        self._spec = spec
        self._recorder = Recorder(
            spec.folder,
            run=spec.run,
            capacity=spec.capacity,
            streams=[
                StreamInfo(
                    index=index,
                    name=plan.name,
                    rate_per_s=plan.rate_per_s,
                    deadline_ns=plan.deadline_ns,
                )
                for index, plan in enumerate(spec.streams)
            ],
        )
        most = connections_allowed(_raise_descriptor_limit(), len(spec.streams))
        self._clients = [
            _client(plan, spec, self._recorder, most, self._held) for plan in spec.streams
        ]
        self._schedules: list[Schedule] = []
        self._pacer: Pacer | None = None
        self._timer: DeadlineTimer | None = None
        self._lateness = array("q")
        self._late = array("q")
        self._holds = 0
        self._began = (0, 0)

    async def warm_up(self) -> None:
        await asyncio.gather(*(client.warm_up() for client in self._clients))

    def begin(self, at_ns: int) -> None:
        """Offer the first operation of each stream at `at_ns`; a second beginning is ignored."""
        if self._pacer is not None:
            return
        self._schedules = [
            Schedule(start_ns=at_ns, rate_per_s=plan.rate_per_s) for plan in self._spec.streams
        ]
        self._recorder.begin(at_ns)
        self._pacer = Pacer(self._schedules, self._fire, limit=self._recorder.capacity)
        self._timer = DeadlineTimer(asyncio.get_running_loop(), ahead_ns=0)
        # What lives now lives to the end: no collection has to look at it again.
        gc.collect()
        gc.freeze()
        self._began = (time.monotonic_ns(), time.process_time_ns())
        self._pacer.run(self._timer)

    async def finish(self) -> DriverReport:
        """Offer nothing more, wait for what is out until its deadline, and end the history."""
        now_ns = time.monotonic_ns()
        offered = sum(schedule.due_by(now_ns) for schedule in self._schedules)
        wall_ns, cpu_ns = now_ns - self._began[0], time.process_time_ns() - self._began[1]
        if self._pacer is not None and self._timer is not None:
            # What came due while the command to stop was on its way was offered, and is sent.
            self._pacer.wake()
            self._pacer.stop()
            self._timer.close()
        longest_ns = max((plan.deadline_ns for plan in self._spec.streams), default=0)
        give_up_ns = time.monotonic_ns() + longest_ns + _SWEEP_GRACE_NS
        while any(c.outstanding for c in self._clients) and time.monotonic_ns() < give_up_ns:
            await asyncio.sleep(0.005)
        for client in self._clients:
            client.close()
        self._recorder.close()
        (self._spec.folder / LATENESS).write_bytes(self._late.tobytes())
        late = sorted(self._lateness) or [0]
        return DriverReport(
            offered=max(offered, self._recorder.rows),
            rows=self._recorder.rows,
            cpu_share=cpu_ns / wall_ns if self._pacer is not None and wall_ns > 0 else 0.0,
            lateness_p50_ns=late[len(late) // 2],
            lateness_p99_ns=late[len(late) * 99 // 100],
            lateness_max_ns=late[-1],
            held=self._holds,
        )

    def _fire(self, stream: int, index: int, due_ns: int) -> None:
        value = index + 1
        slot = self._recorder.due(stream, value, due_ns)
        now_ns = time.monotonic_ns()
        self._note_late(now_ns, now_ns - due_ns)
        self._clients[stream].offer(slot, value, due_ns)

    def _held(self, at_ns: int, took_ns: int) -> None:
        """Note an operation that was taken up in time, and then waited for the driver itself."""
        self._holds += 1
        self._note_late(at_ns, took_ns)

    def _note_late(self, at_ns: int, late_ns: int) -> None:
        self._lateness.append(late_ns)
        if late_ns > _LATE_NS:
            self._late.extend((at_ns, late_ns))


def connections_allowed(descriptors: int, streams: int) -> int:
    """Return how many connections each of so many streams may open.

    Half of the descriptors: the proxies, which have as many, need two for each connection.
    """
    return max(
        1, min(_MOST_CONNECTIONS, (descriptors - _OTHER_DESCRIPTORS) // 2 // max(1, streams))
    )


def _raise_descriptor_limit() -> int:
    """Allow as many sockets as the system does, and return how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def _client(
    plan: StreamPlan,
    spec: DriverSpec,
    recorder: Recorder,
    most: int,
    held: Callable[[int, int], None],
) -> Client:
    # Resolved once: a look-up for each connection would be part of what is measured.
    address = socket.getaddrinfo(plan.host, plan.port, type=socket.SOCK_STREAM)[0][4][0]
    most = min(most, plan.connections or plan.needs)
    terms = Terms(run=spec.run, address=str(address), most=most, held=held)
    return load_client(spec.clients[plan.client]).open(plan, recorder, terms)


async def _run(spec: DriverSpec, commands: _Input) -> None:
    stop = asyncio.Event()
    sys.path.extend(folder for folder in spec.path if folder not in sys.path)
    load = _Load(spec)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def obey(line: bytes) -> None:
        command = json.loads(line)
        if "begin_at_ns" in command:
            load.begin(command["begin_at_ns"])
        if command.get("stop"):
            stop.set()

    await load.warm_up()
    _say({"ready": True, "pid": os.getpid()})
    commands.listen(obey, stop.set)
    await stop.wait()
    report = await load.finish()
    _say({"done": True, **asdict(report)})


def _say(message: dict[str, object]) -> None:
    # Whoever asked may be gone; the history is ended all the same.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")


def main() -> None:
    """Run the driver until it is told to stop or its input ends."""
    # Ctrl-C goes to the whole terminal; the run that is stopped by it tells the driver itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cap_stderr()
    commands = _Input(sys.stdin.fileno())
    line = commands.first()
    if line:
        asyncio.run(_run(DriverSpec.from_json(line), commands))


if __name__ == "__main__":
    main()
