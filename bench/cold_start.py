"""Cold start: what importing a handler costs beside `import boto3; boto3.client("rds")`, and how big the zip is."""

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


def medians(repeats: int, interpreter: str, folder: Path, code: dict[str, str]) -> dict[str, float]:
    """Median seconds of each, all interleaved so that they see the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in code}
    for each in code.values():  # read the files once
        seconds(interpreter, each, folder)
    for _ in range(repeats):
        for name, each in code.items():
            taken[name].append(seconds(interpreter, each, folder))
    return {name: statistics.median(times) for name, times in taken.items()}


def run(repeats: int) -> Result:
    """Each handler from the unpacked zip: its import, which has the target, and its import with the first client."""
    python = LAMBDA_ENV / "bin/python"
    interpreter = str(python) if python.exists() else sys.executable
    with tempfile.TemporaryDirectory() as temporary:
        archive = package.build(Path(temporary) / "build")
        size = archive.stat().st_size
        folder = Path(temporary) / "code"
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
        names = sorted(p.stem for p in (folder / "aurora_restore/handlers").glob("*.py") if p.stem != "__init__")
        imports = {name: f"import aurora_restore.handlers.{name}" for name in names}
        with_client = {f"{name}, client": f"{code}; {BASE}" for name, code in imports.items()}
        library = {"aws_lambda_powertools": "import aws_lambda_powertools"}
        taken = medians(repeats, interpreter, folder, {BASE: BASE, **library, **imports, **with_client})
    ratios = {name: time_taken / taken[BASE] for name, time_taken in taken.items()}
    rows = [
        [f"`{name}`", f"{taken[name] * 1000:.0f} ms", f"{ratios[name]:.2f}", _ratio(ratios.get(f"{name}, client"))]
        for name in (BASE, *library, *names)
    ]
    missed = [
        f"{name} is imported in {ratios[name]:.2f} x the baseline, above {RATIO_TARGET}"
        for name in names
        if ratios[name] > RATIO_TARGET and name not in DATABASE_STEPS
    ]
    if size > SIZE_TARGET:
        missed.append(f"the zip has {size} bytes, more than {SIZE_TARGET}")
    text = (
        "\n## Cold start\n\n"
        f"Median of {repeats} fresh processes each, from the zip, interleaved, its Python compiled each time as Lambda "
        "does. Target: the import of a handler that does not connect to databases within "
        f"{RATIO_TARGET} x of the baseline, zip within 2 MB. A handler makes its clients when it is called: the last "
        "column, which has no target, adds the first of them.\n\n"
        f"{table(['Loaded', 'Time', 'Ratio', 'Ratio with a client'], rows)}\n\nThe zip has {size / 1e6:.2f} MB.\n"
    )
    return Result(text, missed)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
