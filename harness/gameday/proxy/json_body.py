"""The JSON of a call, taken apart; what is wrong with it is said as Toxiproxy says it.

Names are read as Go reads them, without regard to case, and null is the same as nothing. A name
that is not known is refused: a misspelt name that does nothing is a fault that is not there.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches

from gameday.proxy.refusal import ApiRefusal

__all__ = ["kind_of", "parse_json", "read_fields", "read_share", "read_text"]


def parse_json(body: bytes) -> object:
    """Read `body`, which must hold something."""
    if not body.strip():
        raise ApiRefusal("bad request body: EOF", 400)
    try:
        # Given bytes, it would also take UTF-16 and a byte order mark.
        value: object = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ApiRefusal(f"bad request body: {error}", 400) from error
    return value


def read_fields(value: object, known: tuple[str, ...], what: str) -> dict[str, object]:
    """Take the fields of a JSON object whose every name is in `known`."""
    if not isinstance(value, dict):
        raise ApiRefusal(f"bad request body: wanted {what} as an object, got {kind_of(value)}", 400)
    fold = {name.lower(): name for name in known}
    given: dict[str, object] = {}
    for key, item in value.items():
        name = fold.get(str(key).lower())
        if name is None:
            nearest = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ApiRefusal(
                f"bad request body: {what} has no {key!r}; known: {', '.join(known)}{hint}", 400
            )
        if item is not None:
            given[name] = item
    return given


def read_text(given: Mapping[str, object], name: str) -> str | None:
    """Take a text, or None where there is nothing."""
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiRefusal(f"bad request body: {name} is a string, got {kind_of(value)}", 400)
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        message = f"bad request body: {name} is {value!r}, which is no Unicode text"
        raise ApiRefusal(message, 400) from None
    return value


def read_share(given: Mapping[str, object], name: str, default: float) -> float:
    """Take a number from 0 to 1."""
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiRefusal(f"bad request body: {name} is a number, got {kind_of(value)}", 400)
    if not 0 <= value <= 1:
        raise ApiRefusal(f"bad request body: {name} is {value}; wanted 0 to 1", 400)
    return float(value)


def kind_of(value: object) -> str:
    """Say what `value` is, in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value)
