"""Latency: an edge answers later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from gameday.api.environment import Checkpoint, Environment, Features
from gameday.api.fault import Example, Injection, Proof, Requirements
from gameday.faults.network.distribution import Distribution, Drawn
from gameday.faults.network.measuring import (
    ANSWER_LIMIT_NS,
    Added,
    added,
    close_enough,
    in_direction,
    times_added,
    tolerance_ns,
)
from gameday.faults.network.proxy_observer import requirements_of
from gameday.faults.recipes.edge import EdgeInjection, EdgeScene, scene_of
from gameday.faults.recipes.edge_settings import Toxics, streams_of
from gameday.model.clock import MILLISECOND, SECOND
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.scenario import Hits
from gameday.model.units import DurationNs, format_duration

__all__ = ["Latency"]

_LEAST_NS = 10 * MILLISECOND
_MOST_NS = 10 * SECOND
_LEAST_JITTER_NS = 5 * MILLISECOND
_LEAST_SHAPED_NS = 20 * MILLISECOND
_MOST_SHAPED_NS = 250 * MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Data on a connection arrives later, in order; nothing is lost.

    Mechanism, both environments: a `latency` toxic in each direction asked for, each with the
    whole delay. A new connection itself is opened without delay: the proxy accepts it.
    Proof: the median of nine greetings through the front, less that of nine on the direct way,
    is the sum over the directions within 10 % or 5 ms. With a jitter, 100 greetings (40 above
    1 s, 400 for a distribution that Toxiproxy has not) are compared with the quantiles of what
    is drawn instead, and the earliest has to be earlier than the delay, except for pareto. With
    one direction asked for, gameday's own proxy times the service for each of nine greetings: by
    that all but 10 % or 5 ms is added before the service answers (upstream), or after (downstream).
    Undo: the toxics are removed, and the median of nine is below half of what was asked for.
    """

    verb: ClassVar[str] = "latency"
    hits: ClassVar[Hits] = "edge"
    example: ClassVar[Example] = Example(
        parameters={"delay_ns": 3 * _LEAST_SHAPED_NS, "jitter_ns": _LEAST_SHAPED_NS},
        decisive=("distribution", "stream"),
    )
    target: str
    """The edge, such as "relay -> store"."""
    delay_ns: DurationNs
    """For each direction; whole milliseconds, 10ms to 10s."""
    jitter_ns: DurationNs = 0
    """For each chunk of data; 5ms up to the delay. Its meaning depends on the distribution."""
    distribution: Distribution = "uniform"
    """uniform: so much to either side; normal: a standard deviation, at most a third of the
    delay; pareto: never earlier than the delay, so much later on the average, with a long tail.
    The last two want a delay up to 250ms, a jitter from 20ms, and gameday's own proxy."""
    stream: Literal["both", "upstream", "downstream"] = "both"

    def __post_init__(self) -> None:
        require(
            ("delay", _LEAST_NS <= self.delay_ns <= _MOST_NS, "10ms to 10s: others are not proven"),
            ("delay", not self.delay_ns % MILLISECOND, "whole milliseconds"),
            ("jitter", not self.jitter_ns % MILLISECOND, "whole milliseconds"),
            ("jitter", not 0 < self.jitter_ns < _LEAST_JITTER_NS, "5ms or more: a host has less"),
            ("jitter", self.jitter_ns <= self.delay_ns, "at most the delay: it is cut off at zero"),
        )
        if self.distribution != "uniform":
            self._refuse_what_has_no_shape()

    def _refuse_what_has_no_shape(self) -> None:
        most, least = format_duration(_MOST_SHAPED_NS), format_duration(_LEAST_SHAPED_NS)
        measured = f"to measure distribution {self.distribution}"
        fits = self.distribution != "normal" or self.jitter_ns * 3 <= self.delay_ns
        require(
            ("delay", self.delay_ns <= _MOST_SHAPED_NS, f"at most {most} {measured}"),
            ("jitter", self.jitter_ns >= _LEAST_SHAPED_NS, f"at least {least} {measured}"),
            ("jitter", fits, "at most a third of the delay: it is a standard deviation"),
        )

    @property
    def total_ns(self) -> int:
        """What one exchange takes longer, there and back."""
        return self.delay_ns * len(streams_of(self.stream))

    def requirements(self, runtime: str) -> Requirements:
        shaped = Features(own_proxy=self.distribution != "uniform")
        return Requirements(features=shaped | requirements_of(self.stream).features)

    def on(self, environment: Environment) -> Injection:
        scene = scene_of(environment, self.target, self.verb)
        attributes: dict[str, int | str] = {
            "latency": self.delay_ns // MILLISECOND,
            "jitter": self.jitter_ns // MILLISECOND,
        }
        shaped = self.distribution != "uniform"
        if shaped:
            attributes["distribution"] = self.distribution
        return EdgeInjection(
            scene,
            Toxics(scene.edge, "latency", streams_of(self.stream), attributes),
            asked=self._asked(),
            effect=self._drawn_effect if self.jitter_ns else self._effect,
            normal=self._normal,
        )

    def _asked(self) -> Mapping[str, Scalar]:
        return {
            "delay_ns": self.delay_ns,
            "jitter_ns": self.jitter_ns,
            "distribution": self.distribution,
            "stream": self.stream,
            "total_ns": self.total_ns,
        }

    def _effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        seen = added(scene, self.total_ns, checkpoint, apart=self.stream != "both")
        size = Proof(
            proven=close_enough(seen.ns, self.total_ns),
            measured={**seen.as_evidence(), "tolerance_ns": tolerance_ns(self.total_ns)},
        )
        return self._in_direction(size, seen)

    def _drawn_effect(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        drawn = Drawn(
            distribution=self.distribution,
            delay_ns=self.delay_ns,
            jitter_ns=self.jitter_ns,
            directions=len(streams_of(self.stream)),
        )
        times_ns = times_added(
            scene,
            drawn.samples,
            usual_ns=self.total_ns,
            limit_ns=2 * max(drawn.quantiles().values()) + ANSWER_LIMIT_NS,
            checkpoint=checkpoint,
        )
        fits, measured = drawn.compare(times_ns)
        size = Proof(
            proven=fits,
            measured={
                **measured,
                "samples": len(times_ns),
                "earlier_tolerance_ns": drawn.earlier_ns,
                "later_tolerance_ns": drawn.later_ns,
            },
        )
        if self.stream == "both" or not fits:
            return size
        return self._in_direction(size, added(scene, self.total_ns, checkpoint, apart=True))

    def _in_direction(self, size: Proof, seen: Added) -> Proof:
        if self.stream == "both":
            return size
        return in_direction(size, seen, self.stream, self.delay_ns)

    def _normal(self, scene: EdgeScene, checkpoint: Checkpoint) -> Proof:
        seen = added(scene, 0, checkpoint)
        return Proof(
            proven=seen.ns is not None and seen.ns < self.total_ns // 2,
            measured={"added_after_ns": seen.ns},
        )
