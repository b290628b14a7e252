"""Faults: each proves that it bit, how hard, and that it is gone."""
