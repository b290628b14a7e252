"""What a receiver wrote down is read as it is: foreign, impossible or of a surge."""

import httpx
import numpy as np
import pytest

from gameday.workload.ledger import Ledger
from gameday.workload.publish import checksum, surge_of

Entry = tuple[int, str, int]


@pytest.fixture
def record() -> list[Entry]:
    return [(1, checksum("r", 1), 10), (2, checksum("r", 2), 20)]


@pytest.fixture
def ledger(record: list[Entry], monkeypatch: pytest.MonkeyPatch) -> Ledger:
    def answer(request: httpx.Request) -> httpx.Response:
        after = int(request.url.params["after"])
        return httpx.Response(200, json={"entries": record[after:][:2], "total": len(record)})

    made = Ledger("http://listener", "r")
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://listener")
    monkeypatch.setattr(made, "_client", client)
    return made


def test_pages_follow_each_other(ledger: Ledger, record: list[Entry]) -> None:
    record += [(3, checksum("r", 3), 30), (1, "another", 40)]
    deliveries = ledger.final_read()
    assert deliveries.value.tolist() == [1, 2, 3, 1]
    assert deliveries.received_ns.tolist() == [10, 20, 30, 40]
    assert deliveries.intact.tolist() == [True, True, True, False]


def test_the_signals_of_a_surge_are_left_out_and_counted_as_read(
    ledger: Ledger, record: list[Entry]
) -> None:
    surge = surge_of("r")
    record[1:1] = [(number, checksum(surge, number), 11) for number in range(1, 6)]
    assert ledger.final_read().value.tolist() == [1, 2]


@pytest.mark.parametrize("impossible", [10**1000, -1])
def test_a_number_that_no_signal_has_is_kept_as_a_broken_one(
    ledger: Ledger, record: list[Entry], impossible: int
) -> None:
    record.append((impossible, "x", 30))
    deliveries = ledger.final_read()
    assert deliveries.value.dtype == np.uint32
    assert deliveries.intact.tolist() == [True, True, False]
