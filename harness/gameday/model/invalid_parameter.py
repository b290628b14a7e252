"""Requirements on parameters, and the error that names the ones that do not hold."""

import re

__all__ = ["InvalidParameter", "Rule", "regular", "require"]

Rule = tuple[str, bool, str]
"""The key of a parameter, whether its value fits, and what is wanted."""


class InvalidParameter(ValueError):
    """Invalid parameters: the key of each, and what is required."""

    def __init__(self, *misfits: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{key}: wanted {wanted}" for key, wanted in misfits))
        self.misfits = misfits


def require(*rules: Rule) -> None:
    """Raise InvalidParameter with everything that does not fit."""
    misfits = tuple((key, wanted) for key, fits, wanted in rules if not fits)
    if misfits:
        raise InvalidParameter(*misfits)


def regular(key: str, pattern: str) -> Rule:
    """Return the rule that a pattern is a regular expression."""
    try:
        re.compile(pattern)
    except re.error as error:
        return key, False, f"a regular expression; in this one: {error}"
    return key, True, ""
