"""One service of the process environment: what can be done to its process."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from gameday.environment.protocol import Checkpoint, Endpoint, Vitals
from gameday.environment.services import ServiceKind
from gameday.environment.services.account import as_account
from gameday.environment.services.protocol import Prepared, Private
from gameday.environment.waiting import until_ready
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec

__all__ = ["ProcessService"]

_LOOPBACK = "127.0.0.1"


class ProcessService:
    """One service as a process of its own session, so that a Ctrl-C does not reach it."""

    def __init__(
        self,
        spec: ServiceSpec,
        kind: ServiceKind,
        *,
        port: int,
        home: Path,
        log: Path,
        env: Mapping[str, str],
    ) -> None:
        self.spec = spec
        self._kind = kind
        self._home = home
        self._log = log
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._started = ""
        self.direct = Endpoint(host=_LOOPBACK, port=port)

    def start(self) -> None:
        """Start the process; its data, its port and its log are those of every start."""
        self._home.mkdir(parents=True, exist_ok=True)
        account = self._prepare()
        own = self._kind.environment(
            self.spec, host=_LOOPBACK, port=self.direct.port, home=str(self._home)
        )
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._kind.process_command(self.spec, port=self.direct.port, home=self._home),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                env={**os.environ, **own, **self._env, **self.spec.env},
                start_new_session=True,
                **as_account(account),
            )
        self._started = f"{psutil.Process(self._process.pid).create_time():.2f}"

    def _prepare(self) -> str | None:
        """Make what the kind wants before a start; return the user to run it as."""
        if not isinstance(self._kind, Prepared):
            return None
        if self._kind.account is not None:
            shutil.chown(self._home, user=self._kind.account)
        self._kind.prepare(self.spec, home=self._home)
        return self._kind.account

    def check(self) -> str:
        if isinstance(self._kind, Private):
            return self._kind.check_as(self.spec, self.direct)
        return self._kind.check(self.direct)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        def check_alive() -> str:
            vitals = self.vitals()
            if not vitals.alive:
                raise EnvironmentRefused(
                    f"{self.spec.name} ended with exit code {vitals.exit_code} while it started:\n"
                    f"{_tail(self._log)}"
                )
            return self.check()

        return until_ready(self.spec.name, check_alive, limit_ns=limit_ns, checkpoint=checkpoint)

    def vitals(self) -> Vitals:
        if self._process is None:
            return Vitals(alive=False, pid=0, started="", exit_code=None)
        code = self._process.poll()
        return Vitals(
            alive=code is None,
            pid=self._process.pid,
            started=self._started,
            exit_code=128 - code if code is not None and code < 0 else code,
        )

    def kill(self, number: signal.Signals) -> Window:
        called_ns = time.monotonic_ns()
        if self._process is not None:
            self._process.send_signal(number)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        if not self.vitals().alive:
            self.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def ask_to_end(self) -> None:
        """Send SIGTERM, to a process that may be stopped."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(_end_signal(self._kind))
            self._process.send_signal(signal.SIGCONT)

    def make_end(self, limit_s: float) -> None:
        """Wait for the end for `limit_s` seconds, then force it; NotHealed if even that fails."""
        if self._process is None:
            return
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(limit_s)
            except subprocess.TimeoutExpired:
                raise NotHealed(
                    f"{self.spec.name}: process {self._process.pid} does not end by SIGKILL"
                ) from None


def _end_signal(kind: ServiceKind) -> signal.Signals:
    return kind.end_signal if isinstance(kind, Prepared) else signal.SIGTERM


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
