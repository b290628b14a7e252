"""RabbitMQ: official image, or a server on PATH."""

import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.api.environment import Endpoint, NotReadyError
from gameday.api.service_kind import Probe, ServiceKind
from gameday.extras import Missing, missing_packages
from gameday.host.account import account, create_file, may_run
from gameday.host.waiting import free_ports
from gameday.model.login import Login, Logins
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.passwords import new_password
from gameday.technologies.rabbitmq.connecting import connected
from gameday.technologies.rabbitmq.dialect import RabbitMQDialect
from gameday.technologies.rabbitmq.login import rabbitmq_login

if TYPE_CHECKING:
    import pika

__all__ = ["RabbitMQ", "find_rabbitmq_server", "rabbitmq_login"]

_PACKAGED = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script itself, which Debian's of the same name on PATH calls as another user."""
_PORTS = "ports"
_COOKIE = ".erlang.cookie"
_COOKIE_BYTES = 32
_QUEUE = "gameday-ready"
_ANSWER_LIMIT_S = 1.0
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_ON_LOOPBACK = ("-kernel", "inet_dist_use_interface", "{127,0,0,1}")

# Node names are kept by an epmd. Left alone, the node starts one that outlives it; this one ends
# with the node, or at least stays in its session. The shell becomes the script, and that the node,
# so that who kills it kills the server.
_START = """
$GAMEDAY_EPMD -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
tries=100
until epmd -names > /dev/null 2>&1 || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
exec "$@"
"""


def find_rabbitmq_server() -> Path | None:
    """Return the script that becomes the server, not one that starts it as another user."""
    found = shutil.which("rabbitmq-server")
    for script in (Path(found) if found else None, _PACKAGED):
        if script is not None and _becomes_the_node(script.resolve()):
            return script
    return None


class RabbitMQ(ServiceKind):
    """A single RabbitMQ node; options are application parameters of `rabbit`, as Erlang terms."""

    name = "rabbitmq"
    port = 5672
    data = "/var/lib/rabbitmq"
    probe = Probe(name="rabbitmq-publish", client="gameday.technologies.rabbitmq.probe:PUBLISH")
    login_keys = ("RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS")

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or "rabbitmq:3.10"

    def client_missing(self) -> Missing | None:
        return missing_packages("rabbitmq", "pika")

    def container_command(self, spec: ServiceSpec) -> list[str]:
        return ["rabbitmq-server", *_parameters(spec)]

    def missing(self, spec: ServiceSpec) -> str | None:
        server = find_rabbitmq_server()
        if server is None:
            return (
                f"{spec.name}: no rabbitmq-server on PATH; "
                "install rabbitmq-server, or start a Docker engine"
            )
        absent = [name for name in ("erl", "epmd") if shutil.which(name) is None]
        if absent:
            return (
                f"{spec.name}: no {' and no '.join(absent)} on PATH, which RabbitMQ runs on; "
                "install erlang, or start a Docker engine"
            )
        if not may_run(Path("/bin/sh"), self.account, "-c", f'test -r "{server}"'):
            return (
                f"{spec.name}: {server} cannot be read by {self.account}; "
                "install rabbitmq-server, or start a Docker engine"
            )
        return None

    @property
    def account(self) -> int | None:
        return account()

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """Choose the two ports that are for the node alone; they may be others at every start.

        Erlang would make the cookie from the time, which others can guess.
        """
        (home / _PORTS).unlink(missing_ok=True)
        create_file(home / _PORTS, " ".join(map(str, free_ports(2))).encode())
        if not (home / _COOKIE).exists():
            cookie = secrets.token_hex(_COOKIE_BYTES).encode()
            create_file(home / _COOKIE, cookie, self.account, mode=0o400)

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        server = find_rabbitmq_server()
        assert server is not None, "missing() is asked first"
        own = [f"{key}={value}" for key, value in _own_settings(port, home).items()]
        # These two are what the script itself adds where it stays in front of the node.
        quiet = ["-noinput", "+B", "i"]
        node = [str(server), *quiet, *_ON_LOOPBACK, *_parameters(spec)]
        return ["/usr/bin/env", *own, "/bin/sh", "-c", _START, "rabbitmq", *node]

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        user, password = rabbitmq_login(spec)
        return dict(zip(self.login_keys, (user, password), strict=True))

    def companion_variables(self, *, port: int, home: Path) -> Mapping[str, str]:
        """Return the node's own settings, and before all others the programs of its release.

        Debian's on PATH change the user, the home folder and with it the node's cookie.
        """
        server = find_rabbitmq_server()
        assert server is not None, "missing() is asked first"
        return {
            **_own_settings(port, home),
            "PATH": os.pathsep.join(
                (str(server.resolve().parent), os.environ.get("PATH", os.defpath))
            ),
            "RABBITMQ_CTL_ERL_ARGS": " ".join(_ON_LOOPBACK),
        }

    def new_logins(self, spec: ServiceSpec) -> Logins:
        """Return one login for all: over AMQP nobody can do more than work with queues."""
        user, password = (spec.env.get(key) for key in self.login_keys)
        login = Login(user=user or "gameday", password=password or new_password(), database="/")
        return Logins(service=login, admin=login)

    def dialect(self, spec: ServiceSpec) -> RabbitMQDialect:
        return RabbitMQDialect(spec.logins.service)

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """Publish to a durable queue; the broker confirms what it has written to its disk."""
        import pika  # 70 ms, so not before a service is started
        from pika.exceptions import AMQPError

        _greet(endpoint)
        try:
            connection = connected(_parameters_of(spec, endpoint))
        except (AMQPError, OSError) as error:
            raise NotReadyError(f"RabbitMQ at {endpoint}: {error!r}") from error
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            # One message is kept: a check that is repeated for an hour fills no disk.
            channel.queue_declare(_QUEUE, durable=True, arguments={"x-max-length": 1})
            persistent = pika.BasicProperties(delivery_mode=2)  # type: ignore[no-untyped-call]
            channel.basic_publish("", _QUEUE, b"1", persistent, mandatory=True)
        except (AMQPError, OSError) as error:
            raise NotReadyError(f"RabbitMQ at {endpoint}: {error!r}") from error
        finally:
            if connection.is_open:
                connection.close()
        return f"a message to {_QUEUE} was confirmed"


def _becomes_the_node(script: Path) -> bool:
    """Tell whether it reads the settings, which are beside it, and ends as the node by exec.

    Debian's on PATH has the same neighbours; it runs the other one and waits for its end. Whoever
    killed that would leave the node alive.
    """
    try:
        text = script.read_text(errors="replace")
    except OSError:
        return False
    return "/rabbitmq-env" in text and script.with_name("rabbitmq-env").is_file()


def _greet(endpoint: Endpoint) -> None:
    """Get the server's first frame by hand: of each failure on that way pika logs an error."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), _ANSWER_LIMIT_S) as greeting:
            greeting.sendall(_PROTOCOL_HEADER)
            frame = greeting.recv(1)
    except OSError as error:
        raise NotReadyError(f"RabbitMQ at {endpoint}: {error}") from error
    if frame != b"\x01":
        raise NotReadyError(f"RabbitMQ at {endpoint}: answers {frame!r} to AMQP 0-9-1")


def _parameters_of(spec: ServiceSpec, endpoint: Endpoint) -> "pika.ConnectionParameters":
    import pika

    return pika.ConnectionParameters(
        host=endpoint.host,
        port=endpoint.port,
        credentials=pika.PlainCredentials(*rabbitmq_login(spec)),
        connection_attempts=1,  # our own wait repeats the check; a hidden one would blur it
        socket_timeout=_ANSWER_LIMIT_S,
        stack_timeout=2 * _ANSWER_LIMIT_S,
        blocked_connection_timeout=_ANSWER_LIMIT_S,
    )


def _own_settings(port: int, home: Path) -> Mapping[str, str]:
    """Return what keeps a node apart from the host's own and from those of other runs.

    The node's name has to be that of every start, for the data belong to it.
    """
    distribution, epmd = (home / _PORTS).read_text().split()
    setpriv = shutil.which("setpriv")
    return {
        "HOME": str(home),  # where Erlang keeps its cookie
        "GAMEDAY_EPMD": f"{setpriv} --pdeathsig KILL epmd" if setpriv else "epmd",
        "ERL_EPMD_PORT": epmd,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"gameday-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_PLUGINS_EXPAND_DIR": str(home / "plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
        # None of these exists: the host's own settings and plugins are not ours.
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        # Makes the script become the node, instead of staying in front of it.
        "RABBITMQ_ALLOW_INPUT": "1",
    }


def _parameters(spec: ServiceSpec) -> Iterator[str]:
    for key, value in spec.options.items():
        yield from ("-rabbit", key, value)
