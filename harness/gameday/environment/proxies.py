"""The harness's side of the proxies: one adapter for every server that speaks Toxiproxy's API.

toxiproxy-python has no time limits, keeps the server's address in a class for all to share, and
believes what it sent. Here every call has a limit, every server its own address, and everything
that is set is read back and compared.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import quote

import requests
from pydantic import BaseModel, TypeAdapter, ValidationError
from toxiproxy.api import APIConsumer  # type: ignore[import-untyped]
from toxiproxy.exceptions import (  # type: ignore[import-untyped]
    InvalidToxic,
    NotFound,
    ProxyExists,
)

from gameday.errors import EnvironmentRefused

__all__ = ["Counters", "ProxyControl", "ProxyState", "Stream", "ToxicState"]

Stream = Literal["upstream", "downstream"]
"""The direction of a toxic: upstream is from the client to the service."""

_LIMIT_S = 5.0
_RETRY_PAUSE_S = 0.01
_ANY_HOST = ("", "0.0.0.0", "::", "[::]")  # noqa: S104


class ToxicState(BaseModel):
    """A toxic as the server reports it."""

    name: str
    type: str
    stream: str
    toxicity: float
    attributes: dict[str, int]


class ProxyState(BaseModel):
    """A proxy as the server reports it."""

    name: str
    listen: str
    upstream: str
    enabled: bool
    toxics: list[ToxicState] = []


class Counters(BaseModel):
    """What went through one proxy so far. Only gameday's own proxy counts while it runs."""

    connections_open: int
    connections_total: int
    bytes_upstream: int
    bytes_downstream: int
    refused_upstream: int
