"""Signals in over HTTP, out through Redis; acknowledged only when Redis has confirmed."""

import json
from collections.abc import Sequence

from resilience.reconnecting_pubsub import Publisher
from resilience.redis_link import Unavailable, Unconfirmed
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from apps.service import Client, run
from apps.settings import Settings
from apps.signal import TOPIC, BadSignal, Signal

__all__ = ["build"]


def build(settings: Settings) -> tuple[Client, Sequence[Route]]:
    """Return the relay's connection and its routes."""
    publisher = Publisher(settings.redis, TOPIC, settings.policy)

    async def signals(request: Request) -> JSONResponse:
        try:
            signal = Signal.parse(await request.body())
        except BadSignal as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        try:
            await publisher.publish(json.dumps(signal._asdict()).encode())
        except Unavailable as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        except Unconfirmed as error:
            return JSONResponse({"error": str(error)}, status_code=504)
        return JSONResponse({"ack": signal.id})

    return publisher, [Route("/signals", signals, methods=["POST"])]


if __name__ == "__main__":
    run("relay", build)
