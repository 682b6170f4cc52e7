"""Ends what a data plane leaves when its process dies without closing it: servers, sockets, files.

Run as a script with a folder, it waits for the end of its standard input (that is, of the process that holds the other
side of the pipe) and then reaps. Only the standard library, so that it starts fast and alone. A pipe rather than
PR_SET_PDEATHSIG: the latter exists on Linux only, and fires when the *thread* that started the server ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_SERVERS = ("mariadbd", "postgres")
_PATIENCE_SECONDS = 6.0  # PostgreSQL gives its own processes five


def _commands() -> list[tuple[int, list[str]]]:
    """List the processes of this machine with their arguments."""
    found: list[tuple[int, list[str]]] = []
    if sys.platform == "linux":
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found.append((int(entry.parent.name), entry.read_bytes().decode(errors="replace").split("\0")))
    else:
        listing = subprocess.run(["ps", "-Aww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            found.append((int(pid), command.split(" ")))
    return found


def servers_under(home: Path) -> list[int]:
    """Return the database servers that work in this folder."""
    return [
        pid
        for pid, arguments in _commands()
        if Path(arguments[0]).name in _SERVERS and any(f"{home}/" in argument for argument in arguments[1:])
    ]


def reap(home: Path) -> None:
    """End every server of this folder, then the folder."""
    for number, patience in ((signal.SIGQUIT, _PATIENCE_SECONDS), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + patience
        left = servers_under(home)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # it may be frozen for a copy
        while left and time.monotonic() < deadline:
            time.sleep(0.02)
            left = servers_under(home)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    reap(Path(sys.argv[1]))
