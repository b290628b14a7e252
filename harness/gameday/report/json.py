"""result.json: the file that other tools are built on."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

from gameday.model.event import Event
from gameday.model.fault_facts import asked_of, fault_fields, measured_of
from gameday.model.result import SCHEMA_VERSION, FaultRecord, Result

__all__ = ["FILE_NAME", "ResultWriter", "read_result", "result_from_json", "result_to_json"]

FILE_NAME = "result.json"


class ResultWriter:
    """Leaves a whole result.json in `folder`, or none: readers never see half of one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_event(self, event: Event) -> None:
        """Leave events to the journal."""

    def on_result(self, result: Result) -> None:
        path = self._folder / FILE_NAME
        temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                file.write(result_to_json(result).encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def result_to_json(result: Result) -> str:
    """Return `result` as strict JSON with the names of the model.

    JSON has no infinity: what never happened while it was watched has `value` and `high` null
    beside a `low` that is a number; what was not measured has all three null. ValueError for NaN.
    """
    plain: dict[str, object] = {"schema_version": result.schema_version}
    plain |= {f.name: _plain(getattr(result, f.name)) for f in fields(result)}
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def result_from_json(text: str) -> Result:
    """Return the result that `text` holds; ValueError when it holds none or one of the future."""
    from pydantic import TypeAdapter  # only where a result is read back: 50 ms

    plain = json.loads(text)
    if not isinstance(plain, dict):
        raise ValueError("not a result: its outermost value has to be an object")
    version = plain.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"schema_version is {version!r}; this version of gameday reads {SCHEMA_VERSION}"
        )
    share = plain.get("proxy_share")
    for finding in (*plain.get("findings", ()), *([share] if share else ())):
        _restore_infinity(finding)
    for fault in plain.get("faults", ()):
        fault |= fault_fields(fault["asked"], fault["measured"])
    return TypeAdapter(Result).validate_python(plain)


def read_result(path: Path) -> Result:
    """Return the result in `path`; ValueError, with the file's name, when it holds none."""
    try:
        return result_from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, FaultRecord):
        return _plain(
            {
                "fault": value.fault,
                "target": value.target,
                "asked": asked_of(value),
                "measured": measured_of(value),
                "proven": value.proven,
                "undone": value.undone,
                "window": value.window,
            }
        )
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return None
    return value


def _restore_infinity(finding: dict[str, object]) -> None:
    if finding.get("low") is None:
        return
    for name in ("value", "high"):
        if finding.get(name) is None:
            finding[name] = math.inf
