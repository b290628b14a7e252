"""What can go wrong with a run other than the system under test."""

__all__ = [
    "EnvironmentRefused",
    "GamedayError",
    "InternalError",
    "NotHealed",
    "ScenarioError",
]


class GamedayError(Exception):
    """The base of every error that gameday raises on purpose. Its text is one readable report."""


class ScenarioError(GamedayError):
    """A scenario, target or SLA file is wrong. Nothing was started: mend the file and run again."""


class EnvironmentRefused(GamedayError):
    """The host could not give what the plan needs. The text says what, and how to get it."""


class NotHealed(GamedayError):
    """A fault or the environment could not be undone. Clean up what the text names."""


class InternalError(GamedayError):
    """A promise inside gameday was broken. Please report it, with the run's journal attached."""
