"""The `publish` verb: numbered, checksummed signals to a relay that acknowledges each by number."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from zlib import crc32

from gameday.load.http import Answer, HttpRequests
from gameday.model.clock import MILLISECOND, MINUTE, SECOND
from gameday.model.invalid_parameter import require
from gameday.model.operation import Outcome
from gameday.model.units import DurationNs, RatePerS

if TYPE_CHECKING:
    from gameday.http_reader import HttpReader
    from gameday.model.clock import Clock
    from gameday.technologies.app.ledger import RecordLedger

__all__ = ["PUBLISH", "Publish", "checksum", "judge_publish", "publish_request"]

_LONGEST_REASON = 100
_MOST_PER_S = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Publish signals to the service `to` at a fixed rate; `ledger` keeps what was received."""

    verb: ClassVar[str] = "publish"
    client: ClassVar[str] = "gameday.technologies.app.publish:PUBLISH"

    to: str
    """The app that receives the signals."""
    ledger: str
    """The app whose record shows what arrived; it may be the same."""
    rate_per_s: RatePerS
    """How many signals come due each second; at most 20000/s."""
    deadline_ns: DurationNs = SECOND
    """How long an answer may take, 1ms to 1min."""

    def __post_init__(self) -> None:
        require(
            ("rate", self.rate_per_s <= _MOST_PER_S, f"at most {_MOST_PER_S}/s"),
            ("deadline", MILLISECOND <= self.deadline_ns <= MINUTE, "1ms to 1min"),
        )

    def open_ledger(
        self, reader: "HttpReader", run: str, clock: "Clock | None" = None
    ) -> "RecordLedger":
        from gameday.technologies.app.ledger import RecordLedger  # not in the load driver

        return RecordLedger(reader, run, clock)


def checksum(run: str, value: int) -> str:
    """Return the check that signal `value` of `run` carries."""
    return f"{crc32(f'{run}:{value}'.encode()):08x}"


def publish_request(run: str, host: str, port: int) -> Callable[[int], bytes]:
    """Return the function that makes the request which publishes a value."""
    # The body is joined by hand: json.dumps would be the dearest part of sending it.
    name = json.dumps(run)
    head = f"POST /signals HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"

    def request(value: int) -> bytes:
        body = f'{{"run":{name},"id":{value},"check":"{checksum(run, value)}"}}'
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    return request


def judge_publish(value: int, answer: Answer) -> tuple[Outcome, str]:
    """Return what a relay's answer says of the signal `value`, and the error text.

    Only an acknowledgement that names the signal counts; only 503 and 4xx promise that nothing
    was written.
    """
    match answer.status:
        case 200:
            if _field(answer.body, "ack") == value:
                return Outcome.OK, ""
            return Outcome.UNKNOWN, "200, but it does not acknowledge the signal that was sent"
        case 503:
            return Outcome.FAILED, _reason(answer)
        case status if 400 <= status < 500:
            return Outcome.FAILED, _reason(answer)
        case _:
            return Outcome.UNKNOWN, _reason(answer)


def _field(body: bytes, name: str) -> object:
    try:
        fields: object = json.loads(body)
    except ValueError:
        return None
    found: object = fields.get(name) if isinstance(fields, dict) else None
    return None if isinstance(found, bool) else found


def _reason(answer: Answer) -> str:
    reason = _field(answer.body, "error")
    if not isinstance(reason, str):
        return str(answer.status)
    return f"{answer.status} {reason[:_LONGEST_REASON]}"


PUBLISH = HttpRequests(ask=publish_request, judge=judge_publish)
