"""Open-loop load at a fixed rate and its record, each in a process of its own."""
