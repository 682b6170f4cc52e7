#!/usr/bin/env python3
"""Build the Lambda zip: this project's package and its locked dependencies, the same manifest wherever it is built.

Terraform runs this at apply (package.tf); so does whoever needs a zip for the module's `lambda_package` variable. It
needs Python 3.11+ with pip, nothing else. The zip is named by the hash of its sources, computed by package.tf in
the same way, so that a plan knows the name of what an apply will build.

Names are sorted, dates and modes fixed, nothing is compiled: the manifest is the same everywhere, and the bytes are for
the same zlib.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "lambda_src"
LOCK = SOURCES / "requirements.txt"
PACKAGE = "aurora_restore"
# What the zip takes from the package; its hash is over these, the lock and this file. package.tf has the same list.
SOURCE_SUFFIXES = (".py", ".json", ".pem")

# A file of the zip that says which sources it was built from: functions refuse another module's zip.
SOURCE_HASH_FILE = f"{PACKAGE}/source_hash.txt"

# The oldest runtime that the module allows. The wheels are pure, so that one zip serves all of them.
PYTHON_VERSION = "3.11"
# Zip's own epoch: a date is needed, and this one says that it means nothing.
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
UNIX = 3
# Lambda runs as another user than the one who owns the files: they must be readable by all.
FILE_MODE = 0o100644 << 16
# Of a wheel's metadata only METADATA (importlib.metadata.version reads it) and the licences are of use at run time.
UNUSED_METADATA = {"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "top_level.txt", "entry_points.txt", "zip-safe"}
UNUSED_SUFFIXES = {".pyc", ".pyi", ".typed"}
COMPILED_SUFFIXES = {".so", ".pyd", ".dylib", ".dll"}

WAY_OUT = (
    "Where this machine cannot build, build the zip on one that can (`python3 scripts/package.py --build-dir DIR`) "
    'and give it to the module: lambda_package = { filename = "…" } or { s3_bucket = "…", s3_key = "…" }.'
)


class PackageError(Exception):
    """The zip cannot be built; the message holds the remedy."""


def source_files() -> list[Path]:
    """The package's files, in an order that no file system decides."""
    found = (path for path in (SOURCES / PACKAGE).rglob("*") if path.is_file() and path.suffix in SOURCE_SUFFIXES)
    return sorted(found, key=lambda path: path.relative_to(ROOT).as_posix())


def source_hash() -> str:
    """The zip's name: sha256 over lines of path and content's sha256, sorted by path. package.tf computes the same."""
    files = {path.relative_to(ROOT).as_posix(): path for path in [*source_files(), LOCK, Path(__file__).resolve()]}
    lines = (f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for name, path in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def download(folder: Path) -> list[Path]:
    """Fetch the locked wheels, each checked by its hash; never a source distribution, never a compiled wheel."""
    if importlib.util.find_spec("pip") is None:
        raise PackageError(
            f"{sys.executable} has no pip. Install it (Debian: python3-pip), or name another interpreter in the "
            f"module's package_builder. {WAY_OUT}"
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:"),
        *("--platform", "any", "--implementation", "py", "--abi", "none", "--python-version", PYTHON_VERSION),
        *("--dest", str(folder), "--requirement", str(LOCK)),
    ]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        complaint = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise PackageError(f"pip could not download the packages of {LOCK.name}:\n{complaint}\n{WAY_OUT}")
    return sorted(folder.glob("*.whl"))


def wanted(name: str) -> bool:
    """Whether a wheel's member belongs in the zip."""
    path = PurePosixPath(name)
    if name.endswith("/") or path.parts[0].endswith(".data"):  # .data holds command-line scripts and headers
        return False
    if path.parts[0].endswith(".dist-info") and path.name in UNUSED_METADATA:
        return False
    return path.suffix not in UNUSED_SUFFIXES


def contents(wheels: list[Path]) -> dict[str, bytes]:
    """Every name in the zip with its content."""
    members = {path.relative_to(SOURCES).as_posix(): path.read_bytes() for path in source_files()}
    members[SOURCE_HASH_FILE] = f"{source_hash()}\n".encode()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in filter(wanted, archive.namelist()):
                if PurePosixPath(name).suffix in COMPILED_SUFFIXES:
                    raise PackageError(
                        f"{wheel.name} holds compiled code ({name}): lock a pure-Python version instead."
                    )
                if name in members:
                    raise PackageError(f"{wheel.name} brings {name}, which is in the zip already.")
                members[name] = archive.read(name)
    return dict(sorted(members.items()))


def write_zip(members: dict[str, bytes], target: Path) -> None:
    """Write under a temporary name, then rename: whoever finds the zip finds all of it, even when two build at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".building-", suffix=".zip")
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, content in members.items():
                entry = zipfile.ZipInfo(name, FIXED_DATE)
                entry.create_system = UNIX
                entry.external_attr = FILE_MODE
                archive.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=9)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def build(build_dir: Path, planned_hash: str | None = None) -> Path:
    """The zip for the sources as they are now; one that is there already is complete, and kept."""
    name = source_hash()
    if planned_hash not in {None, name}:
        raise PackageError("the Lambda sources changed between plan and apply: plan again.")
    target = build_dir / f"{name}.zip"
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="wheels-") as folder:
            write_zip(contents(download(Path(folder))), target)
    return target


def manifest(archive_path: Path) -> str:
    """One line for each file of a zip: sha256, size, name."""
    with zipfile.ZipFile(archive_path) as archive:
        entries = ((entry, archive.read(entry)) for entry in archive.infolist())
        return "".join(
            f"{hashlib.sha256(content).hexdigest()} {len(content):>8} {entry.filename}\n" for entry, content in entries
        )


def main(arguments: list[str] | None = None) -> int:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--build-dir", type=Path, default=ROOT / ".build/package", help="where <hash>.zip is written")
    parser.add_argument("--print-hash", action="store_true", help="print the sources' hash and build nothing")
    parser.add_argument(
        "--print-manifest", action="store_true", help="print sha256, size and name of every file in the zip"
    )
    parser.add_argument("planned_hash", nargs="?", help="the hash that the plan saw; anything else is refused")
    options = parser.parse_args(arguments)
    if options.print_hash:
        print(source_hash())
        return 0
    try:
        target = build(options.build_dir, options.planned_hash)
    except PackageError as error:
        print(f"package.py: {error}", file=sys.stderr)
        return 1
    if options.print_manifest:
        print(manifest(target), end="")
    else:
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        print(f"{target} ({target.stat().st_size:,} bytes, sha256 {digest})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
