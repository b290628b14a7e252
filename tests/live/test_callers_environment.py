"""What somebody has exported changes neither what a run says nor whether it can be had."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest
from psycopg.pq import Conninfo

from gameday.cli.doctor.servers import server_of
from gameday.registry import KINDS

pytestmark = pytest.mark.live

Launch = Callable[[Path, list[str]], "subprocess.Popen[str]"]

_LIMIT_S = 240
_NOBODY = "192.0.2.1"
"""An address for documents: who dials it gets no answer, and the run no verdict."""
_EXPORTED = {
    **{option.envvar.decode(): "none-such" for option in Conninfo.get_defaults() if option.envvar},
    "PGHOST": _NOBODY,
    "PGHOSTADDR": _NOBODY,
    "PGPORT": "1",
    "PGCONNECT_TIMEOUT": "0",
    "PGSSLMODE": "verify-full",
    "PGTZ": "Nowhere/Nothing",
    "PGDATESTYLE": "none-such",
    "PGSERVICEFILE": "/none/such",
    "PGSYSCONFDIR": "/none/such",
    "PGDATA": "/none/such",
    "REDIS_HOST": _NOBODY,
    "REDIS_PORT": "1",
    "RABBITMQ_NODENAME": "nobody@nowhere",
    "RABBITMQ_NODE_PORT": "1",
    "RABBITMQ_CONFIG_FILE": "/none/such",
    "ERL_FLAGS": "-none-such",
    "SIGNALS_RECONNECT": "off",
    "SIGNALS_REPLAY": "off",
    "HOST": _NOBODY,
    "PORT": "1",
    "DATA_DIR": "/none/such",
    "BASH_ENV": "/none/such",
    "TZ": "Asia/Kathmandu",
    "SSL_CERT_FILE": "/none/such",
    "REQUESTS_CA_BUNDLE": "/none/such",
    "PYTHONOPTIMIZE": "1",
    "PYTHONASYNCIODEBUG": "1",
    "PYTHONIOENCODING": "ascii",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What a company's proxy was asked for, with all of the above exported beside it."""
    heard: list[bytes] = []
    for name, value in _EXPORTED.items():
        monkeypatch.setenv(name, value)
    with create_server(("127.0.0.1", 0)) as proxy:

        def listen() -> None:
            while True:
                try:
                    client, _ = proxy.accept()
                except OSError:
                    return
                with client:
                    heard.append(client.recv(1000))

        thread = Thread(target=listen, daemon=True)
        thread.start()
        where = f"127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://{where}")
            monkeypatch.setenv(name.lower(), f"http://{where}")
        monkeypatch.setenv("ALL_PROXY", f"socks5://{where}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield heard


@pytest.mark.full
@pytest.mark.alone
def test_the_main_job_passes_whatever_is_exported(
    launch: Launch, tmp_path: Path, runtime: str, asked: list[bytes]
) -> None:
    job = ["--scenario=redis-restart", "--gameday-set=outage=500ms"]
    process = launch(tmp_path, [*job, f"--gameday-runtime={runtime}"])
    output, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, output
    (result,) = tmp_path.glob("reports/*/result.json")
    assert json.loads(result.read_text())["verdict"] == "PASS"
    assert asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_started_and_dialled_where_it_is_whatever_is_exported(
    kind: str, asked: list[bytes]
) -> None:
    assert server_of(kind).check().startswith("ready in")
    assert asked == []
