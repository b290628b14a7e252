"""A whole run in which every second request is refused: who asks for it gets the verdict."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.alone]

LIMIT_S = 120
SCENARIO = """
scenario: half-refused
title: The front of the relay answers every second signal with 503
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 200/s, deadline: 1s}
steady: {success: ">= 99%", p99: "<= 500ms", for: 1s}
timeline: {baseline: 2s, recovery: 10s, quiet: 1s}
faults:
  - http-status: client -> relay
    status: 503
    method: POST
    path: /signals
    share: 50%
    at: 0s
    for: 5s
expect:
  - availability: ">= 90%"
  - lost: "== 0"
"""


@pytest.mark.sample("process")
def test_half_of_the_signals_are_refused_and_the_availability_fails(
    launch: Callable[[Path, list[str]], "subprocess.Popen[str]"], tmp_path: Path, runtime: str
) -> None:
    (tmp_path / "half-refused.yaml").write_text(SCENARIO)
    process = launch(tmp_path, ["--scenario=./half-refused.yaml", f"--gameday-runtime={runtime}"])
    output, _ = process.communicate(timeout=LIMIT_S)

    (report,) = tmp_path.glob("reports/*")
    assert json.loads((report / "plan.json").read_text())["proxy"] == "own"
    result = json.loads((report / "result.json").read_text())
    (fault,) = result["faults"]
    assert (fault["proven"], fault["undone"]) == (True, True), output
    found = {finding["name"]: finding for finding in result["findings"]}
    failed = found["availability"]["samples"] * (1 - found["availability"]["value"])
    assert failed == pytest.approx(0.5 * 200 * 5, rel=0.15), output
    assert result["verdict"] == "FAIL", output
    judged = {one["name"]: one["verdict"] for one in result["expectations"]}
    assert judged == {"availability": "FAIL", "lost": "PASS"}
    assert result["clean"] == []
