"""The state of the emulated RDS: its resources, per account and region, as AWS describes them.

What an API call only stores and shows again is kept in ``settings`` under its name in the output shape; what the
behaviour depends on is a field.
"""

from __future__ import annotations

import hashlib
import itertools
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

AVAILABLE = "available"
COPYING = "copying"
CREATING = "creating"
DELETING = "deleting"

Settings = dict[str, Any]


@dataclass(kw_only=True)
class Place:
    """An account in a region: where a resource lives."""

    account: str
    region: str

    @property
    def partition(self) -> str:
        """The partition that the region belongs to."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of an RDS resource here."""
        return f"arn:{self.partition}:rds:{self.region}:{self.account}:{kind}:{name}"


@dataclass(kw_only=True)
class Resource:
    """Anything with a name, tags and a status."""

    place: Place
    identifier: str
    created: datetime
    tags: dict[str, str] = field(default_factory=dict)
    status: str = CREATING
    # Counts what was begun with the resource: a planned step of something older than the newest does nothing.
    epoch: int = 0
    # How many more reads by name answer "not found" (a read right after a create may, on AWS).
    hidden_reads: int = 0
    # Set while a test holds the resource in a status of its own: what is left to do when it is released.
    held: Callable[[], None] | None = None
    # What is left to do when that which goes on with the resource ends, however it ends.
    ended: Callable[[], None] | None = None

    kind = ""
    source_type = ""

    @property
    def arn(self) -> str:
        """The resource's ARN."""
        return self.place.arn(self.kind, self.identifier)

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The tags in botocore's shape."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


@dataclass
class Encryption:
    """How a volume is encrypted: ``none``, ``sse-rds`` (a key that AWS owns) or ``sse-kms`` (key ARN)."""

    kind: str
    key: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return the members that clusters, instances and snapshots share."""
        shown: dict[str, Any] = {"StorageEncrypted": self.kind != "none", "StorageEncryptionType": self.kind}
        if self.key:
            shown["KmsKeyId"] = self.key
        return shown


@dataclass
class MasterSecret:
    """The secret that RDS keeps for the master user."""

    arn: str
    key: str
    status: str = CREATING


@dataclass(kw_only=True)
class Instance(Resource):
    """A member of a cluster."""

    resource_id: str
    instance_class: str
    cluster: Cluster
    zone: str
    writer: bool = False
    promotion_tier: int = 1
    parameter_group: str
    # Cluster and instance group: in-sync, or pending-reboot after a change of a static parameter or of the group.
    cluster_parameters: str = "in-sync"
    instance_parameters: str = "in-sync"
    settings: Settings = field(default_factory=dict)
    pending: Settings = field(default_factory=dict)
    address: str | None = None
    port: int | None = None
    # Set when the instance did not follow a version upgrade of its cluster.
    engine_version: str | None = None

    kind = "db"
    source_type = "db-instance"


@dataclass(kw_only=True)
class Cluster(Resource):
    """An Aurora cluster: a volume, endpoints and members."""

    resource_id: str
    engine: str
    engine_version: str
    port: int
    master_username: str
    master_password: str | None = None
    encryption: Encryption
    size_gb: int = 1
    subnet_group: SubnetGroup
    parameter_group: str
    security_groups: list[str]
    settings: Settings = field(default_factory=dict)
    # Changes that wait for a maintenance window: as DescribeDBClusters shows them, and as they were asked for.
    pending: Settings = field(default_factory=dict)
    deferred: Settings = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    secret: MasterSecret | None = None
    # The major version that a restored cluster is upgraded to when its writer is created (Aurora MySQL 2 → 3).
    upgrade_to: str | None = None
    restorable_since: datetime | None = None
    changing: bool = False
    address: str | None = None
    reader_address: str | None = None
    endpoint_port: int | None = None
    roles: list[Role] = field(default_factory=list)
    custom_endpoints: list[CustomEndpoint] = field(default_factory=list)
    data_api: bool = False
    # All copy-on-write clones of one volume, with the volume's own cluster.
    clone_group: str | None = None
    # Another account's cluster that this one is a clone of.
    foreign_source: str | None = None
    # Accounts that AWS RAM shares the cluster with, for clones.
    shared_with: set[str] = field(default_factory=set)
    # Engine versions with the time since when they ran: a restore to an earlier time brings the earlier one back.
    versions: list[tuple[datetime, str]] = field(default_factory=list)

    kind = "cluster"
    source_type = "db-cluster"

    @property
    def volume(self) -> str:
        """The name of the cluster's volume in the data plane."""
        return self.resource_id.lower()

    @property
    def writer(self) -> Instance | None:
        """The writer, if there is one."""
        return next((instance for instance in self.instances if instance.writer), None)


@dataclass
class Role:
    """An IAM role that a cluster may use, for a feature of its engine."""

    arn: str
    feature: str
    status: str = "PENDING"

    def describe(self) -> dict[str, str]:
        """Return the botocore DBClusterRole."""
        shown = {"RoleArn": self.arn, "Status": self.status}
        return {**shown, "FeatureName": self.feature} if self.feature else shown


@dataclass(kw_only=True)
class CustomEndpoint(Resource):
    """A custom endpoint; with static members, or with all but the excluded ones."""

    resource_id: str
    cluster: Cluster
    custom_type: str
    static: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    address: str | None = None

    kind = "cluster-endpoint"
    source_type = "db-cluster"


@dataclass(kw_only=True)
class AutomatedBackup(Resource):
    """What is retained of a deleted cluster's automated backups: its volume and its log, until it expires."""

    cluster: Cluster
    latest: datetime

    kind = "cluster-auto-backup"


@dataclass(kw_only=True)
class Snapshot(Resource):
    """A cluster snapshot. ``facts`` are the members taken from the cluster when it was made."""

    snapshot_type: str
    engine: str
    engine_version: str
    encryption: Encryption
    size_gb: int
    volume: str
    facts: Settings
    master_username: str
    iam_authentication: bool = False
    # When the work on it began (None while it is queued) and how many seconds it takes.
    begun: datetime | None = None
    lasts: float = 0
    shared_with: set[str] = field(default_factory=set)

    kind = "cluster-snapshot"
    source_type = "db-cluster-snapshot"


@dataclass(kw_only=True)
class SubnetGroup(Resource):
    """A DB subnet group; ``subnets`` maps subnet ids to availability zones."""

    description: str
    vpc: str
    subnets: dict[str, str]
    network_types: tuple[str, ...] = ("IPV4",)

    kind = "subgrp"

    @property
    def zones(self) -> list[str]:
        """The availability zones covered."""
        return sorted(set(self.subnets.values()))


@dataclass(kw_only=True)
class ParameterGroup(Resource):
    """A cluster parameter group (kind ``cluster-pg``) or an instance's (kind ``pg``)."""

    kind: str = "cluster-pg"  # tells the two apart
    family: str
    description: str
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)


class Region:
    """Everything of one account in one region."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.clusters: dict[str, Cluster] = {}
        self.instances: dict[str, Instance] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.subnet_groups: dict[str, SubnetGroup] = {}
        self.cluster_parameter_groups: dict[str, ParameterGroup] = {}
        self.parameter_groups: dict[str, ParameterGroup] = {}
        self.cluster_endpoints: dict[str, CustomEndpoint] = {}
        self.automated_backups: dict[str, AutomatedBackup] = {}  # by the cluster's resource id

    def resources(self) -> list[Resource]:
        """Return all that has an ARN."""
        return [
            *self.clusters.values(),
            *self.instances.values(),
            *self.snapshots.values(),
            *self.subnet_groups.values(),
            *self.cluster_parameter_groups.values(),
            *self.parameter_groups.values(),
            *self.cluster_endpoints.values(),
            *self.automated_backups.values(),
        ]


class Store:
    """The regions, made when first looked at."""

    def __init__(self) -> None:
        self._regions: dict[tuple[str, str], Region] = {}
        self._count = itertools.count(1)

    def __iter__(self) -> itertools.chain[Region]:
        return itertools.chain(list(self._regions.values()))

    def region(self, account: str, region: str) -> Region:
        """Return the state of one account and region."""
        return self._regions.setdefault((account, region), Region(Place(account=account, region=region)))

    def resource_id(self, prefix: str, arn: str) -> str:
        """Return an immutable id like ``cluster-ABCD…``: new for each resource, the same in each run."""
        digest = hashlib.sha256(f"{arn}#{next(self._count)}".encode()).digest()
        alphabet = string.ascii_uppercase + "234567"
        return f"{prefix}-" + "".join(alphabet[byte % 32] for byte in digest[:26])

    def by_arn(self, arn: str) -> Resource | None:
        """Find a resource by its ARN, in whatever account it is."""
        parts = arn.split(":", 6)
        if len(parts) < 7 or (parts[4], parts[3]) not in self._regions:
            return None
        region = self._regions[parts[4], parts[3]]
        return next((resource for resource in region.resources() if resource.arn == arn), None)
