"""gameday's own proxy beside the real Toxiproxy and haproxy, in one interleaved run on loopback.

    python -m benchmarks.proxy [--rounds N] [--blackhole SECONDS]

Each round measures every contender in turn, so that a change of the host's load meets them all.
A figure is the median of its rounds. `direct` is the same client without a proxy. Requests are
those of redis-benchmark to a redis-server; a round trip is that of one such request, 1000 times a
second. What a delay is over by is counted from its length and the undelayed round trip of the same
proxy in the same round, and its quantiles are those of all rounds together.

Below are the goals, each with a value, the interval that it is in nine times out of ten if the
rounds are drawn anew from these, and what follows: met, missed, or that this run cannot tell,
because the interval lies on both sides of the goal or, for a latency, because the path without a
proxy is itself too unsteady.

The last row of figures is how long a new connection takes to be answered once the upstream is back
from a blackhole, during which a client opened one every 0.5 s. For that the benchmark starts itself
again in a network namespace of its own, where iptables drops every packet to the upstream. The
namespace is gone with its processes; nothing outside of it is touched.
"""

import argparse
import asyncio
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil
from benchmarks.proxy_contest import (
    ANSWER,
    BULK_BYTES,
    REQUEST,
    Address,
    Route,
    connect,
    contest,
)
from benchmarks.proxy_goals import (
    Figures,
    Round,
    Rounds,
    quantile,
    recovery_verdict,
    summed_up,
    verdicts,
)

from gameday.edge.servers import ProxyControl

REQUESTS = {1: 5_000, 16: 25_000}
"""How many are sent over that many connections."""
PACED_RATE = 1000
PACED_S = 1.0
DELAY_SAMPLES = {5: 600, 20: 400, 50: 100}
"""By the delay in ms: so many that single stalls of the host do not make the p99 of the first."""
UNDELAYED_SAMPLES = 15
NEW_CONNECTION_S = 0.5
RECOVERY_LIMIT_S = 25.0

NEEDED = ("redis-server", "redis-benchmark")


def bulk_mb_s(address: Address) -> float:
    buffer = bytearray(1024 * 1024)
    with connect(address) as connection:
        start = time.perf_counter()
        total = 0
        while count := connection.recv_into(buffer):
            total += count
        took = time.perf_counter() - start
    assert total == BULK_BYTES, f"{total} bytes came of {BULK_BYTES}"
    return total / took / 1e6


def requests_s(address: Address, connections: int) -> float:
    """Let redis-benchmark ask, each connection again as soon as it is answered."""
    number = REQUESTS[connections]
    command = ["redis-benchmark", "-h", address[0], "-p", str(address[1]), "--csv"]
    command += ["-c", str(connections), "-n", str(number), "GET", "k"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return float(next(csv.DictReader(done.stdout.splitlines()))["rps"])


def round_trips_us(address: Address, count: int, period_s: float) -> list[float]:
    """Time one round trip every `period_s`, each from when it was due."""
    trips: list[float] = []
    with connect(address) as connection:
        start = time.perf_counter()
        for number in range(count):
            due = start + number * period_s
            while (early := due - time.perf_counter()) > 0:
                if early > 0.0003:
                    time.sleep(early - 0.0002)
            connection.sendall(REQUEST)
            got = 0
            while got < len(ANSWER):
                got += len(connection.recv(len(ANSWER) - got))
            trips.append((time.perf_counter() - due) * 1e6)
    return trips


def measure(path: Route, pid: int | None = None) -> Figures:
    """Measure a path; `pid` is the proxy on it, whose CPU time is charged."""
    paced = round_trips_us(path.requests, int(PACED_RATE * PACED_S), 1 / PACED_RATE)
    figures = {
        "round trip p50, us": quantile(paced, 0.5),
        "round trip p99, us": quantile(paced, 0.99),
    }
    before = cpu_s(pid)
    figures["bulk MB/s"] = bulk_mb_s(path.bulk)
    bulk_cpu_s = cpu_s(pid) - before
    figures["1 connection, requests/s"] = requests_s(path.requests, 1)
    before = cpu_s(pid)
    figures["16 connections, requests/s"] = requests_s(path.requests, 16)
    if pid is not None:
        # Of these figures alone a busy host changes little.
        figures["CPU for 1 GB, ms"] = bulk_cpu_s * 1000 / (BULK_BYTES / 1e9)
        figures["CPU for 1 000 requests, ms"] = (cpu_s(pid) - before) * 1e6 / REQUESTS[16]
    return figures


def cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def measure_delay(control: ProxyControl, address: Address, ms: int, count: int) -> list[float]:
    """Give by how much each round trip was later than the delay makes it."""
    # At the same pace: a processor that had time to sleep takes longer to answer.
    period_s = ms * 1.2 / 1000 + 0.002
    plain_us = median(round_trips_us(address, UNDELAYED_SAMPLES, period_s))
    toxic = control.add_latency("requests", "downstream", ms, 0)
    try:
        trips = round_trips_us(address, count, period_s)
    finally:
        control.remove_toxic("requests", toxic)
    return [trip - ms * 1000 - plain_us for trip in trips]


def run(rounds: int) -> Rounds:
    """Return all rounds by contender."""
    seen: Rounds = {}
    with contest() as (direct, contenders):
        for number in range(rounds):
            seen.setdefault("direct", []).append(Round(measure(direct)))
            # The order alternates: who is measured first after `direct` has no advantage.
            for name in list(contenders)[:: 1 if number % 2 else -1]:
                contender = contenders[name]
                one = Round(measure(contender.path, contender.pid))
                if contender.control is not None:
                    for ms, samples in DELAY_SAMPLES.items():
                        one.over_us[ms] = measure_delay(
                            contender.control, contender.path.requests, ms, -(-samples // rounds)
                        )
                seen.setdefault(name, []).append(one)
    for name, all_rounds in seen.items():
        for one, plain in zip(all_rounds, seen["direct"], strict=True):
            for share in ("p50", "p99") if name != "direct" else ():
                trip = f"round trip {share}, us"
                one.figures[f"added latency {share}, us"] = one.figures[trip] - plain.figures[trip]
    return seen


def blackhole(seconds: float) -> dict[str, float]:
    """Return by contender how long it takes to recover from `seconds` without an upstream."""
    # Here is the same program in a network of its own; another user is root in one of his own.
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    inside = [sys.executable, "-m", "benchmarks.proxy", "--inside", f"{seconds:g}"]
    try:
        done = subprocess.run(
            ["unshare", "--net", *rights, "--", *inside],
            cwd=Path(__file__).resolve().parent.parent,
            capture_output=True,
            text=True,
            timeout=seconds + RECOVERY_LIMIT_S + 20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said: object = getattr(error, "stderr", None) or error
        print(f"no blackhole, for want of unshare, ip or iptables: {str(said).strip()}")
        return {}
    recovered: dict[str, float] = json.loads(done.stdout)
    return recovered


def blackhole_inside(seconds: float) -> dict[str, float]:
    """Drop every packet to the upstream for `seconds`, in the network that is only ours."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=5)
    with contest() as (direct, contenders):
        rule = ["INPUT", "-p", "tcp", "--dport", str(direct.requests[1]), "-j", "DROP"]
        paths = {name: each.path.requests for name, each in contenders.items()}
        paths["direct"] = direct.requests
        return asyncio.run(_recoveries(paths, seconds, rule))


async def _recoveries(
    paths: dict[str, Address], seconds: float, rule: list[str]
) -> dict[str, float]:
    tasks: list[asyncio.Task[None]] = []
    answered: dict[str, float] = {}
    healed = 0.0

    async def connection(name: str, address: Address, opened: float) -> None:
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(REQUEST)
            await reader.readexactly(len(ANSWER))
        finally:
            writer.close()
        if healed and opened >= healed:
            answered.setdefault(name, time.monotonic() - healed)

    async def open_until(done: Callable[[], bool]) -> None:
        while not done():
            now = time.monotonic()
            for name, address in paths.items():
                tasks.append(asyncio.create_task(connection(name, address, now)))
            await asyncio.sleep(NEW_CONNECTION_S)

    subprocess.run(["iptables", "-A", *rule], check=True, timeout=5)
    start = time.monotonic()
    await open_until(lambda: time.monotonic() - start >= seconds)
    subprocess.run(["iptables", "-D", *rule], check=True, timeout=5)
    healed = time.monotonic()
    give_up = healed + RECOVERY_LIMIT_S
    await open_until(lambda: len(answered) == len(paths) or time.monotonic() > give_up)
    for task in tasks:
        task.cancel()
    # Most of them were reset or are cancelled: that is what a blackhole does.
    await asyncio.gather(*tasks, return_exceptions=True)
    return {name: answered.get(name, RECOVERY_LIMIT_S) for name in paths}


def table(results: dict[str, Figures]) -> str:
    rows = [["", *results]]
    for figure in results["gameday"]:
        digits = 2 if figure.endswith(", s") else 0
        row = [f"{all_[figure]:,.{digits}f}" if figure in all_ else "" for all_ in results.values()]
        rows.append([figure, *row])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, choices=range(1, 21), metavar="1..20")
    parser.add_argument(
        "--blackhole", type=float, default=20, metavar="SECONDS", help="0 leaves it out"
    )
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        print(json.dumps(blackhole_inside(options.inside)))
        return
    absent = [program for program in NEEDED if shutil.which(program) is None]
    if absent:
        parser.error(f"not on PATH: {', '.join(absent)}")
    seen = run(options.rounds)
    recovery = f"recovery after a {options.blackhole:g} s blackhole, s"
    results = {name: summed_up(rounds) for name, rounds in seen.items()}
    if options.blackhole:
        for name, recovery_s in blackhole(options.blackhole).items():
            results[name][recovery] = recovery_s
    print(table(results))
    print("goals, with the interval that the value is in nine times out of ten:")
    print("\n".join(verdicts(seen)))
    if recovery in results["gameday"]:
        print(recovery_verdict(results["gameday"][recovery], results["direct"][recovery]))


if __name__ == "__main__":
    main()
