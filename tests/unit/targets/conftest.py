"""Puts the systems under test on the path: they are run, and never imported by gameday."""

import sys
from pathlib import Path

TARGETS = str(Path(__file__).parents[3] / "targets")
if TARGETS not in sys.path:
    sys.path.append(TARGETS)
