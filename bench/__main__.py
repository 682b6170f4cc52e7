"""`make bench`: run the benchmarks and write docs/benchmarks.md; `--short` only shows that they run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import cold_start, fleet, hints, planner, waiting

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`. Waiting and fleets are measured in virtual time with fixed seeds: their figures do not depend
on the machine (those of a fleet vary a little with the order of threads). Cold starts do: trust the ratios, which are
measured side by side.
"""


def main() -> int:
    """Run everything; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few repetitions, and docs/benchmarks.md stays as it is")
    short = parser.parse_args().short
    repeats = 3 if short else 15
    results = [
        waiting.run(seeds=1 if short else 30),
        fleet.run((1, 10) if short else fleet.FLEETS),
        hints.run(),
        cold_start.run(repeats),
        planner.run(repeats),
    ]
    text = "\n".join([HEAD, *(result.text for result in results)])
    print(text)
    if short:
        # A few repetitions are for the shape: targets are met on average, not every time.
        return 0
    DOCUMENT.write_text(text)
    missed = [problem for result in results for problem in result.missed]
    for problem in missed:
        print(f"bench: target missed: {problem}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
