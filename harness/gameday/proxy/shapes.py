"""The JSON of the API: what a call may say, and what it is answered.

Names are read as Go reads them, without regard to case, and null is the same as nothing. What
Toxiproxy would silently ignore is refused: a misspelt name that does nothing is a fault that is not
there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches

from gameday.proxy.address import BadAddress, parse_address
from gameday.proxy.proxy import Proxy
from gameday.proxy.refusal import Refusal
from gameday.proxy.toxic_chain import NamedToxic
from gameday.proxy.toxics import TOXICS, Toxic

__all__ = [
    "ProxyChange",
    "ToxicChange",
    "proxy_shape",
    "read_proxies",
    "read_proxy",
    "read_toxic_change",
    "read_toxic_new",
    "toxic_shape",
]

# "toxics" and "Logger" are in every answer, and clients send back what they were given.
_PROXY_NAMES = ("name", "listen", "upstream", "enabled", "toxics", "logger")
_TOXIC_NAMES = ("name", "type", "stream", "toxicity", "attributes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyChange:
    """What a call says about a proxy; None where it says nothing."""

    name: str | None = None
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicChange:
    """What a call says about a toxic that exists."""

    toxicity: float
    attributes: Toxic


def proxy_shape(proxy: Proxy) -> dict[str, object]:
    """Write `proxy` with its toxics."""
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        # An accident of Toxiproxy's that its clients have come to see in every answer.
        "Logger": {},
        "toxics": [toxic_shape(toxic) for toxic in proxy.toxics.listed()],
    }


def toxic_shape(toxic: NamedToxic) -> dict[str, object]:
    """Write `toxic` with its attributes; a whole toxicity has no decimal point."""
    whole = toxic.toxicity == int(toxic.toxicity)
    return {
        "attributes": toxic.attributes.values(),
        "name": toxic.name,
        "type": toxic.kind,
        "stream": toxic.stream_text,
        "toxicity": int(toxic.toxicity) if whole else toxic.toxicity,
    }


def read_proxy(body: bytes) -> ProxyChange:
    """Read what a call says about one proxy."""
    return _proxy_change(_mapping(_parse(body), _PROXY_NAMES, "a proxy"))


def read_proxies(body: bytes) -> list[ProxyChange]:
    """Read a list of proxies to create, each with a name and an upstream."""
    value = _parse(body)
    if not isinstance(value, list):
        raise Refusal(f"bad request body: wanted a list of proxies, got {_kind_of(value)}", 400)
    changes: list[ProxyChange] = []
    items: list[object] = value
    for number, item in enumerate(items, start=1):
        change = _proxy_change(_mapping(item, _PROXY_NAMES, f"proxy {number}"))
        for name, given in (("name", change.name), ("upstream", change.upstream)):
            if not given:
                raise Refusal(f"missing required field: {name} at proxy {number}", 400)
        changes.append(change)
    return changes


def read_toxic_new(body: bytes) -> NamedToxic:
    """Read a toxic to add: downstream, and in every connection, unless it says otherwise."""
    given = _mapping(_parse(body), _TOXIC_NAMES, "a toxic")
    stream = _text(given, "stream")
    stream = "downstream" if stream is None else stream
    if stream.lower() not in ("upstream", "downstream"):
        raise Refusal("stream was invalid, can be either upstream or downstream", 400)
    kind = _text(given, "type") or ""
    if kind not in TOXICS:
        raise Refusal("invalid toxic type", 400)
    return NamedToxic(
        name=_text(given, "name") or f"{kind}_{stream}",
        kind=kind,
        stream_text=stream,
        toxicity=_toxicity(given, 1.0),
        attributes=_made(kind, _named_attributes(kind, given.get("attributes"))),
    )


def read_toxic_change(body: bytes, toxic: NamedToxic) -> ToxicChange:
    """Read what becomes of `toxic`; it keeps what the call does not name."""
    given = _mapping(_parse(body), _TOXIC_NAMES, "a toxic")
    fixed = {"name": toxic.name, "type": toxic.kind, "stream": toxic.stream_text}
    for name, value in fixed.items():
        asked = _text(given, name)
        if asked is not None and asked != value:
            raise Refusal(f"bad request body: {name} is {value!r} and cannot change", 400)
    kept = toxic.attributes.values()
    named = _named_attributes(toxic.kind, given.get("attributes"))
    return ToxicChange(
        toxicity=_toxicity(given, toxic.toxicity),
        attributes=_made(toxic.kind, {**kept, **named}),
    )


def _proxy_change(given: Mapping[str, object]) -> ProxyChange:
    enabled = given.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise Refusal(f"bad request body: enabled is a boolean, got {_kind_of(enabled)}", 400)
    upstream = _text(given, "upstream")
    if upstream:
        try:
            parse_address(upstream)
        except BadAddress as error:
            raise Refusal(f"bad request body: upstream: {error}", 400) from error
    return ProxyChange(
        name=_text(given, "name"),
        listen=_text(given, "listen"),
        upstream=upstream,
        enabled=enabled,
    )


def _parse(body: bytes) -> object:
    if not body.strip():
        raise Refusal("bad request body: EOF", 400)
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"bad request body: {error}", 400) from error
    return value


def _mapping(value: object, known: tuple[str, ...], what: str) -> dict[str, object]:
    """Take the fields of a JSON object whose every name is in `known`."""
    if not isinstance(value, dict):
        raise Refusal(f"bad request body: wanted {what} as an object, got {_kind_of(value)}", 400)
    fold = {name.lower(): name for name in known}
    given: dict[str, object] = {}
    for key, item in value.items():
        name = fold.get(str(key).lower())
        if name is None:
            nearest = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise Refusal(
                f"bad request body: {what} has no {key!r}; known: {', '.join(known)}{hint}", 400
            )
        if item is not None:
            given[name] = item
    return given


def _text(given: Mapping[str, object], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise Refusal(f"bad request body: {name} is a string, got {_kind_of(value)}", 400)
    return value


def _toxicity(given: Mapping[str, object], default: float) -> float:
    value = given.get("toxicity", default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(f"bad request body: toxicity is a number, got {_kind_of(value)}", 400)
    if not 0 <= value <= 1:
        raise Refusal(f"bad request body: toxicity is {value}; wanted 0 to 1", 400)
    return float(value)


def _named_attributes(kind: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    known = tuple(field.name for field in fields(TOXICS[kind]))
    return _mapping(value, known, f"the attributes of {kind}")


def _made(kind: str, values: Mapping[str, object]) -> Toxic:
    try:
        return TOXICS[kind].made(values)
    except ValueError as error:
        raise Refusal(f"bad request body: {kind}: {error}", 400) from error


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value)
