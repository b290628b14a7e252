"""The JSON of the API: what a call may say, and what it is answered.

What Toxiproxy would silently ignore is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gameday.proxy.address import BadAddress, parse_address
from gameday.proxy.json_body import kind_of, parse_json, read_fields, read_share, read_text
from gameday.proxy.proxy import Proxy, Speaks
from gameday.proxy.refusal import ApiRefusal
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
_PROXY_NAMES = ("name", "listen", "upstream", "enabled", "toxics", "logger", "protocol")
_TOXIC_NAMES = ("name", "type", "stream", "toxicity", "attributes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyChange:
    """What a call says about a proxy; None where it says nothing."""

    name: str | None = None
    listen: str | None = None
    upstream: str | None = None
    enabled: bool | None = None
    protocol: Speaks | None = None
    toxics: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToxicChange:
    """What a call says about a toxic that exists."""

    toxicity: float
    attributes: Toxic


def proxy_shape(proxy: Proxy) -> dict[str, object]:
    """Write `proxy` with its toxics."""
    shape: dict[str, object] = {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        # An accident of Toxiproxy's that its clients have come to see in every answer.
        "Logger": {},
        "toxics": [toxic_shape(toxic) for toxic in proxy.toxics.listed()],
    }
    if proxy.speaks is not Speaks.TCP:
        shape["protocol"] = proxy.speaks.value
    return shape


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
    return _proxy_change(read_fields(parse_json(body), _PROXY_NAMES, "a proxy"))


def read_proxies(body: bytes) -> list[ProxyChange]:
    """Read a list of proxies to create, each with a name and an upstream."""
    value = parse_json(body)
    if not isinstance(value, list):
        raise ApiRefusal(f"bad request body: wanted a list of proxies, got {kind_of(value)}", 400)
    changes: list[ProxyChange] = []
    items: list[object] = value
    for number, item in enumerate(items, start=1):
        change = _proxy_change(read_fields(item, _PROXY_NAMES, f"proxy {number}"))
        for name, given in (("name", change.name), ("upstream", change.upstream)):
            if not given:
                raise ApiRefusal(f"missing required field: {name} at proxy {number}", 400)
        changes.append(change)
    return changes


def read_toxic_new(body: bytes) -> NamedToxic:
    """Read a toxic to add: downstream, and in every connection, unless it says otherwise."""
    given = read_fields(parse_json(body), _TOXIC_NAMES, "a toxic")
    stream = read_text(given, "stream")
    stream = "downstream" if stream is None else stream
    if stream.lower() not in ("upstream", "downstream"):
        raise ApiRefusal("stream was invalid, can be either upstream or downstream", 400)
    kind = read_text(given, "type") or ""
    if kind not in TOXICS:
        raise ApiRefusal("invalid toxic type", 400)
    return NamedToxic(
        name=read_text(given, "name") or f"{kind}_{stream}",
        kind=kind,
        stream_text=stream,
        toxicity=read_share(given, "toxicity", 1.0),
        attributes=_made(kind, _named_attributes(kind, given.get("attributes"))),
    )


def read_toxic_change(body: bytes, toxic: NamedToxic) -> ToxicChange:
    """Read what becomes of `toxic`; it keeps what the call does not name."""
    given = read_fields(parse_json(body), _TOXIC_NAMES, "a toxic")
    fixed = {"name": toxic.name, "type": toxic.kind, "stream": toxic.stream_text}
    for name, value in fixed.items():
        asked = read_text(given, name)
        if asked is not None and asked != value:
            raise ApiRefusal(f"bad request body: {name} is {value!r} and cannot change", 400)
    kept = toxic.attributes.values()
    named = _named_attributes(toxic.kind, given.get("attributes"))
    return ToxicChange(
        toxicity=read_share(given, "toxicity", toxic.toxicity),
        attributes=_made(toxic.kind, {**kept, **named}),
    )


def _proxy_change(given: Mapping[str, object]) -> ProxyChange:
    enabled = given.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise ApiRefusal(f"bad request body: enabled is a boolean, got {kind_of(enabled)}", 400)
    upstream = read_text(given, "upstream")
    if upstream:
        try:
            parse_address(upstream)
        except BadAddress as error:
            raise ApiRefusal(f"bad request body: upstream: {error}", 400) from error
    protocol = read_text(given, "protocol")
    if protocol not in (None, *Speaks):
        wanted = ", ".join(Speaks)
        raise ApiRefusal(f"bad request body: protocol is {protocol!r}; known: {wanted}", 400)
    toxics = given.get("toxics", [])
    if not isinstance(toxics, list):
        raise ApiRefusal(f"bad request body: toxics is an array, got {kind_of(toxics)}", 400)
    return ProxyChange(
        toxics=tuple(toxics),
        name=read_text(given, "name"),
        listen=read_text(given, "listen"),
        upstream=upstream,
        enabled=enabled,
        protocol=None if protocol is None else Speaks(protocol),
    )


def _named_attributes(kind: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    known = tuple(field.name for field in fields(TOXICS[kind]))
    return read_fields(value, known, f"the attributes of {kind}")


def _made(kind: str, values: Mapping[str, object]) -> Toxic:
    try:
        return TOXICS[kind].made(values)
    except ValueError as error:
        raise ApiRefusal(f"bad request body: {kind}: {error}", 400) from error
