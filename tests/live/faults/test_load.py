"""Load that a service did not ask for: each kind is met, at its rate, and ends."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from gameday.api.environment import Environment
from gameday.api.fault import Fault, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.load import MalformedPayload, Surge
from gameday.technologies.redis.connection import Reply
from gameday.technologies.redis.faults import PoisonMessage
from gameday.technologies.redis.login import redis_login
from gameday.technologies.redis.server import RedisServer

pytestmark = [pytest.mark.live, pytest.mark.alone]

Unproven = Callable[[Fault], None]

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]
Through = Callable[[Fault], tuple[Proof, Proof]]

_STREAM = "poisoned"
_SCENARIO = """
scenario: crowded
title: Twice the load, and some of it malformed
target: signals
workload:
  - publish: {to: relay, ledger: listener, rate: 100/s}
steady: {success: ">= 90%", p99: "<= 900ms", for: 500ms}
timeline: {baseline: 1500ms, recovery: 20s, quiet: 500ms}
faults:
  - surge: relay
    factor: 2
    for: 2s
  - malformed-payload: relay
    for: 2s
expect:
  - recovery: "<= 15s"
  - lost: "== 0"
  - phantom: "== 0"
  - corrupt: "== 0"
"""


_ask = RedisServer.ask


def _deaf(server: RedisServer, *words: str) -> Reply:
    """Do what is asked, and lose the answer to what is added."""
    said = _ask(server, *words)
    if words[0] == "XADD":
        raise EnvironmentRefused("the answer was lost")
    return said


@pytest.fixture
def stream(environment: Environment) -> None:
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    with redis.Redis(host=direct.host, port=direct.port, socket_timeout=2, **login) as client:
        client.xadd(_STREAM, {"payload": "kept"})


@pytest.mark.full
def test_a_surge_is_sent_at_its_rate_and_ends(through: Through) -> None:
    effect, undone = through(Surge(target="relay", rate_per_s=300.0))
    assert 270 <= float(effect.measured["sent_per_s"] or 0) <= 330 or effect.measured["saturated"]
    assert undone.measured["sent_after_operations"] == 0
    assert int(undone.measured["ok_operations"] or 0) > 100


@pytest.mark.full
def test_malformed_payloads_of_every_kind_are_answered(through: Through) -> None:
    effect, undone = through(MalformedPayload(target="relay", rate_per_s=50.0))
    assert effect.measured["kinds_met"] == 7
    assert int(undone.measured["answers_4xx_in_all"] or 0) >= 7
    assert "answers_2xx_in_all" not in undone.measured


@pytest.mark.full
@pytest.mark.usefixtures("stream")
def test_poison_is_in_the_stream_and_taken_out_again(
    environment: Environment, through: Through
) -> None:
    effect, _ = through(PoisonMessage(target="redis", to=_STREAM, times=5))
    assert effect.measured["entries"] == 5
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    with redis.Redis(host=direct.host, port=direct.port, socket_timeout=2, **login) as client:
        assert {value[b"payload"] for _, value in client.xrange(_STREAM)} == {b"kept"}


@pytest.mark.sample("process-answer-lost")
@pytest.mark.usefixtures("stream")
@pytest.mark.parametrize("heard", [True, False], ids=["answered", "answer-lost"])
def test_poison_is_taken_out_from_under_much_that_came_after_it(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    injection = PoisonMessage(target="redis", to=_STREAM, times=2).on(environment)
    if heard:
        injection.inject()
        assert injection.prove(lambda: None).proven
    else:
        with monkeypatch.context() as patch:
            patch.setattr(RedisServer, "ask", _deaf)
            with pytest.raises(EnvironmentRefused, match="was lost"):
                injection.inject()
    direct = environment.service("redis").upstream
    login = redis_login(environment.service("redis").spec)
    with redis.Redis(host=direct.host, port=direct.port, socket_timeout=20, **login) as client:
        add = "for i = 1, 100001 do redis.call('XADD', KEYS[1], '*', 'payload', 'later') end"
        client.eval(add, 1, _STREAM)
        first = client.xrange(_STREAM, count=10)
        assert any(value[b"payload"].startswith(b"not what") for _, value in first)
        injection.undo()
        assert injection.prove_healed(lambda: None).proven
        first = client.xrange(_STREAM, count=10)
        assert not any(value[b"payload"].startswith(b"not what") for _, value in first)
        client.delete(_STREAM)


@pytest.mark.full
def test_poison_for_no_stream_is_refused(environment: Environment) -> None:
    injection = PoisonMessage(target="redis", to="gameday:ready").on(environment)
    with pytest.raises(EnvironmentRefused, match="gameday:ready is not a stream of redis"):
        injection.inject()


@pytest.mark.sample("process-surge")
@pytest.mark.parametrize(
    "fault",
    [
        Surge(target="relay", rate_per_s=100.0),
        MalformedPayload(target="relay"),
        PoisonMessage(target="redis", to=_STREAM),
    ],
    ids=lambda fault: fault.verb,
)
@pytest.mark.usefixtures("stream")
def test_load_that_was_not_sent_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


def test_a_surge_is_no_part_of_what_is_accounted_for(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "crowded.yaml").write_text(_SCENARIO)
    process = launch(tmp_path, ["--scenario=crowded", "--gameday-runtime=process"])
    output, _ = process.communicate(timeout=90)
    (file,) = tmp_path.glob("reports/*/result.json")
    result = json.loads(file.read_text())
    counts = {f["name"]: f["value"] for f in result["findings"]}
    assert [counts[name] for name in ("lost", "phantom", "corrupt")] == [0, 0, 0], output
    surge, malformed = result["faults"]
    assert surge["asked"]["extra_per_s"] == 100
    assert surge["proven"], output
    assert malformed["proven"], output
    assert surge["measured"]["ok_operations"] > 100
