"""Event hints: what waking a wait by the events that AWS documents could gain at best.

A model of two phases, not a run: nothing of it is built. AWS documents no event for a restored cluster or a finished
copy of a cluster snapshot; there is one for an instance that was created (RDS-EVENT-0005) and one for master
credentials that were reset (RDS-EVENT-0016). The model is kind to them: it lets them come when RDS is ready, never
before, which AWS does not promise, with a log-normal lag of 8 s in the median, and loses one in a hundred.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

from aurora_restore import waits
from bench.result import Result, table
from bench.waiting import REFERENCES
from bench.world import INVOCATION

LAG, LAG_SIGMA, LOST = 8.0, 0.6, 0.01
SAMPLES = 2000
Wait = Callable[[float], float]


def _wait(expected: float, floor: int) -> Wait:
    return lambda elapsed: waits.next_wait("writer", elapsed, expected=expected, floor=floor, cap=waits.CAP)


def detect(takes: float, event: float | None, wait: Wait) -> tuple[float, int]:
    """Latency and looks of one phase; ``event`` is the moment when a hint arrives, if one does."""
    elapsed, looks = 0.0, 0
    while True:
        looks += 1
        if elapsed >= takes:
            return elapsed + INVOCATION - takes, looks
        due = elapsed + INVOCATION + wait(elapsed)
        elapsed = event if event is not None and elapsed < event < due else due


def run() -> Result:
    """The table."""
    rows = []
    for name, floor, events in (
        ("polls only (what is built)", waits.FLOOR, False),
        ("polls, woken by events", waits.FLOOR, True),
        ("events, polls of 60 s behind them", 60, True),
    ):
        cells = [name]
        for phase in ("configure", "writer"):
            dice = random.Random(phase)
            found = []
            for seed in range(SAMPLES):
                timings = REFERENCES[0].timings(seed)
                change = timings.modify_lag + timings.modify + timings.reset_credentials
                takes, expected = (change, 66) if phase == "configure" else (timings.instance_create, 480)
                lag, lost = LAG * math.exp(dice.gauss(0, LAG_SIGMA)), dice.random() < LOST
                found.append(detect(takes, takes + lag if events and not lost else None, _wait(expected, floor)))
            latencies = sorted(latency for latency, _ in found)
            cells += [
                f"{statistics.mean(latencies):.1f} s",
                f"{latencies[int(0.95 * SAMPLES)]:.1f} s",
                f"{statistics.mean(looks for _, looks in found):.1f}",
            ]
        rows.append(cells)
    head = ["Wait", "configure: latency", "p95", "looks", "writer: latency", "p95", "looks"]
    text = f"""
## Event hints

A model of the two phases for which AWS documents an event at all, with events that are kinder than AWS promises: median
lag {LAG:g} s, {LOST:.0%} lost, never early. Why they are left out: `docs/design/0003-fleets-and-hints.md`.

{table(head, rows)}
"""
    return Result(text)
