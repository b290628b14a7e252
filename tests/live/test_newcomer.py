"""A new user's own project: its programs beside its target, in every runtime, from any folder."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_LIMIT_S = 180
_FILES = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
    "scenarios/x.yaml": """\
scenario: x
title: The database restarts while orders come in
target: shop
workload:
  - publish: {to: api, ledger: api, rate: 50/s, deadline: 1s}
steady: {success: ">= 95%", p99: "<= 900ms", for: 1s}
timeline: {baseline: 4s, recovery: 60s, quiet: 1s}
faults:
  - kill: order-db
    for: 1s
expect:
  - recovery: "<= 50s"
  - lost: "== 0"
""",
    "targets/shop/target.yaml": """\
target: shop
title: A shop with a database
services:
  order-db: {kind: redis, options: {appendonly: "yes", appendfsync: always}}
  api:
    kind: app
    program: api
    needs: [order-db]
    env:
      DATABASE_URL: "redis://${ORDER_DB_USER}:${ORDER_DB_PASSWORD}@${ORDER_DB_HOST}:${ORDER_DB_PORT}"
      BIND: "${HOST}:${PORT}"
    pass_env: [SHOP_COLOUR, SHOP_UNSET]
""",
    "targets/shop/api.py": """\
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from shop_store.orders import Orders, Unsure, Unwritten

orders = Orders(os.environ["DATABASE_URL"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        at = urlparse(self.path)
        if at.path == "/record":
            self.answer(200, orders.page(int(parse_qs(at.query)["after"][0])))
        elif at.path == "/status":
            self.answer(200, {
                "connected": True, "connections_lost": 0, "connections_restored": 0,
                "given_up": False, "time_ns": time.time_ns(),
            })
        else:
            try:
                orders.touch()
                self.answer(200, {})
            except (Unsure, Unwritten) as error:
                self.answer(503, {"error": str(error)})

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            orders.add([order["id"], order["check"], time.monotonic_ns()])
            self.answer(200, {"ack": order["id"]})
        except Unwritten as error:
            self.answer(503, {"error": str(error)})
        except Unsure as error:
            self.answer(504, {"error": str(error)})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass


print("variables", json.dumps(sorted(os.environ)), flush=True)
print("colour", os.environ["SHOP_COLOUR"], flush=True)
host, port = os.environ["BIND"].split(":")
ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
""",
    "shop_store/__init__.py": "",
    "shop_store/orders.py": """\
import json

import redis


class Unwritten(Exception):
    pass


class Unsure(Exception):
    pass


class Orders:
    def __init__(self, url):
        self._client = redis.Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def touch(self):
        self._run(lambda: self._client.set("ready", 1))

    def add(self, order):
        self._run(lambda: self._client.rpush("orders", json.dumps(order)))

    def page(self, after):
        entries = self._client.lrange("orders", after, after + 4999)
        total = self._client.llen("orders")
        return {"entries": [json.loads(entry) for entry in entries], "total": total}

    def _run(self, call):
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise Unwritten(str(error)) from error
        try:
            call()
        except redis.RedisError as error:
            raise Unsure(str(error)) from error
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a target, whose program and what that imports are in two places."""
    root = tmp_path / "project"
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(params=["root", "elsewhere"])
def place(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> tuple[Path, str]:
    """The folder that everything is called in, and how the scenario is named there."""
    if request.param == "root":
        return project, "x"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    return elsewhere, "../project/scenarios/x.yaml"


@pytest.fixture
def images(runtime: str, project: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave no image of the project behind, nor use one that a killed test has left."""
    if runtime != "docker":
        yield
        return
    engine = request.getfixturevalue("docker_engine")
    for left in engine.images.list(filters={"label": "gameday.programs"}):
        if "/pytest-of-" in left.labels["gameday.programs"]:
            engine.images.remove(left.id)
    yield
    label = f"gameday.programs=api of {project / 'targets' / 'shop'}"
    made = engine.images.list(filters={"label": label})
    assert len(made) == 1
    engine.images.remove(made[0].id)


def said(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_validate_and_the_plan_find_the_program_from_any_folder(place: tuple[Path, str]) -> None:
    folder, name = place
    assert said(folder, "gameday", "validate", name).rstrip().endswith("x.yaml: valid")
    plan = said(
        folder, "pytest", f"--scenario={name}", "--gameday-plan", "--gameday-runtime=process"
    )
    assert "target shop in process" in plan
    assert "process: --gameday-runtime=process" in plan


def test_what_validate_does_not_find_the_plan_and_the_run_do_not_find_either(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module on the caller's PYTHONPATH would not be there in the process of the service."""
    away = project.parent / "away"
    away.mkdir()
    (project / "targets" / "shop" / "api.py").rename(away / "api.py")
    monkeypatch.setenv("PYTHONPATH", str(away))
    for command in (["gameday", "validate", "x"], ["pytest", "--scenario=x"]):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        assert done.returncode != 0
        assert "'api' is not a module that Python can run here" in done.stdout + done.stderr


@pytest.mark.sample("docker-elsewhere")
@pytest.mark.alone
@pytest.mark.usefixtures("images")
def test_a_run_from_any_folder_starts_the_projects_own_program(
    launch: Launch, place: tuple[Path, str], runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_COLOUR", "blue")
    for other in ("SHOP_SECRET", "HTTP_PROXY", "PGHOST"):
        monkeypatch.setenv(other, "http://127.0.0.1:9")
    folder, name = place
    process = launch(
        folder,
        [f"--scenario={name}", f"--gameday-runtime={runtime}", "--gameday-reports=reports"],
    )
    output, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, output
    assert f"services run in {runtime}: --gameday-runtime={runtime}" in output
    (run,) = (folder / "reports").iterdir()
    result = json.loads((run / "result.json").read_text())
    assert (result["verdict"], result["runtime"]) == ("PASS", runtime)
    log = (run / "logs" / "api.log").read_text()
    assert "colour blue" in log
    (line,) = (line for line in log.splitlines() if "variables [" in line)
    variables = set(json.loads(line.partition("variables ")[2]))
    assert {"ORDER_DB_HOST", "ORDER_DB_PORT", "DATABASE_URL", "SHOP_COLOUR"} <= variables
    assert not variables & {"SHOP_SECRET", "SHOP_UNSET", "HTTP_PROXY", "PGHOST"}
