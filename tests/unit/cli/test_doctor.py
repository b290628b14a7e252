"""What is used here follows from what each fault demands and from what was tried."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from gameday.api.environment import Environment
from gameday.api.fault import Example, Injection, Requirements
from gameday.api.mechanism import Mechanism, Trial
from gameday.cli.doctor import RUNTIMES, Capability, Use, report, uses
from gameday.cli.doctor.requirements import mechanisms_of_faults
from gameday.faults.built_in import MECHANISMS
from gameday.model.scenario import Hits
from gameday.registry import FAULTS, KINDS, extend, forget

WIDTHS = pytest.mark.parametrize("width", [80, 120])


def told(runtime: str, *, broken: Collection[str] = ()) -> dict[tuple[str, str], Use]:
    """Return what is told of a host where everything works but what is named."""

    def tried(mechanism: Mechanism) -> Trial:
        if mechanism.name in broken:
            return Trial(works=False, seen="it is broken", cure="mend it")
        return Trial(works=True, seen="it works")

    return {(use.what, use.when): use for use in uses(runtime, tried)}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_fault_and_every_kind_of_service_is_told_of(runtime: str) -> None:
    whats = {what for what, _ in told(runtime)}
    assert whats == {*FAULTS, *(f"{kind} service" for kind in KINDS)}


def test_a_fault_uses_the_mechanism_that_it_demands() -> None:
    assert told("process")["cpu-limit", ""].by == ("cpu control group in process",)
    assert told("docker")["cpu-limit", ""].by == ("containers' processes on this host",)


def test_what_stands_in_for_a_mechanism_is_said() -> None:
    use = told("process", broken=["cpu control group in process"])["cpu-limit", ""]
    assert use.refused == ""
    assert use.by == ("duty cycle of 100 ms",)


def test_a_fault_without_its_mechanism_is_refused_and_says_why() -> None:
    use = told("process", broken=["libfaketime"])["clock-offset", ""]
    assert use.by == ()
    assert use.refused == "libfaketime: it is broken"


@pytest.mark.parametrize(
    ("verb", "when", "mechanism"),
    [
        ("memory-limit", "", "memory control group in process"),
        ("memory-burn", "until oom", "memory control group in process"),
        ("pids-limit", "", "pids control group in process"),
        ("io-throttle", "", "disk throttle in process"),
    ],
)
def test_nothing_stands_in_for_a_control_group(verb: str, when: str, mechanism: str) -> None:
    use = told("process", broken=[mechanism])[verb, when]
    assert use.by == ()
    assert use.refused == f"{mechanism}: it is broken"


def test_settings_that_demand_something_else_are_told_apart() -> None:
    found = told("process")
    assert found["memory-burn", "until undone"].by == ()
    assert found["memory-burn", "until oom"].by == ("memory control group in process",)


def test_a_fault_that_only_gamedays_proxy_can_do_says_so_in_docker() -> None:
    found = told("docker")
    assert found["latency", "distribution uniform; stream both"].by == ()
    assert found["latency", "otherwise"].by == ("gameday's own proxy",)
    assert found["blackhole", "stream both"].by == ()
    assert found["blackhole", "stream upstream, downstream"].by == ("gameday's own proxy",)
    assert found["http-delay", ""].by == ("gameday's own proxy",)


def test_what_an_environment_cannot_do_at_all_is_refused_there_alone() -> None:
    assert "loopback" in told("process")["packet-loss", ""].refused
    assert told("docker")["packet-loss", ""].refused == ""
    assert "volume kept" in told("process")["remove", "volume keep"].refused
    assert told("process")["remove", "volume drop"].refused == ""


def test_a_bounded_disk_is_asked_of_this_host_in_process_alone() -> None:
    assert told("process", broken=["bounded disk in process"])["disk-fill", ""].refused != ""
    assert told("docker", broken=["bounded disk in process"])["disk-fill", ""].refused == ""


def test_faults_of_a_server_that_does_not_start_are_refused() -> None:
    found = told("process", broken=["rabbitmq in process"])
    assert found["rabbitmq service", ""].refused == "rabbitmq in process: it is broken"
    assert found["queue-purge", ""].refused == "rabbitmq in process: it is broken"
    assert found["kill", ""].refused == ""


def test_faults_that_can_hit_another_kind_are_not() -> None:
    assert told("process", broken=["postgres in process"])["terminate-backends", ""].refused == ""
    assert told("process", broken=["redis in process"])["file-descriptors", ""].refused == ""


@pytest.mark.parametrize(
    ("runtime", "basis"), [("docker", "Docker engine"), ("process", "gameday's own proxy")]
)
def test_without_its_basis_everything_in_an_environment_is_refused(
    runtime: str, basis: str
) -> None:
    assert {use.refused for use in told(runtime, broken=[basis]).values()} == {
        f"{basis}: it is broken"
    }


FOUND = (
    Capability(name="a" * 40, works=True, seen="[red]started[/red] " * 20, used_for="tests"),
    Capability(
        name="magic",
        works=False,
        seen="no wand on PATH",
        used_for="spells",
        cure="install magic",
    ),
    Capability(
        name="speed", works=False, seen="none", used_for="all", cure="run", instead="patience"
    ),
)
USED = (
    Use(runtime="docker", what="freeze", by=("magic", "speed")),
    Use(runtime="docker", what="thaw", when="slowly", by=("magic", "speed")),
    Use(runtime="docker", what="wait"),
    Use(runtime="process", what="freeze", refused="magic: no wand on PATH"),
)


@WIDTHS
def test_the_report_fits_its_width_and_breaks_no_word(width: int) -> None:
    lines = report(FOUND, USED, "docker", width).splitlines()
    assert max(map(len, lines)) <= width
    assert {"started[/red]", "[red]started[/red]"} >= {
        word for line in lines for word in line.split() if "started" in word
    }


@WIDTHS
def test_the_report_has_headers_and_says_how_to_get_what_is_missing(width: int) -> None:
    text = " ".join(report(FOUND, USED, "docker", width).split())
    assert text.startswith("mechanism here what was seen, and how to get it")
    assert "magic no no wand on PATH; install magic; needed for spells" in text
    assert "speed no none; run; used instead: patience" in text
    assert "In docker, which is used here unless --gameday-runtime says otherwise:" in text
    assert "In process: service or fault" in text


@WIDTHS
def test_the_report_puts_together_what_comes_by_the_same(width: int) -> None:
    text = " ".join(report(FOUND, USED, "docker", width).split())
    assert "freeze, thaw (slowly) works magic and speed" in text
    assert "wait works nothing but the services" in text
    assert "freeze refused magic: no wand on PATH" in text


RARE = Mechanism(name="a rare device", used_for="rare", cure="buy one", check=lambda: "it is there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rare:
    """A fault of an extension, which needs something of its own in one of its ways."""

    verb: ClassVar[str] = "rare"
    hits: ClassVar[Hits] = "service"
    example: ClassVar[Example] = Example(parameters={"count": 3}, decisive=("by",))
    target: str
    count: int
    by: Literal["hand", "device"] = "hand"

    def requirements(self, runtime: str) -> Requirements:
        assert self.count == 3
        return Requirements(mechanisms=(RARE,) if self.by == "device" else ())

    def on(self, environment: Environment) -> Injection:
        raise NotImplementedError


def test_a_fault_that_somebody_adds_is_asked_for_its_requirements_too() -> None:
    own = [mechanism.name for mechanism in mechanisms_of_faults()]
    extend("faults", "rare 1.0", [Rare])
    try:
        assert [mechanism.name for mechanism in mechanisms_of_faults()] == [*own, RARE.name]
        assert told("process")["rare", "by hand"].by == ()
        assert told("process")["rare", "by device"].by == (RARE.name,)
        assert told("process", broken=[RARE.name])["rare", "by device"].refused
    finally:
        forget()
    assert own == [mechanism.name for mechanism in MECHANISMS]
