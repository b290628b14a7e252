"""Who may speak SQL with a PostgreSQL of a target, which is what its faults are made of."""

from typing import TypedDict

from gameday.model.scenario import ServiceSpec

__all__ = ["PostgresLogin", "postgres_login"]


class PostgresLogin(TypedDict):
    """Who a client is and where to, in the words of psycopg."""

    user: str
    password: str
    dbname: str


def postgres_login(spec: ServiceSpec) -> PostgresLogin:
    """Return the harness's own login, which is a superuser's."""
    admin = spec.logins.admin
    return PostgresLogin(user=admin.user, password=admin.password, dbname=admin.database)
