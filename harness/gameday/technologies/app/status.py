"""What a service of the app kind says of itself: GET /status."""

from gameday.api.service_kind import ServiceStatus
from gameday.http_reader import HttpReader, NoReply
from gameday.model.clock import SECOND

__all__ = ["json_answer", "read_status"]

_LIMIT_NS = 5 * SECOND
_STATUS_BYTES = 100_000


def read_status(reader: HttpReader) -> ServiceStatus:
    """Return GET /status of a service, and end the connection; NoReply if it gives none."""
    try:
        body = json_answer(reader, "/status", limit_ns=_LIMIT_NS, most_bytes=_STATUS_BYTES)
        return ServiceStatus(
            connected=bool(body["connected"]),
            lost=int(str(body["connections_lost"])),
            restored=int(str(body["connections_restored"])),
            given_up=bool(body["given_up"]),
        )
    except (ValueError, KeyError) as error:
        raise NoReply(f"GET /status: {type(error).__name__}: {str(error)[:200]}") from error
    finally:
        reader.close()


def json_answer(
    reader: HttpReader, path: str, *, limit_ns: int, most_bytes: int
) -> dict[str, object]:
    """Return the JSON object that a service answers with; NoReply for everything else."""
    reply = reader.get(path, limit_ns=limit_ns, most_bytes=most_bytes)
    if reply.status != 200:
        raise NoReply(f"GET {path} was answered by {reply.status}")
    return reply.json_object()
