"""How the harness logs in to a RabbitMQ service: its kind and the faults alike."""

from gameday.model.scenario import ServiceSpec

__all__ = ["rabbitmq_login"]


def rabbitmq_login(spec: ServiceSpec) -> tuple[str, str]:
    """Return user and password."""
    return spec.logins.admin.user, spec.logins.admin.password
