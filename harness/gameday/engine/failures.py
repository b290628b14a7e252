"""What went wrong in a run: errors of the harness, and what ended it from outside."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gameday.engine.interrupts import Interrupts
from gameday.errors import GamedayError
from gameday.host.full_disk import is_full, no_room

__all__ = ["Failures"]


class Failures:
    """Keeps what is raised, so that the next step is taken all the same."""

    def __init__(self, interrupts: Interrupts, note: Callable[[str], None]) -> None:
        """`note` gets the traceback of what nobody expected."""
        self._interrupts = interrupts
        self._note = note
        self.problems: list[str] = []
        """Each makes the verdict ERROR, and discards no measurement."""
        self.ended: BaseException | None = None
        """A signal, or an exception that is not ours to keep, such as a plugin's time limit."""

    def keep(self, error: BaseException) -> None:
        """Keep an error of the harness, or what ended the run; of the latter the first counts."""
        if isinstance(error, ExceptionGroup):
            for one in error.exceptions:
                self.keep(one)
            return
        if not isinstance(error, Exception):
            self.ended = self.ended or error
            return
        expected = isinstance(error, GamedayError) or is_full(error)
        problem = no_room(error) if is_full(error) else str(error)
        if not expected:
            problem = f"{type(error).__name__}: {error}; the traceback is in journal.jsonl"
        if problem in self.problems:  # what could not be undone is tried again in the end
            return
        self.problems.append(problem)
        if not expected:
            self._note("".join(traceback.format_exception(error)))

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Keep an error and go on; what ends the run from outside is raised."""
        try:
            yield
        except Exception as error:
            self.keep(error)

    @contextmanager
    def cleaning(self) -> Iterator[None]:
        """Enter a step of the clean-up: whatever ends it, the next one is taken."""
        try:
            with self._interrupts.step():
                yield
        except BaseException as error:
            self.keep(error)
