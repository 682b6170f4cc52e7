"""Is the restored cluster what it should be? What is compared is pure; all problems are found before any is raised."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aurora_restore.database.connection import LoginError, SqlError
from aurora_restore.database.problems import Problem
from aurora_restore.database.queries import query_problem
from aurora_restore.database.server import Server, probe
from aurora_restore.database.users import as_master
from aurora_restore.errors import CheckNotRunnable, UserLoginFailed, VerificationFailed, VersionMismatch
from aurora_restore.readiness import version_problems

if TYPE_CHECKING:
    from aurora_restore.database.connection import Connector, Login, Session
    from aurora_restore.model import Check, User
    from aurora_restore.readiness import Described

CHECK_TIMEOUT_SECONDS: Final = 60
"""How long one check's query may run on the server."""

_SHOWN: Final = 200
"""Characters of a result that are reported: a check should answer a number, and the record is no place for data."""


@dataclass(frozen=True)
class CheckResult:
    """What a check of the request answered."""

    name: str
    database: str
    expected: str
    actual: str
    problem: Problem | None = None

    def to_mapping(self) -> dict[str, Any]:
        """As plain data, for record and audit."""
        return {
            "name": self.name,
            "database": self.database,
            "expected": self.expected,
            "actual": self.actual,
            "passed": self.problem is None,
        }


# --- the control plane ----------------------------------------------------------------------------------------------


def control_plane(planned: str, cluster: Described, instances: Mapping[str, Described]) -> list[Problem]:
    """What RDS says of the cluster and its writer, where it is not the planned version."""
    return [Problem(VersionMismatch, text) for text in version_problems(planned, cluster, instances)]


# --- the data plane -------------------------------------------------------------------------------------------------


def server_problems(server: Server, planned: str) -> list[Problem]:
    """What the server itself says of its version."""
    why = server.version_problem(planned)
    return [Problem(VersionMismatch, why)] if why else []


def user_problems(connector: Connector, login: Login, user: User) -> Iterator[Problem]:
    """Log in as a user, to each of its databases, with the password that applications will read."""
    for database in user.databases:
        try:
            with connector.session(login.to(database)) as session:
                session.query("SELECT 1")
        except (LoginError, SqlError) as error:
            yield Problem(UserLoginFailed, f"the user {user.name} cannot use the database {database}: {error}")


def run_checks(connector: Connector, master: Login, server: Server, checks: Sequence[Check]) -> list[CheckResult]:
    """Run all checks, in the order of the request, each in a read-only transaction of its own."""
    results: dict[Check, CheckResult] = {}
    for database in dict.fromkeys(check.database for check in checks):
        of_database = [check for check in checks if check.database == database]
        try:
            with connector.session(master.to(database)) as session:
                session.execute(server.statement_timeout(CHECK_TIMEOUT_SECONDS))
                results |= {check: _run_check(session, check) for check in of_database}
        except LoginError as error:
            results |= {check: _not_run(check, f"its database cannot be used: {error}") for check in of_database}
    return [results[check] for check in checks]


def _run_check(session: Session, check: Check) -> CheckResult:
    if why := query_problem(check.sql):
        return _not_run(check, f"its SQL {why}")
    try:
        with session.transaction(read_only=True):
            rows = session.query(check.sql)
    except SqlError as error:
        return _not_run(check, str(error))
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = len(rows[0]) if rows else 0
        return _not_run(check, f"it must answer one row with one column, not {len(rows)} rows with {columns} columns")
    actual = plain(rows[0][0])
    met, expected = meets(check, actual)
    problem = None
    if not met:
        problem = Problem(VerificationFailed, f"the check {check.name} expects {expected} and got {shown(actual)}")
    return CheckResult(check.name, check.database, expected, shown(actual), problem)


def _not_run(check: Check, why: str) -> CheckResult:
    problem = Problem(CheckNotRunnable, f"the check {check.name} cannot be run: {why}")
    return CheckResult(check.name, check.database, _expectation(check), "not run", problem)


def plain(value: Any) -> Any:
    """A driver's value as JSON would have it: a number, text, true, false or null."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return int(value) if value.is_finite() and value == value.to_integral_value() else str(value)
        case bytes() | bytearray():
            return value.decode("utf-8", errors="replace")
        case datetime() | date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
        case _:
            return json.dumps(value, default=str)


def shown(value: Any) -> str:
    """A value as it is reported, bounded."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _expectation(check: Check) -> str:
    return shown(check.equals) if check.at_least is None else f"at least {check.at_least}"


def _number(value: Any) -> Decimal | None:
    """The value as a number: databases answer some of them as text, and truth as 0 or 1."""
    if not isinstance(value, bool | int | float | str):
        return None
    try:
        number = Decimal(str(int(value) if isinstance(value, bool) else value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def meets(check: Check, actual: Any) -> tuple[bool, str]:
    """Whether the result is the expected one, and what was expected in words."""
    compare: Callable[[Decimal, Decimal], bool] | None = None
    wanted: Any = check.equals
    if check.at_least is not None:
        wanted, compare = check.at_least, Decimal.__ge__
    elif isinstance(wanted, bool | int | float):
        compare = Decimal.__eq__
    if compare is None:
        return actual == wanted, _expectation(check)
    left, right = _number(actual), _number(wanted)
    return left is not None and right is not None and compare(left, right), _expectation(check)


def probe_server(connector: Connector, master: Login) -> Server:
    """Connect as the master user, and ask the server what it is."""
    with as_master(), connector.session(master) as session:
        return probe(session, master.engine)
