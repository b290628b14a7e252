"""A connection over libpq is the same whatever the caller has exported."""

import os
import socket
import threading

import psycopg
import pytest
from psycopg.pq import Conninfo

from gameday.technologies.postgres import libpq

NOBODY = "192.0.2.1"
"""An address for documents, where nobody is."""

HOSTILE = {
    **{
        option.envvar.decode(): "none-such"
        for option in Conninfo.get_defaults()
        if option.envvar is not None
    },
    "PGHOSTADDR": NOBODY,
    "PGHOST": NOBODY,
    "PGPORT": "1",
    "PGSERVICEFILE": "/none/such",
    "PGSYSCONFDIR": "/none/such",
    "PGTZ": "Nowhere/Nothing",
    "PGDATESTYLE": "none-such",
    "PGGEQO": "none-such",
    "PGLOCALEDIR": "/none/such",
}


class Listener:
    """Answers nothing and keeps what each client said first."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self.heard.append(client.recv(4096))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


def said_first(port: int, listener: Listener) -> bytes:
    with pytest.raises(psycopg.OperationalError):
        libpq.connect(
            host="127.0.0.1",
            port=port,
            user="ann",
            password="secret",
            dbname="shop",
            connect_timeout=5,
            application_name="test",
            options="-c statement_timeout=1000",
        )
    return listener.heard[-1]


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_no_variable_changes_whom_it_dials_and_what_it_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in HOSTILE:
        monkeypatch.delenv(variable, raising=False)
    listener = Listener()
    try:
        usual = said_first(listener.port, listener)
        monkeypatch.setenv(name, HOSTILE[name])
        assert said_first(listener.port, listener) == usual
        assert len(listener.heard) == 2
        assert os.environ[name] == HOSTILE[name], "it is the caller's, and stays"
    finally:
        listener.close()


def test_all_of_them_at_once_do_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in HOSTILE.items():
        monkeypatch.setenv(variable, value)
    listener = Listener()
    try:
        said = said_first(listener.port, listener)
    finally:
        listener.close()
    assert b"user\0ann\0database\0shop\0" in said
    assert b"none-such" not in said
    assert b"Nowhere" not in said
    assert dict(os.environ).items() >= HOSTILE.items()
