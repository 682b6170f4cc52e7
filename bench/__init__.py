"""Benchmarks: `make bench` recomputes the tables of docs/benchmarks.md. They report ratios measured side by side."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lambda_src"))


@dataclass
class Result:
    """A benchmark's section of the document, and the targets that it missed."""

    text: str
    missed: list[str] = field(default_factory=list)
