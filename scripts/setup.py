#!/usr/bin/env python3
"""Set the project up on this machine: `make setup`, which `make demo` and `make test` call.

Standard library only, since it runs before anything is installed. It says what it installs, asks the system's package
manager only for what is missing, and names in one line, with the remedy, what it cannot get. A second run does nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
DEV_ENV = ROOT / ".venv"
LAMBDA_ENV = ROOT / ".venv-lambda"
TERRAFORM_RC = BUILD / "terraformrc"
TERRAFORM_MINIMUM = (1, 11)
NODE_MINIMUM = (18,)
PROVIDER = Path("registry.terraform.io/hashicorp/aws")
# Where a filesystem mirror may lie: Terraform's implied directories first, then the usual system folders.
MIRROR_PLACES = (
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "~/Library/Application Support/io.terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/Library/Application Support/io.terraform/plugins",
    *("/usr/local/share", "/usr/local/lib", "/usr/share", "/usr/lib", "/var/lib", "/opt", "/srv"),
)
# Package names by package manager; a database server's package that starts a service is harmless but not needed.
SYSTEM_PACKAGES = {
    "apt-get": {"MariaDB": ["mariadb-server"], "PostgreSQL": ["postgresql"], "Node.js": ["nodejs", "npm"]},
    "dnf": {"MariaDB": ["mariadb-server"], "PostgreSQL": ["postgresql-server"], "Node.js": ["nodejs", "npm"]},
    "brew": {"MariaDB": ["mariadb"], "PostgreSQL": ["postgresql@16"], "Node.js": ["node"]},
}


class SetupError(Exception):
    """Something that this machine lacks and that set-up cannot get; the message holds the remedy."""


def say(text: str) -> None:
    """Print a line at once, so that slow steps are announced before they start."""
    print(f"setup: {text}", flush=True)


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command; its output is shown only when it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, text=True, capture_output=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SetupError(f"`{' '.join(str(part) for part in command)}` failed:\n{tail}")


def version_of(command: str, *arguments: str) -> tuple[int, ...] | None:
    """The first dotted number that a command prints of itself, or None where it does not run."""
    try:
        printed = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+(?:\.\d+)+)", printed)
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def digest(*files: Path) -> str:
    """One hash over files' contents and the interpreter: what an environment was made from."""
    total = hashlib.sha256(sys.version.encode())
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def fresh(stamp: Path, value: str) -> bool:
    """Whether the thing that a stamp speaks of was made from the same inputs."""
    return stamp.is_file() and stamp.read_text().strip() == value


def make_environment(folder: Path, lock: Path, interpreter: str, what: str) -> None:
    """A virtual environment with exactly the locked packages, each checked by its hash."""
    stamp, value = folder / "made-from", digest(lock, Path(__file__)) + interpreter
    if fresh(stamp, value):
        return
    say(f"{what}: virtual environment {folder.name} with the packages of {lock.relative_to(ROOT)} (pinned by hash)")
    shutil.rmtree(folder, ignore_errors=True)
    if interpreter == sys.executable:
        venv.create(folder, with_pip=True)
    else:
        run(interpreter, "-m", "venv", folder)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
    stamp.write_text(value)


def find_python_313() -> str | None:
    """An interpreter of the Lambda runtime's version: on PATH, or one that a version manager keeps."""
    managed = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob("versions/3.13*/bin/python3.13")
    uv_managed = Path("~/.local/share/uv/python").expanduser().glob("cpython-3.13*/bin/python3.13")
    for candidate in [shutil.which("python3.13"), *map(str, managed), *map(str, uv_managed)]:
        # A version manager's shim exists even where the version is not activated: only one that runs counts.
        if candidate and (version_of(candidate, "--version") or ())[:2] == (3, 13):
            return candidate
    return None


def set_up_python() -> None:
    """The tests' and the sandbox's environment, and the one that stands for the Lambda runtime."""
    make_environment(DEV_ENV, ROOT / "requirements/dev.txt", sys.executable, "tests, sandbox and tools")
    runtime = find_python_313()
    if runtime is None:
        shutil.rmtree(LAMBDA_ENV, ignore_errors=True)
        say(
            f"Python 3.13 not found: the sandbox runs the functions on its own {platform.python_version()} instead "
            "(install python3.13 to run them on the deployed version)"
        )
        return
    make_environment(LAMBDA_ENV, ROOT / "requirements/lambda-runtime.txt", runtime, "Lambda runtime (Python 3.13)")


def missing_programs() -> list[str]:
    """Which of the programs that come from the system's packages are not on this machine."""
    homebrew = [Path("/opt/homebrew/opt"), Path("/usr/local/opt")]
    mariadb_folders = [Path("/usr/sbin"), Path("/usr/libexec"), *(folder / "mariadb/bin" for folder in homebrew)]
    postgresql_folders = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/usr").glob("pgsql-*/bin"),
        *(path for folder in homebrew for path in folder.glob("postgresql@*/bin")),
    ]

    def exists(name: str, folders: list[Path]) -> bool:
        return bool(shutil.which(name)) or any((folder / name).exists() for folder in folders)

    there = {
        "MariaDB": exists("mariadbd", mariadb_folders),
        "PostgreSQL": exists("initdb", postgresql_folders),
        "Node.js": (version_of("node", "--version") or ()) >= NODE_MINIMUM and bool(shutil.which("npm")),
    }
    return [name for name, found in there.items() if not found]


def set_up_programs() -> None:
    """The database servers of the clusters and Node.js for its policy evaluator: the system's packages."""
    missing = missing_programs()
    if not missing:
        return
    manager = next((name for name in SYSTEM_PACKAGES if shutil.which(name)), None)
    if manager is None:
        raise SetupError(f"{', '.join(missing)}: install with this system's package manager (Node.js 18 or newer)")
    packages = [package for name in missing for package in SYSTEM_PACKAGES[manager][name]]
    prefix = [] if manager == "brew" or os.geteuid() == 0 else ["sudo", "-n"]
    say(f"{', '.join(missing)}: {' '.join(packages)} by {manager}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "HOMEBREW_NO_AUTO_UPDATE": "1"}
    try:
        if manager == "apt-get":
            run(*prefix, manager, "update", "-q", env=environment)
        run(*prefix, manager, "install", *([] if manager == "brew" else ["-y"]), *packages, env=environment)
    except SetupError as error:
        command = " ".join([*(["sudo"] if prefix else []), manager, "install", *packages])
        raise SetupError(f"could not install {', '.join(missing)}; run `{command}`, then again.\n{error}") from error
    if still := missing_programs():
        raise SetupError(
            f"{manager} installed {' '.join(packages)}, but of {', '.join(still)} a new enough one is missing"
        )


def set_up_node() -> None:
    """The IAM policy evaluator of the sandbox."""
    lock = ROOT / "sandbox/package-lock.json"
    stamp = ROOT / "sandbox/node_modules/.made-from"
    if fresh(stamp, digest(lock)):
        return
    if "Node.js" in missing_programs():
        raise SetupError("the IAM policy evaluator's packages (they need Node.js, see above)")
    say("IAM policy evaluator: the packages of sandbox/package-lock.json into sandbox/node_modules")
    run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=lock.parent)
    stamp.write_text(digest(lock))


def provider_mirrors() -> Iterator[Path]:
    """Folders of this machine that hold the AWS provider in a filesystem mirror's layout."""
    places = [os.environ.get("TF_PLUGIN_DIR"), *MIRROR_PLACES]
    for place in (Path(p).expanduser() for p in places if p):
        # A mirror lies in such a folder itself, or in one of its own up to two levels below.
        for pattern in (".", "*", "*/*"):
            for found in [place] if pattern == "." else sorted(place.glob(pattern)):
                try:
                    if any((found / PROVIDER).glob("*")):
                        yield found
                except OSError:
                    continue


def set_up_terraform() -> None:
    """Terraform itself, and where its AWS provider comes from: the registry, or a mirror on this machine."""
    found = version_of("terraform", "version")
    needed = ".".join(map(str, TERRAFORM_MINIMUM))
    if found is None or found < TERRAFORM_MINIMUM:
        have = "not found" if found is None else f"{'.'.join(map(str, found))} found"
        raise SetupError(
            f"Terraform {needed} or newer is needed, {have}: https://developer.hashicorp.com/terraform/install"
        )
    BUILD.mkdir(exist_ok=True)
    mirror = next(provider_mirrors(), None)
    if mirror is None:
        TERRAFORM_RC.write_text("# No mirror of the AWS provider on this machine: it comes from the registry.\n")
    else:
        if not TERRAFORM_RC.exists():
            say(f"Terraform {'.'.join(map(str, found))}; AWS provider from the mirror {mirror}")
        path = json.dumps(str(mirror))
        TERRAFORM_RC.write_text(
            "provider_installation {\n"
            f'  filesystem_mirror {{\n    path = {path}\n    include = ["registry.terraform.io/hashicorp/aws"]\n  }}\n'
            '  direct {\n    exclude = ["registry.terraform.io/hashicorp/aws"]\n  }\n}\n'
        )


def main() -> int:
    """Set everything up; 1 with one clear message where something cannot be had."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this script is run by whatever `python3` is
        print(
            "setup: Python 3.11 or newer is needed; run `make PYTHON=python3.12 …` with one that you have",
            file=sys.stderr,
        )
        return 1
    problems = []
    for step in (set_up_terraform, set_up_programs, set_up_node, set_up_python):
        try:
            step()
        except SetupError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"setup: missing: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
