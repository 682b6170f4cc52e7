"""`make bench`: run the benchmarks and write docs/benchmarks.md; `--short` only shows that they run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import cold_start, planner

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Times depend on the machine and its mood; trust the ratios, which are measured side by side.
"""


def main() -> int:
    """Run everything; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few repetitions, and docs/benchmarks.md stays as it is")
    options = parser.parse_args()
    repeats = 3 if options.short else 15
    results = [cold_start.run(repeats), planner.run(repeats)]
    text = "\n".join([HEAD, *(result.text for result in results)])
    print(text)
    if not options.short:
        DOCUMENT.write_text(text)
    missed = [problem for result in results for problem in result.missed]
    for problem in missed:
        print(f"bench: target missed: {problem}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
