from collections.abc import Container

from resilience.policy import ReconnectPolicy
from resilience.reconnecting_pubsub import Address, EntryId, Subscriber, Subscription


class Journal:
    def __init__(self, last: EntryId) -> None:
        self.last = last
        self.entries: list[bytes] = []

    def append(self, entry_id: EntryId, payload: bytes) -> None:
        self.last = entry_id
        self.entries.append(bytes(entry_id) + b"=" + payload)

    def contents(self) -> Container[bytes]:
        raise AssertionError("nothing was lost")


def subscriber(journal: Journal) -> Subscriber:
    policy = ReconnectPolicy.from_env({})
    return Subscriber(Address("127.0.0.1", 1), "t", policy, journal, Subscription())


def test_what_the_replay_had_already_is_not_taken_twice_and_nothing_after_it_is_missed() -> None:
    journal = Journal(last=EntryId(8, 0))
    returning = subscriber(journal)
    returning._held = []
    for message in (b"7-0 a", b"8-0 b", b"8-1 c"):
        returning._pushed(message)
    assert journal.entries == []
    returning._go_live()
    returning._pushed(b"9-0 d")
    assert journal.entries == [b"8-1=c", b"9-0=d"]


def test_the_overlap_may_reach_beyond_the_replay_into_live_messages() -> None:
    journal = Journal(last=EntryId(8, 0))
    returning = subscriber(journal)
    returning._go_live()
    for message in (b"7-0 a", b"8-0 b", b"10-0 c"):
        returning._pushed(message)
    assert journal.entries == [b"10-0=c"]


def test_an_older_id_after_the_overlap_is_a_new_stream_and_is_taken() -> None:
    journal = Journal(last=EntryId(8, 0))
    returning = subscriber(journal)
    returning._go_live()
    for message in (b"9-0 a", b"3-0 b", b"3-1 c"):
        returning._pushed(message)
    assert journal.entries == [b"9-0=a", b"3-0=b", b"3-1=c"]


def test_entries_are_ordered_by_number_not_by_text() -> None:
    assert EntryId.parse(b"9-0") < EntryId.parse(b"10-0") < EntryId.parse(b"10-2")
    assert bytes(EntryId.parse(b"1795399200155-12")) == b"1795399200155-12"
