"""The Docker engine, whose errors become one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker.errors import DockerException

from gameday.errors import EnvironmentRefused

__all__ = ["refusing"]


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn an engine's error into one line that says what was asked for."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise EnvironmentRefused(f"{what}: {error}") from error
