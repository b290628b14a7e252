"""Who is cut off from whom follows from the names, the shape and the direction."""

import re

import pytest

from gameday.faults.network.grouping import Direction, Shape, cut_pairs


def cut(target: str, shape: Shape = "groups", direction: Direction = "both") -> set[str]:
    return {f"{sender}{receiver}" for sender, receiver in cut_pairs(target, shape, direction)}


def test_groups_do_not_hear_each_other_and_hear_their_own() -> None:
    assert cut("a | b, c") == {"ab", "ba", "ac", "ca"}
    assert cut("a | b | c") == {"ab", "ba", "ac", "ca", "bc", "cb"}


def test_one_way_cuts_what_comes_to_or_from_the_first_group() -> None:
    assert cut("a | b, c", direction="in") == {"ba", "ca"}
    assert cut("a | b, c", direction="out") == {"ab", "ac"}


def test_halves_leave_the_larger_half_whole() -> None:
    assert cut("a, b, c", "halves") == {"ab", "ba", "ac", "ca"}


def test_in_a_ring_each_reaches_its_two_neighbours_only() -> None:
    assert cut("a, b, c, d", "ring") == {"ac", "ca", "bd", "db"}
    five = cut("a, b, c, d, e", "ring")
    assert {pair[1] for pair in five if pair[0] == "a"} == {"c", "d"}


def test_a_bridge_is_reached_from_both_halves() -> None:
    assert cut("a, b, c", "bridge") == {"ac", "ca"}
    assert cut("a, b, c, d, e", "bridge") == {"ad", "da", "ae", "ea", "bd", "db", "be", "eb"}


def test_isolated_services_reach_nobody() -> None:
    assert cut("a, b, c", "isolated") == {"ab", "ba", "ac", "ca", "bc", "cb"}


@pytest.mark.parametrize(
    ("target", "shape", "direction", "told"),
    [
        ("a, b", "groups", "both", "one group has no other side; write 'a, b | c', or a shape"),
        ("a | a, b", "groups", "both", "a is listed twice; a service can be on one side only"),
        ("a | ", "groups", "both", "'a | ' has an empty name; write 'a, b | c'"),
        ("a | b", "ring", "both", "shape ring makes its own groups; write the names without '|'"),
        ("a, b, c", "ring", "both", "shape ring needs 4 services; 3 are named"),
        ("a, b", "halves", "in", "direction in needs two groups 'a | b'; halves cuts both"),
        ("a | b | c", "groups", "out", "direction out is that of the first of two groups 'a | b'"),
    ],
)
def test_what_forms_no_groups_is_refused(
    target: str, shape: Shape, direction: Direction, told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        cut_pairs(target, shape, direction)
