"""How anybody who talks to a RabbitMQ service logs in: its kind and the faults alike."""

from gameday.model.scenario import ServiceSpec

__all__ = ["rabbitmq_login"]

_LOGIN = {"RABBITMQ_DEFAULT_USER": "gameday", "RABBITMQ_DEFAULT_PASS": "gameday"}


def rabbitmq_login(spec: ServiceSpec) -> tuple[str, str]:
    """Return user and password: what the target says, in the official image's words, or ours."""
    said = {**_LOGIN, **spec.env}
    return said["RABBITMQ_DEFAULT_USER"], said["RABBITMQ_DEFAULT_PASS"]
