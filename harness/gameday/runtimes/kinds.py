"""What a target's services are given, and tell, by their kinds: logins and versions."""

import functools
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gameday.model.login import Login
from gameday.model.scenario import ServiceSpec, Target
from gameday.registry import KINDS

__all__ = ["login_of", "versions_of", "with_logins"]

_ANSWER_LIMIT_S = 5


def with_logins(target: Target) -> Target:
    """Return the target with new passwords for its stores, which are those of one run.

    A replica has the logins of its primary: it copies the users, or swaps roles with it.
    """
    made: dict[str, ServiceSpec] = {}
    for spec in (spec for wave in target.waves for spec in wave):
        kind = KINDS[spec.kind]
        logins = made[spec.needs[0]].logins if kind.primary else kind.new_logins(spec)
        env = {key: said for key, said in spec.env.items() if key not in kind.login_keys}
        made[spec.name] = replace(spec, env=env, logins=logins)
    return replace(target, services=tuple(made[spec.name] for spec in target.services))


def login_of(spec: ServiceSpec) -> Login:
    """Return who a client of that service has to be; nobody, where nobody asks."""
    return spec.logins.service


def versions_of(services: Iterable[ServiceSpec]) -> dict[str, str]:
    """Return what the server of each service says of its version, where that is one program."""
    found = {}
    for spec in services:
        kind = KINDS[spec.kind]
        program = kind.program()
        if program is not None:
            found[spec.name] = _version(program)
    return found


@functools.cache
def _version(program: Path) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"not told: {error}"
    return (done.stdout or done.stderr).strip().partition("\n")[0]
