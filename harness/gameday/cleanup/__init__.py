"""Finds and removes everything that carries the labels of a run."""
