"""Faults that a Redis server does to itself, by its own commands."""

from gameday.faults.redis.client_kill import ClientKill
from gameday.faults.redis.failover import Failover
from gameday.faults.redis.max_memory import MaxMemory
from gameday.faults.redis.persistence_off import PersistenceOff
from gameday.faults.redis.script_busy import ScriptBusy

__all__ = ["ClientKill", "Failover", "MaxMemory", "PersistenceOff", "ScriptBusy"]
