"""What a RabbitMQ broker can do to its clients."""

from gameday.technologies.rabbitmq.faults.alarms import DiskAlarm, MemoryAlarm
from gameday.technologies.rabbitmq.faults.close_connections import CloseConnections
from gameday.technologies.rabbitmq.faults.consumer_cancel import ConsumerCancel
from gameday.technologies.rabbitmq.faults.queue_purge import QueuePurge
from gameday.technologies.rabbitmq.faults.stop_app import StopApp

__all__ = [
    "CloseConnections",
    "ConsumerCancel",
    "DiskAlarm",
    "MemoryAlarm",
    "QueuePurge",
    "StopApp",
]
