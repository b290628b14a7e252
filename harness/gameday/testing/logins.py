"""Services with logins, as an environment gives them to a target's."""

from pathlib import Path
from typing import TypedDict

from gameday.model.scenario import ServiceSpec, Target
from gameday.runtimes.kinds import with_logins

__all__ = ["RedisLogin", "armed", "redis_login"]


def armed(spec: ServiceSpec) -> ServiceSpec:
    """Return a service that needs no other, with passwords."""
    (made,) = with_logins(Target(name="t", title="T", path=Path(), services=(spec,))).services
    return made


class RedisLogin(TypedDict):
    """Who a client is, in the words of redis-py."""

    username: str
    password: str


def redis_login(spec: ServiceSpec) -> RedisLogin:
    """Return the admin of a Redis that runs."""
    return RedisLogin(username=spec.logins.admin.user, password=spec.logins.admin.password)
