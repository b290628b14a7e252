"""The kinds of service that a target may name."""

from collections.abc import Mapping

from gameday.environment.services.app import App
from gameday.environment.services.postgres import Postgres
from gameday.environment.services.postgres_replica import PostgresReplica
from gameday.environment.services.protocol import ServiceKind
from gameday.environment.services.rabbitmq import RabbitMQ
from gameday.environment.services.redis import Redis, RedisReplica

__all__ = ["KINDS", "ServiceKind"]

KINDS: Mapping[str, ServiceKind] = {
    kind.name: kind
    for kind in (Redis(), RedisReplica(), Postgres(), PostgresReplica(), RabbitMQ(), App())
}
