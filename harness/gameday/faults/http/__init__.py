"""Faults on the HTTP requests of one edge, through rules of gameday's own proxy."""

from gameday.faults.http.abort import HttpAbort
from gameday.faults.http.body import HttpBody
from gameday.faults.http.delay import HttpDelay
from gameday.faults.http.status import HttpStatus

__all__ = ["HttpAbort", "HttpBody", "HttpDelay", "HttpStatus"]
