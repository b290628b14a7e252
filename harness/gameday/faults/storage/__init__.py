"""Faults of what a service keeps its data on."""

from gameday.faults.storage.fill import DiskFill
from gameday.faults.storage.read_only import ReadOnlyData

__all__ = ["DiskFill", "ReadOnlyData"]
