"""What the kernel says about the signals of a service's main process."""

import re
from dataclasses import dataclass

__all__ = ["Dispositions", "signals_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispositions:
    """Signals by their numbers; one neither caught nor ignored has its default effect."""

    caught: frozenset[int]
    ignored: frozenset[int]
    waiting: frozenset[int]
    """Sent, and not delivered yet."""


def signals_in(status: str) -> Dispositions:
    """Return what a text such as that of /proc/1/status tells; ValueError if it tells nothing."""
    masks = dict(re.findall(r"^(Sig\w+|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE))
    try:
        return Dispositions(
            caught=_numbers(masks["SigCgt"]),
            ignored=_numbers(masks["SigIgn"]),
            waiting=_numbers(masks["SigPnd"]) | _numbers(masks["ShdPnd"]),
        )
    except KeyError as error:
        raise ValueError(f"no {error} among {sorted(masks)}") from None


def _numbers(mask: str) -> frozenset[int]:
    bits = int(mask, 16)
    return frozenset(number for number in range(1, 65) if bits >> number - 1 & 1)
