"""One service of the docker environment: what can be done to its container."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from gameday.api.bounds import Bounds, Resource, Stressor
from gameday.api.clocks import Reading
from gameday.api.descriptors import Descriptors
from gameday.api.environment import (
    Checkpoint,
    ChildProcess,
    Endpoint,
    FreezerState,
    NotReadyError,
    ProcessState,
    Ran,
)
from gameday.api.service_kind import told_by
from gameday.api.signals import Dispositions, signals_in
from gameday.api.throttling import DiskBounds
from gameday.errors import EnvironmentRefused
from gameday.host import faketime as clocks
from gameday.host import process_tree
from gameday.host.descriptors import descriptors_of, limit_descriptors, listener_among
from gameday.host.docker_engine import ran_in, ran_once, refusing
from gameday.host.freezer_state import FrozenGroup, freezer_of
from gameday.host.sockets import accepted_in_network_of
from gameday.host.waiting import READY_LIMIT_NS, until_ready
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.docker.bounds import ContainerBounds
from gameday.runtimes.docker.clock import ContainerClock
from gameday.runtimes.docker.disk import ContainerDisk
from gameday.runtimes.docker.options import collected
from gameday.runtimes.kinds import ServiceKind
from gameday.runtimes.last_words import last_words

__all__ = ["ContainerService", "refusing"]

_LOOK_LIMIT_NS = 5 * SECOND
_LAST_LINES = 100


class ContainerService:
    """One service in a container that can die without taking its address with it."""

    def __init__(
        self,
        spec: ServiceSpec,
        kind: ServiceKind,
        container: Container,
        direct: Endpoint,
        clock: ContainerClock | None = None,
        disk: ContainerDisk | None = None,
    ) -> None:
        self.spec = spec
        self._kind = kind
        self.container = container
        self.upstream = direct
        self._clock = clock
        self._disk = disk
        self._name = str(container.name)
        self._bodies = 1
        self._bounds = ContainerBounds(spec.name, lambda: self.container)
        self.past_log = b""
        """What the service wrote in containers that are no more."""

    def check(self) -> str:
        return self._kind.check(self.spec, self.upstream)

    def wait_until_ready(self, limit_ns: int, checkpoint: Checkpoint) -> str:
        next_look_ns = 0

        def check_alive() -> str:
            nonlocal next_look_ns
            try:
                return self.check()
            except NotReadyError:
                if time.monotonic_ns() > next_look_ns:
                    self._refuse_if_ended()
                    next_look_ns = time.monotonic_ns() + READY_LIMIT_NS // 100
                raise

        return until_ready(
            self.spec.name, check_alive, limit_ns=limit_ns, checkpoint=checkpoint, log=self._says
        )

    def process_state(self) -> ProcessState:
        with refusing(f"looking at the container of {self.spec.name}"):
            self.container.reload()
        state: Mapping[str, object] = self.container.attrs["State"]
        alive = bool(state["Running"])
        return ProcessState(
            alive=alive,
            pid=int(str(state["Pid"])),
            started=str(state["StartedAt"]),
            exit_code=None if alive else int(str(state["ExitCode"])),
        )

    @property
    def end_signal(self) -> signal.Signals:
        return self._kind.end_signal

    def kill(self, number: signal.Signals) -> Window:
        """Signal the host's pid where that is this container's process, else ask the engine.

        The first takes microseconds, the second a fifth of a second: that width goes into the
        uncertainty of every time that is counted from the fault.
        """
        pid = self.process_state().pid
        called_ns = time.monotonic_ns()
        if self._is_ours(pid):
            os.kill(pid, number)
        else:
            called_ns = time.monotonic_ns()
            with refusing(f"killing {self.spec.name}"):
                self.container.kill(signal=number.name)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def signals(self) -> Dispositions:
        """Read it of the host's process where that is this container's, else in the container."""
        pid = self.process_state().pid
        try:
            if self._is_ours(pid):
                return signals_in(Path(f"/proc/{pid}/status").read_text())
            return signals_in(self.run_inside(["cat", "/proc/1/status"], _LOOK_LIMIT_NS).output)
        except (OSError, ValueError) as error:
            raise EnvironmentRefused(f"the signals of {self.spec.name}: {error}") from error

    def start_again(self) -> Window:
        called_ns = time.monotonic_ns()
        with refusing(f"starting {self.spec.name} again"):
            self.container.start()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def freezer_state(self) -> FreezerState:
        """Read the freezer itself where it is this host's, else believe the engine."""
        process_state = self.process_state()
        if not process_state.alive:
            return "running"
        group = self.watch_freeze()
        state = group.freezer_state() if group is not None else None
        if state is None:
            return "frozen" if self.container.attrs["State"]["Paused"] else "running"
        return state

    def watch_freeze(self) -> FrozenGroup | None:
        """Return the freezer's own file where it is this host's."""
        pid = int(str(self.container.attrs["State"]["Pid"]))
        return freezer_of(pid) if self._is_ours(pid) else None

    def freeze(self) -> Window:
        called_ns = time.monotonic_ns()
        with refusing(f"pausing {self.spec.name}"):
            self.container.pause()
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def thaw(self) -> Window:
        called_ns = time.monotonic_ns()
        with refusing(f"thawing {self.spec.name}"):
            try:
                self.container.unpause()
            except APIError as error:
                # The engine refuses to thaw what is not frozen, which is what is wanted.
                if "not paused" not in str(error) and "not running" not in str(error):
                    raise
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def parts(self) -> frozenset[str]:
        """Return the container and its volumes, by their ids."""
        with refusing(f"looking at the container of {self.spec.name}"):
            self.container.reload()
        mounts: list[Mapping[str, object]] = self.container.attrs["Mounts"]
        volumes = {
            f"volume {mount['Name']}"
            for mount in mounts
            if mount["Type"] == "volume" and mount["Destination"] != clocks.CONTAINER_FOLDER
        }
        return frozenset({f"container {self.container.id}"} | volumes)

    def left(self, parts: frozenset[str]) -> frozenset[str]:
        return frozenset(part for part in parts if self._exists(*part.split(" ")))

    def remove(self, *, keep_data: bool) -> Window:
        """Make the successor, which is not started yet, then remove the container by force.

        A successor with the old volumes takes them over as the anonymous volumes that they are:
        they go when it goes, and no other record has to be kept of them.
        """
        old = self.container
        with refusing(f"making a successor of {self.spec.name}"):
            self.past_log = collected(old, self.past_log)
            used = self._disk.renew() if self._disk and not keep_data else ""
            successor = self._make_successor(with_volumes=keep_data, instead_of=used)
        called_ns = time.monotonic_ns()
        with refusing(f"removing {self.spec.name}"):
            try:
                old.remove(force=True, v=not keep_data)
                if self._disk and used:
                    self._disk.drop(used)
            finally:
                called = Window(start_ns=called_ns, end_ns=time.monotonic_ns())
                self.container = successor
        return called

    def plant(self, marker: str) -> bool:
        return self._kind.plant(self.spec, self.upstream, marker)

    def finds(self, marker: str) -> bool:
        return self._kind.finds(self.spec, self.upstream, marker)

    def child_processes(self) -> tuple[ChildProcess, ...]:
        process_state = self.process_state()
        if process_state.alive and not self._is_ours(process_state.pid):
            raise EnvironmentRefused(
                f"{self.spec.name}: its processes are not among those of this host, where the "
                "engine does not run; only its main process can be signalled: use kill"
            )
        return process_tree.child_processes_of(self._processes(), main=process_state.pid)

    def kill_child_processes(
        self, child_processes: tuple[ChildProcess, ...], number: signal.Signals
    ) -> Window:
        hit = {(child_process.pid, child_process.started) for child_process in child_processes}
        found = [p for p in self._processes() if (p.pid, p.create_time()) in hit]
        called_ns = time.monotonic_ns()
        process_tree.send(found, number)
        return Window(start_ns=called_ns, end_ns=time.monotonic_ns())

    def accepted_connections(self) -> int:
        pid = self.process_state().pid
        if not self._is_ours(pid):
            raise EnvironmentRefused(f"{self.spec.name}: its network is not on this host")
        return accepted_in_network_of(pid, self._kind.port)

    def run_inside(self, command: Sequence[str], limit_ns: int, *, user: str = "") -> Ran:
        """Run it by the engine; `timeout`, which every usual image has, bounds it there."""
        who = user or str(self.container.attrs["Config"].get("User", ""))
        what = f"running {command[0]} in {self.spec.name}"
        return ran_in(self.container, command, limit_ns, user=who, what=what)

    @property
    def data_folder(self) -> str:
        volumes = {mount["Destination"] for mount in self.container.attrs["Mounts"]}
        if self._kind.data not in volumes:
            raise EnvironmentRefused(
                f"{self.spec.name} has no volume at {self._kind.data}: give it one by `disk:`"
            )
        return self._kind.data

    @property
    def disk_bytes(self) -> int | None:
        return None if self._disk is None else self.spec.disk_bytes

    def run_beside(self, command: Sequence[str], limit_ns: int, *, user: str) -> Ran:
        what = f"running {command[0]} beside {self.spec.name}"
        where = self._disk.holder if self._disk else self.container
        if self._disk or self.process_state().alive:
            return ran_in(where, command, limit_ns, user=user, what=what)
        return ran_once(where, command, limit_ns, user=user, what=what)

    def host_folder(self) -> Path | None:
        if self._disk is None:
            return None
        self._disk.holder.reload()
        pid = int(self._disk.holder.attrs["State"]["Pid"])
        mine = self._is_ours(pid, str(self._disk.holder.id))
        return Path(f"/proc/{pid}/root{self._disk.folder}") if mine else None

    def service_user(self) -> str:
        """Return who its main process is, which an entry point may have made it."""
        done = self.run_inside(["stat", "-c", "%u:%g", "/proc/1"], _LOOK_LIMIT_NS)
        if done.code != 0:
            raise EnvironmentRefused(f"looking for the user of {self.spec.name}: {done.output}")
        return done.output.strip()

    @property
    def own_clock(self) -> bool:
        return self._clock is not None

    def set_clock(self, offset_ns: int, rate: float) -> Window:
        called_ns = time.monotonic_ns()
        with refusing(f"setting the clock of {self.spec.name}"):
            if self._clock is not None:
                self._clock.say(self.container, clocks.ahead(offset_ns, rate))
        return clocks.until_read(called_ns)

    def clock_setting(self) -> str:
        with refusing(f"looking at the clock of {self.spec.name}"):
            return "" if self._clock is None else self._clock.said()

    def read_clock(self) -> Reading:
        return told_by(self._kind, self.spec, self.upstream)

    def refuse_without_clock(self) -> None:
        """Raise EnvironmentRefused if it was to have a clock of its own, and ignores it."""
        if self._clock is None:
            return
        look = ["grep", "-q", "libfaketime", "/proc/1/maps"]
        looked = self.run_inside(look, _LOOK_LIMIT_NS, user=self.service_user())
        if looked.code != 0:
            raise EnvironmentRefused(clocks.ignored(self.spec.name))

    def bounds(self, resource: Resource) -> Bounds:
        return self._bounds.of(resource)

    def stressor(self, script: str, limit_ns: int, share: float = 1.0) -> Stressor:
        return self._bounds.stressor(script, limit_ns, share)

    def disk(self) -> DiskBounds:
        return self._bounds.disk()

    def first_to_die(self, yes: bool) -> None:
        self._bounds.first_to_die(yes)

    def descriptors(self) -> Descriptors:
        process = listener_among(self._processes(), self._kind.port, self.spec.name)
        return descriptors_of(process, self.spec.name)

    def limit_descriptors(self, of: Descriptors, soft: int) -> None:
        limit_descriptors(of, soft)

    def _processes(self) -> list[psutil.Process]:
        return process_tree.of_container(str(self.container.id))

    def _exists(self, kind: str, name: str) -> bool:
        assert self.container.client is not None
        with refusing(f"looking for the {kind} {name}"):
            try:
                if kind == "volume":
                    self.container.client.volumes.get(name)
                else:
                    self.container.client.containers.get(name)
            except NotFound:
                return False
        return True

    def _make_successor(self, *, with_volumes: bool, instead_of: str) -> Container:
        """Create, but not start, a container of the same settings in the same network."""
        client = self.container.client
        assert client is not None
        self.container.reload()
        config: dict[str, object] = dict(self.container.attrs["Config"])
        # Those of the companion, whose network it joins: the engine refuses to be told again.
        for key in ("Hostname", "Domainname", "ExposedPorts", "MacAddress"):
            config.pop(key, None)
        volumes_from = [str(self.container.id)] if with_volumes else None
        host = {**self.container.attrs["HostConfig"], "VolumesFrom": volumes_from}
        if self._disk and instead_of:
            new = (instead_of + ":", self._disk.volume + ":")
            host["Binds"] = [str(bind).replace(*new) for bind in host["Binds"]]
        config["HostConfig"] = host
        self._bodies += 1
        name = f"{self._name}-{self._bodies}"
        made = client.api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
        return client.containers.get(made["Id"])

    def _is_ours(self, pid: int, container: str = "") -> bool:
        """Whether `pid` of this host's /proc is a process of this very container."""
        return process_tree.is_of_container(pid, container or str(self.container.id))

    def _refuse_if_ended(self) -> None:
        process_state = self.process_state()
        if not process_state.alive:
            code = process_state.exit_code
            raise EnvironmentRefused(
                f"{self.spec.name} ended with exit code {code} before it was ready{self._says()}"
            )

    def _says(self) -> str:
        with refusing(f"reading the log of {self.spec.name}"):
            return last_words(self.spec.name, self.container.logs(tail=_LAST_LINES))
