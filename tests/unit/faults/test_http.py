"""HTTP faults: proven by the requests that they meet, and by those that they do not."""

import math
from pathlib import Path

import pytest

from gameday.api.edge import Route
from gameday.api.environment import Features
from gameday.api.fault import Counted, Fault, HasRequirements, Injection, Proof
from gameday.api.http_rules import HttpProbe
from gameday.errors import EnvironmentRefused
from gameday.faults.http import HttpAbort, HttpBody, HttpDelay, HttpStatus
from gameday.faults.recipes.http_matching import Matching, Method
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.invalid_parameter import InvalidParameter
from gameday.model.scenario import Edge, ServiceSpec, Target
from gameday.testing.clocks import ManualClock
from gameday.testing.edges import EdgedEnvironment
from gameday.testing.http_edges import RuledEdge, RuledEnvironment
from gameday.testing.is_active import is_active

EDGE = "client -> app"
FAULTS: list[Fault] = [
    HttpStatus(target=EDGE, status=503),
    HttpStatus(target=EDGE, status=429, body="later", method="POST", path="/orders", share=0.25),
    HttpStatus(target=EDGE, status=500, method="HEAD"),
    HttpAbort(target=EDGE, method="GET", path="/st*"),
    HttpAbort(target=EDGE, path="/status", share=0.9),
    HttpDelay(target=EDGE, delay_ns=50 * MILLISECOND),
    HttpDelay(target=EDGE, delay_ns=2 * SECOND, method="PUT", path="/orders", share=0.5),
    HttpBody(target=EDGE, body="{}"),
    HttpBody(target=EDGE, body="", method="POST", path="/orders/*", share=0.1),
]
SHARED = [fault for fault in FAULTS if getattr(fault, "share", 1) < 1]


def name(fault: Fault) -> str:
    return f"{fault.verb}-{getattr(fault, 'method', '')}-{getattr(fault, 'share', '')}"


every = pytest.mark.parametrize("fault", FAULTS, ids=name)


@pytest.fixture
def environment() -> RuledEnvironment:
    return RuledEnvironment(target=target(), clock=ManualClock())


@pytest.fixture
def edge(environment: RuledEnvironment) -> RuledEdge:
    return environment.edge(Edge(client="client", service="app"))


def target() -> Target:
    app = ServiceSpec(name="app", kind="app", program="p")
    return Target(name="t", title="T", path=Path(), services=(app,))


def put(fault: Fault, environment: EdgedEnvironment) -> tuple[Injection, Proof]:
    made = fault.on(environment)
    made.inject()
    return made, made.prove(lambda: None)


def healed(made: Injection) -> Proof:
    made.undo()
    return made.prove_healed(lambda: None)


@every
@pytest.mark.parametrize("defect", ["rules_work", "counts", "serves"])
def test_what_only_the_server_reports_or_only_the_harness_sees_is_not_proven(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault, defect: str
) -> None:
    setattr(edge, defect, False)
    assert not put(fault, environment)[1].proven


@pytest.mark.parametrize("fault", SHARED, ids=name)
@pytest.mark.parametrize("rarer_times", [0.4, 1.6])
def test_another_share_is_not_proven(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault, rarer_times: float
) -> None:
    share: float = fault.share  # type: ignore[attr-defined]
    other = share * rarer_times if share <= 0.5 else 1 - (1 - share) * rarer_times
    edge.meets_times = other / share
    proof = put(fault, environment)[1]
    assert not proof.proven, proof.measured


@pytest.mark.parametrize("fault", FAULTS, ids=name)
@pytest.mark.parametrize(("ignores", "any_of_it"), [("method", "any"), ("path", "*")])
def test_a_rule_that_meets_other_requests_too_is_not_proven(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault, ignores: str, any_of_it: str
) -> None:
    setattr(edge, f"asks_{ignores}", False)
    if getattr(fault, ignores) == any_of_it:
        assert put(fault, environment)[1].proven
        return
    proof = put(fault, environment)[1]
    assert not proof.proven, proof.measured


@pytest.mark.parametrize("times", [0.7, 1.5])
def test_a_delay_of_another_length_is_not_proven(
    environment: RuledEnvironment, edge: RuledEdge, times: float
) -> None:
    edge.delays_times = times
    proof = put(HttpDelay(target=EDGE, delay_ns=SECOND), environment)[1]
    assert not proof.proven
    assert proof.measured["added_ns"] == pytest.approx(times * SECOND, rel=0.01)


def test_another_status_or_another_body_is_not_proven(
    environment: RuledEnvironment, edge: RuledEdge
) -> None:
    def proven(fault: Fault) -> bool:
        made, effect = put(fault, environment)
        assert healed(made).proven
        return effect.proven

    edge.gives_body = b"else"
    assert not proven(HttpBody(target=EDGE, body="{}"))
    assert not proven(HttpStatus(target=EDGE, status=503, body="{}"))
    assert proven(HttpStatus(target=EDGE, status=503, body="else"))
    edge.gives_body, edge.gives_status = None, 502
    assert not proven(HttpStatus(target=EDGE, status=503))


@pytest.mark.parametrize("fault", SHARED, ids=name)
def test_those_that_are_not_hit_are_to_be_answered_as_ever(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault
) -> None:
    edge.spoils = True
    assert not put(fault, environment)[1].proven


def test_an_answer_that_looks_like_that_anyway_proves_nothing(
    environment: RuledEnvironment,
) -> None:
    looks = "as ever"
    assert not put(HttpBody(target=EDGE, body=looks), environment)[1].proven
    assert not put(HttpStatus(target=EDGE, status=200, body=looks), environment)[1].proven


@every
def test_what_still_bites_is_not_undone_whatever_the_server_lists(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    edge.rules_linger = True
    proof = healed(made)
    assert proof.measured["rules_left"] == "none"
    assert not proof.proven


@pytest.mark.parametrize("works", [True, False])
def test_a_rule_that_stays_is_not_undone_even_without_an_effect(
    environment: RuledEnvironment, edge: RuledEdge, works: bool
) -> None:
    made, _ = put(HttpAbort(target=EDGE), environment)
    edge.removes, edge.rules_work = False, works
    proof = healed(made)
    assert not proof.proven
    assert "http-abort_" in str(proof.measured["rules_left"])
    assert "no answer" in str(proof.measured["undo_error"])


def test_rules_that_cannot_be_read_are_not_undone(
    environment: RuledEnvironment, edge: RuledEdge
) -> None:
    made, _ = put(HttpAbort(target=EDGE), environment)
    edge.speaks_http = False
    assert not healed(made).proven


def test_two_rules_of_one_edge_leave_each_other_alone(
    environment: RuledEnvironment, edge: RuledEdge
) -> None:
    first, _ = put(HttpAbort(target=EDGE, path="/status"), environment)
    put(HttpAbort(target=EDGE, path="/orders"), environment)
    assert healed(first).proven
    assert len(edge.rules()) == 1


@every
def test_its_edge_is_to_have_a_proxy_of_gamedays_that_speaks_http(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault
) -> None:
    assert isinstance(fault, HasRequirements)
    http = frozenset({Edge(client="client", service="app")})
    for runtime in ("docker", "process"):
        assert fault.requirements(runtime).features == Features(own_proxy=True, http=http)
    edge.speaks_http = False
    with pytest.raises(EnvironmentRefused, match="passes bytes"):
        fault.on(environment)
    bare = EdgedEnvironment(target=target(), clock=ManualClock())
    with pytest.raises(EnvironmentRefused, match="knows no HTTP"):
        fault.on(bare)


def test_a_reset_behind_a_forwarder_is_refused(
    environment: RuledEnvironment, edge: RuledEdge
) -> None:
    edge.forwarded = True
    with pytest.raises(EnvironmentRefused, match="forwarder"):
        HttpAbort(target=EDGE).on(environment)


def test_the_body_of_an_answer_that_costs_an_order_is_refused_with_what_to_write(
    environment: RuledEnvironment,
) -> None:
    with pytest.raises(EnvironmentRefused, match=r"such as /order\[s\]\*"):
        HttpBody(target=EDGE, body="{}", method="POST", path="/order[s]").on(environment)
    assert put(HttpBody(target=EDGE, body="{}", method="POST", path="/orders*"), environment)[
        1
    ].proven


@pytest.mark.parametrize("method", ["any", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["*", "/status", "/orders", "/orders/*", "*.json", "/a?[]x]*"])
def test_a_probe_fits_and_is_never_finished_unless_its_method_is_safe(
    method: Method, path: str
) -> None:
    matching = Matching(method=method, path=path, share=1)
    probe = matching.probe("/status")
    assert matching.fits(probe.method, probe.path)
    assert probe.finished is (probe.method in ("GET", "HEAD", "OPTIONS"))
    controls = matching.controls(probe, "/status")
    for stranger in controls:
        assert stranger.finished is (stranger.method in ("GET", "HEAD", "OPTIONS"))
        assert not matching.fits(stranger.method, stranger.path)
    assert any(one.path == probe.path for one in controls) is (method != "any")
    assert any(one.method == probe.method for one in controls) is (path != "*")


@pytest.mark.parametrize("path", ["/a[?]b", "/[b-a]", "/[^ -~]"])
def test_a_pattern_that_no_path_fits_is_refused_when_it_is_read(path: str) -> None:
    with pytest.raises(InvalidParameter, match="some path fits"):
        Matching(method="any", path=path, share=1)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_the_bounds_of_a_share_are_rarely_left_by_chance_and_tell_half_of_it(share: float) -> None:
    matching = Matching(method="any", path="*", share=share)
    least, most = matching.bounds
    assert matching.samples == {0.1: 441, 0.25: 147, 0.5: 49, 0.75: 147, 0.9: 441}[share]

    def chance(hits: int, true: float) -> float:
        ways = math.comb(matching.samples, hits)
        return math.exp(
            math.log(ways) + hits * math.log(true) + (matching.samples - hits) * math.log(1 - true)
        )

    inside = sum(chance(hits, share) for hits in range(least, most + 1))
    assert 1 - inside < 1 / 1000
    assert (1 - share) ** matching.samples_after <= 1e-4
    rarer = min(share, 1 - share)
    for other in (0.25 * rarer, 1.9 * rarer):
        true = other if share <= 0.5 else 1 - other
        if 0 < true < 1 and abs(true - share) > 0.05:
            assert sum(chance(hits, true) for hits in range(least, most + 1)) < 0.02


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: HttpAbort(target=EDGE, share=0.05), "share: wanted 10% to 90%, or 100%"),
        (lambda: HttpAbort(target=EDGE, share=0.95), "share: wanted"),
        (lambda: HttpAbort(target=EDGE, path="status"), "begins with / or"),
        (lambda: HttpAbort(target=EDGE, path="/a b"), "without spaces"),
        (lambda: HttpStatus(target=EDGE, status=101), "status: wanted 200 to 599"),
        (lambda: HttpStatus(target=EDGE, status=204, body="x"), "has no body"),
        (lambda: HttpStatus(target=EDGE, status=500, body="x" * 65_000), "these are 65000"),
        (lambda: HttpBody(target=EDGE, body="x" * 64_001), "these are 64001"),
        (lambda: HttpBody(target=EDGE, body="x", method="HEAD"), "HEAD has no body"),
        (
            lambda: HttpBody(target=EDGE, body="{}", method="POST", path="/orders"),
            "path: wanted a pattern that also fits a path which the service does not have",
        ),
        (lambda: HttpDelay(target=EDGE, delay_ns=5 * MILLISECOND), "delay: wanted 20ms"),
        (lambda: HttpDelay(target=EDGE, delay_ns=6 * SECOND), "delay: wanted"),
        (lambda: HttpDelay(target=EDGE, delay_ns=50_500_000), "whole milliseconds"),
    ],
)
def test_what_could_not_be_proven_is_refused_before_anything_starts(
    make: type[Fault], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_the_direct_way_is_never_bitten(environment: RuledEnvironment, edge: RuledEdge) -> None:
    put(HttpAbort(target=EDGE), environment)
    probe = Matching(method="any", path="*", share=1).probe("/status")
    assert probe is not None
    assert edge.request(Route.UPSTREAM, probe, SECOND).status == 200


@every
def test_a_rule_that_somebody_else_removes_is_not_in_any_more(
    environment: RuledEnvironment, edge: RuledEdge, fault: Fault
) -> None:
    made, effect = put(fault, environment)
    assert effect.proven
    assert is_active(made)
    edge.remove_rule(next(iter(edge.rules())))
    assert not is_active(made)


POST = HttpProbe(method="POST", path="/orders")


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_what_met_a_rule_is_told_without_the_probes_of_its_proof(
    environment: RuledEnvironment, edge: RuledEdge, share: float
) -> None:
    fault = HttpStatus(target=EDGE, status=503, method="POST", path="/orders", share=share)
    made, _ = put(fault, environment)
    assert isinstance(made, Counted)
    for _ in range(40):
        edge.request(Route.PROXIED, POST, SECOND)
        edge.request(Route.PROXIED, HttpProbe(method="GET", path="/orders"), SECOND)
    assert healed(made).proven
    for _ in range(40):
        edge.request(Route.PROXIED, POST, SECOND)
    made.undo()
    assert made.met() == 40 * share, "until it was undone for the first time"


@every
def test_a_rule_that_only_its_own_proof_met_was_met_by_nobody(
    environment: RuledEnvironment, fault: Fault
) -> None:
    made, _ = put(fault, environment)
    assert isinstance(made, Counted)
    made.undo()
    assert made.met() == 0


def test_a_count_that_cannot_be_read_is_not_known_and_the_rule_is_removed_all_the_same(
    environment: RuledEnvironment, edge: RuledEdge
) -> None:
    made, _ = put(HttpAbort(target=EDGE), environment)
    assert isinstance(made, Counted)
    edge.readable = False
    made.undo()
    edge.readable = True
    assert made.met() is None
    assert edge.rules() == {}
