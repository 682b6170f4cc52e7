"""Where the servers' programs are."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from sandbox.dataplane.model import DataPlaneError

_SYSTEM = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin", "/usr/libexec")
_HOMEBREW = ("/opt/homebrew", "/usr/local")
# Debian keeps each major version of PostgreSQL apart, Red Hat's PGDG packages and Homebrew too.
_VERSIONED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", *(f"{brew}/opt/postgresql@*/bin" for brew in _HOMEBREW))


def _newest(pattern: str) -> list[Path]:
    """Return the folders of a pattern, highest version first."""
    found = Path("/").glob(pattern.lstrip("/"))
    return sorted(found, key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], reverse=True)


def _folders() -> Iterable[Path]:
    for pattern in _VERSIONED:
        yield from _newest(pattern)
    for brew in _HOMEBREW:
        yield Path(brew, "opt", "mariadb", "bin")
    yield from map(Path, _SYSTEM)


def find(name: str, package: str, beside: Path | None = None) -> Path:
    """Find a program on PATH or where packages put servers; a missing one names the package to install.

    ``beside`` is a program of the same package that was found: then that folder and no other will do.
    """
    on_path = None if beside else shutil.which(name)
    if on_path:
        return Path(on_path)
    for folder in [beside.parent] if beside else _folders():
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise DataPlaneError(
        f"{name} was not found: the sandbox's database servers need the system package {package} "
        "(or switch the data plane off)."
    )
