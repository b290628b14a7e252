"""A hint is worth what the text was, to the last byte and nanosecond, or there is none."""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gameday.model.units import (
    Unit,
    parse_byte_rate,
    parse_duration,
    parse_limit,
    parse_offset,
    parse_rate,
    parse_ratio,
    parse_size,
)

F = Fraction
SECOND = 10**9
Worth = Mapping[str, F | int | None]
SPANS: Worth = {
    "ns": 1, "nanoseconds": 1, "us": 1000, "µs": 1000, "μs": 1000, "usec": 1000,
    "microseconds": 1000,
    "ms": 10**6, "msec": 10**6, "milliseconds": 10**6, "mseconds": 10**6, "s": SECOND,
    "sec": SECOND, "secs": SECOND, "Seconds": SECOND, "m": 60 * SECOND, "mins": 60 * SECOND,
    "Minutes": 60 * SECOND, "h": 3600 * SECOND, "hrs": 3600 * SECOND, "d": 86400 * SECOND,
    "days": 86400 * SECOND, "w": 7 * 86400 * SECOND, "months": None, "y": None, "parsec": None,
    "M": None, "Ms": None, "MS": None, "ks": None, "kseconds": None, "cs": None, "ps": F(1, 1000),
}  # fmt: skip
"""What one of each is in nanoseconds; None where nobody can tell, or it is no time at all."""
SIZES: Worth = {
    "B": 1, "bytes": 1, "k": 1000, "kB": 1000, "M": 10**6, "MB": 10**6, "G": 10**9, "T": 10**12,
    "TB": 10**12, "PB": 10**15, "Ki": 1024, "KiB": 1024, "Mi": 1024**2, "MiB": 1024**2,
    "GiB": 1024**3, "TiB": 1024**4, "megabytes": 10**6, "bit": F(1, 8), "kbit": 125,
    "Mbit": 125_000,
    "Gbit": 125_000_000, "b": None, "kb": None, "Kb": None, "Mb": None, "mb": None, "K": None,
    "KB": None, "kib": None, "m": None,
}  # fmt: skip
BITS: Worth = {"b/s": F(1, 8), "bps": F(1, 8), "kbps": 125, "Kbps": 125, "kb/s": 125,
        "Mbps": 125_000,
        "Mb/s": 125_000, "Mbit/s": 125_000, "Gbps": 125_000_000, "mbps": None, "KBps": None,
        "KB/s": None, "MBps": 10**6, "kBps": 1000, "MiBps": 1024**2, "Bps": 1}  # fmt: skip
TIMES: Worth = {"s": 1, "sec": 1, "second": 1, "ms": F(1, 1000), "us": F(1, 10**6), "m": 60,
         "min": 60,
         "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "week": None}  # fmt: skip
BYTE_RATES: Worth = {
    **BITS,
    **{
        f"{size}/{per}": None if one is None or s is None else F(one) / s
        for size, one in SIZES.items()
        if size not in ("b", "kb", "Kb", "Mb")
        for per, s in TIMES.items()
    },
}
RATES: Worth = {f"/{per}": None if s is None else 1 / F(s) for per, s in TIMES.items()} | {
    " rps": F(1), "qps": F(1), "req/s": F(1), "Hz": F(1), "k/s": F(1000), "K/s": F(1000),
    "M/s": F(10**6), "rpm": F(1, 60), " per minute": F(1, 60), "k/min": F(1000, 60), "m/s": None,
    "/": None,
}  # fmt: skip
SHARES: Worth = {"%": F(1, 100), " percent": F(1, 100), "pct": F(1, 100), "‰": F(1, 1000),
          "ppm": F(1, 10**6), "bp": F(1, 10_000), "k": None, "x": None}  # fmt: skip
COUNTS: Worth = {"k": 1000, "K": 1000, "M": 10**6, "": 1, "%": None, "s": None, "items": None}

numbers = st.one_of(
    st.integers(0, 99_999).map(lambda n: (str(n), F(n))),
    st.integers(0, 99_999).map(lambda n: (f"{n // 100}.{n % 100:02}", F(n, 100))),
    st.integers(0, 99_999).map(lambda n: (f"{n // 100},{n % 100:02}", F(n, 100))),
    st.integers(1000, 99_999).map(lambda n: (f"{n // 1000}_{n % 1000:03}", F(n))),
    st.tuples(st.integers(1, 99), st.integers(-2, 4)).map(
        lambda t: (f"{t[0]}e{t[1]}", t[0] * F(10) ** t[1])
    ),
    # To YAML and C the first is octal, to a clock the second is 90 of something.
    st.integers(10, 99).map(lambda n: (f"0{n}", None)),
    st.integers(10, 59).map(lambda n: (f"1:{n}", None)),
    # A comma or a point of thousands.
    st.integers(1, 999).map(lambda n: (f"{n},500", None)),
)


def hint(parse: Callable[[str], object], text: str) -> str | None:
    """Return what is suggested in place of `text`; None when nothing is."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse(text)
    found = re.search(r"nearest: '([^']*)'", str(caught.value))
    return found and found[1]


def accepted(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


KINDS: Mapping[str, tuple[Callable[[str], object], Worth]] = {
    "duration": (parse_duration, SPANS),
    "offset": (parse_offset, SPANS),
    "size": (parse_size, SIZES),
    "byte rate": (parse_byte_rate, BYTE_RATES),
    "rate": (parse_rate, RATES),
    "share": (parse_ratio, SHARES),
    "count": (lambda text: parse_limit(f"== {text}", Unit.COUNT).value, COUNTS),
}


@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_hint_is_worth_what_a_reader_takes_the_text_for(kind: str, data: st.DataObject) -> None:
    parse, table = KINDS[kind]
    number, worth = data.draw(numbers)
    unit = data.draw(st.sampled_from(sorted(table)))
    text = f"{number}{data.draw(st.sampled_from(['', ' ']))}{unit}"
    assume(not accepted(parse, text))
    near = hint(parse, text)
    if near is None:
        return
    one = table[unit]
    # With a unit a leading zero is a zero; without one YAML would read it as octal.
    if worth is None and unit and re.fullmatch("0[0-9]+", number):
        worth = F(int(number))
    assert worth is not None, f"{text} may be two things, and {near} is suggested"
    assert one is not None, f"{text} is no {kind} that anybody can tell, and {near} is suggested"
    value = parse(near.removeprefix("== "))
    assert isinstance(value, int | float)
    assert value == pytest.approx(float(worth * one), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("parse", "text", "near"),
    [
        (parse_byte_rate, "1Mbps", "125kB/s"),
        (parse_byte_rate, "64kbps", "8kB/s"),
        (parse_byte_rate, "100Mbit/s", "12.5MB/s"),
        (parse_byte_rate, "60kB/min", "1kB/s"),
        (parse_byte_rate, "64kB/min", None),
        (parse_duration, "010", None),
        (parse_duration, "1:30", None),
        (parse_duration, "1_000", None),
        (parse_duration, "1e3ms", "1000ms"),
        (parse_duration, "1,5 s", "1.5s"),
        (parse_duration, "1,500 s", None),
        (parse_duration, "1h30m", "90min"),
        (parse_duration, "1m30s", "90s"),
        (parse_duration, "2d", "48h"),
        (parse_duration, "5M", None),
        (parse_duration, "500ns", "0.5us"),
        (parse_duration, "0.5ns", None),
        (parse_duration, "15251 weeks", None),
        (parse_duration, "9" * 5_000 + " sec", None),
        (parse_offset, "5m", "+5min"),
        (parse_offset, "\N{MINUS SIGN}1d", "-24h"),
        (parse_offset, "-30", None),
        (parse_rate, "200/ms", "200000/s"),
        (parse_rate, "600/h", "10/min"),
        (parse_rate, "1/h", None),
        (parse_rate, "1.5k/s", "1500/s"),
        (parse_size, "64kb", None),
        (parse_size, "64K", None),
        (parse_size, "100Mbit", "12.5MB"),
        (parse_size, "1TiB", "1024GiB"),
        (parse_ratio, "50‰", "5%"),
        (parse_ratio, "1", None),
        (parse_ratio, "1/2", "50%"),
        (parse_ratio, "1/3", None),
        (parse_limit, "<= 1m30s", "<= 90s"),
        (parse_limit, "0.99", None),
        (lambda text: parse_limit(text, Unit.NS), "2", None),
        (lambda text: parse_limit(text, Unit.COUNT), "== 1,000", None),
        (lambda text: parse_limit(text, Unit.COUNT), "== 1e3", "== 1000"),
        (lambda text: parse_limit(text, Unit.RATIO), ">= 995‰", ">= 99.5%"),
    ],
)
def test_these_are_the_hints(parse: Callable[[str], object], text: str, near: str | None) -> None:
    assert hint(parse, text) == near


@given(st.text(), st.sampled_from([parse for parse, _ in KINDS.values()]))
def test_any_hint_is_valid(text: str, parse: Callable[[str], object]) -> None:
    assume(not accepted(parse, text))
    near = hint(parse, text)
    assert near is None or accepted(parse, near.removeprefix("== "))
