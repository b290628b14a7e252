"""Faults on the HTTP requests of one edge, through rules of gameday's own proxy."""

from gameday.faults.http.faults import HttpAbort, HttpBody, HttpDelay, HttpStatus

__all__ = ["HttpAbort", "HttpBody", "HttpDelay", "HttpStatus"]
