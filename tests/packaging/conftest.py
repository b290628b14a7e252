"""Where the tests are, and what a shell outside them would see."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout that the tests are part of."""
    return Path(__file__).parents[2]


@pytest.fixture
def outside_environ() -> dict[str, str]:
    """The environment of a shell, without what this pytest run has put there."""
    ours = ("PYTEST_", "COVERAGE_", "COV_")
    return {key: value for key, value in os.environ.items() if not key.startswith(ours)}
