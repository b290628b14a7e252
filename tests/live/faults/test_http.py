"""HTTP faults and half-open edges: what only gameday's own proxy can do, in either place."""

from collections.abc import Callable

import pytest

from gameday.api.edge import Seen
from gameday.api.environment import Environment, Features
from gameday.api.fault import Fault, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.http import HttpAbort, HttpBody, HttpDelay, HttpStatus
from gameday.faults.network import HalfOpen, Reset
from gameday.model.clock import MILLISECOND
from gameday.model.scenario import Edge

pytestmark = pytest.mark.live

Unproven = Callable[[Fault], None]

Through = Callable[[Fault], tuple[Proof, Proof]]

REDIS = "relay -> redis"
RELAY = "client -> relay"
HTTP: list[Fault] = [
    HttpStatus(target=RELAY, status=503),
    HttpStatus(target=RELAY, status=429, body="later", method="GET", path="/status", share=0.5),
    HttpStatus(target=RELAY, status=503, method="POST", path="/signals"),
    HttpStatus(target=RELAY, status=500, method="POST", path="/signals", share=0.25),
    HttpAbort(target=RELAY, path="/sig*"),
    HttpAbort(target=RELAY, method="POST", path="/signals", share=0.5),
    HttpDelay(target=RELAY, delay_ns=60 * MILLISECOND),
    HttpDelay(target=RELAY, delay_ns=300 * MILLISECOND, method="POST", path="/signals", share=0.5),
    HttpBody(target=RELAY, body='{"connected": true}', method="GET", path="/st?tus", share=0.75),
    HttpBody(target=RELAY, body="", method="POST", path="/signals*"),
]
OPEN: list[Fault] = [
    HalfOpen(target=REDIS),
    HalfOpen(target=RELAY, stream="downstream"),
]


def name(fault: Fault) -> str:
    words = (getattr(fault, key, "") for key in ("method", "path", "share", "stream"))
    return " ".join((fault.verb, *map(str, words), fault.target)).replace(" ", "-")


@pytest.fixture(scope="module")
def features() -> Features:
    return Features(own_proxy=True, http=frozenset({Edge(client="client", service="relay")}))


@pytest.mark.sample("process-http-status-POST-/signals-0.25")
@pytest.mark.parametrize("fault", HTTP, ids=name)
def test_an_http_fault_meets_the_requests_that_it_is_for_and_no_others(
    through: Through, fault: Fault
) -> None:
    effect, undone = through(fault)
    assert effect.measured["counted"] == effect.measured["bitten"], "nobody else asks"
    assert undone.measured["rules_left"] == "none"
    assert undone.measured["spared_after"] == undone.measured["sent_after"]


@pytest.mark.full
@pytest.mark.parametrize("fault", OPEN, ids=name)
def test_a_half_open_edge_loses_data_and_ends_and_is_reset_afterwards(
    through: Through, fault: Fault
) -> None:
    effect, undone = through(fault)
    assert effect.measured["ends_lost"] == effect.measured["connections"]
    assert undone.measured["met_before"] == undone.measured["reset_after"] == 4


@pytest.mark.full
def test_gamedays_own_proxy_resets_open_connections_in_either_place(
    environment: Environment, through: Through
) -> None:
    assert environment.edge(Edge(client="relay", service="redis")).resets_open
    effect, _ = through(Reset(target=REDIS))
    assert effect.measured["open_connection"] == Seen.RESET


@pytest.mark.sample("process-http-abort-POST")
@pytest.mark.parametrize("fault", [*HTTP, *OPEN], ids=name)
def test_what_does_nothing_to_requests_is_not_proven(unproven: Unproven, fault: Fault) -> None:
    unproven(fault)


@pytest.mark.sample("process")
def test_a_body_that_nobody_may_ask_for_is_refused_with_what_to_do(
    environment: Environment,
) -> None:
    fault = HttpBody(target=RELAY, body="no", method="POST", path="/signal[s]")
    with pytest.raises(EnvironmentRefused, match=r"such as /signal\[s\]\*"):
        fault.on(environment)


@pytest.mark.sample("process")
def test_an_edge_whose_proxy_speaks_no_http_is_refused(environment: Environment) -> None:
    fault = HttpStatus(target="client -> listener", status=503)
    with pytest.raises(EnvironmentRefused, match="set its protocol to http"):
        fault.on(environment)
