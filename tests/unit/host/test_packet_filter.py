"""The rules of the packet filter: put as a whole, counted, and removed by their name alone."""

import pytest

from gameday.api.packets import Drop, Tally
from gameday.host import packet_filter

SAVED = """\
*filter
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:gameday-12345678-1-0 - [0:0]
:gameday-12345678-1-in - [0:0]
:gameday-12345678-11-0 - [0:0]
[9:90] -A INPUT -m comment --comment 12345678 -j gameday-12345678-1-in
[9:90] -A INPUT -m comment --comment 12345678 -j gameday-12345678-11-in
[7:70] -A gameday-12345678-1-0 -m comment --comment 12345678
[3:30] -A gameday-12345678-1-0 -m comment --comment 12345678 -j DROP
[2:20] -A gameday-12345678-11-0 -m comment --comment 12345678
[1:10] -A gameday-12345678-11-0 -m comment --comment 12345678 -j DROP
[7:70] -A gameday-12345678-1-in -s 10.0.0.2/32 -j gameday-12345678-1-0
COMMIT
"""


class Iptables:
    def __init__(self, saved: str) -> None:
        self.saved = saved
        self.given: list[str] = []

    def __call__(self, *command: str, given: str = "") -> list[str]:
        if command[0] == "iptables-save":
            return self.saved.splitlines()
        self.given += given.splitlines()
        return []


@pytest.fixture
def iptables(monkeypatch: pytest.MonkeyPatch) -> Iptables:
    made = Iptables(SAVED)
    monkeypatch.setattr(packet_filter, "_run", made)
    return made


def test_the_counts_are_those_of_one_name(iptables: Iptables) -> None:
    assert packet_filter.read_tallies("gameday-12345678-1") == (Tally(met=7, dropped=3),)


def test_what_is_removed_is_what_has_the_name(iptables: Iptables) -> None:
    packet_filter.lift_drops("gameday-12345678-1")
    assert iptables.given == [
        "*filter",
        "-D INPUT -m comment --comment 12345678 -j gameday-12345678-1-in",
        "-F gameday-12345678-1-0",
        "-F gameday-12345678-1-in",
        "-X gameday-12345678-1-0",
        "-X gameday-12345678-1-in",
        "COMMIT",
    ]


def test_nothing_is_removed_where_nothing_is(iptables: Iptables) -> None:
    packet_filter.lift_drops("gameday-12345678-2")
    assert iptables.given == []


def test_a_port_is_that_of_tcp_and_of_udp_under_one_count(iptables: Iptables) -> None:
    packet_filter.put_drops("c", [Drop(peer="10.0.0.2", own_port=21000, share=0.25)], "run")
    sorting = [line for line in iptables.given if line.startswith("-A c-in")]
    assert sorting == [
        f"-A c-in -s 10.0.0.2 -p {protocol} --dport 21000  -j c-0" for protocol in ("tcp", "udp")
    ]
    assert [line for line in iptables.given if line.startswith("-A c-0")] == [
        "-A c-0 -m comment --comment run",
        "-A c-0 -m comment --comment run -m statistic --mode random --probability 0.25 -j DROP",
    ]


def test_what_leaves_has_the_ports_the_other_way_round(iptables: Iptables) -> None:
    packet_filter.put_drops("c", [Drop(own_port=21000, leaving=True)], "run")
    assert "-A c-out -p tcp --sport 21000  -j c-0" in iptables.given
