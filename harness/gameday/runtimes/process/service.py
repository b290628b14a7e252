"""One service of the process environment: what can be done to its process."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.clocks import Reading
from gameday.api.descriptors import Descriptors
from gameday.api.environment import (
    ROOT,
    Checkpoint,
    ChildProcess,
    Endpoint,
    FreezerState,
    ProcessState,
    Ran,
)
from gameday.api.service_kind import told_by
from gameday.api.signals import Dispositions, signals_in
from gameday.api.throttling import DiskBounds
from gameday.errors import EnvironmentRefused, NotHealed
from gameday.host import faketime as clocks
from gameday.host import process_tree
from gameday.host.account import as_account, give_to
from gameday.host.descriptors import descriptors_of, limit_descriptors, listener_among
from gameday.host.disks import mount_disk, release
from gameday.host.freezer_state import StoppedProcesses
from gameday.host.listening import stranger_on
from gameday.host.shared_memory import remove_segments
from gameday.host.sockets import TcpConnection, accepted_in_network_of, connections_of
from gameday.host.waiting import until_ready
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.kinds import ServiceKind
from gameday.runtimes.last_words import last_words_in
from gameday.runtimes.process.bounds import ProcessBounds
from gameday.runtimes.process.logs import Logs

__all__ = ["ProcessService"]

_LOOPBACK = "127.0.0.1"
_DEATH_LIMIT_S = 3.0
_OURS_ALONE = 0o077
"""The umask of a service: nobody else on this host may read what it writes."""


class ProcessService:
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
        self.spec = spec
        self._kind = kind
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
        self.upstream = Endpoint(host=_LOOPBACK, port=port)
        self._bounds = ProcessBounds(spec.name, self._tree, folder=home, env=env)

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
            self._kind.process_command(self.spec, port=self.upstream.port, home=self._home),
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
        return self._kind.companion_variables(port=self.upstream.port, home=self._home)

    def _prepare(self) -> int | None:
        """Make what the kind wants before a start; return the account to run it as."""
        give_to(self._home, self._kind.account)
        self._kind.prepare(self.spec, home=self._home)
        return self._kind.account

    def check(self) -> str:
        return self._kind.check(self.spec, self.upstream)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        name = self.spec.name

        def check_alive() -> str:
            process_state = self.process_state()
            if not process_state.alive:
                code = process_state.exit_code
                raise EnvironmentRefused(
                    f"{name} ended with exit code {code} before it was ready{self._last_words()}"
                )
            evidence = self.check()
            if who := self.stranger():
                raise EnvironmentRefused(
                    f"{name} has lost its port {self.upstream.port} to {who}, which answers instead"
                )
            return evidence

        return until_ready(
            name,
            check_alive,
            limit_ns=limit_ns,
            checkpoint=checkpoint,
            log=self._last_words,
        )

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

    @property
    def end_signal(self) -> signal.Signals:
        return self._kind.end_signal

    def kill(self, number: signal.Signals) -> Window:
        called_ns = time.monotonic_ns()
        if self._process is not None:
            self._process.send_signal(number)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def signals(self) -> Dispositions:
        try:
            return signals_in(Path(f"/proc/{self.process_state().pid}/status").read_text())
        except (OSError, ValueError) as error:
            raise EnvironmentRefused(f"the signals of {self.spec.name}: {error}") from error

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        if not self.process_state().alive:
            self.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def freezer_state(self) -> FreezerState:
        return process_tree.freezer_state_of(self._tree())

    def freeze(self) -> Window:
        called_ns = time.monotonic_ns()
        if self._main is not None:
            process_tree.stop_all(self._main)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def thaw(self) -> Window:
        called_ns = time.monotonic_ns()
        process_tree.send(self._tree(), signal.SIGCONT)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def stranger(self) -> str:
        return stranger_on(self.upstream.port, self._tree)

    def watch_freeze(self) -> StoppedProcesses:
        return StoppedProcesses(self._tree())

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
        process_tree.send(self._tree(), signal.SIGKILL)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DEATH_LIMIT_S)
        remove_segments(self._home)
        release(self._home)
        shutil.rmtree(self._home, ignore_errors=True)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def plant(self, marker: str) -> bool:
        return self._kind.plant(self.spec, self.upstream, marker)

    def finds(self, marker: str) -> bool:
        return self._kind.finds(self.spec, self.upstream, marker)

    def child_processes(self) -> tuple[ChildProcess, ...]:
        main = 0 if self._process is None else self._process.pid
        return process_tree.child_processes_of(self._tree(), main=main)

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        hit = {(child_process.pid, child_process.started) for child_process in child_processes}
        found = [p for p in self._tree() if (p.pid, p.create_time()) in hit]
        called_ns = time.monotonic_ns()
        process_tree.send(found, number)
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

    @property
    def disk_bytes(self) -> int | None:
        return self.spec.disk_bytes

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        return self.run_inside(command, limit_ns, user=user)

    def host_folder(self) -> Path | None:
        return self._home

    def service_user(self) -> str:
        ids = psutil.Process(self.process_state().pid)
        return f"{ids.uids().effective}:{ids.gids().effective}"

    @property
    def own_clock(self) -> bool:
        return self._clock is not None

    def set_clock(self, offset_ns: int, rate: float) -> Window:
        called_ns = time.monotonic_ns()
        if self._clock is not None:
            self._clock.say(clocks.ahead(offset_ns, rate))
        return clocks.until_read(called_ns)

    def refuse_without_clock(self) -> None:
        """Raise EnvironmentRefused if it was to have a clock of its own, and ignores it."""
        if self._clock is None or self._process is None:
            return
        if "libfaketime" not in Path(f"/proc/{self._process.pid}/maps").read_text():
            raise EnvironmentRefused(clocks.ignored(self.spec.name))

    def clock_setting(self) -> str:
        return "" if self._clock is None else self._clock.said()

    def read_clock(self) -> Reading:
        return told_by(self._kind, self.spec, self.upstream)

    def bounds(self, resource: Resource) -> Bounds:
        return self._bounds.of(resource)

    def stressor(self, script: str, limit_ns: int, share: float = 1.0) -> Stressor:
        return self._bounds.stressor(script, limit_ns, share)

    def disk(self) -> DiskBounds:
        return self._bounds.disk()

    def first_to_die(self, yes: bool) -> None:
        self._bounds.first_to_die(yes)

    def descriptors(self) -> Descriptors:
        process = listener_among(self._tree(), self.upstream.port, self.spec.name)
        return descriptors_of(process, self.spec.name)

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        limit_descriptors(of, soft)

    def ask_to_end(self) -> None:
        """Ask the main process to end, and let all go on that may be stopped."""
        self._to_end = self._tree()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.end_signal)
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
            self._pids = [process.pid for process in self._tree()]
            self._looked_ns = now_ns
        return connections_of(self._pids)

    def accepted_connections(self) -> int:
        return accepted_in_network_of(os.getpid(), self.upstream.port)

    def _tree(self) -> list[psutil.Process]:
        return [] if self._main is None else process_tree.of_main(self._main)

    def _let_go(self) -> None:
        if self._wiped is not None:
            os.close(self._wiped)
            self._wiped = None
