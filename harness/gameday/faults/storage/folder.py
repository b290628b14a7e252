"""What the storage faults share: commands at a service's data folder, and the service after."""

from contextlib import suppress
from uuid import uuid4

from gameday.api.environment import ROOT, Checkpoint, Ran, Service
from gameday.api.fault import Proof
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.model.clock import SECOND

__all__ = ["Folder"]

_STEP_LIMIT_NS = 20 * SECOND
_STARTS = 3
_TRY = """
LC_ALL=C dd if=/dev/zero of="$0" bs=16384 count=1 2>&1; code=$?
rm -f "$0"; exit $code
"""


class Folder:
    """A service's data folder, as root and as the service's user have it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.path = service.data_folder
        self.user = service.service_user()
        self.name = service.spec.name
        self._mark = uuid4().hex[:12]

    @property
    def is_roots(self) -> bool:
        """Whether the service runs as root, whom no mode of a file holds back."""
        return self.user.startswith("0:")

    def own(self, what: str) -> str:
        """Return the path of a file of the fault's own."""
        return f"{self.path}/gameday-{what}-{self._mark}"

    def as_root(self, *command: str) -> Ran:
        return self._service.run_beside(command, _STEP_LIMIT_NS, user=ROOT)

    def try_to_write(self) -> tuple[bool, str]:
        """Create and remove a file of 16 KiB as the service's user; tell what came of it."""
        command = ("sh", "-c", _TRY, self.own("try"))
        ran = self._service.run_beside(command, _STEP_LIMIT_NS, user=self.user)
        # A mere count of records follows what went wrong.
        words = [line.split(": ")[-1] for line in ran.output.splitlines() if ": " in line]
        return ran.code == 0, "written" if ran.code == 0 else " ".join(words[-1:])

    def says(self) -> str:
        """Return what the service says of a write now; for the record only."""
        try:
            return self._service.check()
        except Exception as error:  # whatever a broken server brings a client to
            return str(error).splitlines()[0][:200] if str(error) else repr(error)

    def revive(self) -> None:
        """Start the service if it is dead; whether that helps is seen by what it answers."""
        with suppress(EnvironmentRefused):
            self._service.start_again()

    def answers(self, checkpoint: Checkpoint) -> Proof:
        """Prove that the service answers a write; one that dies late of the fault is started."""
        for _ in range(_STARTS):
            proof = answers_again(self._service, checkpoint)
            if proof.proven or self._service.process_state().alive:
                break
            self.revive()
        return proof
