"""Backup and maintenance windows, which RDS refuses when they overlap (BC: PreferredBackupWindow). Pure.

A backup window is daily (``03:00-03:30``), a maintenance window weekly (``sun:04:00-sun:05:00``), both in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

SHORTEST: Final = 30
"""Minutes that either window has at least."""
DAY: Final = 24 * 60
"""Minutes of a day."""
LONGEST_MAINTENANCE: Final = DAY - SHORTEST
"""Minutes: a longer maintenance window meets every backup window, and RDS refuses that."""
_WEEK: Final = 7 * DAY
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_BACKUP, _MAINTENANCE = "PreferredBackupWindow", "PreferredMaintenanceWindow"


def length(window: str) -> int:
    """Minutes from its begin to its end."""
    begin, end = _times(window)
    return (end - begin) % (_WEEK if _weekly(window) else DAY)


def overlap(backup: str, maintenance: str) -> bool:
    """Whether the daily window meets the weekly one."""
    daily, begin = _times(backup)[0], _times(maintenance)[0]
    end = begin + length(maintenance)
    return any(day * DAY + daily < end and begin < day * DAY + daily + length(backup) for day in range(-1, 9))


def apart(changes: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a Modify, with the window that nobody has named moved out of the way of the one that is given.

    RDS draws by lot what a restore does not say, so that a window that is given afterwards may hit the other one.
    """
    window = {name: changes.get(name) or cluster.get(name) for name in (_BACKUP, _MAINTENANCE)}
    backup, maintenance = window[_BACKUP], window[_MAINTENANCE]
    if not backup or not maintenance or not overlap(backup, maintenance):
        return dict(changes)
    if _MAINTENANCE in changes:
        return {**changes, _BACKUP: _after(maintenance, weekly=False)}
    return {**changes, _MAINTENANCE: _after(backup, weekly=True)}


def _after(window: str, *, weekly: bool) -> str:
    """The shortest window that begins when another one ends; a weekly one is Sunday's then."""
    end = _times(window)[1]
    begin = end if _weekly(window) else _DAYS.index("sun") * DAY + end
    return "-".join(_text(moment % _WEEK, weekly=weekly) for moment in (begin, begin + SHORTEST))


def _weekly(window: str) -> bool:
    return window[:1].isalpha()


def _text(moment: int, *, weekly: bool) -> str:
    hour, minute = divmod(moment % DAY, 60)
    return f"{_DAYS[moment // DAY]}:{hour:02}:{minute:02}" if weekly else f"{hour:02}:{minute:02}"


def _times(window: str) -> tuple[int, int]:
    """Begin and end in minutes, of the day or of the week."""
    found = re.findall(r"(?:([a-z]{3}):)?(\d\d):(\d\d)", window.lower())
    begin, end = ((_DAYS.index(day) * DAY if day else 0) + int(hour) * 60 + int(minute) for day, hour, minute in found)
    return begin, end
