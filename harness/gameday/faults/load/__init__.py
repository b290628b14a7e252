"""Faults that are load: more of it, or of a kind that nobody would send on purpose."""

from gameday.faults.load.malformed import MalformedPayload
from gameday.faults.load.surge import Surge

__all__ = ["MalformedPayload", "Surge"]
