"""Connections over libpq that take every setting from here, and none from who runs the harness.

libpq fills in what it is not told from some thirty variables, a password file and a service file.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

__all__ = ["connect"]

_FIXED = {
    "hostaddr": "",
    "passfile": os.devnull,
    "sslmode": "disable",
    "sslcertmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "prefer",
    "require_auth": "none,password,md5,scram-sha-256",
    "requirepeer": "",
    "min_protocol_version": "3.0",
    "max_protocol_version": "3.0",
    "target_session_attrs": "any",
    "load_balance_hosts": "disable",
    "client_encoding": "UTF8",
}
"""What a connection to a server of ours has, as far as this libpq knows it."""

_UNANSWERABLE = ("PGSERVICE", "PGTZ", "PGDATESTYLE", "PGGEQO")
"""What libpq reads whatever it is told. An unknown service or time zone ends every login."""

_lock = threading.Lock()
_hidden: dict[str, str] = {}
_users = 0


def connect(
    *,
    host: str,
    port: int,
    user: str,
    password: str,
    dbname: str,
    connect_timeout: int,
    application_name: str,
    options: str,
) -> "psycopg.Connection[tuple[object, ...]]":
    """Log in over TCP; every statement commits. Raises psycopg.Error."""
    import psycopg  # 250 ms, so not before a server is there
    from psycopg.conninfo import make_conninfo

    with _without_unanswerable():
        return psycopg.connect(
            make_conninfo(**_settings()),
            host=host,
            port=port,
            user=user,
            password=password,
            dbname=dbname,
            connect_timeout=connect_timeout,
            application_name=application_name,
            options=options,
            autocommit=True,
        )


def _settings() -> dict[str, str]:
    """Return what is fixed, and the default of libpq for all else that is in a variable."""
    from psycopg.pq import Conninfo

    known = {option.keyword.decode(): option for option in Conninfo.get_defaults()}
    exported = {
        keyword: (option.compiled or b"").decode()
        for keyword, option in known.items()
        if option.envvar and option.envvar.decode() in os.environ
    }
    return {**exported, **{key: value for key, value in _FIXED.items() if key in known}}


@contextmanager
def _without_unanswerable() -> Iterator[None]:
    """Hide from libpq what no setting can answer; others may hide it at the same time."""
    global _users
    with _lock:
        _users += 1
        for name in _UNANSWERABLE:
            if name in os.environ:
                _hidden[name] = os.environ.pop(name)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                os.environ.update(_hidden)
                _hidden.clear()
