"""The kinds of service that a target may name."""

from collections.abc import Mapping

from gameday.environment.services.app import App
from gameday.environment.services.postgres import Postgres
from gameday.environment.services.postgres_replica import PostgresReplica
from gameday.environment.services.protocol import Personal, ServiceKind
from gameday.environment.services.rabbitmq import RabbitMQ
from gameday.environment.services.redis import Redis, RedisReplica
from gameday.model.scenario import ServiceSpec
from gameday.wire.opening import Login

__all__ = ["KINDS", "ServiceKind", "login_of"]

KINDS: Mapping[str, ServiceKind] = {
    kind.name: kind
    for kind in (Redis(), RedisReplica(), Postgres(), PostgresReplica(), RabbitMQ(), App())
}


def login_of(spec: ServiceSpec) -> Login:
    """Return who a client of that service has to be; nobody, where nobody asks."""
    kind = KINDS[spec.kind]
    return kind.login(spec) if isinstance(kind, Personal) else Login()
