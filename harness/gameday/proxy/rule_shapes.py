"""The JSON of a rule for HTTP requests: what a call may say, and what it is answered."""

import re
from collections.abc import Mapping

from gameday.proxy.conversation.rules import Action, Rule
from gameday.proxy.json_body import kind_of, parse_json, read_fields, read_share, read_text
from gameday.proxy.refusal import ApiRefusal

__all__ = ["read_rule", "rule_shape"]

_ALWAYS = ("name", "action", "method", "path", "share")
# What an action asks for, and what it may be given beyond that.
_NEEDS: Mapping[Action, tuple[str, ...]] = {
    Action.STATUS: ("status",),
    Action.ABORT: (),
    Action.DELAY: ("delay",),
    Action.BODY: ("body",),
}
_MAY: Mapping[Action, tuple[str, ...]] = {Action.STATUS: ("body", "content_type")}
_NAMES = (*_ALWAYS, "status", "delay", "body", "content_type")

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_METHOD = re.compile(r"[A-Z]*")
_HEADER_VALUE = re.compile(r"[ -~]+")
_BODILESS = (204, 304)
_DAY_MS = 24 * 3600 * 1000


def read_rule(body: bytes) -> Rule:
    """Read a rule to add: it meets every request, unless it says otherwise."""
    given = read_fields(parse_json(body), _NAMES, "a rule")
    action = _action(given)
    _refuse_what_does_nothing(given, action)
    name = read_text(given, "name") or action.value
    _check("name", name, _NAME)
    method = read_text(given, "method") or ""
    _check("method", method, _METHOD)
    content_type = read_text(given, "content_type") or "text/plain; charset=utf-8"
    _check("content_type", content_type, _HEADER_VALUE)
    path = read_text(given, "path")
    status = _whole(given, "status", 200, 599) if "status" in given else 200
    text = read_text(given, "body") or ""
    if status in _BODILESS and text:
        raise ApiRefusal(f"bad request body: a {status} has no body", 400)
    return Rule(
        name=name,
        action=action,
        method=method,
        path="*" if path is None else path,
        share=read_share(given, "share", 1.0),
        status=status,
        delay_ms=_whole(given, "delay", 0, _DAY_MS) if "delay" in given else 0,
        body=text,
        content_type=content_type,
    )


def rule_shape(rule: Rule) -> dict[str, object]:
    """Write `rule` with what its action takes, and its counters."""
    taken = {
        "status": rule.status,
        "delay": rule.delay_ms,
        "body": rule.body,
        "content_type": rule.content_type,
    }
    names = (*_NEEDS[rule.action], *_MAY.get(rule.action, ()))
    return {
        "name": rule.name,
        "action": rule.action.value,
        "method": rule.method,
        "path": rule.path,
        "share": rule.share,
        **{name: taken[name] for name in names},
        "matched": rule.matched,
        "met": rule.met,
    }


def _action(given: Mapping[str, object]) -> Action:
    text = read_text(given, "action")
    try:
        return Action(text or "")
    except ValueError:
        wanted = ", ".join(Action)
        raise ApiRefusal(f"bad request body: action is {text!r}; known: {wanted}", 400) from None


def _refuse_what_does_nothing(given: Mapping[str, object], action: Action) -> None:
    needs = _NEEDS[action]
    for name in needs:
        if name not in given:
            raise ApiRefusal(f"missing required field: {name} of action {action}", 400)
    for name in given:
        if name not in (*_ALWAYS, *needs, *_MAY.get(action, ())):
            raise ApiRefusal(f"bad request body: {name} does nothing with action {action}", 400)


def _check(name: str, value: str, pattern: re.Pattern[str]) -> None:
    if pattern.fullmatch(value) is None:
        wanted = pattern.pattern
        raise ApiRefusal(f"bad request body: {name} is {value!r}; wanted {wanted}", 400)


def _whole(given: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ApiRefusal(f"bad request body: {name} is a whole number, got {kind_of(value)}", 400)
    if not low <= value <= high:
        raise ApiRefusal(f"bad request body: {name} is {value}; wanted {low} to {high}", 400)
    return value
