"""`make terraform-test`: validate the module, its parts and every example, then `terraform test` without AWS.

`terraform init` is run in folders of `.build`, so that nothing is left beside the sources.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def terraform(folder: Path, *arguments: str) -> bool:
    """Run Terraform for one root module with its data directory under .build."""
    name = str(folder.relative_to(ROOT)).replace("/", "-") if folder != ROOT else "root"
    environment = {**os.environ, "TF_DATA_DIR": str(ROOT / ".build/terraform" / name)}
    print(f"terraform-test: {folder.relative_to(ROOT)}: terraform {' '.join(arguments)}", flush=True)
    quiet = subprocess.DEVNULL if arguments[0] in {"init", "validate"} else None
    return (
        subprocess.run(["terraform", *arguments], cwd=folder, env=environment, stdout=quiet, check=False).returncode
        == 0
    )


def main() -> int:
    """Everything, even when an early part fails."""
    roots = [
        ROOT,
        *sorted(p.parent for p in ROOT.glob("examples/*/versions.tf")),
        *sorted(p.parent for p in ROOT.glob("modules/*/versions.tf")),
    ]
    results = []
    for folder in roots:
        tests = ["-test-directory=tests/terraform"] if folder == ROOT else []
        results.append(
            terraform(folder, "init", "-backend=false", "-input=false", *tests)
            and terraform(folder, "validate", *tests)
        )
    results.append(results[0] and terraform(ROOT, "test", "-test-directory=tests/terraform"))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
