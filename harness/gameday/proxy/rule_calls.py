"""The calls about HTTP rules, below /gameday/http: Toxiproxy has nothing like them."""

from http import HTTPStatus

from gameday.proxy.conversation import RuleBook
from gameday.proxy.http import Request, Response
from gameday.proxy.proxy import Proxy, Speaks
from gameday.proxy.refusal import Refusal
from gameday.proxy.rule_shapes import read_rule, rule_shape

__all__ = ["add_rule", "clear_rules", "list_rules", "remove_rule", "show_rule"]


def list_rules(proxy: Proxy) -> Response:
    """Show the rules in their order, with their counters."""
    return Response.json([rule_shape(rule) for rule in _rules(proxy)])


def add_rule(proxy: Proxy, request: Request) -> Response:
    """Add a rule behind the others; requests whose head has not come yet can meet it."""
    rules = _rules(proxy)
    rule = read_rule(request.body)
    rules.add(rule)
    return Response.json(rule_shape(rule))


def clear_rules(proxy: Proxy) -> Response:
    """Remove every rule."""
    _rules(proxy).clear()
    return Response(status=HTTPStatus.NO_CONTENT)


def show_rule(proxy: Proxy, name: str) -> Response:
    """Show one rule with its counters."""
    return Response.json(rule_shape(_rules(proxy).get(name)))


def remove_rule(proxy: Proxy, name: str) -> Response:
    """Remove one rule; requests that it delays go on at once."""
    rules = _rules(proxy)
    rules.remove(rules.get(name))
    return Response(status=HTTPStatus.NO_CONTENT)


def _rules(proxy: Proxy) -> RuleBook:
    if proxy.speaks is not Speaks.HTTP:
        raise Refusal(
            f"proxy {proxy.name} passes bytes on; set its protocol to http to have rules", 400
        )
    return proxy.rules
