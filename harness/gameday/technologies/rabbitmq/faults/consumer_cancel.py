"""Consumer-cancel: the broker takes their queue away from all of its consumers, for a moment."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

from gameday.api.environment import Checkpoint, Environment, NotReadyError
from gameday.api.fault import Conflicts, Injection, Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.faults.timing import timed, until
from gameday.model.clock import MICROSECOND, SECOND, Clock
from gameday.model.event import Scalar
from gameday.model.result import Window
from gameday.model.scenario import Hits
from gameday.technologies.rabbitmq.broker import (
    ANSWER_LIMIT_NS,
    KIND,
    Broker,
    BrokerConnection,
    broker_of,
    erlang_text,
)

__all__ = ["ConsumerCancel"]

_BACK_LIMIT_NS = 10 * SECOND
_RUNS = ("running", "idle", "flow")

# What the queue is, without what it holds: its hash, and how many bindings it has.
_SHAPE = """
{ok, Q} = rabbit_amqqueue:lookup(Name),
[{state, State} | What] =
  rabbit_amqqueue:info(Q, [state, type, durable, auto_delete, arguments, owner_pid, policy]),
Bindings = lists:sort(rabbit_binding:list_for_destination(Name)),
{gameday, State, erlang:phash2({What, Bindings}, 4294967296), length(Bindings)}.
"""

# A channel whose queue is gone consumes from it once more, and cancels its consumer only if that
# fails: a queue whose process was just killed is not missed by anybody. So the queue's supervisor
# is held until all channels have looked; a guard lets it go even if nobody is left to do so.
# Meanwhile the broker reads from no connection. Who consumes again at once would be told that there
# is no such queue, and what is published would be lost. A process that is suspended goes on by
# itself when the one that suspended it is gone.
_CANCEL = """
{ok, Q} = rabbit_amqqueue:lookup(Name),
Pid = amqqueue:get_pid(Q),
true = is_pid(Pid),
{dictionary, Words} = process_info(Pid, dictionary),
[Supervisor | _] = proplists:get_value('$ancestors', Words),
spawn(fun() -> timer:sleep(5000), catch sys:resume(Supervisor) end),
Began = erlang:monotonic_time(microsecond),
Readers = [R || R <- rabbit_networking:connections(), node(R) =:= node()],
[catch erlang:suspend_process(R) || R <- Readers],
Consuming = fun(Cs) -> lists:sum([case catch rabbit_channel:info(C, [consumer_count]) of
  [{_, K}] -> K; _ -> 0 end || C <- Cs]) end,
Consuming(rabbit_channel:list_local()),
Told = rabbit_amqqueue:consumers(Q),
[{messages, Held}] = rabbit_amqqueue:info(Q, [messages]),
Channels = lists:usort([element(1, C) || C <- Told]),
Wanted = Consuming(Channels) - length(Told),
Watch = monitor(process, Pid),
ok = sys:suspend(Supervisor),
exit(Pid, gameday),
receive {'DOWN', Watch, _, _, _} -> ok after 2000 -> ok end,
Noticed = fun F(0) -> ok;
  F(N) -> case Consuming(Channels) =< Wanted of
    true -> ok; false -> timer:sleep(2), F(N - 1) end end,
Noticed(500),
ok = sys:resume(Supervisor),
Back = fun F(0) -> {-1, -1};
  F(N) -> {ok, New} = rabbit_amqqueue:lookup(Name),
    case amqqueue:get_state(New) =:= live andalso amqqueue:get_pid(New) =/= Pid of
      true -> Left = length(rabbit_amqqueue:consumers(New)),
        [{messages, Kept}] = rabbit_amqqueue:info(New, [messages]), {Left, Kept};
      false -> timer:sleep(2), F(N - 1) end end,
{Left, Kept} = Back(1000),
[catch erlang:resume_process(R) || R <- Readers],
{gameday, length(Told), Left, Held, Kept, erlang:monotonic_time(microsecond) - Began}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerCancel:
    """The broker cancels every consumer of a classic queue (basic.cancel); the queue comes back.

    Mechanism: the queue's process is ended in the broker and started again some milliseconds
    later, when every channel has noticed; until then the broker reads from nobody. The queue keeps
    its name, arguments and bindings and, if it is durable, its persistent messages; the others are
    lost. Who consumes again is served: `for` says only when the harness looks for that. Proven when
    there was a consumer, none was left right afterwards, and a consumer of the harness's own, who
    is never given a message, got basic.cancel.
    """

    verb: ClassVar[str] = "consumer-cancel"
    hits: ClassVar[Hits] = "service"
    kinds: ClassVar[frozenset[str]] = frozenset({KIND})
    conflicts: ClassVar[Conflicts] = Conflicts(several=True)
    target: str
    """The broker."""
    queue: str
    """The queue's name. On quorum queues and streams the fault is not proven."""
    vhost: str = "/"
    """Its virtual host."""

    def on(self, environment: Environment) -> Injection:
        broker = broker_of(environment, self.target, self.verb)
        return _Cancelling(environment.clock, broker, self)


class _Cancelling:
    """One cancelling: proven by who is told, undone when the queue is what it was."""

    def __init__(self, clock: Clock, broker: Broker, fault: ConsumerCancel) -> None:
        self._clock = clock
        self._broker = broker
        self._fault = fault
        self._name = f"rabbit_misc:r({erlang_text(fault.vhost)}, queue, {erlang_text(fault.queue)})"
        self._before: tuple[str, ...] | None = None
        self._witness: BrokerConnection | None = None
        self._measured: dict[str, Scalar] = {}
        self.undo_text = f"nothing: the broker starts {self._fault.queue} again within 5 s"
        self.asked: Mapping[str, Scalar] = {"queue": self._fault.queue, "vhost": self._fault.vhost}

    def inject(self) -> Window:
        called_ns = self._clock.now_ns()
        try:
            self._watch()
            if self._witness is not None:
                self._before = self._shape()[1:]
                called_ns = self._clock.now_ns()
                self._cancel()
        except (NotReadyError, EnvironmentRefused) as error:
            # No such queue, or none of that kind; if something was done, the undoing is proven.
            self._measured["error"] = str(error)
        return Window(start_ns=called_ns, end_ns=self._clock.now_ns())

    def prove(self, checkpoint: Checkpoint) -> Proof:
        checkpoint()
        if self._witness is None or "error" in self._measured:
            return Proof(proven=False, measured=self._measured)
        try:
            cancelled = self._witness.cancelled(ANSWER_LIMIT_NS)
        except NotReadyError as error:
            return Proof(proven=False, measured={**self._measured, "error": str(error)})
        return Proof(
            proven=cancelled and self._measured["consumers_after"] == 0,
            measured={**self._measured, "own_consumer_cancelled": cancelled},
        )

    def undo(self) -> Window:
        return timed(self._clock, *(() if self._witness is None else (self._witness.close,)))

    def prove_healed(self, checkpoint: Checkpoint) -> Proof:
        """The queue runs, is what it was in all but its messages, and answers over AMQP."""
        answer = answers_again(self._broker.service, checkpoint)
        if not answer.proven or self._before is None:
            return answer
        state, *shape = "", "", ""

        def runs() -> bool:
            nonlocal state, shape
            state, *shape = self._shape()
            return state in _RUNS

        try:
            until(self._clock, runs, _BACK_LIMIT_NS, checkpoint)
            with closing(self._broker.open(self._fault.vhost)) as line:
                depth = line.depth(self._fault.queue)
        except (NotReadyError, EnvironmentRefused) as error:
            return Proof(proven=False, measured={**answer.measured, "error": str(error)})
        return Proof(
            proven=state in _RUNS and tuple(shape) == self._before,
            measured={
                **answer.measured,
                "queue_state": state,
                "same_queue": tuple(shape) == self._before,
                "bindings": int(shape[1]),
                "consumers_later": depth.consumers,
            },
        )

    def _watch(self) -> None:
        """Consume from the queue, if others do: our own consumer is none that could be missed."""
        line = self._broker.open(self._fault.vhost)
        self._measured["consumers_before"] = line.depth(self._fault.queue).consumers
        if self._measured["consumers_before"] == 0:
            line.close()
            return
        line.watch(self._fault.queue)
        self._witness = line

    def _shape(self) -> tuple[str, ...]:
        state, shape, bindings = self._broker.evaluate(f"Name = {self._name}, {_SHAPE}").split(",")
        return state, shape, bindings

    def _cancel(self) -> None:
        told = self._broker.evaluate(f"Name = {self._name}, {_CANCEL}").split(",")
        consumers, left, held, kept, microseconds = map(int, told)
        self._measured |= {
            "consumers_before": consumers - 1,  # without our own
            "consumers_after": left,
            "messages_before": held,
            "messages_after": kept,
            "gone_ns": microseconds * MICROSECOND,
        }
