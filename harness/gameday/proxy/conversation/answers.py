"""The responses that rules write, whole or in part."""

from http import HTTPStatus

from gameday.proxy.conversation.messages import Head
from gameday.proxy.conversation.rules import Rule

__all__ = ["BODILESS", "rule_answer", "with_body"]

BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def rule_answer(rule: Rule, method: str, *, last: bool) -> bytes:
    """Write the response of a rule that answers by itself."""
    body = rule.body.encode()
    try:
        phrase = HTTPStatus(rule.status).phrase
    except ValueError:
        phrase = "Injected"
    lines = [f"HTTP/1.1 {rule.status} {phrase}"]
    if rule.status not in BODILESS:
        lines += [f"Content-Type: {rule.content_type}", f"Content-Length: {len(body)}"]
    if last:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if method == "HEAD" or rule.status in BODILESS else head + body


def with_body(head: Head, rule: Rule) -> bytes:
    """Write `head` for the body of `rule`, and that body behind it."""
    body = rule.body.encode()
    gone = ("content-length:", "transfer-encoding:", "content-encoding:", "trailer:")
    start, *lines = head.raw.decode("latin-1").strip("\r\n").splitlines()
    kept = [line for line in lines if not line.lower().replace(" ", "").startswith(gone)]
    length = f"Content-Length: {len(body)}"
    return "\r\n".join([start, *kept, length, "", ""]).encode("latin-1") + body
