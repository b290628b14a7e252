"""Clients that others wrote drive both servers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NoReturn

import pytest
from toxiproxy import Toxiproxy  # type: ignore[import-untyped]
from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.proxy.conftest import Server, Upstream

pytestmark = pytest.mark.live

NODE_CLIENT = "toxiproxy-node-client@4.1.0"


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


NODE = """
import assert from "node:assert";
import client from "toxiproxy-node-client";

const { Toxiproxy } = client;
const [api, upstream] = process.argv.slice(2);
const server = new Toxiproxy(api);
const refused = (status) => ({ message: new RegExp(`status code ${status}`) });

assert.match(await server.getVersion(), /version/);
const given = { name: "p", listen: "127.0.0.1:0", upstream };
const proxy = await server.createProxy(given);
assert.equal(proxy.upstream, upstream);
await assert.rejects(server.createProxy(given), refused(409));
assert.equal((await server.get("p")).listen, proxy.listen);
await assert.rejects(server.get("q"), refused(404));

const latency = { name: "slow", type: "latency", stream: "upstream", toxicity: 1 };
const toxic = await proxy.addToxic({ ...latency, attributes: { latency: 50, jitter: 5 } });
assert.deepEqual(toxic.toJson(), { ...latency, attributes: { latency: 50, jitter: 5 } });
const changed = await toxic.update({ ...latency, attributes: { latency: 70, jitter: 5 } });
assert.equal(changed.attributes.latency, 70);
assert.equal((await proxy.getToxic("slow")).attributes.latency, 70);
await changed.remove();
await assert.rejects(proxy.getToxic("slow"), refused(404));
await assert.rejects(proxy.addToxic({ ...latency, type: "nonsense" }), refused(400));

const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
assert.equal(off.enabled, false);
await server.reset();
assert.equal((await server.get("p")).enabled, true);

const made = await server.populate([{ ...given, name: "r" }, { ...given, name: "s" }]);
assert.deepEqual(Object.keys(made), ["r", "s"]);
assert.deepEqual(Object.keys(await server.getAll()).sort(), ["p", "r", "s"]);
for (const each of Object.values(await server.getAll())) await each.remove();
assert.deepEqual(await server.getAll(), {});
console.log("all of it");
"""


@pytest.fixture(scope="session")
def node_client(
    tmp_path_factory: pytest.TempPathFactory,
    program: Callable[[str], str],
    missing: Callable[[str], NoReturn],
) -> list[str]:
    """The command that runs NODE, with the client that npm installs beside it."""
    node, npm = program("node"), program("npm")
    folder = tmp_path_factory.mktemp("node")
    script = folder / "drive.mjs"
    script.write_text(NODE)
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", NODE_CLIENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        missing(f"{NODE_CLIENT} from npm within 60 s")
    if done.returncode:
        missing(f"{NODE_CLIENT} from npm: {done.stderr[-500:]}")
    return [node, str(script)]


def test_toxiproxy_node_client_drives_it(
    server: Server, upstream: Upstream, node_client: list[str]
) -> None:
    done = subprocess.run(
        [*node_client, f"http://{server.host}:{server.port}", upstream.address],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stderr
