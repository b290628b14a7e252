"""Frozen data that all parts of gameday exchange; it imports nothing of ours."""
