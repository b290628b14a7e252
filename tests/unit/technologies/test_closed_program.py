"""A server whose folder is closed to its account is copied, or refused with what helps."""

from pathlib import Path

import pytest

from gameday.errors import EnvironmentRefused
from gameday.model.scenario import ServiceSpec
from gameday.technologies.redis import service as redis

SPEC = ServiceSpec(name="cache", kind="redis")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    server = tmp_path / "closed" / "redis-server"
    server.parent.mkdir()
    server.write_bytes(b"#!/bin/sh\n")
    monkeypatch.setattr(redis, "find_redis_server", lambda: server)
    monkeypatch.setattr(redis, "account", lambda: 12345)
    monkeypatch.setattr(redis, "give_to", lambda _path, _number: None)
    return server


def test_it_is_copied_where_its_account_may_run_it(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "may_run", lambda program, _account: program != server)
    redis.Redis().prepare(SPEC, home=tmp_path)
    assert (tmp_path / "redis-server").read_bytes() == server.read_bytes()


def test_where_a_copy_may_not_be_run_either_the_cure_is_named(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "may_run", lambda _program, _account: False)
    with pytest.raises(EnvironmentRefused, match=r"^cache: .*closed to the account.*TMPDIR"):
        redis.Redis().prepare(SPEC, home=tmp_path)
