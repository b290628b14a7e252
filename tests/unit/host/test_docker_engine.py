"""What an engine refuses is told in one line."""

import docker
import pytest
import requests

from gameday.errors import EnvironmentRefused
from gameday.host.docker_engine import refusing


def test_an_engine_that_goes_away_is_told_of_in_the_kernels_words() -> None:
    with (
        pytest.raises(EnvironmentRefused, match=r"^making a thing: Broken pipe$"),
        refusing("making a thing"),
    ):
        raise requests.ConnectionError(
            "HTTPConnectionPool(host=...", BrokenPipeError(32, "Broken pipe")
        )


@pytest.mark.parametrize(
    "said",
    [
        "could not find an available, non-overlapping IPv4 address pool among the defaults",
        "all predefined address pools have been fully subnetted",
        "no available IPv4 addresses on this network's address pools: bridge (1a2b)",
    ],
)
def test_an_engine_without_addresses_is_told_of_with_the_cure(said: str) -> None:
    with (
        pytest.raises(EnvironmentRefused, match=r"subnetted.*network prune|pool.*network prune"),
        refusing("creating the run's network"),
    ):
        raise docker.errors.APIError(said)
