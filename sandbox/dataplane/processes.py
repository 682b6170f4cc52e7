"""Processes of servers: whose user they run as, and how a whole server is frozen for a copy."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.dataplane.model import DataPlaneError

_FREEZE_SECONDS = 10.0


@dataclass(frozen=True)
class ServerUser:
    """The unprivileged user that a server runs as: an existing one when we are root, else ourselves."""

    uid: int
    gid: int
    ours: bool

    @classmethod
    def choose(cls, *names: str) -> ServerUser:
        """Take the first of ``names`` that exists."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), ours=True)
        for name in names:
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(entry.pw_uid, entry.pw_gid, ours=False)
        raise DataPlaneError(f"Database servers do not run as root, and none of the users {', '.join(names)} exists.")

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments that make subprocess drop to this user."""
        return {} if self.ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def make_directory(self, path: Path) -> Path:
        """Make a directory that only this user (and root) can enter."""
        path.mkdir(mode=0o700, parents=True)
        self.own(path)
        return path

    def write(self, path: Path, text: str) -> None:
        """Write a file that only this user can read, at once: a server may be reading it."""
        draft = path.with_name(path.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(text)
        self.own(draft)
        draft.replace(path)

    def own(self, path: Path) -> None:
        """Give a path to this user."""
        if not self.ours:
            os.chown(path, self.uid, self.gid)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a server with all its processes, so that its files are those of one moment.

    SIGSTOP lets a running write() finish, so what was written is whole, and what was acknowledged as committed is in
    the kernel's page cache, where the copy reads it. The parent goes first: stopped, it starts no further process.
    """
    stopped: list[int] = []
    try:
        fresh = [pid]
        while fresh:
            stopped += fresh
            for each in fresh:
                _signal(each, signal.SIGSTOP)
            _await_stopped(fresh)
            fresh = [each for each in _children(pid) if each not in stopped]
        yield
    finally:
        for each in reversed(stopped):
            _signal(each, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_stopped(pids: list[int]) -> None:
    deadline = time.monotonic() + _FREEZE_SECONDS
    while not all(_is_stopped(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise DataPlaneError("A database server could not be frozen for a copy of its volume.")
        time.sleep(0.001)


if sys.platform == "linux":

    def _state_and_parent(stat: Path) -> tuple[str, int]:
        """Read state and parent of a process or thread; the name before them is in parentheses and may hold any."""
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            return "X", 0
        return state, int(parent)

    def _is_stopped(pid: int) -> bool:
        # Each thread stops by itself: one that is inside a system call finishes it first.
        return all(_state_and_parent(stat)[0] in "TtZX" for stat in Path(f"/proc/{pid}/task").glob("*/stat"))

    def _children(pid: int) -> list[int]:
        return [
            int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _state_and_parent(stat)[1] == pid
        ]

else:

    def _process_table() -> list[list[str]]:
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,state="], capture_output=True, text=True, check=True)
        return [line.split() for line in listing.stdout.splitlines()]

    def _is_stopped(pid: int) -> bool:
        return all(state[0] in "TZ" for own, _, state in _process_table() if int(own) == pid)

    def _children(pid: int) -> list[int]:
        return [int(own) for own, parent, _ in _process_table() if int(parent) == pid]
