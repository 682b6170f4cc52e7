"""Fleet: many operations at once in one account and region, under a throttle such as RDS has been seen to have."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.result import Result, table
from bench.waiting import REFERENCES
from bench.world import world
from sandbox.rds import Timings

FLEETS = (1, 10, 100, 500)
RATE, BURST = 3.5, 25
"""Calls a second that RDS takes, and how many at once: it publishes neither; 3.5 have been seen."""
CALLS_TARGET = 2.0
WINDOW = 60


class DailyTimings(Timings):
    """Each operation's own durations: the same-region reference, spread."""

    def __init__(self, seed: int) -> None:
        reference = REFERENCES[0]
        super().__init__(restore_base=60 * reference.cluster, restore_per_gb=0, instance_create=60 * reference.instance)
        self._dice = random.Random(seed)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name in {"restore_base", "instance_create", "modify", "reset_credentials"} and "_dice" in self.__dict__:
            return value * math.exp(self._dice.gauss(0, 0.28))
        return value


@dataclass(frozen=True)
class Drained:
    """A fleet from the first start to the last end."""

    operations: int
    failed: Counter[str]
    seconds: float
    """Virtual, to the end of the last."""
    mean_seconds: float
    """Of an operation, from its start."""
    calls: int
    throttled: int
    peak: float
    """Calls a second in the busiest minute, refused ones included."""
    writes: int

    @property
    def rate(self) -> float:
        """Calls a second over the whole time."""
        return self.calls / self.seconds


def drain(operations: int, seed: int = 1, settings: dict[str, Any] | None = None) -> Drained:
    """Start them all in the same second, and wait for all."""
    with world(timings=DailyTimings(seed), seed=seed, probed=False, settings=settings or {}) as made:
        made.faults.limit("rds", RATE, BURST)
        begun = made.clock.now()
        with made.clock.busy():
            executions = [made.start(f"fleet-{number:03}") for number in range(operations)]
        for execution in executions:
            assert execution.wait(600), "an execution hangs"
        ends = [(execution.stopped - begun).total_seconds() for execution in executions if execution.stopped]
        at = sorted((call.at - begun).total_seconds() for call in made.calls)
        return Drained(
            operations=operations,
            failed=Counter(str(execution.error) for execution in executions if execution.status != "SUCCEEDED"),
            seconds=max(ends),
            mean_seconds=statistics.mean(ends),
            calls=len(at),
            throttled=sum(call.error == "Throttling" for call in made.calls),
            peak=_peak(at) / WINDOW,
            writes=made.tables.counts["written"],
        )


def _peak(at: Sequence[float]) -> int:
    first, most = 0, 0
    for last, moment in enumerate(at):
        while at[first] < moment - WINDOW:
            first += 1
        most = max(most, last - first + 1)
    return most


def missed(drained: Drained) -> list[str]:
    """The targets that a fleet misses."""
    problems = []
    if drained.failed:
        problems.append(f"fleet of {drained.operations}: failed: {dict(drained.failed)}")
    if drained.operations >= 100 and drained.rate > CALLS_TARGET:
        problems.append(f"fleet of {drained.operations}: {drained.rate:.2f} RDS calls/s, above {CALLS_TARGET:g}")
    return problems


def run(fleets: Sequence[int]) -> Result:
    """The table."""
    found = [drain(operations) for operations in fleets]
    rows = [
        [
            str(d.operations),
            f"{d.rate:.2f}",
            f"{d.peak:.2f}",
            f"{d.calls / d.operations:.0f}",
            f"{d.throttled}",
            str(d.failed.total()),
            f"{d.writes / d.operations:.0f}",
            f"{d.seconds / 60:.0f} min",
            f"{d.mean_seconds / 60:.0f} min",
        ]
        for d in found
    ]
    head = ["Operations", "RDS calls/s", "busiest minute", "calls each", "throttled calls", "failed operations"]
    head += ["DynamoDB writes each", "drained in", "mean, turn included"]
    text = f"""
## Fleet

So many same-region restores started in the same second, in one account and region whose RDS takes {RATE:g} calls a
second and {BURST} at once (it publishes no limit; {RATE:g} have been seen). Quotas of clusters and instances are
lifted. Writes: items written, two for one in a transaction. Target: at most {CALLS_TARGET:g} calls a second, and no
operation fails of throttling.

{table(head, rows)}
"""
    return Result(text, [problem for d in found for problem in missed(d)])
