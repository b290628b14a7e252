"""Memcached for gameday: a kind of service with its probe, and a fault."""

from gameday import Technology
from gameday_memcached.flush_all import FlushAll
from gameday_memcached.service import Memcached

__all__ = ["MEMCACHED"]

MEMCACHED = Technology(name="memcached", kinds=(Memcached(),), faults=(FlushAll,))
