"""What the storage faults share: commands at a service's data folder, and the service after."""

from contextlib import suppress
from uuid import uuid4

from gameday.api.environment import ROOT, Checkpoint, Environment, Ran, Service
from gameday.api.fault import Proof
from gameday.api.storage import HasDataDir
from gameday.errors import EnvironmentRefused
from gameday.faults.recipes.termination import answers_again
from gameday.model.clock import SECOND

__all__ = ["Folder", "has_data_dir"]

_STEP_LIMIT_NS = 20 * SECOND
_STARTS = 3
_TRY = """
LC_ALL=C dd if=/dev/zero of="$0" bs=16384 count=1 2>&1; code=$?
rm -f "$0"; exit $code
"""


def has_data_dir(environment: Environment, target: str, verb: str) -> HasDataDir:
    """Return the service whose data folder is known; EnvironmentRefused if it is not."""
    service = environment.service(target)
    if not isinstance(service, HasDataDir):
        raise EnvironmentRefused(f"{verb}: the data of {target} are not at hand")
    return service


class Folder:
    """A service's data folder, as root and as the service's user have it."""

    def __init__(self, service: Service, house: HasDataDir) -> None:
        self._service = service
        self._house = house
        self.path = house.data_folder
        self.user = house.service_user()
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
        return self._house.run_beside(command, _STEP_LIMIT_NS, user=ROOT)

    def try_to_write(self) -> tuple[bool, str]:
        """Create and remove a file of 16 KiB as the service's user; tell what came of it."""
        command = ("sh", "-c", _TRY, self.own("try"))
        ran = self._house.run_beside(command, _STEP_LIMIT_NS, user=self.user)
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
            self._house.start_again()

    def answers(self, checkpoint: Checkpoint) -> Proof:
        """Prove that the service answers a write; one that dies late of the fault is started."""
        for _ in range(_STARTS):
            proof = answers_again(self._service, checkpoint)
            if proof.proven or self._house.process_state().alive:
                break
            self.revive()
        return proof
