import json
from pathlib import Path

from apps.record import UNREADABLE_ID, Record
from resilience.reconnecting_pubsub import EntryId, fingerprint


def payload(number: int) -> bytes:
    return json.dumps({"run": "ab", "id": number, "check": "0badf00d"}).encode()


def filled(path: Path, count: int) -> Record:
    record = Record(path)
    for number in range(count):
        record.append(EntryId(number, 7), payload(number), number * 10)
    return record


def test_a_page_is_what_follows_what_the_reader_has(tmp_path: Path) -> None:
    page = json.loads(filled(tmp_path / "r", 4).page(2))
    assert page == {"entries": [[2, "0badf00d", 20], [3, "0badf00d", 30]], "total": 4}


def test_a_page_has_5000_entries_at_most_and_the_next_one_follows_on(tmp_path: Path) -> None:
    record = filled(tmp_path / "r", 5003)
    assert len(json.loads(record.page(0))["entries"]) == 5000
    assert [entry[0] for entry in json.loads(record.page(5000))["entries"]] == [5000, 5001, 5002]


def test_a_reader_who_claims_to_have_more_than_there_is_gets_nothing(tmp_path: Path) -> None:
    assert json.loads(filled(tmp_path / "r", 1).page(9)) == {"entries": [], "total": 1}


def test_a_record_goes_on_where_a_killed_process_left_it(tmp_path: Path) -> None:
    filled(tmp_path / "r", 3)
    with (tmp_path / "r").open("ab") as file:
        file.write(b'[3, "0bad')
    again = Record(tmp_path / "r")
    assert again.last == EntryId(2, 7)
    again.append(EntryId(3, 0), payload(3), 30)
    assert [entry[0] for entry in json.loads(again.page(0))["entries"]] == [0, 1, 2, 3]


def test_an_entry_that_is_no_signal_is_kept_and_can_be_told(tmp_path: Path) -> None:
    record = filled(tmp_path / "r", 0)
    record.append(EntryId(1, 0), b"\xffnot\ta\nsignal", 5)
    assert json.loads(record.page(0))["entries"] == [[UNREADABLE_ID, "unreadable", 5]]
    assert Record(tmp_path / "r").last == EntryId(1, 0)


def test_the_contents_know_an_entry_by_its_id_and_its_payload(tmp_path: Path) -> None:
    contents = filled(tmp_path / "r", 2).contents()
    assert fingerprint(EntryId(1, 7), payload(1)) in contents
    assert fingerprint(EntryId(1, 7), payload(2)) not in contents
    assert fingerprint(EntryId(2, 7), payload(1)) not in contents
