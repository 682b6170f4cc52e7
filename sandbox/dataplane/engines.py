"""What a database engine is to the data plane; one implementation for MariaDB, one for PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sandbox.dataplane.model import DataPlaneError
from sandbox.dataplane.processes import ServerUser

Rows = list[tuple[Any, ...]]
# A point in an engine's log: whatever the engine finds it again by. Only compared for equality outside.
LogPosition = tuple[float, ...]
ADMIN = "rdsadmin"  # the user that AWS keeps for itself on every Aurora cluster


@dataclass(frozen=True)
class Place:
    """Where one server lives: its data, its private folder (socket, certificate), its port on 127.0.0.1."""

    data: Path
    private: Path
    port: int
    # Where the engine puts finished logs that its data directory does not keep.
    archive: Path | None = None

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.private / "server.pem"

    @property
    def key(self) -> Path:
        """The certificate's private key."""
        return self.private / "server.key"


@dataclass(frozen=True)
class Past:
    """What a volume's history is made of: the directory before its first start, and where its log is now."""

    base: Path
    data: Path
    archive: Path


class EngineAdapter(Protocol):
    """One engine. ``execute`` and ``client`` act as rdsadmin, over a socket that only the server's user can reach."""

    user: ServerUser
    graceful: signal.Signals
    immediate: signal.Signals
    unavailable: tuple[type[Exception], ...]

    def initialise(self, data: Path) -> None:
        """Make an empty data directory."""

    def base_sql(self) -> Sequence[str]:
        """Make Aurora's roles and users, once in the template of all volumes."""

    def master_sql(self, username: str, password: str, database: str | None) -> Sequence[str]:
        """Make the master user and the initial database."""

    def password_sql(self, username: str, password: str) -> str:
        """Change a password."""

    def command(self, place: Place, engine_version: str) -> list[str]:
        """Return the command that runs the server in the foreground."""

    def execute(self, place: Place, statements: Sequence[str], database: str | None, *, first: bool = False) -> Rows:
        """Run statements; return the rows of the last. ``first``: before base_sql has run."""

    def reload_certificate(self, place: Place, pid: int) -> None:
        """Make the server use the certificate that was just written, for connections from now on."""

    def client(self, place: Place, database: str | None, master: str) -> tuple[list[str], Mapping[str, str]]:
        """Return command and environment of a client that reads SQL from standard input and stops at an error."""

    def forget_process(self, data: Path) -> None:
        """Remove from a copied data directory what belongs to the process that ran on the original."""

    def forget_log(self, data: Path) -> None:
        """Remove from a copied data directory the log that its own recovery does not need."""

    def log_position(self, data: Path) -> LogPosition:
        """Return how far the log goes now: all that was acknowledged is before it. Must be cheap."""

    def roll_forward(self, start: Callable[[Sequence[str]], Place], past: Past, data: Path, until: LogPosition) -> None:
        """Bring ``data``, a copy of the past's base, to a position of its log; ``start`` runs a server on it."""


def run(command: Sequence[str], user: ServerUser, cwd: Path) -> None:
    """Run a program of an engine as its server's user."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **user.popen_arguments(),
    )
    if result.returncode != 0:
        raise DataPlaneError(f"{command[0]} failed ({result.returncode}): {result.stdout.strip()[-2000:]}")


def environment() -> dict[str, str]:
    """Return a server's environment: nothing of ours, credentials above all."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}
