"""Cold start: what loading a handler costs beside `import boto3; boto3.client("rds")`, and how big the zip is."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from bench.result import Result, table
from scripts import package
from scripts.setup import LAMBDA_ENV

RATIO_TARGET = 1.35
SIZE_TARGET = 2_000_000
DATABASE_STEPS = {"setup_db_users", "verify_restore"}
BASE = 'import boto3; boto3.client("rds")'


def seconds(python: str, code: str, folder: Path) -> float:
    """Wall-clock time of one fresh process."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's image has boto3's bytecode; a function's own folder is read-only
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_METRICS_NAMESPACE": "AuroraRestore",
    }
    begun = time.perf_counter()
    subprocess.run([python, "-c", code], env=environment, check=True)
    return time.perf_counter() - begun


def run(repeats: int) -> Result:
    """Each handler from the unpacked zip, interleaved with the baseline so that both see the same machine."""
    python = LAMBDA_ENV / "bin/python"
    interpreter = str(python) if python.exists() else sys.executable
    with tempfile.TemporaryDirectory() as temporary:
        archive = package.build(Path(temporary) / "build")
        size = archive.stat().st_size
        folder = Path(temporary) / "code"
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
        names = sorted(p.stem for p in (folder / "aurora_restore/handlers").glob("*.py") if p.stem != "__init__")
        # The handler's own work is loading its modules; its client is made on first use, as the baseline's is.
        code = {n: f'import aurora_restore.handlers.{n}; import boto3; boto3.client("rds")' for n in names}
        for each in (BASE, *code.values()):  # read the files once
            seconds(interpreter, each, folder)
        base: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(repeats):
            base.append(seconds(interpreter, BASE, folder))
            for name in names:
                taken[name].append(seconds(interpreter, code[name], folder))
    ratios = {name: statistics.median(times) / statistics.median(base) for name, times in taken.items()}
    rows = [['`import boto3; boto3.client("rds")`', f"{statistics.median(base) * 1000:.0f} ms", "1.00"]]
    rows += [[f"`{n}`", f"{statistics.median(taken[n]) * 1000:.0f} ms", f"{ratios[n]:.2f}"] for n in names]
    missed = [
        f"{name} loads in {ratio:.2f} x the baseline, above {RATIO_TARGET}"
        for name, ratio in ratios.items()
        if ratio > RATIO_TARGET and name not in DATABASE_STEPS
    ]
    if size > SIZE_TARGET:
        missed.append(f"the zip has {size} bytes, more than {SIZE_TARGET}")
    text = (
        "\n## Cold start\n\n"
        f"Median of {repeats} fresh processes each, from the zip, interleaved. Target: a handler that does not connect "
        f"to databases within {RATIO_TARGET} x of the baseline, zip within 2 MB.\n\n"
        f"{table(['Loaded', 'Time', 'Ratio'], rows)}\n\nThe zip has {size / 1e6:.2f} MB.\n"
    )
    return Result(text, missed)
