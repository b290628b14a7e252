"""What is asked of every service, and what becomes of what one cannot do."""

import inspect
import signal
from collections.abc import Callable

import pytest

from gameday.api.descriptors import Descriptors
from gameday.api.environment import Service
from gameday.errors import EnvironmentRefused
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.docker.service import ContainerService
from gameday.runtimes.process.service import ProcessService
from gameday.testing.clocks import ManualClock
from gameday.testing.environments import MemoryService

ABILITIES = sorted(
    name for name in vars(Service) if not name.startswith("_") and hasattr(Service, name)
)


@pytest.mark.parametrize("service", [ContainerService, ProcessService])
@pytest.mark.parametrize("ability", ABILITIES)
def test_each_runtime_says_itself_how_a_service_does_each_thing(
    service: type[Service], ability: str
) -> None:
    found = inspect.getattr_static(service, ability)
    assert found is not inspect.getattr_static(Service, ability)


FILES = Descriptors(pid=1, started=0.0, open=frozenset(), soft=1)
UNABLE: dict[str, Callable[[Service], object]] = {
    "run_inside": lambda s: s.run_inside(["true"], 1),
    "run_beside": lambda s: s.run_beside(["true"], 1, user="0:0"),
    "data_folder": lambda s: s.data_folder,
    "service_user": lambda s: s.service_user(),
    "set_clock": lambda s: s.set_clock(1, 1.0),
    "clock_setting": lambda s: s.clock_setting(),
    "read_clock": lambda s: s.read_clock(),
    "bounds": lambda s: s.bounds("cpu"),
    "disk": lambda s: s.disk(),
    "stressor": lambda s: s.stressor("true", 1),
    "first_to_die": lambda s: s.first_to_die(True),
    "descriptors": lambda s: s.descriptors(),
    "limit_descriptors": lambda s: s.limit_descriptors(FILES, 1),
}


@pytest.mark.parametrize("ability", UNABLE)
def test_what_a_service_cannot_do_it_refuses_by_its_name(ability: str) -> None:
    service = MemoryService(spec=ServiceSpec(name="db", kind="redis"), clock=ManualClock())
    with pytest.raises(EnvironmentRefused, match=r"^db: .* here$"):
        UNABLE[ability](service)


def test_what_a_service_cannot_show_is_unknown_rather_than_nothing() -> None:
    class Plain(MemoryService):
        stranger = Service.stranger
        watch_freeze = Service.watch_freeze
        signals = Service.signals

    service = Plain(spec=ServiceSpec(name="db", kind="redis"), clock=ManualClock())
    assert service.stranger() is None
    assert service.watch_freeze() is None
    assert not service.own_clock
    assert (service.disk_bytes, service.host_folder()) == (None, None)
    assert service.end_signal is signal.SIGTERM
    with pytest.raises(EnvironmentRefused, match=r"^db: the signals of its main process"):
        service.signals()
