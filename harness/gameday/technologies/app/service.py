"""A service of the target's own: a Python program that answers on /ready."""

import http.client
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from gameday.api.clocks import Reading, read_between
from gameday.api.environment import Endpoint, NotReadyError
from gameday.api.service_kind import Probe, ServiceKind, ServiceStatus
from gameday.http_reader import HttpReader, NoReply
from gameday.model.clock import SECOND
from gameday.model.scenario import ServiceSpec
from gameday.runtimes.program import app_image, is_bundled, program_image
from gameday.technologies.app.dialect import AppDialect
from gameday.technologies.app.status import read_status

__all__ = ["App"]

_ANSWER_LIMIT_NS = 2 * SECOND
_STATUS_BYTES = 100_000
_REASON_BYTES = 2000
_REQUIRED = ("starlette", "uvicorn", "redis")


class App(ServiceKind):
    """A program that reads HOST, PORT, DATA_DIR and the addresses of what it needs."""

    own = ("HOST", "PORT", "DATA_DIR")
    """What it is told of itself, which the target may use in other variables."""

    name = "app"
    port = 8000
    data = "/data"
    probe = Probe(name="http-ready", client="gameday.technologies.app.probe:READY", writes=False)
    speaks_http = True
    one_process = True

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or program_image(spec) or app_image()

    def container_command(self, spec: ServiceSpec) -> list[str]:
        # An image of the target's own may have a Python without -P, and its program where it works.
        return ["python", *([] if spec.image else ["-P"]), "-m", _program(spec)]

    def missing(self, spec: ServiceSpec) -> str | None:
        absent = [name for name in _REQUIRED if importlib.util.find_spec(name) is None]
        if not absent or not is_bundled(spec):
            return None
        return f"{spec.name}: Python has no {', '.join(absent)}; pip install {' '.join(absent)}"

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        return [sys.executable, "-P", "-m", _program(spec)]

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        return {"HOST": host, "PORT": str(port), "DATA_DIR": home, "PYTHONUNBUFFERED": "1"}

    def dialect(self, spec: ServiceSpec) -> AppDialect:
        return AppDialect()

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """GET /ready: 200 only once the service has itself written to what it needs."""
        reader = HttpReader(endpoint.host, endpoint.port)
        try:
            reply = reader.get("/ready", limit_ns=_ANSWER_LIMIT_NS, most_bytes=_STATUS_BYTES)
        except NoReply as error:
            raise NotReadyError(f"GET {endpoint}/ready: {error}") from error
        finally:
            reader.close()
        if reply.status != http.client.OK:
            body = reply.body[:_REASON_BYTES].decode(errors="replace")
            raise NotReadyError(f"GET {endpoint}/ready: {reply.status} {_reason(body)}")
        return "GET /ready answered 200"

    def status(self, endpoint: Endpoint) -> ServiceStatus:
        return read_status(HttpReader(endpoint.host, endpoint.port))

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        """GET /status: an app whose clock can be set says `time_ns` there."""
        reader = HttpReader(endpoint.host, endpoint.port)

        def ask() -> int:
            limit_ns = _ANSWER_LIMIT_NS
            told = reader.get("/status", limit_ns=limit_ns, most_bytes=_STATUS_BYTES)
            return int(str(told.json_object()["time_ns"]))

        try:
            ask()  # so that no connect is in what is measured
            return read_between(ask)
        except (NoReply, ValueError, KeyError) as error:
            raise NotReadyError(f"GET {endpoint}/status: no time_ns: {error!r}") from error
        finally:
            reader.close()


def _program(spec: ServiceSpec) -> str:
    assert spec.program is not None, "loading refuses an app without a program"
    return spec.program


def _reason(body: str) -> str:
    try:
        return str(json.loads(body))
    except ValueError:
        return body
