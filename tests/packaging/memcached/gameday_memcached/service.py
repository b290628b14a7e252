"""Memcached as a kind of service: the official image, or the server on PATH."""

import os
import shutil
from pathlib import Path

from gameday import Dialect, Endpoint, NotReadyError, Probe, ServiceKind, ServiceSpec
from gameday_memcached.talk import ask

__all__ = ["Memcached"]


class _Text(Dialect):
    greeting = b"version\r\n"


class Memcached(ServiceKind):
    """A single Memcached; `options` are its long options, such as `memory-limit: "64"`."""

    name = "memcached"
    port = 11211
    data = "/tmp"
    one_process = True
    probe = Probe(name="memcached-set", client="gameday_memcached.probe:SET")

    def image(self, spec: ServiceSpec) -> str:
        return spec.image or "memcached:1.6-bookworm"

    def container_command(self, spec: ServiceSpec) -> list[str]:
        return ["memcached", *_options(spec)]

    def missing(self, spec: ServiceSpec) -> str | None:
        if shutil.which("memcached"):
            return None
        return f"{spec.name}: no memcached on PATH; install memcached, or start a Docker engine"

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        account = ["--user=nobody"] if os.geteuid() == 0 else []
        listen = ["--listen=127.0.0.1", f"--port={port}", "--udp-port=0"]
        return ["memcached", *listen, *account, *_options(spec)]

    def program(self) -> Path | None:
        found = shutil.which("memcached")
        return Path(found) if found else None

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        answer = ask(endpoint, b"set gameday:ready 0 0 1\r\n1\r\n", b"\r\n")
        if answer != b"STORED\r\n":
            raise NotReadyError(f"Memcached at {endpoint} answered a set with {answer!r}")
        return "a set was stored"

    def dialect(self, spec: ServiceSpec) -> Dialect:
        return _Text()


def _options(spec: ServiceSpec) -> list[str]:
    return [f"--{name}={value}" for name, value in spec.options.items()]
