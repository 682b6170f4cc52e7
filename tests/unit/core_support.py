"""What the tests of the package share: settings, a request that is right, and an RDS that lives in a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

from aurora_restore.settings import Settings

REGION = "eu-west-1"
ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EXECUTION_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:restore:run-1"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
FAMILY = "aurora-postgresql16"
VERSION = "16.6"


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "deployment": "restore",
        "state_table": "AuroraRestoreState",
        "audit_table": "AuroraRestoreAudit",
        "topic_arn": f"arn:aws:sns:{REGION}:{ACCOUNT}:restore-notifications",
        "kms_key_arn": KEY_ARN,
        "secret_prefix": "aurora-restore/restore",
        "region": REGION,
        "database_enabled": True,
    }
    return Settings(**{**values, **changes})


def request(**changes: Any) -> dict[str, Any]:
    """A request as JSON; a change to None takes a field out."""
    values: dict[str, Any] = {
        "target_cluster_id": "orders-staging",
        "snapshot_identifier": "orders-manual",
        "db_instance_class": "db.r8g.large",
        "db_subnet_group_name": "databases",
        "vpc_security_group_ids": ["sg-0123456789abcdef0"],
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def snapshot(name: str = "orders-manual", **changes: Any) -> dict[str, Any]:
    return {
        "DBClusterSnapshotIdentifier": name,
        "DBClusterSnapshotArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{name}",
        "DBClusterIdentifier": "orders",
        "SnapshotCreateTime": NOW - timedelta(days=1),
        "SnapshotType": "automated" if name.startswith("rds:") else "manual",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": VERSION,
        "AllocatedStorage": 10,
        "Port": 5432,
        "StorageEncrypted": True,
        "StorageType": "aurora",
        "MasterUsername": "admin_user",
        "IAMDatabaseAuthenticationEnabled": False,
        **changes,
    }


def refused(code: str, message: str = "no", operation: str = "Operation", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


class _Paginator:
    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        parameters.pop("PaginationConfig", None)
        yield self._call(**parameters)


@dataclass
class FakeRds:
    """Answers as RDS does where the package looks; statuses change only when a test changes them."""

    snapshots: list[dict[str, Any]] = field(default_factory=lambda: [snapshot()])
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            VERSION: {
                "EngineVersion": VERSION,
                "DBParameterGroupFamily": FAMILY,
                "ExportableLogTypes": ["postgresql"],
                "ValidUpgradeTarget": [
                    {"EngineVersion": "16.8", "IsMajorVersionUpgrade": False},
                    {"EngineVersion": "17.4", "IsMajorVersionUpgrade": True},
                ],
            },
            "16.8": {"EngineVersion": "16.8", "DBParameterGroupFamily": FAMILY},
            "17.4": {"EngineVersion": "17.4", "DBParameterGroupFamily": "aurora-postgresql17"},
        }
    )
    retired: set[str] = field(default_factory=set)
    lifecycles: list[dict[str, Any]] = field(default_factory=list)
    classes: tuple[str, ...] = ("db.r8g.large", "db.serverless", "db.t4g.medium")
    subnet_groups: tuple[str, ...] = ("databases",)
    parameter_groups: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    errors: dict[str, list[Exception]] = field(default_factory=dict)
    """Errors that the next calls of an operation raise, after which it works."""

    meta = boto3.client("rds", region_name=REGION).meta

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(getattr(self, operation))

    def made(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]

    def _called(self, operation: str, parameters: dict[str, Any]) -> None:
        self.calls.append((operation, parameters))
        if waiting := self.errors.get(operation):
            raise waiting.pop(0)

    def describe_db_cluster_snapshots(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_snapshots", parameters)
        if name := parameters.get("DBClusterSnapshotIdentifier"):
            found = [s for s in self.snapshots if name in (s["DBClusterSnapshotIdentifier"], s["DBClusterSnapshotArn"])]
            if not found:
                raise refused("DBClusterSnapshotNotFoundFault", operation="DescribeDBClusterSnapshots")
        else:
            cluster = parameters.get("DBClusterIdentifier")
            found = [s for s in self.snapshots if cluster in (None, s["DBClusterIdentifier"])]
        return {"DBClusterSnapshots": found}

    def describe_db_clusters(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_clusters", parameters)
        if "DBClusterIdentifier" not in parameters:
            return {"DBClusters": list(self.clusters.values())}
        if parameters["DBClusterIdentifier"] not in self.clusters:
            raise refused("DBClusterNotFoundFault")
        return {"DBClusters": [self.clusters[parameters["DBClusterIdentifier"]]]}

    def describe_db_instances(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_instances", parameters)
        if name := parameters.get("DBInstanceIdentifier"):
            if name not in self.instances:
                raise refused("DBInstanceNotFound")
            return {"DBInstances": [self.instances[name]]}
        if "Filters" not in parameters:
            return {"DBInstances": list(self.instances.values())}
        [wanted] = parameters["Filters"]
        member = {"db-cluster-id": "DBClusterIdentifier", "db-instance-id": "DBInstanceIdentifier"}[wanted["Name"]]
        return {"DBInstances": [i for i in self.instances.values() if i[member] in wanted["Values"]]}

    def describe_db_engine_versions(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_engine_versions", parameters)
        version = parameters["EngineVersion"]
        hidden = version in self.retired and not parameters.get("IncludeAll")
        return {"DBEngineVersions": [] if hidden or version not in self.versions else [self.versions[version]]}

    def describe_db_major_engine_versions(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_major_engine_versions", parameters)
        return {"DBMajorEngineVersions": [{"SupportedEngineLifecycles": self.lifecycles}]}

    def describe_orderable_db_instance_options(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_orderable_db_instance_options", parameters)
        wanted = parameters.get("DBInstanceClass")
        found = [name for name in self.classes if wanted in (None, name)]
        return {"OrderableDBInstanceOptions": [{"DBInstanceClass": name} for name in found]}

    def describe_db_subnet_groups(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_subnet_groups", parameters)
        if parameters["DBSubnetGroupName"] not in self.subnet_groups:
            raise refused("DBSubnetGroupNotFoundFault")
        return {"DBSubnetGroups": [{"DBSubnetGroupName": parameters["DBSubnetGroupName"]}]}

    def describe_db_cluster_parameter_groups(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_parameter_groups", parameters)
        return {"DBClusterParameterGroups": [self._group(parameters["DBClusterParameterGroupName"])]}

    def describe_db_parameter_groups(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_parameter_groups", parameters)
        return {"DBParameterGroups": [self._group(parameters["DBParameterGroupName"])]}

    def _group(self, name: str) -> dict[str, Any]:
        if name not in self.parameter_groups:
            raise refused("DBParameterGroupNotFound")
        return {"DBParameterGroupFamily": self.parameter_groups[name]}

    def describe_events(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_events", parameters)
        return {"Events": [e for e in self.events if e["SourceIdentifier"] == parameters["SourceIdentifier"]]}

    def restore_db_cluster_from_snapshot(self, **parameters: Any) -> dict[str, Any]:
        self._called("restore_db_cluster_from_snapshot", parameters)
        name = parameters["DBClusterIdentifier"]
        if name in self.clusters:
            raise refused("DBClusterAlreadyExistsFault")
        self.clusters[name] = {
            "DBClusterIdentifier": name,
            "DBClusterArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{name}",
            "DbClusterResourceId": f"cluster-{name.upper()}",
            "Status": "creating",
            "EngineVersion": parameters["EngineVersion"],
            "Port": 5432,
            "MasterUsername": "admin_user",
            "Endpoint": f"{name}.cluster-x.{REGION}.rds.amazonaws.com",
            "ReaderEndpoint": f"{name}.cluster-ro-x.{REGION}.rds.amazonaws.com",
            "DBClusterMembers": [],
            "TagList": parameters["Tags"],
            "DeletionProtection": False,
        }
        return {"DBCluster": self.clusters[name]}

    def modify_db_cluster(self, **parameters: Any) -> dict[str, Any]:
        self._called("modify_db_cluster", parameters)
        cluster = self.clusters[parameters["DBClusterIdentifier"]]
        if parameters.get("ManageMasterUserPassword"):
            cluster["MasterUserSecret"] = {
                "SecretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!cluster-1",
                "SecretStatus": "creating",
            }
        for name in ("BackupRetentionPeriod", "DeletionProtection"):
            if name in parameters:
                cluster[name] = parameters[name]
        return {"DBCluster": cluster}

    def create_db_instance(self, **parameters: Any) -> dict[str, Any]:
        self._called("create_db_instance", parameters)
        name, cluster = parameters["DBInstanceIdentifier"], parameters["DBClusterIdentifier"]
        if name in self.instances:
            raise refused("DBInstanceAlreadyExists")
        self.instances[name] = {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": cluster,
            "DBInstanceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}",
            "DbiResourceId": f"db-{name.upper()}",
            "DBInstanceStatus": "creating",
            "TagList": parameters["Tags"],
            "EngineVersion": VERSION,
        }
        members = self.clusters[cluster]["DBClusterMembers"]
        members.append(
            {"DBInstanceIdentifier": name, "IsClusterWriter": not members, "DBClusterParameterGroupStatus": "in-sync"}
        )
        return {"DBInstance": self.instances[name]}

    def delete_db_instance(self, **parameters: Any) -> dict[str, Any]:
        self._called("delete_db_instance", parameters)
        self.instances[parameters["DBInstanceIdentifier"]]["DBInstanceStatus"] = "deleting"
        return {}

    def delete_db_cluster(self, **parameters: Any) -> dict[str, Any]:
        self._called("delete_db_cluster", parameters)
        self.clusters[parameters["DBClusterIdentifier"]]["Status"] = "deleting"
        return {}

    # what a test does to it

    def all_available(self) -> None:
        for cluster in self.clusters.values():
            cluster["Status"] = "available"
            if "MasterUserSecret" in cluster:
                cluster["MasterUserSecret"]["SecretStatus"] = "active"
        for instance in self.instances.values():
            instance["DBInstanceStatus"] = "available"
