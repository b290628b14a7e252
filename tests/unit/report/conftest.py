"""A realistic run for every report: 5 s of baseline, Redis away for 2 s, users served after 3 s."""

import random

import pytest

from gameday.model.event import (
    EffectProven,
    Event,
    FaultInjected,
    FaultUndone,
    Note,
    Phase,
    PhaseEntered,
    Progress,
    ServiceUp,
    UndoProven,
    UndoRecorded,
)
from gameday.model.finding import Finding
from gameday.model.result import FaultRecord, Marks, Result, TimeSeries, Window
from gameday.model.units import Unit
from gameday.model.verdict import Judgement, Verdict

MS = 1_000_000
S = 1_000_000_000


def _series() -> TimeSeries:
    """200 operations a second in slots of 100 ms, from 1.2 s to 16.2 s; an outage at 6.2 s."""
    draw = random.Random(7)
    ok, failed, unknown, p50, p99 = [], [], [], [], []
    for slot in range(150):
        at = slot / 10
        out = 5.0 <= at < 8.1
        lost = 6 if 5.0 <= at < 5.1 else 20 if out else 0
        maybe = 14 if 5.0 <= at < 5.1 else draw.choice((0, 0, 0, 2)) if out else 0
        served = 20 - lost if not out else 0
        ok.append(served)
        unknown.append(min(maybe, 20 - served))
        failed.append(20 - served - unknown[-1])
        warm = 1 + 6 * max(0.0, 1 - (at - 8.1) / 1.2) if at >= 8.1 else 1
        median = round(draw.uniform(1.6, 2.4) * MS * warm)
        p50.append(median if served else None)
        p99.append(round(median * draw.uniform(2.0, 4.5)) if served else None)
    return TimeSeries(
        start_ns=1_200 * MS,
        slot_ns=100 * MS,
        ok=tuple(ok),
        failed=tuple(failed),
        unknown=tuple(unknown),
        p50_ns=tuple(p50),
        p99_ns=tuple(p99),
    )


def _time(name: str, value: float, width: float, evidence: str) -> Finding:
    return Finding(
        name=name,
        value=value,
        low=value - width,
        high=value + width,
        unit=Unit.NS,
        samples=3000,
        resolution=5 * MS,
        evidence=evidence,
    )


def _findings() -> tuple[Finding, ...]:
    return (
        _time("detect", 4 * MS, 3 * MS, "first failure 4 ms after the pid was gone"),
        _time("outage", 3_102 * MS, 5 * MS, "620 operations due in it, none served"),
        _time("recovery", 4_316 * MS, 8 * MS, "steady again for 5 s"),
        _time("recovery_after_heal", 2_210 * MS, 8 * MS, "steady again for 5 s"),
        _time("stabilise", 1_204 * MS, 8 * MS, "steady again for 5 s"),
        Finding(
            name="availability",
            value=0.7933,
            low=0.7893,
            high=0.7973,
            unit=Unit.RATIO,
            samples=3000,
            resolution=1 / 3000,
            evidence="2 380 of 3 000 served, 24 unknown",
        ),
        _time("p99", 8.2 * MS, 0.4 * MS, "2 380 operations served"),
        Finding.count("lost", 3, samples=2380, evidence="ids 1003, 1004, 1005 were acknowledged"),
        Finding.count("unknown", 24, samples=3000, evidence="no reply within the deadline"),
        Finding.unmeasured("rpo", Unit.NS, "the final read has no times"),
        Finding(
            name="failover",
            value=float("inf"),
            low=30.0 * S,
            high=float("inf"),
            unit=Unit.NS,
            samples=12,
            resolution=5 * MS,
            evidence="no standby took over",
        ),
    )


def _result() -> Result:
    phases = (
        ("load", 0, 20),
        ("plan", 20, 60),
        ("start", 60, 1_200),
        ("baseline", 1_200, 6_200),
        ("break", 6_200, 8_310),
        ("recover", 8_310, 15_520),
        ("settle", 15_520, 17_520),
        ("analyse", 17_520, 17_700),
        ("judge", 17_700, 17_710),
    )
    return Result(
        scenario="redis-restart",
        title="Redis restarts while signals are streaming",
        verdict=Verdict.FAIL,
        reason="arbees/no-message-loss: 3 acknowledged signals were lost, wanted 0",
        runtime="process",
        seed=424242,
        parameters={"outage": "2s"},
        started_at="2026-11-23T01:42:16Z",
        host={"cpus": 2, "kernel": "6.1.0", "steal": 0.002},
        faults=(
            FaultRecord(
                fault="kill",
                target="redis",
                asked={"for": "2s", "signal": "SIGKILL"},
                measured={"exit_signal": 9, "gone_after_ns": 2 * MS},
                proven=True,
                undone=True,
                window=Window(start_ns=6_200 * MS, end_ns=8_220 * MS),
            ),
        ),
        findings=_findings(),
        expectations=(
            Judgement(
                name="arbees/mttr",
                wanted="< 2min",
                seen="4.32 s (4.31 s to 4.32 s)",
                margin="116 s",
                verdict=Verdict.PASS,
                sla="arbees/mttr",
                source="002_576c939d27691360.txt, Success Metrics / Operational Metrics",
                severity="critical",
            ),
            Judgement(
                name="arbees/no-message-loss",
                wanted="== 0",
                seen="3",
                margin="-3",
                verdict=Verdict.FAIL,
                sla="arbees/no-message-loss",
                source="002_576c939d27691360.txt, Success Criteria",
                severity="blocker",
            ),
            Judgement(
                name="availability",
                wanted=">= 79.5%",
                seen="79.33 % (78.93 % to 79.73 %)",
                margin="-0.17 %",
                verdict=Verdict.INCONCLUSIVE,
            ),
        ),
        marks=Marks(
            t0=6_200 * MS,
            t1=6_202 * MS,
            t2=6_206 * MS,
            t3=8_202 * MS,
            t4=8_306 * MS,
            t5=9_308 * MS,
            t6=10_516 * MS,
        ),
        phases={name: Window(start_ns=a * MS, end_ns=b * MS) for name, a, b in phases},
        series=_series(),
        steady={"success": ">= 99%", "p99": "<= 100ms"},
        proxy_share=_time("proxy_share", 0.2 * MS, 0.1 * MS, "front minus direct"),
        folder="reports/20261123T014216Z-redis-restart",
    )


@pytest.fixture(scope="session")
def result() -> Result:
    """Return what the run came to."""
    return _result()


@pytest.fixture(scope="session")
def events() -> list[Event]:
    """Return the events of the same run, 100 s after the host's clock began."""
    at, target = 100 * S, {"step": 0, "fault": "kill", "target": "redis"}

    def entered(offset_ms: int, phase: Phase) -> Event:
        return PhaseEntered(at_ns=at + offset_ms * MS, phase=phase)

    def progress(offset_ms: int, phase: Phase, success: float) -> Event:
        return Progress(
            at_ns=at + offset_ms * MS,
            phase=phase,
            operations=offset_ms // 5,
            per_s=200.0,
            success=success,
            p99_ns=4 * MS,
        )

    broken = Phase.BREAK
    return [
        entered(0, Phase.LOAD),
        entered(20, Phase.PLAN),
        entered(60, Phase.START),
        ServiceUp(
            at_ns=at + 700 * MS,
            phase=Phase.START,
            service="redis",
            took_ns=640 * MS,
            evidence="PONG, and a SET was confirmed",
        ),
        entered(1_200, Phase.BASELINE),
        *(progress(ms, Phase.BASELINE, 1.0) for ms in range(1_700, 6_200, 500)),
        entered(6_200, broken),
        UndoRecorded(
            at_ns=at + 6_199 * MS,
            phase=broken,
            step=0,
            fault="kill",
            target="redis",
            undo="start redis",
        ),
        FaultInjected(
            at_ns=at + 6_201 * MS,
            phase=broken,
            called_ns=at + 6_200 * MS,
            returned_ns=at + 6_201 * MS,
            asked={"for": "2s", "signal": "SIGKILL"},
            **target,  # type: ignore[arg-type]
        ),
        EffectProven(
            at_ns=at + 6_202 * MS,
            phase=broken,
            proven=True,
            measured={"exit_signal": 9, "gone_after_ns": 2 * MS},
            **target,  # type: ignore[arg-type]
        ),
        *(progress(ms, broken, 0.0) for ms in range(6_700, 8_200, 500)),
        FaultUndone(
            at_ns=at + 8_220 * MS,
            phase=broken,
            called_ns=at + 8_202 * MS,
            returned_ns=at + 8_220 * MS,
            **target,  # type: ignore[arg-type]
        ),
        UndoProven(
            at_ns=at + 8_306 * MS,
            phase=broken,
            proven=True,
            measured={"write_confirmed": True},
            **target,  # type: ignore[arg-type]
        ),
        entered(8_310, Phase.RECOVER),
        *(progress(ms, Phase.RECOVER, 1.0) for ms in range(8_700, 15_500, 500)),
        entered(15_520, Phase.SETTLE),
        Note(at_ns=at + 15_600 * MS, phase=Phase.SETTLE, text="reading the ledger"),
        entered(17_520, Phase.ANALYSE),
        entered(17_700, Phase.JUDGE),
    ]
