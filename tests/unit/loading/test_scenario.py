import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import TypeAdapter

from gameday.errors import ScenarioError
from gameday.loading import load_scenario, schema, sweep
from gameday.model.clock import MILLISECOND, MINUTE, SECOND
from gameday.model.scenario import Sabotage, Scenario, Sla, Target, Timeline, Vocabulary
from gameday.model.verdict import Verdict


class Load(Protocol):
    def __call__(self, text: str, /, **settings: str) -> Scenario: ...


Complaints = Callable[[Callable[[], object]], list[str]]


def test_a_right_file_becomes_the_model(load: Load, good: str) -> None:
    scenario = load(good)
    assert scenario.name == "good"
    assert scenario.tags == {"redis", "nightly"}
    (workload,) = scenario.workload
    assert vars_of(workload) == {
        "to": "relay",
        "ledger": "listener",
        "rate_per_s": 200.0,
        "deadline_ns": SECOND,
    }
    (step,) = scenario.faults
    assert (step.at_ns, step.for_ns) == (SECOND, 2 * SECOND)
    assert vars_of(step.fault) == {"target": "redis", "signal": "SIGKILL"}
    assert scenario.steady.p99.value == 100 * MILLISECOND
    assert scenario.timeline == Timeline(
        baseline_ns=5 * SECOND, recovery_ns=130 * SECOND, quiet_ns=2 * SECOND
    )
    assert [e.name for e in scenario.expect] == ["arbees/mttr", "availability"]
    assert scenario.expect[0].sla is not None
    assert scenario.expect[0].limit.value == 2 * MINUTE
    assert scenario.sabotage == (
        Sabotage(disable=("reconnect",), breaks=("arbees/mttr",)),
        Sabotage(disable=("kill",), gives=Verdict.INVALID),
    )


def vars_of(spec: object) -> dict[str, object]:
    assert is_dataclass(spec)
    assert not isinstance(spec, type)
    return asdict(spec)


def test_the_parameters_of_a_fault_stand_beside_its_verb(load: Load, good: str) -> None:
    text = good.replace(
        "  - kill: redis\n", "  - latency: relay->redis\n    delay: 200ms\n    count: 3\n"
    ).replace("[kill]", "[latency]")
    fault = vars_of(load(text).faults[0].fault)
    assert (fault["target"], fault["delay_ns"], fault["count"]) == (
        "relay -> redis",
        200 * MILLISECOND,
        3,
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("redis", "redis | relay, listener"),
        ("relay|redis,client", "relay | redis, client"),
        ("listener, redis, relay", "listener, redis, relay"),
    ],
)
def test_one_service_is_parted_from_all_others(
    load: Load, good: str, written: str, read: str
) -> None:
    (fault,) = load(
        good.replace("  - kill: redis", f'  - part: "{written}"').replace("[kill]", "[part]")
    ).faults
    assert fault.fault.target == read


def test_parts_with_defaults_may_be_left_out(load: Load, good: str) -> None:
    text = "".join(
        line
        for line in good.splitlines(keepends=True)
        if not line.startswith(("timeline", "tags", "sabotage", "  - {disable"))
    )
    text = text.replace("arbees/mttr", "arbees/mttr").replace("  - sla: arbees/mttr\n", "")
    scenario = load(text)
    assert scenario.timeline == Timeline()
    assert scenario.tags == frozenset()
    assert scenario.sabotage == ()


def test_right_items_are_judged_although_others_of_their_list_are_wrong(
    load: Load, good: str, complaints: Complaints
) -> None:
    text = good.replace('- availability: ">= 90%"', '- availability: 3\n  - lost: "<= 2s"')
    told = complaints(lambda: load(text))
    assert [line.split(": ")[1] for line in told] == ["expect[1].availability", "expect[2].lost"]


def test_what_is_wrong_in_the_target_is_told_in_its_own_words(
    tmp_path: Path, good: str, complaints: Complaints, vocabulary: Vocabulary
) -> None:
    def broken(name: str) -> Target:
        raise ScenarioError(f"{name}/target.yaml:1:1: this\n{name}/target.yaml:2:1: that")

    path = tmp_path / "good.yaml"
    path.write_text(good)
    slas: Mapping[str, Sla] = {}
    told = complaints(lambda: load_scenario(path, vocabulary, slas=slas, target=broken))
    assert told[0] == "good.yaml:3:9: target: 'signals' has problems of its own"
    assert told[-2:] == ["signals/target.yaml:1:1: this", "signals/target.yaml:2:1: that"]


def test_a_setting_replaces_the_default(load: Load, good: str) -> None:
    scenario = load(good, outage="7s")
    assert scenario.faults[0].for_ns == 7 * SECOND
    assert scenario.parameters == {"outage": "7s"}


def test_a_setting_that_sets_nothing_is_refused(
    load: Load, good: str, complaints: Complaints
) -> None:
    assert complaints(lambda: load(good, outge="7s")) == [
        (
            "good.yaml:5:1: parameters: there is no parameter 'outge' to set; "
            "valid: outage; nearest: 'outage'"
        )
    ]


def test_a_plain_value_is_read_again_once_its_parameters_are_put_in(load: Load, good: str) -> None:
    text = good.replace("  outage:", "  n: {default: 3}\n  outage:").replace(
        "  - kill: redis\n", "  - latency: relay -> redis\n    delay: 1s\n    count: ${n}\n"
    )
    text = text.replace("title: A", 'title: "${n}"\n# A').replace("[kill]", "[latency]")
    scenario = load(text)
    assert vars_of(scenario.faults[0].fault)["count"] == 3
    assert scenario.title == "3"


def test_a_sweep_asks_for_every_combination(tmp_path: Path, good: str) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(
        good.replace("  outage:", "  n: {default: 1, sweep: [1, 2]}\n  m: {default: x}\n  outage:")
    )
    assert sweep(path) == (
        {"n": "1", "outage": "500ms"},
        {"n": "1", "outage": "10s"},
        {"n": "2", "outage": "500ms"},
        {"n": "2", "outage": "10s"},
    )
    assert sweep(path, settings={"outage": "3s"}) == ({"n": "1"}, {"n": "2"})


def test_without_a_sweep_there_is_one_combination(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("scenario: good\n")
    assert sweep(path) == ({},)


def test_a_sweep_is_bounded(tmp_path: Path, complaints: Complaints) -> None:
    values = list(range(11))
    path = tmp_path / "good.yaml"
    path.write_text(
        "parameters:\n" + "".join(f"  {n}: {{default: 1, sweep: {values}}}\n" for n in "abc")
    )
    assert complaints(lambda: sweep(path)) == [
        "good.yaml:1:1: parameters: the sweeps give 1331 runs; at most 1000 are allowed"
    ]


def test_a_sweep_refuses_wrong_parameters_and_settings(
    tmp_path: Path, complaints: Complaints
) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("parameters:\n  a: {sweep: 3}\n")
    assert complaints(lambda: sweep(path, settings={})) == [
        "good.yaml:2:3: parameters.a.default: is missing",
        "good.yaml:2:14: parameters.a.sweep: '3' is given; wanted a list",
    ]
    path.write_text("parameters:\n  a: {default: 3}\n")
    assert complaints(lambda: sweep(path, settings={"b": "1"})) == [
        "good.yaml:1:1: parameters: there is no parameter 'b' to set; valid: a"
    ]


def test_the_schema_has_the_keys_that_people_write(vocabulary: Vocabulary) -> None:
    made = schema(vocabulary)
    json.dumps(made)
    definitions = made["$defs"]
    assert isinstance(definitions, dict)
    assert set(definitions["fault_kill"]["properties"]) == {
        "kill",
        "signal",
        "at",
        "for",
        "exposure",
        "met_by",
    }
    assert definitions["fault_kill"]["required"] == ["kill", "for"]
    assert definitions["fault_kill"]["additionalProperties"] is False
    assert set(definitions["Publish"]["properties"]) == {"to", "ledger", "rate", "deadline"}
    assert definitions["Timeline"]["properties"]["recovery"]["default"] == "2min"
    latency = definitions["fault_latency"]["properties"]
    assert (latency["jitter"]["default"], latency["share"]["default"]) == ("0ms", "100%")
    assert made["required"] == [
        "scenario", "title", "target", "workload", "steady", "faults", "expect",
    ]  # fmt: skip
    assert not any(name.startswith("item") for name in definitions)


def test_loading_leaves_the_dataclasses_of_the_vocabulary_alone(
    load: Load, good: str, vocabulary: Vocabulary
) -> None:
    load(good)
    kill = vocabulary.faults["kill"]
    assert TypeAdapter(kill).validate_python({"target": "redis"}) == kill(target="redis")  # type: ignore[call-arg]
    assert not hasattr(kill, "__pydantic_config__")


def test_a_fault_that_only_probes_are_to_meet_may_be_beside_the_load(load: Load, good: str) -> None:
    beside = "  - {latency: client -> redis, delay: 1s, for: 1s, met_by: probes}\n"
    scenario = load(good.replace("expect:\n", f"{beside}expect:\n"))
    assert [step.met_by for step in scenario.faults] == ["load", "probes"]
