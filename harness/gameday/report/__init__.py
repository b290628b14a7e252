"""Listeners to a run's events and writers of its result; they know only the model."""
