"""YAML files become the model's frozen data, or one ScenarioError that names every problem."""

from gameday.loading.parsing import is_scenario
from gameday.loading.remembered import Remembered
from gameday.loading.scenario import load_scenario, schema, sweep
from gameday.loading.selection import find_scenarios
from gameday.loading.slas import load_slas
from gameday.loading.target import find_target, load_target, target_schema

__all__ = [
    "Remembered",
    "find_scenarios",
    "find_target",
    "is_scenario",
    "load_scenario",
    "load_slas",
    "load_target",
    "schema",
    "sweep",
    "target_schema",
]
