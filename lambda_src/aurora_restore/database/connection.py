"""A connection to the restored database: always TLS with a verified name, errors as ours, no password in any text."""

from __future__ import annotations

import socket
import ssl
import struct
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from aurora_restore.errors import CertificateRejected, TransientDatabaseError

if TYPE_CHECKING:
    import pg8000.core
    import pymysql.connections

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
"""PostgreSQL's SSLRequest message: its length and the number that stands for the request."""

Row = tuple[Any, ...]
"""One row of a result, as the driver's Python values."""

STATEMENT_TIMEOUT: Final = 120.0
"""Seconds that a statement may take to answer before the connection counts as lost."""


class SqlError(Exception):
    """The server refused a statement; the text is the server's, shortened, without secrets."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class LoginError(Exception):
    """The server refused the user's name or password, or the database for this user."""


@dataclass(frozen=True)
class Login:
    """Where to connect, and as whom. The password is not part of its ``repr``."""

    engine: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str | None = None

    def to(self, database: str) -> Login:
        """The same login to another database."""
        return replace(self, database=database)


@dataclass(frozen=True)
class Connector:
    """How to connect: with which TLS context, and how long to wait for the TCP connection."""

    tls: ssl.SSLContext
    connect_timeout: float
    statement_timeout: float = STATEMENT_TIMEOUT

    @contextmanager
    def session(self, login: Login) -> Iterator[Session]:
        """An open session, closed at the end. Raises TransientDatabaseError, CertificateRejected or LoginError."""
        opened: Session = _MySql(login, self) if login.engine == "aurora-mysql" else _Postgres(login, self)
        try:
            yield opened
        finally:
            opened.close()


class Session(Protocol):
    """What the rest needs of a database connection, whatever the engine. Outside a transaction it autocommits."""

    @abstractmethod
    def query(self, sql: str) -> Sequence[Row]:
        """Run exactly one statement and return its rows."""

    @abstractmethod
    def execute(self, sql: str, *, secrets: Sequence[str] = ()) -> None:
        """Run one statement for its effect; ``secrets`` are kept out of an error's text."""

    @abstractmethod
    def transaction(self, *, read_only: bool = False) -> AbstractContextManager[None]:
        """Commit what runs inside, or roll it back when it raises or is read-only."""

    @abstractmethod
    def close(self) -> None:
        """Close; never raises."""


def tidy(text: str, secrets: Sequence[str]) -> str:
    """A server's message on one line, of bounded length, without secrets (servers quote the text near an error)."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = " ".join(text.split())
    return text if len(text) <= 400 else text[:397] + "..."


def _refused_tls(login: Login, error: Exception) -> CertificateRejected:
    return CertificateRejected(f"TLS with {login.host}:{login.port} failed: {tidy(str(error), [login.password])}")


def _unreachable(login: Login, error: BaseException | str) -> TransientDatabaseError:
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return TransientDatabaseError(
        f"The database at {login.host}:{login.port} cannot be reached ({tidy(reason, [login.password])})",
        details={"host": login.host, "port": login.port},
    )


def _lost(login: Login) -> TransientDatabaseError:
    return TransientDatabaseError(f"The connection to {login.host}:{login.port} broke during a statement")


class _MySql:
    """PyMySQL: Aurora MySQL, and MariaDB in the sandbox."""

    # MySQL error numbers: login refused, access to the schema refused, unknown schema, host blocked or not allowed.
    _LOGIN = frozenset({1044, 1045, 1049, 1129, 1130, 1698, 3118, 3159})
    # Lost or never made; too many connections; the server shuts down or starts.
    _GONE = frozenset({2002, 2003, 2006, 2013, 2055, 1040, 1053, 1077, 1079, 1152, 1153, 1158, 1159, 1160, 1161})
    _TLS = 2026

    def __init__(self, login: Login, connector: Connector) -> None:
        import pymysql

        self._login = login
        self._errors = pymysql.err
        try:
            self._connection: pymysql.connections.Connection[Any] = pymysql.connect(
                host=login.host,
                port=login.port,
                user=login.username,
                password=login.password,
                database=login.database,
                ssl=connector.tls,  # given, so the driver refuses a server without TLS before it sends the password
                connect_timeout=max(1, int(connector.connect_timeout)),
                read_timeout=connector.statement_timeout,
                write_timeout=connector.statement_timeout,
                charset="utf8mb4",
                autocommit=True,
                local_infile=False,
            )
        except self._errors.MySQLError as error:
            raise self._connect_failure(error) from None

    def _connect_failure(self, error: Exception) -> Exception:
        code, message = _mysql_parts(error)
        original = getattr(error, "original_exception", None)
        if isinstance(original, ssl.SSLError):
            return _refused_tls(self._login, original)
        if code == self._TLS:
            return CertificateRejected(f"TLS with {self._login.host}:{self._login.port} failed: {message}")
        if code in self._LOGIN:
            return LoginError(tidy(message, [self._login.password]))
        return _unreachable(self._login, original or f"{code}: {message}")

    @contextmanager
    def _translated(self, secrets: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except self._errors.MySQLError as error:
            code, message = _mysql_parts(error)
            # "from None": the driver's own text, which may quote a password, must not be in a logged traceback.
            if code in self._GONE or isinstance(error, self._errors.InterfaceError):
                raise _lost(self._login) from None
            raise SqlError(str(code), tidy(message, [self._login.password, *secrets])) from None
        except OSError:
            raise _lost(self._login) from None

    def query(self, sql: str) -> Sequence[Row]:
        # The driver leaves CLIENT.MULTI_STATEMENTS off: a second statement behind a semicolon is a syntax error.
        with self._translated(()), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return tuple(cursor.fetchall())

    def execute(self, sql: str, *, secrets: Sequence[str] = ()) -> None:
        with self._translated(secrets), self._connection.cursor() as cursor:
            cursor.execute(sql)

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[None]:
        # MariaDB lets DDL commit a READ ONLY transaction and then do its work, unless the session is read-only too.
        mode = "READ ONLY" if read_only else "READ WRITE"
        self.execute(f"SET SESSION TRANSACTION {mode}")
        self.execute(f"START TRANSACTION {mode}")
        try:
            yield
        except SqlError:
            self.execute("ROLLBACK")
            raise
        self.execute("ROLLBACK" if read_only else "COMMIT")

    def close(self) -> None:
        if self._connection.open:
            try:
                self._connection.close()
            except (self._errors.MySQLError, OSError):
                return  # it was lost already


def _mysql_parts(error: Exception) -> tuple[int, str]:
    match error.args:
        case (int(code), str(message), *_):
            return code, message
        case _:
            return 0, str(error)


class _Postgres:
    """pg8000: Aurora PostgreSQL."""

    def __init__(self, login: Login, connector: Connector) -> None:
        import pg8000.core
        import pg8000.exceptions

        self._login = login
        self._errors = pg8000.exceptions
        sock = self._tls_socket(connector)
        try:
            self._connection: pg8000.core.CoreConnection = pg8000.core.CoreConnection(
                login.username,
                host=login.host,
                port=login.port,
                database=login.database or "postgres",
                password=login.password,
                ssl_context=False,  # the socket speaks TLS already
                sock=sock,
                application_name="aurora-restore",
            )
        except (self._errors.Error, OSError) as error:
            sock.close()
            raise self._connect_failure(error) from None

    def _tls_socket(self, connector: Connector) -> ssl.SSLSocket:
        """Connect and begin TLS (PostgreSQL manual, SSL Session Encryption).

        The driver can do this too, but with one time-out for connecting and for statements, and it takes a server
        that hangs up for one that refuses TLS.
        """
        login = self._login
        try:
            sock = socket.create_connection((login.host, login.port), connector.connect_timeout)
        except OSError as error:
            raise _unreachable(login, error) from None
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.sendall(_SSL_REQUEST)
            answer = sock.recv(1)
            if answer == b"S":
                encrypted = connector.tls.wrap_socket(sock, server_hostname=login.host)
                encrypted.settimeout(connector.statement_timeout)
                return encrypted
        except ssl.SSLError as error:
            sock.close()
            raise _refused_tls(login, error) from None
        except OSError as error:
            sock.close()
            raise _unreachable(login, error) from None
        sock.close()
        if answer == b"N":
            raise CertificateRejected(f"{login.host}:{login.port} does not offer TLS")
        raise _unreachable(login, "the server closed the connection")

    def _connect_failure(self, error: Exception) -> Exception:
        code, message = _postgres_parts(error)
        # Class 28: authorization; 3D000: no such database; 42501: no CONNECT privilege; 55000: no connections to it.
        if code.startswith("28") or code in {"3D000", "42501", "55000"}:
            return LoginError(tidy(message, [self._login.password]))
        return _unreachable(self._login, f"{code} {message}".strip())

    @contextmanager
    def _translated(self, secrets: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except self._errors.DatabaseError as error:
            code, message = _postgres_parts(error)
            # Class 08: connection; 57P01-57P03: the server shuts down or starts.
            if code.startswith(("08", "57P")):
                raise _lost(self._login) from None
            raise SqlError(code, tidy(message, [self._login.password, *secrets])) from None
        except (self._errors.Error, OSError):
            raise _lost(self._login) from None

    def query(self, sql: str) -> Sequence[Row]:
        # The extended protocol takes one statement only, so that nothing can follow the first behind a semicolon.
        with self._translated(()):
            return tuple(tuple(row) for row in self._connection.execute_unnamed(sql).rows or ())

    def execute(self, sql: str, *, secrets: Sequence[str] = ()) -> None:
        with self._translated(secrets):
            self._connection.execute_unnamed(sql)

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[None]:
        self.execute("BEGIN READ ONLY" if read_only else "BEGIN")
        try:
            yield
        except SqlError:
            self.execute("ROLLBACK")
            raise
        self.execute("ROLLBACK" if read_only else "COMMIT")

    def close(self) -> None:
        try:
            self._connection.close()
        except (self._errors.Error, OSError):
            return  # it was lost already


def _postgres_parts(error: Exception) -> tuple[str, str]:
    match error.args:
        case ({"C": str(code), "M": str(message)}, *_):
            return code, message
        case _:
            return "", str(error)
