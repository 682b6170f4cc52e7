"""Which engine version a restored cluster gets, and by which way it gets there. Pure.

Aurora never goes back. A version that AWS no longer offers cannot be restored to: the lowest minor upgrade of it that
is offered takes its place. To another major version there is one way per engine: Aurora MySQL takes it in the restore
call and upgrades when the writer is created (AUG: Upgrading to Aurora MySQL version 3 by snapshot restore); Aurora
PostgreSQL is restored at its own major version and upgraded by ModifyDBCluster when the writer is there.
RestoreDBClusterToPointInTime takes no version at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aurora_restore.engine.aurora import version_key
from aurora_restore.errors import MajorUpgradeRefused
from aurora_restore.model import Record, SourceKind
from aurora_restore.readiness import Described


@dataclass(frozen=True)
class VersionWay:
    """From the source's version to the one that the cluster is to run."""

    have: str
    target: str
    at_restore: str
    """What the restore gives; where it is not the target, an upgrade in place follows."""
    substituted: bool = False
    """The source's version is not offered any more, and ``at_restore`` has taken its place."""

    @property
    def major(self) -> bool:
        """The target is of another major version."""
        return version_key(self.target)[:1] != version_key(self.have)[:1]

    @property
    def in_place(self) -> bool:
        """The upgrade is one by ModifyDBCluster."""
        return self.at_restore != self.target


def lowest_minor(upgrades: Mapping[str, bool]) -> str | None:
    """The lowest version to upgrade to within the major version; ``upgrades`` are True where they are major."""
    return min((version for version, major in upgrades.items() if not major), key=version_key, default=None)


def way(
    engine: str, have: str, asked: str | None, *, offered: bool, upgrades: Mapping[str, bool], by_restore: bool
) -> VersionWay:
    """The way to the version that is asked for, or to the source's own.

    ``offered`` says whether ``have`` still is; ``upgrades`` are what it can be upgraded to; ``by_restore`` whether the
    restore call takes a version. Whether the way is open is for the planner to judge.
    """
    if not by_restore:
        return VersionWay(have, asked or have, have)
    nearest = have if offered else lowest_minor(upgrades) or have
    target = VersionWay(have, asked or nearest, asked or nearest, substituted=asked is None and nearest != have)
    if target.major and engine == "aurora-postgresql":
        return VersionWay(have, target.target, nearest, substituted=nearest != have)
    return target


def as_it_was(record: Record, cluster: Described) -> Record:
    """The record with the version that a point in time has brought back: that of then, which only RDS knows."""
    plan, asked, version = record.planned, record.wanted.engine_version, str(cluster["EngineVersion"])
    if plan.source_kind is not SourceKind.POINT_IN_TIME or version == plan.restored_version:
        return record
    if asked is None:
        changed = replace(plan, engine_version=version)
        told = f"and the restored one keeps it; today's is {plan.engine_version}."
    else:
        found = VersionWay(version, asked, version)
        changed = replace(plan, version_at_restore=version if found.in_place else None, major_upgrade=found.major)
        told = f"and the restored one is to run {asked}."
    return replace(record, plan=changed).with_warnings(f"At that time the source ran engine version {version}, {told}")


def refuse_unasked_major(record: Record) -> None:
    """Refuse what only a point in time can bring: a version of then from which the asked one is a major upgrade."""
    plan, request = record.planned, record.wanted
    if plan.major_upgrade and not request.allow_major_version_upgrade:
        raise MajorUpgradeRefused(
            f"At {request.restore_to_time} the source ran {plan.restored_version}, of another major version than "
            f"engine_version {plan.engine_version}",
            field="engine_version",
        )
