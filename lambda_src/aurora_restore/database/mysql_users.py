"""Users of Aurora MySQL: statements that MySQL 8 and MariaDB 10.11 both understand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aurora_restore.database.quoting import mysql_grant_database, mysql_name, mysql_text
from aurora_restore.database.server import probe
from aurora_restore.database.users import Statement, run

if TYPE_CHECKING:
    from aurora_restore.database.connection import Connector, Login
    from aurora_restore.model import User

# Granted one by one, never ALL and never on *.*: Aurora's master user does not hold all of them and could not grant
# them (AuroraUserGuide, Master user account privileges). Roles are avoided: they would have to be activated.
PRIVILEGES: Final = {
    "read_only": ("SELECT", "SHOW VIEW"),
    "read_write": (
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "EXECUTE",
        "CREATE TEMPORARY TABLES",
        "LOCK TABLES",
        "SHOW VIEW",
    ),
}

ANYWHERE: Final = "%"


@dataclass(frozen=True)
class Found:
    """What the server has of the user."""

    hosts: tuple[str, ...]
    """Hosts of the accounts that bear the user's name."""
    grant_wildcards: bool = True


def plan(user: User, password: str, found: Found) -> Iterator[Statement]:
    """Drop every account of that name and make it anew, at any host.

    Dropping is the one way to be rid of everything that came with the snapshot: global, column and proxy privileges,
    roles, a second password, limits, locks. An account ``app@10.%`` is dropped too: it would be preferred to
    ``app@%`` and still let in the password of production. Views and routines that name the account as their definer
    find it again under the same name.
    """
    name = mysql_text(user.name)
    for host in found.hosts:
        yield Statement(f"DROP USER IF EXISTS {name}@{mysql_text(host)}")
    account = f"{name}@{mysql_text(ANYWHERE)}"
    yield Statement(f"CREATE USER {account} IDENTIFIED BY {mysql_text(password)} REQUIRE SSL", secrets=(password,))
    for database in user.databases:
        target = mysql_grant_database(database, wildcards=found.grant_wildcards)
        yield Statement(f"GRANT {', '.join(PRIVILEGES[user.access])} ON {target}.* TO {account}")


def ensure(connector: Connector, master: Login, user: User, password: str) -> None:
    """Bring the user to the asked state; the statements commit one by one, as DDL does here."""
    with connector.session(master) as session:
        # The literals are written for this mode. Nothing else of the server's mode matters to these statements.
        session.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
        server = probe(session, master.engine)
        hosts = session.query(
            f"SELECT Host FROM {mysql_name('mysql')}.{mysql_name('user')} "  # noqa: S608 (quoted)
            f"WHERE User = {mysql_text(user.name)} AND Host <> '' ORDER BY Host"
        )
        found = Found(tuple(str(row[0]) for row in hosts), server.grant_wildcards)
        run(session, plan(user, password, found))
