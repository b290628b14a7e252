"""What a receiver wrote down is read as it is: foreign, impossible or of a surge."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from gameday.api.workload import surge_of
from gameday.http_reader import HttpReader, HttpReply, NoReply
from gameday.model.clock import MILLISECOND, SECOND
from gameday.technologies.app.ledger import RecordLedger
from gameday.technologies.app.publish import checksum
from gameday.technologies.app.status import read_status
from gameday.testing.clocks import ManualClock

Entry = tuple[int, str, int]


class Receiver(HttpReader):
    """A service in memory that gives its record by pages of two, or what it is told to say."""

    def __init__(self, record: list[Entry], clock: ManualClock) -> None:
        self.record = record
        self.clock = clock
        self.asked = 0
        self.says: Callable[[], HttpReply] | None = None

    def get(self, path: str, *, limit_ns: int, most_bytes: int = 0) -> HttpReply:
        self.asked += 1
        if self.says is not None:
            return self.says()
        after = int(path.partition("after=")[2])
        page = {"entries": self.record[after:][:2], "total": len(self.record)}
        return HttpReply(status=200, body=json.dumps(page).encode())

    def hang(self, for_ns: int) -> None:
        def silent() -> HttpReply:
            self.clock.sleep_ns(for_ns)
            raise NoReply(f"no whole answer within {for_ns} ns")

        self.says = silent

    def say(self, body: object, status: int = 200) -> None:
        self.says = lambda: HttpReply(status=status, body=json.dumps(body).encode())

    def close(self) -> None:
        """Hold nothing open."""


@pytest.fixture
def record() -> list[Entry]:
    return [(1, checksum("r", 1), 10), (2, checksum("r", 2), 20)]


@pytest.fixture
def receiver(record: list[Entry]) -> Receiver:
    return Receiver(record, ManualClock())


@pytest.fixture
def ledger(receiver: Receiver) -> RecordLedger:
    return RecordLedger(receiver, "r", receiver.clock)


def test_pages_follow_each_other(ledger: RecordLedger, record: list[Entry]) -> None:
    record += [(3, checksum("r", 3), 30), (1, "another", 40)]
    deliveries = ledger.final_read()
    assert deliveries.value.tolist() == [1, 2, 3, 1]
    assert deliveries.received_ns.tolist() == [10, 20, 30, 40]
    assert deliveries.intact.tolist() == [True, True, True, False]


def test_the_signals_of_a_surge_are_left_out_and_counted_as_read(
    ledger: RecordLedger, record: list[Entry]
) -> None:
    surge = surge_of("r")
    record[1:1] = [(number, checksum(surge, number), 11) for number in range(1, 6)]
    assert ledger.final_read().value.tolist() == [1, 2]


@pytest.mark.parametrize("impossible", [10**1000, -1])
def test_a_number_that_no_signal_has_is_kept_as_a_broken_one(
    ledger: RecordLedger, record: list[Entry], impossible: int
) -> None:
    record.append((impossible, "x", 30))
    deliveries = ledger.final_read()
    assert deliveries.value.dtype == np.uint32
    assert deliveries.intact.tolist() == [True, True, False]


def test_a_time_that_no_clock_shows_is_kept(ledger: RecordLedger, record: list[Entry]) -> None:
    record.append((3, checksum("r", 3), 10**30))
    assert ledger.final_read().received_ns[-1] > 10**18


def test_a_poll_reads_only_what_is_new(ledger: RecordLedger, receiver: Receiver) -> None:
    ledger.poll()
    receiver.record.append((3, checksum("r", 3), 30))
    ledger.poll()
    assert ledger.seen().value.tolist() == [1, 2, 3]
    assert receiver.asked == 2


def test_a_receiver_that_keeps_a_poll_waiting_is_left_alone_for_a_while(
    ledger: RecordLedger, receiver: Receiver
) -> None:
    receiver.hang(250 * MILLISECOND)
    for _ in range(20):
        ledger.poll()
        receiver.clock.sleep_ns(200 * MILLISECOND)
    assert receiver.asked == 4, "each of them takes a quarter of a second, and a pause follows"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"entries": {}, "total": 3},
        {"entries": [1], "total": 3},
        {"entries": [[None, "x", 1]], "total": 3},
        {"entries": [], "total": None},
    ],
)
def test_a_page_that_is_no_page_is_kept_out_whole(
    ledger: RecordLedger, receiver: Receiver, body: object
) -> None:
    ledger.poll()
    receiver.say(body)
    ledger.poll()
    assert ledger.seen().value.tolist() == [1, 2]
    with pytest.raises(NoReply, match="GET /record"):
        ledger.final_read()


def test_a_record_that_stops_before_its_end_is_not_taken_for_whole(
    ledger: RecordLedger, receiver: Receiver
) -> None:
    receiver.say({"entries": [], "total": 3})
    with pytest.raises(NoReply, match="0 entries and says that there are more"):
        ledger.final_read()
    assert receiver.asked == 1


def test_a_final_read_ends_although_every_page_is_slow(
    ledger: RecordLedger, receiver: Receiver
) -> None:
    began_ns = receiver.clock.now_ns()

    def slow() -> HttpReply:
        receiver.clock.sleep_ns(4 * SECOND)
        entry = [1, checksum("r", 1), 10]
        return HttpReply(status=200, body=json.dumps({"entries": [entry], "total": 10**9}).encode())

    receiver.says = slow
    with pytest.raises(NoReply, match="within 60 s"):
        ledger.final_read()
    assert receiver.clock.now_ns() - began_ns < 70 * SECOND


@pytest.mark.parametrize("status", [302, 404, 503])
def test_an_answer_other_than_200_is_no_record(
    ledger: RecordLedger, receiver: Receiver, status: int
) -> None:
    receiver.say({"entries": [], "total": 0}, status)
    with pytest.raises(NoReply, match=str(status)):
        ledger.final_read()


def test_a_status_that_lacks_something_is_none(receiver: Receiver) -> None:
    receiver.say({"connected": True})
    with pytest.raises(NoReply, match="connections_lost"):
        read_status(receiver)


def test_an_entry_counts_from_the_last_read_that_did_not_show_it(
    ledger: RecordLedger, receiver: Receiver, record: list[Entry]
) -> None:
    """A receiver that stamps what it got with an earlier time is not believed."""
    receiver.clock.sleep_ns(100)
    ledger.poll()
    receiver.clock.sleep_ns(900)
    asked_ns = receiver.clock.now_ns()
    ledger.poll()
    receiver.clock.sleep_ns(500)
    late_ns = receiver.clock.now_ns()
    record += [(3, checksum("r", 3), 30), (4, checksum("r", 4), late_ns)]
    seen = ledger.final_read()
    assert seen.received_ns.tolist() == [10, 20, asked_ns, late_ns]
    assert seen.backdated == 1


def test_a_read_that_stopped_at_a_full_page_says_nothing_of_what_it_left(
    ledger: RecordLedger, receiver: Receiver, record: list[Entry]
) -> None:
    record += [(3, checksum("r", 3), 30)]
    receiver.clock.sleep_ns(SECOND)
    ledger.poll()  # the first two of three
    assert ledger.final_read().received_ns.tolist() == [10, 20, 30]


def test_a_record_that_begins_anew_is_not_held_against_its_predecessor(
    ledger: RecordLedger, receiver: Receiver, record: list[Entry]
) -> None:
    receiver.clock.sleep_ns(SECOND)
    ledger.poll()
    record[:] = [(5, checksum("r", 5), 500)]
    ledger.poll()
    record += [(6, checksum("r", 6), 600), (7, checksum("r", 7), 700)]
    assert ledger.final_read().received_ns.tolist() == [500, 600, 700]
