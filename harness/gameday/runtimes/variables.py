"""The variables of a service, the same in every runtime."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gameday.api.environment import Endpoint
from gameday.cleanup.labels import labels_of
from gameday.host.variables import for_services
from gameday.model.expansion import expand, prefix_of
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.runtimes.kinds import login_of
from gameday.runtimes.program import process_path

__all__ = ["Need", "process_variables", "told_about", "variables_of"]

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A service that another one needs, where that other one finds it."""

    spec: ServiceSpec
    at: Endpoint

    @property
    def told(self) -> Mapping[str, str]:
        """What is said of it, without the prefix of its name."""
        login = login_of(self.spec)
        said = {"HOST": self.at.host, "PORT": str(self.at.port)}
        if login.user:
            said |= {"USER": login.user, "PASSWORD": login.password}
        return said | ({"DATABASE": login.database} if login.database else {})


def told_about(kind: str) -> tuple[str, ...]:
    """Return what a service is told about one of that kind, without the prefix of its name."""
    spec = ServiceSpec(name=kind, kind=kind)
    spec = replace(spec, logins=KINDS[kind].new_logins(spec))
    return tuple(Need(spec=spec, at=Endpoint(host="", port=0)).told)


def process_variables(
    spec: ServiceSpec, needs: Sequence[Need], *, port: int, home: Path, run: str
) -> dict[str, str]:
    """Return all variables of a service that is a process of this host."""
    told = variables_of(spec, needs, host=_LOOPBACK, port=port, home=str(home))
    if spec.program is not None:
        told["PYTHONPATH"] = process_path(spec)
    return {**for_services(), **told, **labels_of(run)}


def variables_of(
    spec: ServiceSpec, needs: Sequence[Need], *, host: str, port: int, home: str
) -> dict[str, str]:
    """Return what the target gives a service, beside what every service gets.

    That is what its kind wants, what it needs, what it asks to pass on, and its own `env`.
    """
    own = KINDS[spec.kind].environment(spec, host=host, port=port, home=home)
    told = {
        f"{prefix_of(need.spec.name)}_{name}": value
        for need in needs
        for name, value in need.told.items()
    }
    passed = {name: os.environ[name] for name in spec.pass_env if name in os.environ}
    env = spec.env
    if spec.program is not None:
        env = {name: expand(value, {**own, **told}) for name, value in env.items()}
    return {**passed, **own, **{name: value for name, value in told.items() if value}, **env}
