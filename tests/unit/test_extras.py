"""What is not installed is named, with the command that installs it."""

import importlib
from typing import Protocol

import pytest

from gameday.extras import Missing, docker_missing
from gameday.registry import KINDS


class Hide(Protocol):
    """Lets packages not be installed."""

    def __call__(self, *names: str) -> None: ...


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Hide:
    def hide(*names: str) -> None:
        for module in ("gameday.extras", "gameday.technologies.postgres.driver"):
            monkeypatch.setattr(
                f"{module}.find_spec", lambda name: None if name in names else object()
            )

    return hide


def missing_of(extra: str) -> Missing | None:
    return docker_missing() if extra == "docker" else KINDS[extra].client_missing()


@pytest.mark.parametrize(
    ("extra", "package"),
    [
        ("docker", "docker"),
        ("docker", "testcontainers"),
        ("docker", "toxiproxy"),
        ("postgres", "psycopg"),
        ("rabbitmq", "pika"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    without: Hide, extra: str, package: str
) -> None:
    without(package)
    missing = missing_of(extra)
    assert missing is not None
    assert missing.seen == f"the Python package {package} is not installed"
    assert missing.cure == f"pip install 'pytest-gameday[{extra}]'"


@pytest.mark.parametrize("extra", ["docker", "postgres", "postgres-replica", "rabbitmq", "redis"])
def test_what_is_installed_is_not_missing(without: Hide, extra: str) -> None:
    without()
    assert missing_of(extra) is None


def test_psycopg_without_a_libpq_cannot_be_used(
    without: Hide, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_libpq(name: str) -> None:
        raise ImportError("no pq wrapper available.\nAttempts made: ...")

    without("psycopg_binary", "psycopg_c")
    monkeypatch.setattr(importlib, "import_module", no_libpq)
    missing = missing_of("postgres")
    assert missing is not None
    assert missing.seen == "the Python package psycopg cannot be used: no pq wrapper available."
