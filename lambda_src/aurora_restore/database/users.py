"""The application's users: what may be asked for, and bringing each one to exactly the state that was asked.

A nightly refresh finds the users of production in the snapshot. One whose name is asked for gets a new password, and
its privileges become what was asked and nothing more, whatever they were. Both plans, MySQL's and PostgreSQL's, are
pure functions from what was found to SQL statements; here they are run.

What the two kinds of access mean, on everything in the user's databases:

* ``read_only``: read tables, views and (PostgreSQL) sequences.
* ``read_write``: that, and insert, update, delete; use sequences; call routines; temporary tables; lock tables.

Neither may change the schema. What everybody may (PostgreSQL's PUBLIC) is left as the snapshot has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aurora_restore.database.connection import LoginError, SqlError
from aurora_restore.database.problems import Problem, raise_problems
from aurora_restore.errors import MasterCredentialsUnavailable, UserAlreadyExists, UserCreationFailed

if TYPE_CHECKING:
    from aurora_restore.database.connection import Connector, Login, Session
    from aurora_restore.model import User

_SYSTEM_DATABASES: Final = {
    "aurora-mysql": frozenset({"mysql", "information_schema", "performance_schema", "sys"}),
    "aurora-postgresql": frozenset({"rdsadmin", "template0", "template1"}),
}
_DATABASES: Final = {
    "aurora-mysql": "SHOW DATABASES",
    "aurora-postgresql": "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate",
}
_RESERVED_PREFIXES: Final = {
    "aurora-mysql": ("rds", "mysql.", "mariadb.", "aws_"),
    "aurora-postgresql": ("rds", "pg_", "aws_"),
}
_RESERVED_NAMES: Final = {
    "aurora-mysql": frozenset({"root", "event_scheduler", "system user"}),
    "aurora-postgresql": frozenset({"public", "none", "user", "current_user", "current_role", "session_user"}),
}


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a plan."""

    sql: str
    secrets: Sequence[str] = field(default=(), repr=False)
    """What must not be told when the statement fails."""
    optional: bool = False
    """May be refused: it concerns an object of the system, whose grants only the system can take back."""


def reserved(engine: str, name: str, master_username: str) -> str | None:
    """Why a user of that name cannot be managed, or None when it can."""
    lowered = name.lower()
    if lowered == master_username.lower():
        return f"{name} is the master user"
    if lowered in _RESERVED_NAMES[engine] or lowered.startswith(_RESERVED_PREFIXES[engine]):
        return f"{name} is a name that the engine or AWS keeps for itself"
    return None


def database_problem(engine: str, name: str, existing: Iterable[str]) -> str | None:
    """Why a database cannot be given to a user, or None when it can."""
    if name.lower() in _SYSTEM_DATABASES[engine]:
        return f"{name} is a system database"
    usable = sorted(each for each in existing if each.lower() not in _SYSTEM_DATABASES[engine])
    if name not in usable:
        return f"there is no database {name}; there are: {', '.join(usable) or 'none'}"
    return None


def request_problems(master: Login, users: Iterable[User], existing: Collection[str]) -> Iterator[Problem]:
    """What is wrong with the users that are asked for, before anything is changed."""
    for user in users:
        if why := reserved(master.engine, user.name, master.username):
            yield Problem(UserAlreadyExists, f"the user {user.name} cannot be set up: {why}")
        for name in user.databases:
            if why := database_problem(master.engine, name, existing):
                yield Problem(UserCreationFailed, f"the user {user.name} cannot be set up: {why}")


def check_request(connector: Connector, master: Login, users: Iterable[User]) -> None:
    """Raise when a user cannot be set up as asked; nothing is changed."""
    with as_master(), connector.session(master) as session:
        rows = session.query(_DATABASES[master.engine])
    raise_problems(list(request_problems(master, users, [str(row[0]) for row in rows])))


def ensure_user(connector: Connector, master: Login, user: User, password: str) -> None:
    """Bring one user to exactly the asked state. Safe to repeat, also after a half-done try."""
    try:
        with as_master():
            if master.engine == "aurora-postgresql":
                from aurora_restore.database import postgresql_users  # one engine is used per restore

                postgresql_users.ensure(connector, master, user, password)
            else:
                from aurora_restore.database import mysql_users

                mysql_users.ensure(connector, master, user, password)
    except SqlError as error:
        raise UserCreationFailed(
            f"The database refused to set up the user {user.name}: {error}", details={"sql_code": error.code}
        ) from None


@contextmanager
def as_master() -> Iterator[None]:
    """A refused login is the master user's here."""
    try:
        yield
    except LoginError as error:
        raise MasterCredentialsUnavailable(f"The database refused the master user: {error}") from None


def run(session: Session, statements: Iterable[Statement]) -> None:
    """Execute a plan."""
    for statement in statements:
        session.execute(statement.sql, secrets=statement.secrets)
