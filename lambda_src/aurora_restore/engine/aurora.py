"""Aurora: its versions, its copy rules, the parameters of its calls, and the calls that change something.

The calls are idempotent by description: RDS has no client tokens, so each looks first, creates only what is absent,
and adopts what "already exists" only if it bears this operation's tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import names, readiness
from aurora_restore.errors import (
    ConfigurationInvalid,
    ResourceBusy,
    ResourceVanished,
    TargetExists,
    wire_code,
)
from aurora_restore.model import Plan, PlannedInstance, Record, Request, SourceKind, WaitPhase, parse_time
from aurora_restore.readiness import Described, Readiness

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

ENGINES: Final = ("aurora-mysql", "aurora-postgresql")
NO_EXTENDED_SUPPORT: Final = "open-source-rds-extended-support-disabled"
EXTENDED_SUPPORT: Final = "open-source-rds-extended-support"

Parameters = dict[str, Any]


# --- versions -------------------------------------------------------------------------------------------------------


def version_key(version: str) -> tuple[int, ...]:
    """For comparison: ``8.0.mysql_aurora.3.08.2`` counts as 3.8.2, ``16.6`` as it is."""
    return tuple(int(number) for number in re.findall(r"\d+", version.rpartition("aurora.")[2]))


def major(version: str) -> int:
    """The major version, between which Aurora does not move by a minor upgrade."""
    return version_key(version)[0]


def family_version(version: str) -> str:
    """The engine's own major version, as RDS names it: ``8.0`` for MySQL, ``16`` for PostgreSQL."""
    return ".".join(version.split(".")[:2]) if "mysql" in version else version.split(".")[0]


# --- parameters of the calls ------------------------------------------------------------------------------------------


def restore_operation(plan: Plan) -> str:
    """The call that begins the restore."""
    return f"RestoreDBCluster{'FromSnapshot' if plan.source_cluster is None else 'ToPointInTime'}"


def restore_parameters(request: Request, plan: Plan, tags: Mapping[str, str]) -> Parameters:
    """For `restore_operation`: everything it takes, since what is left out falls back to RDS's defaults."""
    scaling = request.serverless_v2_scaling
    return _given(
        DBClusterIdentifier=plan.target_cluster_id,
        **_source_parameters(plan),
        # Left out, it silently enrols in paid Extended Support.
        EngineLifecycleSupport=plan.engine_lifecycle_support,
        # Left out, an I/O-Optimized source comes back as Standard.
        StorageType=plan.storage_type,
        KmsKeyId=plan.kms_key_id,
        # Left out, a point in time and a clone have the engine's default port, not the source's.
        Port=request.port if plan.source_cluster is None else plan.port,
        DBSubnetGroupName=request.db_subnet_group_name,
        VpcSecurityGroupIds=list(request.vpc_security_group_ids),
        # Given here, it needs no reboot later. One for another major version comes with the upgrade to that.
        DBClusterParameterGroupName=None if _upgrades_family(plan) else request.db_cluster_parameter_group_name,
        ServerlessV2ScalingConfiguration=scaling
        and {"MinCapacity": scaling.min_capacity, "MaxCapacity": scaling.max_capacity},
        EnableIAMDatabaseAuthentication=plan.iam_authentication,
        EnableCloudwatchLogsExports=list(request.enable_cloudwatch_logs_exports) or None,
        CopyTagsToSnapshot=request.copy_tags_to_snapshot,
        # Goes on last: until then a failure must be able to clean up.
        DeletionProtection=False,
        Tags=names.tag_list(tags),
    )


def _source_parameters(plan: Plan) -> Parameters:
    source = plan.source_cluster
    if source is None:
        return {
            "SnapshotIdentifier": plan.snapshot_to_restore,
            "Engine": plan.engine,
            # Left out, it is the engine's default version in the region, not the snapshot's.
            "EngineVersion": plan.restored_version,
        }
    name, value = ("DbClusterResourceId", source.resource_id) if source.deleted else ("DBClusterIdentifier", source.arn)
    which: Parameters = {f"Source{name}": value}
    if source.restore_to is None:
        which["UseLatestRestorableTime"] = True
    else:
        which["RestoreToTime"] = parse_time(source.restore_to)
    return {**which, "RestoreType": "copy-on-write" if plan.source_kind is SourceKind.CLONE else "full-copy"}


def _upgrades_family(plan: Plan) -> bool:
    """Until the upgrade in place the parameter groups of the request do not fit."""
    return plan.upgrades_in_place and plan.major_upgrade


def upgrade_parameters(request: Request, plan: Plan) -> Parameters:
    """For the ModifyDBCluster that upgrades the engine in place."""
    if not plan.major_upgrade:
        return {"EngineVersion": plan.engine_version}
    # Default groups follow by themselves; where the request names its own, they come with the upgrade.
    return _given(
        EngineVersion=plan.engine_version,
        AllowMajorVersionUpgrade=True,
        DBClusterParameterGroupName=request.db_cluster_parameter_group_name,
        DBInstanceParameterGroupName=request.db_parameter_group_name,
    )


def configure_parameters(request: Request, cluster: Described, *, secret_key: str) -> Parameters:
    """For ModifyDBCluster: what a restore cannot set and differs from what is described; empty if nothing does."""
    wanted: Parameters = _given(
        BackupRetentionPeriod=request.backup_retention_period,
        PreferredBackupWindow=request.preferred_backup_window,
        PreferredMaintenanceWindow=request.preferred_maintenance_window,
    )
    changes = {name: value for name, value in wanted.items() if cluster.get(name) != value}
    if not cluster.get("MasterUserSecret"):
        # The restored password is whatever it was at the source; a managed secret is never restored. Where one is
        # there already (an earlier try), its key cannot be given again (BC:ModifyDBCluster MasterUserSecretKmsKeyId).
        changes |= {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": secret_key}
    return changes


def instance_parameters(request: Request, plan: Plan, instance: PlannedInstance, tags: Mapping[str, str]) -> Parameters:
    """For CreateDBInstance: only what an instance has of its own; network, port and encryption are the cluster's."""
    before_upgrade = _upgrades_family(plan) and instance.role == "writer"
    return _given(
        DBInstanceIdentifier=instance.identifier,
        DBClusterIdentifier=plan.target_cluster_id,
        Engine=plan.engine,
        DBInstanceClass=instance.instance_class,
        DBParameterGroupName=None if before_upgrade else request.db_parameter_group_name,
        PromotionTier=instance.promotion_tier,
        AutoMinorVersionUpgrade=request.auto_minor_version_upgrade,
        # Left out, it depends on whether the VPC has an internet gateway.
        PubliclyAccessible=False,
        Tags=names.tag_list(tags),
    )


def _given(**parameters: Any) -> Parameters:
    return {name: value for name, value in parameters.items() if value is not None}


# --- the calls --------------------------------------------------------------------------------------------------------


def refuse_another(record: Record, cluster: Described) -> None:
    """Refuse a cluster that has the name of the operation's, but is another one: the resource id tells."""
    name = record.planned.target_cluster_id
    known = record.resource("db-cluster", name)
    if known and known.resource_id and cluster.get("DbClusterResourceId") != known.resource_id:
        raise ResourceVanished(f"{name} is another cluster now than the one that was restored")


def glance(record: Record, phase: WaitPhase, listed: Mapping[str, str]) -> Readiness | None:
    """PENDING when all that a phase waits for is listed as being on its way; else None: it must be looked at.

    By resource id: another cluster that has taken the name over is not the one that is waited for.
    """
    plan, kind, waited = record.planned, "db-cluster", [record.planned.target_cluster_id]
    if phase in {"writer", "readers"}:
        kind, waited = "db-instance", [instance.identifier for instance in plan.of_role(phase)]
    resources = {name: record.resource(kind, name) for name in waited}
    return readiness.under_way(
        {name: listed.get(resource.resource_id or "") if resource else None for name, resource in resources.items()}
    )


class Aurora:
    """Aurora through one RDS client."""

    def __init__(self, rds: RDSClient) -> None:
        self._rds = rds

    # looks

    def cluster(self, identifier: str) -> Described | None:
        """The cluster as RDS describes it, or None."""
        return _absent_is_none(
            lambda: self._rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0],
            "DBClusterNotFound",
        )

    def own_cluster(self, record: Record) -> Described:
        """The operation's cluster; refused when it is gone, or another one has its name."""
        name = record.planned.target_cluster_id
        cluster = self.cluster(name)
        if cluster is None:
            raise ResourceVanished(f"The cluster {name} is gone")
        refuse_another(record, cluster)
        return cluster

    def instance(self, identifier: str) -> Described | None:
        """The instance as RDS describes it, or None."""
        return _absent_is_none(
            lambda: self._rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0],
            "DBInstanceNotFound",
        )

    def instances(self, cluster_identifier: str) -> dict[str, Described]:
        """The cluster's instances by identifier, in one call."""
        pages = self._rds.get_paginator("describe_db_instances").paginate(
            Filters=[{"Name": "db-cluster-id", "Values": [cluster_identifier]}]
        )
        return {instance["DBInstanceIdentifier"]: instance for page in pages for instance in page["DBInstances"]}

    def observe(self, phase: WaitPhase, plan: Plan, *, seen: bool) -> tuple[Readiness, Described | None]:
        """The state of what a phase waits for, with the cluster as described."""
        cluster = self.cluster(plan.target_cluster_id)
        if phase == "cluster":
            return readiness.cluster_restored(cluster, seen=seen), cluster
        if phase == "configure":
            return readiness.cluster_configured(cluster, seen=True), cluster
        whole = readiness.cluster_restored(cluster, seen=True)
        if whole.state is readiness.State.FAILED:
            return whole, cluster
        if phase == "readers" and not plan.readers:
            return readiness.all_ready([]), cluster
        found = self.instances(plan.target_cluster_id)
        if phase in {"writer", "upgrade"}:
            return readiness.writer_ready(found.get(plan.writer.identifier), cluster, seen=seen), cluster
        judged = [readiness.instance_ready(found.get(reader.identifier), cluster, seen=seen) for reader in plan.readers]
        return readiness.all_ready(judged), cluster

    # changes

    def ensure_cluster(self, parameters: Parameters, record: Record) -> Described:
        """The restored cluster, begun now or by an earlier try of this operation."""
        identifier = parameters["DBClusterIdentifier"]
        operation = restore_operation(record.planned)
        accepted, _ = self.by_model(operation, parameters)
        restore: Callable[..., Any] = (
            self._rds.restore_db_cluster_from_snapshot
            if record.planned.source_cluster is None
            else self._rds.restore_db_cluster_to_point_in_time
        )
        return _ensure(
            f"cluster {identifier}",
            record,
            look=lambda: self.cluster(identifier),
            create=lambda: restore(**accepted)["DBCluster"],
            exists="DBClusterAlreadyExists",
        )

    def ensure_instance(self, parameters: Parameters, record: Record) -> Described:
        """The instance, created now or by an earlier try of this operation."""
        identifier = parameters["DBInstanceIdentifier"]
        return _ensure(
            f"instance {identifier}",
            record,
            look=lambda: self.instance(identifier),
            create=lambda: self._rds.create_db_instance(**parameters)["DBInstance"],
            exists="DBInstanceAlreadyExists",
        )

    def modify(self, identifier: str, changes: Parameters) -> Described:
        """Change the cluster at once; left to the maintenance window, a new password would silently be queued."""
        return self._rds.modify_db_cluster(DBClusterIdentifier=identifier, ApplyImmediately=True, **changes)[
            "DBCluster"
        ]

    def by_model(self, operation: str, parameters: Parameters) -> tuple[Parameters, Parameters]:
        """Split parameters into those that the runtime's SDK knows for the call, and those that it does not.

        boto3 is the Lambda runtime's own, and may be older than a parameter.
        """
        shape = self._rds.meta.service_model.operation_model(operation).input_shape
        known = shape.members if shape is not None else {}
        accepted = {name: value for name, value in parameters.items() if name in known}
        return accepted, {name: value for name, value in parameters.items() if name not in known}

    def left_for_modify(self, operation: str, restore: Parameters) -> Parameters:
        """Restore parameters that this SDK can only set by ModifyDBCluster; refused if it cannot do that either."""
        _, unknown = self.by_model(operation, restore)
        accepted, lost = self.by_model("ModifyDBCluster", unknown)
        if lost:
            raise ConfigurationInvalid(
                f"The function's SDK is too old for {', '.join(sorted(lost))}",
                remedy="Choose a newer Lambda runtime, or a package that brings its own boto3.",
            )
        return accepted

    def delete_instance(self, identifier: str) -> None:
        """Delete an instance; an Aurora instance holds no data of its own, and takes no final snapshot."""
        self._rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)

    def delete_cluster(self, identifier: str) -> None:
        """Delete a cluster without a final snapshot: what was restored is still in the snapshot it came from."""
        self._rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)


def _absent_is_none(look: Callable[[], Any], code: str) -> Described | None:
    try:
        found: Described = look()
    except ClientError as error:
        if wire_code(error) == code:
            return None
        raise
    return found


def _ensure(
    what: str,
    record: Record,
    *,
    look: Callable[[], Described | None],
    create: Callable[[], Any],
    exists: str,
) -> Described:
    found = look()
    if found is None:
        try:
            made: Described = create()
        except ClientError as error:
            if wire_code(error) != exists:
                raise
            found = look()
            if found is None:
                # RDS knows the name but does not show it yet; the retry will see whose it is.
                raise ResourceBusy(f"RDS says that {what} exists, but does not describe it yet") from error
        else:
            return made
    if not names.bears_tags(found.get("TagList"), deployment=record.deployment, operation_id=record.operation_id):
        raise TargetExists(f"The {what} exists, and was not made by this operation", field="target_cluster_id")
    return found
