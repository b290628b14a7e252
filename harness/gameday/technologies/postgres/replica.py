"""A streaming replica of PostgreSQL: the same server, on a copy of its primary's data."""

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

from gameday.api.clocks import Reading
from gameday.api.environment import Endpoint, NotReadyError
from gameday.api.service_kind import Probe, ServiceKind
from gameday.extras import Missing
from gameday.host.variables import for_services
from gameday.model.expansion import prefix_of
from gameday.model.login import Logins
from gameday.model.scenario import ServiceSpec
from gameday.technologies.postgres.dialect import PostgresDialect
from gameday.technologies.postgres.service import (
    Postgres,
    asking,
    commit_a_row,
    end_those_in,
    find_postgres,
)

__all__ = ["PostgresReplica"]

_TOOLS = ("pg_basebackup", "pg_receivewal")

# Copies the primary if there are no data yet, then becomes the server. The copy has its version
# file last, so that one which was cut short is not taken for data. The slot makes the primary keep
# what a replica that is cut off will want; one of an earlier copy will do, as soon as the primary
# has noticed that its user is gone, which the further tries are for. Only loopback is open to
# replication in the official image, and the edge's proxy is where that is.
_START = """
set -eu
primary=$1 name=$2 slot=$3
shift 3
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  find "$PGDATA" -mindepth 1 -delete
  (
    PGHOST=$(printenv "${primary}_HOST")
    PGPORT=$(printenv "${primary}_PORT")
    PGUSER=$GAMEDAY_ADMIN PGPASSWORD=$GAMEDAY_ADMIN_PASSWORD PGCONNECT_TIMEOUT=10
    PGSSLMODE=disable PGGSSENCMODE=disable
    export PGHOST PGPORT PGUSER PGPASSWORD PGCONNECT_TIMEOUT PGSSLMODE PGGSSENCMODE
    pg_receivewal --create-slot --if-not-exists --slot="$slot"
    tries=5
    until
      pg_basebackup --pgdata="$PGDATA/copy" --slot="$slot" --dbname="application_name=$name" \\
        --write-recovery-conf --checkpoint=fast --no-sync
    do
      [ $((tries -= 1)) -gt 0 ]
      rm -rf "$PGDATA/copy"
      sleep 1
    done
    cd "$PGDATA/copy"
    for part in *; do [ "$part" = PG_VERSION ] || mv "$part" ..; done
    mv PG_VERSION ..
    cd ..
    rmdir copy
  )
fi
exec "$@"
"""


class PostgresReplica(ServiceKind):
    """A hot standby that streams from its primary through the edge, until it is promoted."""

    name = "postgres-replica"
    port = Postgres.port
    data = Postgres.data
    probe = Probe(
        name="postgres-read", client="gameday.technologies.postgres.probe:READ", writes=False
    )
    primary = Postgres.name
    end_signal = signal.SIGINT
    login_keys = Postgres.login_keys

    def __init__(self) -> None:
        self._server = Postgres()

    def image(self, spec: ServiceSpec) -> str:
        return self._server.image(spec)

    def container_command(self, spec: ServiceSpec) -> list[str]:
        # The copy is made by root where the image starts as root; the entrypoint then gives the
        # data to the server's account and becomes it, as it does at every start.
        return _start(spec, self._server.container_command(spec))

    def client_missing(self) -> Missing | None:
        return self._server.client_missing()

    def program(self) -> Path | None:
        return find_postgres()

    def missing(self, spec: ServiceSpec) -> str | None:
        server = find_postgres()
        if server is None:
            return self._server.missing(spec)
        absent = [tool for tool in _TOOLS if not server.with_name(tool).is_file()]
        if absent:
            return (
                f"{spec.name}: no {' and no '.join(absent)} beside {server}, which copies the "
                "primary; install postgresql, or start a Docker engine"
            )
        return None

    @property
    def account(self) -> int | None:
        return self._server.account

    def prepare(self, spec: ServiceSpec, *, home: Path) -> None:
        """End what outlived the server; the start itself makes the data."""
        end_those_in(home / "data")

    def process_command(self, spec: ServiceSpec, *, port: int, home: Path) -> list[str]:
        command = self._server.process_command(spec, port=port, home=home)
        tools = Path(command[0]).parent
        own = [f"PGDATA={home / 'data'}", f"PATH={tools}{os.pathsep}{for_services()['PATH']}"]
        return ["/usr/bin/env", *own, *_start(spec, command)]

    def environment(
        self, spec: ServiceSpec, *, host: str, port: int, home: str
    ) -> Mapping[str, str]:
        """Name the admin in words that no service which it needs can have."""
        admin = spec.logins.admin
        return {"GAMEDAY_ADMIN": admin.user, "GAMEDAY_ADMIN_PASSWORD": admin.password}

    def new_logins(self, spec: ServiceSpec) -> Logins:
        return self._server.new_logins(spec)

    def dialect(self, spec: ServiceSpec) -> PostgresDialect:
        return self._server.dialect(spec)

    def tell(self, spec: ServiceSpec, endpoint: Endpoint) -> Reading:
        return self._server.tell(spec, endpoint)

    def check(self, spec: ServiceSpec, endpoint: Endpoint) -> str:
        """A standby streams; what is promoted commits a row, as a primary does."""
        with asking(spec, endpoint) as connection:
            (standby,) = connection.execute("SELECT pg_is_in_recovery()").fetchall()[0]
            if not standby:
                return f"promoted: {commit_a_row(connection)}"
            receivers = connection.execute(
                "SELECT status, sender_host || ':' || sender_port FROM pg_stat_wal_receiver"
            ).fetchall()
        if [status for status, _ in receivers] != ["streaming"]:
            state = receivers[0][0] if receivers else "not connected to its primary"
            raise NotReadyError(f"PostgreSQL at {endpoint}: in recovery, and {state}")
        return f"in recovery, streaming from {receivers[0][1]}"


def _start(spec: ServiceSpec, command: list[str]) -> list[str]:
    primary = spec.needs[0]  # loading refuses a replica that needs anything else
    slot = re.sub(r"[^a-z0-9_]", "_", spec.name.lower())
    return ["sh", "-c", _START, "postgres", prefix_of(primary), spec.name, slot, *command]
