"""A login to PostgreSQL proves what the server asks for, in pieces of any size."""

import base64
import hashlib
import hmac
import struct

import pytest

from gameday.api.opening import Login, TurnedAway
from gameday.technologies.postgres.protocol import (
    PostgresMessages,
    PostgresOpening,
    message,
    query,
    reason_of,
)

LOGIN = Login(user="ann", password="secret", database="db")
READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack(">I", 0)) + message(b"S", b"a\0b\0") + READY
SALT, ROUNDS = b"some salt", 4096


def opening(then: bytes = b"") -> PostgresOpening:
    return PostgresOpening(LOGIN, name="test", then=then)


def asked(kind: int, body: bytes = b"") -> bytes:
    return message(b"R", struct.pack(">I", kind) + body)


def said(data: bytes) -> list[tuple[bytes, bytes]]:
    return list(PostgresMessages().feed(data))


def test_the_first_words_name_the_user_and_the_database() -> None:
    first = opening().start()
    assert struct.unpack_from(">II", first) == (len(first), 196_608)
    assert b"user\0ann\0database\0db\0" in first


def test_a_server_that_trusts_everybody_is_ready_at_once() -> None:
    login = opening()
    assert login.hear(WELCOME) == b""
    assert login.done


def test_a_welcome_in_single_bytes_is_a_whole_welcome() -> None:
    login = opening()
    for byte in WELCOME[:-1]:
        login.hear(bytes([byte]))
        assert not login.done
    login.hear(WELCOME[-1:])
    assert login.done


def test_a_plain_password_is_sent_where_it_is_asked_for() -> None:
    assert opening().hear(asked(3)) == message(b"p", b"secret\0")


def test_an_md5_password_is_salted() -> None:
    inner = hashlib.md5(b"secretann").hexdigest().encode()
    outer = hashlib.md5(inner + b"salt").hexdigest().encode()
    assert opening().hear(asked(5, b"salt")) == message(b"p", b"md5" + outer + b"\0")


def test_a_scram_login_proves_the_password_without_saying_it() -> None:
    login = opening()
    ((_, first),) = said(login.hear(asked(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")))
    assert first.startswith(b"SCRAM-SHA-256\0")
    bare = first[first.index(b"n,,") + 3 :]
    nonce = bare.removeprefix(b"n=,r=") + b"more"
    challenge = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(SALT), ROUNDS)
    ((_, final),) = said(login.hear(asked(11, challenge)))
    unproven, _, proof = final.partition(b",p=")
    assert unproven == b"c=biws,r=" + nonce
    # As a server checks it: the proof gives away the client's key, whose digest it has kept.
    salted = hashlib.pbkdf2_hmac("sha256", b"secret", SALT, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    signature = hmac.digest(stored, b",".join((bare, challenge, unproven)), "sha256")
    key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    assert hashlib.sha256(key).digest() == stored
    assert login.hear(asked(12, b"v=whatever") + WELCOME) == b""
    assert login.done


def test_a_statement_that_follows_the_login_may_fail() -> None:
    login = opening(then=b"CREATE TABLE t ()")
    assert login.hear(WELCOME) == query(b"CREATE TABLE t ()")
    assert not login.done
    login.hear(message(b"E", b"SERROR\0C42P07\0Mit exists\0\0") + READY)
    assert login.done


def test_a_server_that_is_full_turns_the_client_away_with_its_reason() -> None:
    with pytest.raises(TurnedAway, match="53300 too many clients"):
        opening().hear(message(b"E", b"SFATAL\0VFATAL\0C53300\0Mtoo many clients\0\0"))


@pytest.mark.parametrize(
    "data",
    [asked(7), asked(10, b"SOMETHING\0\0"), asked(11, b"r=1"), b"HTTP/1.1 400 Bad Request\r\n"],
)
def test_what_is_no_login_turns_the_client_away(data: bytes) -> None:
    with pytest.raises(TurnedAway):
        opening().hear(data)


def test_a_challenge_without_its_parts_turns_the_client_away() -> None:
    login = opening()
    login.hear(asked(10, b"SCRAM-SHA-256\0\0"))
    with pytest.raises(TurnedAway):
        login.hear(asked(11, b"r=1"))


def test_an_error_has_a_severity_that_no_language_changes() -> None:
    body = b"SFEHLER\0VERROR\0C23505\0Mdoppelt\0\0"
    assert reason_of(body) == ("ERROR", "23505 doppelt")
