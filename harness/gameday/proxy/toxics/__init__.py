"""The toxics that exist, under their names in the API."""

from gameday.proxy.toxics.bandwidth import BandwidthToxic
from gameday.proxy.toxics.half_open import HalfOpenToxic
from gameday.proxy.toxics.latency import LatencyToxic
from gameday.proxy.toxics.limit_data import LimitDataToxic
from gameday.proxy.toxics.reset_peer import ResetPeerToxic
from gameday.proxy.toxics.slicer import SlicerToxic
from gameday.proxy.toxics.slow_close import SlowCloseToxic
from gameday.proxy.toxics.timeout import TimeoutToxic
from gameday.proxy.toxics.toxic import End, Outlet, Place, Stage, Toxic, ToxicTally

__all__ = ["TOXICS", "End", "Outlet", "Place", "Stage", "Toxic", "ToxicTally"]

TOXICS: dict[str, type[Toxic]] = {
    "latency": LatencyToxic,
    "bandwidth": BandwidthToxic,
    "slow_close": SlowCloseToxic,
    "timeout": TimeoutToxic,
    "reset_peer": ResetPeerToxic,
    "slicer": SlicerToxic,
    "limit_data": LimitDataToxic,
    # Of gameday's own.
    "half_open": HalfOpenToxic,
}
