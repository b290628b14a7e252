"""Who may ask anything of a Redis of a target: the harness itself."""

from typing import TypedDict

from gameday.model.scenario import ServiceSpec

__all__ = ["RedisLogin", "redis_login"]


class RedisLogin(TypedDict):
    """Who a client is, in the words of redis-py."""

    username: str
    password: str


def redis_login(spec: ServiceSpec) -> RedisLogin:
    """Return the admin of a Redis that runs."""
    return RedisLogin(username=spec.logins.admin.user, password=spec.logins.admin.password)
