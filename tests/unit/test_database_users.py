"""The users on real servers: what was granted works, nothing more does, and what the snapshot brought is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from aurora_restore.database.connection import LoginError, SqlError
from aurora_restore.database.users import check_request, ensure_user
from aurora_restore.errors import MasterCredentialsUnavailable, UserAlreadyExists, UserCreationFailed
from aurora_restore.model import User
from tests.unit.database_servers import Server, mariadb, postgresql

OLD, FIRST, SECOND = "Production.1", "First-password.1", "Second-password.2"


# MySQL: denied for the database, the table, the column, at all, the routine. PostgreSQL: insufficient privilege.
DENIED = {"1044", "1142", "1143", "1227", "1370", "42501"}


@pytest.fixture(scope="module")
def mysql() -> Iterator[Server]:
    with mariadb() as server:
        server.admin(
            "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(20))",
            "INSERT INTO shop.orders (note) VALUES ('one'), ('two')",
            "CREATE VIEW shop.notes AS SELECT note FROM shop.orders",
            "CREATE PROCEDURE shop.count_orders() SELECT COUNT(*) FROM shop.orders",
            "CREATE TABLE stock.items (id INT)",
            "CREATE DATABASE sh_p",
            "CREATE TABLE sh_p.things (id INT)",
        )
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgresql() as server:
        server.admin("CREATE ROLE shop_owner LOGIN", "CREATE ROLE other_owner")
        server.admin(
            "CREATE SCHEMA sales AUTHORIZATION shop_owner",
            'CREATE SCHEMA "Odd ""name" AUTHORIZATION other_owner',
            "CREATE TABLE sales.orders (id serial PRIMARY KEY, note text)",
            "INSERT INTO sales.orders (note) VALUES ('one'), ('two')",
            "ALTER TABLE sales.orders OWNER TO shop_owner",
            'CREATE TABLE "Odd ""name"."T;DROP" (id int)',
            'ALTER TABLE "Odd ""name"."T;DROP" OWNER TO other_owner',
            "CREATE TABLE public.of_master (id int)",
            "ALTER TABLE public.of_master OWNER TO postgres",
            "CREATE TABLE public.of_system (id int)",
            "CREATE VIEW sales.notes AS SELECT note FROM sales.orders",
            "ALTER VIEW sales.notes OWNER TO shop_owner",
            "CREATE MATERIALIZED VIEW sales.summary AS SELECT 1 AS one",
            "ALTER MATERIALIZED VIEW sales.summary OWNER TO shop_owner",
            "CREATE FUNCTION sales.secret(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 42'",
            "REVOKE EXECUTE ON FUNCTION sales.secret FROM PUBLIC",
            "ALTER FUNCTION sales.secret OWNER TO shop_owner",
            database="shop",
        )
        server.admin(
            "CREATE TABLE public.items (id int)", "ALTER TABLE public.items OWNER TO postgres", database="stock"
        )
        yield server


def ensure(server: Server, name: str, access: str, *databases: str, password: str = FIRST) -> None:
    user = User(name, access, databases)  # type: ignore[arg-type]
    check_request(server.connector, server.master, [user])
    ensure_user(server.connector, server.master, user, password)


def run(server: Server, name: str, *statements: str, database: str = "shop", password: str = FIRST) -> None:
    with server.connector.session(server.login(name, password, database)) as session:
        for statement in statements:
            session.query(statement)


def allowed(server: Server, name: str, statement: str, database: str = "shop") -> bool:
    """Whether the user may run a statement; any error but a refusal is a mistake of the test."""
    with server.connector.session(server.login(name, FIRST, database)) as session:
        try:
            with session.transaction():
                session.query(statement)
        except SqlError as error:
            if error.code not in DENIED:
                raise
            return False
        return True


def refused(server: Server, name: str, statements: Iterable[str], database: str = "shop") -> list[str]:
    return [statement for statement in statements if not allowed(server, name, statement, database)]


def may_log_in(server: Server, name: str, password: str, database: str = "shop") -> bool:
    try:
        run(server, name, "SELECT 1", database=database, password=password)
    except LoginError:
        return False
    return True


# --- MySQL ----------------------------------------------------------------------------------------------------------

MYSQL_READS = ("SELECT * FROM orders", "SELECT * FROM notes", "SHOW CREATE VIEW notes")
MYSQL_WRITES = (
    "INSERT INTO orders (note) VALUES ('new')",
    "UPDATE orders SET note = 'changed' WHERE id = 1",
    "DELETE FROM orders WHERE id = 2",
    "CALL count_orders()",
    "CREATE TEMPORARY TABLE scratch (id INT)",
)
MYSQL_NEVER = (
    "CREATE TABLE made (id INT)",
    "DROP TABLE orders",
    "ALTER TABLE orders ADD COLUMN more INT",
    "CREATE VIEW more AS SELECT 1",
    "GRANT SELECT ON shop.* TO 'somebody'@'%'",
    "CREATE USER somebody",
    "SELECT * FROM stock.items",
    "SELECT * FROM mysql.user",
)


def test_mysql_read_write_may_change_rows_and_nothing_else(mysql: Server) -> None:
    ensure(mysql, "app", "read_write", "shop")
    assert refused(mysql, "app", MYSQL_READS + MYSQL_WRITES) == []
    assert refused(mysql, "app", MYSQL_NEVER) == [*MYSQL_NEVER]


def test_mysql_read_only_may_read_and_nothing_else(mysql: Server) -> None:
    ensure(mysql, "reader", "read_only", "shop")
    assert refused(mysql, "reader", MYSQL_READS) == []
    assert refused(mysql, "reader", MYSQL_WRITES + MYSQL_NEVER) == [*MYSQL_WRITES, *MYSQL_NEVER]


def test_mysql_underscore_in_a_database_name_is_no_wildcard(mysql: Server) -> None:
    ensure(mysql, "narrow", "read_only", "sh_p")
    assert allowed(mysql, "narrow", "SELECT * FROM things", database="sh_p")
    assert not allowed(mysql, "narrow", "SELECT * FROM shop.orders", database="sh_p")


def test_mysql_user_of_production_is_brought_to_the_asked_state(mysql: Server) -> None:
    mysql.admin(
        f"CREATE USER 'nightly'@'%' IDENTIFIED BY '{OLD}'",
        "GRANT ALL ON *.* TO 'nightly'@'%' WITH GRANT OPTION",
        # This account would be preferred for a connection from here, and it let in the old password.
        f"CREATE USER 'nightly'@'127.0.0.1' IDENTIFIED BY '{OLD}'",
        "GRANT ALL ON *.* TO 'nightly'@'127.0.0.1'",
        f"CREATE USER 'nightly'@'10.0.0.0/255.0.0.0' IDENTIFIED BY '{OLD}'",
        "CREATE ROLE everything",
        "GRANT ALL ON *.* TO everything",
        "GRANT everything TO 'nightly'@'%'",
        "SET DEFAULT ROLE everything FOR 'nightly'@'%'",
        "GRANT SELECT (id) ON stock.items TO 'nightly'@'%'",
        "CREATE DEFINER='nightly'@'%' VIEW shop.by_nightly AS SELECT COUNT(*) FROM shop.orders",
    )
    assert may_log_in(mysql, "nightly", OLD)
    ensure(mysql, "nightly", "read_only", "shop")
    assert not may_log_in(mysql, "nightly", OLD)
    assert allowed(mysql, "nightly", "SELECT * FROM by_nightly")
    assert refused(mysql, "nightly", MYSQL_WRITES + MYSQL_NEVER) == [*MYSQL_WRITES, *MYSQL_NEVER]
    with mysql.connector.session(mysql.login("nightly", FIRST)) as session:
        grants = [str(row[0]) for row in session.query("SHOW GRANTS")]
    assert len(grants) == 2
    assert "REQUIRE SSL" in grants[0]
    assert grants[1] == "GRANT SELECT, SHOW VIEW ON `shop`.* TO `nightly`@`%`"


def test_mysql_next_night_the_password_is_another(mysql: Server) -> None:
    ensure(mysql, "rotated", "read_only", "shop", password=FIRST)
    ensure(mysql, "rotated", "read_only", "shop", password=FIRST)  # a retry
    assert may_log_in(mysql, "rotated", FIRST)
    ensure(mysql, "rotated", "read_only", "shop", "stock", password=SECOND)
    assert not may_log_in(mysql, "rotated", FIRST)
    assert may_log_in(mysql, "rotated", SECOND, "stock")


# --- PostgreSQL -----------------------------------------------------------------------------------------------------

POSTGRES_READS = (
    "SELECT * FROM sales.orders",
    "SELECT * FROM sales.notes",
    "SELECT * FROM sales.summary",
    "SELECT last_value FROM sales.orders_id_seq",
    'SELECT * FROM "Odd ""name"."T;DROP"',
    "SELECT * FROM public.of_master",
)
POSTGRES_WRITES = (
    "INSERT INTO sales.orders (note) VALUES ('new')",
    "UPDATE sales.orders SET note = 'changed' WHERE id = 1",
    "DELETE FROM sales.orders WHERE id = 2",
    "SELECT setval('sales.orders_id_seq', 100)",
    "SELECT sales.secret(1)",
    "INSERT INTO public.of_master VALUES (1)",
)
POSTGRES_NEVER = (
    "CREATE TABLE sales.made (id int)",
    "CREATE TABLE public.made (id int)",
    "CREATE SCHEMA made",
    "DROP TABLE sales.orders",
    "TRUNCATE sales.orders",
    "ALTER TABLE sales.orders ADD COLUMN more int",
    "CREATE ROLE somebody",
    "SELECT * FROM public.of_system",
    "SET ROLE shop_owner",
)


def test_postgresql_read_write_may_change_rows_and_nothing_else(postgres: Server) -> None:
    ensure(postgres, "app", "read_write", "shop")
    assert refused(postgres, "app", POSTGRES_READS + POSTGRES_WRITES) == []
    assert refused(postgres, "app", POSTGRES_NEVER) == [*POSTGRES_NEVER]
    assert allowed(postgres, "app", "CREATE TEMPORARY TABLE scratch (id int)")
    assert not allowed(postgres, "app", "SELECT * FROM public.items", database="stock")


def test_postgresql_read_only_may_read_and_nothing_else(postgres: Server) -> None:
    ensure(postgres, "reader", "read_only", "shop")
    assert refused(postgres, "reader", POSTGRES_READS) == []
    assert refused(postgres, "reader", POSTGRES_WRITES + POSTGRES_NEVER) == [*POSTGRES_WRITES + POSTGRES_NEVER]


def test_postgresql_later_objects_are_granted_too_whoever_makes_them(postgres: Server) -> None:
    ensure(postgres, "later", "read_write", "shop")
    postgres.admin(
        "SET ROLE shop_owner; CREATE TABLE sales.tomorrow (id serial)",
        "SET ROLE postgres; CREATE SCHEMA fresh; CREATE TABLE fresh.tomorrow (id serial)",
        database="shop",
    )
    assert allowed(postgres, "later", "INSERT INTO sales.tomorrow DEFAULT VALUES")
    assert allowed(postgres, "later", "INSERT INTO fresh.tomorrow DEFAULT VALUES")


def test_postgresql_user_of_production_is_brought_to_the_asked_state(postgres: Server) -> None:
    postgres.admin(
        f"CREATE ROLE nightly LOGIN CREATEDB CREATEROLE PASSWORD '{OLD}' VALID UNTIL '2020-01-01'",
        "GRANT rds_superuser, rds_iam, shop_owner TO nightly",
        "GRANT CREATE ON DATABASE stock TO nightly",
    )
    postgres.admin(
        "CREATE TABLE sales.of_nightly (id int)",
        "ALTER TABLE sales.of_nightly OWNER TO nightly",
        "CREATE FUNCTION sales.of_nightly_too() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION sales.of_nightly_too OWNER TO nightly",
        "GRANT ALL ON ALL TABLES IN SCHEMA sales TO nightly WITH GRANT OPTION",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA sales TO nightly",
        "GRANT CREATE ON SCHEMA sales, public TO nightly",
        "GRANT EXECUTE ON FUNCTION sales.secret TO nightly",
        "GRANT USAGE ON TYPE sales.orders TO nightly",
        "GRANT INSERT (id) ON public.of_master TO nightly",
        "GRANT SELECT ON public.of_system TO nightly",
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA sales GRANT ALL ON TABLES TO nightly",
        "ALTER DEFAULT PRIVILEGES FOR ROLE other_owner GRANT ALL ON TABLES TO nightly",
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT CREATE ON SCHEMAS TO nightly",
        # The user has passed on what it was given.
        "SET ROLE nightly; GRANT SELECT ON sales.orders TO other_owner",
        database="shop",
    )
    postgres.admin(
        "GRANT ALL ON public.items TO nightly", "ALTER TABLE public.items OWNER TO nightly", database="stock"
    )
    memberships = "SELECT roleid, member FROM pg_auth_members WHERE member = 'postgres'::regrole"
    with postgres.connector.session(postgres.master) as session:
        before = session.query(memberships)

    ensure(postgres, "nightly", "read_only", "shop")

    assert not may_log_in(postgres, "nightly", OLD)
    assert refused(postgres, "nightly", POSTGRES_READS) == []
    assert allowed(postgres, "nightly", "SELECT * FROM sales.of_nightly")
    denied = [
        *POSTGRES_WRITES,
        *(each for each in POSTGRES_NEVER if "of_system" not in each),
        "DROP TABLE sales.of_nightly",
    ]
    assert refused(postgres, "nightly", denied) == denied
    elsewhere = ["SELECT * FROM public.items", "CREATE SCHEMA made", "DROP TABLE public.items"]
    assert refused(postgres, "nightly", elsewhere, "stock") == elsewhere
    # What the system granted on its own object only the system can take back.
    assert allowed(postgres, "nightly", "SELECT * FROM public.of_system")
    with postgres.connector.session(postgres.master) as session:
        assert session.query(memberships) == before
        assert session.query("SELECT rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'nightly'") == (
            (False, False),
        )
    postgres.admin('SET ROLE other_owner; CREATE TABLE "Odd ""name".later (id int)', database="shop")
    assert allowed(postgres, "nightly", 'SELECT * FROM "Odd ""name".later')
    assert not allowed(postgres, "nightly", 'INSERT INTO "Odd ""name".later VALUES (1)')


def test_postgresql_next_night_the_password_is_another(postgres: Server) -> None:
    ensure(postgres, "rotated", "read_write", "shop", password=FIRST)
    ensure(postgres, "rotated", "read_write", "shop", password=FIRST)  # a retry
    assert allowed(postgres, "rotated", "INSERT INTO public.of_master VALUES (1)")
    ensure(postgres, "rotated", "read_only", "stock", password=SECOND)
    assert not may_log_in(postgres, "rotated", FIRST)
    run(postgres, "rotated", "SELECT * FROM public.items", database="stock", password=SECOND)
    with pytest.raises(SqlError, match="permission denied"):
        run(postgres, "rotated", "SELECT * FROM public.of_master", database="shop", password=SECOND)


def test_postgresql_privilege_granted_by_a_third_role_is_told_not_kept(postgres: Server) -> None:
    postgres.admin("CREATE ROLE third", "CREATE ROLE gifted", "CREATE DATABASE gifts OWNER postgres")
    postgres.admin(
        "CREATE TABLE gift (id int)",
        "ALTER TABLE gift OWNER TO shop_owner",
        "GRANT SELECT ON gift TO third WITH GRANT OPTION",
        "SET ROLE third; GRANT SELECT ON gift TO gifted",
        database="gifts",
    )
    with pytest.raises(UserCreationFailed, match=r"gifted holds privileges in the database gifts .* table public.gift"):
        ensure(postgres, "gifted", "read_only", "shop")


def test_postgresql_password_never_reaches_the_server_log(postgres: Server) -> None:
    ensure(postgres, "quiet", "read_only", "shop", password="Seldom-seen.9")
    ensure(postgres, "quiet", "read_only", "shop", password="Seldom-seen.9")
    log = (postgres.folder / "log").read_text()
    assert 'CREATE ROLE "quiet"' in log
    assert "Seldom-seen" not in log
    assert may_log_in(postgres, "quiet", "Seldom-seen.9")


# --- both -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["mysql", "postgres"])
def either(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def test_missing_database_is_refused_with_those_that_exist(either: Server) -> None:
    with pytest.raises(UserCreationFailed, match=r"no database nowhere; there are: .*shop.*stock") as caught:
        ensure(either, "nobody", "read_only", "shop", "nowhere")
    assert caught.value.code == "ARP-DBUSER-003"
    assert not may_log_in(either, "nobody", FIRST)


@pytest.mark.parametrize(
    ("engine", "databases"),
    [("mysql", ("mysql", "sys", "information_schema", "performance_schema")), ("postgres", ("rdsadmin", "template1"))],
)
def test_system_database_is_refused(engine: str, databases: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(engine)
    for database in databases:
        with pytest.raises(UserCreationFailed, match="system database"):
            ensure(server, "nobody", "read_only", database)


def test_reserved_names_are_refused(either: Server) -> None:
    for name in ("rdsadmin", "rds_superuser", "RDS_iam", either.master.username, either.master.username.upper()):
        with pytest.raises(UserAlreadyExists) as caught:
            ensure(either, name, "read_only", "shop")
        assert caught.value.code == "ARP-DBUSER-005"


def test_all_problems_of_a_request_are_told_at_once(either: Server) -> None:
    users = [User("rdsadmin", "read_only", ("shop",)), User("app", "read_only", ("nowhere", "elsewhere"))]
    with pytest.raises(UserAlreadyExists, match=r"rdsadmin.*nowhere.*elsewhere") as caught:
        check_request(either.connector, either.master, users)
    assert len(caught.value.details["problems"]) == 3


def test_wrong_master_password_is_told_without_it(either: Server) -> None:
    wrong = either.login(either.master.username, "Wrong-password.7")
    with pytest.raises(MasterCredentialsUnavailable) as caught:
        check_request(either.connector, wrong, [])
    assert caught.value.code == "ARP-DBUSER-002"
    assert "Wrong-password" not in str(caught.value)


def test_user_can_only_come_by_tls(mysql: Server) -> None:
    import pymysql

    ensure(mysql, "tls_only", "read_only", "shop")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(
            host="127.0.0.1", port=mysql.port, user="tls_only", password=FIRST, database="shop", ssl_disabled=True
        )
