"""MariaDB in the place of Aurora MySQL."""

from __future__ import annotations

import secrets
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pymysql
from pymysql.converters import escape_string

from sandbox.dataplane import programs
from sandbox.dataplane.engines import ADMIN, LogPosition, Past, Place, Rows, environment, run
from sandbox.dataplane.model import DataPlaneError
from sandbox.dataplane.processes import ServerUser

_PACKAGE = "mariadb-server"
_INNODB = (
    "--innodb-log-file-size=8M",  # small: it is part of every copy
    # Writes must come from the server's own threads, so that freezing these freezes the files.
    "--innodb-use-native-aio=OFF",
)
# A commit is acknowledged after write(), which a copy of the frozen server sees; fsync() would only help against a
# crash of the whole machine. The flush log setting 0 would acknowledge before write() and lose rows.
_DURABILITY = ("--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=fsync")
# The binary log is what a restore to a point in time replays. Creating a function stays free, as where it is off.
_LOG = (
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--sync-binlog=0",
    "--log-bin-trust-function-creators=ON",
)
_SMALL = (
    "--innodb-buffer-pool-size=32M",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=8M",
    "--performance-schema=OFF",
    "--max-connections=90",  # what a db.t3.medium offers
)

# What rds_superuser_role has on Aurora MySQL 3 (Aurora User Guide, "Role-based privilege model"), as far as MariaDB
# knows it. Aurora does not let the master write the tables of `mysql`, which a global right to write would include
# here: so rights that write are granted on the pattern `%`, and the narrower grants on `mysql` and `sys` take these
# schemas out of the pattern. The price: `GRANT INSERT ON *.*` is refused here and not on Aurora.
_GLOBAL_RIGHTS = (
    "SELECT, SHOW VIEW, EXECUTE, LOCK TABLES, PROCESS, RELOAD, SHOW DATABASES, CREATE USER, SET USER, "
    "REPLICATION CLIENT, REPLICATION SLAVE"
)
_ROLE = "rds_superuser_role"
_ADMIN = f"'{ADMIN}'@'localhost'"

_COMMUNITY_VERSIONS = {  # Aurora MySQL release notes: "compatible with MySQL …"
    "2.11": "5.7.12",
    "2.12": "5.7.44",
    "3.01": "8.0.23",
    "3.02": "8.0.23",
    "3.03": "8.0.26",
    "3.04": "8.0.28",
    "3.05": "8.0.32",
    "3.06": "8.0.34",
    "3.07": "8.0.36",
    "3.08": "8.0.39",
    "3.09": "8.0.40",
    "3.10": "8.0.42",
    "3.11": "8.0.43",
}


def shown_version(engine_version: str) -> str:
    """Return what ``@@version`` shows: the community version first, as on Aurora; then Aurora's; then the truth.

    ``8.0.mysql_aurora.3.08.2`` → ``8.0.39-aurora.3.08.2-MariaDB``: MariaDB has no native AURORA_VERSION().
    """
    major, _, aurora = engine_version.partition(".mysql_aurora.")
    if not aurora:
        return f"{engine_version}-MariaDB"
    release = ".".join(aurora.split(".")[:2])
    return f"{_COMMUNITY_VERSIONS.get(release, f'{major}.0')}-aurora.{aurora}-MariaDB"


class MariaDb:
    """Runs MariaDB. Its SQL is the subset that it shares with MySQL 8; what differs is said where it does."""

    graceful: signal.Signals = signal.SIGTERM
    immediate: signal.Signals = signal.SIGKILL  # InnoDB and Aria recover at the next start
    unavailable: tuple[type[Exception], ...] = (pymysql.err.OperationalError,)

    def __init__(self) -> None:
        self._server = programs.find("mariadbd", _PACKAGE)
        self._install = programs.find("mariadb-install-db", _PACKAGE)
        self._client = programs.find("mariadb", _PACKAGE)
        self._log_reader = programs.find("mariadb-binlog", _PACKAGE)
        self.user = ServerUser.choose("mysql", "nobody")
        # A password, since the unix_socket plugin wants the system user's name. With skip-name-resolve 'localhost' is
        # the socket only.
        self._password = secrets.token_hex(16)

    def initialise(self, data: Path) -> None:
        """Make an empty data directory; its passwordless root users are gone after base_sql."""
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--force"]
        # A server that starts removes temporary tables from its directory for them: in /tmp, also those of others.
        places = [f"--datadir={data}", f"--tmpdir={data}"]
        run([str(self._install), "--no-defaults", *places, *options, *_INNODB], self.user, data)

    def base_sql(self) -> Sequence[str]:
        """Make rdsadmin the only administrator, and what Aurora has: rds_superuser_role, mysql.rds_kill."""
        return [
            "DELETE FROM mysql.global_priv WHERE user IN ('root', '')",
            "DELETE FROM mysql.proxies_priv",
            "FLUSH PRIVILEGES",
            f"CREATE USER {_ADMIN} IDENTIFIED BY '{self._password}'",
            f"GRANT ALL ON *.* TO {_ADMIN} WITH GRANT OPTION",
            f"CREATE ROLE {_ROLE} WITH ADMIN {_ADMIN}",
            *self._superuser_grants(_ROLE),
            # Aurora's way for the master to end sessions of others.
            f"CREATE DEFINER={_ADMIN} PROCEDURE mysql.rds_kill(IN thread_id BIGINT) KILL thread_id",
            f"CREATE DEFINER={_ADMIN} PROCEDURE mysql.rds_kill_query(IN thread_id BIGINT) KILL QUERY thread_id",
        ]

    def _superuser_grants(self, grantee: str) -> list[str]:
        return [
            f"GRANT {_GLOBAL_RIGHTS} ON *.* TO {grantee} WITH GRANT OPTION",
            f"GRANT ALL ON `%`.* TO {grantee} WITH GRANT OPTION",
            f"GRANT SELECT ON `mysql`.* TO {grantee}",
            f"GRANT SELECT ON `sys`.* TO {grantee}",
        ]

    def master_sql(self, username: str, password: str, database: str | None) -> Sequence[str]:
        """Make the master user; its rights are direct too, because MariaDB activates no roles in views and routines."""
        master = f"'{escape_string(username)}'@'%'"
        statements = [
            f"CREATE USER {master} IDENTIFIED BY '{escape_string(password)}'",
            *self._superuser_grants(master),
            f"GRANT {_ROLE} TO {master} WITH ADMIN OPTION",
        ]
        if database:
            statements.append(f"CREATE DATABASE `{database.replace('`', '``')}`")
        return statements

    def password_sql(self, username: str, password: str) -> str:
        """Change a password."""
        return f"ALTER USER '{escape_string(username)}'@'%' IDENTIFIED BY '{escape_string(password)}'"

    def command(self, place: Place, engine_version: str) -> list[str]:
        """Return the server's command. TLS is offered, not required, as on Aurora (require_secure_transport = OFF)."""
        return [
            str(self._server),
            "--no-defaults",
            f"--datadir={place.data}",
            f"--socket={place.private / 'socket'}",
            f"--pid-file={place.private / 'pid'}",
            f"--tmpdir={place.private}",
            "--bind-address=127.0.0.1",
            f"--port={place.port}",
            "--skip-name-resolve",
            f"--version={shown_version(engine_version)}",
            "--character-set-server=utf8mb4",
            "--default-time-zone=+00:00",
            f"--ssl-cert={place.certificate}",
            f"--ssl-key={place.key}",
            "--tls-version=TLSv1.2,TLSv1.3",
            *_INNODB,
            *_DURABILITY,
            *_LOG,
            *_SMALL,
        ]

    def execute(self, place: Place, statements: Sequence[str], database: str | None, *, first: bool = False) -> Rows:
        """Run statements as rdsadmin (as the installer's root, the first time)."""
        connection = pymysql.connect(
            unix_socket=str(place.private / "socket"),
            user="root" if first else ADMIN,
            password="" if first else self._password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def reload_certificate(self, place: Place, pid: int) -> None:  # noqa: ARG002
        """Read the certificate again; done when the statement returns."""
        self.execute(place, ["FLUSH SSL"], None)

    def client(self, place: Place, database: str | None, master: str) -> tuple[list[str], Mapping[str, str]]:  # noqa: ARG002
        """Return the mariadb client."""
        command = [str(self._client), "--no-defaults", f"--socket={place.private / 'socket'}", f"--user={ADMIN}"]
        command += ["--default-character-set=utf8mb4", *([database] if database else [])]
        return command, {"MYSQL_PWD": self._password}

    def forget_process(self, data: Path) -> None:
        """Nothing: socket and pid file are not in the data directory."""

    def forget_log(self, data: Path) -> None:
        """Keep the newest two binary logs: the recovery of a frozen copy asks them which transactions to keep."""
        logs = _logs(data)
        for log in logs[:-2]:
            log.unlink()
        if logs:
            self.user.write(data / "binlog.index", "".join(f"./{log.name}\n" for log in logs[-2:]))

    def log_position(self, data: Path) -> LogPosition:
        """Return the newest binary log's number and size: a commit is written there before it is acknowledged."""
        newest = _logs(data)[-1]
        return _number(newest), newest.stat().st_size

    def roll_forward(
        self,
        start: Callable[[Sequence[str]], Place],
        past: Past,
        data: Path,  # noqa: ARG002
        until: LogPosition,
    ) -> None:
        """Replay the binary logs since the base, up to a position; an unfinished transaction there is rolled back."""
        begun = _logs(past.base)
        last, size = until
        logs = [log for log in _logs(past.data) if (_number(begun[-1]) if begun else 0) < _number(log) <= last]
        place = start([])
        if not logs:
            return
        command, variables = self.client(place, None, "")
        with subprocess.Popen(
            [str(self._log_reader), "--disable-log-bin", f"--stop-position={size}", *map(str, logs)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as reader:
            result = subprocess.run(
                [*command, "--binary-mode"],
                stdin=reader.stdout,
                env={**environment(), **variables},
                capture_output=True,
                text=True,
                check=False,
            )
            said = reader.stderr.read().decode(errors="replace") if reader.stderr else ""
        if result.returncode or reader.returncode:
            raise DataPlaneError(f"The binary log could not be replayed: {(result.stderr or said).strip()[-2000:]}")


def _logs(data: Path) -> list[Path]:
    return sorted(data.glob("binlog.[0-9]*"), key=_number)


def _number(log: Path) -> int:
    return int(log.suffix[1:])
