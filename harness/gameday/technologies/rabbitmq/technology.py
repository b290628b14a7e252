"""RabbitMQ, a single node."""

from gameday.api.technology import Technology
from gameday.technologies.rabbitmq import faults
from gameday.technologies.rabbitmq.service import RabbitMQ

__all__ = ["RABBITMQ"]

RABBITMQ = Technology(
    name="rabbitmq",
    kinds=(RabbitMQ(),),
    faults=(
        faults.CloseConnections,
        faults.MemoryAlarm,
        faults.DiskAlarm,
        faults.StopApp,
        faults.QueuePurge,
        faults.ConsumerCancel,
    ),
)
