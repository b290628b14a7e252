"""A field type whose YAML is text with a unit; pydantic is imported only for a schema."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["NUMBER", "UnitText"]

# Bounded, so that no text can ask for a number that cannot be computed with.
NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"
_PROBABLY_MS = 20
"""From here on a number without a unit is as probably meant in milliseconds as in seconds."""


@dataclass(frozen=True, slots=True)
class UnitText:
    """Marks a field whose YAML is text with a unit; `parse` turns the text into the value."""

    what: str
    valid: str
    example: str
    parse: Callable[[str], object]
    nearest: Callable[[str], str | None]

    def advice(self, seen: str) -> str:
        """Return what would be valid in place of the text `seen`."""
        near = self.nearest(seen)
        bare = re.fullmatch(NUMBER, seen.strip()) is not None and self.what != "a limit"
        wrong = "has no unit" if bare and near else f"is not {self.what}"
        also = ""
        if bare and near == f"{seen.strip()}s" and float(seen) >= _PROBABLY_MS:
            also = f" or '{seen.strip()}ms'"
        return f"{wrong}; write {self.valid}" + (f"; nearest: {near!r}{also}" if near else "")

    def refusal(self, text: str) -> ValueError:
        """Return the error that says what `text` is not, and what would be valid."""
        shown = text if len(text) <= 60 else text[:57] + "..."
        return ValueError(f"{shown!r} {self.advice(text)}")

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> "CoreSchema":
        # Only when a scenario is asked for: 50 ms.
        from pydantic_core import PydanticCustomError, core_schema

        def validate(value: object) -> object:
            if isinstance(value, str):
                return self.parse(value)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            advice = self.advice(str(value) if number else "")
            # A type of its own, so that loading can say what stands in the file in place of `seen`.
            raise PydanticCustomError(
                "not_unit_text",
                "{seen} {advice}",
                {"seen": str(value)[:60], "advice": advice, "unit": self},
            )

        return core_schema.no_info_plain_validator_function(
            validate,
            metadata={
                "pydantic_js_functions": [
                    lambda _schema, _handler: {
                        "type": "string",
                        "description": self.what,
                        "examples": [self.example],
                    }
                ]
            },
        )
