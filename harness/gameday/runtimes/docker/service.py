"""One service in docker: its container, and the one that takes its place after a removal."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import psutil
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from gameday.api.environment import Endpoint, FreezerState, ProcessState, Ran
from gameday.api.service_kind import ServiceKind
from gameday.errors import EnvironmentRefused
from gameday.host import faketime as clocks
from gameday.host import process_tree
from gameday.host.docker_engine import ran_in, ran_once, refusing
from gameday.host.freezer_state import FrozenGroup, freezer_of
from gameday.host.sockets import accepted_in_network_of
from gameday.host.waiting import READY_LIMIT_NS
from gameday.model.clock import SECOND
from gameday.model.result import Window
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.docker.bounds import ContainerBounds
from gameday.runtimes.docker.clock import ContainerClock
from gameday.runtimes.docker.disk import ContainerDisk
from gameday.runtimes.docker.options import collected
from gameday.runtimes.last_words import last_words
from gameday.runtimes.service import RunningService

__all__ = ["ContainerService"]

_LOOK_LIMIT_NS = 5 * SECOND
_LAST_LINES = 100


class ContainerService(RunningService):
    """One service in a container that can die without taking its address with it."""

    _look_pause_ns = READY_LIMIT_NS // 100

    def __init__(
        self,
        spec: ServiceSpec,
        kind: ServiceKind,
        container: Container,
        upstream: Endpoint,
        clock: ContainerClock | None = None,
        disk: ContainerDisk | None = None,
    ) -> None:
        super().__init__(spec, kind, upstream, kind.port)
        self.container = container
        self._clock = clock
        self._disk = disk
        self._name = str(container.name)
        self._bodies = 1
        self._bounds = ContainerBounds(spec.name, lambda: self.container)
        self.past_log = b""
        """What the service wrote in containers that are no more."""

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

    def _processes(self) -> list[psutil.Process]:
        return process_tree.of_container(str(self.container.id))

    def _main_pid(self) -> int:
        state = self.process_state()
        if state.alive and not self._is_ours(state.pid):
            raise EnvironmentRefused(
                f"{self.spec.name}: its processes are not among those of this host, where the "
                "engine does not run; only its main process can be signalled: use kill"
            )
        return state.pid

    def accepted_connections(self) -> int:
        pid = self.process_state().pid
        if not self._is_ours(pid):
            raise EnvironmentRefused(f"{self.spec.name}: its network is not on this host")
        return accepted_in_network_of(pid, self._own_port)

    def _main_status(self) -> str:
        """Read that of the host's process where it is this container's, else in the container."""
        pid = self.process_state().pid
        if self._is_ours(pid):
            return Path(f"/proc/{pid}/status").read_text()
        return self.run_inside(["cat", "/proc/1/status"], _LOOK_LIMIT_NS).output

    def _has_loaded(self, library: str) -> bool:
        look = ["grep", "-q", library, "/proc/1/maps"]
        return self.run_inside(look, _LOOK_LIMIT_NS, user=self.service_user()).code == 0

    def service_user(self) -> str:
        """Return who its main process is, which an entry point may have made it."""
        done = self.run_inside(["stat", "-c", "%u:%g", "/proc/1"], _LOOK_LIMIT_NS)
        if done.code != 0:
            raise EnvironmentRefused(f"looking for the user of {self.spec.name}: {done.output}")
        return done.output.strip()

    def _signaller(self, number: signal.Signals) -> Callable[[], None]:
        """Signal the host's pid where that is this container's process, else ask the engine.

        The first takes microseconds, the second a fifth of a second: that width goes into the
        uncertainty of every time that is counted from the fault.
        """
        pid = self.process_state().pid
        if self._is_ours(pid):
            return partial(os.kill, pid, number)
        return partial(self._ask_engine_to_signal, number)

    def _ask_engine_to_signal(self, number: signal.Signals) -> None:
        with refusing(f"killing {self.spec.name}"):
            self.container.kill(signal=number.name)

    def _start_again(self) -> None:
        with refusing(f"starting {self.spec.name} again"):
            self.container.start()

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

    def _freeze(self) -> None:
        with refusing(f"pausing {self.spec.name}"):
            self.container.pause()

    def _thaw(self) -> None:
        with refusing(f"thawing {self.spec.name}"):
            try:
                self.container.unpause()
            except APIError as error:
                # The engine refuses to thaw what is not frozen, which is what is wanted.
                if "not paused" not in str(error) and "not running" not in str(error):
                    raise

    def stranger(self) -> None:
        """Nobody else can listen in the network that it shares with its proxies alone."""
        return

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
                f"{self.spec.name} has no volume at {self._kind.data}: add `disk:` to its target"
            )
        return self._kind.data

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

    @property
    def own_clock(self) -> bool:
        return self._clock is not None

    def _say_clock(self, text: str) -> None:
        with refusing(f"setting the clock of {self.spec.name}"):
            if self._clock is not None:
                self._clock.say(self.container, text)

    def clock_setting(self) -> str:
        with refusing(f"looking at the clock of {self.spec.name}"):
            return "" if self._clock is None else self._clock.said()

    def _last_words(self) -> str:
        with refusing(f"reading the log of {self.spec.name}"):
            return last_words(self.spec.name, self.container.logs(tail=_LAST_LINES))

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
