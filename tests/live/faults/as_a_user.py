"""Run by a test as a program of its own: a limit of tasks, proven as a user who is not root.

Prints a line of JSON for the fault and one for a fault that does nothing, with every proof.
"""

import json
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from gameday.environment import process_bounds
from gameday.environment.logs import Logs
from gameday.environment.process_service import ProcessService
from gameday.environment.protocol import Environment
from gameday.environment.services import KINDS
from gameday.environment.services.variables import variables_of
from gameday.environment.waiting import READY_LIMIT_NS, free_ports
from gameday.faults.protocol import Fault, Lasting
from gameday.faults.resources import PidsLimit
from gameday.model.event import Scalar
from gameday.model.scenario import ServiceSpec
from gameday.testing.dud import Dud
from gameday.testing.logins import armed

_END_LIMIT_S = 5


def main() -> None:
    setattr(process_bounds, "may_have_cells", lambda _: False)  # noqa: B010 - as a test would
    with (
        tempfile.TemporaryDirectory(prefix="redis-of-a-user-") as made,
        Logs({"redis": Path(made) / "log"}) as logs,
    ):
        if os.geteuid() == 0:
            # What is imported or started on first use may be where only root can read it.
            with redis(Path(made), logs):
                pass
            become("nobody", Path(made))
        with redis(Path(made), logs) as service:
            environment = cast(Environment, SimpleNamespace(service=lambda _: service))
            fault = PidsLimit(target="redis", free=20)
            for played in (fault, Dud(fault=fault)):
                sys.stdout.write(f"{json.dumps(list(proofs_of(played, environment)))}\n")


def become(name: str, folder: Path) -> None:
    """Be somebody else from now on, who owns the folder."""
    entry = pwd.getpwnam(name)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


@contextmanager
def redis(folder: Path, logs: Logs) -> Iterator[ProcessService]:
    """A Redis of whoever this is, without a proxy before it."""
    spec, home = armed(ServiceSpec(name="redis", kind="redis")), folder / "data"
    (port,) = free_ports(1)
    service = ProcessService(
        spec,
        KINDS["redis"],
        port=port,
        home=home,
        logs=logs,
        env=variables_of(spec, (), host="127.0.0.1", port=port, home=str(home)),
    )
    try:
        service.start()
        service.wait_until_ready(READY_LIMIT_NS, lambda: None)
        yield service
    finally:
        service.ask_to_end()
        service.make_end(_END_LIMIT_S)
        shutil.rmtree(home)


def proofs_of(fault: Fault, environment: Environment) -> Iterator[tuple[bool, dict[str, Scalar]]]:
    """Yield the proofs that it is in, that it is still, and that it is undone."""
    injection = fault.on(environment)
    proofs = []
    try:
        injection.inject()
        proofs.append(injection.prove(lambda: None))
        if isinstance(injection, Lasting):
            proofs.append(injection.still_in())
    finally:
        injection.undo()
        proofs.append(injection.prove_undone(lambda: None))
    yield from ((proof.proven, dict(proof.measured)) for proof in proofs)


if __name__ == "__main__":
    main()
