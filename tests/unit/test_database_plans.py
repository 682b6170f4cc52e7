"""The plans as text: what MySQL 8, MariaDB and PostgreSQL would be told, and that no name or text breaks out."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.database import mysql_users
from aurora_restore.database.postgresql_users import (
    Default,
    Found,
    Held,
    Owned,
    Role,
    clear_plan,
    grant_plan,
    role_plan,
    scram_verifier,
)
from aurora_restore.database.quoting import (
    mysql_grant_database,
    mysql_name,
    mysql_text,
    postgres_name,
    postgres_text,
)
from aurora_restore.database.server import Server, postgresql_version
from aurora_restore.database.user_names import database_problem, reserved
from aurora_restore.database.users import Statement
from aurora_restore.errors import UserCreationFailed
from aurora_restore.model import User

APP = User("app", "read_write", ("shop",))
READER = User("reader", "read_only", ("shop",))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def sql(statements: object) -> list[str]:
    return [statement.sql for statement in statements]  # type: ignore[attr-defined]


# --- quoting --------------------------------------------------------------------------------------------------------


def unquoted(quoted: str, mark: str, *, backslashes: bool) -> str:
    """What a server reads; fails when anything is left behind the closing mark."""
    assert quoted[0] == mark
    read, rest = "", quoted[1:]
    while rest:
        if rest.startswith(mark * 2):
            read, rest = read + mark, rest[2:]
        elif rest[0] == mark:
            assert rest == mark
            return read
        elif backslashes and rest[0] == "\\":
            read, rest = read + rest[1], rest[2:]
        else:
            read, rest = read + rest[0], rest[1:]
    raise AssertionError("the mark is never closed")


@given(texts)
def test_every_text_stays_inside_its_quotes(text: str) -> None:
    assert unquoted(mysql_name(text), "`", backslashes=False) == text
    assert unquoted(mysql_text(text), "'", backslashes=True) == text
    assert unquoted(postgres_name(text), '"', backslashes=False) == text
    literal = postgres_text(text)
    assert unquoted(literal.removeprefix("E"), "'", backslashes=literal.startswith("E")) == text


@given(texts)
def test_a_database_in_a_grant_matches_itself_only(text: str) -> None:
    pattern = unquoted(mysql_grant_database(text, wildcards=True), "`", backslashes=False)
    read, rest = "", pattern
    while rest:
        assert rest[0] not in "_%", "a wildcard"
        escaped = rest[0] == "\\"
        read, rest = read + rest[escaped], rest[1 + escaped :]
    assert read == text
    assert mysql_grant_database(text, wildcards=False) == mysql_name(text)


@pytest.mark.parametrize("quote", [mysql_name, mysql_text, postgres_name, postgres_text])
def test_nul_is_refused(quote: object) -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")  # type: ignore[operator]


@given(name=texts, password=texts, database=texts, host=texts)
def test_names_that_the_contract_would_refuse_are_quoted_all_the_same(
    name: str, password: str, database: str, host: str
) -> None:
    user = User(name, "read_only", (database,))
    drop, create, grant = sql(mysql_users.plan(user, password, mysql_users.Found((host,))))
    assert drop == f"DROP USER IF EXISTS {mysql_text(name)}@{mysql_text(host)}"
    assert create == f"CREATE USER {mysql_text(name)}@'%' IDENTIFIED BY {mysql_text(password)} REQUIRE SSL"
    assert grant.endswith(f"{mysql_grant_database(database, wildcards=True)}.* TO {mysql_text(name)}@'%'")
    [created] = sql(role_plan(user, password, Role()))
    assert created == f"CREATE ROLE {postgres_name(name)} LOGIN PASSWORD {postgres_text(password)}"


# --- MySQL ----------------------------------------------------------------------------------------------------------


def test_mysql_plan() -> None:
    found = mysql_users.Found(hosts=("%", "10.%"))
    user = User("app", "read_write", ("shop", "my_stock"))
    assert sql(mysql_users.plan(user, "pa55", found)) == [
        "DROP USER IF EXISTS 'app'@'%'",
        "DROP USER IF EXISTS 'app'@'10.%'",
        "CREATE USER 'app'@'%' IDENTIFIED BY 'pa55' REQUIRE SSL",
        (
            "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, CREATE TEMPORARY TABLES, LOCK TABLES, SHOW VIEW"
            " ON `shop`.* TO 'app'@'%'"
        ),
        (
            "GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE, CREATE TEMPORARY TABLES, LOCK TABLES, SHOW VIEW"
            r" ON `my\_stock`.* TO 'app'@'%'"
        ),
    ]


def test_mysql_with_partial_revokes_takes_names_as_they_are() -> None:
    user = User("app", "read_only", ("my_stock",))
    plan = sql(mysql_users.plan(user, "pa55", mysql_users.Found(hosts=(), grant_wildcards=False)))
    assert plan[-1] == "GRANT SELECT, SHOW VIEW ON `my_stock`.* TO 'app'@'%'"


def test_mysql_plan_never_grants_everything_or_everywhere() -> None:
    for access in mysql_users.PRIVILEGES:
        user = User("app", access, ("shop",))  # type: ignore[arg-type]
        for statement in sql(mysql_users.plan(user, "pa55", mysql_users.Found(()))):
            assert "ALL" not in statement
            assert "*.*" not in statement
            assert "GRANT OPTION" not in statement


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def found(**changes: object) -> Found:
    values: dict[str, object] = {
        "database": "shop",
        "database_owner": "admin",
        "me": "admin",
        "joined": frozenset({"admin", "pg_database_owner"}),
        "superusers": frozenset({"rdsadmin"}),
    }
    return Found(**{**values, **changes})  # type: ignore[arg-type]


def test_postgresql_existing_role_is_stripped() -> None:
    role = Role(exists=True, excess=("NOCREATEDB", "NOBYPASSRLS"), member_of=("rds_iam", "rds_superuser"))
    assert sql(role_plan(APP, "SCRAM-SHA-256$x", role)) == [
        (
            "ALTER ROLE \"app\" LOGIN NOCREATEDB NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity'"
            " PASSWORD 'SCRAM-SHA-256$x'"
        ),
        'REVOKE "rds_iam" FROM "app"',
        'REVOKE "rds_superuser" FROM "app"',
    ]


def test_postgresql_grants_as_the_owner_and_leaves_it_again() -> None:
    here = found(
        schemas=[Owned('"public"', "pg_database_owner"), Owned('"sales"', "shop_owner"), Owned('"cron"', "rdsadmin")],
        tables=[Owned('"sales"."orders"', "shop_owner"), Owned('"cron"."job"', "rdsadmin")],
        sequences=[Owned('"sales"."orders_id_seq"', "shop_owner")],
        routines=[Owned("sales.secret(integer)", "shop_owner")],
    )
    assert sql(clear_plan(APP, here)) == ['GRANT "shop_owner" TO "admin"']
    assert sql(grant_plan(APP, here)) == [
        'GRANT CONNECT, TEMPORARY ON DATABASE "shop" TO "app"',
        'GRANT USAGE ON SCHEMA "public", "sales" TO "app"',
        'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "sales"."orders" TO "app"',
        'GRANT USAGE, SELECT, UPDATE ON SEQUENCE "sales"."orders_id_seq" TO "app"',
        'GRANT EXECUTE ON ROUTINE sales.secret(integer) TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT USAGE ON SCHEMAS TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT EXECUTE ON ROUTINES TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "shop_owner" GRANT USAGE ON SCHEMAS TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "shop_owner" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "shop_owner" GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "shop_owner" GRANT EXECUTE ON ROUTINES TO "app"',
        'REVOKE "shop_owner" FROM "admin"',
    ]


def test_postgresql_read_only_gets_no_more_than_select() -> None:
    here = found(
        schemas=[Owned('"public"', "admin")],
        tables=[Owned('"public"."orders"', "admin")],
        sequences=[Owned('"public"."orders_id_seq"', "admin")],
        routines=[Owned("public.secret()", "admin")],
    )
    assert sql(grant_plan(READER, here)) == [
        'GRANT CONNECT ON DATABASE "shop" TO "reader"',
        'GRANT USAGE ON SCHEMA "public" TO "reader"',
        'GRANT SELECT ON TABLE "public"."orders" TO "reader"',
        'GRANT SELECT ON SEQUENCE "public"."orders_id_seq" TO "reader"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT USAGE ON SCHEMAS TO "reader"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT SELECT ON TABLES TO "reader"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" GRANT SELECT ON SEQUENCES TO "reader"',
    ]


def test_postgresql_other_database_is_only_cleared() -> None:
    there = found(
        database="stock",
        owns=True,
        tables=[Owned('"public"."items"', "shop_owner")],
        held=[
            Held("table", "public.items", "shop_owner"),
            Held("function", "cron.schedule(text)", None),
            Held("view", "public.of_system", "rdsadmin"),
            Held("schema", "public", "pg_database_owner"),
        ],
        defaults=[Default("third", None, "r"), Default("admin", "sales", "S")],
    )
    cleared = list(clear_plan(APP, there))
    assert sql(cleared) == [
        'GRANT "app" TO "admin"',
        'GRANT "shop_owner" TO "admin"',
        'GRANT "third" TO "admin"',
        'REASSIGN OWNED BY "app" TO "admin"',
        'REVOKE ALL ON TABLE public.items FROM "app" CASCADE',
        'REVOKE ALL ON ROUTINE cron.schedule(text) FROM "app" CASCADE',
        'REVOKE ALL ON TABLE public.of_system FROM "app" CASCADE',
        'REVOKE ALL ON SCHEMA public FROM "app" CASCADE',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "third" REVOKE ALL ON TABLES FROM "app"',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "admin" IN SCHEMA "sales" REVOKE ALL ON SEQUENCES FROM "app"',
    ]
    # Only what is the system's may be refused.
    assert [statement.sql for statement in cleared if statement.optional] == [cleared[5].sql, cleared[6].sql]
    assert sql(grant_plan(APP, there)) == [
        'REVOKE "app" FROM "admin"',
        'REVOKE "shop_owner" FROM "admin"',
        'REVOKE "third" FROM "admin"',
    ]


def test_postgresql_database_of_the_system_gets_no_grant_on_itself() -> None:
    here = found(database_owner="rdsadmin", schemas=[Owned('"public"', "pg_database_owner")])
    assert not any("DATABASE" in each or "SCHEMA " in each for each in sql(grant_plan(READER, here)))


def test_postgresql_many_tables_are_granted_in_chunks() -> None:
    tables = [Owned(f'"public"."t{number}"', "admin") for number in range(1001)]
    grants = [each for each in sql(grant_plan(READER, found(tables=tables))) if " ON TABLE " in each]
    assert len(grants) == 6
    assert sum(each.count('"public".') for each in grants) == 1001


def test_postgresql_unknown_kind_of_privilege_is_told() -> None:
    with pytest.raises(UserCreationFailed, match="subscription odd"):
        list(clear_plan(APP, found(held=[Held("subscription", "odd", "admin")])))


def test_scram_verifier_is_what_the_server_would_compute() -> None:
    # The example of RFC 7677, section 3: user "user", password "pencil".
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    kind, rounds, keys = scram_verifier("pencil", salt, 4096).split("$")
    stored, server = (base64.b64decode(each) for each in keys.split(":"))
    assert (kind, rounds) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    messages = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(stored, messages, "sha256")
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    answer = base64.b64encode(hmac.digest(server, messages, "sha256"))
    assert answer == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("password", ["naïve", "tab\there"])
def test_scram_verifier_refuses_what_would_need_saslprep(password: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        scram_verifier(password)


def test_statements_hide_their_secrets() -> None:
    assert "pa55" not in repr(Statement("SELECT 1", secrets=("pa55",)))


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("aurora-mysql", "root"),
        ("aurora-mysql", "rdsadmin"),
        ("aurora-mysql", "rds_superuser_role"),
        ("aurora-mysql", "mysql.sys"),
        ("aurora-mysql", "AWS_LAMBDA_ACCESS"),
        ("aurora-mysql", "Admin"),
        ("aurora-postgresql", "rds_iam"),
        ("aurora-postgresql", "pg_monitor"),
        ("aurora-postgresql", "public"),
        ("aurora-postgresql", "admin"),
    ],
)
def test_reserved_names(engine: str, name: str) -> None:
    assert reserved(engine, name, "admin")


def test_ordinary_names_are_free() -> None:
    for engine in ("aurora-mysql", "aurora-postgresql"):
        assert reserved(engine, "app", "admin") is None
        assert database_problem(engine, "shop", ["shop", "stock"]) is None


# --- server versions ------------------------------------------------------------------------------------------------


def test_statement_timeout_by_family() -> None:
    assert Server("mysql", "8.0.39", "3.08.2").statement_timeout(60) == "SET SESSION max_execution_time = 60000"
    assert Server("mariadb", "10.11.6", None).statement_timeout(60) == "SET SESSION max_statement_time = 60"
    assert Server("postgresql", "15.10", "15.10.1").statement_timeout(60) == "SET statement_timeout = '60s'"


@pytest.mark.parametrize(
    ("server", "planned", "right"),
    [
        (Server("mysql", "8.0.39", "3.08.2"), "8.0.mysql_aurora.3.08.2", True),
        (Server("mysql", "8.0.39", "3.08.1"), "8.0.mysql_aurora.3.08.2", False),
        (Server("mysql", "5.7.12", "2.11.2"), "8.0.mysql_aurora.3.08.2", False),
        (Server("mysql", "5.7.12", "2.11.2"), "5.7.mysql_aurora.2.11.2", True),
        (Server("mysql", "8.0.39", "3.08.2"), "15.10", False),
        (Server("mariadb", "10.11.6-MariaDB", None), "8.0.mysql_aurora.3.08.2", True),
        (Server("postgresql", "15.10", "15.10.1"), "15.10", True),
        (Server("postgresql", "15.10", "15.10.1"), "15.1", False),
        (Server("postgresql", "15.1", "15.1.1"), "15.10", False),
        (Server("postgresql", "16.4", "16.4.1"), "16.4-limitless", True),
        (Server("postgresql", "15.18", None), "16.4", True),
    ],
)
def test_version_of_the_server(server: Server, planned: str, right: bool) -> None:
    assert (server.version_problem(planned) is None) == right


@pytest.mark.parametrize(("number", "text"), [(150010, "15.10"), (160004, "16.4"), (90624, "9.6.24")])
def test_postgresql_version_numbers(number: int, text: str) -> None:
    assert postgresql_version(number) == text
