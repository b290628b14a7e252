"""Whether a fault says that it is in still, as a run asks it right before the undo."""

from gameday.api.fault import Injection, Lasting

__all__ = ["is_active"]


def is_active(injection: Injection) -> bool:
    """Return what it says; TypeError for one that has nothing to say, as it is over by itself."""
    if not isinstance(injection, Lasting):
        raise TypeError(f"{type(injection).__name__} is over by itself")
    return injection.is_active().proven
