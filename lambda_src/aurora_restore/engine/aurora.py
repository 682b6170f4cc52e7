"""Aurora: its versions, its copy rules, the parameters of its calls, and the calls that change something.

The calls are idempotent by description: RDS has no client tokens, so each looks first, creates only what is absent,
and adopts what "already exists" only if it bears this operation's tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import names, readiness
from aurora_restore.engine import settings_table
from aurora_restore.engine.settings_table import Call
from aurora_restore.errors import (
    ConfigurationInvalid,
    ResourceBusy,
    ResourceVanished,
    TargetExists,
    wire_code,
)
from aurora_restore.model import (
    AssociatedRole,
    CustomEndpoint,
    Plan,
    PlannedInstance,
    Record,
    Request,
    SourceKind,
    WaitPhase,
    parse_time,
)
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


def wanted_settings(request: Request, plan: Plan, tags: Mapping[str, str]) -> Parameters:
    """The settings of the cluster in the request's terms (see `settings_table`): what was asked for, and what the plan
    has resolved where nothing was."""
    resolved = {
        "kms_key_id": plan.kms_key_id,
        # Left out, an I/O-Optimized source comes back as Standard.
        "storage_type": plan.storage_type,
        # Left out, it silently enrols in paid Extended Support.
        "engine_lifecycle_support": plan.engine_lifecycle_support,
        # Left out, a point in time and a clone have the engine's default port, not the source's.
        "port": plan.port,
        "enable_iam_database_authentication": plan.iam_authentication,
        # Left out, it is drawn by lot.
        "preferred_backup_window": plan.preferred_backup_window,
        "tags": dict(tags),
    }
    asked = {field: value for field, value in request.to_mapping().items() if field in settings_table.BY_FIELD}
    return {**asked, **_given(**resolved)}


def wanted_of_instance(request: Request, plan: Plan, instance: PlannedInstance, tags: Mapping[str, str]) -> Parameters:
    """The settings of an instance: the cluster's, and its own above them."""
    wanted = {
        **wanted_settings(request, plan, tags),
        **instance.settings,
        "db_instance_class": instance.instance_class,
        "promotion_tier": instance.promotion_tier,
    }
    if not wanted.get("monitoring_interval"):
        wanted.pop("monitoring_role_arn", None)  # RDS refuses a role without an interval
    return wanted


def restore_operation(plan: Plan) -> str:
    """The call that begins the restore."""
    return f"RestoreDBCluster{'FromSnapshot' if plan.source_cluster is None else 'ToPointInTime'}"


def restore_parameters(request: Request, plan: Plan, tags: Mapping[str, str]) -> Parameters:
    """For `restore_operation`: everything it takes, since what is left out falls back to RDS's defaults."""
    wanted = wanted_settings(request, plan, tags)
    if _upgrades_family(plan):  # given here, a group needs no reboot later; this one comes with the upgrade
        wanted.pop("db_cluster_parameter_group_name", None)
    return {
        "DBClusterIdentifier": plan.target_cluster_id,
        **_source_parameters(plan),
        # Goes on last: until then a failure must be able to clean up.
        "DeletionProtection": False,
        **settings_table.parameters(Call.RESTORE, wanted),
    }


def _source_parameters(plan: Plan) -> Parameters:
    source = plan.source_cluster
    if source is None:
        return {
            "SnapshotIdentifier": plan.snapshot_to_restore,
            "Engine": plan.engine,
            # Left out, it is the engine's default version in the region, not the snapshot's.
            "EngineVersion": plan.restored_version,
        }
    which: Parameters
    if source.deleted:
        which = {"SourceDbClusterResourceId": source.resource_id}
    else:  # by its name; the ARN is for another account's cluster (BC:RestoreDBClusterToPointInTime)
        account, _, name = source.arn.split(":", 6)[4:]
        which = {"SourceDBClusterIdentifier": name if account == plan.target_account else source.arn}
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
    # Default groups follow by themselves; where the request names its own, they come with the upgrade. There is only
    # the writer then.
    return _given(
        EngineVersion=plan.engine_version,
        AllowMajorVersionUpgrade=True,
        DBClusterParameterGroupName=request.db_cluster_parameter_group_name,
        DBInstanceParameterGroupName=wanted_of_instance(request, plan, plan.writer, {}).get("db_parameter_group_name"),
    )


def configure_parameters(wanted: Mapping[str, Any], cluster: Described, *, secret_key: str) -> Parameters:
    """For ModifyDBCluster: what a restore cannot set and differs from what is described; empty if nothing does."""
    changes = settings_table.changes(wanted, cluster)
    if not cluster.get("MasterUserSecret"):
        # The restored password is whatever it was at the source; a managed secret is never restored. Where one is
        # there already (an earlier try), its key cannot be given again (BC:ModifyDBCluster MasterUserSecretKmsKeyId).
        changes |= {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": secret_key}
    return changes


def instance_parameters(request: Request, plan: Plan, instance: PlannedInstance, tags: Mapping[str, str]) -> Parameters:
    """For CreateDBInstance: only what an instance has of its own; network, port and encryption are the cluster's."""
    wanted = wanted_of_instance(request, plan, instance, tags)
    if _upgrades_family(plan) and instance.role == "writer":
        wanted.pop("db_parameter_group_name", None)
    return {
        "DBInstanceIdentifier": instance.identifier,
        "DBClusterIdentifier": plan.target_cluster_id,
        "Engine": plan.engine,
        # Left out, it depends on whether the VPC has an internet gateway.
        "PubliclyAccessible": False,
        **settings_table.parameters(Call.CREATE, wanted),
    }


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


def refuse_old_sdk(aurora: Aurora, request: Request, plan: Plan, tags: Mapping[str, str]) -> None:
    """Refuse, before anything is made, a setting that the functions' SDK cannot give in any call."""
    aurora.left_for_modify(restore_operation(plan), restore_parameters(request, plan, tags))
    aurora.known("ModifyDBCluster", settings_table.parameters(Call.MODIFY, wanted_settings(request, plan, tags)))
    for instance in plan.instances:
        aurora.known("CreateDBInstance", instance_parameters(request, plan, instance, tags))


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

    def custom_endpoints(self, cluster_identifier: str) -> list[Described]:
        """The cluster's custom endpoints; its own two are left out."""
        pages = self._rds.get_paginator("describe_db_cluster_endpoints").paginate(
            DBClusterIdentifier=cluster_identifier
        )
        found: list[Described] = [endpoint for page in pages for endpoint in page["DBClusterEndpoints"]]
        return [endpoint for endpoint in found if endpoint.get("EndpointType") == "CUSTOM"]

    def observe(
        self, phase: WaitPhase, plan: Plan, *, seen: bool, data_api: bool = False
    ) -> tuple[Readiness, Described | None]:
        """The state of what a phase waits for, with the cluster as described; ``data_api`` is to be on in the end."""
        cluster = self.cluster(plan.target_cluster_id)
        if phase == "cluster":
            return readiness.cluster_restored(cluster, seen=seen), cluster
        if phase == "configure":
            return readiness.cluster_configured(cluster, seen=True), cluster
        if phase == "complete":
            endpoints = self.custom_endpoints(plan.target_cluster_id) if cluster else ()
            return readiness.cluster_completed(cluster, endpoints, data_api=data_api), cluster
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

    def ensure_role(self, cluster: Described, role: AssociatedRole) -> str:
        """Associate a role with the cluster, unless it is."""
        if _has_role(cluster, role):
            return role.role_arn
        identifier = cluster["DBClusterIdentifier"]
        feature = {"FeatureName": role.feature_name} if role.feature_name else {}
        try:
            self._rds.add_role_to_db_cluster(DBClusterIdentifier=identifier, RoleArn=role.role_arn, **feature)
        except ClientError as error:
            # An earlier try's; but some engines also say so of a role that they have for another feature.
            if wire_code(error) != "DBClusterRoleAlreadyExists" or not _has_role(self.cluster(identifier) or {}, role):
                raise
        return role.role_arn

    def ensure_http_endpoint(self, cluster: Described) -> bool:
        """Switch the Data API on, unless it is; for provisioned and Serverless v2 clusters no Modify does that."""
        if not cluster.get("HttpEndpointEnabled"):
            self._rds.enable_http_endpoint(ResourceArn=cluster["DBClusterArn"])
        return True

    def ensure_custom_endpoint(
        self, cluster: Described, endpoint: CustomEndpoint, members: Sequence[str], tags: Mapping[str, str]
    ) -> str:
        """Create the endpoint, unless the cluster has it. ``members`` are the instances in the order of the plan."""
        name, identifier = endpoint.db_cluster_endpoint_identifier.lower(), cluster["DBClusterIdentifier"]

        def there() -> bool:
            return any(one.get("DBClusterEndpointIdentifier") == name for one in self.custom_endpoints(identifier))

        if not there():
            listed = {
                member: [members[place - 1] for place in places]
                for member, places in (
                    ("StaticMembers", endpoint.static_members),
                    ("ExcludedMembers", endpoint.excluded_members),
                )
                if places
            }
            try:
                self._rds.create_db_cluster_endpoint(
                    DBClusterIdentifier=identifier,
                    DBClusterEndpointIdentifier=name,
                    EndpointType=endpoint.endpoint_type,
                    Tags=names.tag_list(tags),
                    **listed,
                )
            except ClientError as error:
                if wire_code(error) != "DBClusterEndpointAlreadyExists":
                    raise
                if not there():
                    raise TargetExists(
                        f"A custom endpoint {name} exists, of another cluster than {identifier}",
                        field="custom_endpoints",
                        remedy="Choose another db_cluster_endpoint_identifier: it is unique in account and region.",
                    ) from error
        return name

    def reboot(self, identifier: str) -> None:
        """Reboot an instance, for parameters that wait for it."""
        self._rds.reboot_db_instance(DBInstanceIdentifier=identifier)

    def shown_members(self, operation: str, part: str) -> frozenset[str]:
        """The members of what a describe shows that this SDK knows; it drops the others."""
        shape: Any = self._rds.meta.service_model.operation_model(operation).output_shape
        return frozenset(shape.members[part].member.members)

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
        return self.known("ModifyDBCluster", unknown)

    def known(self, operation: str, parameters: Parameters) -> Parameters:
        """The parameters of a call, refused clearly if this SDK does not know one of them."""
        accepted, unknown = self.by_model(operation, parameters)
        if unknown:
            raise ConfigurationInvalid(
                f"The function's SDK is too old for {', '.join(sorted(unknown))} of {operation}",
                remedy="Choose a newer Lambda runtime, or a package that brings its own boto3.",
            )
        return accepted

    def delete_instance(self, identifier: str) -> None:
        """Delete an instance; an Aurora instance holds no data of its own, and takes no final snapshot."""
        self._rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)

    def delete_cluster(self, identifier: str) -> None:
        """Delete a cluster without a final snapshot: what was restored is still in the snapshot it came from."""
        self._rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)


def _has_role(cluster: Described, role: AssociatedRole) -> bool:
    there = {(one.get("RoleArn"), one.get("FeatureName") or "") for one in cluster.get("AssociatedRoles") or ()}
    return (role.role_arn, role.feature_name or "") in there


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
