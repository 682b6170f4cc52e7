"""Benchmarks: `make bench` recomputes the tables of docs/benchmarks.md. They report ratios measured side by side."""

import sys
from pathlib import Path

# The package is not installed: in Lambda, too, it is a folder on the path.
sys.path.append(str(Path(__file__).resolve().parent.parent / "lambda_src"))
