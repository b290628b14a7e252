"""Who may speak SQL with a PostgreSQL of a target, which is what its faults are made of."""

from typing import TypedDict

from gameday.model.scenario import ServiceSpec

__all__ = ["POSTGRES_LOGIN", "PostgresLogin", "postgres_login"]

POSTGRES_LOGIN = {"POSTGRES_USER": "gameday", "POSTGRES_PASSWORD": "gameday"}
"""Our own login, in the official image's words."""


class PostgresLogin(TypedDict):
    """Who a client is and where to, in the words of psycopg."""

    user: str
    password: str
    dbname: str


def postgres_login(spec: ServiceSpec) -> PostgresLogin:
    """Return what the target says, in the official image's words, or else our own login."""
    said = {**POSTGRES_LOGIN, **spec.env}
    user = said["POSTGRES_USER"]
    database = said.get("POSTGRES_DB", user)
    return PostgresLogin(user=user, password=said["POSTGRES_PASSWORD"], dbname=database)
