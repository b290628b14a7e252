"""The probe of an app that the load does not come by."""

import pytest

from gameday.load.http import Answer
from gameday.model.operation import Outcome
from gameday.technologies.app.probe import judge_ready, ready_request


def test_every_operation_asks_whether_it_is_ready() -> None:
    request = ready_request("127.0.0.1", 80)
    assert request(1) == request(2) == b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [(200, Outcome.OK, ""), (503, Outcome.FAILED, "503"), (404, Outcome.FAILED, "404")],
)
def test_only_200_is_ready(status: int, outcome: Outcome, error: str) -> None:
    assert judge_ready(1, Answer(status, b"", keep=True)) == (outcome, error)
