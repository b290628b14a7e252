"""What a RabbitMQ broker can do to its clients."""

from gameday.faults.rabbitmq.alarms import DiskAlarm, MemoryAlarm
from gameday.faults.rabbitmq.close_connections import CloseConnections
from gameday.faults.rabbitmq.consumer_cancel import ConsumerCancel
from gameday.faults.rabbitmq.queue_purge import QueuePurge
from gameday.faults.rabbitmq.stop_app import StopApp

__all__ = [
    "CloseConnections",
    "ConsumerCancel",
    "DiskAlarm",
    "MemoryAlarm",
    "QueuePurge",
    "StopApp",
]
