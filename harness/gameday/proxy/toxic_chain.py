"""The toxics of one proxy, in the order in which data passes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Protocol

from gameday.proxy.refusal import ApiRefusal
from gameday.proxy.toxics import Toxic, ToxicTally

__all__ = ["Draws", "NamedToxic", "Stream", "ToxicChain"]

_TALLIES_KEPT = 1000


class Stream(Enum):
    """A direction of a connection."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws of one toxic in one connection.

    They are of two streams: whether the connection meets the toxic after a change must not depend
    on how many chunks came before it, which no seed replays.
    """

    meets: Random
    within: Random


class NamedToxic:
    """A toxic of one proxy: its kind and attributes, and how many connections it meets."""

    __slots__ = ("attributes", "kind", "name", "stream", "stream_text", "tally", "toxicity")

    def __init__(
        self, *, name: str, kind: str, stream_text: str, toxicity: float, attributes: Toxic
    ) -> None:
        self.name = name
        self.kind = kind
        self.stream_text = stream_text
        self.stream = Stream(stream_text.lower())
        self.toxicity = toxicity
        self.attributes = attributes
        self.tally = ToxicTally()

    def meets(self, random: Random) -> bool:
        """Draw whether a connection meets this toxic: once for each, and anew at a change."""
        return random.random() < self.toxicity


class _Link(Protocol):
    def add(self, toxic: NamedToxic, chain: "ToxicChain") -> None: ...

    def change(self, toxic: NamedToxic, chain: "ToxicChain") -> None: ...

    def remove(self, toxic: NamedToxic, chain: "ToxicChain") -> None: ...

    def forget(self, toxic: NamedToxic) -> None: ...


class ToxicChain:
    """Every change reaches the open connections before the call returns; none can block it."""

    def __init__(self) -> None:
        self.tallies: dict[str, ToxicTally] = {}
        """What each toxic did, by name; it outlives the toxic, and goes on with its namesake."""
        self._toxics: list[NamedToxic] = []
        self._links: dict[Stream, set[_Link]] = {stream: set() for stream in Stream}

    def __iter__(self) -> Iterator[NamedToxic]:
        return iter(self._toxics)

    def listed(self) -> list[NamedToxic]:
        """The toxics as Toxiproxy lists them: the upstream ones first."""
        return [toxic for stream in Stream for toxic in self._toxics if toxic.stream is stream]

    def get(self, name: str) -> NamedToxic:
        for toxic in self._toxics:
            if toxic.name == name:
                return toxic
        raise ApiRefusal("toxic not found", 404)

    def add(self, toxic: NamedToxic) -> None:
        if any(known.name == toxic.name for known in self._toxics):
            raise ApiRefusal("toxic already exists", 409)
        self._make_room()
        toxic.tally = self.tallies.setdefault(toxic.name, toxic.tally)
        self._toxics.append(toxic)
        for link in list(self._links[toxic.stream]):
            link.add(toxic, self)

    def _make_room(self) -> None:
        """Forget what the toxic did that is gone for longest, if there are too many such."""
        there = {toxic.name for toxic in self._toxics}
        gone = [name for name in self.tallies if name not in there]
        if len(gone) >= _TALLIES_KEPT:
            del self.tallies[gone[0]]

    def changed(self, toxic: NamedToxic) -> None:
        for link in list(self._links[toxic.stream]):
            link.change(toxic, self)

    def remove(self, toxic: NamedToxic) -> None:
        self._toxics.remove(toxic)
        for link in list(self._links[toxic.stream]):
            link.remove(toxic, self)
            link.forget(toxic)

    def clear(self) -> None:
        for toxic in list(self._toxics):
            self.remove(toxic)

    def join(self, link: _Link, stream: Stream) -> None:
        """Let `link` meet every toxic of its direction, now and from now on."""
        self._links[stream].add(link)
        for toxic in list(self._toxics):
            if toxic.stream is stream:
                link.add(toxic, self)

    def part(self, link: _Link, stream: Stream) -> None:
        self._links[stream].discard(link)
