import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from gameday.loading import find_target, load_target, target_schema
from gameday.model.scenario import ServiceSpec, Switch, Vocabulary

Complaints = Callable[[Callable[[], object]], list[str]]

GOOD = """\
target: signals
title: Signals through Redis
services:
  redis: {kind: redis, options: {appendonly: "yes"}}
  relay: {kind: app, program: apps.relay, needs: [redis], env: {TRIES: "10"}}
switches:
  reconnect: {service: relay, env: {RECONNECT: "off"}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "signals" / "target.yaml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_right_target_becomes_the_model(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = write(tmp_path, GOOD)
    target = load_target(path, vocabulary)
    assert (target.name, target.title, target.path) == ("signals", "Signals through Redis", path)
    places = (tmp_path / "signals", tmp_path, tmp_path.parent)
    assert target.services == (
        ServiceSpec(name="redis", kind="redis", options={"appendonly": "yes"}, places=places),
        ServiceSpec(
            name="relay",
            kind="app",
            program="apps.relay",
            needs=("redis",),
            env={"TRIES": "10"},
            places=places,
        ),
    )
    assert target.switches == {"reconnect": Switch(service="relay", env={"RECONNECT": "off"})}


ONE_PROBLEM = {
    "a name that is not its folder's": (
        "target: signals",
        "target: signal",
        ["1:9: target: 'signal' is not the name of its folder; write 'signals'"],
    ),
    "an unknown kind": (
        "kind: redis",
        "kind: reddis",
        [
            (
                "4:17: services.redis.kind: 'reddis' is not a kind of service; "
                "valid: app, redis; nearest: 'redis'"
            )
        ],
    ),
    "a need that is no service": (
        "[redis]",
        "[redsi]",
        [
            (
                "5:51: services.relay.needs[0]: 'redsi' is not another service; "
                "valid: redis; nearest: 'redis'"
            )
        ],
    ),
    "a disk without a unit": (
        "kind: redis, ",
        "kind: redis, disk: 64, ",
        [
            (
                "4:30: services.redis.disk: 64 has no unit; write a number and one of "
                "B, kB, MB, GB, KiB, MiB, GiB; nearest: '64B'"
            )
        ],
    ),
    "a disk that is too small": (
        "kind: redis, ",
        "kind: redis, disk: 3MB, ",
        ["4:30: services.redis.disk: '3MB' is given; wanted 4MB to 1GB: it is in memory"],
    ),
    "a disk that is too large": (
        "kind: redis, ",
        "kind: redis, disk: 2GB, ",
        ["4:30: services.redis.disk: '2GB' is given; wanted 4MB to 1GB: it is in memory"],
    ),
    "memory that holds no server": (
        "kind: redis, ",
        "kind: redis, memory: 8MB, ",
        ["4:32: services.redis.memory: '8MB' is given; wanted 16MB to 1TB"],
    ),
    "no process at all": (
        "kind: redis, ",
        "kind: redis, pids: 0, ",
        ["4:30: services.redis.pids: 0 is given; wanted 16 to 100000"],
    ),
    "a program where none is run": (
        "kind: redis, ",
        "kind: redis, program: apps.relay, ",
        [
            (
                "4:24: services.redis.program: a service of kind 'redis' runs no program, only one "
                "of kind app does; remove the key"
            )
        ],
    ),
    "a program that nobody has": (
        "apps.relay",
        "apps.rely; rm",
        [
            (
                "5:31: services.relay.program: 'apps.rely; rm' is not a module that Python can run "
                "here; it is looked for in FOLDERS, and in what is installed"
            )
        ],
    ),
    "an unquoted word beside something else": (
        'appendonly: "yes"}}',
        "appendonly: yes}}\n  other: {kind: rediss, needs: [redis, rely]}",
        [
            '4:46: services.redis.options.appendonly: yes is not text; write "yes" in quotes',
            (
                "5:17: services.other.kind: 'rediss' is not a kind of service; "
                "valid: app, redis; nearest: 'redis'"
            ),
            (
                "5:40: services.other.needs[1]: 'rely' is not another service; "
                "valid: redis, relay; nearest: 'relay'"
            ),
        ],
    ),
    "a need of itself": (
        "[redis]",
        "[relay]",
        ["5:51: services.relay.needs[0]: 'relay' is not another service; valid: redis"],
    ),
    "a need that stands twice": (
        "[redis]",
        "[redis, redis]",
        ["5:58: services.relay.needs[1]: 'redis' is listed twice"],
    ),
    "a circle of needs": (
        "kind: redis, ",
        "kind: redis, needs: [relay], ",
        [
            (
                "4:24: services.redis.needs: the services need each other in a circle: "
                "redis -> relay -> redis"
            )
        ],
    ),
    "a switch of no service": (
        "service: relay",
        "service: rely",
        [
            (
                "7:24: switches.reconnect.service: 'rely' is not a service; "
                "valid: redis, relay; nearest: 'relay'"
            )
        ],
    ),
    "a switch that switches nothing": (
        ', env: {RECONNECT: "off"}',
        "",
        ["7:3: switches.reconnect: switches nothing; give it env or options"],
    ),
    "a switch word for a value": (
        '"off"',
        "off",
        ['7:48: switches.reconnect.env.RECONNECT: off is not text; write "off" in quotes'],
    ),
    "a number for a value": (
        '"10"',
        "10",
        ['5:72: services.relay.env.TRIES: 10 is not text; write "10" in quotes'],
    ),
    "an unknown key of a service": (
        "program:",
        "programm:",
        [
            (
                "5:22: services.relay.programm: unknown key; "
                "valid: kind, needs, image, program, options, env, pass_env, disk, memory, pids; "
                "nearest: 'program'"
            )
        ],
    ),
    "an app without a program": (
        "  redis: {",
        "  worker: {kind: app}\n  redis: {",
        [
            (
                "4:3: services.worker: a service of kind 'app' runs a program; "
                "name it: 'program: apps.mine'"
            )
        ],
    ),
    "the name of the harness's own end": (
        "  redis: {",
        "  client: {kind: app, program: apps.c}\n  redis: {",
        [
            (
                "4:3: services.client: 'client' is reserved for the harness's own connections; "
                "choose another name"
            )
        ],
    ),
    "a service's name that is no name": (
        "  redis: {",
        "  a b: {kind: app}\n  redis: {",
        ["4:3: services['a b']: 'a b' is not a name; use letters, digits, '-' and '_'"],
    ),
}


@pytest.mark.parametrize(("old", "new", "wanted"), ONE_PROBLEM.values(), ids=list(ONE_PROBLEM))
def test_a_problem_is_told_with_its_place_and_what_is_valid(
    tmp_path: Path,
    vocabulary: Vocabulary,
    complaints: Complaints,
    old: str,
    new: str,
    wanted: list[str],
) -> None:
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    folders = f"signals, {tmp_path}, {tmp_path.parent}"
    told = complaints(lambda: load_target(path, vocabulary))
    assert [line.replace(folders, "FOLDERS") for line in told] == [
        f"signals/target.yaml:{line}" for line in wanted
    ]


_WHAT = "a redis-replica needs exactly one service, the redis that it copies, and needs"


@pytest.mark.parametrize(
    ("services", "wanted"),
    [
        ("{a: {kind: redis}, b: {kind: redis-replica, needs: [a]}}", None),
        ("{a: {kind: redis}, b: {kind: redis-replica}}", "none; write 'needs: [a]'"),
        (
            "{a: {kind: redis}, c: {kind: redis}, b: {kind: redis-replica, needs: [a, c]}}",
            "a, c",
        ),
        (
            "{a: {kind: app, program: x}, b: {kind: redis-replica, needs: [a]}}",
            "a; this target has no service of kind 'redis'",
        ),
        (
            "{a: {kind: redis}, c: {kind: app, program: x}, b: {kind: redis-replica, needs: [c]}}",
            "c; write 'needs: [a]'",
        ),
    ],
)
def test_a_replica_needs_its_primary_and_nothing_else(
    tmp_path: Path,
    vocabulary: Vocabulary,
    complaints: Complaints,
    services: str,
    wanted: str | None,
) -> None:
    words = replace(
        vocabulary,
        services=vocabulary.services | {"redis-replica"},
        primaries={"redis-replica": "redis"},
    )
    path = write(tmp_path, f"target: signals\ntitle: Replicas\nservices: {services}\n")
    if wanted is None:
        assert len(load_target(path, words).services) == 2
        return
    (told,) = complaints(lambda: load_target(path, words))
    assert told.partition(": ")[2] == f"services.b: {_WHAT} {wanted}"


def test_a_service_may_have_a_disk_of_its_own(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = write(tmp_path, GOOD.replace("kind: redis, ", "kind: redis, disk: 64MB, "))
    assert [s.disk_bytes for s in load_target(path, vocabulary).services] == [64_000_000, None]


def test_a_target_needs_services(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    path = write(tmp_path, "target: signals\ntitle: None\nservices: {}\n")
    assert complaints(lambda: load_target(path, vocabulary)) == [
        "signals/target.yaml:3:11: services: is empty; wanted at least one"
    ]


def test_a_target_is_found_by_the_name_of_its_folder(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    path = write(tmp_path, GOOD)
    other = tmp_path / "others"
    other.mkdir()
    shadowed = write(other, GOOD)
    assert find_target("signals", [tmp_path, other], vocabulary) == path
    assert find_target("signals", [other, tmp_path], vocabulary) == shadowed
    assert complaints(lambda: find_target("signal", [tmp_path], vocabulary)) == [
        "no target 'signal'; valid: signals; nearest: 'signals'"
    ]


def test_the_schema_of_a_target_has_the_keys_that_people_write() -> None:
    made = target_schema()
    definitions = made["$defs"]
    assert isinstance(definitions, dict)
    service = definitions["item_service"]
    assert set(service["properties"]) == {
        "kind", "needs", "image", "program", "options", "env", "pass_env", "disk", "memory",
        "pids",
    }  # fmt: skip
    assert service["additionalProperties"] is False
    assert service["properties"]["pass_env"]["items"] == {"type": "string"}
    assert made["required"] == ["target", "title", "services"]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_target_is_found_however_its_accents_and_its_suffix_are_written(
    tmp_path: Path,
    vocabulary: Vocabulary,
    on_disk: Literal["NFC", "NFD"],
    written: Literal["NFC", "NFD"],
) -> None:
    path = tmp_path / unicodedata.normalize(on_disk, "café") / "target.yml"
    path.parent.mkdir()
    name = unicodedata.normalize(written, "café")
    path.write_text(GOOD.replace("target: signals", f"target: {name}"), encoding="utf-8")
    assert find_target(name, [tmp_path], vocabulary) == path
    assert load_target(path, vocabulary).name == name


def test_names_are_judged_in_services_and_switches_that_are_wrong_otherwise(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints
) -> None:
    text = """\
target: signals
title: 5
services:
  redis: {kind: reddis, image: 5}
  relay: {kind: app, program: apps.relay, needs: [rediss], envs: {}}
switches:
  reconnect: {service: relai, env: {RECONNECT: "off"}}
  replay: {service: relay, envs: {}}
"""
    told = complaints(lambda: load_target(write(tmp_path, text), vocabulary))
    assert [line.split(": ")[1] for line in told] == [
        "title",
        "services.redis.kind",
        "services.redis.image",
        "services.relay.needs[0]",
        "services.relay.envs",
        "switches.reconnect.service",
        "switches.replay.envs",
    ]
