from gameday.proxy.address import Address
from gameday.proxy.link import Meter
from gameday.proxy.metrics import counters, prometheus_text
from gameday.proxy.proxy import Proxy, ProxyConfig, ProxyRoute
from gameday.proxy.timer import Entry
from gameday.proxy.toxic_chain import NamedToxic, Stream, ToxicChain
from gameday.proxy.toxics import TOXICS


class NoTimer:
    """Time stands still."""

    def now_ns(self) -> int:
        return 0

    def at(self, deadline_ns: int, callback: object) -> Entry:
        raise AssertionError

    def cancel(self, entry: Entry | None) -> None: ...


def proxy(name: str) -> Proxy:
    address = Address(host="127.0.0.1", port=0)
    around = ProxyConfig(timer=NoTimer())
    return Proxy(name=name, listen="l:1", address=address, upstream="u:2", around=around)


def metered(proxy: Proxy, received: int, sent: int) -> None:
    meter = Meter()
    meter.received, meter.sent = received, sent
    proxy._over[proxy.route] = {Stream.UPSTREAM: meter, Stream.DOWNSTREAM: Meter()}


def test_labels_are_quoted_as_prometheus_reads_them() -> None:
    odd = proxy('a"b\\c\nd')
    metered(odd, 5, 4)
    labels = r'direction="upstream",listener="l:1",proxy="a\"b\\c\nd",upstream="u:2"'
    lines = prometheus_text([odd]).splitlines()
    assert f"toxiproxy_proxy_received_bytes_total{{{labels}}} 5" in lines
    assert f"toxiproxy_proxy_sent_bytes_total{{{labels}}} 4" in lines


def test_a_proxy_that_moves_begins_a_new_series_and_keeps_its_sum() -> None:
    moved = proxy("p")
    metered(moved, 5, 4)
    moved.upstream = "u:3"
    metered(moved, 7, 6)
    assert ProxyRoute(listen="l:1", upstream="u:2") in moved.meters()
    assert prometheus_text([moved]).count('direction="upstream"') == 4
    counted = counters({"p": moved})["p"]
    assert isinstance(counted, dict)
    assert counted["bytes_upstream"] == 12


def named(name: str) -> NamedToxic:
    return NamedToxic(
        name=name,
        kind="timeout",
        stream_text="upstream",
        toxicity=1.0,
        attributes=TOXICS["timeout"].made({}),
    )


def test_a_toxic_of_the_same_name_goes_on_counting() -> None:
    chain = ToxicChain()
    first, second = named("t"), named("t")
    chain.add(first)
    first.tally.bytes_dropped += 3
    chain.remove(first)
    chain.add(second)
    second.tally.bytes_dropped += 4
    assert chain.tallies["t"].bytes_dropped == 7


def test_counts_of_toxics_that_are_gone_do_not_pile_up() -> None:
    chain = ToxicChain()
    chain.add(named("still there"))
    for number in range(1100):
        toxic = named(f"t{number}")
        chain.add(toxic)
        chain.remove(toxic)
    assert len(chain.tallies) == 1001
    assert {"still there", "t1099"} <= set(chain.tallies)
