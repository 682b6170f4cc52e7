"""Turns and listings: what keeps many operations at once within RDS's limit."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aurora_restore import fleet
from bench.tables import Tables
from tests.unit.core_support import ACCOUNT, NOW, REGION, FakeRds

if TYPE_CHECKING:
    from datetime import datetime

SPACING = fleet.CALLS_PER_OPERATION / (2 * (1 - fleet.LISTING_SHARE))


def tables() -> Any:
    return Tables(ACCOUNT, REGION, {"State": ["operation_id"]})


def turn(dynamodb: Any, at: float) -> int:
    return fleet.take_turn(dynamodb, "State", now=NOW + timedelta(seconds=at), calls_per_second=2)


@given(st.lists(st.floats(0, 600), min_size=1, max_size=40).map(sorted))
@hypothesis_settings(max_examples=50)
def test_in_any_time_no_more_begin_than_the_calls_allow(arrivals) -> None:
    dynamodb = tables()
    begins = sorted(at + turn(dynamodb, at) for at in arrivals)
    for first in range(len(begins)):
        for last in range(first, len(begins)):
            allowed = fleet.TURNS_AT_ONCE + 1 + (begins[last] - begins[first]) / SPACING
            assert last - first + 1 <= allowed + 0.1


@given(st.lists(st.floats(0, 600), min_size=2, max_size=40).map(sorted))
@hypothesis_settings(max_examples=50)
def test_turns_come_in_the_order_in_which_they_were_taken(arrivals) -> None:
    dynamodb = tables()
    begins = [at + turn(dynamodb, at) for at in arrivals]
    assert all(before <= after + 1 for before, after in pairwise(begins))


def test_who_comes_alone_does_not_wait() -> None:
    dynamodb = tables()
    assert [turn(dynamodb, 60 * number) for number in range(20)] == [0] * 20


# --- listings -------------------------------------------------------------------------------------------------------


def rds(**statuses: str) -> FakeRds:
    found = FakeRds()
    found.clusters = {name: {"DbClusterResourceId": name, "Status": status} for name, status in statuses.items()}
    return found


def listed(dynamodb: Any, found: FakeRds, at: float = 0, since: datetime = NOW, rate: int = 2) -> Mapping[str, str]:
    client: Any = found
    made = fleet.Listings(client, dynamodb, "State", now=NOW + timedelta(seconds=at), floor=10, calls_per_second=rate)
    return made.under_way("db-cluster", since=since)


def test_only_what_is_on_its_way_is_listed() -> None:
    found = rds(new="creating", old="available", gone="deleting", bad="restore-failed", odd="herding-cats")
    assert listed(tables(), found) == {"new": "creating"}


def test_a_list_is_taken_once_for_all_until_it_is_old() -> None:
    dynamodb, found = tables(), rds(a="creating", b="migrating")
    first = listed(dynamodb, found, at=0)
    found.clusters["a"]["Status"] = "available"
    assert [listed(dynamodb, found, at=at) for at in (1, 2, 4)] == [first] * 3
    assert len(found.calls) == 1
    assert listed(dynamodb, found, at=9) == {"b": "migrating"}
    assert len(found.calls) == 2


def test_a_list_of_before_the_phase_says_nothing() -> None:
    dynamodb, found = tables(), rds(a="migrating")
    assert listed(dynamodb, found, at=0) == {"a": "migrating"}
    assert listed(dynamodb, found, at=2, since=NOW + timedelta(seconds=1)) == {}


def test_a_list_whose_taker_never_came_back_is_taken_again() -> None:
    dynamodb, found = tables(), rds(a="creating")
    found.errors["describe_db_clusters"] = [RuntimeError("out of memory")]
    with suppress(RuntimeError):
        listed(dynamodb, found, at=0)
    assert listed(dynamodb, found, at=1) == {}
    assert listed(dynamodb, found, at=9) == {"a": "creating"}


def test_more_pages_are_listed_less_often() -> None:
    dynamodb, found = tables(), rds(a="creating")
    pages = 5
    found.get_paginator = lambda name: _Pages(found, name, pages)  # type: ignore[assignment,method-assign,return-value]
    for at in range(200):
        listed(dynamodb, found, at=at)
    assert len(found.calls) / 200 <= 2 * fleet.LISTING_SHARE / 2 + 0.03


class _Pages:
    def __init__(self, found: FakeRds, name: str, pages: int) -> None:
        self._call, self._pages = getattr(found, name), pages

    def paginate(self, **parameters: Any) -> Any:
        return [self._call() for _ in range(self._pages)]
