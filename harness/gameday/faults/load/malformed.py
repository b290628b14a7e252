"""Malformed payload: requests that no client of the service would send."""

import http.client
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Endpoint, Environment, Service
from gameday.api.fault import Bears, Conflicts, Injection, Proof
from gameday.api.service_kind import speaks_http
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed, until
from gameday.http_reader import BoundedSocket
from gameday.model.clock import MINUTE, SECOND, BackgroundTask, Clock, MonotonicClock
from gameday.model.event import Scalar
from gameday.model.invalid_parameter import require
from gameday.model.result import Window
from gameday.model.scenario import CLIENT, Edge, Hits
from gameday.model.units import RatePerS

__all__ = ["MalformedPayload"]

_BODIES: Mapping[str, bytes] = {
    "cut off": b'{"run": "x", "id": ',
    "another type": b"[]",
    "fields of another type": b'{"run": 1, "id": "one", "check": null}',
    "empty": b"",
    "not UTF-8": b'{"run": "\xff\xfe", "id": 1, "check": "\x80"}',
    "nested 2000 deep": b"[" * 2000,
    "a number without end": b'{"run": "x", "id": ' + b"9" * 1000 + b', "check": "x"}',
}
_MOST_PER_S = 1000.0
_LONGEST_NS = 10 * MINUTE
_ANSWER_LIMIT_S = 2.0
_HEAD_BYTES = 64 * 1024
_PROOF_MARGIN_NS = 3 * SECOND
_JOIN_LIMIT_NS = 5 * SECOND
_TOLERANCE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedPayload:
    """A service gets, beside its load, requests with malformed bodies.

    Mechanism, both environments: a thread of the harness sends POST requests through the front
    of `client -> service`, each over a connection of its own, seven bad bodies in turn. Proof:
    each body was answered, or its connection ended, at no less than half the rate; how the
    service answered is counted, not judged: an acceptance shows in what is expected of the data.
    Undo: the thread has ended, and the service answers. It ends by itself after 10 min.
    """

    verb: ClassVar[str] = "malformed-payload"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[Bears] = speaks_http
    conflicts: ClassVar[Conflicts] = Conflicts(several=True, outlives_process=True)
    target: str
    """The service that gets them."""
    path: str = "/signals"
    rate_per_s: RatePerS = 20.0
    """At most 1000/s; a slow service gets fewer, since each waits for its answer."""

    def __post_init__(self) -> None:
        path = self.path
        fits = path.startswith("/") and path.isascii() and path.isprintable() and " " not in path
        require(
            ("path", fits, "a path such as /signals"),
            ("rate", self.rate_per_s <= _MOST_PER_S, "at most 1000/s"),
        )

    def on(self, environment: Environment) -> Injection:
        front = environment.proxied(Edge(client=CLIENT, service=self.target))
        sender = _Sender(environment.clock, front, self.path, self.rate_per_s)
        return _Sending(environment.clock, environment.service(self.target), sender, self)


class _Sender:
    """The thread that sends, and what it has seen so far."""

    def __init__(self, clock: Clock, front: Endpoint, path: str, rate_per_s: float) -> None:
        self._clock = clock
        self._front = front
        self._path = path
        self._pause_ns = round(SECOND / rate_per_s)
        self._task: BackgroundTask | None = None
        self.began_ns: int | None = None
        self.sent = 0
        self.met: Counter[str] = Counter()
        """How often each body was answered, or its connection ended."""
        self.answers: Counter[str] = Counter()
        """By the class of the status, or "ended"."""

    @property
    def running(self) -> bool:
        return self._task is not None and self._task.alive()

    def start(self) -> None:
        self.began_ns = self._clock.now_ns()
        self._task = self._clock.in_background(self._send_all(self.began_ns), "malformed")

    def stop(self) -> None:
        if self._task is not None:
            self._task.end(_JOIN_LIMIT_NS)

    def _send_all(self, due_ns: int) -> Iterator[int]:
        names = tuple(_BODIES)
        give_up_ns = due_ns + _LONGEST_NS
        while due_ns < give_up_ns:
            self._send(names[self.sent % len(names)])
            due_ns = max(due_ns + self._pause_ns, self._clock.now_ns() - SECOND)
            yield due_ns

    def _send(self, name: str) -> None:
        # A socket waits by the host's own clock.
        over_ns = MonotonicClock().now_ns() + round(_ANSWER_LIMIT_S * SECOND)
        connection = http.client.HTTPConnection(
            self._front.host, self._front.port, timeout=_ANSWER_LIMIT_S
        )
        self.sent += 1
        try:
            connection.request("POST", self._path, _BODIES[name])
            response = BoundedSocket(connection.sock, over_ns, _HEAD_BYTES).response("POST")
            response.begin()
            status = response.status
        except TimeoutError:
            self.answers["silent"] += 1
        except ConnectionRefusedError:
            # It came to nobody.
            self.answers["refused"] += 1
        except (OSError, http.client.HTTPException):
            self.met[name] += 1
            self.answers["ended"] += 1
        else:
            self.met[name] += 1
            self.answers[f"{status // 100}xx"] += 1
        finally:
            connection.close()


class _Sending:
    """One spell of malformed requests, proven by how they were answered."""

    def __init__(
        self, clock: Clock, service: Service, sender: _Sender, fault: MalformedPayload
    ) -> None:
        self._clock = clock
        self._service = service
        self._sender = sender
        self._fault = fault
        self.undo_text = f"send nothing more to {self._service.spec.name}"
        self.asked: Mapping[str, Scalar] = {
            "path": self._fault.path,
            "rate_per_s": self._fault.rate_per_s,
        }

    def inject(self) -> Window:
        return timed(self._clock, self._sender.start)

    def prove(self, checkpoint: Checkpoint) -> Proof:
        whole_ns = round(len(_BODIES) * SECOND / self._fault.rate_per_s)
        each = until(
            self._clock,
            lambda: all(self._sender.met[name] for name in _BODIES),
            2 * whole_ns + _PROOF_MARGIN_NS,
            checkpoint,
        )
        per_s = self._per_s()
        return Proof(
            proven=each and per_s >= _TOLERANCE * self._fault.rate_per_s,
            measured={"kinds_met": len(self._sender.met), "sent_per_s": per_s, **self._answers()},
        )

    def is_active(self) -> Proof:
        running = self._sender.running
        return Proof(proven=running, measured={"sending": running, "sent": self._sender.sent})

    def undo(self) -> Window:
        return timed(self._clock, self._sender.stop)

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The thread has ended, and the service answers what is well-formed."""
        answer = answers_again(self._service, checkpoint)
        return Proof(
            proven=answer.proven and not self._sender.running,
            measured={
                "sending_after": self._sender.running,
                **{f"{name}_in_all": count for name, count in self._answers().items()},
                **answer.measured,
            },
        )

    def _per_s(self) -> float:
        if self._sender.began_ns is None:
            return 0.0
        # The first is sent at once: n of them take n - 1 pauses.
        pauses = max(0, self._sender.sent - 1)
        return round(pauses * SECOND / (self._clock.now_ns() - self._sender.began_ns), 1)

    def _answers(self) -> Mapping[str, Scalar]:
        return {f"answers_{kind}": count for kind, count in sorted(self._sender.answers.items())}
