"""The calls about HTTP rules, below /gameday/http: Toxiproxy has nothing like them."""

from http import HTTPStatus

from gameday.proxy.conversation.rules import RuleBook
from gameday.proxy.http import Request, Response
from gameday.proxy.proxy import Proxy, Speaks
from gameday.proxy.refusal import ApiRefusal
from gameday.proxy.rule_shapes import read_rule, rule_shape

__all__ = ["answer"]


def answer(request: Request, proxy: Proxy, name: str) -> Response:
    """Answer a call about the rules of `proxy`, or about the one that is called `name`.

    A new rule stands behind the others, and meets requests whose head has not come yet. One that is
    removed lets go at once what it delays.
    """
    rules = _rules(proxy)
    if request.method == "POST":
        rule = read_rule(request.body)
        rules.add(rule)
        return Response.json(rule_shape(rule))
    if request.method == "DELETE":
        if name:
            rules.remove(rules.get(name))
        else:
            rules.clear()
        return Response(status=HTTPStatus.NO_CONTENT)
    if name:
        return Response.json(rule_shape(rules.get(name)))
    return Response.json([rule_shape(rule) for rule in rules])


def _rules(proxy: Proxy) -> RuleBook:
    if proxy.speaks is not Speaks.HTTP:
        raise ApiRefusal(
            f"proxy {proxy.name} passes bytes on; set its protocol to http to have rules", 400
        )
    return proxy.rules
