"""Puts the data folders into real wheels."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BundleData(BuildHookInterface):
    """Copies scenarios and targets into real wheels, never into editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to what the wheel carries.

        An editable install would keep a stale copy that the code cannot reach.
        """
        if version == "standard":
            for folder in ("scenarios", "targets"):
                build_data["force_include"][folder] = f"gameday/_bundled/{folder}"
