"""What comes with gameday and what extensions add is found through one registry."""

import importlib.metadata
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

import gameday
from gameday import registry as module
from gameday.api.environment import Environment
from gameday.api.fault import Injection
from gameday.api.technology import Technology
from gameday.errors import ExtensionError
from gameday.load.client import load_client
from gameday.load.messages import StreamPlan
from gameday.model.scenario import Hits
from gameday.registry import FAULTS, KINDS, extend, forget, kinds_of, registry, workload_to

HARNESS = Path(gameday.__file__).parent
NAMES = ("redis", "postgres", "rabbitmq", "valkey", "amqp", "psycopg", "pika")


class Offer(Protocol):
    """Lets a distribution offer something by an entry point."""

    def __call__(
        self, value: str, *, group: str = "technologies", name: str = "gameday-memory"
    ) -> None: ...


class _Distribution:
    """As far as the registry asks one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flush:
    """A fault of an extension."""

    verb: ClassVar[str] = "flush"
    hits: ClassVar[Hits] = "service"
    target: str

    def on(self, environment: Environment) -> Injection:
        raise NotImplementedError


NOTHING = object()
NEW = Technology(name="memory", faults=(Flush,))
TWICE = Technology(name="redis")


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    yield
    forget()
    module._installed.cache_clear()
    module._registry.cache_clear()


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Let a distribution offer something by an entry point, beside what is installed."""
    found = importlib.metadata.entry_points()
    own = [
        e for group in ("technologies", "faults") for e in found.select(group=f"gameday.{group}")
    ]
    entries: list[EntryPoint] = list(own)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda: EntryPoints(entries))

    def add(value: str, *, group: str = "technologies", name: str = "gameday-memory") -> None:
        entry = EntryPoint("memory", value, f"gameday.{group}")
        entries.append(entry._for(_Distribution(name)))  # type: ignore[attr-defined]
        module._installed.cache_clear()
        module._registry.cache_clear()

    return add


def test_what_comes_with_gameday_takes_the_door_of_extensions() -> None:
    assert set(registry().technologies) == {"app", "postgres", "rabbitmq", "redis"}
    assert set(KINDS) == {
        "app", "postgres", "postgres-replica", "rabbitmq", "redis", "redis-replica"
    }  # fmt: skip
    assert {"kill", "latency", "client-kill", "promote", "queue-purge"} < set(FAULTS)
    assert registry().additions == ()


def test_every_kind_can_be_probed_and_every_workload_be_driven() -> None:
    known = registry()
    assert set(known.clients) == {
        *(kind.probe.name for kind in known.kinds.values() if kind.probe), *known.workloads
    }  # fmt: skip
    for name, place in known.clients.items():
        plan = StreamPlan(name="s", client=name, host="h", port=1, rate_per_s=1, deadline_ns=1)
        assert load_client(place).request(plan, "run")(1)
    assert workload_to("app") is known.workloads["publish"]
    assert workload_to("redis") is None


def test_an_installed_extension_adds_its_words(offer: Offer) -> None:
    offer(f"{__name__}:NEW")
    assert FAULTS["flush"] is Flush
    (added,) = registry().additions
    assert (added.by, added.names) == ("gameday-memory 1.0", ("technology memory", "fault flush"))


def test_a_session_adds_words_until_its_end() -> None:
    extend("faults", "conftest.py", [Flush])
    assert FAULTS["flush"] is Flush
    forget()
    assert "flush" not in FAULTS


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no.such.module:X", "cannot be loaded: ModuleNotFoundError: No module named 'no'"),
        (f"{__name__}:LOST", "cannot be loaded: AttributeError: "),
        (f"{__name__}:NOTHING", "is no Technology; repair or uninstall it"),
        (f"{__name__}:TWICE", "adds the technology 'redis', which comes with pytest-gameday "),
    ],
)
def test_an_extension_that_cannot_be_used_is_one_line_that_names_it(
    offer: Offer, value: str, said: str
) -> None:
    offer(value)
    with pytest.raises(ExtensionError) as refused:
        registry()
    text = str(refused.value)
    assert text.startswith("gameday-memory 1.0: ")
    assert said in text
    assert "\n" not in text


def test_all_extensions_that_cannot_be_used_are_named_at_once(offer: Offer) -> None:
    offer("no.such.module:X", name="b")
    offer(f"{__name__}:NOTHING", group="faults", name="a")
    with pytest.raises(ExtensionError) as refused:
        registry()
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "b 1.0",
        "a 1.0",
    ]


def test_code_newer_than_its_metadata_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    module._installed.cache_clear()
    module._registry.cache_clear()
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda: EntryPoints([]))
    with pytest.raises(ExtensionError, match="without its technologies; install it again"):
        registry()


def test_a_fault_hits_the_kinds_that_can_bear_it() -> None:
    assert kinds_of(FAULTS["kill"]) == frozenset()
    assert kinds_of(FAULTS["client-kill"]) == {"redis", "redis-replica"}
    assert kinds_of(FAULTS["http-delay"]) == {"app"}
    assert kinds_of(FAULTS["file-descriptors"]) == {"redis", "redis-replica", "app"}


def test_the_code_names_a_technology_only_in_its_own_folder() -> None:
    found = set()
    for path in sorted(HARNESS.rglob("*.py")):
        inside = path.relative_to(HARNESS)
        # A wheel carries the bundled targets, which are programs of their own.
        if inside.parts[0] == "_bundled":
            continue
        if inside.parts[:2] not in [("technologies", name) for name in NAMES]:
            found |= {(str(inside), name) for name in _named(path)}
    assert found == {
        # The janitor, which loads no technology, removes the shared memory of killed servers.
        ("host/shared_memory.py", "postgres"),
        # The programs of the bundled targets import this client.
        ("technologies/app/service.py", "redis"),
    }


def _named(path: Path) -> Iterator[str]:
    """Yield each technology that the code of a file names; docstrings and comments are no code."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type != tokenize.COMMENT and not token.string.startswith('"""'):
            yield from (name for name in NAMES if name in token.string.lower())
