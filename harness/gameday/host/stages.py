"""Steps that are all taken, whatever becomes of the others, in sequence or in parallel."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gameday.errors import GamedayError

__all__ = ["causes", "each", "side_by_side"]

A = TypeVar("A")
B = TypeVar("B")


def side_by_side(act: Callable[[A], B], things: Sequence[A]) -> list[B]:
    """Do the same with several things at once: the slowest one sets the pace."""
    with ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(act, things))


def each(doing: str, stages: Iterable[Iterator[str]]) -> Iterator[str]:
    """Yield what every stage yields, in order; what kept some from their end is raised last."""
    problems: list[Exception] = []
    for stage in stages:
        try:
            yield from stage
        except Exception as error:
            problems.append(error)
    if problems:
        raise ExceptionGroup(doing, problems)


def causes(error: Exception) -> list[str]:
    """Return what happened, one text for each error that a group holds."""
    if isinstance(error, ExceptionGroup):
        return [text for one in error.exceptions for text in causes(one)]
    expected = isinstance(error, GamedayError)
    return [str(error) if expected else f"{type(error).__name__}: {error}"]
