"""Faults of a service's wall clock."""

from gameday.faults.clock.drift import ClockDrift
from gameday.faults.clock.offset import ClockOffset

__all__ = ["ClockDrift", "ClockOffset"]
