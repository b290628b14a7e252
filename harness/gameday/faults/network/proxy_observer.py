"""What the proxy of an edge has of our own lines: it tells one direction from the other.

A question that arrives late and an answer that comes late look the same at the client. They differ
at the proxy, which takes down when something came before any toxic acts on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.api.edge import EdgeConnection, EdgeProxy, Seen
from gameday.api.environment import Endpoint, Features
from gameday.api.fault import Requirements
from gameday.api.listing import ListedConnection

__all__ = ["Passed", "ProxyObserver", "requirements_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What a line through the front has sent and heard in all, seen from its own end."""

    origin: Endpoint | None
    sent_bytes: int
    heard_bytes: int

    @classmethod
    def over(cls, line: EdgeConnection, *, sent: int, heard: int) -> "Passed":
        """Add what went over a line to what its login did."""
        return cls(
            origin=line.origin,
            sent_bytes=line.opening_sent + sent,
            heard_bytes=line.opening.received + heard,
        )

    @classmethod
    def unheard(cls, line: EdgeConnection, greeting: bytes) -> "Passed":
        """Return what a greeted line has sent that hears nothing: of a login maybe its start."""
        greeted = line.opened is Seen.ANSWERED
        return cls.over(line, sent=len(greeting) if greeted else 0, heard=0)


class ProxyObserver:
    """What an edge's proxy has of lines that are opened from now on."""

    def __init__(self, edge: EdgeProxy) -> None:
        self._edge = edge
        self._before = frozenset(one.number for one in self._listed())

    def of(self, lines: Sequence[Passed]) -> Sequence[ListedConnection] | None:
        """Return the proxy's side of the lines, in any order.

        None: something that they sent has not come to it, or which connections are ours cannot be
        told, as where a forwarder hides the addresses and others sent as much as we did.
        """
        origins = {str(line.origin) for line in lines}
        sent = {line.sent_bytes for line in lines}
        ours = [
            one
            for one in self._listed()
            if one.number not in self._before
            and one.upstream.bytes in sent
            and (self._edge.forwarded or one.client in origins)
        ]
        return ours if lines and len(ours) == len(lines) else None

    def answered(self, lines: Sequence[Passed]) -> bool | None:
        """Tell whether more has come from the service than the lines have heard.

        None: for some lines only, or it cannot be told.
        """
        heard = max((line.heard_bytes for line in lines), default=0)
        came = {one.downstream.bytes > heard for one in self.of(lines) or ()}
        return came.pop() if len(came) == 1 else None

    def _listed(self) -> Sequence[ListedConnection]:
        return self._edge.connections() or ()


def requirements_of(stream: str) -> Requirements:
    """Return what a fault on `stream` needs: only a proxy that lists shows a single direction."""
    return Requirements(features=Features(own_proxy=stream != "both"))
