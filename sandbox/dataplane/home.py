"""The folder that a data plane works in: its own, reachable for the servers' users, gone in the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.dataplane import reaper
from sandbox.dataplane.model import DataPlaneError

_PREFIX = "aurora-dp-"
_SOCKET_PATH_LIMIT = 103  # macOS's; Linux allows four more
_LONGEST_SOCKET = f"/{_PREFIX}12345678/r/99999/.s.PGSQL.65535"


class Home:
    """A private folder, in ``root`` if servers can work there, else in the system's temporary folder.

    They cannot where a parent folder is closed to their users (a root user's home, pytest's folders), or where the path
    is too long for a socket.
    """

    def __init__(self, root: Path) -> None:
        self.closed = False
        self._made_root = not root.exists()
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()
        if self._made_root:
            self._root.chmod(0o711)
        self._lock = (self._root / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DataPlaneError(f"Another sandbox works in {root}; give this one its own folder.") from error
        self._note = self._root / "home"
        self._reap_predecessor()
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_choose(self._root)))
        except DataPlaneError:
            self._release()
            raise
        self._note.write_text(str(self.path))
        # Others may pass, not list; every folder of a server is its user's alone.
        self.path.chmod(0o711)
        for name in ("v", "r"):
            (self.path / name).mkdir()
            (self.path / name).chmod(0o711)
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """Remove everything. Servers that still run (started in this very moment) fall to the reaper."""
        self.closed = True
        shutil.rmtree(self.path, ignore_errors=True)
        self._reaper.communicate()
        self._release()

    def _release(self) -> None:
        self._note.unlink(missing_ok=True)
        (self._root / "lock").unlink(missing_ok=True)
        self._lock.close()
        if self._made_root:
            with contextlib.suppress(OSError):  # somebody put something else into it
                self._root.rmdir()

    def _reap_predecessor(self) -> None:
        """Clean up after one whose reaper died too (it had a lock like ours, so it is dead)."""
        with contextlib.suppress(FileNotFoundError):
            left = Path(self._note.read_text())
            if left.name.startswith(_PREFIX):
                reaper.reap(left)


def _choose(root: Path) -> Path:
    for folder in _folders(root):
        if _fits(folder):
            return folder
    raise DataPlaneError(
        f"Database servers cannot work in {root} nor in the temporary folders: the path is too long for a socket, or a "
        "parent folder is closed to their users. Set TMPDIR to a short path that everybody may pass through."
    )


def _folders(root: Path) -> Iterator[Path]:
    yield root
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a private folder is made in it
        yield Path(folder).resolve()


def _fits(folder: Path) -> bool:
    if not folder.is_dir() or len(f"{folder}{_LONGEST_SOCKET}") > _SOCKET_PATH_LIMIT:
        return False
    # As root we start servers as other users, who must be able to pass through every parent.
    return os.geteuid() != 0 or all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))
