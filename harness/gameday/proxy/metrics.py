"""The live counters of all proxies: as JSON, and as Prometheus reads Toxiproxy's."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from gameday.proxy.link import Meter
from gameday.proxy.proxy import Proxy, Speaks
from gameday.proxy.toxic_chain import Stream

__all__ = ["PROMETHEUS_TYPE", "connections", "counters", "prometheus_text"]

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "toxiproxy_proxy"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def counters(proxies: Mapping[str, Proxy]) -> dict[str, object]:
    """Give by proxy what went through it, and what its toxics and rules did."""
    return {name: _counted(proxy) for name, proxy in proxies.items()}


def connections(proxy: Proxy) -> dict[str, object]:
    """Give whose each connection is, and what came from either side of it, and when."""
    return {
        "open": [asdict(facts) for facts in proxy.connections],
        "over": [asdict(facts) for facts in proxy.lately_over],
    }


def prometheus_text(proxies: Iterable[Proxy]) -> str:
    """Write the byte counters under Toxiproxy's names, as of now."""
    metered = list(proxies)
    received = _family(
        "received_bytes_total",
        "Bytes that came from one side.",
        ((labels, meter.received) for labels, meter in _series(metered)),
    )
    sent = _family(
        "sent_bytes_total",
        "Bytes that went on to the other side.",
        ((labels, meter.sent) for labels, meter in _series(metered)),
    )
    return "\n".join([*received, *sent, ""])


def _counted(proxy: Proxy) -> dict[str, object]:
    counted: dict[str, object] = {
        "connections_open": proxy.connections_open,
        "connections_total": proxy.connections_total,
        "bytes_upstream": proxy.received_bytes(Stream.UPSTREAM),
        "bytes_downstream": proxy.received_bytes(Stream.DOWNSTREAM),
        "refused_upstream": proxy.refused_upstream,
        "toxics": {name: asdict(tally) for name, tally in proxy.toxics.tallies.items()},
    }
    if proxy.speaks is Speaks.HTTP:
        counted["http"] = {
            "requests": proxy.rules.requests,
            "connections_not_http": proxy.rules.not_http,
            "rules": {
                rule.name: {"matched": rule.matched, "met": rule.met} for rule in proxy.rules
            },
        }
    return counted


def _series(proxies: Iterable[Proxy]) -> Iterator[tuple[str, Meter]]:
    for proxy in proxies:
        for route, meters in proxy.meters().items():
            for stream in (Stream.DOWNSTREAM, Stream.UPSTREAM):
                labels = {
                    "direction": stream.value,
                    "listener": route.listen,
                    "proxy": proxy.name,
                    "upstream": route.upstream,
                }
                yield _labels(labels), meters[stream]


def _family(name: str, says: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    full = f"{_PREFIX}_{name}"
    lines = [f"{full}{labels} {value}" for labels, value in samples]
    return [f"# HELP {full} {says}", f"# TYPE {full} counter", *lines]


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"
