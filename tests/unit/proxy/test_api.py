import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest

from gameday.proxy import api as api_module
from gameday.proxy.address import Address
from gameday.proxy.api import Api
from gameday.proxy.http import Request, Response
from gameday.proxy.proxy import ProxyConfig
from gameday.proxy.timer import DeadlineTimer


def answers(
    *calls: tuple[str, str, object], limit_s: float = 4.0, agent: str = "test"
) -> list[Response]:
    """Send the calls to an API without a server, one after another."""

    async def run() -> list[Response]:
        timer = DeadlineTimer(asyncio.get_running_loop())
        api = Api(ProxyConfig(timer=timer), limit_s)
        got: list[Response] = []
        for method, path, body in calls:
            raw = b"" if body is None else json.dumps(body).encode()
            headers = {"user-agent": agent}
            request = Request(method=method, path=path, headers=headers, body=raw)
            got.append(await api.handle(request))
        api.close()
        timer.close()
        return got

    return asyncio.run(run())


def resolving(with_what: Callable[[str], Awaitable[Address]]) -> pytest.MonkeyPatch:
    patch = pytest.MonkeyPatch()
    patch.setattr(api_module, "resolve_listen", with_what)
    return patch


CREATE = ("POST", "/proxies", {"name": "p", "listen": "somewhere:0", "upstream": "127.0.0.1:9"})


def test_a_call_that_takes_too_long_is_a_503_in_the_shape_of_a_refusal() -> None:
    async def hangs(text: str) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    patch = resolving(hangs)
    try:
        (answer, listed) = answers(CREATE, ("GET", "/proxies", None), limit_s=0.01)
    finally:
        patch.undo()
    assert answer.status == 503
    assert json.loads(answer.body) == {"error": "not done within 0.01 s", "status": 503}
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert listed.body == b"{}"


def test_a_mistake_of_ours_is_a_500_in_the_shape_of_a_refusal() -> None:
    async def breaks(text: str) -> NoReturn:
        raise KeyError("what")

    patch = resolving(breaks)
    try:
        (answer,) = answers(CREATE)
    finally:
        patch.undo()
    assert answer.status == 500
    assert json.loads(answer.body) == {"error": "KeyError('what')", "status": 500}


def test_a_browser_is_not_let_in() -> None:
    (answer,) = answers(("GET", "/metrics", None), agent="Mozilla/5.0")
    assert answer.status == 403


def test_metrics_without_a_proxy_name_their_families() -> None:
    (answer,) = answers(("GET", "/metrics", None))
    assert answer.headers == {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    assert [line.split()[:3] for line in answer.body.decode().splitlines()] == [
        ["#", word, f"toxiproxy_proxy_{way}_bytes_total"]
        for way in ("received", "sent")
        for word in ("HELP", "TYPE")
    ]


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_a_proxy_that_other_hosts_could_reach_is_refused(listen: str) -> None:
    given = {"name": "p", "listen": listen, "upstream": "127.0.0.1:9", "enabled": False}
    here = {**given, "listen": "127.0.0.1:0"}
    answers_ = answers(
        ("POST", "/proxies", given),
        ("POST", "/populate", [given]),
        ("POST", "/proxies", here),
        ("PATCH", "/proxies/p", {"listen": listen}),
        ("POST", "/proxies/p", {"listen": listen}),
    )
    refused = [answers_[number] for number in (0, 1, 3, 4)]
    assert {answer.status for answer in refused} == {403}
    assert all(b"other hosts could reach it" in answer.body for answer in refused)
    assert answers_[2].status == 201


@pytest.mark.parametrize("listen", ["", ":0", ":"])
def test_a_proxy_without_a_host_listens_where_only_this_one_reaches_it(listen: str) -> None:
    (answer,) = answers(("POST", "/proxies", {"name": "p", "listen": listen, "upstream": "a:1"}))
    assert answer.status == 201
    assert json.loads(answer.body)["listen"].startswith("127.0.0.1:")


def test_names_may_hold_anything_in_a_path() -> None:
    name = {"name": 'a/b "c"', "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    named = "a%2Fb%20%22c%22"
    rules = f"/gameday/http/{named}/rules"
    got = answers(
        ("POST", "/proxies", {**name, "protocol": "http"}),
        ("GET", f"/proxies/{named}", None),
        ("POST", rules, {"action": "abort"}),
        ("GET", f"{rules}/abort", None),
        ("DELETE", f"{rules}/abort", None),
        ("DELETE", f"{rules}/abort", None),
        ("PUT", rules, None),
        ("GET", "/gameday/http", None),
    )
    assert [answer.status for answer in got] == [201, 200, 200, 200, 204, 404, 405, 404]


def test_populate_replaces_a_proxy_that_speaks_something_else() -> None:
    given = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": False}
    got = answers(
        ("POST", "/populate", [given]),
        ("POST", "/proxies/p/toxics", {"type": "half_open"}),
        ("POST", "/populate", [given]),
        ("POST", "/populate", [{**given, "protocol": "http"}]),
        ("POST", "/populate", [given]),
    )
    shapes = [json.loads(got[index].body)["proxies"][0] for index in (0, 2, 3, 4)]
    assert [shape.get("protocol") for shape in shapes] == [None, None, "http", "http"]
    assert [len(shape["toxics"]) for shape in shapes] == [0, 1, 0, 0]


def test_metrics_are_given_whatever_the_method() -> None:
    assert [answer.status for answer in answers(("PUT", "/metrics", None))] == [200]


@pytest.mark.parametrize("given", [{"upstream": ""}, {"listen": ""}])
def test_a_change_to_an_empty_address_is_refused(given: dict[str, str]) -> None:
    create = ("POST", "/proxies", {"name": "p", "listen": "127.0.0.1:0", "upstream": "a:1"})
    _, changed = answers(create, ("PATCH", "/proxies/p", given))
    assert changed.status == 400
    assert "is empty" in json.loads(changed.body)["error"]


def test_toxics_that_would_not_be_put_in_are_refused_and_those_that_are_there_are_not() -> None:
    given = {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": False}
    toxic: dict[str, object] = {
        "name": "t", "type": "latency", "stream": "upstream", "toxicity": 1,
        "attributes": {"latency": 5, "jitter": 0},
    }  # fmt: skip
    got = answers(
        ("POST", "/proxies", {**given, "toxics": [toxic]}),
        ("POST", "/populate", [{**given, "toxics": [toxic]}]),
        ("POST", "/proxies", {**given, "toxics": []}),
        ("POST", "/proxies/p/toxics", toxic),
        ("POST", "/populate", [{**given, "toxics": [toxic]}]),
        ("POST", "/populate", [{**given, "toxics": [{**toxic, "name": "u"}]}]),
        ("GET", "/proxies/p/toxics", None),
        ("POST", "/proxies", {**given, "toxics": "t"}),
    )
    assert [answer.status for answer in got] == [400, 400, 201, 200, 201, 400, 200, 400]
    assert json.loads(got[6].body) == [toxic]


def test_a_proxy_that_is_deleted_while_a_change_waits_stays_deleted() -> None:
    async def run() -> tuple[int, int, bytes]:
        timer = DeadlineTimer(asyncio.get_running_loop())
        api = Api(ProxyConfig(timer=timer))

        async def call(method: str, path: str, body: object = None) -> Response:
            raw = json.dumps(body).encode()
            return await api.handle(Request(method=method, path=path, headers={}, body=raw))

        waits, go_on = asyncio.Event(), asyncio.Event()

        async def slowly(text: str) -> Address:
            waits.set()
            await go_on.wait()
            return Address(host="127.0.0.1", port=0)

        await call("POST", "/proxies", {"name": "p", "listen": "127.0.0.1:0", "upstream": "a:1"})
        patch = resolving(slowly)
        try:
            change = asyncio.create_task(call("PATCH", "/proxies/p", {"listen": "somewhere:0"}))
            await waits.wait()
            deleted = await call("DELETE", "/proxies/p")
            go_on.set()
            changed = await change
        finally:
            patch.undo()
        listed = await call("GET", "/proxies")
        api.close()
        timer.close()
        return deleted.status, changed.status, listed.body

    assert asyncio.run(run()) == (204, 404, b"{}")


def test_a_name_that_is_no_unicode_text_is_refused() -> None:
    given = {"listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    refused, metrics = answers(
        ("POST", "/proxies", {**given, "name": "\ud800"}), ("GET", "/metrics", None)
    )
    assert (refused.status, metrics.status) == (400, 200)


def test_the_connections_of_a_proxy_are_listed_and_those_of_none_are_not_found() -> None:
    given = {"name": "a/b", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}
    _, listed, unknown, put = answers(
        ("POST", "/proxies", given),
        ("GET", "/gameday/connections/a%2Fb", None),
        ("GET", "/gameday/connections/p", None),
        ("PUT", "/gameday/connections/a%2Fb", None),
    )
    assert (listed.status, json.loads(listed.body)) == (200, {"open": [], "over": []})
    assert unknown.status == 404
    assert json.loads(unknown.body) == {"error": "proxy not found", "status": 404}
    assert put.status == 405
