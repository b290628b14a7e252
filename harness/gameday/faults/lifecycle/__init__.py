"""Faults that end, freeze or remove a service."""
