"""Chaos experiments as pytest tests, with a verdict that can be trusted.

What is listed here is what a test and an extension use, and holds from one version to the next; all
else may change. Nothing is imported before it is named.

To run a scenario: `run`, with `Options`, gives a `Result` with its `Verdict`, and each `Finding`.

To add to what scenarios and targets may name, offer one of these by an entry point of a package,
or by a hook in a conftest.py (docs/howto/write-an-extension.md):

- `Technology`: its `ServiceKind` classes, each with a `Probe`, its faults and workloads. A probe
  names a `LoadClient` for the load driver, such as a `Pipelined` one with a `Codec` of `Reply`.
- `Fault`: a dataclass with a verb, whose `on` returns an `Injection`: inject, prove, undo, prove.
- `FindingKind`: a function from an `Observation` to a `Finding`, in a `Unit`.
- a reporter: what makes a `Listener` of a run, given the folder of its report.

Errors: `GamedayError` is the base of `ScenarioError` (a file is wrong), `EnvironmentRefused` (the
host cannot), `ExtensionError` (an extension is broken), `NotHealed` and `InternalError`. A kind
raises `NotReadyError` while its service does not answer, and a fault `InvalidParameter`, mostly by
`require`, for what nobody can ask of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gameday.api.edge import BulkDialect as BulkDialect
    from gameday.api.edge import Dialect as Dialect
    from gameday.api.environment import Checkpoint as Checkpoint
    from gameday.api.environment import Endpoint as Endpoint
    from gameday.api.environment import Environment as Environment
    from gameday.api.environment import NotReadyError as NotReadyError
    from gameday.api.environment import Service as Service
    from gameday.api.fault import Conflicts as Conflicts
    from gameday.api.fault import Example as Example
    from gameday.api.fault import Fault as Fault
    from gameday.api.fault import Injection as Injection
    from gameday.api.fault import Lasting as Lasting
    from gameday.api.fault import Proof as Proof
    from gameday.api.fault import Requirements as Requirements
    from gameday.api.finding_kind import FindingKind as FindingKind
    from gameday.api.mechanism import Lacking as Lacking
    from gameday.api.mechanism import Mechanism as Mechanism
    from gameday.api.service_kind import Probe as Probe
    from gameday.api.service_kind import ServiceKind as ServiceKind
    from gameday.api.technology import Technology as Technology
    from gameday.api.workload import Workload as Workload
    from gameday.engine.planning import Options as Options
    from gameday.engine.session import run as run
    from gameday.errors import EnvironmentRefused as EnvironmentRefused
    from gameday.errors import ExtensionError as ExtensionError
    from gameday.errors import GamedayError as GamedayError
    from gameday.errors import InternalError as InternalError
    from gameday.errors import NotHealed as NotHealed
    from gameday.errors import ScenarioError as ScenarioError
    from gameday.load.client import LoadClient as LoadClient
    from gameday.load.messages import StreamPlan as StreamPlan
    from gameday.load.pipeline import Codec as Codec
    from gameday.load.pipeline import Pipelined as Pipelined
    from gameday.load.pipeline import Reply as Reply
    from gameday.model.event import Event as Event
    from gameday.model.event import Scalar as Scalar
    from gameday.model.finding import Finding as Finding
    from gameday.model.history import Observation as Observation
    from gameday.model.invalid_parameter import InvalidParameter as InvalidParameter
    from gameday.model.invalid_parameter import require as require
    from gameday.model.listener import Listener as Listener
    from gameday.model.operation import Outcome as Outcome
    from gameday.model.result import Result as Result
    from gameday.model.result import Window as Window
    from gameday.model.scenario import Edge as Edge
    from gameday.model.scenario import Hits as Hits
    from gameday.model.scenario import Scenario as Scenario
    from gameday.model.scenario import ServiceSpec as ServiceSpec
    from gameday.model.scenario import Target as Target
    from gameday.model.units import DurationNs as DurationNs
    from gameday.model.units import Unit as Unit
    from gameday.model.verdict import Verdict as Verdict

_PLACES = {
    "api.edge": ("BulkDialect", "Dialect"),
    "api.environment": ("Checkpoint", "Endpoint", "Environment", "NotReadyError", "Service"),
    "api.fault": (
        "Conflicts", "Example", "Fault", "Injection", "Lasting", "Proof", "Requirements",
    ),
    "api.finding_kind": ("FindingKind",),
    "api.mechanism": ("Lacking", "Mechanism"),
    "api.service_kind": ("Probe", "ServiceKind"),
    "api.technology": ("Technology",),
    "api.workload": ("Workload",),
    "engine.planning": ("Options",),
    "engine.session": ("run",),
    "errors": (
        "EnvironmentRefused", "ExtensionError", "GamedayError", "InternalError", "NotHealed",
        "ScenarioError",
    ),
    "load.client": ("LoadClient",),
    "load.messages": ("StreamPlan",),
    "load.pipeline": ("Codec", "Pipelined", "Reply"),
    "model.event": ("Event", "Scalar"),
    "model.finding": ("Finding",),
    "model.history": ("Observation",),
    "model.invalid_parameter": ("InvalidParameter", "require"),
    "model.listener": ("Listener",),
    "model.operation": ("Outcome",),
    "model.result": ("Result", "Window"),
    "model.scenario": ("Edge", "Hits", "Scenario", "ServiceSpec", "Target"),
    "model.units": ("DurationNs", "Unit"),
    "model.verdict": ("Verdict",),
}  # fmt: skip
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = tuple(sorted(_MODULES))


if not TYPE_CHECKING:  # so that a type checker knows no other names

    def __getattr__(name: str) -> object:
        """Import what is named from where it is."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"gameday.{_MODULES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]
