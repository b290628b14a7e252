"""Redis and what speaks its protocol."""

from functools import partial

from gameday.api.mechanism import Mechanism
from gameday.api.technology import Technology
from gameday.host.carried import server_in_use
from gameday.technologies.redis import faults
from gameday.technologies.redis.carried import VALKEY
from gameday.technologies.redis.service import Redis, RedisReplica, find_redis_server

__all__ = ["REDIS"]

REDIS = Technology(
    name="redis",
    kinds=(Redis(), RedisReplica()),
    faults=(
        faults.ClientKill,
        faults.Failover,
        faults.MaxMemory,
        faults.ScriptBusy,
        faults.PersistenceOff,
        faults.PoisonMessage,
        faults.SlowConsumer,
    ),
    mechanisms=(
        Mechanism(
            name="the Redis server",
            used_for="services of kind redis in process",
            cure="",
            check=partial(server_in_use, VALKEY, find_redis_server, "redis-server"),
        ),
    ),
)
