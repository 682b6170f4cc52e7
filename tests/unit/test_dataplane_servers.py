"""The data plane with real servers: what a client, a snapshot and a crash meet."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pg8000.dbapi
import pymysql
import pytest

from sandbox.dataplane import CertificateAuthority, DataPlane, DataPlaneError, Endpoint, EndpointKey, Engine
from sandbox.dataplane.reaper import servers_under

MYSQL: Engine = "aurora-mysql"
POSTGRESQL: Engine = "aurora-postgresql"
ENGINES: tuple[Engine, ...] = (MYSQL, POSTGRESQL)
VERSION = {MYSQL: "8.0.mysql_aurora.3.08.2", POSTGRESQL: "15.10"}
PORT = {MYSQL: 3306, POSTGRESQL: 5432}
MASTER = "clusteradmin"
PASSWORD = 'It\'s \\ a "secret" %s'  # nothing of it may need luck with quotes
DRIVER_ERRORS = (pymysql.err.MySQLError, pg8000.dbapi.Error)
REPOSITORY = Path(__file__).parents[2]


def key(cluster: str, role: str = "writer") -> EndpointKey:
    return EndpointKey("111122223333", "eu-west-1", cluster, role)


def trusting(authority: CertificateAuthority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default of Python 3.13
    return context


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlane]:
    with (
        tempfile.TemporaryDirectory(prefix="dp-") as folder,
        DataPlane(Path(folder, "root"), max_servers=5) as plane,
    ):
        yield plane


@pytest.fixture(scope="module")
def endpoints(plane: DataPlane) -> dict[Engine, Endpoint]:
    """A cluster of each engine, as long as the module's tests run."""
    found: dict[Engine, Endpoint] = {}
    for engine in ENGINES:
        plane.create_volume(engine, engine, MASTER, PASSWORD, "shop")
        plane.start(engine, VERSION[engine])
        found[engine] = plane.open_endpoint(key(engine), engine, PORT[engine])
    return found


@pytest.fixture
def volume(plane: DataPlane) -> Iterator[Callable[[str], str]]:
    """Name volumes that are deleted after the test, if it made them."""
    names: list[str] = []

    def name(suggestion: str) -> str:
        names.append(suggestion)
        return suggestion

    yield name
    for each in names:
        if each in plane._volumes:
            plane.delete_volume(each)


@contextmanager
def login(
    plane: DataPlane,
    engine: Engine,
    endpoint: Endpoint,
    user: str = MASTER,
    password: str = PASSWORD,
    database: str = "shop",
    context: ssl.SSLContext | None = None,
) -> Iterator[Any]:
    """Log in as the Lambda does: TLS, chain and name verified; yields a function that runs a statement."""
    context = context or trusting(plane.ca)
    connection: Any
    if engine == MYSQL:
        connection = pymysql.connect(
            host=endpoint.address,
            port=endpoint.port,
            user=user,
            password=password,
            database=database,
            ssl=context,
            autocommit=True,
        )
    else:
        connection = pg8000.dbapi.connect(
            user, host=endpoint.address, port=endpoint.port, password=password, database=database, ssl_context=context
        )
        connection.autocommit = True

    def run(statement: str) -> Sequence[Any]:
        with closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return [list(row) for row in cursor.fetchall()] if cursor.description else []

    with closing(connection):
        yield run


def refused(run: Callable[[str], Any], statement: str) -> bool:
    try:
        run(statement)
    except DRIVER_ERRORS:
        return True
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_every_endpoint_of_a_server_is_named_in_its_certificate(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine
) -> None:
    reader = plane.open_endpoint(key(engine, "reader"), engine, PORT[engine])
    instance = plane.open_endpoint(key(engine, f"{engine}-1"), engine, PORT[engine] + 10_000)
    assert reader.port == PORT[engine]
    assert instance.port == PORT[engine] + 10_000
    assert len({endpoints[engine].address, reader.address, instance.address}) == 3
    for endpoint in (endpoints[engine], reader, instance):
        with login(plane, engine, endpoint) as run:
            assert run("SELECT 1") == [[1]]
    plane.close_endpoint(key(engine, "reader"))
    plane.close_endpoint(key(engine, f"{engine}-1"))


@pytest.mark.parametrize("engine", ENGINES)
def test_another_name_and_another_authority_are_refused(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine
) -> None:
    server = plane._volumes[engine].server
    assert server is not None
    elsewhere = Endpoint("127.0.0.1", server.place.port)  # the same server under a name that it has not
    with (
        pytest.raises((ssl.SSLCertVerificationError, pymysql.err.OperationalError), match="mismatch"),
        login(plane, engine, elsewhere),
    ):
        pass
    with (
        pytest.raises((ssl.SSLCertVerificationError, pymysql.err.OperationalError), match="verify failed"),
        login(plane, engine, endpoints[engine], context=trusting(CertificateAuthority())),
    ):
        pass


def test_postgresql_refuses_what_is_not_encrypted_and_rdsadmin(
    plane: DataPlane, endpoints: dict[Engine, Endpoint]
) -> None:
    place = endpoints[POSTGRESQL]
    with pytest.raises(pg8000.dbapi.Error, match="no encryption"):
        pg8000.dbapi.connect(MASTER, host=place.address, port=place.port, password=PASSWORD, ssl_context=False)
    with pytest.raises(pg8000.dbapi.Error, match="rejects"), login(plane, POSTGRESQL, place, user="rdsadmin"):
        pass


def test_mysql_offers_tls_without_requiring_it_and_refuses_rdsadmin(
    plane: DataPlane, endpoints: dict[Engine, Endpoint]
) -> None:
    place = endpoints[MYSQL]
    pymysql.connect(host=place.address, port=place.port, user=MASTER, password=PASSWORD).close()
    for user in ("rdsadmin", "root", ""):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(host=place.address, port=place.port, user=user, password="")


def test_mysql_master_has_auroras_rights_and_no_more(plane: DataPlane, endpoints: dict[Engine, Endpoint]) -> None:
    with login(plane, MYSQL, endpoints[MYSQL]) as run:
        assert run("SELECT @@version") == [["8.0.39-aurora.3.08.2-MariaDB"]]
        for statement in (
            "CREATE DATABASE sales",
            "CREATE TABLE sales.orders (id INT PRIMARY KEY)",
            "CREATE USER app@'%' IDENTIFIED BY 'x'",
            "GRANT ALL ON sales.* TO app@'%'",
            "REVOKE ALL ON sales.* FROM app@'%'",
            "GRANT SELECT ON *.* TO app@'%'",
            "GRANT rds_superuser_role TO app@'%'",
            "CREATE ROLE clerk",
            "GRANT clerk TO app@'%'",
            "ALTER USER app@'%' IDENTIFIED BY 'y'",
            "CREATE TRIGGER sales.stamp BEFORE INSERT ON sales.orders FOR EACH ROW SET @stamp = 1",
            "CREATE DEFINER=app@'%' VIEW sales.all_orders AS SELECT * FROM sales.orders",
            "SELECT user FROM mysql.user",
            "DROP USER app@'%'",
            "DROP ROLE clerk",
            "DROP DATABASE sales",
        ):
            run(statement)
        for statement in (
            f"GRANT ALL ON *.* TO '{MASTER}'@'%'",
            f"GRANT SUPER ON *.* TO '{MASTER}'@'%'",
            f"GRANT INSERT ON mysql.* TO '{MASTER}'@'%'",
            "UPDATE mysql.global_priv SET priv = '{}'",
            "INSERT INTO mysql.db (host, db, user) VALUES ('%', 'mysql', 'x')",
            "CREATE TABLE mysql.mine (id INT)",
            "SELECT 1 INTO OUTFILE '/tmp/arp-outfile'",
            "SELECT LOAD_FILE('/etc/passwd') FROM mysql.nothing",
            "SET GLOBAL max_connections = 5",
            "SHUTDOWN",
            "CREATE USER iam IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'",
        ):
            assert refused(run, statement), statement


def test_mysql_master_ends_sessions_of_others_by_rds_kill(plane: DataPlane, endpoints: dict[Engine, Endpoint]) -> None:
    with login(plane, MYSQL, endpoints[MYSQL]) as master:
        master("CREATE USER worker@'%' IDENTIFIED BY 'x'")
        with login(plane, MYSQL, endpoints[MYSQL], user="worker", password="x", database="") as worker:
            master(f"CALL mysql.rds_kill({worker('SELECT CONNECTION_ID()')[0][0]})")
            assert refused(worker, "SELECT 1")
        master("DROP USER worker@'%'")


def test_postgresql_master_has_auroras_rights_and_no_more(plane: DataPlane, endpoints: dict[Engine, Endpoint]) -> None:
    with login(plane, POSTGRESQL, endpoints[POSTGRESQL]) as run:
        assert run("SELECT aurora_version()") == [["15.10"]]
        assert run("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user") == [
            [False, True, True]
        ]
        assert run("SELECT pg_has_role('rds_superuser', 'member'), pg_has_role('rds_iam', 'member')") == [[True, False]]
        assert run("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname IN ('shop', 'postgres')") == [
            [MASTER],
            [MASTER],
        ]
        for statement in (
            "CREATE DATABASE sales",
            "CREATE TABLE public.orders (id int PRIMARY KEY)",
            "CREATE ROLE app LOGIN PASSWORD 'x'",
            "GRANT CONNECT ON DATABASE sales TO app",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app",
            "GRANT rds_iam TO app",
        ):
            run(statement)
        with (
            pytest.raises(pg8000.dbapi.Error, match="rejects"),  # rds_iam wins over a password
            login(plane, POSTGRESQL, endpoints[POSTGRESQL], user="app", password="x"),
        ):
            pass
        for statement in ("DROP TABLE public.orders", "DROP DATABASE sales", "DROP ROLE app"):
            run(statement)
        for statement in (
            f"ALTER ROLE {MASTER} SUPERUSER",
            "ALTER ROLE rdsadmin PASSWORD 'x'",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "ALTER SYSTEM SET fsync = on",
            "CREATE EXTENSION file_fdw",
        ):
            assert refused(run, statement), statement
    with pytest.raises(pg8000.dbapi.Error), login(plane, POSTGRESQL, endpoints[POSTGRESQL], database="rdsadmin"):
        pass


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copy_has_the_rows_and_users_of_before_and_lives_its_own_life(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine, volume: Callable[[str], str]
) -> None:
    snapshot, restored = volume(f"{engine}-snapshot"), volume(f"{engine}-restored")
    with login(plane, engine, endpoints[engine]) as source:
        source("CREATE TABLE parts (id INT PRIMARY KEY)")
        source("INSERT INTO parts VALUES (1), (2)")
        plane.copy_volume(engine, snapshot)
        source("INSERT INTO parts VALUES (3)")  # the same session: the copy did not interrupt it
        plane.copy_volume(snapshot, restored)
        plane.start(restored, VERSION[engine])
        with login(plane, engine, plane.open_endpoint(key(restored), restored, PORT[engine])) as target:
            assert target("SELECT id FROM parts ORDER BY id") == [[1], [2]]
            target("INSERT INTO parts VALUES (9)")
        assert source("SELECT id FROM parts ORDER BY id") == [[1], [2], [3]]
        source("DROP TABLE parts")
    assert not plane.is_running(snapshot)
    plane.close_endpoint(key(restored))


def wait_for_more_rows(acknowledged: list[int], deadline_seconds: float = 60) -> None:
    """Wait until every writer has written some more; on a busy machine that takes a while."""
    goals = [each + 5 for each in acknowledged]
    end = time.monotonic() + deadline_seconds
    while any(each < goal for each, goal in zip(acknowledged, goals, strict=True)) and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copy_under_write_load_has_every_row_that_was_acknowledged(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine, volume: Callable[[str], str]
) -> None:
    writers, ended = 3, threading.Event()
    acknowledged = [0] * writers
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            with login(plane, engine, endpoints[engine]) as run:
                while not ended.is_set():
                    run(f"INSERT INTO load_test VALUES ({writer}, {acknowledged[writer] + 1}, '{'x' * 500}')")
                    acknowledged[writer] += 1
        except BaseException as failure:  # handed to the test below
            failures.append(failure)
            raise

    with login(plane, engine, endpoints[engine]) as run:
        run("CREATE TABLE load_test (writer INT, id INT, filler VARCHAR(500), PRIMARY KEY (writer, id))")
        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        copies: list[tuple[str, list[int], list[int]]] = []
        for number in range(3):
            copy = volume(f"{engine}-load-{number}")
            wait_for_more_rows(acknowledged)
            before = list(acknowledged)
            plane.copy_volume(engine, copy)
            copies.append((copy, before, [each + 1 for each in acknowledged]))
        ended.set()
        for thread in threads:
            thread.join(10)
        run("DROP TABLE load_test")
    assert failures == []
    for copy, before, after in copies:
        plane.start(copy, VERSION[engine])
        rows = plane.execute_admin(
            copy, "SELECT writer, count(*), max(id) FROM load_test GROUP BY writer ORDER BY writer", "shop"
        )
        plane.stop(copy)
        assert [row[0] for row in rows] == list(range(writers))
        for (_, number_of_rows, last), least, most in zip(rows, before, after, strict=True):
            assert number_of_rows == last, "a row is missing in the middle"
            assert 0 < least <= last <= most


@pytest.mark.parametrize("engine", ENGINES)
def test_master_password_of_a_running_and_of_a_stopped_volume(
    plane: DataPlane, engine: Engine, volume: Callable[[str], str]
) -> None:
    name, copy = volume(f"{engine}-passwords"), volume(f"{engine}-passwords-copy")
    plane.create_volume(name, engine, "postgres", "first", None)  # a popular name of a master user
    plane.set_master_password(name, "postgres", PASSWORD)  # never started
    plane.copy_volume(name, copy)
    database = "mysql" if engine == MYSQL else "postgres"
    for each in (name, copy):
        plane.start(each, VERSION[engine])
        endpoint = plane.open_endpoint(key(each), each, PORT[engine])
        with login(plane, engine, endpoint, user="postgres", database=database) as run:
            plane.set_master_password(each, "postgres", "third")
            assert run("SELECT 1") == [[1]]
        with pytest.raises(DRIVER_ERRORS), login(plane, engine, endpoint, user="postgres", database=database):
            pass
        with login(plane, engine, endpoint, user="postgres", password="third", database=database):
            pass
        plane.close_endpoint(key(each))
        plane.stop(each)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rename_moves_the_endpoint_and_another_cluster_can_take_the_name(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine, volume: Callable[[str], str]
) -> None:
    other = volume(f"{engine}-other")
    plane.create_volume(other, engine, MASTER, PASSWORD, "shop")
    production = plane.open_endpoint(key("production"), engine, PORT[engine])
    with login(plane, engine, production) as session:
        plane.close_endpoint(key("production"))
        assert session("SELECT 1") == [[1]]
        retired = plane.open_endpoint(key("production-old"), engine, PORT[engine])
        with pytest.raises((ConnectionError, *DRIVER_ERRORS)), login(plane, engine, production):
            pass
        with login(plane, engine, retired) as run:
            run("CREATE TABLE here (id INT)")
    # Opened before its server runs; the address comes from the name.
    assert plane.open_endpoint(key("production"), other, PORT[engine]) == production
    with pytest.raises((OSError, *DRIVER_ERRORS)), login(plane, engine, production):
        pass
    plane.start(other, VERSION[engine])
    with login(plane, engine, production) as run:
        assert refused(run, "SELECT * FROM here")
    # An open endpoint can be led elsewhere.
    assert plane.open_endpoint(key("production"), engine, PORT[engine]) == production
    with login(plane, engine, production) as run:
        run("DROP TABLE here")
    plane.close_endpoint(key("production"))
    plane.close_endpoint(key("production-old"))


@pytest.mark.parametrize("engine", ENGINES)
def test_load_sql_runs_files_of_the_engines_own_client(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "sample.sql"
    procedure = (
        "DELIMITER //\nCREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END//\nDELIMITER ;\nDROP PROCEDURE two;\n"
    )
    copied = "COPY customers FROM STDIN;\n1\tZoë\n\\.\n"
    file.write_text(
        "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20));\n"
        + (procedure + "INSERT INTO customers VALUES (1, 'Zoë');\n" if engine == MYSQL else copied)
    )
    plane.load_sql(engine, file, "shop")
    with login(plane, engine, endpoints[engine]) as run:
        assert run("SELECT name FROM customers") == [["Zoë"]]
        run("ALTER TABLE customers ADD note VARCHAR(5)")  # the master user owns it
        with pytest.raises(DataPlaneError, match=r"(?s)sample\.sql failed: .*exists"):
            plane.load_sql(engine, file, "shop")
        run("DROP TABLE customers")


def test_more_servers_than_allowed_are_refused_and_a_stopped_one_makes_room(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], volume: Callable[[str], str]
) -> None:
    names = [volume(f"many-{number}") for number in range(4)]
    for name in names:
        plane.create_volume(name, POSTGRESQL, MASTER, PASSWORD, None)
    for name in names[:3]:
        plane.start(name, "15.10")
        plane.start(name, "15.10")  # no effect
    with pytest.raises(DataPlaneError, match="At most 5 database servers"):
        plane.start(names[3], "15.10")
    plane.stop(names[0])
    plane.stop(names[0])  # no effect
    plane.start(names[3], "15.10")
    assert [plane.is_running(name) for name in names] == [False, True, True, True]


def test_a_server_that_died_starts_again(
    plane: DataPlane, endpoints: dict[Engine, Endpoint], volume: Callable[[str], str]
) -> None:
    name = volume("dies")
    plane.create_volume(name, MYSQL, MASTER, PASSWORD, "shop")
    plane.start(name, VERSION[MYSQL])
    plane.execute_admin(name, "CREATE TABLE shop.kept (id INT)")
    server = plane._volumes[name].server
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    while plane.is_running(name):
        time.sleep(0.01)
    with pytest.raises(DataPlaneError, match="No server runs"):
        plane.execute_admin(name, "SELECT 1")
    plane.start(name, VERSION[MYSQL])
    assert plane.execute_admin(name, "SELECT count(*) FROM shop.kept") == [(0,)]


def test_a_server_that_cannot_start_says_why_and_frees_its_slot(plane: DataPlane, volume: Callable[[str], str]) -> None:
    name = volume("broken")
    plane.create_volume(name, POSTGRESQL, MASTER, PASSWORD, None)
    (plane._volumes[name].data / "PG_VERSION").write_text("9.0\n")
    with pytest.raises(DataPlaneError, match=r"did not start.*incompatible"):
        plane.start(name, "15.10")
    assert not plane.is_running(name)
    assert name not in plane._slots


def test_unknown_and_existing_volumes_are_refused(plane: DataPlane, endpoints: dict[Engine, Endpoint]) -> None:
    with pytest.raises(DataPlaneError, match="no volume 'nothing'"):
        plane.start("nothing", "15.10")
    with pytest.raises(DataPlaneError, match="no volume 'nothing'"):
        plane.copy_volume("nothing", "something")
    with pytest.raises(DataPlaneError, match="exists"):
        plane.copy_volume(MYSQL, POSTGRESQL)
    with pytest.raises(DataPlaneError, match="exists"):
        plane.create_volume(MYSQL, MYSQL, MASTER, PASSWORD, None)
    plane.close_endpoint(key("nothing"))  # no effect


def test_servers_are_unprivileged_and_their_folders_closed(plane: DataPlane, endpoints: dict[Engine, Endpoint]) -> None:
    for engine in ENGINES:
        volume = plane._volumes[engine]
        assert volume.server is not None
        assert volume.data.stat().st_mode & 0o077 == 0
        assert volume.server.place.private.stat().st_mode & 0o077 == 0
        assert volume.data.stat().st_uid != 0
        environment = Path(f"/proc/{volume.server.pid}/environ")
        assert not environment.exists() or b"AWS_" not in environment.read_bytes()


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dp-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_close_leaves_no_process_no_file_and_no_socket(folder: Path) -> None:
    plane = DataPlane(folder / "root")
    for engine in ENGINES:
        plane.create_volume(engine, engine, MASTER, PASSWORD, None)
        plane.start(engine, VERSION[engine])
    endpoint = plane.open_endpoint(key("closing"), MYSQL, 3306)
    work = plane._home.path
    assert len(servers_under(work)) == 2
    plane.close()
    plane.close()
    assert servers_under(work) == []
    assert plane._home._reaper.returncode == 0
    assert not work.exists()
    assert not (folder / "root").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((endpoint.address, endpoint.port))


_PARENT = """
import sys, time
from pathlib import Path
from sandbox.dataplane import DataPlane
plane = DataPlane(Path(sys.argv[1]))
for engine in ("aurora-mysql", "aurora-postgresql"):
    plane.create_volume(engine, engine, "clusteradmin", "secret-99", None)
    plane.start(engine, "15.10")
print(plane._home._reaper.pid, plane._home.path, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("reaper_dies_too", [False, True])
def test_a_crash_of_the_sandbox_leaves_nothing_for_long(folder: Path, reaper_dies_too: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        reaper_pid, path = parent.stdout.readline().split()
        work = Path(path)
        assert len(servers_under(work)) == 2
        if reaper_dies_too:
            os.kill(int(reaper_pid), signal.SIGKILL)
        parent.kill()
    if reaper_dies_too:
        assert len(servers_under(work)) == 2
        DataPlane(folder).close()
    deadline = time.monotonic() + 10
    while work.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not work.exists()
    assert servers_under(work) == []


# ---- point in time (docs/design/0002): virtual times are what the test tells the plane


NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def shop(plane: DataPlane, engine: Engine, name: str) -> Endpoint:
    plane.create_volume(name, engine, MASTER, PASSWORD, "shop")
    plane.start(name, VERSION[engine])
    return plane.open_endpoint(key(name), name, PORT[engine])


def rows_of(plane: DataPlane, name: str) -> list[int]:
    return [number for (number,) in plane.execute_admin(name, "SELECT id FROM orders ORDER BY id", "shop")]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_rows_of_the_asked_time_come_back(plane: DataPlane, volume: Callable[[str], str], engine: Engine) -> None:
    """Aurora.Managing.Backups: to any point in time. Here between two rows of the same real second, too."""
    name = volume(f"pitr-{engine}")
    endpoint = shop(plane, engine, name)
    with login(plane, engine, endpoint) as run:
        run("CREATE TABLE orders (id INT PRIMARY KEY)")
        for number in range(1, 4):
            run(f"INSERT INTO orders VALUES ({number})")
            plane.mark(minute(number))
        run("DELETE FROM orders WHERE id = 1")
        plane.mark(minute(4))
        for number, rows in {1: [1], 2: [1, 2], 3: [1, 2, 3], 4: [2, 3], 9: [2, 3]}.items():
            restored = volume(f"pitr-{engine}-{number}")
            plane.restore_volume(name, restored, minute(number))
            plane.start(restored, VERSION[engine])
            assert rows_of(plane, restored) == rows, f"minute {number}"
            plane.stop(restored)
        # Also when the source has gone on, was restarted, and has written more; and from the restored one's own past.
        run("INSERT INTO orders VALUES (5)")
    plane.mark(minute(5))
    plane.stop(name)
    plane.start(name, VERSION[engine])
    plane.execute_admin(name, "INSERT INTO orders VALUES (6)", "shop")
    plane.mark(minute(6))
    for number, rows in {2: [1, 2], 5: [2, 3, 5], 6: [2, 3, 5, 6]}.items():
        restored = volume(f"pitr-{engine}-again-{number}")
        plane.restore_volume(name, restored, minute(number))
        plane.start(restored, VERSION[engine])
        assert rows_of(plane, restored) == rows, f"minute {number}"
        if number != 5:
            plane.stop(restored)
    restored = f"pitr-{engine}-again-5"
    plane.mark(minute(10))
    plane.execute_admin(restored, "INSERT INTO orders VALUES (11)", "shop")
    plane.mark(minute(11))
    second = volume(f"pitr-{engine}-second")
    plane.restore_volume(restored, second, minute(10))
    plane.start(second, VERSION[engine])
    assert rows_of(plane, second) == [2, 3, 5]
    for each in (name, restored, second):
        plane.stop(each)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_time_before_the_first_server_is_the_volume_as_it_was_made(
    plane: DataPlane, volume: Callable[[str], str], engine: Engine
) -> None:
    """A restored snapshot's past begins with the snapshot, also when that is deleted."""
    name = volume(f"past-{engine}")
    shop(plane, engine, name)
    plane.execute_admin(name, "CREATE TABLE orders (id INT PRIMARY KEY)", "shop")
    plane.execute_admin(name, "INSERT INTO orders VALUES (1)", "shop")
    plane.copy_volume(name, "past-snapshot")
    restored = volume(f"past-{engine}-restored")
    plane.copy_volume("past-snapshot", restored)
    plane.delete_volume("past-snapshot")
    plane.start(restored, VERSION[engine])
    plane.execute_admin(restored, "INSERT INTO orders VALUES (2)", "shop")
    plane.mark(minute(2))
    plane.stop(restored)  # a deleted cluster's retained backup: there is no server any more
    plane.mark(minute(3))
    for number, rows in {1: [1], 3: [1, 2]}.items():
        again = volume(f"past-{engine}-{number}")
        plane.restore_volume(restored, again, minute(number))
        plane.start(again, VERSION[engine])
        assert rows_of(plane, again) == rows
        with login(plane, engine, plane.open_endpoint(key(again), again, PORT[engine])) as run:
            assert run("SELECT 1") == [[1]], "the master user and its password came back, too"
        plane.stop(again)
    plane.stop(name)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_clone_and_its_source_go_their_own_ways(
    plane: DataPlane, volume: Callable[[str], str], engine: Engine
) -> None:
    """AUG-2023 Clone: what is written to one of them afterwards is not in the other."""
    name, clone = volume(f"cloned-{engine}"), volume(f"clone-{engine}")
    shop(plane, engine, name)
    plane.execute_admin(name, "CREATE TABLE orders (id INT PRIMARY KEY)", "shop")
    plane.execute_admin(name, "INSERT INTO orders VALUES (1)", "shop")
    plane.copy_volume(name, clone)
    plane.start(clone, VERSION[engine])
    plane.execute_admin(clone, "INSERT INTO orders VALUES (2)", "shop")
    plane.execute_admin(name, "INSERT INTO orders VALUES (3)", "shop")
    assert (rows_of(plane, name), rows_of(plane, clone)) == ([1, 3], [1, 2])
    plane.stop(name)
    plane.stop(clone)


def test_nothing_of_a_past_is_left(plane: DataPlane, volume: Callable[[str], str]) -> None:
    """Directories that volumes share as their past go with the last of them."""
    before = set(plane._home.path.glob("v/*")) | set(plane._templates.values())
    for engine in ENGINES:
        name = f"gone-{engine}"
        shop(plane, engine, name)
        plane.mark(minute(1))
        plane.copy_volume(name, "gone-snapshot")
        plane.copy_volume("gone-snapshot", "gone-restored")
        plane.copy_volume(name, "gone-clone")
        plane.restore_volume(name, "gone-back", minute(1))
        for each in ("gone-restored", "gone-clone", "gone-back"):
            plane.start(each, VERSION[engine])
            plane.stop(each)
        for each in ("gone-snapshot", "gone-restored", "gone-clone", "gone-back", name):
            plane.delete_volume(each)
    assert set(plane._home.path.glob("v/*")) == before | set(plane._templates.values())
