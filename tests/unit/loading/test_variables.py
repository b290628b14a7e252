"""What a target may say of variables, and where it is told that it may not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gameday.loading import load_target
from gameday.model.scenario import Vocabulary

Complaints = Callable[[Callable[[], object]], list[str]]

HEAD = "target: shop\ntitle: A shop\nservices:\n  order-db: {kind: redis}\n"


def write(folder: Path, rest: str) -> Path:
    path = folder / "shop" / "target.yaml"
    path.parent.mkdir()
    path.write_text(HEAD + rest)
    return path


def api(keys: str) -> str:
    return f"  api: {{kind: app, program: api, needs: [order-db], {keys}}}\n"


def test_a_service_may_use_what_it_is_told_and_ask_for_more(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    env = '{URL: "redis://:${ORDER_DB_PASSWORD}@${ORDER_DB_HOST}/$${0}", AT: "${PORT}"}'
    path = write(tmp_path, api(f"env: {env}, pass_env: [TOKEN, REGION]"))
    (_, made) = load_target(path, vocabulary).services
    assert made.pass_env == ("TOKEN", "REGION")
    assert set(made.env) == {"URL", "AT"}


VALID = "ORDER_DB_HOST, ORDER_DB_PORT, ORDER_DB_USER, ORDER_DB_PASSWORD, HOST, PORT, DATA_DIR"


@pytest.mark.parametrize(
    ("rest", "wanted"),
    [
        (
            api('env: {AT: "${ORDER_DB_HOTS}"}'),
            (
                "5: services.api.env.AT: '${ORDER_DB_HOTS}' is not a variable that this service "
                f"gets; valid: {VALID}; nearest: 'ORDER_DB_HOST'; '$${{' for the text '${{'"
            ),
        ),
        (
            api('env: {AT: "${ORDER-DB_HOST}"}'),
            (
                "5: services.api.env.AT: '${ORDER-DB_HOST}' is not a variable that this service "
                f"gets; valid: {VALID}; nearest: 'ORDER_DB_HOST'; '$${{' for the text '${{'"
            ),
        ),
        (
            api('env: {AT: "${ORDER_DB_HOST"}'),
            "5: services.api.env.AT: '${' lacks its '}'; write '$${' for the text '${'",
        ),
        (
            api('env: {"A B": x}'),
            (
                "5: services.api.env['A B']: 'A B' is not the name of a variable; "
                "use letters, digits and '_'"
            ),
        ),
        (
            api('env: {AT: "a\\0b"}'),
            "5: services.api.env.AT: the character NUL is not allowed in a variable or a file name",
        ),
        (
            api("pass_env: [TOKEN, 'MY TOKEN']"),
            (
                "5: services.api.pass_env[1]: 'MY TOKEN' is not the name of a variable; "
                "use letters, digits and '_'"
            ),
        ),
        (
            api("pass_env: [ORDER_DB_HOST]"),
            ("5: services.api.pass_env[0]: 'ORDER_DB_HOST' is set by gameday itself"),
        ),
        (
            api("pass_env: [TOKEN], env: {TOKEN: x}"),
            ("5: services.api.pass_env[0]: 'TOKEN' is already set by env; remove one of the two"),
        ),
        (api("pass_env: TOKEN"), "5: services.api.pass_env: 'TOKEN' is given; wanted a list"),
        (
            '  other: {kind: redis, env: {AT: "${ORDER_DB_HOST}"}}\n',
            (
                "5: services.other.env.AT: ${ORDER_DB_HOST} is not substituted here, only in "
                "the env of a service that runs a program"
            ),
        ),
        (
            (
                "  order_db: {kind: redis}\n"
                "  api: {kind: app, program: api, needs: [order-db, order_db]}\n"
            ),
            (
                "6: services.api.needs[1]: 'order-db' and 'order_db' would both be given as "
                "ORDER_DB_HOST; rename one"
            ),
        ),
        (
            api("env: {}") + 'switches: {off: {service: api, env: {AT: "${HOTS}"}}}\n',
            (
                "6: switches.off.env.AT: '${HOTS}' is not a variable that this service "
                f"gets; valid: {VALID}; nearest: 'HOST'; '$${{' for the text '${{'"
            ),
        ),
    ],
)
def test_a_wrong_variable_is_told_with_its_place(
    tmp_path: Path, vocabulary: Vocabulary, complaints: Complaints, rest: str, wanted: str
) -> None:
    path = write(tmp_path, rest)
    (told,) = complaints(lambda: load_target(path, vocabulary))
    assert re.sub(r":\d+: ", ": ", told, count=1) == f"shop/target.yaml:{wanted}"
