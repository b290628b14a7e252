"""What the command line says of scenarios, checked before anything is collected."""

from pathlib import Path

import pytest

from gameday.engine.planning import Options
from gameday.escaping import printable
from gameday.resources import bundled

__all__ = ["check_options", "folders_of", "options_of"]


def check_options(config: pytest.Config) -> None:
    """Raise pytest.UsageError for options that say nothing, or no two things at once."""
    try:
        options_of(config)
    except ValueError as error:
        raise pytest.UsageError(printable(str(error))) from error
    if config.getoption("gameday_sweep") and config.getoption("gameday_sabotage"):
        raise pytest.UsageError(
            "--gameday-sweep and --gameday-sabotage each make tests of their own; choose one, and "
            "a value of the sweep by --gameday-set"
        )
    # The option is there only with xdist, whose other processes would print to nobody.
    shared = getattr(config.option, "dist", "no") != "no"
    if config.getoption("gameday_plan") and shared:
        raise pytest.UsageError("--gameday-plan starts nothing that could be shared; remove -n")
    alone = getattr(config.option, "numprocesses", None) == 1
    if config.getoption("gameday_ports") and shared and not alone:
        raise pytest.UsageError(
            "--gameday-ports gives every run the same ports, and -n runs several at once; remove "
            "one of the two"
        )


def options_of(config: pytest.Config) -> Options:
    """Return what the command line says; ValueError for a setting that is none."""
    settings: dict[str, str] = {}
    for text in config.getoption("gameday_set"):
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise ValueError(f"--gameday-set {text!r}: write NAME=VALUE, such as outage=500ms")
        settings[name] = value
    port_base: int = config.getoption("gameday_ports")
    if port_base and not 1024 <= port_base <= 65000:
        raise ValueError(f"--gameday-ports {port_base}: choose a port from 1024 to 65000")
    return Options(
        runtime=config.getoption("gameday_runtime"),
        proxy=config.getoption("gameday_proxy"),
        seed=config.getoption("gameday_seed"),
        port_base=port_base,
        settings=settings,
        folders=folders_of(config),
    )


def folders_of(config: pytest.Config) -> tuple[Path, ...]:
    """Return the folders of the user's own scenarios: of the ini key, else ./scenarios."""
    named: list[Path] = config.getini("gameday_scenarios")
    if not named:
        named = [config.rootpath / "scenarios", config.invocation_params.dir / "scenarios"]
    return tuple(
        dict.fromkeys(p for p in named if p.is_dir() and p.resolve() != bundled("scenarios"))
    )
