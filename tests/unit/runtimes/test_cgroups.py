"""Where a control group of the run's own is made."""

from pathlib import Path

import pytest

from gameday.api.bounds import Resource
from gameday.errors import EnvironmentRefused
from gameday.host.cgroup import Cgroup
from gameday.runtimes.process.cgroups import make_cgroup


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    """A scope as `systemd-run --user --scope -p Delegate=yes` makes it, in the user's slice."""
    scope = tmp_path / "app.slice" / "run-1.scope"
    scope.mkdir(parents=True)
    (scope / "cgroup.subtree_control").write_text("\n")
    (scope.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return scope


@pytest.mark.parametrize("resource", ["cpu", "memory", "pids"])
def test_a_group_is_made_in_the_slice_of_a_scope_that_systemd_has_delegated(
    scope: Path, resource: Resource
) -> None:
    made = make_cgroup(Cgroup(path=scope, version=2, resource=resource), "gameday-1-redis")
    assert made.path == scope.parent / "gameday-1-redis"
    assert made.path.is_dir()


def test_what_systemd_does_not_hand_down_is_refused(scope: Path) -> None:
    with pytest.raises(EnvironmentRefused, match="hands io down"):
        make_cgroup(Cgroup(path=scope, version=2, resource="io"), "gameday-1-redis")
