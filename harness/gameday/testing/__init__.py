"""Fakes for the tests of those who use or extend gameday, and the contract of every fault."""

from gameday.testing.clocks import ManualClock
from gameday.testing.contract import CONTRACT, Check, MakeWorld, World
from gameday.testing.environments import MemoryEnvironment, MemoryService
from gameday.testing.histories import HistoryBuilder

__all__ = [
    "CONTRACT",
    "Check",
    "HistoryBuilder",
    "MakeWorld",
    "ManualClock",
    "MemoryEnvironment",
    "MemoryService",
    "World",
]
