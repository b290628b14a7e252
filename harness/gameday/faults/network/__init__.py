"""Network faults: on one edge through its own proxy, or between services."""

from gameday.faults.network.bandwidth import Bandwidth
from gameday.faults.network.blackhole import Blackhole
from gameday.faults.network.flood import ConnectionFlood
from gameday.faults.network.half_open import HalfOpen
from gameday.faults.network.latency import Latency
from gameday.faults.network.limit import ByteLimit
from gameday.faults.network.packet_loss import PacketLoss
from gameday.faults.network.partition import Partition
from gameday.faults.network.refusal import Flap, Refuse
from gameday.faults.network.reset import Reset
from gameday.faults.network.slicing import Slice
from gameday.faults.network.slow_close import SlowClose

__all__ = [
    "Bandwidth",
    "Blackhole",
    "ByteLimit",
    "ConnectionFlood",
    "Flap",
    "HalfOpen",
    "Latency",
    "PacketLoss",
    "Partition",
    "Refuse",
    "Reset",
    "Slice",
    "SlowClose",
]
