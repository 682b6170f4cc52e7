"""The operation's record and what it is made of: typed, immutable, and to and from plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal, Self

from aurora_restore.errors import Failure

SCHEMA_VERSION: Final = 1
"""Version of the record's layout; a reader refuses a newer one."""

Plain = dict[str, Any]
Origin = Literal["request", "copied", "defaults"]
"""Where a field of the effective request comes from; ``copied`` is the cluster in copy_settings_from."""
WaitPhase = Literal["cluster", "configure", "writer", "upgrade", "readers", "complete", "compensate"]
"""What is waited for; a snapshot copy's phase is `PlannedCopy.phase`."""


REBOOTS: Final = "reboots"
"""Result of the record: when an instance was rebooted for its parameters, by identifier."""


class Status(StrEnum):
    """What has become of an operation."""

    PLANNED = "PLANNED"
    """The operation of mode "plan" has told its plan."""
    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    ROLLED_BACK = "ROLLED_BACK"

    @property
    def finished(self) -> bool:
        """Nothing more will happen to the operation by itself."""
        return self not in {Status.QUEUED, Status.IN_PROGRESS}


class ResourceState(StrEnum):
    """Where a resource of the operation stands."""

    INTENDED = "INTENDED"
    """About to be created, or the call's answer was lost."""
    CREATED = "CREATED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    KEPT = "KEPT"
    """Left alive after a failure."""
    HANDED_OVER = "HANDED_OVER"
    """The operation succeeded: it is the user's now."""
    RELEASED = "RELEASED"
    """Other operations use it still: the last one to leave removes it."""
    FOREIGN = "FOREIGN"
    """Found under the intended name, but without this operation's tag: never touched."""

    @property
    def ours(self) -> bool:
        """The operation still answers for it."""
        return self not in {
            ResourceState.DELETED,
            ResourceState.HANDED_OVER,
            ResourceState.RELEASED,
            ResourceState.FOREIGN,
        }


def iso(moment: datetime) -> str:
    """A moment as text, in UTC, to the millisecond; sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The inverse of `iso`; also reads what Step Functions writes."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# --- the request ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerlessScaling:
    """The range of a Serverless v2 cluster, in Aurora capacity units."""

    min_capacity: float
    max_capacity: float
    seconds_until_auto_pause: int | None = None


@dataclass(frozen=True)
class InstanceSpec:
    """An instance as asked for; what is None is as for all instances."""

    db_instance_class: str | None = None
    promotion_tier: int | None = None
    availability_zone: str | None = None
    db_parameter_group_name: str | None = None
    ca_certificate_identifier: str | None = None
    auto_minor_version_upgrade: bool | None = None
    preferred_maintenance_window: str | None = None
    monitoring_interval: int | None = None
    monitoring_role_arn: str | None = None


@dataclass(frozen=True)
class AssociatedRole:
    """An IAM role by which the database uses other services."""

    role_arn: str
    feature_name: str | None = None


@dataclass(frozen=True)
class CustomEndpoint:
    """A custom endpoint; members are named by their place among the instances, from 1."""

    db_cluster_endpoint_identifier: str
    endpoint_type: Literal["READER", "ANY"]
    static_members: tuple[int, ...] = ()
    excluded_members: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReaderAutoscaling:
    """How Application Auto Scaling changes the number of readers."""

    min_capacity: int
    max_capacity: int
    predefined_metric_type: str
    target_value: float
    scale_in_cooldown: int | None = None
    scale_out_cooldown: int | None = None


@dataclass(frozen=True)
class SnapshotSelector:
    """Which snapshot of a cluster is meant, by rule: always the newest available one of those that fit."""

    latest: bool = True
    max_age_hours: float | None = None
    type: Literal["automated", "manual", "awsbackup", "shared", "any"] = "any"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    """A database user to create."""

    name: str
    access: Literal["read_write", "read_only"]
    databases: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A query on the restored data, and what it must answer; exactly one of ``equals`` and ``at_least`` is set."""

    name: str
    database: str
    sql: str
    equals: Any = None
    at_least: float | None = None


@dataclass(frozen=True)
class Request:
    """A validated request, the deployment's defaults beneath it. The fields are described in request.schema.json."""

    operation_id: str
    target_cluster_id: str
    target_region: str
    source_region: str
    db_subnet_group_name: str
    vpc_security_group_ids: tuple[str, ...]
    mode: Literal["restore", "plan"] = "restore"
    source_account_id: str | None = None
    """Account of the snapshot; None for the deployment's own."""
    source_cluster_id: str | None = None
    source_cluster_resource_id: str | None = None
    snapshot_date: str | None = None
    snapshot_identifier: str | None = None
    snapshot_selector: SnapshotSelector | None = None
    restore_to_time: str | None = None
    """A moment as `iso` writes it, or "latest"."""
    clone: bool = False
    copy_strategy: Literal["auto", "direct", "two_hop"] = "auto"
    reuse_copies: bool = True
    keep_copies: bool = False
    keep_copies_on_failure: bool = False
    require_local_customer_key: bool = True
    engine_version: str | None = None
    allow_major_version_upgrade: bool = False
    engine_lifecycle_support: str | None = None
    copy_settings_from: str | None = None
    db_instance_class: str | None = None
    """Of instances that have none of their own; where the source is a cluster, the preflight may take its writer's."""
    readers: int = 0
    instances: tuple[InstanceSpec, ...] = ()
    port: int | None = None
    network_type: str | None = None
    availability_zones: tuple[str, ...] = ()
    db_parameter_group_name: str | None = None
    db_cluster_parameter_group_name: str | None = None
    kms_key_id: str | None = None
    storage_type: str | None = None
    deletion_protection: bool = False
    copy_tags_to_snapshot: bool = True
    auto_minor_version_upgrade: bool | None = None
    enable_iam_database_authentication: bool | None = None
    enable_cloudwatch_logs_exports: tuple[str, ...] = ()
    backup_retention_period: int | None = None
    preferred_backup_window: str | None = None
    preferred_maintenance_window: str | None = None
    serverless_v2_scaling: ServerlessScaling | None = None
    backtrack_window: int | None = None
    enable_performance_insights: bool | None = None
    performance_insights_kms_key_id: str | None = None
    performance_insights_retention_period: int | None = None
    database_insights_mode: str | None = None
    monitoring_interval: int | None = None
    monitoring_role_arn: str | None = None
    ca_certificate_identifier: str | None = None
    associated_roles: tuple[AssociatedRole, ...] = ()
    enable_http_endpoint: bool | None = None
    custom_endpoints: tuple[CustomEndpoint, ...] = ()
    reader_autoscaling: ReaderAutoscaling | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cost_tags: Mapping[str, str] = field(default_factory=dict)
    users: tuple[User, ...] = ()
    checks: tuple[Check, ...] = ()
    requested_by: str | None = None

    @property
    def source_kind(self) -> SourceKind:
        """What is restored from."""
        if self.clone:
            return SourceKind.CLONE
        return SourceKind.POINT_IN_TIME if self.restore_to_time else SourceKind.SNAPSHOT

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """From a validated JSON object."""
        values = dict(data)
        for name in ("vpc_security_group_ids", "enable_cloudwatch_logs_exports", "availability_zones"):
            values[name] = tuple(values.get(name, ()))
        values["instances"] = tuple(InstanceSpec(**entry) for entry in values.get("instances", ()))
        values["associated_roles"] = tuple(AssociatedRole(**entry) for entry in values.get("associated_roles", ()))
        values["custom_endpoints"] = tuple(
            CustomEndpoint(
                entry["db_cluster_endpoint_identifier"],
                entry["endpoint_type"],
                tuple(entry.get("static_members", ())),
                tuple(entry.get("excluded_members", ())),
            )
            for entry in values.get("custom_endpoints", ())
        )
        if autoscaling := values.get("reader_autoscaling"):
            values["reader_autoscaling"] = ReaderAutoscaling(**autoscaling)
        if (selector := values.get("snapshot_selector")) is not None:  # {} is the newest of any kind
            values["snapshot_selector"] = SnapshotSelector(**selector)
        if scaling := values.get("serverless_v2_scaling"):
            values["serverless_v2_scaling"] = ServerlessScaling(**scaling)
        values["users"] = tuple(
            User(name=user["name"], access=user["access"], databases=tuple(user["databases"]))
            for user in values.get("users", ())
        )
        values["checks"] = tuple(Check(**check) for check in values.get("checks", ()))
        return cls(**values)

    @property
    def topology(self) -> tuple[InstanceSpec, ...]:
        """The instances, the writer first, each with its class, if that is known."""
        asked = self.instances or (InstanceSpec(),) * (self.readers + 1)
        return tuple(
            replace(spec, db_instance_class=spec.db_instance_class or self.db_instance_class) for spec in asked
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the instances, each once; without those that are not known yet."""
        return tuple(dict.fromkeys(spec.db_instance_class for spec in self.topology if spec.db_instance_class))

    @property
    def all_tags(self) -> Mapping[str, str]:
        """The request's tags and cost tags."""
        return {**self.tags, **self.cost_tags}

    @property
    def completes(self) -> bool:
        """Something is asked for that takes calls of its own when the instances are there."""
        return bool(
            self.associated_roles or self.enable_http_endpoint or self.custom_endpoints or self.reader_autoscaling
        )

    def to_mapping(self) -> Plain:
        """As plain data, without what is not set."""
        return _plain(self)


# --- the plan -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlannedInstance:
    """An instance to create."""

    identifier: str
    role: Literal["writer", "reader"]
    instance_class: str
    promotion_tier: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What it has of its own beside class and tier, in the request's terms."""


class SourceKind(StrEnum):
    """What a cluster is restored from."""

    SNAPSHOT = "snapshot"
    POINT_IN_TIME = "point_in_time"
    CLONE = "clone"


class SnapshotKind(StrEnum):
    """What a snapshot is (aws-facts: snapshot kinds); RDS shows those of AWS Backup as ``awsbackup``."""

    AUTOMATED = "automated"
    MANUAL = "manual"
    AWSBACKUP = "awsbackup"


class KeyKind(StrEnum):
    """How a snapshot is encrypted."""

    NONE = "none"
    AWS_OWNED = "aws-owned"
    """A key that AWS owns (sse-rds), the default since February 2026."""
    AWS_MANAGED = "aws-managed"
    """The account's aws/rds key."""
    CUSTOMER = "customer"


@dataclass(frozen=True)
class SourceCluster:
    """A cluster that is restored to a point in time, or cloned."""

    arn: str
    resource_id: str
    deleted: bool = False
    """It is gone: what is restored are its retained automated backups."""
    restore_to: str | None = None
    """The moment; None is the latest that can be restored, and the present for a clone."""
    earliest: str | None = None
    latest: str | None = None
    """Between these it could be restored when the plan was made."""
    writer_class: str | None = None
    """Instance class of its writer, where that shows."""


@dataclass(frozen=True)
class SourceRole:
    """The role in a source account that the pipeline takes on (modules/source-account)."""

    account: str
    role_arn: str
    external_id: str


@dataclass(frozen=True)
class PlannedCopy:
    """One snapshot copy to make: CopyDBClusterSnapshot, called in ``region`` by ``account``."""

    ordinal: int
    """1, 2, … in the order in which the copies are made."""
    source_arn: str
    arn: str
    """Of the copy."""
    identifier: str
    account: str
    region: str
    reason: str
    kms_key_id: str | None = None
    """Key given to the call; None where the copy stays unencrypted, or keeps its key within one region."""
    by_source_account: bool = False
    """Made by the source account's role, not by the deployment's own."""
    cross_region: bool = False
    cross_account: bool = False
    share: bool = False
    """Shared with the deployment's account when it is available."""
    size_gib: int = 0
    expected_seconds: int = 0

    @property
    def phase(self) -> str:
        """Its name among the phases that are waited for."""
        return f"copy-{self.ordinal}"

    @property
    def queue_phase(self) -> str:
        """The name of the wait for its turn, which has a time of its own."""
        return f"queue-{self.ordinal}"

    @property
    def single_step(self) -> bool:
        """Goes to another account and another region at once, which AWS allows since September 2025."""
        return self.cross_account and self.cross_region


@dataclass(frozen=True)
class CopyRoute:
    """The way of a snapshot to where it can be restored: the share of the snapshot itself, then copies in order."""

    share_snapshot: bool = False
    """The snapshot itself has to be shared with the deployment's account first."""
    copies: tuple[PlannedCopy, ...] = ()

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_mapping`."""
        copies = tuple(PlannedCopy(**copy) for copy in data.get("copies", ()))
        return cls(share_snapshot=bool(data.get("share_snapshot")), copies=copies)

    def to_mapping(self) -> Plain:
        """As plain data; an empty list of copies stays visible."""
        return {"copies": [], **_plain(self)}


@dataclass(frozen=True)
class PlanStep:
    """One step of the plan, for a person to read."""

    name: str
    action: str
    expected_seconds: int = 0
    account: str | None = None
    region: str | None = None
    key: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class CostItem:
    """One part of what the operation is expected to cost, in US dollars at list price; None where it is not known."""

    name: str
    usd: float | None
    basis: str
    """How it was computed, for a person."""


@dataclass(frozen=True)
class Plan:
    """What will be done, decided before anything is.

    Of a source that is no snapshot ``snapshot_arn``, ``snapshot_identifier`` and ``snapshot_created_at`` are empty, and
    the other ``snapshot_…`` members are the source cluster's.
    """

    engine: str
    engine_version: str
    """What the cluster runs in the end."""
    snapshot_arn: str
    snapshot_identifier: str
    snapshot_created_at: str
    snapshot_engine_version: str
    snapshot_size_gib: int
    source_cluster_id: str
    master_username: str
    target_account: str
    target_region: str
    target_cluster_id: str
    storage_type: str
    engine_lifecycle_support: str
    database_phase: bool
    source_kind: SourceKind = SourceKind.SNAPSHOT
    source_cluster: SourceCluster | None = None
    """None for a snapshot."""
    version_at_restore: str | None = None
    """What the restore gives, where an upgrade in place follows when the writer is there; else None."""
    major_upgrade: bool = False
    """``engine_version`` is of another major version than the source."""
    kms_key_id: str | None = None
    """None keeps the snapshot's own key."""
    port: int | None = None
    iam_authentication: bool | None = None
    preferred_backup_window: str | None = None
    """None leaves it to RDS."""
    snapshot_account: str = ""
    snapshot_region: str = ""
    snapshot_kind: SnapshotKind = SnapshotKind.MANUAL
    snapshot_key_kind: KeyKind = KeyKind.NONE
    snapshot_kms_key_id: str | None = None
    route: CopyRoute = field(default_factory=CopyRoute)
    """How the snapshot comes to where it is restored: nothing is copied within one account and region."""
    fallback_route: CopyRoute | None = None
    """The way without the single-step copy across accounts and regions, for when AWS refuses that."""
    source_role: SourceRole | None = None
    """The role of the snapshot's account, where that is another one that the deployment knows."""
    costs: tuple[CostItem, ...] = ()
    instances: tuple[PlannedInstance, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each field of the request comes from."""
    steps: tuple[PlanStep, ...] = ()
    expected_seconds: Mapping[str, int] = field(default_factory=dict)
    learned_phases: tuple[str, ...] = ()
    """Phases whose expected seconds were learned from this deployment's earlier operations."""
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> tuple[PlannedCopy, ...]:
        """The snapshot copies to make first, in order."""
        return self.route.copies

    @property
    def snapshot_to_restore(self) -> str:
        """ARN of the snapshot that the cluster is restored from: the last copy, or the source itself."""
        return self.copies[-1].arn if self.copies else self.snapshot_arn

    @property
    def restored_version(self) -> str:
        """What the cluster runs before an upgrade in place."""
        return self.version_at_restore or self.engine_version

    @property
    def upgrades_in_place(self) -> bool:
        """The engine is upgraded by ModifyDBCluster when the writer is there."""
        return self.version_at_restore is not None

    def copy(self, ordinal: int) -> PlannedCopy:
        """The n-th copy, counted from 1."""
        return self.copies[ordinal - 1]

    @property
    def writer(self) -> PlannedInstance:
        """The instance that is created first."""
        return next(instance for instance in self.instances if instance.role == "writer")

    @property
    def readers(self) -> tuple[PlannedInstance, ...]:
        """The instances that are created when the writer is there."""
        return tuple(instance for instance in self.instances if instance.role == "reader")

    def of_role(self, role: str) -> tuple[PlannedInstance, ...]:
        """The instances of a CreateInstances step, whose role is "writer" or "readers"."""
        return (self.writer,) if role == "writer" else self.readers

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_mapping`."""
        values = dict(data)
        values["route"] = CopyRoute.from_mapping(values.get("route", {}))
        if fallback := values.get("fallback_route"):
            values["fallback_route"] = CopyRoute.from_mapping(fallback)
        values["source_kind"] = SourceKind(values.get("source_kind", SourceKind.SNAPSHOT))
        if cluster := values.get("source_cluster"):
            values["source_cluster"] = SourceCluster(**cluster)
        if role := values.get("source_role"):
            values["source_role"] = SourceRole(**role)
        values["snapshot_kind"] = SnapshotKind(values.get("snapshot_kind", SnapshotKind.MANUAL))
        values["snapshot_key_kind"] = KeyKind(values.get("snapshot_key_kind", KeyKind.NONE))
        values["costs"] = tuple(CostItem(**{"usd": None, **item}) for item in values.get("costs", ()))
        values["instances"] = tuple(PlannedInstance(**instance) for instance in values.get("instances", ()))
        values["steps"] = tuple(PlanStep(**step) for step in values.get("steps", ()))
        values["learned_phases"] = tuple(values.get("learned_phases", ()))
        values["warnings"] = tuple(values.get("warnings", ()))
        return cls(**values)

    def to_mapping(self) -> Plain:
        """As plain data."""
        return _plain(self)


# --- the record -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resource:
    """Something that the operation makes; recorded as an intent before the call that creates it."""

    kind: str
    """``db-cluster``, ``db-instance``, ``db-cluster-snapshot``, ``snapshot-share``, ``secret``, …"""
    identifier: str
    region: str
    account: str
    tag: str
    """Value of the operation's tag; without it nothing is ever modified or deleted.

    A snapshot copy may bear another operation's of the same deployment: its owners are in an item of its own.
    """
    state: ResourceState = ResourceState.INTENDED
    role: str | None = None
    arn: str | None = None
    resource_id: str | None = None
    intended_at: str | None = None
    created_at: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the operation's other resources."""
        return (self.kind, self.identifier)

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_mapping`."""
        return cls(**{**data, "state": ResourceState(data["state"])})

    def to_mapping(self) -> Plain:
        """As plain data."""
        return _plain(self)


@dataclass(frozen=True)
class ClusterFacts:
    """The restored cluster as RDS last described it."""

    identifier: str
    arn: str
    resource_id: str
    engine_version: str
    port: int
    endpoint: str | None = None
    reader_endpoint: str | None = None
    master_username: str | None = None
    master_secret_arn: str | None = None

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_mapping`."""
        return cls(**data)

    def to_mapping(self) -> Plain:
        """As plain data."""
        return _plain(self)


@dataclass(frozen=True)
class PhaseTiming:
    """When a phase that is waited for began and was ready, and what was last seen of it."""

    started_at: str
    ready_at: str | None = None
    status: str | None = None
    good_reads: int = 0
    seen: bool = False
    """RDS has shown the resource at least once: if it is not found any more, it is gone."""

    def elapsed(self, now: datetime) -> float:
        """Seconds since the phase began."""
        return max(0.0, (now - parse_time(self.started_at)).total_seconds())

    def to_mapping(self) -> Plain:
        """As plain data."""
        return _plain(self)


@dataclass(frozen=True)
class Record:
    """The truth about one operation; one item of the state table. Only `StateStore` writes it."""

    operation_id: str
    execution_arn: str
    started_at: str
    status: Status = Status.IN_PROGRESS
    phase: str = "SnapshotCheck"
    schema_version: int = SCHEMA_VERSION
    version: int = 0
    """Raised by each save, which demands the version it has read."""
    deployment: str = ""
    environment: str = ""
    requested_by: str | None = None
    """As claimed: the execution does not know who started it; CloudTrail does."""
    request: Request | None = None
    plan: Plan | None = None
    resources: tuple[Resource, ...] = ()
    cluster: ClusterFacts | None = None
    timings: Mapping[str, PhaseTiming] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    """What steps have to tell, by step: users and their secrets' ARNs, checks, compensation. Never a secret value."""
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    """Why the operation failed."""
    last_error: Failure | None = None
    """The last error that a step raised, with its details; the workflow's Catch carries only its text."""
    audit_sequence: int = 0
    audit_hash: str = ""
    updated_at: str | None = None
    finished_at: str | None = None
    notified_at: str | None = None
    expires_at: int | None = None

    # --- what steps ask ---

    @property
    def wanted(self) -> Request:
        """The request, which SnapshotCheck has recorded."""
        if self.request is None:
            raise ValueError(f"operation {self.operation_id} has no valid request")
        return self.request

    @property
    def planned(self) -> Plan:
        """The plan, which SnapshotCheck has recorded."""
        if self.plan is None:
            raise ValueError(f"operation {self.operation_id} has no plan")
        return self.plan

    def resource(self, kind: str, identifier: str) -> Resource | None:
        """The resource of that kind and name, if the operation has recorded one."""
        return next((item for item in self.resources if item.key == (kind, identifier)), None)

    def ready(self, phase: str) -> bool:
        """The phase has been seen ready."""
        timing = self.timings.get(phase)
        return timing is not None and timing.ready_at is not None

    # --- what steps change; each returns a new record ---

    def with_resource(self, resource: Resource) -> Self:
        """With the resource added, or put in the place of the one with the same kind and identifier."""
        if self.resource(*resource.key) is None:
            return replace(self, resources=(*self.resources, resource))
        return replace(self, resources=tuple(resource if old.key == resource.key else old for old in self.resources))

    def with_result(self, name: str, result: Any) -> Self:
        """With a step's result, which must be plain data without any secret value."""
        return replace(self, results={**self.results, name: result})

    def with_timing(self, phase: str, timing: PhaseTiming) -> Self:
        """With the timing of a phase."""
        return replace(self, timings={**self.timings, phase: timing})

    def with_warnings(self, *warnings: str) -> Self:
        """With the warnings, each once."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    # --- to and from plain data ---

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_mapping`."""
        values = dict(data)
        values["status"] = Status(values["status"])
        values["resources"] = tuple(Resource.from_mapping(item) for item in values.get("resources", ()))
        values["timings"] = {name: PhaseTiming(**item) for name, item in values.get("timings", {}).items()}
        values["warnings"] = tuple(values.get("warnings", ()))
        readers = (
            ("request", Request.from_mapping),
            ("plan", Plan.from_mapping),
            ("cluster", ClusterFacts.from_mapping),
            ("error", Failure.from_mapping),
            ("last_error", Failure.from_mapping),
        )
        for name, read in readers:
            if values.get(name) is not None:
                values[name] = read(values[name])
        return cls(**values)

    def to_mapping(self) -> Plain:
        """As plain data, one entry per attribute of the item, without what is not set."""
        return _plain(self)


# --- plain data -----------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Plain:
    """Plain data of a dataclass; what is not set is left out, and a part with its own `to_mapping` decides itself."""
    fields: Mapping[str, Any] = value.__dict__
    return {name: _element(item) for name, item in fields.items() if item is not None and item != ()}


def _element(value: Any) -> Any:
    if hasattr(value, "to_mapping"):
        return value.to_mapping()
    if isinstance(value, Mapping):
        return {str(key): _element(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return _plain(value)
    if isinstance(value, tuple | list):
        return [_element(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return value


def to_dynamo(value: Any) -> Any:
    """Plain data as DynamoDB takes it: numbers as Decimal."""
    return json.loads(json.dumps(value), parse_float=Decimal)


def from_dynamo(value: Any) -> Any:
    """The inverse of `to_dynamo`: whole numbers as int, others as float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {key: from_dynamo(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_dynamo(item) for item in value]
    return value
