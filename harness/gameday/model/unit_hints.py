"""What a text with a foreign unit probably meant, in our units and of the same size.

Each function returns the valid text that is worth exactly what a reader of the given one would
take it for, or None where it is ambiguous: `64K`, `64kb`, `1,500`, `5M`, `010`. No
hint is better than one of another size.
"""

import difflib
import re
from collections.abc import Mapping
from fractions import Fraction

__all__ = [
    "near_byte_rate",
    "near_count",
    "near_duration",
    "near_offset",
    "near_rate",
    "near_ratio",
    "near_size",
]

_Table = Mapping[str, tuple[str, Fraction]]
"""For each unit that people write, the unit of ours that it is written in, and how many of it."""


def _units(ours: str, *words: str, times: int | Fraction = 1) -> dict[str, tuple[str, Fraction]]:
    return {word: (ours, Fraction(times)) for word in words}


_THOUSANDTH = Fraction(1, 1000)
_DURATIONS: _Table = {
    **_units("us", "ns", "nsec", "nanosecond", "nanoseconds", times=_THOUSANDTH),
    **_units("us", "us", "µs", "μs", "usec", "µsec", "μsec", "microsecond", "microseconds"),
    **_units("ms", "ms", "msec", "msecs", "millis", "milli", "millisecond", "milliseconds"),
    **_units("s", "s", "S", "sec", "secs", "second", "seconds"),
    **_units("min", "m", "min", "mins", "minute", "minutes"),
    **_units("h", "h", "H", "hr", "hrs", "hour", "hours"),
    **_units("h", "d", "day", "days", times=24),
    **_units("h", "w", "wk", "week", "weeks", times=7 * 24),
}
_PER: Mapping[str, Fraction] = {
    **dict.fromkeys(("s", "sec", "second"), Fraction(1)),
    **dict.fromkeys(("ms", "msec", "millisecond"), Fraction(1000)),
    **dict.fromkeys(("us", "µs", "μs", "microsecond"), Fraction(1_000_000)),
    **dict.fromkeys(("m", "min", "minute"), Fraction(1, 60)),
    **dict.fromkeys(("h", "hr", "hour"), Fraction(1, 3600)),
    **dict.fromkeys(("d", "day"), Fraction(1, 86400)),
}
"""What stands behind a slash, and how often that is in a second."""
_EACH: _Table = {
    **_units("/s", "rps", "qps", "tps", "ops", "Hz", "hz", "req/s", "reqs/s", "requests/s"),
    **_units("/s", "ops/s", "op/s", "operations/s", "per s", "per sec", "per second"),
    **_units("/min", "rpm", "per min", "per minute"),
}
_COUNTS: Mapping[str, int] = {"": 1, "k": 1000, "K": 1000, "M": 1000**2}
_SIZES: _Table = {
    **_units("B", "", "B", "byte", "bytes"),
    **_units("kB", "k", "kB", "kilobyte", "kilobytes"),
    **_units("MB", "M", "MB", "megabyte", "megabytes"),
    **_units("GB", "G", "GB", "gigabyte", "gigabytes"),
    **_units("GB", "T", "TB", "terabyte", "terabytes", times=1000),
    **_units("KiB", "Ki", "KiB", "kibibyte", "kibibytes"),
    **_units("MiB", "Mi", "MiB", "mebibyte", "mebibytes"),
    **_units("GiB", "Gi", "GiB", "gibibyte", "gibibytes"),
    **_units("GiB", "Ti", "TiB", "tebibyte", "tebibytes", times=1024),
    **_units("B", "bit", "bits", times=Fraction(1, 8)),
    **_units("B", "kbit", "Kbit", "kbits", "kilobit", "kilobits", times=125),
    **_units("kB", "Mbit", "mbit", "Mbits", "megabit", "megabits", times=125),
    **_units("MB", "Gbit", "gbit", "Gbits", "gigabit", "gigabits", times=125),
}
_BITS_A_SECOND: _Table = {
    **_units("B", "b", times=Fraction(1, 8)),
    **_units("B", "kb", "Kb", times=125),
    **_units("kB", "Mb", times=125),
    **_units("MB", "Gb", times=125),
}
"""In a rate a small b is a bit; of a size it may be either."""
_SHARES: _Table = {
    **_units("%", "%", "percent", "per cent", "pct"),
    **_units("%", "‰", "permille", "per mille", times=Fraction(1, 10)),
    **_units("%", "bp", times=Fraction(1, 100)),
    **_units("%", "ppm", times=Fraction(1, 10_000)),
}
_NUMBER = r"(?:[0-9][0-9_]*(?:[.,][0-9]+)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_AMOUNT = re.compile(rf"({_NUMBER})\s*(.*)")
_PART = re.compile(r"([0-9]{1,9})\s*(h|min|ms|m|s|us|µs|μs)\s*")
_ORDER = ("d", "h", "min", "s", "ms", "us")
_US = {"us": 1, "ms": 1000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LARGER = {"B": "kB", "kB": "MB", "MB": "GB"}
_LONGEST = 60


def near_duration(text: str) -> str | None:
    """Return the duration that `text` stands for, such as "90s" for "1m30s"."""
    split = _split(text)
    if split is None:
        return None
    number, unit = split
    if not unit:
        return _span(number, "s") if _is_plain(text) else None
    known = _DURATIONS.get(unit.removesuffix(".")) or _misspelled(unit)
    if known is None:
        return _summed(text)
    ours, times = known
    return _span(number * times, ours)


def near_offset(text: str) -> str | None:
    """Return the duration with its sign that `text` stands for."""
    text = text.strip()
    sign = "-" if text[:1] in ("-", "\N{MINUS SIGN}") else "+"
    if re.fullmatch(r"[+-]?[2-9][0-9]+|[+-]?[0-9]{3,}", text):
        return None  # seconds or milliseconds
    duration = near_duration(text[1:] if text[:1] in ("+", "-", "\N{MINUS SIGN}") else text)
    return None if duration is None else sign + duration


def near_rate(text: str) -> str | None:
    """Return the rate of operations that `text` stands for, such as "200/s" for "200 rps"."""
    split = _split(text)
    if split is None or split[0] == 0:
        return None
    number, unit = split
    if not unit:
        return _written(number, "/s") if _is_plain(text) else None
    each = _EACH.get(unit) or _EACH.get(" ".join(unit.split()))
    if each is not None:
        return _written(number * each[1], each[0])
    many, slash, per = unit.partition("/")
    times = _COUNTS.get(many.strip())
    if times is None or (slash and per.strip() not in _PER) or (not slash and not many):
        return None
    if not slash:
        return None
    often = _PER[per.strip()]
    if often == Fraction(1, 60):
        return _written(number * times, "/min")
    return _written(number * times * often, "/s") or _written(number * times * often * 60, "/min")


def near_size(text: str) -> str | None:
    """Return the size that `text` stands for, such as "2048GiB" for "2 TiB"."""
    split = _split(text)
    return None if split is None or not _fits(text, split[1]) else _in(_SIZES, *split)


def near_byte_rate(text: str) -> str | None:
    """Return the byte rate that `text` stands for, such as "125kB/s" for "1Mbps"."""
    split = _split(text)
    if split is None:
        return None
    number, unit = split
    size, slash, per = unit.partition("/")
    if not slash and (rate := re.fullmatch(r"([kKMG]?i?[bB]|[kKMGm]?bit)ps", size)):
        # "kbps" are bits to most and kilobytes to tc; "KBps" may be of 1000 or of 1024.
        size, slash, per = rate[1], "/", "s"
    often = _PER.get(per.strip()) if slash else Fraction(1)
    if often is None or not _fits(text, unit):
        return None
    table = {**_SIZES, **_BITS_A_SECOND} if slash else _SIZES
    near = _in(table, number * often, size.strip())
    return None if near is None else f"{near}/s"


def near_ratio(text: str) -> str | None:
    """Return the percentage that `text` stands for, such as "99%" for "0.99"."""
    if part := re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text):
        whole = int(part[2])
        return _share(Fraction(int(part[1]) * 100, whole)) if whole else None
    split = _split(text)
    if split is None:
        return None
    number, unit = split
    if unit:
        known = _SHARES.get(" ".join(unit.split()).lower())
        return None if known is None else _share(number * known[1])
    if number == 1 or not _fits(text, unit):
        return None  # all, or one percent of it
    return _share(number * 100 if number < 1 else number)


def near_count(text: str) -> str | None:
    """Return the whole number that `text` stands for, such as "1000" for "1e3"."""
    split = _split(text)
    times = None if split is None else _COUNTS.get(split[1])
    thousands = re.search(r"\.[0-9]{3}(?![0-9])", text)  # to some, a point groups them
    if split is None or times is None or thousands or not _fits(text, split[1]):
        return None
    number = split[0] * times
    return str(number) if number.denominator == 1 and number < 10**15 else None


def _split(text: str) -> tuple[Fraction, str] | None:
    """Return the number that a text begins with and what follows; None for a doubtful number."""
    match = None if len(text) > _LONGEST else _AMOUNT.fullmatch(text.strip())
    if match is None:
        return None
    written = match[1]
    if "," in written:
        whole, _, part = written.partition(",")
        part = re.split("[eE]", part)[0]
        if len(part) == 3 and whole not in ("", "0"):
            return None  # a comma of thousands, or of decimals
    if "_" in written and not re.match(r"[0-9]{1,3}(_[0-9]{3})+(?![0-9_])", written):
        return None
    return Fraction(written.replace(",", ".").replace("_", "")), match[2].strip()


def _is_plain(text: str) -> bool:
    """Whether a number is in plain digits, without a zero in front, which YAML takes for octal."""
    return re.fullmatch(r"(0|[1-9][0-9]*)?(\.[0-9]+)?", text.strip()) is not None


def _fits(text: str, unit: str) -> bool:
    """Whether a number without a unit is one that can be read in one way only."""
    return bool(unit) or re.match(r"0[0-9]", text.strip()) is None


def _in(table: _Table, number: Fraction, unit: str) -> str | None:
    """Return a size in our units; None when it is no whole number of bytes."""
    if unit not in table:
        return None
    ours, times = table[unit]
    number *= times
    while times != 1 and number >= 1000 and ours in _LARGER:
        ours, number = _LARGER[ours], number / 1000
    whole = (number * _BYTES[ours]).denominator == 1
    return _written(number, ours) if whole else None


def _written(number: Fraction, unit: str) -> str | None:
    """Return a number in decimals with its unit; None when no such text is exactly that."""
    for digits in range(16):
        scaled = number * 10**digits
        if scaled.denominator == 1:
            whole, part = divmod(int(scaled), 10**digits)
            if whole >= 10**15:
                return None
            return f"{whole}.{part:0{digits}d}{unit}" if digits else f"{whole}{unit}"
    return None


def _share(percent: Fraction) -> str | None:
    return _written(percent, "%") if percent <= 100 else None


def _misspelled(word: str) -> tuple[str, Fraction] | None:
    """Return the unit whose name in full was meant, when no other one is nearly as near."""
    word = word.lower().removesuffix(".")
    names = [name for name in _DURATIONS if len(name) >= 5]
    near = difflib.get_close_matches(word, names, n=2, cutoff=0.85)
    meant = {_DURATIONS[name] for name in near}
    exact = _DURATIONS.get(word) if len(word) >= 3 else None
    if exact is not None:
        return exact
    # "mseconds" is as near to seconds as a slip of the keyboard, and a thousand times less.
    return meant.pop() if len(meant) == 1 and word[0] == near[0][0] else None


def _summed(text: str) -> str | None:
    """Return what the parts of "1h30m" or "2s 3ms" are together, in the last part's unit."""
    rest, total, order = text.strip(), Fraction(0), -1
    last = ""
    while rest:
        match = _PART.match(rest)
        if match is None:
            return None
        ours, times = _DURATIONS[match[2]]
        if _ORDER.index(ours) <= order:
            return None
        order, last = _ORDER.index(ours), ours
        total += int(match[1]) * times * _US[ours]
        rest = rest[match.end() :]
    return _span(total / _US[last], last)


def _span(number: Fraction, unit: str) -> str | None:
    """Return a duration; None when it is no whole number of nanoseconds, or of centuries."""
    nanoseconds = number * _US[unit] * 1000
    fits = nanoseconds.denominator == 1 and nanoseconds < 2**63
    return _written(number, unit) if fits else None
