"""What is the same of a service in every runtime, on a body that is in no runtime."""

import signal
import time
from collections.abc import Callable

import psutil
import pytest

from gameday.api.environment import Endpoint, NotReadyError, ProcessState
from gameday.errors import EnvironmentRefused
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.scenario import ServiceSpec
from gameday.registry import KINDS
from gameday.runtimes.service import RunningService

STATUS = "SigPnd:\t0\nShdPnd:\t0\nSigIgn:\t1\nSigCgt:\t4000\n"


class Bodied(RunningService):
    """A service without a process; each of its defects is an attribute."""

    own_clock = True

    def __init__(self) -> None:
        spec = ServiceSpec(name="db", kind="redis")
        super().__init__(spec, KINDS["redis"], Endpoint(host="127.0.0.1", port=9), own_port=6379)
        self.asked_ns: list[int] = []
        self.acted_ns = 0
        self.looks = 0
        self.ends_at_look = 0
        self.ready_at_check = 1
        self.checks = 0
        self.ousted_by: str | None = ""
        self.status = STATUS
        self.loaded = "libfaketime"

    def check(self) -> str:
        self.checks += 1
        if self.checks < self.ready_at_check:
            raise NotReadyError("not yet")
        return "it answers"

    def process_state(self) -> ProcessState:
        self.looks += 1
        alive = self.looks != self.ends_at_look
        return ProcessState(alive=alive, pid=7, started="", exit_code=None if alive else 3)

    def stranger(self) -> str | None:
        return self.ousted_by

    def _signaller(self, number: signal.Signals) -> Callable[[], None]:
        time.sleep(0.02)
        self.asked_ns.append(time.monotonic_ns())
        return self._act

    def _act(self) -> None:
        self.acted_ns = time.monotonic_ns()

    _start_again = _freeze = _thaw = _act

    def _processes(self) -> list[psutil.Process]:
        return []

    def _main_pid(self) -> int:
        return 0

    def _main_status(self) -> str:
        return self.status

    def _has_loaded(self, library: str) -> bool:
        return library == self.loaded

    def _say_clock(self, text: str) -> None:
        """It has none."""

    def _last_words(self) -> str:
        return "; it said so"


def test_the_bracket_of_a_kill_begins_when_the_process_has_been_found() -> None:
    service = Bodied()
    bracket = service.kill(signal.SIGKILL)
    (found_ns,) = service.asked_ns
    assert found_ns <= bracket.start_ns <= service.acted_ns <= bracket.end_ns
    assert bracket.end_ns - bracket.start_ns < 10 * MILLISECOND


@pytest.mark.parametrize("call", ["start_again", "freeze", "thaw"])
def test_what_is_done_to_a_service_lies_within_its_bracket(call: str) -> None:
    service = Bodied()
    bracket = getattr(service, call)()
    assert bracket.start_ns <= service.acted_ns <= bracket.end_ns


def test_a_service_that_ends_before_it_is_ready_is_refused_with_its_last_words() -> None:
    service = Bodied()
    service.ready_at_check, service.ends_at_look = 10, 3
    with pytest.raises(
        EnvironmentRefused, match=r"^db ended with exit code 3 before it was ready; it said so$"
    ):
        service.wait_until_ready(SECOND, lambda: None)
    assert service.checks == 2


def test_a_body_that_is_slow_to_look_at_is_looked_at_seldom() -> None:
    service = Bodied()
    service.ready_at_check, service._look_pause_ns = 5, SECOND
    assert service.wait_until_ready(SECOND, lambda: None) == "it answers"
    assert (service.checks, service.looks) == (5, 1)


def test_an_answer_of_somebody_else_on_its_port_is_none_of_the_service() -> None:
    service = Bodied()
    service.ousted_by = "process 9 (nc)"
    with pytest.raises(EnvironmentRefused, match=r"^db has lost its port 9 to process 9 \(nc\)"):
        service.wait_until_ready(SECOND, lambda: None)
    service.ousted_by = None
    assert service.wait_until_ready(SECOND, lambda: None) == "it answers"


def test_the_signals_of_the_main_process_are_read_or_refused_by_name() -> None:
    service = Bodied()
    assert service.signals().caught == {signal.SIGTERM}
    service.status = "no such file"
    with pytest.raises(EnvironmentRefused, match=r"^the signals of db: no 'SigCgt'"):
        service.signals()


def test_a_clock_that_the_loader_ignores_is_refused() -> None:
    service = Bodied()
    service.refuse_without_clock()
    service.loaded = ""
    with pytest.raises(EnvironmentRefused, match=r"^db still has the host's clock"):
        service.refuse_without_clock()
    service.own_clock = False
    service.refuse_without_clock()
