"""The faults that know no technology, offered by an entry point of the group `gameday.faults`."""

from gameday.api.fault import Fault
from gameday.api.mechanism import Mechanism
from gameday.faults.clock import ClockDrift, ClockOffset
from gameday.faults.http import HttpAbort, HttpBody, HttpDelay, HttpStatus
from gameday.faults.lifecycle.crash_loop import CrashLoop
from gameday.faults.lifecycle.kill import Kill
from gameday.faults.lifecycle.kill_inside import KillInside
from gameday.faults.lifecycle.pause import Pause
from gameday.faults.lifecycle.remove import Remove
from gameday.faults.lifecycle.restart import Restart
from gameday.faults.lifecycle.stop import Stop
from gameday.faults.load import MalformedPayload, Surge
from gameday.faults.network import (
    Bandwidth,
    Blackhole,
    ByteLimit,
    ConnectionFlood,
    Flap,
    HalfOpen,
    Latency,
    PacketLoss,
    Partition,
    Refuse,
    Reset,
    Slice,
    SlowClose,
)
from gameday.faults.network.flood import MOST_CONNECTIONS
from gameday.faults.resources import (
    CpuBurn,
    CpuLimit,
    FileDescriptors,
    IoThrottle,
    MemoryBurn,
    MemoryLimit,
    PidsLimit,
)
from gameday.faults.storage import DiskFill, ReadOnlyData
from gameday.runtimes.mechanisms.cgroups import CPU, MEMORY, PIDS
from gameday.runtimes.mechanisms.clocks import LIBFAKETIME
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE
from gameday.runtimes.mechanisms.descriptors import open_files
from gameday.runtimes.mechanisms.packets import PACKET_FILTER
from gameday.runtimes.mechanisms.process_limits import DESCRIPTORS
from gameday.runtimes.mechanisms.storage import BOUNDED_DISK, IMMUTABLE_ATTRIBUTE
from gameday.runtimes.mechanisms.throttling import THROTTLE_IN_DOCKER, THROTTLE_IN_PROCESS

__all__ = ["FAULTS", "MECHANISMS"]

FAULTS: tuple[type[Fault], ...] = (
    Kill,
    Stop,
    Restart,
    CrashLoop,
    Pause,
    Remove,
    KillInside,
    ClockOffset,
    ClockDrift,
    CpuLimit,
    CpuBurn,
    MemoryLimit,
    MemoryBurn,
    PidsLimit,
    DiskFill,
    ReadOnlyData,
    FileDescriptors,
    IoThrottle,
    Latency,
    Bandwidth,
    Blackhole,
    Refuse,
    Reset,
    Slice,
    ByteLimit,
    SlowClose,
    Flap,
    ConnectionFlood,
    Partition,
    PacketLoss,
    HalfOpen,
    HttpStatus,
    HttpAbort,
    HttpDelay,
    HttpBody,
    Surge,
    MalformedPayload,
)

MECHANISMS: tuple[Mechanism, ...] = (
    CONTAINERS_HERE,
    PACKET_FILTER,
    LIBFAKETIME,
    CPU,
    MEMORY,
    PIDS,
    BOUNDED_DISK,
    IMMUTABLE_ATTRIBUTE,
    open_files(MOST_CONNECTIONS),
    DESCRIPTORS,
    THROTTLE_IN_PROCESS,
    THROTTLE_IN_DOCKER,
)
"""What faults need of a host beyond its services, for `gameday doctor`."""
