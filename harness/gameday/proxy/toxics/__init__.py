"""The toxics that exist, under their names in the API."""

from gameday.proxy.toxics.bandwidth import Bandwidth
from gameday.proxy.toxics.half_open import HalfOpen
from gameday.proxy.toxics.latency import Latency
from gameday.proxy.toxics.limit_data import LimitData
from gameday.proxy.toxics.reset_peer import ResetPeer
from gameday.proxy.toxics.slicer import Slicer
from gameday.proxy.toxics.slow_close import SlowClose
from gameday.proxy.toxics.timeout import Timeout
from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Tally, Toxic

__all__ = ["TOXICS", "End", "Outlet", "Place", "Stage", "Tally", "Toxic"]

TOXICS: dict[str, type[Toxic]] = {
    "latency": Latency,
    "bandwidth": Bandwidth,
    "slow_close": SlowClose,
    "timeout": Timeout,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "limit_data": LimitData,
    # Of gameday's own.
    "half_open": HalfOpen,
}
