"""Windows of backups and maintenance, beside an independent count of minutes."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aurora_restore import windows
from sandbox.core import AwsError
from sandbox.rds.settings import check_windows

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY, WEEK = 1440, 10080


def clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}"


def daily(begin: int, length: int) -> str:
    return f"{clock(begin)}-{clock(begin + length)}"


def weekly(begin: int, length: int) -> str:
    return "-".join(f"{DAYS[moment % WEEK // DAY]}:{clock(moment)}" for moment in (begin, begin + length))


backups = st.builds(daily, st.integers(0, DAY - 1), st.integers(30, DAY - 1))
maintenances = st.builds(weekly, st.integers(0, WEEK - 1), st.integers(30, windows.LONGEST_MAINTENANCE))
half_hours = st.builds(daily, st.integers(0, DAY - 1), st.just(30))


def minutes(window: str) -> set[int]:
    """The minutes of the week that a window covers."""
    first, length = window.partition("-")[0], windows.length(window)
    hour, minute = (int(part) for part in first[-5:].split(":"))
    begin = hour * 60 + minute
    starts = [DAYS.index(first[:3]) * DAY + begin] if first[0].isalpha() else [day * DAY + begin for day in range(7)]
    return {(start + passed) % WEEK for start in starts for passed in range(length)}


@given(st.integers(0, DAY - 1), st.integers(1, DAY - 1))
def test_a_daily_length(begin: int, length: int) -> None:
    assert windows.length(daily(begin, length)) == length


@given(st.integers(0, WEEK - 1), st.integers(1, WEEK - 1))
def test_a_weekly_length(begin: int, length: int) -> None:
    assert windows.length(weekly(begin, length)) == length


@given(backups, maintenances)
def test_two_windows_overlap_when_they_share_a_minute(backup: str, maintenance: str) -> None:
    assert windows.overlap(backup, maintenance) == bool(minutes(backup) & minutes(maintenance))


@given(half_hours, half_hours, maintenances, half_hours, st.booleans(), st.booleans())
def test_what_is_given_stays_and_the_other_one_gives_way(
    backup: str, other: str, maintenance: str, sunday: str, gives_backup: bool, gives_maintenance: bool
) -> None:
    """What a request names overlaps with nothing else that it names; what RDS draws is half an hour long."""
    drawn = "-".join(f"sun:{moment}" for moment in sunday.split("-"))
    assume(windows.length(drawn) == 30)
    assume(not (gives_backup and gives_maintenance and windows.overlap(backup, maintenance)))
    changes = {"StorageType": "aurora"}
    if gives_backup:
        changes["PreferredBackupWindow"] = backup
    if gives_maintenance:
        changes["PreferredMaintenanceWindow"] = maintenance
    moved = windows.apart(changes, {"PreferredBackupWindow": other, "PreferredMaintenanceWindow": drawn})
    assert changes.items() <= moved.items()
    if gives_backup or gives_maintenance:
        after = (
            moved.get("PreferredBackupWindow", other),
            moved.get("PreferredMaintenanceWindow", drawn),
        )
        assert not windows.overlap(*after)
        check_windows(*after)  # the sandbox, which stands for RDS, has its own count


def test_the_sandbox_refuses_what_overlaps() -> None:
    with pytest.raises(AwsError, match="must not overlap"):
        check_windows("03:00-03:30", "sun:03:15-sun:04:00")
