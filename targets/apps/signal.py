"""A trading signal, as it travels from the relay to the listener."""

import json
from typing import NamedTuple, Self

__all__ = ["TOPIC", "BadSignal", "Signal"]

TOPIC = "signals"
_IDS = 2**32


class BadSignal(ValueError):
    """Bytes that are not a signal; the message tells what is wrong with them."""


class Signal(NamedTuple):
    """One numbered signal of one run; `check` is the sender's checksum over both."""

    run: str
    id: int
    check: str

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the JSON of a signal. The checksum is passed on, never judged or mended."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadSignal(f"not JSON: {error}") from None
        match fields:
            case {"run": str(run), "id": int(number), "check": str(check)} if 0 <= number < _IDS:
                return cls(run, number, check)
        raise BadSignal('wanted {"run": text, "id": whole number below 2**32, "check": text}')
