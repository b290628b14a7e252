"""One service in process: its main process, and what began with that."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from gameday.api.environment import ROOT, Endpoint, FreezerState, ProcessState, Ran
from gameday.api.service_kind import ServiceKind
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.host import faketime as clocks
from gameday.host import process_tree
from gameday.host.account import as_account, give_to
from gameday.host.disks import mount_disk, release
from gameday.host.freezer_state import StoppedProcesses
from gameday.host.listening import stranger_on
from gameday.host.process_files import mappings_of
from gameday.host.shared_memory import remove_segments
from gameday.host.sockets import TcpConnection, accepted_in_network_of, connections_of
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.last_words import last_words_in
from gameday.runtimes.process.bounds import ProcessBounds
from gameday.runtimes.process.logs import Logs
from gameday.runtimes.service import RunningService

__all__ = ["ProcessService"]

_LOOPBACK = "127.0.0.1"
_DEATH_LIMIT_S = 3.0
_OURS_ALONE = 0o077
"""The umask of a service: nobody else on this host may read what it writes."""


class ProcessService(RunningService):
    """One service as a process of its own session, so that a Ctrl-C does not reach it."""

    def __init__(
        self,
        spec: ServiceSpec,
        kind: ServiceKind,
        *,
        port: int,
        home: Path,
        logs: Logs,
        env: Mapping[str, str],
        clock: clocks.FakeClock | None = None,
    ) -> None:
        """`logs` has one of its name; `env` is all that it gets, nothing of this process's own."""
        super().__init__(spec, kind, Endpoint(host=_LOOPBACK, port=port), port)
        self._home = home
        self._logs = logs
        self._env = env
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._main: psutil.Process | None = None
        self._started = ""
        self._wiped: int | None = None
        self._to_end: list[psutil.Process] = []
        self._pids: list[int] = []
        self._looked_ns = -SECOND
        self._bounds = ProcessBounds(spec.name, self._processes, folder=home, env=env)

    def start(self) -> None:
        """Start the process; its data, its port and its log are those of every start."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.spec.disk_bytes is not None:
            mount_disk(self._home, self.spec.disk_bytes)
        account = self._prepare()
        try:
            self._process = self._spawn(account)
        except OSError as error:
            raise EnvironmentRefused(f"{self.spec.name} cannot be started: {error}") from error
        self._main = psutil.Process(self._process.pid)
        self._started = f"{self._main.create_time():.2f}"

    def _spawn(self, account: int | None) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._kind.process_command(self.spec, port=self._own_port, home=self._home),
            stdin=subprocess.DEVNULL,
            stdout=self._logs.writer(self.spec.name),
            stderr=subprocess.STDOUT,
            cwd=self._home,
            env={**self._env, **(self._clock.variables(account) if self._clock else {})},
            umask=_OURS_ALONE,
            start_new_session=True,
            **as_account(account),
        )

    def _last_words(self) -> str:
        self._logs.settle()
        return last_words_in(self._logs.files[self.spec.name])

    def _beside(self) -> Mapping[str, str]:
        return self._kind.companion_variables(port=self._own_port, home=self._home)

    def _prepare(self) -> int | None:
        """Make what the kind wants before a start; return the account to run it as."""
        give_to(self._home, self._kind.account)
        self._kind.prepare(self.spec, home=self._home)
        return self._kind.account

    def process_state(self) -> ProcessState:
        if self._process is None:
            return ProcessState(alive=False, pid=0, started="", exit_code=None)
        code = self._process.poll()
        return ProcessState(
            alive=code is None,
            pid=self._process.pid,
            started=self._started,
            exit_code=128 - code if code is not None and code < 0 else code,
        )

    def _processes(self) -> list[psutil.Process]:
        return [] if self._main is None else process_tree.of_main(self._main)

    def _main_pid(self) -> int:
        return self.process_state().pid

    def accepted_connections(self) -> int:
        return accepted_in_network_of(os.getpid(), self._own_port)

    def _main_status(self) -> str:
        return Path(f"/proc/{self._main_pid()}/status").read_text()

    def _has_loaded(self, library: str) -> bool:
        return library in mappings_of(self._main_pid())

    def service_user(self) -> str:
        ids = psutil.Process(self._main_pid())
        return f"{ids.uids().effective}:{ids.gids().effective}"

    def _signaller(self, number: signal.Signals) -> Callable[[], None]:
        process = self._process
        return (lambda: None) if process is None else partial(process.send_signal, number)

    def _start_again(self) -> None:
        if not self.process_state().alive:
            self.start()

    def freezer_state(self) -> FreezerState:
        return process_tree.freezer_state_of(self._processes())

    def _freeze(self) -> None:
        if self._main is not None:
            process_tree.stop_all(self._main)

    def _thaw(self) -> None:
        process_tree.send(self._processes(), signal.SIGCONT)

    def stranger(self) -> str:
        return stranger_on(self._own_port, self._processes)

    def watch_freeze(self) -> StoppedProcesses:
        return StoppedProcesses(self._processes())

    def parts(self) -> frozenset[str]:
        """Return the process while it lives, and the data folder by its inode."""
        process_state = self.process_state()
        parts = (
            {f"process {process_state.pid} of {process_state.started}"}
            if process_state.alive
            else set()
        )
        with suppress(FileNotFoundError):
            # The first inode of every disk in memory is the same.
            seen = self._home.stat()
            parts.add(f"volume {self._home}, device {seen.st_dev}, inode {seen.st_ino}")
        return frozenset(parts)

    def left(self, parts: frozenset[str]) -> frozenset[str]:
        return parts & self.parts()

    def remove(self, *, keep_data: bool) -> Window:
        """Kill every process and wipe the data folder.

        The folder is held open until the next one is wiped or all ends: its inode cannot return
        as that of another folder, which would pass for the old one.
        """
        if keep_data:
            raise EnvironmentRefused(f"{self.spec.name}: without losing data this is a kill")
        self._let_go()
        self._wiped = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY)
        called_ns = time.monotonic_ns()
        process_tree.send(self._processes(), signal.SIGKILL)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DEATH_LIMIT_S)
        remove_segments(self._home)
        release(self._home)
        shutil.rmtree(self._home, ignore_errors=True)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        what = f"running {command[0]} in {self.spec.name}"
        account = None if user == ROOT else self._kind.account
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=self._home,
                env={**self._env, **self._beside()},
                timeout=limit_ns / SECOND,
                check=False,
                **as_account(account),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnvironmentRefused(f"{what}: {error}") from error
        return Ran(code=done.returncode, output=done.stdout)

    @property
    def data_folder(self) -> str:
        return str(self._home)

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        return self.run_inside(command, limit_ns, user=user)

    def host_folder(self) -> Path | None:
        return self._home

    @property
    def own_clock(self) -> bool:
        return self._clock is not None

    def _say_clock(self, text: str) -> None:
        if self._clock is not None:
            self._clock.say(text)

    def clock_setting(self) -> str:
        return "" if self._clock is None else self._clock.said()

    def ask_to_end(self) -> None:
        """Ask the main process to end, and let all go on that may be stopped."""
        self._to_end = self._processes()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self._kind.end_signal)
        process_tree.send(self._to_end, signal.SIGCONT)

    def make_end(self, limit_s: float) -> None:
        """Wait for the end for `limit_s` seconds, then force it; NotHealed if even that fails.

        What the main process leaves behind of its own is ended as well.
        """
        self._let_go()
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)
        process_tree.send(self._to_end, signal.SIGKILL)
        try:
            # Without a list from before, at least the main process is known.
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise NotHealed(
                f"{self.spec.name}: process {self._process.pid} does not end by SIGKILL"
            ) from None
        _, alive = psutil.wait_procs(self._to_end, timeout=limit_s)
        if alive:
            pids = ", ".join(str(process.pid) for process in alive)
            raise NotHealed(f"{self.spec.name}: processes {pids} do not end by SIGKILL")

    def connections(self) -> list[TcpConnection]:
        """Return each connection that a process of the service holds.

        Which processes there are is looked up once a second, for that takes the longest.
        """
        now_ns = time.monotonic_ns()
        if now_ns >= self._looked_ns + SECOND:
            self._pids = [process.pid for process in self._processes()]
            self._looked_ns = now_ns
        return connections_of(self._pids)

    def _let_go(self) -> None:
        if self._wiped is not None:
            os.close(self._wiped)
            self._wiped = None
