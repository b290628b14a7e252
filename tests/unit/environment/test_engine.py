"""What an engine refuses is told in one line."""

import pytest
import requests

from gameday.environment.engine import refusing
from gameday.errors import EnvironmentRefused


def test_an_engine_that_goes_away_is_told_of_in_the_kernels_words() -> None:
    with (
        pytest.raises(EnvironmentRefused, match=r"^making a thing: Broken pipe$"),
        refusing("making a thing"),
    ):
        raise requests.ConnectionError(
            "HTTPConnectionPool(host=...", BrokenPipeError(32, "Broken pipe")
        )
