import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import waits

seconds = st.floats(0, 400_000, allow_nan=False)
phases = st.sampled_from(["cluster", "configure", "writer", "readers", "compensate", "copy"])


@given(phases, seconds, st.none() | st.integers(0, 100), st.none() | st.floats(1, 20_000), st.none() | seconds)
def test_a_wait_is_a_whole_positive_number_within_bounds(phase, elapsed, percent, expected, remaining) -> None:
    wait = waits.next_wait(phase, elapsed, percent=percent, expected=expected, remaining=remaining)
    assert isinstance(wait, int)
    assert wait >= 1
    cap = waits.COPY_CAP if phase == "copy" else waits.CAP
    assert wait <= max(cap, (expected or 0) * 0.5 + 1, waits.FLOOR)
    if remaining is not None:
        assert wait <= max(1, remaining + 0.5)


@given(seconds, st.floats(60, 20_000))
def test_the_first_look_is_at_half_of_the_expected_time(elapsed, expected) -> None:
    wait = waits.next_wait("cluster", elapsed, expected=expected)
    if elapsed < expected / 2 - waits.FLOOR:
        assert elapsed + wait == pytest.approx(expected / 2, abs=1)
    elif elapsed > expected / 2:
        assert wait == round(max(15, min(60, 0.025 * elapsed)))


@given(st.lists(st.floats(30, 90_000), min_size=2, max_size=2).map(sorted))
def test_later_looks_are_never_closer(pair) -> None:
    assert waits.next_wait("writer", pair[0]) <= waits.next_wait("writer", pair[1])


@pytest.mark.parametrize(
    ("elapsed", "percent", "wait"),
    [(0, 0, 15), (400, 0, 100), (7200, 0, 300), (7200, None, 300), (100, 50, 50), (100, 99, 15), (4000, 10, 300)],
)
def test_copies_follow_their_progress_and_a_queued_one_is_not_stuck(elapsed, percent, wait) -> None:
    assert waits.next_wait("copy", elapsed, percent=percent) == wait


def test_detection_costs_little_of_a_small_restore() -> None:
    """A cluster that takes 12 minutes is seen within 1.5 % of the whole, with few looks."""
    elapsed, looks = 0.0, 0
    while elapsed < 720:
        elapsed += waits.next_wait("cluster", elapsed, expected=waits.expected_by_size(10)["cluster"])
        looks += 1
    assert elapsed - 720 <= 20
    assert looks < 25


def test_expectation_grows_with_size() -> None:
    small, medium, large = (waits.expected_by_size(size)["cluster"] for size in (1, 500, 5_000))
    assert small < medium < large
    assert waits.expected_by_size(99) == waits.expected_by_size(0)


def test_copies_take_longer_across_regions_and_with_size() -> None:
    assert waits.copy_seconds(100, cross_region=False) < waits.copy_seconds(100, cross_region=True)
    assert 2000 < waits.copy_seconds(100, cross_region=True) < 3000
    assert waits.copy_seconds(100, cross_region=True) < waits.copy_seconds(1000, cross_region=True)
    assert waits.copy_seconds(0, cross_region=False) > 0


@pytest.mark.parametrize(
    ("elapsed", "remaining", "woken", "wait"),
    [
        (0, 172_800, True, 900), (90_000, 172_800, True, 900), (0, 30, True, 30),
        (0, 172_800, False, 60), (4_000, 172_800, False, 200), (90_000, 172_800, False, 300), (0, 0, False, 1),
    ],
)  # fmt: skip
def test_a_copys_turn_is_asked_for_seldom(elapsed, remaining, woken, wait) -> None:
    assert waits.turn_wait(elapsed, remaining=remaining, woken=woken) == wait


def test_two_days_in_a_queue_fit_into_an_executions_history() -> None:
    """A lap is at most 13 events, an execution's history 25,000 (Step Functions quotas)."""
    elapsed, laps = 0, 0
    while elapsed < 172_800:
        elapsed += waits.turn_wait(elapsed, remaining=172_800 - elapsed, woken=False)
        laps += 1
    assert laps * 13 < 12_000
