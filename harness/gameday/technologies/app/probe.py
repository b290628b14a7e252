"""The probe of an app that the load does not come by: GET /ready."""

from collections.abc import Callable
from http import HTTPStatus

from gameday.load.http import Answer, HttpRequests
from gameday.model.operation import Outcome

__all__ = ["READY", "judge_ready", "ready_request"]


def ready_request(host: str, port: int) -> Callable[[int], bytes]:
    """Return the function that makes the request; every operation asks the same."""
    question = f"GET /ready HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    return lambda _: question


def judge_ready(value: int, answer: Answer) -> tuple[Outcome, str]:
    """Return what an app's answer says: only 200 is ready, and asking changed nothing."""
    if answer.status == HTTPStatus.OK:
        return Outcome.OK, ""
    return Outcome.FAILED, str(answer.status)


READY = HttpRequests(ask=lambda _, host, port: ready_request(host, port), judge=judge_ready)
