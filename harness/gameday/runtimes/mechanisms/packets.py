"""Dropping packets in the networks of containers."""

import socket

from gameday.api.mechanism import Lacking, Mechanism, trial
from gameday.api.packets import Drop
from gameday.host.net_namespace import in_a_new_network
from gameday.host.packet_filter import lift_drops, put_drops, read_tallies, rules_of
from gameday.runtimes.mechanisms.containers import CONTAINERS_HERE

__all__ = ["PACKET_FILTER"]

_CHAIN = "gameday-trial"
_LOOPBACK = "127.0.0.1"
_PACKETS = 200


def _check() -> str:
    """Drop half of some packets in a network that goes with the call.

    Those of containers can be entered where their processes are among this host's.
    """
    dropped = in_a_new_network(_drop_half)
    here = trial(CONTAINERS_HERE)
    if not here.works:
        raise Lacking(here.seen, here.cure)
    return f"{dropped} of {_PACKETS} packets dropped, half was asked for; {here.seen}"


def _drop_half() -> int:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((_LOOPBACK, 0))
        receiver.setblocking(False)
        address = receiver.getsockname()
        put_drops(_CHAIN, [Drop(peer=_LOOPBACK, own_port=address[1], share=0.5)], "trial")
        arrived = 0
        for _ in range(_PACKETS):
            sender.sendto(b"x", address)
            try:
                arrived += len(receiver.recv(1))
            except BlockingIOError:
                continue
        (tally,) = read_tallies(_CHAIN)
        lift_drops(_CHAIN)
        if rules_of(_CHAIN):
            raise OSError("the rules of the packet filter cannot be removed")
        if tally.met != _PACKETS or tally.dropped != _PACKETS - arrived or tally.dropped == 0:
            raise OSError(
                f"{arrived} of {_PACKETS} packets arrived, the filter counts "
                f"{tally.met} and {tally.dropped} dropped; half was asked for"
            )
        return tally.dropped


PACKET_FILTER = Mechanism(
    name="packet filter in containers' networks",
    used_for="partition and packet-loss in docker",
    cure="run as root, with iptables installed, on the host of the Docker engine",
    check=_check,
)
