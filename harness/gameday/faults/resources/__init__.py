"""Resource faults: a service gets less of its host, or shares it with somebody greedy."""

from gameday.faults.resources.cpu import CpuBurn, CpuLimit
from gameday.faults.resources.descriptors import FileDescriptors
from gameday.faults.resources.disk import IoThrottle
from gameday.faults.resources.memory import MemoryBurn, MemoryLimit
from gameday.faults.resources.pids import PidsLimit

__all__ = [
    "CpuBurn",
    "CpuLimit",
    "FileDescriptors",
    "IoThrottle",
    "MemoryBurn",
    "MemoryLimit",
    "PidsLimit",
]
