"""What operations a run makes: its load, and probes of what the faults hit."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from gameday.model.clock import SECOND
from gameday.model.plan import PlannedStream
from gameday.model.scenario import CLIENT, Edge, FaultSpec, FaultStep, Scenario, Target
from gameday.model.targeting import RequestPath, services_of
from gameday.technologies.app.publish import Publish
from gameday.technologies.app.service import App
from gameday.technologies.postgres.replica import PostgresReplica
from gameday.technologies.postgres.service import Postgres
from gameday.technologies.rabbitmq.service import RabbitMQ
from gameday.technologies.redis.service import Redis, RedisReplica

__all__ = ["met_by", "plan_streams", "request_path_of_load"]

PROBE_RATE_PER_S = 50.0
"""How often each probe asks, beside the workload."""
PROBE_DEADLINE_NS = SECOND
_WRITES: Mapping[str, str] = {
    Redis.name: "redis-write",
    Postgres.name: "postgres-write",
    RabbitMQ.name: "rabbitmq-publish",
}
"""The client that writes to each kind of store."""
_PROBES: Mapping[str, str] = {
    **_WRITES,
    RedisReplica.name: "redis-read",
    PostgresReplica.name: "postgres-read",
    App.name: "http-ready",
}


def plan_streams(scenario: Scenario, target: Target) -> tuple[PlannedStream, ...]:
    """Return the workload's stream, and probes of what the faults hit.

    The first store that the first fault hits is written to on both of its paths, so that the
    recovery can be told from what the proxy adds. What neither these nor the load come by gets a
    probe of its own.
    """
    streams = [_load(scenario), *_both_paths(scenario, target)]
    for step in scenario.faults:
        if not any(_request_path_of(s, scenario, target).meets(step.fault) for s in streams):
            streams += _probe_of(step.fault, target)
    return tuple(streams)


def met_by(
    step: FaultStep, streams: Sequence[PlannedStream], scenario: Scenario, target: Target
) -> tuple[str, ...]:
    """Return the names of the streams whose operations count as having met a fault.

    Probes, which the harness itself adds, count only where the scenario says so.
    """
    load = (
        [_load(scenario).name] if request_path_of_load(scenario, target).meets(step.fault) else []
    )
    if step.met_by == "load":
        return tuple(load)
    probes = [s for s in streams if s.client != Publish.verb]
    met = (s.name for s in probes if _request_path_of(s, scenario, target).meets(step.fault))
    return (*load, *met)


def request_path_of_load(scenario: Scenario, target: Target) -> RequestPath:
    """Return what the load reaches, as far as the target declares it."""
    return RequestPath.of_load(target, scenario.workload[0]).with_readers(target)


def _request_path_of(stream: PlannedStream, scenario: Scenario, target: Target) -> RequestPath:
    """Return what the operations of a stream come through."""
    if stream.client == Publish.verb:
        return RequestPath.of_load(target, scenario.workload[0])
    client, arrow, service = stream.edge.rpartition(" -> ")
    return RequestPath.through(
        target, [service], Edge(client=client, service=service) if arrow else None
    )


def _load(scenario: Scenario) -> PlannedStream:
    load = cast(Publish, scenario.workload[0])
    return PlannedStream(
        name=Publish.verb,
        client=Publish.verb,
        edge=str(Edge(client=CLIENT, service=load.to)),
        rate_per_s=load.rate_per_s,
        deadline_ns=load.deadline_ns,
    )


def _both_paths(scenario: Scenario, target: Target) -> Iterator[PlannedStream]:
    hit = scenario.faults[0].fault.target
    kinds = {spec.name: spec.kind for spec in target.services}
    service = next((name for name in services_of(hit) if kinds[name] in _WRITES), None)
    if service is not None:
        front = hit if "->" in hit else str(Edge(client=CLIENT, service=service))
        for name, edge in (("probe-front", front), ("probe-direct", service)):
            yield _probe(name, edge, kinds[service])


def _probe_of(fault: FaultSpec, target: Target) -> Iterator[PlannedStream]:
    """Yield a probe through the front of the edge that is hit, or of a service that meets it."""
    hit = fault.target
    kinds = {spec.name: spec.kind for spec in target.services}
    for service in services_of(hit):
        front = hit if "->" in hit else str(Edge(client=CLIENT, service=service))
        client, _, _ = front.partition(" -> ")
        first = Edge(client=client, service=service)
        if kinds[service] in _PROBES and RequestPath.through(target, [service], first).meets(fault):
            name = service if client == CLIENT else f"{client}-{service}"
            yield _probe(f"probe-{name}", front, kinds[service])
            return


def _probe(name: str, edge: str, kind: str) -> PlannedStream:
    return PlannedStream(
        name=name,
        client=_PROBES[kind],
        edge=edge,
        rate_per_s=PROBE_RATE_PER_S,
        deadline_ns=PROBE_DEADLINE_NS,
    )
