"""The receiving service's record, read over HTTP while the run lasts and once more at its end."""

from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from gameday.model.history import Deliveries
from gameday.workload.publish import checksum, surge_of

__all__ = ["Ledger", "ServiceStatus", "read_status", "save_record"]

_POLL_LIMIT_S = 0.25
_FINAL_LIMIT_S = 5.0
_PAGES_MOST = 10_000
"""Bounds a final read at 50 million entries: more than any load here can write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """What a service says of its connection to what it needs."""

    connected: bool
    lost: int
    restored: int
    given_up: bool


_NO_VALUE = 2**32 - 1
"""Stands for a number that no signal has: what a receiver writes down may be anything."""


class Ledger:
    """Reads GET /record of one service; entries of other runs or with a bad checksum are kept.

    Those of the run's own surges are left out: they are load, and nothing is expected of them.
    """

    def __init__(self, url: str, run: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_POLL_LIMIT_S, trust_env=False)
        self._run = run
        self._forget()

    def poll(self) -> None:
        """Read what is new; a service that does not answer now is asked again next time."""
        try:
            self._page(_POLL_LIMIT_S)
        except (httpx.HTTPError, ValueError, KeyError):
            return

    def final_read(self) -> Deliveries:
        """Return the whole record, read anew from its first entry: the authoritative read.

        Raises httpx.HTTPError or ValueError when the service does not give it.
        """
        self._forget()
        for _ in range(_PAGES_MOST):
            if not self._page(_FINAL_LIMIT_S):
                return self.seen()
        raise ValueError("the record does not end")

    def seen(self) -> Deliveries:
        """Return what has been read so far."""
        return Deliveries(
            value=np.array(self._values, dtype=np.uint32),
            received_ns=np.array(self._received, dtype=np.int64),
            intact=np.array(self._intact, dtype=np.bool_),
        )

    def close(self) -> None:
        self._client.close()

    def _forget(self) -> None:
        self._read = 0
        self._values: list[int] = []
        self._received: list[int] = []
        self._intact: list[bool] = []

    def _page(self, limit_s: float) -> bool:
        """Read one page; tell whether there may be another."""
        response = self._client.get("/record", params={"after": self._read}, timeout=limit_s)
        response.raise_for_status()
        body = response.json()
        for value, check, received_ns in body["entries"]:
            self._read += 1
            if check == checksum(surge_of(self._run), int(value)):
                continue
            self._values.append(min(max(int(value), 0), _NO_VALUE))
            self._received.append(int(received_ns))
            self._intact.append(check == checksum(self._run, int(value)))
        return self._read < int(body["total"])


def save_record(deliveries: Deliveries, folder: Path) -> None:
    """Write the final read to record.csv: the evidence that a count of losses rests on."""
    columns = np.column_stack([deliveries.value, deliveries.received_ns, deliveries.intact])
    np.savetxt(
        folder / "record.csv", columns, "%d", ",", header="value,received_ns,intact", comments=""
    )


def read_status(url: str) -> ServiceStatus:
    """Return GET /status of a service; httpx.HTTPError or ValueError when it gives none."""
    response = httpx.get(f"{url}/status", timeout=_FINAL_LIMIT_S, trust_env=False)
    response.raise_for_status()
    body = response.json()
    return ServiceStatus(
        connected=bool(body["connected"]),
        lost=int(body["connections_lost"]),
        restored=int(body["connections_restored"]),
        given_up=bool(body["given_up"]),
    )
