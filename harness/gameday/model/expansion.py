"""`${NAME}` in a target's variables stands for a value that is known once the target runs.

`$${` stands for the characters `${` themselves.
"""

import re
from collections.abc import Mapping

__all__ = ["expand", "is_closed", "names_in", "prefix_of"]

_USE = re.compile(r"\$(?P<escaped>\$)(?=\{)|\$\{(?P<name>[^}]*)\}")


def prefix_of(service: str) -> str:
    """Return what the variables about a service begin with: `order-db` gives ORDER_DB."""
    return service.upper().replace("-", "_")


def names_in(text: str) -> tuple[str, ...]:
    """Return the names that a text uses."""
    return tuple(use["name"] for use in _USE.finditer(text) if use["escaped"] is None)


def is_closed(text: str) -> bool:
    """Tell whether every `${` in a text has its `}`."""
    return "${" not in _USE.sub("_", text)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the values put in; loading has refused every other name."""
    return _USE.sub(lambda use: "$" if use["escaped"] else values[use["name"]], text)
