"""What the preflight finds out, as plain types: the ground that plans and refusals stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aurora_restore.engine.routes import SnapshotKey
from aurora_restore.engine.versions import VersionWay
from aurora_restore.errors import RestoreError
from aurora_restore.keys import Key
from aurora_restore.model import CopyRoute, KeyKind, PlannedCopy, SnapshotKind, SourceRole
from aurora_restore.readiness import Described


@dataclass(frozen=True)
class ClusterSource:
    """What else is to be known of a source that is a cluster."""

    deleted: bool = False
    """It is gone; the description is that of its retained automated backups."""
    earliest: datetime | None = None
    latest: datetime | None = None
    """Between these it can be restored; None while RDS tells of no time."""
    writer_class: str | None = None
    clones: int = 0
    """Clones that share its volume, as far as the deployment's account sees them."""
    cloned_across: bool = False
    """The deployment's account has a clone of this other account's cluster already."""


@dataclass(frozen=True)
class SourceFacts:
    """The snapshot or the cluster that is restored from, and what it takes to read it."""

    described: Described
    account: str
    region: str
    kind: SnapshotKind = SnapshotKind.MANUAL
    """Of a snapshot."""
    cluster: ClusterSource | None = None
    """None for a snapshot."""
    role: SourceRole | None = None
    share_keys: Mapping[str, str] = field(default_factory=dict)
    """By region: customer keys of the account that both sides may use."""
    shared: bool = False
    """With the deployment's account, by its owner, before the operation."""
    key: SnapshotKey | None = None
    """None where nobody could find out; a finding says why."""
    kms_key: Key | None = None
    """The KMS key itself, where the snapshot is under one."""

    @property
    def arn(self) -> str:
        """Its ARN, which names it from everywhere."""
        return str(self.described["DBClusterArn" if self.cluster else "DBClusterSnapshotArn"])

    @property
    def what(self) -> str:
        """In words."""
        return "source cluster" if self.cluster else "snapshot"

    @property
    def field(self) -> str:
        """The field of the request that names it."""
        return "source_cluster_id" if self.cluster else "snapshot_identifier"

    @property
    def encrypted(self) -> bool:
        """It is under any key at all."""
        return self.key is not None and self.key.kind is not KeyKind.NONE


@dataclass(frozen=True)
class Quota:
    """What is used of what may be used, in one account and region."""

    used: int
    most: int


@dataclass(frozen=True)
class Place:
    """An account and region in which copies are to be made."""

    account: str
    region: str
    quota: Quota | None = None
    """Of manual cluster snapshots."""
    in_flight: int = 0
    """Copies from other regions that are being made there now."""
    there: Mapping[str, Described] = field(default_factory=dict)
    """Snapshots that have the name of a planned copy."""


@dataclass(frozen=True)
class Facts:
    """What is there.

    Of a look-up that failed ``unknown`` has the name and ``findings`` the reason: that something is absent then means
    nothing.
    """

    source: SourceFacts | None = None
    way: VersionWay | None = None
    """None while the source is not known."""
    offered: Described | None = None
    """The wanted engine version as offered in the target region, or None."""
    upgrades: Mapping[str, bool] = field(default_factory=dict)
    """Versions that the source's version can be upgraded to; True where that is a major upgrade."""
    upgrades_at_restore: Mapping[str, bool] = field(default_factory=dict)
    """The same of the version at the restore, where that is not the source's."""
    lifecycles: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Support periods by engine version: of the wanted one, and of the one at the restore."""
    orderable: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    """By engine version zones by class: of the wanted classes, or of all classes if one of those is not offered."""
    subnet_group: Described | None = None
    security_groups: Mapping[str, str] = field(default_factory=dict)
    """VPC by security group, of those that exist."""
    cluster_parameter_group: Described | None = None
    instance_parameter_groups: Mapping[str, Described | None] = field(default_factory=dict)
    """By name, of those that instances are to have."""
    target: Described | None = None
    """A cluster that has the wanted name."""
    taken_instances: tuple[str, ...] = ()
    """Instances that have one of the wanted names."""
    taken_endpoints: Mapping[str, str] = field(default_factory=dict)
    """Custom endpoints that have one of the wanted names, with their clusters."""
    target_key: Key | None = None
    """Key of the restored cluster and of the copies in the target region, unless the snapshot's own is kept."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """Of the target account and region, by AWS's names."""
    route: CopyRoute | None = None
    """None where there is none, or where it could not be told; a finding says why."""
    places: tuple[Place, ...] = ()
    fallback_route: CopyRoute | None = None
    fallback_places: tuple[Place, ...] = ()
    fallback_findings: tuple[RestoreError, ...] = ()
    """What stands against the fallback, which the plan then goes without."""
    unknown: frozenset[str] = frozenset()
    findings: tuple[RestoreError, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> tuple[PlannedCopy, ...]:
        """The copies of the route."""
        return self.route.copies if self.route else ()

    def place_of(self, copy: PlannedCopy) -> Place | None:
        """Where a copy is to be made."""
        return next((p for p in self.places if (p.account, p.region) == (copy.account, copy.region)), None)

    def existing(self, copy: PlannedCopy) -> Described | None:
        """The snapshot that has the copy's name already."""
        place = self.place_of(copy)
        return place.there.get(copy.identifier) if place else None
