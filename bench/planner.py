"""The copy planner against brute force: is every plan the cheapest there is, and how long does it take?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from aurora_restore.engine.routes import Route, find_route, opening
from aurora_restore.errors import NoCopyRoute
from bench.result import Result, table
from tests.unit import route_oracle as oracle


def planned(case: oracle.Case) -> Route | None:
    """What the planner answers."""
    try:
        return find_route(*oracle.facts(case))
    except NoCopyRoute:
        return None


def right(case: oracle.Case, route: Route | None) -> bool:
    """Brute force agrees: the route is legal and none is cheaper; or there is none, and the named change opens one."""
    if route is None:
        _, _, goal = facts = oracle.facts(case)
        then = opening(*facts)
        opened = oracle.cheapest(oracle.case_of(then.snapshot, then.rights, goal))
        return oracle.cheapest(case) is None and opened == then.route.cost
    try:
        return oracle.play(case, route) == oracle.cheapest(case)
    except AssertionError:
        return False


def microseconds(call: Callable[[], object], repeats: int) -> float:
    """The fastest of a few, which is the least disturbed."""
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken) * 1e6


def run(repeats: int) -> Result:
    """Every combination of facts, the planner and the brute force side by side."""
    found: list[float] = []
    refused: list[float] = []
    forced: list[float] = []
    minimal = 0
    for case in oracle.all_cases():
        route = planned(case)
        minimal += right(case, route)
        (refused if route is None else found).append(microseconds(partial(planned, case), repeats))
        forced.append(microseconds(partial(oracle.cheapest.__wrapped__, case), 1))
    total = len(forced)
    rows = [
        ["Routes", str(len(found)), *times(found)],
        ["Refusals, with the least change that opens a way", str(len(refused)), *times(refused)],
        ["Brute force, for comparison", str(total), *times(forced)],
    ]
    text = (
        "\n## Copy planner\n\n"
        f"{total} combinations of kind, key, region, account, rights, share keys, share and strategy. Target: every "
        "plan is legal and the cheapest there is, and where there is none the named change opens one, by brute force "
        f"over every sequence of up to {oracle.MOST_COPIES} copies.\n\n"
        f"{table(['Answer', 'Combinations', 'Median', '99 % within'], rows)}\n\n"
        f"Right: {minimal} of {total} ({minimal / total:.2%}).\n"
    )
    missed = [] if minimal == total else [f"{total - minimal} plans are not the cheapest legal ones"]
    return Result(text, missed)


def times(taken: list[float]) -> list[str]:
    """Median and 99th percentile."""
    return [f"{statistics.median(taken):.0f} µs", f"{statistics.quantiles(taken, n=100)[-1]:.0f} µs"]
