"""The conductor: the nine steps of a run, in their order."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from gameday.analysis import Analysis, analyse, failed_guards
from gameday.api.fault import Fault
from gameday.engine.equipment import Equipment
from gameday.engine.event_bus import EventBus
from gameday.engine.failures import Failures
from gameday.engine.injector import Injector
from gameday.engine.interrupts import Interrupted, Interrupts
from gameday.engine.outcome import Draft, cut_short, outcome, what_ended
from gameday.engine.planning import Experiment
from gameday.engine.steady_state import StopConditionMet
from gameday.errors import EnvironmentRefused
from gameday.http_reader import NoReply
from gameday.judge import Judged, judge
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Phase, Progress, ServiceUp
from gameday.model.history import Connections, Deliveries, History, HostNoise, Observation
from gameday.model.listener import Listener
from gameday.model.plan import Plan
from gameday.model.result import FaultRecord, Result, Window
from gameday.registry import registry

__all__ = ["Conductor"]

_TICK_NS = 200 * MILLISECOND
_FIRST_OPERATION_IN_NS = 50 * MILLISECOND
_DRIVER_STOP_LIMIT_NS = 5 * SECOND
_LAST_PROOF_NS = 2 * SECOND
"""How long the proof of one undo may take after an interrupt: the environment goes anyway."""


class Conductor:
    """One run: starts, loads, breaks, heals, measures and judges; it knows no listener's kind."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Plan,
        equipment: Equipment,
        *,
        run: str,
        folder: Path,
        listeners: Sequence[Listener],
    ) -> None:
        """`folder` exists and is this run's own; `run` is the id on what it creates."""
        self._scenario = experiment.scenario
        self._plan = plan
        self._run = run
        self._folder = folder
        self._equipment = equipment
        self._clock = equipment.scheduler
        self._environment = equipment.environment
        self._supervisor = equipment.supervisor
        self._load = equipment.load
        self._ledger = equipment.ledger
        self._monitor = equipment.monitor
        self._noise_meter = equipment.noise_meter
        self._bypass = equipment.bypass
        self._draft = Draft(self._supervisor)
        self._event_bus = EventBus([*listeners, self._draft], self._clock)
        self._injector = Injector(
            [cast(Fault, step.fault) for step in self._scenario.faults],
            plan.faults,
            self._environment,
            self._event_bus,
            equipment.undo_record,
            self._supervisor,
            self._clock,
        )
        self._interrupts = Interrupts(self._injector.undo_now)
        self._failures = Failures(self._interrupts, self._event_bus.note)
        self._next_look_ns = 0
        self._loaded = Window(start_ns=0, end_ns=0)
        """When load was offered, absolute."""
        self._noise: HostNoise | None = None
        self._history: History | None = None
        self._deliveries: Deliveries | None = None
        self._unread = ""
        self._connections: Connections | None = None
        self._unsteady: str | None = None
        self._stopped: str | None = None
        self._clean: tuple[str, ...] = ()
        self._started_at = ""

    def execute(self) -> Result:
        """Conduct steps 3 to 9 and return what they came to; steps 1 and 2 made the plan.

        The environment is taken down before the judgement, so that one verdict covers that too.
        What ends it from outside, as a signal or a plugin's time limit, is raised again once
        everything is healed and removed, and a result says so.
        """
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._supervisor.start()
        self._draft.begin(self._outcome(cut_short("the harness is gone"), ()))
        with self._interrupts, self._equipment.undo_record, self._equipment.labelled():
            try:
                self._announce()
                self._start()
                with self._failures.going_on():
                    if self._baseline() and self._break():
                        self._recover()
                self._settle()
            except BaseException as error:
                self._interrupts.clean_up()
                self._failures.keep(error)
            self._interrupts.clean_up()
            self._clean_up()
            if self._failures.ended is not None:
                result = self._cut_short(self._failures.ended)
            else:
                analysis = None
                with self._failures.going_on():
                    analysis = self._analyse()
                result = self._judge(analysis)
        if self._failures.ended is not None:
            with suppress(EnvironmentRefused):  # what ended the run is raised instead
                self._event_bus.finish(result)
            raise self._failures.ended
        self._event_bus.finish(result)
        # A signal that came in the meantime ends the session, not only this run.
        self._interrupts.checkpoint()
        return result

    @property
    def clean(self) -> tuple[str, ...]:
        """What the last check found left of the run; empty before there was one."""
        return self._clean

    def _announce(self) -> None:
        """Steps 1 and 2 are done: say what was loaded and planned."""
        self._event_bus.enter(Phase.LOAD)
        self._event_bus.note(f"{self._plan.scenario} on {self._plan.target}, run {self._run}")
        self._event_bus.enter(Phase.PLAN)
        self._event_bus.note(f"services run in {self._plan.runtime}: {self._plan.runtime_why}")
        self._event_bus.note(
            f"seed {self._plan.seed}, zero of all times is "
            f"{self._event_bus.start_ns} ns of CLOCK_MONOTONIC"
        )

    def _start(self) -> None:
        """Step 3: the services, then what loads and watches them, which does nothing yet."""
        self._event_bus.enter(Phase.START)
        for healed in self._equipment.heal_abandoned():
            self._event_bus.note(healed)
        self._environment.start(self._service_up, self._interrupts.checkpoint)
        self._bypass.rest()
        self._load.start()
        self._noise_meter.start([str(server) for server in self._environment.proxy_servers()])
        self._monitor.start()

    def _baseline(self) -> bool:
        """Step 4: load starts; False when the steady state never held for the baseline's span."""
        self._event_bus.enter(Phase.BASELINE)
        self._bypass.begin()
        start_ns = self._clock.now_ns() + _FIRST_OPERATION_IN_NS
        self._loaded = Window(start_ns=start_ns, end_ns=start_ns)
        self._load.begin(start_ns)
        end_ns = start_ns + self._plan.baseline_ns
        while True:
            self._tick_until(end_ns)
            span = Window(start_ns=end_ns - self._plan.baseline_ns, end_ns=end_ns)
            self._unsteady = self._monitor.unsteady(span)
            if self._unsteady is None or end_ns >= start_ns + self._plan.baseline_limit_ns:
                break
            self._event_bus.note(f"not steady yet: {self._unsteady}")
            end_ns += SECOND
        if self._unsteady is not None:
            return False
        self._bypass.end_baseline()
        return True

    def _break(self) -> bool:
        """Step 5: every fault at its time; False as soon as one is not proven, or not healed."""
        self._event_bus.enter(Phase.BREAK)
        self._monitor.mind_the_stop_condition(self._clock.now_ns())
        try:
            return self._injector.play(self._tick_until, self._clock.now_ns(), self._tick)
        except StopConditionMet as met:
            self._stopped = str(met)
            self._event_bus.note(f"stopped: {met}; every fault is undone")
        finally:
            self._bypass.stop()
            self._monitor.mind_the_stop_condition(None)
        # The recovery is measured all the same.
        self._injector.heal(at_once=True)
        return True

    def _recover(self) -> None:
        """Step 6: until the steady state has held for its span, or the recovery limit is over."""
        self._event_bus.enter(Phase.RECOVER)
        give_up_ns = self._clock.now_ns() + self._plan.recovery_limit_ns
        while self._clock.now_ns() < give_up_ns:
            self._tick_until(self._clock.now_ns() + _TICK_NS)
            faults = self._injector.times()
            if self._monitor.has_recovered(faults, self._loaded.start_ns, self._clock.now_ns()):
                return

    def _settle(self) -> None:
        """Step 7: the load ends, a quiet period, then the final reads of every ledger."""
        with self._failures.going_on():
            self._injector.heal(at_once=bool(self._failures.problems))
        self._event_bus.enter(Phase.SETTLE)
        # Operations that come due while the driver stops do not count.
        self._loaded = Window(start_ns=self._loaded.start_ns, end_ns=self._clock.now_ns())
        report = self._load.stop(_DRIVER_STOP_LIMIT_NS)
        self._noise = self._noise_meter.stop(
            driver_cpu=report.cpu_share, lateness_p99_ns=report.lateness_p99_ns
        )
        with self._failures.going_on():
            self._noise_meter.check_proxies()
        if report.shortage:
            self._event_bus.note(report.shortage)
        self._bypass.rest()
        quiet_until_ns = self._clock.now_ns() + self._plan.quiet_ns
        while (left_ns := quiet_until_ns - self._clock.now_ns()) > 0:
            self._interrupts.checkpoint()
            self._clock.sleep_ns(min(_TICK_NS, left_ns))
        self._bypass.rest()
        try:
            self._deliveries = self._ledger.final_read()
            self._equipment.keep_record(self._deliveries)
        except NoReply as error:
            self._unread = str(error)
            self._event_bus.note(f"the final read failed: {error}")
        try:
            self._connections = self._equipment.connections(self._injector.targets)
        except EnvironmentRefused as error:
            self._event_bus.note(str(error))
        self._bypass.read_counters()

    def _analyse(self) -> Analysis | None:
        """Step 8: pure functions from what was seen to findings; None without a whole history."""
        self._event_bus.enter(Phase.ANALYSE)
        if self._noise is None:
            return None
        self._history = self._load.history()
        return analyse(
            Observation(
                history=self._history,
                deliveries=self._deliveries,
                unread=self._unread,
                faults=self._injector.times(),
                start_ns=self._event_bus.start_ns,
                load=self._loaded,
                steady=self._scenario.steady,
                connections=self._connections,
                noise=self._noise,
            ),
            tuple(registry().findings.values()),
        )

    def _judge(self, analysis: Analysis | None) -> Result:
        """Step 9: findings against expectations, proofs and guards: one verdict."""
        self._event_bus.enter(Phase.JUDGE)
        faults = self._injector.records(self._history)
        findings = analysis.findings if analysis else ()
        guards = failed_guards(analysis) if analysis else ()
        bypass: Sequence[str] = ()
        if self._history is not None:  # else perhaps nothing is there to ask
            with self._failures.going_on():
                bypass = self._equipment.went_around(self._history)
        judged: Judged | None = None
        with self._failures.going_on():
            judged = judge(
                # Without a measurement there is nothing to hold against a promise.
                self._scenario.expect if analysis else (),
                findings,
                faults=faults,
                guards=guards,
                doubts=analysis.doubts if analysis else None,
                unsteady=self._unsteady,
                stopped=self._stopped,
                bypass=bypass,
                problems=self._all_problems(),
            )
        self._event_bus.close()
        return self._outcome(judged or cut_short(*self._all_problems()), faults, analysis)

    def _cut_short(self, error: BaseException) -> Result:
        """Return the result of a run that something ended from outside: nothing is judged."""
        why = what_ended(error, self._interrupts.received, self._event_bus.phase)
        self._event_bus.close()
        faults = self._injector.records(self._history)
        return self._outcome(cut_short(why, *self._all_problems()), faults)

    def _all_problems(self) -> tuple[str, ...]:
        """Return what went wrong; a full disk comes first, for it is why others fail."""
        left = (f"left behind: {left}" for left in self._clean)
        return (*self._event_bus.problems, *self._failures.problems, *left)

    def _outcome(
        self, judged: Judged, faults: tuple[FaultRecord, ...], analysis: Analysis | None = None
    ) -> Result:
        return outcome(
            self._plan,
            self._scenario,
            judged,
            started_at=self._started_at,
            folder=str(self._folder),
            noise=self._noise,
            proxy=self._environment.proxy,
            versions=dict(self._environment.versions),
            faults=faults,
            analysis=analysis,
            phases=self._event_bus.phases,
            clean=self._clean,
        )

    def _clean_up(self) -> None:
        """Heal, end the load and remove the environment, whatever went wrong before."""
        with self._failures.cleaning():
            limit_ns = None if self._failures.ended is None else _LAST_PROOF_NS
            self._injector.heal(at_once=True, proof_limit_ns=limit_ns)
        with self._failures.cleaning():
            self._load.kill()
        with self._failures.cleaning():
            self._noise_meter.kill()
        with self._failures.cleaning():
            self._monitor.close()
        with self._failures.cleaning():
            self._bypass.stop()
        with self._failures.cleaning():
            self._environment.stop()
        self._clean = ("leftovers could not be checked",)
        with self._failures.cleaning():
            self._clean = self._environment.leftovers()
        with self._failures.cleaning():
            if self._clean:
                self._supervisor.abandon()
            else:
                self._supervisor.dismiss()
        number = self._interrupts.received
        if number is not None:
            self._failures.keep(Interrupted(f"stopped by {number.name}"))
            left = ", ".join(self._clean) or "nothing is left"
            self._event_bus.note(f"stopped by {number.name}; {left}")

    def _tick_until(self, until_ns: int) -> None:
        """Wait until `until_ns`, watching the load and signals."""
        self._tick()
        while (left_ns := until_ns - self._clock.now_ns()) > 0:
            self._clock.sleep_ns(min(_TICK_NS, left_ns))
            self._tick()

    def _tick(self) -> None:
        """Check for signals; five times a second, check the parts and report progress."""
        self._interrupts.checkpoint()
        if self._clock.now_ns() >= self._next_look_ns:
            self._load.poll()
            self._supervisor.check()
            self._noise_meter.check()
            self._event_bus.tell(Progress, **self._monitor.look(self._clock.now_ns()))
            self._next_look_ns = self._clock.now_ns() + _TICK_NS

    def _service_up(self, name: str, took_ns: int, evidence: str) -> None:
        self._event_bus.tell(ServiceUp, service=name, took_ns=took_ns, evidence=evidence)
