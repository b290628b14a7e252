"""Packet loss: some packets of an edge vanish, and what they carried is sent again later."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from gameday.api.edge import EdgeConnection, Route, Seen, Stream
from gameday.api.environment import Checkpoint, Environment
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.api.packets import Datagrams, Drop, Network, Networked
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.edge import EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import streams_of
from gameday.faults.timing import attempted, first_proven, timed, undo_error
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import CLIENT, Edge, Hits
from gameday.model.units import RatioField
from gameday.runtimes.mechanisms.packets import PACKET_FILTER

__all__ = ["PacketLoss"]

_Z = 3.29
"""A share that is as asked lies beyond so many standard deviations once in a thousand times."""
_NEAR = 0.2
"""So many datagrams are sent that those deviations are at most this part of the share."""
_LEAST_DATAGRAMS = 2_000
_DATAGRAMS_AFTER = 1_000
_MISSES = 7.0
"""So many lost packets are expected among the greetings: e^-7 is less than one in a thousand."""
_LATE_NS = 150 * MILLISECOND
"""The kernel waits 200 ms at least before it sends a lost packet again."""
_ANSWER_LIMIT_NS = 2 * SECOND
_NORMAL_LIMIT_NS = 5 * SECOND
_GREETINGS_AFTER = 3
_PAUSE_NS = 20 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLoss:
    """Packets of a connection are dropped at random, independently; docker only.

    Mechanism: the kernel's packet filter drops them as they arrive, in the network of the
    service (upstream) and of its client (downstream). TCP sends again what was lost, so nobody
    is told: answers are late, by 200 ms or more. Proof, for each direction: of n datagrams that
    meet the same rule a share is lost that is as asked within 3.29 standard deviations,
    3.29 * sqrt(p * (1 - p) / n), so is the share by the kernel's own count of all packets, and
    a greeting is late by 150 ms. Undo: the rules are gone, 1000 datagrams arrive, and greetings
    are in time.
    """

    verb: ClassVar[str] = "packet-loss"
    hits: ClassVar[Hits] = "edge"
    example: ClassVar[Example] = Example(parameters={"share": 1.0})
    target: str
    """The edge, such as "relay -> store"."""
    share: RatioField
    """The share of packets, 1% to 100%."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def __post_init__(self) -> None:
        # Dropped where it leaves, the kernel tells the sender, who then need not guess.
        lost = self.stream == "upstream" or not self.target.startswith(f"{CLIENT} ")
        upstream = (
            "'upstream': packets to the harness can only be dropped where they leave, which is "
            "no loss to their sender"
        )
        require(
            ("share", 0.01 <= self.share <= 1, "1% to 100%"),
            ("stream", lost, upstream),
        )

    @property
    def datagrams(self) -> int:
        """How many are sent in each direction for the proof."""
        odds = (1 - self.share) / self.share
        return max(_LEAST_DATAGRAMS, math.ceil((_Z / _NEAR) ** 2 * odds))

    def within(self, count: int) -> float:
        """Return how far the share that is lost of `count` packets may be from what was asked."""
        return _Z * math.sqrt(self.share * (1 - self.share) / count)

    def requirements(self, runtime: str) -> Requirements:
        if runtime == "docker":
            return Requirements(mechanisms=(PACKET_FILTER,))
        return Requirements(
            impossible=f"in {runtime} all services share this host's loopback, where no packet is "
            "theirs alone; use docker, or latency, bandwidth or blackhole"
        )

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        if not isinstance(environment, Networked):
            raise EnvironmentRefused(
                f"{self.verb}: {self.requirements(environment.runtime).impossible}"
            )
        client, _, service = self.target.partition(" -> ")
        return _Losing(self, scene, environment, Edge(client=client, service=service))


class _Losing:
    """One loss of packets: proven by what arrives, by what the kernel counts, and by the clock."""

    def __init__(
        self, fault: PacketLoss, scene: EdgeScene, environment: Networked, edge: Edge
    ) -> None:
        self._fault = fault
        self._scene = scene
        self._environment = environment
        self._edge = edge
        self._front = environment.inner_proxied(edge)
        self._service = environment.network(edge.service)
        self._client = None if edge.client == CLIENT else environment.network(edge.client)
        # Chosen before the first call: one that was never answered may have done its work.
        self._chain = environment.new_chain()
        self._trouble = ""
        self.undo_text = (
            f"remove the chains {self._chain}-* of {self._edge.service} and {self._edge.client}"
        )
        self.asked: Mapping[str, Scalar] = {
            "share": self._fault.share,
            "stream": self._fault.stream,
        }

    def inject(self) -> Window:
        return timed(self._scene.clock, self._drop)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        return first_proven(self._look, checkpoint)

    def is_active(self) -> Proof:
        """The kernel has the rule of each direction yet."""
        lost = [
            stream
            for stream in streams_of(self._fault.stream)
            if not self._way(stream)[0].tallies(self._chain)
        ]
        return Proof(proven=not lost, measured={"rules_missing": ", ".join(lost) or "none"})

    def undo(self) -> Window:
        lifts = [partial(network.lift, self._chain) for network in self._networks()]
        window, self._trouble = attempted(self._scene.clock, *lifts)
        return window

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        measured = dict(undo_error(self._trouble))
        clock = self._scene.clock
        streams = streams_of(self._fault.stream)
        try:
            left = sum(network.left(self._chain) for network in self._networks())
            give_up_ns = clock.now_ns() + _NORMAL_LIMIT_NS
            while True:
                lost = sum(self._lost(stream, _DATAGRAMS_AFTER) for stream in streams)
                late = self._late(_GREETINGS_AFTER)
                if not (lost or late) or clock.now_ns() > give_up_ns:
                    break
                clock.sleep_ns(_PAUSE_NS)
        except EnvironmentRefused as error:
            return Proof(proven=False, measured={**measured, "error": str(error)})
        measured |= {
            "rules_left": left,
            "datagrams_after": len(streams) * _DATAGRAMS_AFTER,
            "datagrams_lost_after": lost,
            "late_after": late,
        }
        return Proof(proven=not (left or lost or late), measured=measured)

    def _drop(self) -> None:
        for stream in streams_of(self._fault.stream):
            network, drop, _ = self._way(stream)
            network.drop(self._chain, [drop])

    def _look(self) -> Proof:
        fault = self._fault
        measured: dict[str, Scalar] = {"datagrams": fault.datagrams}
        proven = True
        for stream in streams_of(fault.stream):
            lost = self._lost(stream, fault.datagrams) / fault.datagrams
            network, _, _ = self._way(stream)
            (tally,) = network.tallies(self._chain) or (None,)
            counted = tally.dropped / tally.met if tally and tally.met else 0.0
            proven &= abs(lost - fault.share) <= fault.within(fault.datagrams)
            # The kernel has counted what else met the rule, too: the system's own packets.
            proven &= (
                tally is not None
                and tally.met >= fault.datagrams
                and abs(counted - fault.share) <= fault.within(tally.met)
            )
            measured |= {
                f"lost_{stream}_ratio": round(lost, 4),
                f"dropped_{stream}_ratio": round(counted, 4),
                f"dropped_{stream}_packets": tally.dropped if tally else 0,
            }
        late = self._late(math.ceil(_MISSES / fault.share))
        return Proof(
            proven=proven and late,
            measured={
                **measured,
                "tolerance_ratio": round(fault.within(fault.datagrams), 4),
                "late": late,
                "late_from_ns": _LATE_NS,
            },
        )

    def _way(self, stream: Stream) -> tuple[Network, Drop, Datagrams]:
        """Return where the packets of a direction are dropped, which, and what measures that."""
        edge, port, share = self._edge, self._front.port, self._fault.share
        count = self._fault.datagrams
        if stream == "upstream":
            peer = "" if self._client is None else self._client.address
            return (
                self._service,
                Drop(peer=peer, own_port=port, share=share),
                Datagrams(sender=edge.client, receiver=edge.service, count=count, to_port=port),
            )
        assert self._client is not None, "refused when the scenario was read"
        return (
            self._client,
            Drop(peer=self._service.address, peer_port=port, share=share),
            Datagrams(sender=edge.service, receiver=edge.client, count=count, from_port=port),
        )

    def _networks(self) -> list[Network]:
        return [self._service, *([] if self._client is None else [self._client])]

    def _lost(self, stream: Stream, count: int) -> int:
        _, _, asked = self._way(stream)
        return count - self._environment.send(replace(asked, count=count))

    def _late(self, greetings: int) -> bool:
        """Greet until a greeting is late, over one connection as long as it lasts."""
        line = self._open()
        try:
            for _ in range(greetings):
                if line.opened is Seen.SILENT:
                    return True
                heard = line.ask(self._scene.dialect.greeting, _ANSWER_LIMIT_NS)
                if heard.seen is Seen.SILENT or (heard.first_ns or 0) >= _LATE_NS:
                    return True
                if heard.seen is not Seen.ANSWERED:
                    line.close()
                    line = self._open()
            return False
        finally:
            line.close()

    def _open(self) -> EdgeConnection:
        if self._client is None:
            return self._scene.edge.open(Route.PROXIED, _ANSWER_LIMIT_NS)
        return self._client.open(self._front, _ANSWER_LIMIT_NS, self._scene.dialect)
