"""PostgreSQL, alone or with hot standbys."""

from functools import partial

from gameday.api.mechanism import Mechanism
from gameday.api.technology import Technology
from gameday.host.carried import server_in_use
from gameday.technologies.postgres import faults
from gameday.technologies.postgres.carried import POSTGRES
from gameday.technologies.postgres.replica import PostgresReplica
from gameday.technologies.postgres.service import Postgres, find_postgres

__all__ = ["POSTGRESQL"]

POSTGRESQL = Technology(
    name="postgres",
    kinds=(Postgres(), PostgresReplica()),
    faults=(
        faults.TerminateBackends,
        faults.LockTable,
        faults.ConnectionCap,
        faults.Promote,
        faults.StopReplay,
        faults.AsyncCommit,
    ),
    mechanisms=(
        Mechanism(
            name="the PostgreSQL server",
            used_for="services of kind postgres in process",
            cure="",
            check=partial(server_in_use, POSTGRES, find_postgres, "postgres"),
        ),
    ),
)
