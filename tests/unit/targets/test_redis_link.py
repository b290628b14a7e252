import asyncio
import errno

import pytest
from resilience import redis_link
from resilience.redis_link import Link, Unavailable


def test_a_process_without_descriptors_is_cut_off_and_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """redis-py reads its own version from a file for each connection that it makes."""

    def none_left(**settings: object) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(redis_link, "Connection", none_left)
    with pytest.raises(Unavailable, match="Too many open files"):
        asyncio.run(Link.open("127.0.0.1", 1))
