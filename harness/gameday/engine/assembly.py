"""The parts of a run, made for its plan: real servers, processes and clocks."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from gameday.api.environment import Environment
from gameday.api.workload import Ledger, Workload
from gameday.cleanup.abandoned import heal_abandoned
from gameday.cleanup.labels import labelled
from gameday.cleanup.supervisor import SupervisorProcess
from gameday.engine.addresses import Addresses
from gameday.engine.bypass import BypassDetector
from gameday.engine.equipment import Equipment
from gameday.engine.planning import Experiment
from gameday.engine.scheduler import ThreadScheduler
from gameday.engine.steady_state import SteadyStateMonitor
from gameday.engine.undo_log import UndoRecord
from gameday.errors import InternalError
from gameday.load.load import LoadDriver
from gameday.load.messages import DriverReport
from gameday.load.noise_meter import HostNoiseMeter
from gameday.load.reader import read_history
from gameday.load.record import save_record
from gameday.model.history import Deliveries, History
from gameday.model.plan import Plan

__all__ = ["assemble"]


def assemble(
    experiment: Experiment, plan: Plan, environment: Environment, *, run: str, folder: Path
) -> Equipment:
    """Return the parts of a run; `folder` exists and is its own, `run` labels what it creates."""
    scheduler = ThreadScheduler()
    in_docker = plan.runtime == "docker"
    logs = folder / "logs"
    addresses = Addresses(experiment.target, environment)
    bypass = BypassDetector(
        environment, experiment.scenario, experiment.target, seed=plan.seed, clock=scheduler
    )
    workload = cast(Workload, experiment.scenario.workload[0])

    def make_driver() -> LoadDriver:
        streams = tuple(addresses.stream(planned) for planned in plan.streams)
        return LoadDriver(streams, folder, run, plan.longest_ns, logs / "driver.log")

    def went_around(history: History) -> tuple[str, ...]:
        load = [(stream.edge, addresses.stream(stream)) for stream in plan.streams]
        return bypass.sentences(history, load, run)

    def open_ledger() -> Ledger:
        return workload.open_ledger(addresses.reader(workload.ledger), run, scheduler)

    ledger = _LateLedger(open_ledger)
    return Equipment(
        scheduler=scheduler,
        environment=environment,
        supervisor=SupervisorProcess(run, in_docker=in_docker, log=logs / "janitor.log"),
        undo_record=UndoRecord(folder / "undo.jsonl"),
        load=_LateLoad(make_driver, folder),
        ledger=ledger,
        keep_record=lambda deliveries: save_record(deliveries, folder),
        monitor=SteadyStateMonitor(folder, ledger, experiment.scenario),
        noise_meter=HostNoiseMeter(folder, logs / "hiccups.log"),
        bypass=bypass,
        went_around=went_around,
        connections=addresses.connections,
        labelled=lambda: labelled(run),
        heal_abandoned=lambda: heal_abandoned(in_docker=in_docker),
    )


class _LateLoad:
    """The load driver of a target whose addresses are known only once it is up."""

    def __init__(self, make: Callable[[], LoadDriver], folder: Path) -> None:
        self._make = make
        self._folder = folder
        self._driver: LoadDriver | None = None

    def start(self) -> None:
        self._driver = self._make()
        self._driver.start()

    def begin(self, at_ns: int) -> None:
        self._started().begin(at_ns)

    def poll(self) -> None:
        self._started().poll()

    def stop(self, timeout_ns: int) -> DriverReport:
        return self._started().stop(timeout_ns)

    def kill(self) -> None:
        if self._driver is not None:
            self._driver.kill()

    def history(self) -> History:
        return read_history(self._folder)

    def _started(self) -> LoadDriver:
        if self._driver is None:
            raise InternalError("the load was not started")
        return self._driver


class _LateLedger:
    """The ledger of a target whose addresses are known only once it is up: at its first read."""

    def __init__(self, make: Callable[[], Ledger]) -> None:
        self._make = make
        self._ledger: Ledger | None = None

    def poll(self) -> None:
        self._opened().poll()

    def seen(self) -> Deliveries:
        return self._opened().seen()

    def since(self, at_ns: int) -> Deliveries:
        return self._opened().since(at_ns)

    def final_read(self) -> Deliveries:
        return self._opened().final_read()

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def _opened(self) -> Ledger:
        if self._ledger is None:
            self._ledger = self._make()
        return self._ledger
