"""What the server is, and the one place where its version decides what is said to it or expected of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from aurora_restore.database.connection import Session

Family = Literal["mysql", "mariadb", "postgresql"]

_MYSQL_PLAN: Final = re.compile(r"(?P<base>\d+\.\d+)\.mysql_aurora\.(?P<aurora>[\d.]+)")


@dataclass(frozen=True)
class Server:
    """A server's own word on what it is."""

    family: Family
    version: str
    """``8.0.39``, ``10.11.6-MariaDB-log``, ``15.10``."""
    aurora_version: str | None
    """Aurora's own version, ``3.08.2`` or ``15.10.1``; None where the server is not Aurora, as in the sandbox."""
    grant_wildcards: bool = True
    """``_`` and ``%`` are wildcards in a GRANT's database name (MySQL family, unless ``partial_revokes`` is on)."""

    def statement_timeout(self, seconds: int) -> str:
        """The statement that limits how long a query of this session may run."""
        match self.family:
            case "mysql":
                return f"SET SESSION max_execution_time = {seconds * 1000}"
            case "mariadb":
                return f"SET SESSION max_statement_time = {seconds}"
            case "postgresql":
                return f"SET statement_timeout = '{seconds}s'"

    def version_problem(self, planned: str) -> str | None:
        """Why the server's version is not the planned EngineVersion, or None when it is.

        Only Aurora's versions mean what RDS's EngineVersion means: a stand-in's is not compared.
        """
        if self.aurora_version is None:
            return None
        if self.family == "postgresql":
            # Aurora PostgreSQL: EngineVersion 15.10, aurora_version() 15.10.1 or more digits.
            same = self.version == planned or planned.startswith(f"{self.version}-")
            return None if same else f"the server says {self.version}, planned is {planned}"
        match = _MYSQL_PLAN.fullmatch(planned)
        if match is None:
            return f"the server says {self.version}, planned is {planned}, which is no version of Aurora MySQL"
        base, aurora = match["base"], match["aurora"]
        if self.version.startswith(f"{base}.") and self.aurora_version == aurora:
            return None
        return f"the server says {self.version} (Aurora {self.aurora_version}), planned is {planned}"


def probe(session: Session, engine: str) -> Server:
    """Ask the server what it is."""
    return _probe_postgresql(session) if engine == "aurora-postgresql" else _probe_mysql(session)


def _probe_mysql(session: Session) -> Server:
    [[version]] = session.query("SELECT VERSION()")
    # SHOW VARIABLES rather than @@name: a server that does not know a variable answers with no row, not an error.
    rows = session.query("SHOW VARIABLES WHERE Variable_name IN ('aurora_version', 'partial_revokes')")
    known = {str(name): str(value) for name, value in rows}
    return Server(
        family="mariadb" if "mariadb" in str(version).lower() else "mysql",
        version=str(version),
        aurora_version=known.get("aurora_version"),
        grant_wildcards=known.get("partial_revokes") != "ON",
    )


def _probe_postgresql(session: Session) -> Server:
    [[number, aurora]] = session.query(
        "SELECT current_setting('server_version_num')::int, to_regproc('pg_catalog.aurora_version') IS NOT NULL"
    )
    return Server(
        family="postgresql",
        version=postgresql_version(number),
        aurora_version=str(session.query("SELECT pg_catalog.aurora_version()")[0][0]) if aurora else None,
    )


def postgresql_version(number: int) -> str:
    """``server_version_num`` as RDS writes versions: 150010 is 15.10, 90624 is 9.6.24."""
    if number >= 100_000:
        return f"{number // 10_000}.{number % 10_000}"
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
