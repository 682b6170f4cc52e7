"""Amazon RDS: "Actions, resources, and condition keys for Amazon RDS".

A resource that the reference marks as required is asked about even when the request does not name it: the default
parameter group, option group and subnet group then. The KMS and Secrets Manager permissions that RDS uses in the
caller's name depend on the cluster: the RDS emulation asks for them itself (Authorizer.check_action).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.authz.needs import Need, anywhere, arn, request_tags, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Context, Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call


def _arn(call: Call, kind: str, identifier: str) -> str:
    """Name an RDS resource; an identifier may be a full ARN already (a shared snapshot, another region's)."""
    return identifier if identifier.startswith("arn:") else arn(call, "rds", f"{kind}:{identifier.lower()}")


def _snapshot(call: Call, identifier: str) -> str:
    return _arn(call, "cluster-snapshot", identifier)


def _major(engine_version: str) -> str:
    """Return the major version as parameter groups name it: 8.0 of 8.0.mysql_aurora.3.08.0, 16 of 16.4."""
    parts = engine_version.split(".")
    return ".".join(parts[:2]) if "mysql" in engine_version else parts[0]


def _cluster_groups(call: Call) -> tuple[str, ...]:
    """The groups that a new cluster belongs to, named or by default."""
    params = call.params
    engine, major = params["Engine"], _major(params.get("EngineVersion", ""))
    return (
        _arn(call, "cluster-pg", params.get("DBClusterParameterGroupName") or f"default.{engine}{major}"),
        _arn(call, "og", params.get("OptionGroupName") or f"default:{engine}-{major.replace('.', '-')}"),
        _arn(call, "subgrp", params.get("DBSubnetGroupName") or "default"),
    )


def _tagging(call: Call, *resources: str) -> list[Need]:
    """Tags on a create are a second permission: AddTagsToResource on what is created."""
    if not call.params.get("Tags"):
        return []
    context = {**_tags(call), "rds:TagsFromRequest": "true"}
    return [Need("rds:AddTagsToResource", resources, context, source="dependent action of the create calls")]


def _tags(call: Call) -> Context:
    return request_tags(call.params.get("Tags"), also_as="rds:req-tag")


def _passed_roles(call: Call, *parameters: str) -> list[Need]:
    """A role that RDS shall use needs iam:PassRole ("Granting a user permissions to pass a role to an AWS service")."""
    services = {"MonitoringRoleArn": "monitoring.rds.amazonaws.com"}
    return [
        Need("iam:PassRole", (_role_arn(call, name),), {"iam:PassedToService": services.get(name, "rds.amazonaws.com")})
        for name in parameters
        if call.params.get(name)
    ]


def _role_arn(call: Call, parameter: str) -> str:
    value: str = call.params[parameter]
    return value if value.startswith("arn:") else f"arn:{call.principal.partition}:iam::{call.account}:role/{value}"


def _restore_cluster(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    cluster = _arn(call, "cluster", params["DBClusterIdentifier"])
    # An ARN may be an instance snapshot's, a plain name is a cluster snapshot's (BC:RestoreDBClusterFromSnapshot).
    snapshot = _snapshot(call, params["SnapshotIdentifier"])
    context = {**_tags(call), "rds:DatabaseClass": text(params.get("DBClusterInstanceClass"))}
    return [
        Need("rds:RestoreDBClusterFromSnapshot", (cluster, *_cluster_groups(call), snapshot), context),
        *_tagging(call, cluster),
        *_passed_roles(call, "MonitoringRoleArn", "DomainIAMRoleName"),
    ]


def _restore_to_point_in_time(call: Call, _sources: Sources) -> list[Need]:
    """Both clusters are the action's resources; a deleted source is named by its automated backup."""
    params = call.params
    cluster = _arn(call, "cluster", params["DBClusterIdentifier"])
    if source := params.get("SourceDBClusterIdentifier"):
        origin = _arn(call, "cluster", source)
    else:
        # The backup's name is not in the request: a policy that names one is not met here.
        origin = _arn(call, "cluster-auto-backup", "*")
    groups = (
        # The engine is the source's, and not in the request.
        _arn(call, "cluster-pg", params.get("DBClusterParameterGroupName") or "default.*"),
        _arn(call, "og", params.get("OptionGroupName") or "default:*"),
        _arn(call, "subgrp", params.get("DBSubnetGroupName") or "default"),
    )
    context = {**_tags(call), "rds:DatabaseClass": text(params.get("DBClusterInstanceClass"))}
    # Tags that are taken over from the source need AddTagsToResource, too.
    inherited = Need("rds:AddTagsToResource", (cluster,), {"rds:TagsFromRequest": "false"}, source="inherited tags")
    return [
        Need("rds:RestoreDBClusterToPointInTime", (cluster, origin, *groups), context),
        *(_tagging(call, cluster) or [inherited]),
        *_passed_roles(call, "MonitoringRoleArn", "DomainIAMRoleName"),
    ]


def _add_role(call: Call, _sources: Sources) -> list[Need]:
    cluster = _arn(call, "cluster", call.params["DBClusterIdentifier"])
    return [Need("rds:AddRoleToDBCluster", (cluster,)), *_passed_roles(call, "RoleArn")]


def _create_endpoint(call: Call, _sources: Sources) -> list[Need]:
    cluster = _arn(call, "cluster", call.params["DBClusterIdentifier"])
    endpoint = _arn(call, "cluster-endpoint", call.params["DBClusterEndpointIdentifier"])
    context = {**_tags(call), "rds:EndpointType": call.params["EndpointType"]}
    return [Need("rds:CreateDBClusterEndpoint", (cluster, endpoint), context), *_tagging(call, endpoint)]


def _create_cluster(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    cluster = _arn(call, "cluster", params["DBClusterIdentifier"])
    context = {
        **_tags(call),
        "rds:DatabaseClass": text(params.get("DBClusterInstanceClass")),
        "rds:DatabaseEngine": params["Engine"],
        "rds:DatabaseName": text(params.get("DatabaseName")),
        "rds:ManageMasterUserPassword": text(params.get("ManageMasterUserPassword")),
        "rds:StorageEncrypted": text(params.get("StorageEncrypted")),
    }
    return [
        Need("rds:CreateDBCluster", (cluster, *_cluster_groups(call)), context),
        *_tagging(call, cluster),
        *_passed_roles(call, "MonitoringRoleArn", "DomainIAMRoleName"),
    ]


def _modify_cluster(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    resources = [_arn(call, "cluster", params["DBClusterIdentifier"])]
    optional = {
        "DBClusterParameterGroupName": "cluster-pg",
        "DBInstanceParameterGroupName": "pg",
        "OptionGroupName": "og",
    }
    resources += [_arn(call, kind, params[name]) for name, kind in optional.items() if params.get(name)]
    context = {
        "rds:DatabaseClass": text(params.get("DBClusterInstanceClass")),
        "rds:ManageMasterUserPassword": text(params.get("ManageMasterUserPassword")),
    }
    return [
        Need("rds:ModifyDBCluster", tuple(resources), context),
        *_passed_roles(call, "MonitoringRoleArn", "DomainIAMRoleName"),
    ]


def _create_instance(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    instance = _arn(call, "db", params["DBInstanceIdentifier"])
    optional = {
        "DBClusterIdentifier": "cluster",
        "DBParameterGroupName": "pg",
        "DBSubnetGroupName": "subgrp",
        "OptionGroupName": "og",
    }
    resources = [_arn(call, kind, params[name]) for name, kind in optional.items() if params.get(name)]
    context = {
        **_tags(call),
        "rds:DatabaseClass": params["DBInstanceClass"],
        "rds:DatabaseEngine": params["Engine"],
        "rds:ManageMasterUserPassword": text(params.get("ManageMasterUserPassword")),
        "rds:MultiAz": text(params.get("MultiAZ")),
        "rds:PubliclyAccessible": text(params.get("PubliclyAccessible")),
    }
    return [
        Need("rds:CreateDBInstance", (instance, *resources), context),
        *_tagging(call, instance),
        *_passed_roles(call, "MonitoringRoleArn"),
    ]


def _modify_instance(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    resources = [_arn(call, "db", params["DBInstanceIdentifier"])]
    optional = {"DBParameterGroupName": "pg", "DBSubnetGroupName": "subgrp", "OptionGroupName": "og"}
    resources += [_arn(call, kind, params[name]) for name, kind in optional.items() if params.get(name)]
    context = {"rds:ManageMasterUserPassword": text(params.get("ManageMasterUserPassword"))}
    return [
        Need("rds:ModifyDBInstance", tuple(resources), context),
        *_passed_roles(call, "MonitoringRoleArn"),
    ]


def _delete_cluster(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    cluster = _arn(call, "cluster", params["DBClusterIdentifier"])
    # The reference requires a cluster-snapshot with every delete; only a final snapshot gives it a name.
    final = params.get("FinalDBSnapshotIdentifier")
    if not final:
        return [Need("rds:DeleteDBCluster", (cluster,))]
    resources = (cluster, _snapshot(call, final))
    return [
        Need("rds:DeleteDBCluster", resources),
        Need("rds:CreateDBClusterSnapshot", resources, source="dependent action of DeleteDBCluster"),
    ]


def _create_snapshot(call: Call, _sources: Sources) -> list[Need]:
    cluster = _arn(call, "cluster", call.params["DBClusterIdentifier"])
    snapshot = _snapshot(call, call.params["DBClusterSnapshotIdentifier"])
    return [Need("rds:CreateDBClusterSnapshot", (cluster, snapshot), _tags(call)), *_tagging(call, snapshot)]


def _copy_snapshot(call: Call, _sources: Sources) -> list[Need]:
    source = _snapshot(call, call.params["SourceDBClusterSnapshotIdentifier"])
    target = _snapshot(call, call.params["TargetDBClusterSnapshotIdentifier"])
    needs = [Need("rds:CopyDBClusterSnapshot", (source, target), _tags(call)), *_tagging(call, target)]
    if source.split(":")[3] != call.region:
        needs.append(Need("rds:CrossRegionCommunication", (source,)))
    return needs


def _describe_snapshots(call: Call, _sources: Sources) -> list[Need]:
    params = call.params
    resources = [_snapshot(call, params.get("DBClusterSnapshotIdentifier") or "*")]
    if cluster := params.get("DBClusterIdentifier"):
        resources.append(_arn(call, "cluster", cluster))
    return [Need("rds:DescribeDBClusterSnapshots", tuple(resources))]


def _tag_action(action: str) -> Mapper:
    def mapper(call: Call, _sources: Sources) -> list[Need]:
        context: dict[str, Any] = {**_tags(call)}
        if action == "rds:AddTagsToResource":
            context["rds:TagsFromRequest"] = "true"
        if keys := call.params.get("TagKeys"):
            context["aws:TagKeys"] = list(keys)
        return [Need(action, (call.params["ResourceName"],), context)]

    return mapper


def _named(operation: str, kind: str, parameter: str) -> Mapper:
    """Map an operation on the one resource that a parameter names, or on all of its kind without it."""

    def mapper(call: Call, _sources: Sources) -> list[Need]:
        return [Need(f"rds:{operation}", (_arn(call, kind, call.params.get(parameter) or "*"),))]

    return mapper


_NAMED = {
    "DescribeDBClusters": ("cluster", "DBClusterIdentifier"),
    "DescribeDBInstances": ("db", "DBInstanceIdentifier"),
    "DescribeDBClusterSnapshotAttributes": ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    "DescribeDBSubnetGroups": ("subgrp", "DBSubnetGroupName"),
    "DescribeDBClusterParameterGroups": ("cluster-pg", "DBClusterParameterGroupName"),
    "DescribeDBClusterParameters": ("cluster-pg", "DBClusterParameterGroupName"),
    "DescribeDBParameterGroups": ("pg", "DBParameterGroupName"),
    "DescribeDBParameters": ("pg", "DBParameterGroupName"),
    "DescribeDBClusterAutomatedBackups": ("cluster", "DBClusterIdentifier"),
    "DescribePendingMaintenanceActions": ("cluster", "ResourceIdentifier"),
    "DeleteDBInstance": ("db", "DBInstanceIdentifier"),
    "RebootDBInstance": ("db", "DBInstanceIdentifier"),
    "DeleteDBClusterSnapshot": ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    "ModifyDBClusterSnapshotAttribute": ("cluster-snapshot", "DBClusterSnapshotIdentifier"),
    # The backup's name is not in the request, which names the cluster's resource id.
    "DeleteDBClusterAutomatedBackup": ("cluster-auto-backup", "DBClusterAutomatedBackupsArn"),
    "DeleteDBClusterEndpoint": ("cluster-endpoint", "DBClusterEndpointIdentifier"),
    "DescribeDBClusterEndpoints": ("cluster", "DBClusterIdentifier"),
    "ModifyDBClusterEndpoint": ("cluster-endpoint", "DBClusterEndpointIdentifier"),
    "RemoveRoleFromDBCluster": ("cluster", "DBClusterIdentifier"),
    "StartDBCluster": ("cluster", "DBClusterIdentifier"),
    "StopDBCluster": ("cluster", "DBClusterIdentifier"),
    "FailoverDBCluster": ("cluster", "DBClusterIdentifier"),
    "EnableHttpEndpoint": ("cluster", "ResourceArn"),
    "DisableHttpEndpoint": ("cluster", "ResourceArn"),
}

# The reference lists no resource types for these.
_UNNAMED = (
    "DescribeAccountAttributes",
    "DescribeCertificates",
    "DescribeDBEngineVersions",
    "DescribeDBMajorEngineVersions",
    "DescribeEvents",
    "DescribeOrderableDBInstanceOptions",
)

OPERATIONS: Mapping[str, Mapper] = {
    **{operation: _named(operation, *where) for operation, where in _NAMED.items()},
    **{operation: anywhere(f"rds:{operation}") for operation in _UNNAMED},
    "AddRoleToDBCluster": _add_role,
    "AddTagsToResource": _tag_action("rds:AddTagsToResource"),
    "CopyDBClusterSnapshot": _copy_snapshot,
    "CreateDBCluster": _create_cluster,
    "CreateDBClusterSnapshot": _create_snapshot,
    "CreateDBClusterEndpoint": _create_endpoint,
    "CreateDBInstance": _create_instance,
    "DeleteDBCluster": _delete_cluster,
    "DescribeDBClusterSnapshots": _describe_snapshots,
    "ListTagsForResource": _tag_action("rds:ListTagsForResource"),
    "ModifyDBCluster": _modify_cluster,
    "ModifyDBInstance": _modify_instance,
    "RemoveTagsFromResource": _tag_action("rds:RemoveTagsFromResource"),
    "RestoreDBClusterFromSnapshot": _restore_cluster,
    "RestoreDBClusterToPointInTime": _restore_to_point_in_time,
}
