import json
from random import Random

import pytest

from gameday.proxy.conversation.rules import Action, Rule, RuleBook
from gameday.proxy.refusal import ApiRefusal
from gameday.proxy.rule_shapes import read_rule, rule_shape


def draws(rule: Rule) -> Random:
    return Random(rule.name)


@pytest.mark.parametrize(
    ("method", "path", "target", "fits"),
    [
        ("", "*", "/anything", True),
        ("GET", "*", "/", True),
        ("POST", "*", "/", False),
        ("", "/signals", "/signals?run=1", True),
        ("", "/signals", "/signals/1", False),
        ("", "/signals/*", "/signals/1/2", True),
        ("", "/a?c", "/abc", True),
        ("", "/x", "http://host:80/x?y", True),
        ("", "/go", "/go?to=http://host/x", True),
    ],
)
def test_a_rule_meets_its_method_and_path(method: str, path: str, target: str, fits: bool) -> None:
    book = RuleBook()
    rule = Rule(name="r", action=Action.ABORT, method=method, path=path)
    book.add(rule)
    assert book.pick("GET", target, draws) is (rule if fits else None)
    assert (book.requests, rule.matched, rule.met) == (1, fits, fits)


def test_the_first_rule_that_meets_a_request_decides() -> None:
    book = RuleBook()
    rules = [Rule(name=name, action=Action.ABORT, share=share) for name, share in
             (("never", 0.0), ("always", 1.0), ("late", 1.0))]  # fmt: skip
    for rule in rules:
        book.add(rule)
    assert book.pick("GET", "/", draws) is rules[1]
    assert [(rule.matched, rule.met) for rule in rules] == [(1, 0), (1, 1), (0, 0)]


def test_a_share_of_the_requests_is_met() -> None:
    book = RuleBook()
    rule = Rule(name="r", action=Action.ABORT, share=0.3)
    book.add(rule)
    random = Random(1)
    for _ in range(1000):
        book.pick("GET", "/", lambda _: random)
    assert rule.matched == 1000
    assert 250 < rule.met < 350


def test_a_name_is_taken_once_and_can_be_given_back() -> None:
    book = RuleBook()
    book.add(Rule(name="r", action=Action.ABORT))
    with pytest.raises(ApiRefusal, match="rule already exists"):
        book.add(Rule(name="r", action=Action.DELAY))
    book.clear()
    with pytest.raises(ApiRefusal, match="rule not found"):
        book.get("r")
    book.add(Rule(name="r", action=Action.DELAY))


@pytest.mark.parametrize(
    "given",
    [
        {"name": "a", "action": "status", "status": 503, "body": "x", "content_type": "a/b"},
        {"name": "b", "action": "abort", "method": "GET", "path": "/x", "share": 0.5},
        {"name": "c", "action": "delay", "delay": 20},
        {"name": "d", "action": "body", "body": "broken"},
    ],
)
def test_a_rule_is_shown_as_it_was_given(given: dict[str, object]) -> None:
    shape = rule_shape(read_rule(json.dumps(given).encode()))
    assert shape.items() >= given.items()
    assert (shape["matched"], shape["met"]) == (0, 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "action is None; known: status, abort, delay, body"),
        ({"action": "statsu"}, "action is 'statsu'"),
        ({"action": "status"}, "missing required field: status"),
        ({"action": "status", "status": 99}, "status is 99; wanted 200 to 599"),
        ({"action": "status", "status": "503"}, "status is a whole number"),
        ({"action": "status", "status": 204, "body": "x"}, "a 204 has no body"),
        ({"action": "status", "status": 503, "content_type": "a\r\nb: c"}, "content_type is"),
        ({"action": "abort", "status": 503}, "status does nothing with action abort"),
        ({"action": "delay", "delay": -1}, "delay is -1"),
        ({"action": "delay", "delay": True}, "delay is a whole number"),
        ({"action": "abort", "share": 2}, "share is 2; wanted 0 to 1"),
        ({"action": "abort", "method": "get"}, "method is 'get'"),
        ({"action": "abort", "name": "a b"}, "name is 'a b'"),
        ({"action": "abort", "pth": "/"}, "did you mean 'path'"),
    ],
)
def test_a_rule_that_would_do_nothing_or_something_else_is_refused(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(ApiRefusal, match=message):
        read_rule(json.dumps(given).encode())
