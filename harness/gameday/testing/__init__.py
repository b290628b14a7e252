"""Fakes for the tests of those who use or extend gameday."""

from gameday.testing.histories import HistoryBuilder

__all__ = ["HistoryBuilder"]
