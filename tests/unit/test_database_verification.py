"""The verification: what is compared, pure, and the checks on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from aurora_restore.database import verification
from aurora_restore.database.problems import Problem, raise_problems
from aurora_restore.database.users import ensure_user
from aurora_restore.database.verification import (
    control_plane,
    meets,
    plain,
    probe_server,
    run_checks,
    server_problems,
    shown,
    user_problems,
)
from aurora_restore.errors import CheckNotRunnable, UserLoginFailed, VerificationFailed, VersionMismatch
from aurora_restore.model import Check, User
from tests.unit.database_servers import Server, mariadb, postgresql

KINDS = {"aurora-mysql": mariadb, "aurora-postgresql": postgresql}
PLANNED = "8.0.mysql_aurora.3.08.2"
OLD = "5.7.mysql_aurora.2.11.2"


def check(sql: str, *, name: str = "a check", database: str = "shop", **expected: Any) -> Check:
    return Check(name=name, database=database, sql=sql, **expected)


# --- pure -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "writer", "told"),
    [
        (PLANNED, PLANNED, []),
        (OLD, OLD, ["the cluster orders has engine version 5.7", "the writer orders-1 has engine version 5.7"]),
        (PLANNED, OLD, ["the writer orders-1 has engine version 5.7"]),
        (PLANNED, None, ["the writer orders-1 has engine version None"]),
    ],
)
def test_control_plane(cluster: str, writer: str | None, told: list[str]) -> None:
    described = {
        "DBClusterIdentifier": "orders",
        "EngineVersion": cluster,
        "DBClusterMembers": [
            {"DBInstanceIdentifier": "orders-1", "IsClusterWriter": True},
            {"DBInstanceIdentifier": "orders-2", "IsClusterWriter": False},
        ],
    }
    instances = {"orders-1": {"EngineVersion": writer}, "orders-2": {"EngineVersion": OLD}}
    problems = control_plane(PLANNED, described, instances)
    assert len(problems) == len(told)
    for problem, start in zip(problems, told, strict=True):
        assert problem.text.startswith(start)
        assert problem.text.endswith(f"planned is {PLANNED}")
        assert problem.error is VersionMismatch


def test_control_plane_misses_the_writer() -> None:
    [problem] = control_plane(PLANNED, {"DBClusterIdentifier": "orders", "EngineVersion": PLANNED}, {})
    assert "no writer" in problem.text


@pytest.mark.parametrize(
    ("value", "as_json"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (Decimal("3.00"), 3),
        (Decimal("3.25"), "3.25"),
        (Decimal("NaN"), "NaN"),
        (b"text", "text"),
        (date(2026, 11, 23), "2026-11-23"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_of_drivers_become_plain(value: Any, as_json: Any) -> None:
    assert plain(value) == as_json
    assert type(plain(value)) is type(as_json)


@pytest.mark.parametrize(
    ("expected", "actual", "met"),
    [
        ({"equals": 3}, 3, True),
        ({"equals": 3}, "3", True),
        ({"equals": 3}, 4, False),
        ({"equals": 3.25}, "3.25", True),
        ({"equals": 0}, None, False),
        ({"equals": True}, 1, True),
        ({"equals": True}, True, True),
        ({"equals": False}, 1, False),
        ({"equals": "three"}, "three", True),
        ({"equals": "3"}, 3, False),
        ({"equals": 3}, "many", False),
        ({"at_least": 3}, 3, True),
        ({"at_least": 3}, 2, False),
        ({"at_least": 0}, 0, True),
        ({"at_least": 0}, None, False),
        ({"at_least": 2.5}, "2.75", True),
        ({"at_least": 1}, "nan", False),
    ],
)
def test_expectations(expected: dict[str, Any], actual: Any, met: bool) -> None:
    assert meets(check("SELECT 1", **expected), actual)[0] is met


def test_one_problem_is_told_as_it_is_and_several_together() -> None:
    raise_problems([])
    with pytest.raises(VersionMismatch, match=r"^ARP-VERIFY-002: too old\. Remedy"):
        raise_problems([Problem(VersionMismatch, "too old")])
    with pytest.raises(VersionMismatch) as caught:
        raise_problems([Problem(VersionMismatch, "too old"), Problem(VerificationFailed, "too few rows")])
    assert "2 things" in caught.value.cause
    assert "(1) ARP-VERIFY-002: too old; (2) ARP-VERIFY-001: too few rows" in caught.value.cause
    assert [each["code"] for each in caught.value.details["problems"]] == ["ARP-VERIFY-002", "ARP-VERIFY-001"]


def test_long_results_are_shortened() -> None:
    assert len(shown("x" * 10_000)) == 200


# --- on real servers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=sorted(KINDS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with KINDS[request.param]() as running:
        with running.connector.session(running.master.to("shop")) as session:
            session.execute("CREATE TABLE orders (id int, note varchar(20), price numeric(9, 2))")
            session.execute("INSERT INTO orders VALUES (1, 'one', 1.50), (2, 'two', 2.25), (3, 'three', NULL)")
        yield running


def run(server: Server, *checks: Check) -> list[verification.CheckResult]:
    return run_checks(server.connector, server.master, probe_server(server.connector, server.master), checks)


def test_checks_that_hold(server: Server) -> None:
    results = run(
        server,
        check("SELECT COUNT(*) FROM orders", equals=3),
        check("select count(*) from orders;", at_least=1),
        check("-- a comment\n /* and another */ SELECT note FROM orders WHERE id = 2", equals="two"),
        check("SELECT SUM(price) FROM orders", equals=3.75),
        check("WITH few AS (SELECT id FROM orders) SELECT MAX(id) FROM few", equals=3),
        check("(SELECT MIN(id) FROM orders)", equals=1),
        check("SELECT COUNT(*) > 1 FROM orders", equals=True),
        check("SELECT 'a%b:c' FROM orders WHERE id = 1", equals="a%b:c"),
        check("SELECT 1", database="stock", equals=1),
    )
    assert [result.problem for result in results] == [None] * 9
    assert results[0].to_mapping() == {
        "name": "a check",
        "database": "shop",
        "expected": "3",
        "actual": "3",
        "passed": True,
    }


def test_every_check_runs_and_every_failure_is_told(server: Server) -> None:
    results = run(
        server,
        check("SELECT COUNT(*) FROM orders", name="few", at_least=1000),
        check("SELECT COUNT(*) FROM nowhere", name="no table", equals=1),
        check("SELECT * FROM orders", name="all", equals=1),
        check("SELECT id FROM orders WHERE id > 9", name="none", equals=1),
        check("SELECT 1", name="no database", database="nowhere", equals=1),
        check("SELECT note FROM orders WHERE id = 1", name="other", equals="two"),
        check("SELECT COUNT(*) FROM orders", name="right", equals=3),
    )
    assert [result.problem.error if result.problem else None for result in results] == [
        VerificationFailed,
        CheckNotRunnable,
        CheckNotRunnable,
        CheckNotRunnable,
        CheckNotRunnable,
        VerificationFailed,
        None,
    ]
    texts = [result.problem.text if result.problem else "" for result in results]
    assert texts[0] == "the check few expects at least 1000 and got 3"
    assert "the check no table cannot be run" in texts[1]
    assert "not 3 rows with 3 columns" in texts[2]
    assert "not 0 rows" in texts[3]
    assert "its database cannot be used" in texts[4]
    assert texts[5] == 'the check other expects "two" and got "one"'


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO orders VALUES (9, 'nine', 9)",
        "DROP TABLE orders",
        "/*! DROP TABLE orders */",
        "SET SESSION sql_mode = ''",
        "COMMIT",
        "SELECT 1; DROP TABLE orders",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT COUNT(*) FROM gone",
    ],
)
def test_a_check_changes_nothing(server: Server, sql: str) -> None:
    [result] = run(server, check(sql, equals=1))
    assert result.problem is not None
    assert result.problem.error is CheckNotRunnable
    [still] = run(server, check("SELECT COUNT(*) FROM orders", equals=3))
    assert still.problem is None


def test_a_check_that_never_ends_is_stopped_by_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "CHECK_TIMEOUT_SECONDS", 1)
    many = "SELECT COUNT(*) FROM orders a, orders b" + "".join(f", orders c{number}" for number in range(17))
    first, second = run(server, check(many, equals=1), check("SELECT 1", equals=1))
    assert first.problem is not None
    assert first.problem.error is CheckNotRunnable
    assert second.problem is None


def test_version_of_a_stand_in_is_not_compared(server: Server) -> None:
    found = probe_server(server.connector, server.master)
    assert found.aurora_version is None
    assert server_problems(found, "99.9") == []


@pytest.mark.parametrize("server", ["aurora-postgresql"], indirect=True)
def test_version_of_aurora_is_compared(server: Server) -> None:
    # MariaDB takes no variable of that name; test_database_plans has its comparison.
    server.admin(
        "SET allow_system_table_mods = on; CREATE FUNCTION pg_catalog.aurora_version() RETURNS text"
        " LANGUAGE sql AS $$SELECT '15.18.1'$$"
    )
    try:
        found = probe_server(server.connector, server.master)
    finally:
        server.admin("SET allow_system_table_mods = on; DROP FUNCTION pg_catalog.aurora_version()")
    assert found.aurora_version == "15.18.1"
    assert server_problems(found, found.version) == []
    [problem] = server_problems(found, "15.10")
    assert problem.error is VersionMismatch


def test_users_are_tried(server: Server) -> None:
    user = User("app", "read_only", ("shop",))
    ensure_user(server.connector, server.master, user, "First-password.1")
    assert list(user_problems(server.connector, server.login("app", "First-password.1"), user)) == []
    [problem] = user_problems(server.connector, server.login("app", "Another-password.1"), user)
    assert problem.error is UserLoginFailed
    assert "the user app cannot use the database shop" in problem.text
    assert "Another-password" not in problem.text
