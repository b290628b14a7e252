"""What a fault cannot do is refused when the file is read, at the key that says it."""

from pathlib import Path

import pytest

from gameday.engine.planning import Options, load
from gameday.errors import ScenarioError

TARGET = """\
target: mine
title: One of each
services:
  redis: {kind: redis}
  copy: {kind: redis-replica, needs: [redis]}
  postgres: {kind: postgres}
  relay: {kind: app, program: apps.relay, needs: [redis]}
"""
SCENARIO = """\
scenario: mine
title: Of my own
target: mine
workload:
  - publish: {to: relay, ledger: relay, rate: 1000/s}
steady: {success: ">= 99%", p99: "<= 50ms"}
faults:
"""
REST = """\
    for: 10s
expect:
  - recovery: "<= 30s"
"""

REFUSED = {
    "a failover to a typo": (
        "  - failover: redis\n    to: relay\n",
        "9:9: faults[0].to: 'relay' is given; wanted a redis-replica of redis: copy",
    ),
    "a failover to itself": (
        "  - failover: redis\n    to: redis\n",
        "9:9: faults[0].to: 'redis' is given; wanted a redis-replica of redis: copy",
    ),
    "a script that ends by itself": (
        "  - script-busy: redis\n    at_most: 1s\n",
        "9:14: faults[0].at_most: '1s' is given; wanted more than the fault's `for`, 10 s",
    ),
    "a file that is not there": (
        "  - persistence-off: redis\n",
        (
            "8:22: faults[0].persistence-off: 'redis' is given; wanted a Redis with the option "
            'appendonly: "yes"; redis has none'
        ),
    ),
    "an answer that costs an order": (
        "  - http-body: client -> relay\n    body: x\n    path: /signals\n    method: POST\n",
        (
            "10:11: faults[0].path: '/signals' is given; wanted a pattern that also fits a path "
            "which the service does not have, such as '/signals*': no answer to such a request "
            "can be had without sending it whole, and so doing something"
        ),
    ),
    "a table without a name": (
        "  - lock-table: postgres\n    table: ''\n",
        "9:12: faults[0].table: '' is given; wanted a table's name, such as 'orders'",
    ),
    "a pattern that fits everything": (
        "  - kill-inside: redis\n    pattern: ''\n",
        "9:14: faults[0].pattern: '' is given; wanted a regular expression that fits one process",
    ),
    "a pattern that is none": (
        "  - kill-inside: redis\n    pattern: '('\n",
        (
            "9:14: faults[0].pattern: '(' is given; wanted a regular expression; in this one: "
            "missing ), unterminated subpattern at position 0"
        ),
    ),
    "a surge that nobody could offer": (
        "  - surge: relay\n    factor: 50\n",
        (
            "9:13: faults[0].factor: 50 is given; wanted less: beside 1000/s this is 49000/s, "
            "and 20000/s are the most"
        ),
    ),
    "two parameters out of bounds": (
        "  - connection-flood: client -> relay\n    count: 6000\n    rate: 99999/s\n",
        (
            "9:12: faults[0].count: 6000 is given; wanted 10 to 5000\n"
            "10:11: faults[0].rate: '99999/s' is given; wanted 1/s to 1000/s"
        ),
    ),
    "a grace that is too long": (
        "  - stop: redis\n    grace: 31s\n",
        "9:12: faults[0].grace: '31s' is given; wanted at most 30 s",
    ),
    "a clock that does not go": (
        "  - clock-drift: relay\n    rate: .nan\n",
        "9:11: faults[0].rate: .nan is given; wanted 0.5 to 0.95, or 1.05 to 2",
    ),
    "a cut where a bar is missing": (
        "  - partition: relay -> redis\n",
        (
            "8:16: faults[0].partition: partition hits services, which 'relay -> redis' is not; "
            "valid: redis, copy, postgres, relay; nearest: 'relay | redis'"
        ),
    ),
}


@pytest.mark.parametrize(("fault", "told"), REFUSED.values(), ids=list(REFUSED))
def test_a_fault_that_cannot_work_is_refused_when_the_file_is_read(
    tmp_path: Path, fault: str, told: str
) -> None:
    path = tmp_path / "scenarios" / "mine.yaml"
    target = tmp_path / "targets" / "mine" / "target.yaml"
    for file, text in ((path, SCENARIO + fault + REST), (target, TARGET)):
        file.parent.mkdir(parents=True)
        file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(path, Options(settings={}))
    assert str(caught.value).replace(f"{path}:", "") == told
