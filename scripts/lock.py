"""`make lock`: resolve every `*.in` file again into a lock file pinned by hash, without a registry's address in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMON = [
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-annotate",
]


def main() -> int:
    """Resolve each file with uv's resolver."""
    for source in [*sorted(ROOT.glob("requirements/*.in")), ROOT / "lambda_src/requirements.in"]:
        print(f"lock: {source.relative_to(ROOT)}", flush=True)
        command = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--upgrade",
            *COMMON,
            str(source),
            "-o",
            str(source.with_suffix(".txt")),
        ]
        if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
