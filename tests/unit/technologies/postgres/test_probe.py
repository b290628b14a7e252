"""The PostgreSQL probe: what its answers say of a write, in the order of the writes."""

import pytest

from gameday.api.opening import Login
from gameday.load.messages import StreamPlan
from gameday.load.pipeline import Reply
from gameday.model.operation import Outcome
from gameday.technologies.postgres.probe import PostgresCodec
from gameday.technologies.postgres.protocol import PostgresMessages, message

DONE = message(b"C", b"INSERT 0 1\0")
READY = message(b"Z", b"I")


def codec(client: str = "postgres-write") -> PostgresCodec:
    return PostgresCodec(
        StreamPlan(
            name="probe-front",
            client=client,
            host="127.0.0.1",
            port=1,
            rate_per_s=50.0,
            deadline_ns=10**9,
            login=Login(user="ann", database="db"),
        )
    )


def refused(severity: str, code: str) -> bytes:
    return message(b"E", f"S{severity}\0V{severity}\0C{code}\0Mno\0\0".encode())


def test_a_write_is_one_row_of_the_stream() -> None:
    ((kind, statement),) = PostgresMessages().feed(codec().write(1, 7))
    assert kind == b"Q"
    assert b"('probe-front', 7) ON CONFLICT" in statement


def test_a_probe_that_may_not_write_only_asks() -> None:
    said = codec("postgres-read")
    assert list(PostgresMessages().feed(said.write(1, 7))) == [(b"Q", b"SELECT 7\0")]
    row = message(b"T", b"columns") + message(b"D", b"7") + message(b"C", b"SELECT 1\0") + READY
    assert list(said.hear(row + row)) == [Reply(1, Outcome.OK), Reply(2, Outcome.OK)]
    assert said.opening.start() == codec().opening.start()
    logged_in = message(b"R", b"\0\0\0\0") + READY
    assert said.opening.hear(logged_in) == b"", "a standby makes no table"
    assert said.opening.done


def test_a_login_as_the_targets_user_comes_first() -> None:
    assert b"user\0ann\0database\0db\0" in codec().opening.start()


def test_a_commit_is_a_success_even_if_nothing_follows_it() -> None:
    assert list(codec().hear(DONE)) == [Reply(1, Outcome.OK)]


def test_an_error_is_a_failure_and_belongs_to_its_own_write() -> None:
    data = DONE + READY + refused("ERROR", "25006") + READY + DONE + READY
    assert list(codec().hear(data)) == [
        Reply(1, Outcome.OK),
        Reply(2, Outcome.FAILED, "25006 no"),
        Reply(3, Outcome.OK),
    ]


@pytest.mark.parametrize("severity", ["FATAL", "PANIC"])
def test_the_end_of_a_session_leaves_the_write_unknown(severity: str) -> None:
    assert list(codec().hear(refused(severity, "57P01"))) == [Reply(1, Outcome.UNKNOWN, "57P01 no")]


def test_answers_in_pieces_are_whole_answers() -> None:
    said = codec()
    heard = [reply for byte in DONE + READY + DONE for reply in said.hear(bytes([byte]))]
    assert heard == [Reply(1, Outcome.OK), Reply(2, Outcome.OK)]


def test_what_is_no_answer_of_postgres_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="a message of"):
        list(codec().hear(b"HTTP/1.1 200 OK\r\n"))
