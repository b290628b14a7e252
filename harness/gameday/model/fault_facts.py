"""A fault's record by the names that result.json and every report have, and back."""

from collections.abc import Mapping

from gameday.model.event import Scalar
from gameday.model.result import FaultRecord

__all__ = ["asked_facts", "asked_of", "end_facts", "fault_fields", "measured_of", "seen_of"]

_EXPOSURE = "exposure"
_ACTIVE_AT_END = "in_at_end"
_LAPSE = "lapse"
_MET = "operations_exposed"


def asked_facts(asked: Mapping[str, Scalar], exposure: int | None) -> dict[str, Scalar]:
    """Return what was asked of a fault, its exposure too."""
    return dict(asked) if exposure is None else {**asked, _EXPOSURE: exposure}


def asked_of(fault: FaultRecord) -> dict[str, Scalar]:
    """Return what was asked of a recorded fault, its exposure too."""
    return asked_facts(fault.asked, fault.exposure)


def end_facts(active_at_end: bool | None, lapse: str) -> dict[str, Scalar]:
    """Return whether a fault was active until its end, and what shows that it was not."""
    facts: dict[str, Scalar] = {}
    if active_at_end is not None:
        facts[_ACTIVE_AT_END] = active_at_end
    if lapse:
        facts[_LAPSE] = lapse
    return facts


def seen_of(fault: FaultRecord) -> dict[str, Scalar]:
    """Return what was measured of a fault itself."""
    return {**fault.measured, **end_facts(fault.active_at_end, fault.lapse)}


def measured_of(fault: FaultRecord) -> dict[str, Scalar]:
    """Return what was measured of a fault, and how many operations met it."""
    return {**seen_of(fault), _MET: fault.met}


def fault_fields(asked: Mapping[str, Scalar], measured: Mapping[str, Scalar]) -> dict[str, object]:
    """Return the fields of the record that `asked_of` and `measured_of` made these of."""
    own, seen = dict(asked), dict(measured)
    return {
        "exposure": own.pop(_EXPOSURE, None),
        "active_at_end": seen.pop(_ACTIVE_AT_END, None),
        "lapse": seen.pop(_LAPSE, ""),
        "met": seen.pop(_MET, None),
        "asked": own,
        "measured": seen,
    }
