import pytest
from apps.signal import BadSignal, Signal


def test_a_signal_is_read_as_it_was_sent() -> None:
    assert Signal.parse(b'{"run": "r", "id": 7, "check": "c"}') == ("r", 7, "c")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"run": "r", "id": ',
        b'{"run": "r", "id": -1, "check": "c"}',
        b'{"run": "r", "id": 4294967296, "check": "c"}',
        b'{"run": "r", "id": 1.5, "check": "c"}',
        b'{"run": "\xff", "id": 1, "check": "c"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_signal_is_refused(text: bytes) -> None:
    with pytest.raises(BadSignal):
        Signal.parse(text)
