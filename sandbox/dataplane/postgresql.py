"""PostgreSQL in the place of Aurora PostgreSQL. The server's major version is the machine's, whatever was asked for."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pg8000.native
from pg8000.native import identifier, literal

from sandbox.dataplane import programs
from sandbox.dataplane.engines import ADMIN, LogPosition, Past, Place, Rows, run
from sandbox.dataplane.model import DataPlaneError
from sandbox.dataplane.processes import ServerUser

_PACKAGE = "postgresql"
_SETTINGS = {
    # With fsync off a commit still write()s its WAL before it is acknowledged, and a copy of the frozen server sees
    # what was written; fsync would only help against a crash of the whole machine. synchronous_commit must stay on.
    "fsync": "off",
    "synchronous_commit": "on",
    "shared_buffers": "32MB",
    "max_connections": "90",
    "min_wal_size": "8MB",
    "max_wal_size": "64MB",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # its files are in the data directory: nothing is left in /dev/shm
    "timezone": "UTC",
    "log_timezone": "UTC",
    "ssl": "on",
    "listen_addresses": "127.0.0.1",
    "rds.force_ssl": "1",
}
# TCP needs TLS (rds.force_ssl). rdsadmin comes by the private socket only. rds_iam wins over a password, as on Aurora
# ("IAM database authentication"); no token is valid here.
_HBA = f"""\
local    all       {ADMIN}   peer map=sandbox
hostssl  all       {ADMIN}   all  reject
hostssl  {ADMIN}  all        all  reject
hostssl  all       +rds_iam   all  reject
hostssl  all       all        all  scram-sha-256
"""
_RELOAD_SECONDS = 10.0


class PostgreSql:
    """Runs PostgreSQL."""

    graceful: signal.Signals = signal.SIGINT  # "fast": sessions end, a checkpoint is written
    immediate: signal.Signals = signal.SIGQUIT  # the WAL is replayed at the next start
    unavailable: tuple[type[Exception], ...] = (pg8000.native.Error, OSError)

    def __init__(self) -> None:
        # Resolved, since programs of one version belong together, and Debian's psql on PATH is a wrapper.
        self._server = programs.find("postgres", _PACKAGE).resolve()
        self._initdb = programs.find("initdb", _PACKAGE, beside=self._server)
        self._client = programs.find("psql", _PACKAGE, beside=self._server)
        self.user = ServerUser.choose("postgres", "nobody")

    def initialise(self, data: Path) -> None:
        """Make an empty data directory; small WAL segments, since they are part of every copy."""
        options = ["--username", ADMIN, "--auth", "reject", "--encoding", "UTF8", "--locale", "C"]
        options += ["--wal-segsize", "1", "--no-sync", "--no-instructions"]
        run([str(self._initdb), "--pgdata", str(data), *options], self.user, data)

    def base_sql(self) -> Sequence[str]:
        """Make the roles of RDS, the database that only AWS enters, and aurora_version()."""
        return [
            "CREATE ROLE rds_superuser",
            "CREATE ROLE rds_iam",
            "CREATE ROLE rds_password",
            "CREATE ROLE rds_replication",
            "GRANT pg_monitor, pg_signal_backend, rds_password, rds_replication TO rds_superuser WITH ADMIN OPTION",
            f"CREATE DATABASE {ADMIN}",
            f"REVOKE ALL ON DATABASE {ADMIN} FROM PUBLIC",
            # In template1 too, where this runs: every database that is created later has it.
            self._VERSION_FUNCTION,
        ]

    # In pg_catalog, so that no dump contains it, as AWS's own.
    _VERSION_FUNCTION = (
        "CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE "
        "AS $$SELECT current_setting('rds.aurora_version')$$"
    )

    def master_sql(self, username: str, password: str, database: str | None) -> Sequence[str]:
        """Make the master user as RDS does, owner of the databases postgres and ``database``."""
        master = identifier(username)
        statements = [
            f"CREATE ROLE {master} LOGIN NOSUPERUSER CREATEDB CREATEROLE PASSWORD {literal(password)}",
            f"GRANT rds_superuser TO {master}",
            f"ALTER DATABASE postgres OWNER TO {master}",
        ]
        if database and database != "postgres":
            statements.append(f"CREATE DATABASE {identifier(database)} OWNER {master}")
        return statements

    def password_sql(self, username: str, password: str) -> str:
        """Change a password."""
        return f"ALTER ROLE {identifier(username)} PASSWORD {literal(password)}"

    def command(self, place: Place, engine_version: str) -> list[str]:
        """Return the server's command; who may connect is written beside the socket, not into the data."""
        ours = pwd.getpwuid(os.geteuid()).pw_name
        self.user.write(place.private / "hba", _HBA)
        self.user.write(place.private / "ident", f'sandbox "{ours}" {ADMIN}\n')
        settings = {
            **_SETTINGS,
            "port": str(place.port),
            "unix_socket_directories": str(place.private),
            "hba_file": str(place.private / "hba"),
            "ident_file": str(place.private / "ident"),
            "ssl_cert_file": str(place.certificate),
            "ssl_key_file": str(place.key),
            "rds.aurora_version": engine_version,
        }
        if place.archive is not None:
            target = shlex.quote(str(place.archive)).replace("%", "%%")
            settings |= {"archive_mode": "on", "archive_command": f"cp %p {target}/%f"}
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        return [str(self._server), "-D", str(place.data), *options]

    def execute(self, place: Place, statements: Sequence[str], database: str | None, *, first: bool = False) -> Rows:
        """Run statements as rdsadmin."""
        connection = pg8000.native.Connection(
            ADMIN,
            unix_sock=str(place.private / f".s.PGSQL.{place.port}"),
            database=database or ("template1" if first else "postgres"),
            ssl_context=False,
        )
        try:
            rows: list[list[object]] | None = None
            for statement in statements:
                rows = connection.run(statement)
        finally:
            connection.close()
        return [tuple(row) for row in rows or ()]

    def reload_certificate(self, place: Place, pid: int) -> None:
        """Read the certificate again; done when a new session was forked from a server that has reloaded."""
        question = ["SELECT pg_conf_load_time()"]
        before = self.execute(place, question, None)
        deadline = time.monotonic() + _RELOAD_SECONDS
        os.kill(pid, signal.SIGHUP)
        while self.execute(place, question, None) == before:
            if time.monotonic() > deadline:
                raise DataPlaneError("PostgreSQL did not reload its certificate.")
            time.sleep(0.01)

    def client(self, place: Place, database: str | None, master: str) -> tuple[list[str], Mapping[str, str]]:
        """Return psql, acting in the master user's name so that it owns what is made."""
        command = [str(self._client), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--host={place.private}"]
        command += [f"--port={place.port}", f"--username={ADMIN}", f"--dbname={database or 'postgres'}", "--file=-"]
        role = re.sub(r"([\\\s])", r"\\\1", master)
        return command, {"PGOPTIONS": f"-c role={role} -c client_min_messages=warning"}

    def forget_process(self, data: Path) -> None:
        """Remove the lock file, which names a process that may live: the one on the original."""
        (data / "postmaster.pid").unlink(missing_ok=True)
        shutil.rmtree(data / "pg_dynshmem")
        self.user.make_directory(data / "pg_dynshmem")

    def forget_log(self, data: Path) -> None:
        """Nothing: the server removes WAL that it does not need, archived or not is of no matter to a copy."""

    def log_position(self, data: Path) -> LogPosition:  # noqa: ARG002
        """Return the real time: each commit record bears it, to the microsecond, before it is acknowledged."""
        return (time.time(),)

    def roll_forward(self, start: Callable[[Sequence[str]], Place], past: Past, data: Path, until: LogPosition) -> None:
        """Recover from the WAL, archived and current, up to the last commit at or before a time."""
        for folder in (past.data / "pg_wal", past.archive):  # in this order: a finished segment is the better one
            for segment in folder.iterdir():
                if re.fullmatch(r"[0-9A-F]{24}", segment.name):
                    shutil.copyfile(segment, data / "pg_wal" / segment.name)
                    self.user.own(data / "pg_wal" / segment.name)
        self.user.write(data / "recovery.signal", "")
        settings = {
            "restore_command": "false",  # all is in pg_wal
            "recovery_target_timeline": "current",
            "recovery_target_action": "promote",
            "hot_standby": "off",  # answers only when all is done
        }
        options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        moment = datetime.fromtimestamp(until[0], UTC).isoformat(sep=" ")
        try:
            start([*options, "-c", f"recovery_target_time={moment}"])
        except DataPlaneError as error:
            if "before configured recovery target was reached" not in str(error):
                raise
            start(options)  # nothing was committed later: all of the log it is
