"""Services with logins, as an environment gives them to a target's."""

from pathlib import Path

from gameday.model.scenario import ServiceSpec, Target
from gameday.runtimes.kinds import with_logins

__all__ = ["armed"]


def armed(spec: ServiceSpec) -> ServiceSpec:
    """Return a service that needs no other, with passwords."""
    (made,) = with_logins(Target(name="t", title="T", path=Path(), services=(spec,))).services
    return made
