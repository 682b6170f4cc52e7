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
from aurora_restore.database.user_names import database_problem, reserved
from aurora_restore.errors import MasterCredentialsUnavailable, UserAlreadyExists, UserCreationFailed

if TYPE_CHECKING:
    from aurora_restore.database.connection import Connector, Login, Session
    from aurora_restore.model import User

_DATABASES: Final = {
    "aurora-mysql": "SHOW DATABASES",
    "aurora-postgresql": "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate",
}


@dataclass(frozen=True)
class Statement:
    """One SQL statement of a plan."""

    sql: str
    secrets: Sequence[str] = field(default=(), repr=False)
    """What must not be told when the statement fails."""
    optional: bool = False
    """May be refused: it concerns an object of the system, whose grants only the system can take back."""


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
