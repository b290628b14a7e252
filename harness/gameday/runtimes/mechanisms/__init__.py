"""The mechanisms of a host that faults are made of, each tried by using it."""
