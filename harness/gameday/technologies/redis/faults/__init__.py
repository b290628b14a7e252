"""Faults that a Redis server does to itself, by its own commands."""

from gameday.technologies.redis.faults.client_kill import ClientKill
from gameday.technologies.redis.faults.failover import Failover
from gameday.technologies.redis.faults.max_memory import MaxMemory
from gameday.technologies.redis.faults.persistence_off import PersistenceOff
from gameday.technologies.redis.faults.poison import PoisonMessage
from gameday.technologies.redis.faults.script_busy import ScriptBusy
from gameday.technologies.redis.faults.slow_consumer import SlowConsumer

__all__ = [
    "ClientKill",
    "Failover",
    "MaxMemory",
    "PersistenceOff",
    "PoisonMessage",
    "ScriptBusy",
    "SlowConsumer",
]
