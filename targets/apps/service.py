"""What every app answers besides its own work, and how it starts and ends."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import uvicorn
from resilience.policy import BadSetting
from resilience.reconnecting import Reconnecting
from resilience.redis_link import LinkError, Reply
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from apps.settings import Settings

__all__ = ["Client", "run"]

_log = logging.getLogger("service")


class Client(Protocol):
    """What an app has of Redis: one logical connection, and commands on it."""

    connection: Reconnecting

    async def command(self, *words: bytes | str | int) -> Reply:
        """Run one command; raises LinkError."""
        ...


def run(name: str, build: Callable[[Settings], tuple[Client, Sequence[Route]]]) -> None:
    """Serve until SIGTERM. A wrong setting is one line on stderr and exit code 2."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO)
    # uvicorn tells start and end at INFO, which says nothing that the log does not show anyway.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        settings = Settings.from_env(os.environ)
        client, routes = build(settings)
    except (BadSetting, OSError) as error:
        sys.exit(_complain(name, error))
    background = _Background(client)
    app = Starlette(routes=[*routes, *_own_routes(name, client)], lifespan=background.lifespan)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # The same in every environment, whatever else is installed there.
        loop="asyncio",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    background.server = uvicorn.Server(config)
    background.server.run()
    sys.exit(1 if background.failed else 0)


def _complain(name: str, error: Exception) -> int:
    sys.stderr.write(f"{name}: {error}\n")
    return 2


class _Background:
    """Keeps the connection for as long as the server runs; a bug in it ends the server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.server: uvicorn.Server | None = None
        self.failed = False

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._client.connection.run())
        task.add_done_callback(self._ended)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.server is not None:
            _log.critical("the connection's task failed", exc_info=error)
            self.failed = True
            self.server.should_exit = True


def _own_routes(name: str, client: Client) -> list[Route]:
    async def status(request: Request) -> JSONResponse:
        connection = client.connection
        return JSONResponse(
            {
                "service": name,
                "time_ns": time.time_ns(),
                "connected": connection.connected,
                "connections_lost": connection.connections_lost,
                "connections_restored": connection.connections_restored,
                "attempts": connection.attempts,
                "breaker": connection.breaker,
                "given_up": connection.given_up,
            }
        )

    async def ready(request: Request) -> JSONResponse:
        # A connection alone proves nothing: a full or read-only Redis takes no signals.
        try:
            await client.command("SET", f"ready:{name}", "1")
        except LinkError as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        return JSONResponse({"ready": True})

    return [Route("/status", status), Route("/ready", ready)]
