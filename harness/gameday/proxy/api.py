"""The calls of the control API: which there are, and what each does."""

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from gameday.proxy.address import Address, BadAddress, format_address, resolve_listen
from gameday.proxy.gate import is_loopback
from gameday.proxy.http import Request, Response
from gameday.proxy.metrics import PROMETHEUS_TYPE, connections, counters, prometheus_text
from gameday.proxy.proxy import Proxy, ProxyConfig, Speaks
from gameday.proxy.refusal import ApiRefusal
from gameday.proxy.shapes import (
    ProxyChange,
    proxy_shape,
    read_proxies,
    read_proxy,
    read_toxic_change,
    read_toxic_new,
    toxic_shape,
)
from gameday.proxy.url import route_words

__all__ = ["VERSION", "Api"]

VERSION = "2.12.0+gameday"
"""The version of Toxiproxy whose API this is, and who speaks it."""

_log = logging.getLogger(__name__)
_CALL_LIMIT_S = 4.0
_ANY = ""
"""Instead of a method: whichever it is."""
_Call = Callable[[Request, str, str], Awaitable[Response]]


class Api:
    """The proxies of one process, and the calls that make, change and show them.

    A call is answered when its effect is there: no later connection meets the state before it.
    Nothing but the resolving of a listen address is waited for. That has a limit, and so has the
    call as a whole, which may resolve many.
    """

    def __init__(
        self,
        around: ProxyConfig,
        limit_s: float = _CALL_LIMIT_S,
        *,
        beyond_loopback: bool = False,
    ) -> None:
        """`beyond_loopback` lets proxies listen where other hosts can reach them."""
        self._around = around
        self._limit_s = limit_s
        self._beyond_loopback = beyond_loopback
        self._proxies: dict[str, Proxy] = {}
        # The words of a path; "*" is the name of a proxy, the second one that of a toxic.
        self._routes: dict[tuple[str, ...], dict[str, _Call]] = {
            ("version",): {"GET": self._version},
            ("reset",): {"POST": self._reset},
            ("populate",): {"POST": self._populate},
            ("proxies",): {"GET": self._list, "POST": self._create},
            ("proxies", "*"): {
                "GET": self._show,
                "POST": self._update,
                "PATCH": self._update,
                "DELETE": self._delete,
            },
            ("proxies", "*", "toxics"): {"GET": self._list_toxics, "POST": self._add_toxic},
            ("proxies", "*", "toxics", "*"): {
                "GET": self._show_toxic,
                "POST": self._update_toxic,
                "PATCH": self._update_toxic,
                "DELETE": self._remove_toxic,
            },
            ("metrics",): {_ANY: self._metrics},
            ("gameday", "counters"): {"GET": self._counters},
            ("gameday", "connections", "*"): {"GET": self._connections},
            ("gameday", "http", "*", "rules"): dict.fromkeys(
                ("GET", "POST", "DELETE"), self._rules
            ),
            ("gameday", "http", "*", "rules", "*"): dict.fromkeys(("GET", "DELETE"), self._rules),
        }

    async def handle(self, request: Request) -> Response:
        """Answer `request`; a refusal is an answer too."""
        # A page in a browser must not be able to reach through to the proxies.
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            return Response.text("User agent not allowed", 403)
        pattern, names = route_words(request.path)
        calls = self._routes.get(pattern)
        if calls is None:
            return Response.text("404 page not found", 404)
        call = calls.get(request.method) or calls.get(_ANY)
        if call is None:
            return Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
        proxy_name, toxic_name = (*names, "", "")[:2]
        limit = asyncio.timeout(self._limit_s)
        try:
            async with limit:
                return await call(request, proxy_name, toxic_name)
        except ApiRefusal as error:
            return _refused(error.message, error.status)
        except Exception as error:
            if limit.expired():
                return _refused(f"not done within {self._limit_s:g} s", 503)
            _log.exception("%s %s", request.method, request.path)
            return _refused(repr(error), 500)

    def close(self) -> None:
        """Delete every proxy."""
        for proxy in self._proxies.values():
            proxy.delete()
        self._proxies.clear()

    async def _version(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        headers = {"Content-Type": "application/json;charset=utf-8"}
        body = f'{{"version": "{VERSION}"}}\n'.encode()
        return Response(status=200, body=body, headers=headers)

    async def _reset(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        for proxy in list(self._proxies.values()):
            _enable(proxy)
            proxy.toxics.clear()
            proxy.rules.clear()
        return Response(status=HTTPStatus.NO_CONTENT)

    async def _populate(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        done: list[Proxy] = []
        try:
            for change in read_proxies(request.body):
                done.append(await self._placed(change))  # noqa: PERF401  kept when one fails
        except ApiRefusal as error:
            made = _shapes(done) or None
            answer = {"error": error.message, "status": error.status, "proxies": made}
            return Response.json(answer, error.status)
        return Response.json({"proxies": _shapes(done) or None}, HTTPStatus.CREATED)

    async def _placed(self, change: ProxyChange) -> Proxy:
        """Give the proxy that `change` describes, made anew unless it is there already."""
        name, upstream = change.name or "", change.upstream or ""
        listen = change.listen or ""
        address = await self._resolved(listen)
        known = self._proxies.get(name)
        if known is not None:
            same = known.listen == format_address(address) and known.upstream == upstream
            if same and change.protocol in (None, known.speaks):
                _refuse_toxics(change, known)
                return known
        _refuse_toxics(change, None)
        if known is not None:
            known.delete()
        return self._added(change, address)

    async def _list(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        shapes = {name: proxy_shape(self._proxies[name]) for name in sorted(self._proxies)}
        return Response.json(shapes)

    async def _create(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        change = read_proxy(request.body)
        for name, given in (("name", change.name), ("upstream", change.upstream)):
            if not given:
                raise ApiRefusal(f"missing required field: {name}", 400)
        _refuse_toxics(change, None)
        name = change.name or ""
        if name in self._proxies:
            raise ApiRefusal("proxy already exists", 409)
        address = await self._resolved(change.listen or "")
        # Somebody else may have taken the name while the address was looked up.
        if name in self._proxies:
            raise ApiRefusal("proxy already exists", 409)
        return Response.json(proxy_shape(self._added(change, address)), HTTPStatus.CREATED)

    def _added(self, change: ProxyChange, address: Address) -> Proxy:
        proxy = Proxy(
            name=change.name or "",
            listen=change.listen or "",
            address=address,
            upstream=change.upstream or "",
            around=self._around,
            speaks=change.protocol or Speaks.TCP,
        )
        if change.enabled is not False:
            _enable(proxy)
        self._proxies[proxy.name] = proxy
        return proxy

    async def _show(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        return Response.json(proxy_shape(self._proxy(proxy_name)))

    async def _update(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        proxy = self._proxy(proxy_name)
        change = read_proxy(request.body)
        if change.name is not None and change.name != proxy_name:
            raise ApiRefusal(f"bad request body: name is {proxy_name!r} and cannot change", 400)
        for name, given in (("listen", change.listen), ("upstream", change.upstream)):
            if given == "":
                raise ApiRefusal(f"bad request body: {name} is empty", 400)
        # Only what the call names is compared: an address that was never bound stays as written.
        address = await self._resolved(change.listen) if change.listen else None
        # Somebody else may have deleted it while the address was looked up.
        if self._proxies.get(proxy_name) is not proxy:
            raise ApiRefusal("proxy not found", 404)
        enabled = proxy.enabled if change.enabled is None else change.enabled
        if address is not None and change.listen and format_address(address) != proxy.listen:
            proxy.move(change.listen, address)
        if change.upstream and change.upstream != proxy.upstream:
            proxy.redirect(change.upstream)
        if change.protocol and change.protocol is not proxy.speaks:
            proxy.speak(change.protocol)
        if enabled:
            _enable(proxy)
        else:
            proxy.disable()
        return Response.json(proxy_shape(proxy))

    async def _delete(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        self._proxy(proxy_name).delete()
        del self._proxies[proxy_name]
        return Response(status=HTTPStatus.NO_CONTENT)

    async def _list_toxics(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        toxics = self._proxy(proxy_name).toxics.listed()
        return Response.json([toxic_shape(toxic) for toxic in toxics])

    async def _add_toxic(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        proxy = self._proxy(proxy_name)
        toxic = read_toxic_new(request.body)
        proxy.toxics.add(toxic)
        return Response.json(toxic_shape(toxic))

    async def _show_toxic(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        return Response.json(toxic_shape(self._proxy(proxy_name).toxics.get(toxic_name)))

    async def _update_toxic(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        toxics = self._proxy(proxy_name).toxics
        toxic = toxics.get(toxic_name)
        change = read_toxic_change(request.body, toxic)
        toxic.toxicity = change.toxicity
        toxic.attributes.follow(change.attributes)
        toxics.changed(toxic)
        return Response.json(toxic_shape(toxic))

    async def _remove_toxic(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        toxics = self._proxy(proxy_name).toxics
        toxics.remove(toxics.get(toxic_name))
        return Response(status=HTTPStatus.NO_CONTENT)

    async def _counters(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        return Response.json(counters(self._proxies))

    async def _connections(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        return Response.json(connections(self._proxy(proxy_name)))

    async def _metrics(self, request: Request, proxy_name: str, toxic_name: str) -> Response:
        text = prometheus_text(self._proxies[name] for name in sorted(self._proxies))
        headers = {"Content-Type": PROMETHEUS_TYPE}
        return Response(status=200, body=text.encode(), headers=headers)

    async def _rules(self, request: Request, proxy_name: str, rule_name: str) -> Response:
        # Every run waits for this process to start, and few have rules.
        from gameday.proxy.rule_calls import answer

        return answer(request, self._proxy(proxy_name), rule_name)

    async def _resolved(self, listen: str) -> Address:
        if not self._beyond_loopback and listen.partition(":")[0] == "":
            listen = f"127.0.0.1{listen or ':0'}"  # to Go no host is any, which nobody asked for
        try:
            address = await resolve_listen(listen)
        except BadAddress as error:
            raise ApiRefusal(f"listen tcp: {error}", 500) from error
        if not self._beyond_loopback and not is_loopback(address.host):
            raise ApiRefusal(
                f"listen tcp {format_address(address)}: other hosts could reach it; listen on "
                "127.0.0.1, or start the proxy with --beyond-loopback",
                403,
            )
        return address

    def _proxy(self, name: str) -> Proxy:
        proxy = self._proxies.get(name)
        if proxy is None:
            raise ApiRefusal("proxy not found", 404)
        return proxy


def _refused(message: str, status: int) -> Response:
    """Say what was wrong in Toxiproxy's shape."""
    shape = Response.json({"error": message, "status": status}).body.decode()
    return Response.text(shape, status)


def _refuse_toxics(change: ProxyChange, known: Proxy | None) -> None:
    """Refuse toxics that the call names and that are not there: it would not put them in."""
    there = [] if known is None else [toxic_shape(toxic) for toxic in known.toxics.listed()]
    if change.toxics and list(change.toxics) != there:
        raise ApiRefusal(
            "bad request body: toxics are not added here; add each by a POST to the toxics", 400
        )


def _shapes(proxies: Iterable[Proxy]) -> list[dict[str, object]]:
    return [proxy_shape(proxy) for proxy in proxies]


def _enable(proxy: Proxy) -> None:
    """Enable `proxy`, or say in Go's words why not."""
    try:
        proxy.enable()
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        if error.errno == errno.EADDRNOTAVAIL:
            reason = "cannot assign requested address"
        raise ApiRefusal(f"listen tcp {proxy.listen}: bind: {reason}", 500) from error
