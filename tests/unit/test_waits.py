import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import waits
from aurora_restore.model import SourceKind

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
        share = 0.0125 if elapsed <= 2 * expected else 0.025
        assert wait <= max(waits.FLOOR, share * max(elapsed, 2 * expected)) + 1


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
    [(0, 0, 10), (400, 0, 100), (7200, 0, 600), (7200, None, 600), (100, 50, 50), (100, 99, 10), (4000, 10, 600)],
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


def _looks(
    phase: str, deadline: float, expected: float, percent: Callable[[float], int | None], floor: int = waits.FLOOR
) -> int:
    elapsed, looks = 0.0, 1
    while elapsed < deadline:
        remaining = deadline - elapsed
        elapsed += waits.next_wait(
            phase, elapsed, percent=percent(elapsed), expected=expected, remaining=remaining, floor=floor
        )
        looks += 1
    return looks


GROWING = math.log(waits.CAP / waits.FLOOR) / 0.025


@pytest.mark.parametrize("deadline", [7_200, 21_600, 86_400])
@pytest.mark.parametrize("expected", [0, 10, 60, 480, 720, 2_700, 14_400, 50_000])
def test_a_phase_that_lasts_to_its_deadline_has_the_looks_that_the_history_has_room_for(deadline, expected) -> None:
    """statemachine.tf adds up the same sum: an execution ends at 25,000 events, and a look is nine of them."""
    looks = _looks("cluster", deadline, expected, lambda elapsed: None)
    assert looks <= deadline / waits.CAP + GROWING + 30


@pytest.mark.parametrize("used", [10, 480, 2_000, 10_000, 20_000])
@pytest.mark.parametrize("expected", [0, 60, 900, 1_800])
def test_phases_that_share_a_deadline_have_little_more(used, expected) -> None:
    looks = _looks("writer", used, 480, lambda elapsed: None)
    looks += _looks("upgrade", 21_600 - used, expected, lambda elapsed: None, waits.floor_after(used))
    assert looks <= 21_600 / waits.CAP + GROWING + 30 + 60


@pytest.mark.parametrize("expected", [300, 2_300, 20_000, 80_000])
def test_a_copy_that_lasts_to_its_deadline_too(expected) -> None:
    deadline = 86_400
    assert _looks("copy", deadline, expected, lambda at: int(100 * at / deadline)) <= deadline / waits.CAP + 40
    assert _looks("copy", deadline, expected, lambda at: 0) <= deadline / waits.CAP + 40

    def stuck(at: float) -> int:
        return min(99, int(100 * at / expected))

    assert _looks("copy", deadline, expected, stuck) <= deadline / waits.CAP + GROWING + 140


def test_a_good_read_is_confirmed_once_nothing_stale_is_shown_any_more() -> None:
    assert waits.confirm(0.4) == 30
    assert waits.confirm(28) == waits.CONFIRM
    assert waits.confirm(4000) == waits.CONFIRM


def test_expectation_grows_with_size() -> None:
    small, medium, large = (waits.expected_by_size(size)["cluster"] for size in (1, 500, 5_000))
    assert small < medium < large
    assert waits.expected_by_size(99) == waits.expected_by_size(0)


def test_copies_take_longer_across_regions_and_with_size() -> None:
    assert waits.copy_seconds(100, cross_region=False) < waits.copy_seconds(100, cross_region=True)
    assert 2000 < waits.copy_seconds(100, cross_region=True) < 3000
    assert waits.copy_seconds(100, cross_region=True) < waits.copy_seconds(1000, cross_region=True)
    assert waits.copy_seconds(0, cross_region=False) > 0


def test_what_a_source_and_an_upgrade_add() -> None:
    assert waits.expected_of_source(SourceKind.SNAPSHOT, 900) == {}
    assert waits.expected_of_source(SourceKind.POINT_IN_TIME, 900)["cluster"] > 900
    small, large = (waits.expected_of_source(SourceKind.CLONE, seconds) for seconds in (900, 3600))
    assert small == large, "a clone shares its pages"
    assert waits.expected_of_upgrade(480, in_place=False, major=False) == {}
    assert waits.expected_of_upgrade(480, in_place=False, major=True)["writer"] > 480
    minor, major = (waits.expected_of_upgrade(480, in_place=True, major=major) for major in (False, True))
    assert 0 < minor["upgrade"] < major["upgrade"]


@pytest.mark.parametrize(
    ("elapsed", "remaining", "woken", "wait"),
    [
        (0, 172_800, True, 900), (90_000, 172_800, True, 900), (0, 30, True, 30),
        (0, 172_800, False, 60), (4_000, 172_800, False, 200), (90_000, 172_800, False, 600), (0, 0, False, 1),
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
