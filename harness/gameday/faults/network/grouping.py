"""Who is cut off from whom, as a partition's target, shape and direction say."""

from collections.abc import Sequence
from itertools import permutations
from typing import Literal

from gameday.model.targeting import groups_of

__all__ = ["Direction", "Shape", "cut_pairs"]

Shape = Literal["groups", "halves", "ring", "bridge", "isolated"]
Direction = Literal["both", "in", "out"]

_LEAST = {"halves": 2, "ring": 4, "bridge": 3, "isolated": 2}
"""How many services a shape needs to cut anything, and to leave what gives it its name."""


def cut_pairs(target: str, shape: Shape, direction: Direction) -> frozenset[tuple[str, str]]:
    """Return the ordered pairs (sender, receiver) between which nothing passes.

    Raises ValueError, with what is given and wanted, for what forms no groups.
    """
    groups = groups_of(target)
    names = [name for group in groups for name in group]
    if not all(names):
        raise ValueError(f"{target!r} has an empty name; write 'a, b | c'")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is listed twice; a service can be on one side only")
    if shape == "groups":
        return _between(groups, direction)
    if len(groups) > 1:
        raise ValueError(f"shape {shape} makes its own groups; write the names without '|'")
    if len(names) < _LEAST[shape]:
        raise ValueError(f"shape {shape} needs {_LEAST[shape]} services; {len(names)} are named")
    if direction != "both":
        raise ValueError(f"direction {direction} needs two groups 'a | b'; {shape} cuts both")
    return frozenset((a, b) for a, b in permutations(names, 2) if _apart(names, shape, a, b))


def _between(groups: Sequence[Sequence[str]], direction: Direction) -> frozenset[tuple[str, str]]:
    """Cut every group from every other; of two, perhaps only what comes to or from the first."""
    if len(groups) < 2:
        raise ValueError("one group has no other side; write 'a, b | c', or a shape")
    if direction != "both" and len(groups) != 2:
        raise ValueError(f"direction {direction} is that of the first of two groups 'a | b'")
    of = {name: number for number, group in enumerate(groups) for name in group}
    pairs = ((a, b) for a, b in permutations(of, 2) if of[a] != of[b])
    wanted = {"both": (0, 1), "in": (1,), "out": (0,)}[direction]
    return frozenset((a, b) for a, b in pairs if len(groups) > 2 or of[a] in wanted)


def _apart(names: Sequence[str], shape: Shape, a: str, b: str) -> bool:
    """Tell whether a shape keeps two services apart."""
    count, i, j = len(names), names.index(a), names.index(b)
    match shape:
        case "halves":
            # The first half is the smaller one.
            return (i < count // 2) != (j < count // 2)
        case "ring":
            return (i - j) % count not in (1, count - 1)
        case "bridge":
            bridge = count // 2
            return bridge not in (i, j) and (i < bridge) != (j < bridge)
        case _:
            return True
