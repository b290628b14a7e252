"""What can go wrong with a run other than the system under test."""

from gameday.escaping import printable

__all__ = [
    "EnvironmentRefused",
    "ExtensionError",
    "GamedayError",
    "InternalError",
    "NotHealed",
    "ScenarioError",
]

_MOST_PROBLEMS = 50


class GamedayError(Exception):
    """The base of every error that gameday raises on purpose. Its text is one readable report."""

    def __init__(self, *texts: object) -> None:
        super().__init__(*(printable(text) if isinstance(text, str) else text for text in texts))


class ScenarioError(GamedayError):
    """A scenario, target or SLA file is wrong. Nothing was started: mend the file and run again.

    `problems` are all of them, each once; the text shows the first fifty and says how many more.
    """

    def __init__(self, *problems: str) -> None:
        each = (line for text in problems for line in printable(text).split("\n"))
        self.problems = tuple(dict.fromkeys(each))
        shown = self.problems[:_MOST_PROBLEMS]
        more = len(self.problems) - len(shown)
        rest = [f"and {more} more problem{'s' if more > 1 else ''}"] if more else []
        super().__init__("\n".join([*shown, *rest]))


class ExtensionError(GamedayError):
    """An extension cannot be used; the text names its distribution. Nothing was started.

    Repair or uninstall it, and run again.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))


class EnvironmentRefused(GamedayError):
    """The host could not give what the plan needs. The text says what, and how to get it."""


class NotHealed(GamedayError):
    """A fault or the environment could not be undone. Clean up what the text names."""


class InternalError(GamedayError):
    """A promise inside gameday was broken. Please report it, with the run's journal attached."""
