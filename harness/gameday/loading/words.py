"""What the units of findings are called, and which limits fit them."""

from gameday.loading.source import Source, Where
from gameday.model.units import Limit, Unit

__all__ = ["complain_of_unit"]

_CALLED = {Unit.NS: "a duration", Unit.RATIO: "a percentage", Unit.COUNT: "a whole number"}
_SUCH_AS = {Unit.NS: "<= 2s", Unit.RATIO: ">= 99%", Unit.COUNT: "== 0"}


def complain_of_unit(source: Source, where: Where, limit: Limit, unit: str, name: str) -> None:
    """Note it when the limit of a finding is not in the finding's unit."""
    if limit.unit != unit:
        wanted = Unit(unit)
        source.complain(
            where,
            f"{limit.text!r} is {_CALLED[limit.unit]}, but {name} is {_CALLED[wanted]}; "
            f"write it as in {_SUCH_AS[wanted]!r}",
        )
