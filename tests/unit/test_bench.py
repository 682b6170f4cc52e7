"""The benchmarks' short form: shape and counts, in virtual time, so that the figures are the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aurora_restore import runtime
from bench import fleet, hints, waiting

SEEDS = tuple(range(1, 7))
STRATEGIES = tuple(s for s in waiting.STRATEGIES if s is waiting.OURS or s.fixed in {15, 60, 300})


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A world puts its settings and clients in the place of the process's: they are put back."""
    monkeypatch.setattr(runtime, "settings", runtime.settings)
    monkeypatch.setattr(runtime, "sessions", runtime.sessions)
    for name in ("POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_SERVICE_NAME", "AWS_REGION"):
        monkeypatch.setenv(name, "")
    level = runtime.logger.log_level
    yield
    runtime.logger.setLevel(level)


@pytest.mark.parametrize("reference", waiting.REFERENCES[:2], ids=lambda reference: reference.name)
def test_no_fixed_interval_beats_ours_in_latency_and_in_calls(reference: waiting.Reference) -> None:
    rows = waiting.measure(SEEDS, [reference], STRATEGIES)[reference.name]
    ours, *fixed = rows
    for row in fixed:
        assert not (row.latency < ours.latency and row.calls < ours.calls), row
    often = fixed[0]
    assert ours.calls < often.calls
    assert ours.latency < often.latency
    assert 0 < ours.share < 0.02
    assert ours.p95 >= ours.latency
    assert fixed[0].transitions > fixed[1].transitions > fixed[2].transitions
    assert all(0.0005 < row.dollars < 0.05 for row in rows)


def test_the_same_seed_gives_the_same_figures() -> None:
    first, second = (waiting.run_one(waiting.REFERENCES[0], waiting.OURS, 7) for _ in range(2))
    assert first == second
    assert first != waiting.run_one(waiting.REFERENCES[0], waiting.OURS, 8)


def test_missed_targets_are_named() -> None:
    ours = waiting.Row(waiting.OURS, latency=30, p95=40, share=0.02, calls=50, transitions=1, dollars=1)
    better = waiting.Row(waiting.Strategy("fixed 9 s", fixed=9), 20, 30, 0.015, 40, 1, 1)
    problems = waiting.missed({"same region": [ours, better]})
    assert len(problems) == 2
    assert "fixed 9 s beats ours" in problems[0]


def test_a_fleet_keeps_within_the_throttle_and_nothing_fails() -> None:
    drained = fleet.drain(8)
    assert not drained.failed
    assert drained.calls < 8 * 84
    assert drained.rate < 1
    assert fleet.missed(drained) == []


def test_events_gain_little() -> None:
    text = hints.run().text
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith(("| polls", "| events"))]
    polls, woken, rare = ([float(cell.removesuffix(" s")) for cell in (row[1], row[4])] for row in rows)
    assert all(0 < before - after < 2 for before, after in zip(polls, woken, strict=True))
    assert all(before < after for before, after in zip(polls, rare, strict=True))
