"""The logins of stores, made anew for each run."""

from dataclasses import dataclass, field

__all__ = ["Login", "Logins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user, its password, and the database it uses."""

    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    """The database, virtual host or whatever else a login is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """The two logins of a store, with new passwords for every run."""

    service: Login = field(default_factory=Login)
    """For the services, the load and the probes: it works with data, and cannot run programs."""
    admin: Login = field(default_factory=Login)
    """For the harness's own checks and faults: it may do everything that the server can."""
