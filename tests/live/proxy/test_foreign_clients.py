"""Clients that others wrote drive both servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from toxiproxy import Toxiproxy  # type: ignore[import-untyped]
from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

if TYPE_CHECKING:
    from tests.live.proxy.conftest import Server, Upstream

pytestmark = pytest.mark.live


def test_toxiproxy_python_drives_it(server: Server, upstream: Upstream) -> None:
    api = Toxiproxy()
    api.update_api_consumer(server.host, server.port)
    proxy = api.create(upstream=upstream.address, name="p")
    assert api.get_proxy("p").listen == proxy.listen
    with pytest.raises(ProxyExists):
        api.create(upstream=upstream.address, name="p")
    proxy.add_toxic(type="latency", attributes={"latency": 50, "jitter": 5})
    assert proxy.get_toxic("latency_downstream").attributes == {"latency": 50, "jitter": 5}
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="nonsense")
    proxy.destroy_toxic("latency_downstream")
    assert proxy.toxics() == {}
    with proxy.down():
        assert api.get_proxy("p").enabled is False
    assert api.get_proxy("p").enabled is True
    assert api.reset()
    (populated,) = api.populate([{"name": "q", "upstream": "a:1", "listen": "127.0.0.1:0"}])
    assert populated.name == "q"
    assert b"version" in api.version()
    proxy.destroy()
    with pytest.raises(NotFound):
        proxy.destroy()
