"""Waiting: how late our workflow sees that RDS is ready, and what the looks cost, beside fixed intervals.

Every row is the same state machine and the same handlers; a fixed interval is a floor that equals the cap, and no
expectation. Durations are log-normal with fixed seeds: the figures are the same on every machine.
"""

from __future__ import annotations

import math
import os
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aurora_restore import history, waits
from bench.result import Result, table
from bench.world import INVOCATION, transitions, world
from sandbox.rds import Timings

FIXED = (10, 15, 30, 60, 300, 900)
LATENCY_TARGET = 0.015
TRANSITION, INVOCATION_PRICE, GB_SECOND = 0.025 / 1000, 0.20 / 1e6, 0.0000133334
MEMORY_GB = 0.5


@dataclass(frozen=True)
class Reference:
    """A reference restore: medians in minutes."""

    name: str
    copy: float
    cluster: float
    instance: float
    size_gib: int

    def by_table(self) -> dict[str, float]:
        """What the table expects, by the name under which a phase asks how long to wait."""
        copy = {"copy": waits.copy_seconds(self.size_gib, cross_region=True)} if self.copy else {}
        return {**copy, **waits.expected_by_size(self.size_gib)}

    def timings(self, seed: int) -> Timings:
        """One day's durations."""
        dice = random.Random(f"{self.name}:{seed}")

        def spread(median: float, sigma: float) -> float:
            return median * math.exp(dice.gauss(0, sigma))

        return Timings(
            copy_base=spread(60 * self.copy, 0.30),
            copy_per_gb=0,
            copy_region_per_gb=0,
            copy_progress_skew=spread(1, 0.20),
            restore_base=spread(60 * self.cluster, 0.30),
            restore_per_gb=0,
            instance_create=spread(60 * self.instance, 0.25),
            modify_lag=dice.uniform(0, 15),
            modify=spread(40, 0.25),
            reset_credentials=spread(20, 0.25),
        )


REFERENCES = (
    Reference("same region", 0, 12, 8, 50),
    Reference("cross region", 40, 15, 8, 80),
    Reference("large", 150, 45, 10, 2000),
)


@dataclass(frozen=True)
class Strategy:
    """Fixed seconds, or ours with an expectation: the history's, the table's, or the history's and wrong."""

    name: str
    fixed: int | None = None
    expectation: str = "table"
    wrong: float = 1.0


OURS = Strategy("ours, with history", expectation="history")
VARIANTS = (
    OURS,
    Strategy("ours, first restores"),
    Strategy("ours, expecting 0.7 x", expectation="history", wrong=0.7),
    Strategy("ours, expecting 1.4 x", expectation="history", wrong=1.4),
)
STRATEGIES = (*VARIANTS, *(Strategy(f"fixed {seconds} s", fixed=seconds) for seconds in FIXED))


@dataclass(frozen=True)
class Run:
    """One restore."""

    latency: float
    rds_seconds: float
    calls: int
    transitions: int
    invocations: int

    @property
    def dollars(self) -> float:
        """Step Functions and Lambda."""
        lambdas = self.invocations * (INVOCATION_PRICE + INVOCATION * MEMORY_GB * GB_SECOND)
        return self.transitions * TRANSITION + lambdas


@dataclass(frozen=True)
class Row:
    """A strategy's runs of one reference, summed up."""

    strategy: Strategy
    latency: float
    p95: float
    share: float
    calls: float
    transitions: float
    dollars: float

    @classmethod
    def of(cls, strategy: Strategy, runs: Sequence[Run]) -> Row:
        """Means, and the 95th percentile of the latency."""
        latencies = sorted(run.latency for run in runs)
        latency = statistics.mean(latencies)
        return cls(
            strategy=strategy,
            latency=latency,
            p95=latencies[min(len(latencies) - 1, math.ceil(0.95 * len(latencies)) - 1)],
            share=latency / statistics.mean(run.rds_seconds for run in runs),
            calls=statistics.mean(run.calls for run in runs),
            transitions=statistics.mean(run.transitions for run in runs),
            dollars=statistics.mean(run.dollars for run in runs),
        )


@contextmanager
def _expecting(expected: Callable[[str], float | None]) -> Iterator[None]:
    """Let the handlers expect something else than the plan says."""
    real = waits.next_wait

    def next_wait(phase: str, elapsed: float, **given: Any) -> int:
        return real(phase, elapsed, **{**given, "expected": expected(phase)})

    waits.next_wait = next_wait
    try:
        yield
    finally:
        waits.next_wait = real


def _learned(reference: Reference) -> Mapping[str, float]:
    """What this deployment expects after 20 restores of other days."""
    known: history.History = {}
    defaults = reference.by_table()
    for seed in range(-20, 0):
        timings = reference.timings(seed)
        took = {
            "cluster": timings.restore_base,
            "configure": timings.modify_lag + timings.modify + timings.reset_credentials,
            "writer": timings.instance_create,
        }
        if reference.copy:
            took["copy"] = timings.copy_base
        for phase, seconds in took.items():
            known = {**known, phase: history.learned(known, phase, seconds, defaults[phase])}
    return history.expectations(known, {phase: phase for phase in defaults}, defaults)


def run_one(reference: Reference, strategy: Strategy, seed: int) -> Run:
    """One restore from its start to SUCCEEDED."""
    settings: dict[str, Any] = {}
    expected: Mapping[str, float] = reference.by_table()
    if strategy.fixed:
        settings, expected = {"wait_floor_seconds": strategy.fixed, "wait_cap_seconds": strategy.fixed}, {}
    elif strategy.expectation == "history":
        expected = _learned(reference)

    def factor(phase: str) -> float | None:
        return expected[phase] * strategy.wrong if phase in expected else None

    with (
        _expecting(factor),
        world(
            settings=settings,
            timings=reference.timings(seed),
            size_gib=reference.size_gib,
            copies=reference.copy > 0,
            seed=seed,
        ) as made,
    ):
        execution = made.start("restore-1")
        assert execution.wait(300), "the execution hangs"
        assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
        # A phase that was over before the first look (no readers asked for) was not waited for.
        waited = [phase for phase in made.phases.values() if phase.looks > 1]
        return Run(
            latency=sum(phase.latency for phase in waited),
            rds_seconds=sum((phase.ready - phase.begun).total_seconds() for phase in waited if phase.ready),
            calls=len(made.calls),
            transitions=transitions(execution),
            invocations=made.invocations.total(),
        )


def _task(task: tuple[Reference, Strategy, int]) -> Run:
    return run_one(*task)


def measure(
    seeds: Sequence[int], references: Sequence[Reference] = REFERENCES, strategies: Sequence[Strategy] = STRATEGIES
) -> dict[str, list[Row]]:
    """All rows, by reference."""
    tasks = [(r, s, seed) for r in references for s in strategies for seed in seeds]
    if len(tasks) < 200:
        runs = [_task(task) for task in tasks]
    else:
        with ProcessPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            runs = list(pool.map(_task, tasks, chunksize=max(1, len(seeds) // 4)))
    by: dict[tuple[str, str], list[Run]] = {}
    for (reference, strategy, _), run in zip(tasks, runs, strict=True):
        by.setdefault((reference.name, strategy.name), []).append(run)
    return {r.name: [Row.of(s, by[r.name, s.name]) for s in strategies] for r in references}


def missed(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """The targets that are missed: dominance by a fixed interval, and the share of the RDS time."""
    problems = []
    for name, of in rows.items():
        for ours in (row for row in of if row.strategy.fixed is None):
            problems += [
                f"waiting, {name}: {row.strategy.name} beats {ours.strategy.name} in both latency and RDS calls"
                for row in of
                if row.strategy.fixed and row.latency < ours.latency and row.calls < ours.calls
            ]
            if ours.strategy.wrong == 1 and ours.share > LATENCY_TARGET:
                problems.append(
                    f"waiting, {name}: {ours.strategy.name} sees it {ours.share:.2%} of the RDS time late, "
                    f"above {LATENCY_TARGET:.1%}"
                )
    return problems


def run(seeds: int) -> Result:
    """The tables."""
    rows = measure(range(seeds))
    text = f"""
## Waiting

The state machine of `statemachine.asl.json` in the sandbox's interpreter on the virtual clock, with the real handlers;
{seeds} restores per row, durations log-normal (sigma 0.25-0.30) with fixed seeds, an invocation takes {INVOCATION} s.
Latency: the sum over the phases of (seen ready - was ready). RDS calls: all requests, preflight and changes included.
Dollars: Step Functions and Lambda. Target: no fixed interval, run through the same loop, has both a lower mean latency
and fewer RDS calls, and the mean latency is at most {LATENCY_TARGET:.1%} of the RDS time.
"""
    for reference in REFERENCES:
        phases = [f"{reference.copy:g} min copy"] if reference.copy else []
        phases += [f"{reference.cluster:g} min cluster", f"{reference.instance:g} min instance"]
        lines = [
            [
                row.strategy.name,
                f"{row.latency:.1f} s",
                f"{row.p95:.1f} s",
                f"{row.share:.2%}",
                f"{row.calls:.0f}",
                f"{row.transitions:.0f}",
                f"{row.dollars:.4f}",
            ]
            for row in rows[reference.name]
        ]
        head = ["Strategy", "Latency, mean", "p95", "of RDS time", "RDS calls", "Transitions", "$"]
        text += f"\n### {reference.name.capitalize()}: {', '.join(phases)}\n\n{table(head, lines)}\n"
    return Result(text, missed(rows))
