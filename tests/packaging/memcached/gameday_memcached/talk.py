"""One question to a Memcached, by its text protocol."""

import socket

from gameday import Endpoint, NotReadyError

__all__ = ["ask"]

_LIMIT_S = 1.0
_MOST_BYTES = 4096


def ask(endpoint: Endpoint, question: bytes, end: bytes) -> bytes:
    """Return the answer up to its `end`. Raises NotReadyError if it does not come."""
    answer = b""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), _LIMIT_S) as connection:
            connection.sendall(question)
            while not answer.endswith(end) and len(answer) < _MOST_BYTES:
                data = connection.recv(_MOST_BYTES)
                if not data:
                    raise NotReadyError(f"Memcached at {endpoint} ended the connection: {answer!r}")
                answer += data
    except OSError as error:
        raise NotReadyError(f"Memcached at {endpoint}: {error}") from error
    return answer
