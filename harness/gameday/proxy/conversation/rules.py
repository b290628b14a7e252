"""Rules for requests: which they meet, how often, and what becomes of those that they meet."""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from fnmatch import translate
from random import Random
from typing import Protocol

from gameday.proxy.refusal import ApiRefusal

__all__ = ["Action", "Rule", "RuleBook"]


class Action(StrEnum):
    """What becomes of a request that a rule meets."""

    STATUS = "status"
    """It is answered at once, with a status and a body; the upstream never sees it."""
    ABORT = "abort"
    """Its connection is reset; the upstream never sees it."""
    DELAY = "delay"
    """It reaches the upstream later."""
    BODY = "body"
    """It reaches the upstream, and the body of the answer is another one."""


class Rule:
    """Meets requests by method and path, a share of those that fit, and counts both.

    A path pattern is that of a shell: "*" is anything, also across slashes. It is compared with the
    path without its query.
    """

    def __init__(
        self,
        *,
        name: str,
        action: Action,
        method: str = "",
        path: str = "*",
        share: float = 1.0,
        status: int = 200,
        delay_ms: int = 0,
        body: str = "",
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        self.name = name
        self.action = action
        self.method = method
        self.path = path
        self.share = share
        self.status = status
        self.delay_ms = delay_ms
        self.body = body
        self.content_type = content_type
        self.matched = 0
        self.met = 0
        self._pattern = re.compile(translate(path))

    @property
    def answers(self) -> bool:
        """Whether the request never reaches the upstream."""
        return self.action in (Action.STATUS, Action.ABORT)

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is of this rule's kind."""
        return self.method in ("", method) and self._pattern.fullmatch(path) is not None

    def meets(self, random: Random) -> bool:
        """Draw whether a request that matches is met, and count it."""
        self.matched += 1
        met = random.random() < self.share
        self.met += met
        return met


class _Listener(Protocol):
    def rule_removed(self, rule: Rule) -> None: ...


class RuleBook:
    """The rules of one proxy, in their order: the first that meets a request decides."""

    def __init__(self) -> None:
        self.requests = 0
        self.not_http = 0
        self._rules: dict[str, Rule] = {}
        self._listeners: set[_Listener] = set()

    def __iter__(self) -> Iterator[Rule]:
        return iter(list(self._rules.values()))

    def get(self, name: str) -> Rule:
        rule = self._rules.get(name)
        if rule is None:
            raise ApiRefusal("rule not found", 404)
        return rule

    def add(self, rule: Rule) -> None:
        if rule.name in self._rules:
            raise ApiRefusal("rule already exists", 409)
        self._rules[rule.name] = rule

    def remove(self, rule: Rule) -> None:
        """Forget `rule`; a request that it holds back goes on at once."""
        del self._rules[rule.name]
        for listener in list(self._listeners):
            listener.rule_removed(rule)

    def clear(self) -> None:
        for rule in self:
            self.remove(rule)

    def pick(self, method: str, target: str, draws: Callable[[Rule], Random]) -> Rule | None:
        """Give the rule that decides about a request, and count the request."""
        self.requests += 1
        path = _path_of(target)
        for rule in self._rules.values():
            if rule.matches(method, path) and rule.meets(draws(rule)):
                return rule
        return None

    def join(self, listener: _Listener) -> None:
        """Tell `listener` of every rule that is removed from now on."""
        self._listeners.add(listener)

    def part(self, listener: _Listener) -> None:
        self._listeners.discard(listener)


def _path_of(target: str) -> str:
    """Give the path of a request target, which may be a whole URL."""
    if "://" in target and not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0]
