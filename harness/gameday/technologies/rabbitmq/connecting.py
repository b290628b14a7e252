"""A connection of pika, whose failure to come about is one of the errors that it documents."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pika

__all__ = ["connected"]


def connected(parameters: "pika.ConnectionParameters") -> "pika.BlockingConnection":
    """Connect to a broker; AMQPError or OSError if that fails.

    Of a connection that ends while it is being made pika says ValueError.
    """
    import pika  # 70 ms, so not before a broker is there

    try:
        return pika.BlockingConnection(parameters)
    except ValueError as error:
        raise ConnectionError(str(error)) from error
