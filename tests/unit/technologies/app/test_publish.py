import json
import subprocess
import sys
import zlib

import pytest

from gameday.load.http import Answer
from gameday.model.clock import SECOND
from gameday.model.operation import Outcome
from gameday.technologies.app.publish import Publish, judge_publish, publish_request

HEAVY = ("numpy", "pydantic", "redis")


def test_the_request_carries_the_run_the_signal_and_its_check() -> None:
    head, _, body = publish_request("ab12", "localhost", 8080)(17).partition(b"\r\n\r\n")
    assert head.splitlines() == [
        b"POST /signals HTTP/1.1",
        b"Host: localhost:8080",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
    ]
    assert json.loads(body) == {
        "run": "ab12",
        "id": 17,
        "check": f"{zlib.crc32(b'ab12:17'):08x}",
    }


@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (200, b'{"ack":17}', Outcome.OK, ""),
        (200, b'{"ack": 17, "also": 1}', Outcome.OK, ""),
        (200, b'{"ack":18}', Outcome.UNKNOWN, "200, but"),
        (200, b'{"ack":"17"}', Outcome.UNKNOWN, "200, but"),
        (200, b"[17]", Outcome.UNKNOWN, "200, but"),
        (200, b"", Outcome.UNKNOWN, "200, but"),
        (204, b"", Outcome.UNKNOWN, "204"),
        (302, b"", Outcome.UNKNOWN, "302"),
        (400, b'{"error":"bad check"}', Outcome.FAILED, "400 bad check"),
        (500, b"oops", Outcome.UNKNOWN, "500"),
        (503, b'{"error":"not connected"}', Outcome.FAILED, "503 not connected"),
        (504, b'{"error":"no reply"}', Outcome.UNKNOWN, "504 no reply"),
    ],
)
def test_only_an_ack_of_the_signal_is_ok_and_only_503_and_4xx_are_failed(
    status: int, body: bytes, outcome: Outcome, error: str
) -> None:
    seen, text = judge_publish(17, Answer(status, body, keep=True))
    assert seen is outcome
    assert text.startswith(error)
    assert bool(text) == bool(error)


def test_true_does_not_acknowledge_signal_one() -> None:
    assert judge_publish(1, Answer(200, b'{"ack":true}', keep=True))[0] is Outcome.UNKNOWN


def test_the_verb_is_publish_and_a_second_is_its_deadline() -> None:
    spec = Publish(to="relay", ledger="listener", rate_per_s=200.0)
    assert (spec.verb, spec.deadline_ns) == ("publish", 10**9)


def test_the_driver_imports_nothing_heavy() -> None:
    code = (
        "import sys, gameday.load.driver, gameday.load.sleeper; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("rate_per_s", "deadline_ns", "told"),
    [
        (20_001.0, SECOND, "rate: wanted at most 20000/s"),
        (1.0, 0, "deadline: wanted 1ms to 1min"),
        (1.0, 61 * SECOND, "deadline: wanted 1ms to 1min"),
    ],
)
def test_load_that_nobody_could_offer_or_wait_for_is_refused(
    rate_per_s: float, deadline_ns: int, told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        Publish(to="relay", ledger="listener", rate_per_s=rate_per_s, deadline_ns=deadline_ns)
