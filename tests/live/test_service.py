"""What clients got decides about service: errors, silence and a relapse are told as they were."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.alone]

LIMIT_S = 120
SCENARIO = """
scenario: service
title: Clients get less than they were promised
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 200/s, deadline: 1s}
steady: {success: ">= 99%", p99: "<= 500ms", for: 2s}
timeline: {baseline: 2s, recovery: 30s, quiet: 1s}
faults: FAULTS
expect:
  - availability: ">= 99%"
  - outage: "<= 1s"
  - lost: "== 0"
"""
ERRORS = "[{http-status: client -> relay, status: 500, for: 3s}]"
SILENCE = "[{blackhole: client -> relay, for: 3s}]"
RELAPSE = """
  - {latency: listener -> redis, delay: 20ms, for: 6s}
  - {http-status: client -> relay, status: 503, at: 500ms, for: 200ms}
  - {http-status: client -> relay, status: 503, at: 2500ms, for: 2s}
"""


@pytest.mark.sample("relapse")
@pytest.mark.parametrize(
    ("faults", "outage_s", "words"),
    [
        (ERRORS, 3.0, "got an error, 0 got nothing by their deadline"),
        (SILENCE, 3.0, "got nothing by their deadline"),
        (RELAPSE, 2.0, "got an error, 0 got nothing by their deadline"),
    ],
    ids=["errors", "silence", "relapse"],
)
def test_clients_that_were_not_served_make_the_run_fail(
    launch: Callable[[Path, list[str]], "subprocess.Popen[str]"],
    tmp_path: Path,
    faults: str,
    outage_s: float,
    words: str,
) -> None:
    (tmp_path / "service.yaml").write_text(SCENARIO.replace("FAULTS", faults))
    process = launch(tmp_path, ["--scenario=./service.yaml", "--gameday-runtime=process"])
    output, _ = process.communicate(timeout=LIMIT_S)
    reports = list(tmp_path.glob("reports/*/result.json"))
    assert len(reports) == 1, output
    (report,) = reports
    result = json.loads(report.read_text())
    assert result["verdict"] == "FAIL", output
    assert "= 1 failed in " in output
    judged = {one["name"]: one["verdict"] for one in result["expectations"]}
    assert judged == {"availability": "FAIL", "outage": "FAIL", "lost": "PASS"}
    found = {finding["name"]: finding for finding in result["findings"]}
    available = found["availability"]
    assert available["low"] == available["value"] == available["high"]
    assert words in available["evidence"]
    assert outage_s <= found["outage"]["high"] / 1e9
    assert found["outage"]["low"] / 1e9 < outage_s + 0.5
    apart = 2 if faults is RELAPSE else 1
    assert sum(outage["failed"] > 10 for outage in result["outages"]) == apart, result["outages"]
