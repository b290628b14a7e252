"""What the `pytest_gameday_*` hooks add to the registry, for as long as a session lasts."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from pluggy import HookImpl

from gameday.errors import ExtensionError
from gameday.registry import extend, forget, registry

__all__ = ["extended", "forget_extensions"]

_GROUPS = ("technologies", "faults", "findings", "reporters")
_EXTENDED = pytest.StashKey[bool]()


def extended(config: pytest.Config) -> None:
    """Call the hooks, once a session; pytest.UsageError if an extension cannot be used."""
    if not config.stash.get(_EXTENDED, False):
        config.stash[_EXTENDED] = True
        for group in _GROUPS:
            caller = getattr(config.hook, f"pytest_gameday_{group}")
            for hook in caller.get_hookimpls():
                extend(group, _named(hook.plugin_name, config.rootpath), _offered(hook, config))
    try:
        registry()
    except ExtensionError as error:
        raise pytest.UsageError(str(error)) from None


def forget_extensions(config: pytest.Config) -> None:
    """Leave the registry as it was before the session."""
    if config.stash.get(_EXTENDED, False):
        forget()


def _offered(hook: HookImpl, config: pytest.Config) -> Iterable[object]:
    """Call one hook; like all of pytest's, it may leave out arguments that it does not need."""
    offered = hook.function(**dict.fromkeys(hook.argnames, config))
    if not isinstance(offered, Iterable):
        raise pytest.UsageError(
            f"{hook.plugin_name}: {hook.function.__name__} returned {offered!r}; wanted a list"
        )
    return offered


def _named(plugin: str, root: Path) -> str:
    """Return what a plugin is called: a conftest.py by its path from the root folder."""
    path = Path(plugin)
    return str(path.relative_to(root)) if path.is_relative_to(root) else plugin
