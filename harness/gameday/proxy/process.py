"""The process of the proxy: started by a parent, and gone when the parent is."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from gameday.proxy.api import Api
from gameday.proxy.awake import Awake
from gameday.proxy.gate import Gate, is_loopback
from gameday.proxy.http import HttpSession
from gameday.proxy.proxy import ProxyConfig
from gameday.proxy.timer import DeadlineTimer

__all__ = ["TOKEN", "main"]

TOKEN = "GAMEDAY_PROXY_TOKEN"  # noqa: S105  a name
"""The variable that has the token of the calls that change anything; without it none needs one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stdin ends or SIGTERM comes; print one JSON line when listening."""
    options = _options(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    _raise_descriptor_limit()
    # Ctrl-C reaches the whole foreground group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop = _LOOPS[options.loop]()
    code = loop.run_until_complete(_serve(options, os.environ.pop(TOKEN, "")))
    # The loop is not closed and the threads are not joined: a resolver that hangs in one must not
    # keep the process alive.
    os._exit(code)


def _libuv() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": _libuv,
}


class _Options(argparse.Namespace):
    beyond_loopback: bool
    host: str
    port: int
    seed: int
    dial_timeout: float
    loop: str


def _options(arguments: Sequence[str] | None) -> _Options:
    parser = argparse.ArgumentParser(
        prog="python -m gameday.proxy",
        description="A TCP fault proxy with Toxiproxy's HTTP API. It ends when its stdin does.",
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the API (%(default)s)")
    parser.add_argument("--port", type=int, default=8474, help="its port, 0 for any (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="replays every draw (%(default)s)")
    parser.add_argument(
        "--dial-timeout",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="how long an upstream may take to accept (%(default)s)",
    )
    # libuv's loop costs a request fewer microseconds; nothing else depends on which it is.
    parser.add_argument(
        "--loop",
        choices=sorted(_LOOPS),
        default="uvloop" if find_spec("uvloop") else "asyncio",
        help="the event loop (%(default)s)",
    )
    parser.add_argument(
        "--beyond-loopback",
        action="store_true",
        help="let the API and the proxies listen where other hosts can reach them",
    )
    options = parser.parse_args(arguments, namespace=_Options())
    if not options.beyond_loopback and not is_loopback(options.host):
        parser.error(
            f"other hosts could reach {options.host}: listen on 127.0.0.1, "
            "or allow it by --beyond-loopback"
        )
    return options


async def _serve(options: _Options, token: str) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    timer = DeadlineTimer(loop)
    around = ProxyConfig(
        timer=timer,
        heard=Awake(loop).heard,
        seed=options.seed,
        dial_timeout_s=options.dial_timeout,
    )
    api = Api(around, beyond_loopback=options.beyond_loopback)
    gate = Gate(token=token, beyond_loopback=options.beyond_loopback)
    handle = gate.before(api.handle)
    host, port = options.host, options.port
    try:
        server = await loop.create_server(lambda: HttpSession(handle), host, port)
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    real_port: int = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"port": real_port, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    _watch_stdin(loop, stop.set)
    await stop.wait()
    server.close()
    api.close()
    # One turn for the sockets to close in order, rather than by the end of the process.
    await asyncio.sleep(0)
    timer.close()
    return 0


def _watch_stdin(loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
    stdin = 0

    def readable() -> None:
        try:
            rest = os.read(stdin, 65536)
        except BlockingIOError:
            return
        except OSError:
            rest = b""
        if not rest:
            loop.remove_reader(stdin)
            ended()

    try:
        loop.add_reader(stdin, readable)
    except OSError:
        # Neither a pipe nor a terminal: a file, /dev/null or nothing, which are at their end.
        ended()


def _raise_descriptor_limit() -> None:
    """Allow as many sockets as the system does: each connection takes two."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
