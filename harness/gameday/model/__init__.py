"""Frozen data that every other part of gameday speaks in; it imports nothing of ours."""
