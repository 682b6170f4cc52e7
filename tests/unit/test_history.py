"""What is learned of durations: robust to few samples, to outliers, and to writers at once."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import errors, history, waits
from aurora_restore.model import PhaseTiming, SourceKind, iso
from tests.unit.core_support import NOW, settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CLASS = history.work_class("cluster", "aurora-mysql", 50)
durations = st.floats(1, 200_000)


def after(samples: list[float], default: float = 600) -> history.History:
    known: history.History = {}
    for seconds in samples:
        known = {**known, CLASS: history.learned(known, CLASS, seconds, default)}
    return known


def test_without_a_history_the_table_is_expected() -> None:
    assert history.expected({}, CLASS, 720) == 720
    defaults = {"cluster": 720, "writer": 480}
    assert history.expectations({}, {"cluster": CLASS}, defaults) == defaults


@given(st.lists(durations, max_size=60), durations)
def test_an_expectation_lies_between_the_table_and_what_was_seen(samples, default) -> None:
    found = history.expected(after(samples, default), CLASS, default)
    assert min([*samples, default]) - 1 <= found <= max([*samples, default]) + 1


@given(st.floats(60, 20_000), st.floats(0.2, 5))
def test_what_always_takes_the_same_is_learned(takes, wrong) -> None:
    """However wrong the table is, within reason."""
    found = history.expected(after([takes] * 60, takes * wrong), CLASS, takes * wrong)
    assert found == pytest.approx(takes, rel=0.25)


@given(durations, durations)
def test_one_restore_moves_the_expectation_by_less_than_half_in_ratio(first, default) -> None:
    found = history.expected(after([first], default), CLASS, default)
    assert abs(math.log(found / default)) <= history.OUTLIER / 3 + 1 / min(found, default)


@given(st.floats(300, 20_000), st.sampled_from([0.001, 0.1, 10, 1000]))
def test_an_outlier_among_many_hardly_counts(takes, factor) -> None:
    usual = after([takes] * 20, takes)
    found = history.expected({CLASS: history.learned(usual, CLASS, takes * factor, takes)}, CLASS, takes)
    assert found == pytest.approx(takes, rel=0.07)


def test_a_new_normal_is_followed() -> None:
    dice = random.Random(1)
    samples = [600 * math.exp(dice.gauss(0, 0.3)) for _ in range(30)]
    samples += [1200 * math.exp(dice.gauss(0, 0.3)) for _ in range(60)]
    assert history.expected(after(samples), CLASS, 600) == pytest.approx(1200, rel=0.15)


def test_classes_tell_apart_what_takes_different_times() -> None:
    sizes = {history.work_class("cluster", "aurora-mysql", size) for size in (1, 99, 100, 2000, 50_000)}
    assert len(sizes) == 4
    instances = {history.work_class("writer", "aurora-mysql", size) for size in (1, 99, 100, 2000, 50_000)}
    assert len(instances) == 1
    assert history.work_class("writer", "aurora-postgresql", 1) not in instances
    near, far = (history.work_class("copy-1", "aurora-mysql", 10, cross_region=far) for far in (False, True))
    assert near != far
    assert history.work_class("copy-2", "aurora-mysql", 10, cross_region=True) == far


def test_an_expectation_that_is_far_too_high_comes_down_by_itself() -> None:
    """What is learned is when it was seen, and the first look is at half of what is expected."""
    known: history.History = {}
    for _ in range(40):
        elapsed = 0.0
        while elapsed < 600:
            elapsed += waits.next_wait("cluster", elapsed, expected=history.expected(known, CLASS, 7200))
        known = {**known, CLASS: history.learned(known, CLASS, elapsed, 7200)}
    assert 600 <= history.expected(known, CLASS, 7200) < 1000


def _operation(**timings: tuple[int, int]) -> Any:
    """A record as far as the history reads it: seconds from NOW to the beginning and the end of each phase."""
    copies = (SimpleNamespace(phase="copy-1", cross_region=True),)
    plan = SimpleNamespace(
        engine="aurora-mysql", snapshot_size_gib=50, copies=copies, source_kind=SourceKind.SNAPSHOT, major_upgrade=False
    )
    at = {phase: [iso(NOW + timedelta(seconds=second)) for second in both] for phase, both in timings.items()}
    return SimpleNamespace(
        planned=plan,
        timings={phase.replace("_", "-"): PhaseTiming(begun, ready_at=ready) for phase, (begun, ready) in at.items()},
    )


def test_what_an_operation_took_is_told_by_class() -> None:
    record = _operation(copy_1=(0, 900), cluster=(900, 1600), readers=(2000, 2001), compensate=(0, 50))
    record.timings["writer"] = PhaseTiming(iso(NOW))
    assert history.took(record) == [
        (history.work_class("copy-1", "aurora-mysql", 50, cross_region=True), 900),
        (CLASS, 700),
    ]
    planned = history.planned(record.planned)
    assert set(planned) == {"cluster", "configure", "writer", "readers", "copy-1"}
    assert planned["cluster"] == (CLASS, waits.expected_by_size(50)["cluster"])
    assert planned["copy-1"][1] == waits.copy_seconds(50, cross_region=True)


def test_points_in_time_clones_and_upgrades_are_not_mixed_with_the_rest() -> None:
    record = _operation(cluster=(0, 700), writer=(700, 3000))
    record.planned.source_kind, record.planned.major_upgrade = SourceKind.CLONE, True
    assert history.took(record) == [(f"clone/{CLASS}", 700)]
    table = dict(history.planned(record.planned).values())
    assert table[f"clone/{CLASS}"] == waits.expected_of_source(SourceKind.CLONE, 0)["cluster"]


# --- the item ---------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded_and_grows(tables: DynamoDBClient) -> None:
    table = settings().state_table
    assert history.load(tables, table) == {}
    history.save(tables, table, [(CLASS, 700.0), ("writer/aurora-mysql", 400.0)], {CLASS: 720})
    history.save(tables, table, [(CLASS, 900.0)], {CLASS: 720})
    known = history.load(tables, table)
    assert (known[CLASS].count, known["writer/aurora-mysql"].count) == (4, 3)
    assert 720 < history.expected(known, CLASS, 720) < 900


class _Racing:
    """A client before whose first puts another writer is faster."""

    def __init__(self, tables: DynamoDBClient, races: int) -> None:
        self._tables, self.races = tables, races

    def get_item(self, **params: Any) -> Any:
        return self._tables.get_item(**params)

    def put_item(self, **params: Any) -> Any:
        if self.races:
            self.races -= 1
            history.save(self._tables, settings().state_table, [(CLASS, 500.0)], {})
        return self._tables.put_item(**params)


def test_a_lost_race_loses_nothing(tables: DynamoDBClient) -> None:
    racing: Any = _Racing(tables, races=3)
    history.save(racing, settings().state_table, [(CLASS, 700.0)], {})
    assert history.load(tables, settings().state_table)[CLASS].count == 6


def test_a_race_without_end_is_a_conflict_and_another_error_is_named(tables: DynamoDBClient) -> None:
    racing: Any = _Racing(tables, races=1000)
    with pytest.raises(errors.StateConflict):
        history.save(racing, settings().state_table, [(CLASS, 700.0)], {})
    with pytest.raises(errors.RestoreError) as caught:
        history.load(tables, "NoSuchTable")
    assert isinstance(caught.value.__cause__, ClientError)
