"""What an operation is expected to cost, at list prices: an estimate for a person, not a bill. Pure.

Prices are US dollars in us-east-1 (aws.amazon.com/rds/aurora/pricing and aws.amazon.com/rds/pricing, as seen in 2026):
other regions cost up to half as much again, and no discount is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from aurora_restore import durations
from aurora_restore.model import CostItem, PlannedCopy, Request, SourceKind

PRICED_IN: Final = "us-east-1"
TRANSFER_PER_GB: Final = 0.02
"""Between regions; RDS transfers incrementally where it can, so that this is the most it costs."""
SNAPSHOT_PER_GB_MONTH: Final = 0.021
VOLUME_PER_GB_MONTH: Final[Mapping[str, float]] = {"aurora": 0.10, "aurora-iopt1": 0.225}
ACU_HOUR: Final = 0.12
IO_OPTIMIZED: Final = 1.3
"""Instances and capacity units of I/O-Optimized clusters cost 30 % more."""
HOURS_PER_MONTH: Final = 730

# Per hour of a "large"; the sizes of a family are multiples of it. A class that is not here has no price.
_LARGE_PER_HOUR: Final[Mapping[str, float]] = {
    "r5": 0.29,
    "r6g": 0.26,
    "r7g": 0.276,
    "r8g": 0.276,
    "t3": 0.164,
    "t4g": 0.146,
}
_SIZE: Final = re.compile(r"db\.([a-z0-9]+)\.(medium|large|(\d*)xlarge)")


def class_per_hour(instance_class: str) -> float | None:
    """The price of an instance in a Standard cluster, or None if it is not known."""
    found = _SIZE.fullmatch(instance_class)
    large = _LARGE_PER_HOUR.get(found.group(1)) if found else None
    if found is None or large is None:
        return None
    size = found.group(2)
    return large * {"medium": 0.5, "large": 1.0}.get(size, 2.0 * int(found.group(3) or 1))


def expected(
    request: Request, copies: tuple[PlannedCopy, ...], seconds: Mapping[str, int], storage_type: str, size_gib: int
) -> Iterator[CostItem]:
    """Copies first, in their order, then the instances; ``seconds`` are the phases', in the order of the phases."""
    if request.source_kind is SourceKind.POINT_IN_TIME:
        yield _creation(size_gib, seconds["cluster"], storage_type)
    for index, copy in enumerate(copies):
        # A copy lives until the restored cluster is verified: while the later copies are made and the restore runs.
        later = [other.phase for other in copies[index + 1 :]]
        lives = sum(seconds.get(phase, 0) for phase in (*later, "cluster", "configure", "writer", "readers"))
        yield from _copy(copy, lives, kept=request.keep_copies)
    for instance_class in request.classes:
        yield _instances(request, instance_class, storage_type)


def _creation(size_gib: int, seconds: int, storage_type: str) -> CostItem:
    """Unlike a restore from a snapshot, one to a point in time is billed while it runs (AUG: DB cluster status)."""
    name, price = "volume while it is being created", VOLUME_PER_GB_MONTH[storage_type]
    if not size_gib:
        return CostItem(name, None, f"${price} per GB-month; the source has no snapshot that tells its size")
    return CostItem(
        name,
        round(size_gib * price * seconds / 3600 / HOURS_PER_MONTH, 4),
        f"{size_gib} GiB for about {durations.told(seconds)} at ${price} per GB-month",
    )


def _copy(copy: PlannedCopy, lives_seconds: int, *, kept: bool) -> Iterator[CostItem]:
    size = copy.size_gib
    if not size:
        yield CostItem(
            f"copy {copy.ordinal}",
            None,
            f"${SNAPSHOT_PER_GB_MONTH} per GB-month"
            + (f" and ${TRANSFER_PER_GB} per GB for the transfer" if copy.cross_region else "")
            + "; RDS does not tell the snapshot's size",
        )
        return
    if copy.cross_region:
        yield CostItem(
            f"copy {copy.ordinal}: transfer between regions",
            round(size * TRANSFER_PER_GB, 2),
            f"{size} GiB at ${TRANSFER_PER_GB} per GB, at most: RDS may send less",
        )
    monthly = size * SNAPSHOT_PER_GB_MONTH
    if kept:
        yield CostItem(
            f"copy {copy.ordinal}: storage, per month, since it is kept",
            round(monthly, 2),
            f"{size} GiB at ${SNAPSHOT_PER_GB_MONTH} per GB-month; each copy is a full one",
        )
    else:
        yield CostItem(
            f"copy {copy.ordinal}: storage until it is deleted",
            round(monthly * lives_seconds / 3600 / HOURS_PER_MONTH, 4),
            f"{size} GiB for about {durations.told(lives_seconds)} at ${SNAPSHOT_PER_GB_MONTH} per GB-month",
        )


def _instances(request: Request, name: str, storage_type: str) -> CostItem:
    count = sum(spec.db_instance_class == name for spec in request.topology)
    factor, optimized = (IO_OPTIMIZED, ", I/O-Optimized") if storage_type == "aurora-iopt1" else (1.0, "")
    shown = f"{count} x {name}{optimized}"
    if name == "db.serverless" and (scaling := request.serverless_v2_scaling):
        acu = ACU_HOUR * factor
        least, most = (count * capacity * acu for capacity in (scaling.min_capacity, scaling.max_capacity))
        return CostItem(
            "instances, per hour, at the lowest capacity",
            round(least, 4),
            f"{shown}, from {scaling.min_capacity:g} to {scaling.max_capacity:g} ACU each at ${acu:g} per ACU-hour; "
            f"${most:.2f} at the highest",
        )
    price = class_per_hour(name)
    if price is None:
        return CostItem("instances, per hour", None, f"{shown}; the price of this class is not known here")
    return CostItem(
        "instances, per hour", round(count * price * factor, 4), f"{shown} at ${price * factor:g} per hour each"
    )
