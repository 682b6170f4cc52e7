"""Real MariaDB and PostgreSQL servers for the database tests: TLS by a CA of their own, an Aurora-like master user."""

from __future__ import annotations

import datetime
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pymysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aurora_restore.database.connection import Connector, Login
from aurora_restore.database.tls import client_context

MASTER_PASSWORD = "Master-password.1"

# What Aurora MySQL's master user may do (AuroraUserGuide, Master user account privileges), as far as MariaDB has it.
AURORA_MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES,"
    " CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, CREATE VIEW, SHOW VIEW,"
    " CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER"
)


@dataclass(frozen=True)
class Server:
    """A running server; ``admin`` runs SQL as its superuser, whom no customer of Aurora has."""

    engine: str
    port: int
    ca_pem: str
    folder: Path
    master: Login

    @property
    def connector(self) -> Connector:
        return Connector(client_context(self.ca_pem), connect_timeout=5)

    def login(self, username: str, password: str, database: str | None = None) -> Login:
        return replace(self.master, username=username, password=password, database=database)

    def admin(self, *statements: str, database: str = "postgres") -> None:
        if self.engine == "aurora-mysql":
            with pymysql.connect(unix_socket=str(self.folder / "s"), user="root", autocommit=True) as connection:
                for statement in statements:
                    connection.cursor().execute(statement)
            return
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port)]
        for statement in statements:
            subprocess.run(
                [*command, "-U", "rdsadmin", "-d", database, "-c", statement],
                check=True,
                capture_output=True,
                timeout=60,
            )


def certificates(folder: Path, names: Sequence[str] = ("localhost",)) -> str:
    """Write key and certificate of a server for these names; return the PEM of the authority that signed it."""
    now = datetime.datetime.now(datetime.UTC)

    def build(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = build("test authority", "test authority", authority, ca=True).sign(authority, hashes.SHA256())
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    leaf = (
        build("an instance endpoint", "test authority", server, ca=False)
        .add_extension(alternatives, critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "server.key").write_bytes(
        server.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "server.key").chmod(0o600)
    return root.public_bytes(pem).decode()


@contextmanager
def mariadb(*, tls: bool = True) -> Iterator[Server]:
    """MariaDB with TLS, the databases shop and stock, and a master as Aurora's."""
    with _folder("mysql") as (folder, own, as_user):
        ca_pem, port, data = certificates(folder), _free_port(), folder / "data"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--tmpdir={folder}", "--skip-test-db"]
        _run([*as_user, *install, "--auth-root-authentication-method=normal"])
        own()
        command = [
            *as_user, _program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={folder / 's'}",
            f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}", f"--tmpdir={folder}",
            "--skip-name-resolve", "--innodb-buffer-pool-size=16M",
        ]  # fmt: skip
        if tls:
            command += [f"--ssl-cert={folder / 'server.pem'}", f"--ssl-key={folder / 'server.key'}"]
        else:
            command += ["--skip-ssl"]
        master = Login("aurora-mysql", "localhost", port, "admin", MASTER_PASSWORD)
        server = Server("aurora-mysql", port, ca_pem, folder, master)
        with _running(command, folder, lambda: server.admin("SELECT 1"), signal.SIGTERM):
            server.admin(
                f"CREATE USER 'admin'@'%' IDENTIFIED BY '{MASTER_PASSWORD}'",
                f"GRANT {AURORA_MASTER_PRIVILEGES} ON *.* TO 'admin'@'%' WITH GRANT OPTION",
                "CREATE DATABASE shop",
                "CREATE DATABASE stock",
            )
            yield server


@contextmanager
def postgresql(*, tls: bool = True) -> Iterator[Server]:
    """PostgreSQL with TLS, the databases shop and stock, and a master as Aurora's: rdsadmin is the superuser."""
    with _folder("postgres") as (folder, own, as_user):
        ca_pem, port, data = certificates(folder), _free_port(), folder / "data"
        own()
        _run(
            [*as_user, _program("initdb"), "-D", str(data), "-U", "rdsadmin", "--auth=trust", "--no-sync", "-E", "UTF8"]
        )
        rules = "local all all trust\nhostssl all all all scram-sha-256\n"
        (data / "pg_hba.conf").write_text(rules if tls else rules.replace("hostssl", "host"))
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off",
            "ssl": "on" if tls else "off", "ssl_cert_file": folder / "server.pem",
            "ssl_key_file": folder / "server.key", "log_statement": "all", "max_connections": 20,
        }  # fmt: skip
        command = [*as_user, _program("postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        master = Login("aurora-postgresql", "localhost", port, "postgres", MASTER_PASSWORD)
        server = Server("aurora-postgresql", port, ca_pem, folder, master)
        with _running(command, folder, lambda: server.admin("SELECT 1", database="template1"), signal.SIGINT):
            server.admin("CREATE DATABASE rdsadmin", database="template1")
            server.admin(
                "CREATE ROLE rds_superuser",
                "CREATE ROLE rds_iam",
                f"CREATE ROLE postgres LOGIN CREATEDB CREATEROLE PASSWORD '{MASTER_PASSWORD}' IN ROLE rds_superuser",
                "GRANT rds_iam TO rds_superuser WITH ADMIN OPTION",
                "ALTER DATABASE postgres OWNER TO postgres",
                "REVOKE CONNECT ON DATABASE rdsadmin FROM PUBLIC",
                "CREATE DATABASE shop OWNER postgres",
                "CREATE DATABASE stock OWNER postgres",
            )
            yield server


@contextmanager
def _folder(user: str) -> Iterator[tuple[Path, Callable[[], None], list[str]]]:
    """A folder that the server's user owns, and the words that run a command as that user: not as root."""
    folder = Path(tempfile.mkdtemp(prefix="arp-db-", dir="/tmp"))
    try:
        if os.geteuid() != 0:
            yield folder, lambda: None, []
            return
        account = pwd.getpwnam(user)

        def own() -> None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)

        own()
        yield folder, own, ["setpriv", f"--reuid={user}", f"--regid={account.pw_gid}", "--clear-groups"]
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: list[str], folder: Path, ready: Callable[[], None], end: signal.Signals) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ready()
                break
            except (pymysql.MySQLError, subprocess.CalledProcessError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{command[0]} did not start:\n{log.read_text()}") from None
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(end)
        process.wait(30)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found or versions, f"{name} is not installed: run 'make setup'"
    return found or str(versions[-1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
