import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import waits

seconds = st.floats(0, 400_000, allow_nan=False)
phases = st.sampled_from(["cluster", "configure", "writer", "readers", "compensate", "copy", "copy-1"])


@given(phases, seconds, st.none() | st.integers(0, 100), st.none() | st.floats(1, 20_000), st.none() | seconds)
def test_a_wait_is_a_whole_positive_number_within_bounds(phase, elapsed, percent, expected, remaining) -> None:
    wait = waits.next_wait(phase, elapsed, percent=percent, expected=expected, remaining=remaining)
    assert isinstance(wait, int)
    assert wait >= 1
    assert wait <= max(waits.CAP, (expected or 0) * 0.5 + 1)
    if remaining is not None:
        assert wait <= max(1, remaining + 0.5)
    if remaining is None:
        assert wait >= waits.FLOOR


@given(phases, seconds, st.none() | st.integers(0, 100), st.none() | st.floats(60, 20_000), st.integers(5, 900))
def test_floor_and_cap_bound_every_wait_but_the_first(phase, elapsed, percent, expected, bound) -> None:
    """A floor that equals the cap is a fixed interval: that is how the benchmark makes its rows."""
    wait = waits.next_wait(phase, elapsed, percent=percent, expected=expected, floor=bound, cap=bound)
    if phase.startswith("copy") or elapsed >= (expected or 0) / 2:
        assert wait == bound
    assert wait >= bound


@given(seconds, st.floats(60, 20_000))
def test_the_first_look_is_at_half_of_the_expected_time(elapsed, expected) -> None:
    wait = waits.next_wait("cluster", elapsed, expected=expected)
    if elapsed < expected / 2 - waits.FLOOR:
        assert elapsed + wait == pytest.approx(expected / 2, abs=1)
    elif elapsed > expected / 2:
        assert wait <= max(waits.FLOOR, 0.0125 * max(elapsed, 2 * expected)) + 1


@given(st.floats(600, 20_000), st.lists(st.floats(0.5, 1), min_size=2, max_size=2).map(sorted))
def test_looks_come_closer_before_the_expected_end(expected, pair) -> None:
    early, late = (waits.next_wait("cluster", share * expected, expected=expected) for share in pair)
    assert early >= late


@given(st.floats(60, 20_000), st.lists(st.floats(1, 50), min_size=2, max_size=2).map(sorted))
def test_looks_are_never_closer_the_longer_it_is_overdue(expected, pair) -> None:
    early, late = (waits.next_wait("writer", share * expected, expected=expected) for share in pair)
    assert early <= late


@pytest.mark.parametrize(
    ("elapsed", "percent", "wait"),
    [(0, 0, 10), (400, 0, 100), (7200, 0, 300), (7200, None, 300), (100, 50, 50), (100, 99, 10), (4000, 10, 300)],
)
def test_copies_follow_their_progress_and_a_queued_one_is_not_stuck(elapsed, percent, wait) -> None:
    assert waits.next_wait("copy", elapsed, percent=percent) == wait
    assert waits.next_wait("copy-2", elapsed, percent=percent) == wait


def _detected(takes: float, expected: float) -> tuple[float, int]:
    elapsed, looks = 0.0, 1
    while elapsed < takes:
        elapsed += waits.next_wait("cluster", elapsed, expected=expected)
        looks += 1
    return elapsed - takes, looks


@pytest.mark.parametrize("expected", [600, 2700, 14_400])
def test_detection_costs_one_percent_and_a_few_dozen_looks(expected) -> None:
    dice = random.Random(expected)
    found = [_detected(expected * math.exp(dice.gauss(0, 0.3)), expected) for _ in range(300)]
    assert sum(late for late, _ in found) / len(found) < max(0.012 * expected, 7)
    assert sum(looks for _, looks in found) / len(found) < 45


def test_a_day_of_waiting_fits_into_a_history() -> None:
    """An execution ends at 25,000 events, and a look is nine of them."""
    _, looks = _detected(86_400, 720)
    assert looks * 9 < 10_000


def test_a_good_read_is_confirmed_once_nothing_stale_is_shown_any_more() -> None:
    assert waits.confirm(0.4) == 30
    assert waits.confirm(28) == waits.CONFIRM
    assert waits.confirm(4000) == waits.CONFIRM


def test_expectation_grows_with_size() -> None:
    small, medium, large = (waits.expected_by_size(size)["cluster"] for size in (1, 500, 5_000))
    assert small < medium < large
    assert waits.expected_by_size(99) == waits.expected_by_size(0)
