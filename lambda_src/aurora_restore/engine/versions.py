"""Which engine version a restored cluster gets, and by which way it gets there. Pure.

Aurora never goes back. A version that AWS no longer offers cannot be restored to: the lowest minor upgrade of it that
is offered takes its place. To another major version there is one way per engine: Aurora MySQL takes it in the restore
call and upgrades when the writer is created (AUG: Upgrading to Aurora MySQL version 3 by snapshot restore); Aurora
PostgreSQL is restored at its own major version and upgraded by ModifyDBCluster when the writer is there.
RestoreDBClusterToPointInTime takes no version at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aurora_restore.engine.aurora import version_key


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
