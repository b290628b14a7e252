"""The file of a run's final read."""

from pathlib import Path

import numpy as np

from gameday.model.history import Deliveries

__all__ = ["save_record"]


def save_record(deliveries: Deliveries, folder: Path) -> None:
    """Write the final read to record.csv: the evidence that a count of losses rests on."""
    columns = np.column_stack([deliveries.value, deliveries.received_ns, deliveries.intact])
    np.savetxt(
        folder / "record.csv", columns, "%d", ",", header="value,received_ns,intact", comments=""
    )
