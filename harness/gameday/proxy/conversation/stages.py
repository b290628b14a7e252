"""One connection's requests and responses, and the rules at work on them.

What no rule meets passes as the bytes that came. What is no HTTP/1.x passes too, and is counted.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from random import Random

from gameday.proxy.conversation.answers import BODILESS, rule_answer, with_body
from gameday.proxy.conversation.messages import (
    REQUEST,
    RESPONSE,
    BodySize,
    Head,
    MessageEnd,
    Messages,
    NotHttp,
    Unsized,
)
from gameday.proxy.conversation.rules import Action, Rule, RuleBook
from gameday.proxy.timer import Entry
from gameday.proxy.toxics import End, Outlet, Place, Stage

__all__ = ["Conversation"]

_MILLISECOND_NS = 1_000_000
_AHEAD = 1000
"""So many requests may wait for their answers before a rule is to answer one more."""


@dataclass(slots=True)
class _Exchange:
    """A request that waits for its answer."""

    method: str
    rule: Rule | None
    last: bool
    """The client wants no further answer on this connection."""
    complete: bool = False

    @property
    def is_ours(self) -> bool:
        return self.rule is not None and self.rule.answers


class _Hold(Enum):
    """Why no request is read for now."""

    DELAY = "a rule delays one"
    SWITCH = "the upstream decides whether HTTP goes on"
    ANSWERS = "the client has to read answers of rules first"


class Conversation:
    """Pairs the requests of one connection with what answers each, in their order."""

    def __init__(self, book: RuleBook, draws: Callable[[Rule], Random]) -> None:
        self.book = book
        self.pending: deque[_Exchange] = deque()
        self.raw = False
        """Whether requests are not understood any more."""
        self.requests: _Requests | None = None
        self.responses: _Responses | None = None
        self._new_draws = draws
        self._draws: dict[Rule, Random] = {}

    def request_stage(self, place: Place, outlet: Outlet) -> Stage:
        """Give the stage that every byte from the client passes first."""
        self.requests = _Requests(self, place, outlet)
        self.book.join(self)
        return self.requests

    def response_stage(self, place: Place, outlet: Outlet) -> Stage:
        """Give the stage that every byte from the upstream passes first."""
        self.responses = _Responses(self, place, outlet)
        return self.responses

    def rule_removed(self, rule: Rule) -> None:
        self._draws.pop(rule, None)
        if self.requests is not None:
            self.requests.let_go(rule)

    def decide(self, head: Head) -> Rule | None:
        """Give the rule that meets the request, if one does."""
        method, target, _version = head.words
        return self.book.pick(method, target, self._draws_of)

    def answer_ours(self) -> None:
        """Answer what rules answer, up to the first request that somebody else still has to."""
        if self.responses is not None:
            self.responses.answer_ours()

    @property
    def is_behind(self) -> bool:
        """Whether answers of rules would pile up if more requests were read."""
        crowded = self.responses is not None and self.responses.is_crowded
        return crowded or len(self.pending) > _AHEAD

    def answered(self) -> None:
        """Read on if it was answers that the requests waited for."""
        if self.requests is not None and not self.is_behind:
            self.requests.answers_left()

    def switched(self, *, to_bytes: bool) -> None:
        """Take the upstream's word on what follows the request that asked to leave HTTP."""
        self.raw = self.raw or to_bytes
        if self.requests is not None:
            self.requests.switch_decided()

    def _draws_of(self, rule: Rule) -> Random:
        random = self._draws.get(rule)
        if random is None:
            random = self._draws[rule] = self._new_draws(rule)
        return random


class _Requests(Stage):
    def __init__(self, conversation: Conversation, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._conversation = conversation
        self._messages = Messages(REQUEST)
        self._out = bytearray()
        self._swallowed: _Exchange | None = None
        self._switching = False
        self._dropped = False
        self._hold: _Hold | None = None
        self._held_by: Rule | None = None
        self._entry: Entry | None = None
        self._ended: End | None = None

    def data(self, chunk: bytes) -> None:
        self._messages.feed(chunk)
        self._pump()

    def end(self, how: End) -> None:
        if how is End.EOF and self._hold is not None:
            self._ended = how
            return
        if how is End.EOF and self._swallowed is None:
            self._out += self._messages.rest()
            self._flush()
        self.outlet.end(how)

    def drop(self) -> None:
        self._dropped = True
        self.place.timer.cancel(self._entry)
        self._entry = None
        self._conversation.book.part(self._conversation)
        self._out.clear()

    def let_go(self, rule: Rule) -> None:
        """Send on what `rule` holds back."""
        if self._hold is _Hold.DELAY and self._held_by is rule:
            self.place.timer.cancel(self._entry)
            self._go_on()

    def switch_decided(self) -> None:
        """Read on: the upstream has said whether HTTP goes on."""
        if self._hold is _Hold.SWITCH:
            self._go_on()

    def answers_left(self) -> None:
        """Read on: the client has read the answers of rules."""
        if self._hold is _Hold.ANSWERS:
            self._go_on()

    def _go_on(self) -> None:
        self._entry = None
        self._held_by = None
        self._hold = None
        self._pump()
        ended, self._ended = self._ended, None
        if ended is not None:
            self.end(ended)
        self.place.balance()

    def _pump(self) -> None:
        while self._hold is None and not self._conversation.raw:
            try:
                part = self._messages.next()
                if part is None:
                    break
                self._take(part)
            except NotHttp:
                self._conversation.raw = True
                self._conversation.book.not_http += 1
        if self._hold is not _Hold.DELAY:
            if self._hold is None and self._conversation.raw:
                self._out += self._messages.rest()
            self._flush()
        self.held_bytes = len(self._out) + self._messages.waiting_bytes

    def _take(self, part: Head | bytes | MessageEnd) -> None:
        if isinstance(part, Head):
            self._begin(part)
        elif isinstance(part, bytes):
            if self._swallowed is None:
                self._out += part
        elif self._swallowed is not None:
            self._swallowed.complete = True
            self._swallowed = None
            self._conversation.answer_ours()
            if self._conversation.is_behind:
                self._hold = _Hold.ANSWERS
        elif self._switching:
            self._switching = False
            self._hold = _Hold.SWITCH

    def _begin(self, head: Head) -> None:
        size = head.body_size(0)
        if size is Unsized.TO_END:
            # A request whose end only its sender knows.
            self._out += head.raw
            raise NotHttp
        rule = self._conversation.decide(head)
        method, _target, version = head.words
        last = head.has("connection", "close") or (
            version == "HTTP/1.0" and not head.has("connection", "keep-alive")
        )
        exchange = _Exchange(method, rule, last)
        self._conversation.pending.append(exchange)
        self._messages.body_is(size)
        if rule is not None and rule.answers:
            self._swallowed = exchange
            if head.has("expect", "100-continue") or rule.action is Action.ABORT:
                # The body may never come.
                exchange.complete = exchange.last = True
                self._conversation.answer_ours()
            return
        self._switching = method == "CONNECT" or "upgrade" in head.headers
        if rule is not None and rule.action is Action.DELAY:
            self._flush()
            self._delay(rule)
        self._out += head.raw

    def _delay(self, rule: Rule) -> None:
        timer = self.place.timer
        self._hold = _Hold.DELAY
        self._held_by = rule
        self._entry = timer.at(timer.now_ns() + rule.delay_ms * _MILLISECOND_NS, self._go_on)

    def _flush(self) -> None:
        if self._out and not self._dropped:
            out = bytes(self._out)
            self._out.clear()
            self.outlet.data(out)


class _Responses(Stage):
    def __init__(self, conversation: Conversation, place: Place, outlet: Outlet) -> None:
        super().__init__(place, outlet)
        self._conversation = conversation
        self._messages = Messages(RESPONSE)
        self._out = bytearray()
        self._raw = False
        self._interim = False
        self._replacing = False
        self._over = False
        self._ended = False
        self.is_crowded = False
        """Whether what the client is sent piles up because it does not read."""

    def data(self, chunk: bytes) -> None:
        self._messages.feed(chunk)
        self._pump()

    def crowded(self, is_crowded: bool) -> None:
        self.is_crowded = is_crowded
        if is_crowded:
            return
        self.answer_ours()
        self._pump()
        if self._ended and not self._waits:
            self._ended = False
            self.end(End.EOF)
        self._conversation.answered()

    @property
    def _waits(self) -> bool:
        """Whether the next answer is one of ours, and the client has to read others first."""
        pending = self._conversation.pending
        return self.is_crowded and bool(pending) and pending[0].is_ours and pending[0].complete

    def _pump(self) -> None:
        while not self._raw and not self._waits:
            if self._conversation.raw and not self._conversation.pending:
                self._raw = True
                break
            try:
                part = self._messages.next()
                if part is None:
                    break
                self._take(part)
            except NotHttp:
                self._leave_http()
                self._conversation.book.not_http += 1
        if self._raw:
            self._out += self._messages.rest()
        self._flush()
        self.held_bytes = self._messages.waiting_bytes

    def end(self, how: End) -> None:
        if how is End.EOF and self._waits:
            self._ended = True
            return
        if not self._replacing:
            self._out += self._messages.rest()
        self._flush()
        self.outlet.end(how)

    def drop(self) -> None:
        self._over = True

    def answer_ours(self) -> None:
        pending = self._conversation.pending
        while not self._over and pending and pending[0].is_ours and pending[0].complete:
            if self.is_crowded:
                return
            exchange = pending.popleft()
            rule = exchange.rule
            assert rule is not None
            self._flush()
            if rule.action is Action.ABORT:
                self.place.reset()
                return
            self.outlet.data(rule_answer(rule, exchange.method, last=exchange.last))
            self.place.balance()
            if exchange.last:
                self._over = True
                self.outlet.end(End.CLOSE)

    def _take(self, part: Head | bytes | MessageEnd) -> None:
        if isinstance(part, Head):
            self._begin(part)
        elif isinstance(part, bytes):
            if not self._replacing:
                self._out += part
        elif self._interim:
            self._interim = False
        else:
            self._replacing = False
            if self._conversation.pending:
                self._conversation.pending.popleft()
            self.answer_ours()
            self._conversation.answered()

    def _begin(self, head: Head) -> None:
        pending = self._conversation.pending
        exchange = pending[0] if pending and not pending[0].is_ours else None
        status = int(head.words[1])
        method = "" if exchange is None else exchange.method
        leaves = status == HTTPStatus.SWITCHING_PROTOCOLS or (
            method == "CONNECT" and 200 <= status < 300
        )
        if leaves:
            self._out += head.raw
            self._leave_http()
            return
        self._interim = 100 <= status < 200
        bodiless = self._interim or status in BODILESS or method == "HEAD"
        size: BodySize = 0 if bodiless else head.body_size(Unsized.TO_END)
        self._messages.body_is(size)
        rule = None if exchange is None else exchange.rule
        if rule is not None and rule.action is Action.BODY and not bodiless:
            self._replacing = True
            self._out += with_body(head, rule)
        else:
            self._out += head.raw
        if not self._interim:
            self._conversation.switched(to_bytes=False)

    def _leave_http(self) -> None:
        self._raw = True
        self._conversation.pending.clear()
        self._conversation.switched(to_bytes=True)

    def _flush(self) -> None:
        if self._out and not self._over:
            out = bytes(self._out)
            self._out.clear()
            self.outlet.data(out)
