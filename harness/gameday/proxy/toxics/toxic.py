"""What a toxic is: attributes that one proxy holds, and a stage of them in each connection.

    source > stage > stage > sink

A new toxic is one file with one `Toxic` and one `Stage`, and one line in the registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from random import Random
from typing import ClassVar, Protocol

from gameday.proxy.timer import WakeTimer

__all__ = ["MILLISECOND_NS", "End", "Outlet", "Place", "Stage", "Toxic", "ToxicTally"]

MILLISECOND_NS = 1_000_000
_INT64_MAX = 2**63 - 1


class End(Enum):
    """How a stream of bytes comes to its end."""

    EOF = "the source sends no more, and still listens"
    CLOSE = "both sides close in order"
    RESET = "both sides are reset"


@dataclass(slots=True)
class ToxicTally:
    """What one toxic did so far, over all connections."""

    connections: int = 0
    """Connections that met it."""
    bytes_delayed: int = 0
    """Bytes that it let through later than they came."""
    bytes_dropped: int = 0
    """Bytes that never arrive because of it."""


class Outlet(Protocol):
    """Where a stage passes on what it lets through: the next stage, or the socket."""

    def data(self, chunk: bytes) -> None: ...

    def end(self, how: End) -> None: ...


class Place(Protocol):
    """The direction of a connection that a stage stands in."""

    @property
    def timer(self) -> WakeTimer: ...

    def balance(self) -> None:
        """Compare again what the stages hold with what they may hold."""

    def reset(self) -> None:
        """Reset the whole connection at once, overtaking what is on its way."""


class Stage:
    """Passes everything on unchanged; a toxic overrides what it changes."""

    HOLD_BYTES: ClassVar[int] = 64 * 1024
    """How much a stage holds back before its source is paused."""

    def __init__(self, place: Place, outlet: Outlet) -> None:
        self.place = place
        self.outlet = outlet
        self.held_bytes = 0
        self.tally = ToxicTally()

    def begin(self) -> None:
        """Called once, when the stage stands in its place."""

    def data(self, chunk: bytes) -> None:
        self.outlet.data(chunk)

    def end(self, how: End) -> None:
        self.outlet.end(how)

    def changed(self) -> None:
        """Called after the toxic's attributes were changed."""

    def crowded(self, is_crowded: bool) -> None:
        """Called on the leading stage when what it passes on starts or ceases to pile up."""

    def release(self) -> None:
        """Pass on at once all that is held: the toxic is being removed."""

    def drop(self) -> None:
        """Forget what is held, and every timer: the connection is gone."""


@dataclass(slots=True)
class Toxic:
    """The attributes of a toxic under their names in the API: whole numbers, none negative.

    Those in `WORDS` are one of some words.
    """

    WORDS: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            value: object = getattr(self, field.name)
            words = self.WORDS.get(field.name)
            if words is not None:
                if value not in words:
                    raise ValueError(f"{field.name} is {value!r}; known: {', '.join(words)}")
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"{field.name} is {value!r}; wanted a whole number")
            if not 0 <= value <= _INT64_MAX:
                raise ValueError(f"{field.name} is {value}; wanted 0 to {_INT64_MAX}")

    @classmethod
    def made(cls, values: Mapping[str, object]) -> "Toxic":
        """Build the toxic from values that nobody looked at; ValueError says what is wrong."""
        toxic = cls.__new__(cls)
        for field in fields(cls):
            setattr(toxic, field.name, values.get(field.name, field.default))
        toxic.__post_init__()
        return toxic

    def values(self) -> dict[str, int | str]:
        """The attributes by name, in the order of the API.

        A word that is the usual one is left out: it is none of Toxiproxy's attributes.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name for field in fields(self) if values[field.name] == field.default}
        return {
            name: v for name, v in values.items() if name not in usual or name not in self.WORDS
        }

    def follow(self, other: "Toxic") -> None:
        """Take over the attributes of `other`, which is of the same kind: stages hold on to us."""
        for field in fields(self):
            setattr(self, field.name, getattr(other, field.name))

    def stage(self, place: Place, outlet: Outlet, random: Random) -> Stage:
        """Give the stage of this toxic for one direction of one connection."""
        raise NotImplementedError
