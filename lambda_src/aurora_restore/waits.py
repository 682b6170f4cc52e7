"""How long to wait before the next look: pure, bounded, and never past the deadline.

Something that is expected to finish is looked at first at half of the expected time, then at intervals that grow with
the time it has already taken, so that the delay of detection stays a small and constant part of the whole. There is
no exponential back-off: it detects late exactly what takes long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aurora_restore.model import PlannedCopy

FLOOR: Final = 15
CAP: Final = 60
COPY_CAP: Final = 300
CONFIRM: Final = 5
"""Seconds until a good read is confirmed by a second one."""

LANE: Final = 900
"""Seconds until who waits for a lane asks again by itself; mostly a lane that is free wakes it."""

_FIRST_LOOK: Final = 0.5
_SHARE_OF_ELAPSED: Final = 0.025


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
    """Whole seconds to wait. ``remaining`` is the time to the deadline: the last look is at the deadline itself."""
    elapsed = max(0.0, elapsed)
    if phase == "copy":
        wait = _copy_wait(elapsed, percent, floor)
    elif expected and elapsed < expected * _FIRST_LOOK:
        wait = max(float(floor), expected * _FIRST_LOOK - elapsed)
    else:
        wait = _clamp(_SHARE_OF_ELAPSED * elapsed, floor, cap)
    if remaining is not None:
        wait = min(wait, remaining)
    return max(1, round(wait))


def _copy_wait(elapsed: float, percent: int | None, floor: int) -> float:
    if not percent or percent <= 0:
        # Copies of one source queue, and show no progress while they do (AUG: Copying a DB cluster snapshot).
        return _clamp(0.25 * elapsed, floor, COPY_CAP)
    progress = min(percent, 99) / 100
    return _clamp(0.5 * elapsed * (1 - progress) / progress, floor, COPY_CAP)


def turn_wait(elapsed: float, *, remaining: float, woken: bool) -> int:
    """Whole seconds to wait for a copy's turn: where nobody wakes who waits, at intervals that grow with the wait."""
    wait = float(LANE) if woken else _clamp(0.05 * elapsed, 60, COPY_CAP)
    return max(1, round(min(wait, remaining)))


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


# Expected seconds by size of the volume. The FAQ gives whole restores as 30-60 minutes (below 100 GB), 1-3 hours (to
# 1 TB) and more; the lower ends are taken, since a first look that comes too late costs more than one too many.
_BY_SIZE: Final[tuple[tuple[float, dict[str, int]], ...]] = (
    (100, {"cluster": 900, "configure": 60, "writer": 480, "readers": 480, "compensate": 300}),
    (1024, {"cluster": 1800, "configure": 60, "writer": 480, "readers": 480, "compensate": 300}),
    (float("inf"), {"cluster": 3600, "configure": 60, "writer": 600, "readers": 600, "compensate": 300}),
)


def expected_by_size(size_gib: int, copies: Iterable[PlannedCopy] = ()) -> dict[str, int]:
    """Expected seconds of each phase that is waited for."""
    phases = next(phases for limit, phases in _BY_SIZE if size_gib < limit)
    return {**{copy.phase: copy.expected_seconds for copy in copies}, **phases}


def copy_seconds(size_gib: int, *, cross_region: bool) -> int:
    """Expected seconds of one snapshot copy.

    AWS promises nothing here, and says that hours are normal. Some minutes within a region and about 40 minutes for
    100 GiB across regions are what people see; RDS's own progress corrects the wait as soon as there is any.
    """
    return round(300 + (20.0 if cross_region else 3.0) * size_gib)
