import contextlib
import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gameday.model.clock import MICROSECOND, MILLISECOND, MINUTE, SECOND
from gameday.model.units import (
    DurationLimit,
    DurationNs,
    Unit,
    format_duration,
    format_value,
    parse_byte_rate,
    parse_duration,
    parse_limit,
    parse_rate,
    parse_ratio,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("500ms", 500 * MILLISECOND),
        ("2s", 2 * SECOND),
        (" 2 s ", 2 * SECOND),
        ("1.5min", 90 * SECOND),
        ("1h", 60 * MINUTE),
        ("20us", 20 * MICROSECOND),
        ("20\N{MICRO SIGN}s", 20 * MICROSECOND),
        ("20 \N{GREEK SMALL LETTER MU}s", 20 * MICROSECOND),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("2", "2s"),
        ("2 sec", "2s"),
        ("2 Seconds", "2s"),
        ("5m", "5min"),
        ("3 minuts", "3min"),
        ("1 hour", "1h"),
        ("7msec", "7ms"),
        ("7 µsec", "7us"),
    ],
)
def test_a_duration_spelled_otherwise_is_told_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"nearest: '{nearest}'$"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "s", "-1s", "2s 3ms", "1e3s", "٣s", "two", "9" * 5_000])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("parse", "text", "nearest"),
    [
        (parse_duration, ".5s", "'0.5s'"),
        (parse_duration, "19", "'19s'"),
        (parse_duration, "50", "'50s' or '50ms'"),
        (parse_size, "1TB", "'1000GB'"),
        (parse_size, "2 TiB", "'2048GiB'"),
    ],
)
def test_what_was_probably_meant_is_told(
    parse: Callable[[str], object], text: str, nearest: str
) -> None:
    with pytest.raises(ValueError, match=f"nearest: {nearest}$"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "of", "nearest"),
    [
        (">= 0.99", Unit.RATIO, "'>= 99%'"),
        ("99", Unit.RATIO, "'>= 99%'"),
        ("0.99", Unit.RATIO, "'>= 99%'"),
        ("<= 2 sec", Unit.NS, "'<= 2s'"),
        ("=0", Unit.COUNT, "'== 0'"),
    ],
)
def test_a_limit_is_understood_in_the_unit_of_its_finding(
    text: str, of: Unit, nearest: str
) -> None:
    with pytest.raises(ValueError, match=f"is not a limit.*nearest: {nearest}$"):
        parse_limit(text, of)


def test_a_count_is_never_taken_for_a_duration() -> None:
    with pytest.raises(ValueError, match=r"a whole number, such as '== 0'$"):
        parse_limit(">= 1.5", Unit.COUNT)


def test_a_duration_fits_into_64_bits() -> None:
    with pytest.raises(ValueError, match="longer than 292 years"):
        parse_duration("999999999999999h")


def test_a_rate_is_a_number_of_operations_and_a_time() -> None:
    assert parse_rate("200/s") == 200
    assert parse_rate("30 / min") == 0.5


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("200", "has no unit.*nearest: '200/s'"),
        ("200/sec", "nearest: '200/s'"),
        ("30/minute", "nearest: '30/min'"),
        ("0/s", "above 0"),
        ("fast", "is not a rate"),
    ],
)
def test_what_is_no_rate_is_refused(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        parse_rate(text)


def test_a_share_is_a_percentage() -> None:
    assert parse_ratio("99.5%") == 0.995
    assert parse_ratio("100 %") == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.99", "nearest: '99%'"),
        ("99", "nearest: '99%'"),
        ("101%", r"a percentage from 0% to 100%$"),
        ("most", "is not a share"),
    ],
)
def test_what_is_no_share_is_refused(text: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        parse_ratio(text)


@pytest.mark.parametrize(
    ("text", "op", "value", "unit"),
    [
        ("<= 2s", "<=", 2 * SECOND, Unit.NS),
        ("> 99%", ">", 0.99, Unit.RATIO),
        ("==0", "==", 0, Unit.COUNT),
        ("< 2min", "<", 2 * MINUTE, Unit.NS),
        (">= 3", ">=", 3, Unit.COUNT),
    ],
)
def test_a_limit_is_a_comparison_and_a_value(text: str, op: str, value: float, unit: Unit) -> None:
    limit = parse_limit(text)
    assert (limit.op, limit.value, limit.unit, limit.text) == (op, value, unit, text)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("2s", "<= 2s"),
        ("99%", ">= 99%"),
        ("0", "== 0"),
        ("=< 2s", "<= 2s"),
        ("=> 99%", ">= 99%"),
        ("= 0", "== 0"),
        ("≤ 2 sec", "<= 2s"),
    ],
)
def test_a_limit_spelled_otherwise_is_told_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"is not a limit.*nearest: '{nearest}'$"):
        parse_limit(text)


@pytest.mark.parametrize("text", ["", "<=", "<= fast", "<= -1", "<= 0.5", "<= 101%", "! 3"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a limit"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("op", "inside"),
    [("<", {1}), ("<=", {1, 2}), ("==", {2}), (">=", {2, 3}), (">", {3})],
)
def test_a_limit_holds_on_its_side(op: str, inside: set[int]) -> None:
    limit = parse_limit(f"{op} 2")
    assert {value for value in (1, 2, 3) if limit.holds(value)} == inside
    assert limit.wants_less == (not op.startswith(">"))


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    every = (parse_duration, parse_rate, parse_ratio, parse_limit, parse_size, parse_byte_rate)
    for parse in every:
        with contextlib.suppress(ValueError):
            assert parse(text) is not None


@given(st.integers(1, 10**15), st.sampled_from(["us", "ms", "s"]))
def test_whole_durations_are_exact(number: int, unit: str) -> None:
    size = {"us": MICROSECOND, "ms": MILLISECOND, "s": SECOND}[unit]
    if number * size < 2**53:
        assert parse_duration(f"{number}{unit}") == number * size


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (3_020_000_000, "3.02 s"),
        (250 * MILLISECOND, "250 ms"),
        (100, "0 ms"),
        (110 * SECOND, "110 s"),
        (2 * MINUTE, "2 min"),
        (math.inf, "never"),
    ],
)
def test_a_duration_is_written_as_people_do(duration_ns: float, text: str) -> None:
    assert format_duration(duration_ns) == text


def test_values_are_written_in_their_unit() -> None:
    assert format_value(0.9712, Unit.RATIO) == "97.12 %"
    assert format_value(12_345, Unit.COUNT) == "12 345"
    assert format_value(2 * SECOND, Unit.NS) == "2 s"


def test_fields_take_text_with_a_unit_and_nothing_else() -> None:
    assert TypeAdapter(DurationNs).validate_python("2s") == 2 * SECOND
    assert TypeAdapter(DurationLimit).validate_python("<= 2s") == parse_limit("<= 2s")
    with pytest.raises(ValidationError, match=r"2 has no unit; .*; nearest: '2s'"):
        TypeAdapter(DurationNs).validate_python(2)
    with pytest.raises(ValidationError, match="True is not a duration"):
        TypeAdapter(DurationNs).validate_python(True)


def test_the_schema_of_a_field_is_text_with_an_example() -> None:
    assert TypeAdapter(DurationNs).json_schema() == {
        "type": "string",
        "description": "a duration",
        "examples": ["2s"],
    }


@pytest.mark.parametrize(
    ("text", "bytes_"), [("512B", 512), ("64kB", 64_000), ("1.5MB", 1_500_000), ("1KiB", 1024)]
)
def test_sizes_have_a_unit(text: str, bytes_: int) -> None:
    assert parse_size(text) == bytes_
    assert parse_byte_rate(f"{text}/s") == bytes_


@pytest.mark.parametrize(
    ("parse", "text", "nearest"),
    [
        (parse_size, "64", "64B"),
        (parse_size, "64k", "64kB"),
        (parse_byte_rate, "64kB", "64kB/s"),
        (parse_byte_rate, "64kBps", "64kB/s"),
        (parse_byte_rate, "0", "0B/s"),
    ],
)
def test_a_size_without_its_unit_is_refused_with_the_nearest(
    parse: Callable[[str], int], text: str, nearest: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"nearest: {nearest!r}")):
        parse(text)
