"""PostgreSQL's protocol 3.0 as far as a login and simple queries need it."""

import base64
import hashlib
import hmac
import os
import struct
import unicodedata
from collections.abc import Callable, Iterator

from gameday.api.opening import Login, TurnedAway

__all__ = ["TERMINATE", "PostgresMessages", "PostgresOpening", "message", "query", "reason_of"]

_PROTOCOL = 196_608
_LONGEST = 1 << 26
_NONCE_BYTES = 18


def message(kind: bytes, body: bytes = b"") -> bytes:
    """Return one message; the length counts itself and the body."""
    return kind + struct.pack(">I", len(body) + 4) + body


def query(statement: bytes) -> bytes:
    """Return a simple query, which is a transaction of its own."""
    return message(b"Q", statement + b"\0")


TERMINATE = message(b"X")
"""Goodbye: the server ends the connection."""


class PostgresMessages:
    """The whole messages in what came so far."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the kind and the body of each message that is whole now; ValueError if none is."""
        self._data += data
        while len(self._data) >= 5:
            (length,) = struct.unpack_from(">I", self._data, 1)
            if not 4 <= length <= _LONGEST:
                raise ValueError(f"a message of {length} bytes")
            if len(self._data) <= length:
                return
            kind, body = self._data[:1], self._data[5 : length + 1]
            self._data = self._data[length + 1 :]
            yield kind, body


def reason_of(body: bytes) -> tuple[str, str]:
    """Return the severity of an error, in no language, and its code with the server's words."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    severity = fields.get(b"V", fields.get(b"S", ""))
    return severity, f"{fields.get(b'C', '')} {fields.get(b'M', '')}".strip()


class PostgresOpening:
    """Logs in as the server asks: by SCRAM-SHA-256, MD5, a plain password, or not at all.

    `then` is a statement that follows the login; how it ends does not matter.
    """

    def __init__(self, login: Login, *, name: str, then: bytes = b"") -> None:
        self.done = False
        self._login = login
        self._name = name
        self._then = then
        self._messages = PostgresMessages()
        self._in = False
        self._prove: Callable[[bytes], bytes] | None = None

    def start(self) -> bytes:
        said = {
            "user": self._login.user,
            "database": self._login.database,
            "application_name": self._name,
        }
        words = b"".join(word.encode() + b"\0" for pair in said.items() for word in pair)
        body = struct.pack(">I", _PROTOCOL) + words + b"\0"
        return struct.pack(">I", len(body) + 4) + body

    def hear(self, data: bytes) -> bytes:
        say = b""
        try:
            for kind, body in self._messages.feed(data):
                match kind:
                    case b"E" if not self._in:
                        raise TurnedAway(reason_of(body)[1])
                    case b"R":
                        say += self._answer(struct.unpack_from(">I", body)[0], body[4:])
                    case b"Z" if not self._in and self._then:
                        self._in = True
                        say += query(self._then)
                    case b"Z":
                        self.done = True
        except (ValueError, KeyError, struct.error) as error:
            raise TurnedAway(f"not a login of PostgreSQL: {error}") from error
        return say

    def _answer(self, asked: int, body: bytes) -> bytes:
        """Answer a wish for a login by the protocol's number of it."""
        login = self._login
        match asked:
            case 0 | 12:
                return b""
            case 3:
                return message(b"p", login.password.encode() + b"\0")
            case 5:
                inner = hashlib.md5((login.password + login.user).encode()).hexdigest()  # noqa: S324
                outer = hashlib.md5(inner.encode() + body).hexdigest()  # noqa: S324
                return message(b"p", b"md5" + outer.encode() + b"\0")
            case 10 if b"SCRAM-SHA-256" in body.split(b"\0") and self._prove is None:
                first, self._prove = _scram(login.password)
                words = b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first
                return message(b"p", words)
            case 11 if self._prove is not None:
                return message(b"p", self._prove(body))
            case other:
                raise TurnedAway(f"it wants a login of kind {other}, which is not spoken here")


def _scram(password: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return the first words of RFC 5802, and what makes the proof of the server's challenge."""
    nonce = base64.b64encode(os.urandom(_NONCE_BYTES))
    bare = b"n=,r=" + nonce
    secret = unicodedata.normalize("NFKC", password).encode()

    def prove(challenge: bytes) -> bytes:
        fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", secret, base64.b64decode(fields[b"s"]), int(fields[b"i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = b"c=biws,r=" + fields[b"r"]
        signed = b",".join((bare, challenge, final))
        mask = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, mask, strict=True))
        return final + b",p=" + base64.b64encode(proof)

    return b"n,," + bare, prove
