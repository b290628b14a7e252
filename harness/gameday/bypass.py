"""The bypass detector: whether the traffic that a fault was to meet went around it."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from gameday.environment.abilities.traffic import Metered, Traced, Traffic
from gameday.environment.protocol import Environment
from gameday.errors import EnvironmentRefused
from gameday.model.history import History
from gameday.model.operation import Outcome
from gameday.model.scenario import CLIENT, Edge, Target
from gameday.workload.load import StreamPlan
from gameday.workload.publish import publish_request

__all__ = ["BypassDetector"]


class BypassDetector:
    """Compares what clients did with what passed the proxies, once before and once after."""

    def __init__(self, environment: Environment, target: Target, hit: Collection[str]) -> None:
        """`hit` is what the faults hit, edges and services."""
        self._environment = environment
        self._edges = {str(edge): edge for edge in target.edges}
        self._hit = [edge for name, edge in self._edges.items() if name in hit]
        self._around: list[str] = []
        self._traffic: Mapping[Edge, Traffic] = {}

    def look_at_connections(self) -> None:
        """Note, while the load runs, which clients of the edges speak to the service directly."""
        if not isinstance(self._environment, Traced):
            return
        for edge in self._hit:
            if edge.client == CLIENT:
                continue  # What the harness's own client did is counted afterwards.
            paths = self._environment.paths(edge)
            if paths is not None and paths.around:
                self._around.append(
                    f"{paths.around} of {paths.around + paths.through} connections of "
                    f"{edge.client} went to {edge.service} directly, past the proxy of {edge}"
                )

    def read_counters(self) -> None:
        """Read what passed every proxy. Nothing can be measured through them afterwards."""
        if isinstance(self._environment, Metered):
            try:
                self._traffic = self._environment.traffic()
            except EnvironmentRefused as error:
                self._around.append(f"what passed the proxies is not known: {error}")

    def sentences(
        self, history: History, streams: Mapping[str, StreamPlan], run: str
    ) -> tuple[str, ...]:
        """Return what went around a proxy; `streams` has the load by the edge it goes through."""
        return (*self._around, *self._silent(), *self._unseen(history, streams, run))

    def _silent(self) -> Iterator[str]:
        for edge in self._hit:
            traffic = self._traffic.get(edge)
            if traffic is not None and not traffic.upstream_bytes:
                yield f"nothing of what {edge.client} sent passed the proxy of {edge}"

    def _unseen(
        self, history: History, streams: Mapping[str, StreamPlan], run: str
    ) -> Iterator[str]:
        """Yield the streams of which more was acknowledged than can have passed the proxy."""
        for name, stream in streams.items():
            traffic = self._traffic.get(self._edges[name]) if name in self._edges else None
            if traffic is None:
                continue
            served = int(np.count_nonzero(history.of(stream.name)["outcome"] == Outcome.OK))
            least = served * _least_bytes(stream, run)
            if least > traffic.upstream_bytes:
                yield (
                    f"{served} operations of {stream.name} were acknowledged, which takes at least "
                    f"{least} bytes, and {traffic.upstream_bytes} passed the proxy of {name}"
                )


def _least_bytes(stream: StreamPlan, run: str) -> int:
    """Return what the shortest request of a stream takes."""
    if stream.client == "publish":
        return len(publish_request(run, stream.host, stream.port)(1))
    return 1
