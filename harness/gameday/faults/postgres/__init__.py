"""Faults of a PostgreSQL and of its replica, each by SQL and proven by what the server does."""

from gameday.faults.postgres.async_commit import AsyncCommit
from gameday.faults.postgres.connection_cap import ConnectionCap
from gameday.faults.postgres.lock_table import LockTable
from gameday.faults.postgres.promote import Promote
from gameday.faults.postgres.stop_replay import StopReplay
from gameday.faults.postgres.terminate_backends import TerminateBackends

__all__ = [
    "AsyncCommit",
    "ConnectionCap",
    "LockTable",
    "Promote",
    "StopReplay",
    "TerminateBackends",
]
