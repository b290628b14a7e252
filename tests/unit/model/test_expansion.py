import pytest

from gameday.model.expansion import expand, is_closed, names_in, prefix_of

VALUES = {"DB_HOST": "127.0.0.1", "DB_PORT": "7", "DB_PASSWORD": "a$b${c}\\1"}


@pytest.mark.parametrize(
    ("text", "names", "expanded"),
    [
        ("plain", (), "plain"),
        ("${DB_HOST}:${DB_PORT}", ("DB_HOST", "DB_PORT"), "127.0.0.1:7"),
        ("$${DB_HOST}", (), "${DB_HOST}"),
        ("$$${DB_PORT}", (), "$${DB_PORT}"),
        ("$${DB_HOST}${DB_PORT}", ("DB_PORT",), "${DB_HOST}7"),
        ("$DB_HOST $$ $", (), "$DB_HOST $$ $"),
        ("${DB_PASSWORD}", ("DB_PASSWORD",), "a$b${c}\\1"),
    ],
)
def test_a_name_in_braces_is_put_in_once_and_two_dollars_are_one(
    text: str, names: tuple[str, ...], expanded: str
) -> None:
    assert names_in(text) == names
    assert is_closed(text)
    assert expand(text, VALUES) == expanded


def test_a_brace_that_is_never_closed_is_seen() -> None:
    assert not is_closed("${DB_HOST}/${DB")
    assert is_closed("$${DB")


def test_the_name_of_a_service_becomes_that_of_a_variable() -> None:
    assert prefix_of("order-db") == "ORDER_DB"
    assert prefix_of("redis") == "REDIS"
