"""Signals in from Redis, into a durable record that anybody may read over HTTP."""

import time
from collections.abc import Sequence

from resilience.reconnecting_pubsub import EntryId, Subscriber
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from apps.record import Record
from apps.service import Client, run
from apps.settings import Settings
from apps.signal import TOPIC

__all__ = ["build"]


class _Stamped:
    """A record that notes the time of receipt, on the clock that all processes here share."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.contents = record.contents

    @property
    def last(self) -> EntryId | None:
        return self._record.last

    def append(self, entry_id: EntryId, payload: bytes) -> None:
        self._record.append(entry_id, payload, time.monotonic_ns())


def build(settings: Settings) -> tuple[Client, Sequence[Route]]:
    """Return the listener's connection and its routes."""
    stored = Record(settings.data_dir / "record.jsonl")
    subscriber = Subscriber(
        settings.redis, TOPIC, settings.policy, _Stamped(stored), settings.subscription
    )

    async def record(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            error = f"after is {after!r}; wanted how many entries the reader has"
            return JSONResponse({"error": error}, status_code=400)
        return Response(stored.page(int(after)), media_type="application/json")

    return subscriber, [Route("/record", record)]


if __name__ == "__main__":
    run("listener", build)
