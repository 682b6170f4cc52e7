"""How long to wait before the next look: pure, bounded, and never past the deadline.

What is expected to finish is looked at first at half of the expected time. From there on the looks come closer as the
expected end does, and grow with the time it has taken once that is past, so that the delay of detection stays a small
and constant part of the whole (`make bench` shows which). There is no exponential back-off: it detects late exactly
what takes long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from aurora_restore.model import SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aurora_restore.model import PlannedCopy

FLOOR: Final = 10
CAP: Final = 600
CONFIRM: Final = 5
"""Seconds, at least, until a good read is confirmed by a second one."""
STALE: Final = 30
"""For so many seconds after a change RDS may still describe what was before it (Terraform's delay after a Modify)."""

LANE: Final = 900
"""Seconds until who waits for a lane asks again by itself; mostly a lane that is free wakes it."""
TURN_FLOOR: Final = 60
TURN_CAP: Final = 600

# Looked at later than at half of the expected time, what ends early is found minutes late: that costs the 95th
# percentile more than all the looks that it saves. The share of the elapsed time costs half of itself in delay. What
# takes more than twice the expected time, or has none, is looked at half as often: an execution has room for so many
# looks only (statemachine.tf adds them up, with these numbers).
_FIRST_LOOK: Final = 0.5
_SHARE: Final = 0.0125
_OVERDUE_SHARE: Final = 0.025
_QUEUED_SHARE: Final = 0.25


def next_wait(
    phase: str,
    elapsed: float,
    *,
    percent: int | None = None,
    expected: float | None = None,
    remaining: float | None = None,
    floor: int = FLOOR,
    cap: int = CAP,
) -> int:
    """Whole seconds to wait. ``remaining`` is the time to the deadline: the last look is at the deadline itself.

    ``floor`` and ``cap`` bound each wait but the one to the first look.
    """
    elapsed = max(0.0, elapsed)
    first_look = _FIRST_LOOK * (expected or 0)
    if phase.startswith("copy"):
        wait = _clamp(max(_copy_wait(elapsed, percent), _overdue_wait(elapsed, expected or 0)), floor, cap)
    elif elapsed < first_look:
        wait = max(float(floor), first_look - elapsed)
    else:
        pace = _SHARE * _pace(elapsed, expected or 0)
        wait = _clamp(max(pace, _overdue_wait(elapsed, expected or 0)), floor, cap)
    if remaining is not None:
        wait = min(wait, remaining)
    return max(1, round(wait))


def floor_after(used: float, *, floor: int = FLOOR, cap: int = CAP) -> int:
    """Shortest wait of a phase that has what phases before it have left of a deadline: they go on as one."""
    return round(_clamp(_OVERDUE_SHARE * used, floor, cap))


def confirm(elapsed: float) -> int:
    """Seconds until a good read that may still be one of before the change is confirmed by a second one."""
    return max(CONFIRM, math.ceil(STALE - elapsed))


def _pace(elapsed: float, expected: float) -> float:
    """What the wait is a share of: few operations end at half of their time, most near all of it."""
    return expected * expected / elapsed if elapsed < expected else elapsed


def _overdue_wait(elapsed: float, expected: float) -> float:
    """The least wait for what takes much longer than expected, whatever its progress says."""
    return _OVERDUE_SHARE * elapsed if elapsed > 2 * expected else 0


def _copy_wait(elapsed: float, percent: int | None) -> float:
    """Half of the time that is left, if the rest goes as what is done has gone."""
    if not percent or percent <= 0:
        # Copies of one source queue, and show no progress while they do (AUG: Copying a DB cluster snapshot).
        return _QUEUED_SHARE * elapsed
    done = min(percent, 99) / 100
    return 0.5 * elapsed * (1 - done) / done


def turn_wait(elapsed: float, *, remaining: float, woken: bool) -> int:
    """Whole seconds to wait for a copy's turn: where nobody wakes who waits, at intervals that grow with the wait."""
    wait = float(LANE) if woken else _clamp(0.05 * elapsed, TURN_FLOOR, TURN_CAP)
    return max(1, round(min(wait, remaining)))


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


# Expected seconds by size of the volume, of a deployment that has no history yet. The FAQ gives whole restores as 30-60
# minutes (below 100 GB), 1-3 hours (to 1 TB) and more; the lower ends are taken, since a first look that comes too late
# costs more than one too many.
_BY_SIZE: Final[tuple[tuple[float, dict[str, int]], ...]] = (
    (100, {"cluster": 720, "configure": 60, "writer": 480, "readers": 480, "compensate": 300}),
    (1024, {"cluster": 1800, "configure": 60, "writer": 480, "readers": 480, "compensate": 300}),
    (float("inf"), {"cluster": 2700, "configure": 60, "writer": 600, "readers": 600, "compensate": 300}),
)


def expected_by_size(size_gib: int, copies: Iterable[PlannedCopy] = ()) -> dict[str, int]:
    """Expected seconds of each phase that is waited for."""
    phases = next(phases for limit, phases in _BY_SIZE if size_gib < limit)
    return {**{copy.phase: copy.expected_seconds for copy in copies}, **phases}


_REPLAY: Final = 300
"""Seconds that the replay of the log adds to a restore to a point in time."""
_CLONE: Final = 300
_UPGRADE: Final = {False: 900, True: 1800}
"""By whether it is a major one; the time hangs on the number of objects, not on the size (AUG: major upgrades)."""


def expected_of_source(kind: SourceKind, cluster: int) -> dict[str, int]:
    """Corrections of the expected times by what is restored from; ``cluster`` is that of a snapshot of the size.

    A clone shares its source's pages, so that its time does not depend on the size.
    """
    if kind is SourceKind.CLONE:
        return {"cluster": _CLONE}
    return {"cluster": cluster + _REPLAY} if kind is SourceKind.POINT_IN_TIME else {}


def expected_of_upgrade(writer: int, *, in_place: bool, major: bool) -> dict[str, int]:
    """Corrections by an upgrade: in place it has a phase of its own, else it is part of the creation of the writer."""
    if in_place:
        return {"upgrade": _UPGRADE[major]}
    return {"writer": writer + _UPGRADE[major]} if major else {}


def copy_seconds(size_gib: int, *, cross_region: bool) -> int:
    """Expected seconds of one snapshot copy.

    AWS promises nothing here, and says that hours are normal. Some minutes within a region and about 40 minutes for
    100 GiB across regions are what people see; RDS's own progress corrects the wait as soon as there is any.
    """
    return round(300 + (20.0 if cross_region else 3.0) * size_gib)
