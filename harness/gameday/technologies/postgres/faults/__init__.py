"""Faults of a PostgreSQL and of its replica, each by SQL and proven by what the server does."""

from gameday.technologies.postgres.faults.async_commit import AsyncCommit
from gameday.technologies.postgres.faults.connection_cap import ConnectionCap
from gameday.technologies.postgres.faults.lock_table import LockTable
from gameday.technologies.postgres.faults.promote import Promote
from gameday.technologies.postgres.faults.stop_replay import StopReplay
from gameday.technologies.postgres.faults.terminate_backends import TerminateBackends

__all__ = [
    "AsyncCommit",
    "ConnectionCap",
    "LockTable",
    "Promote",
    "StopReplay",
    "TerminateBackends",
]
