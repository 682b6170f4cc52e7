"""What the tests of the package share: settings, a request that is right, and an RDS that lives in a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

from aurora_restore.errors import AssumeRoleFailed
from aurora_restore.model import SourceRole
from aurora_restore.settings import Settings

REGION = "eu-west-1"
ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EXECUTION_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:restore:run-1"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
SNAPSHOT_KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-8888-7777-6666-555555555555"
SOURCE_ACCOUNT = "210987654321"
SOURCE_REGION = "us-east-1"
FAMILY = "aurora-postgresql16"
VERSION = "16.6"


DEADLINES = {
    "queue": 172_800, "copy": 86_400, "cluster": 86_400, "configure": 3600, "instance": 7200, "compensate": 7200,
}  # fmt: skip


def settings(**changes: Any) -> Settings:
    changes["deadlines"] = {**DEADLINES, **changes.get("deadlines", {})}
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


def snapshot(
    name: str = "orders-manual", *, account: str = ACCOUNT, region: str = REGION, **changes: Any
) -> dict[str, Any]:
    """As its owner sees it; a change to None takes a member out."""
    values = {
        "DBClusterSnapshotIdentifier": name,
        "DBClusterSnapshotArn": f"arn:aws:rds:{region}:{account}:cluster-snapshot:{name}",
        "DBClusterIdentifier": "orders",
        "DbClusterResourceId": "cluster-ORDERS",
        "SnapshotCreateTime": NOW - timedelta(days=1),
        "SnapshotType": "automated" if name.startswith("rds:") else "manual",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": VERSION,
        "AllocatedStorage": 10,
        "Port": 5432,
        "StorageEncrypted": True,
        "KmsKeyId": SNAPSHOT_KEY_ARN,
        "StorageType": "aurora",
        "MasterUsername": "admin_user",
        "IAMDatabaseAuthenticationEnabled": False,
        **changes,
    }
    return {member: value for member, value in values.items() if value is not None}


def key(arn: str, **changes: Any) -> dict[str, Any]:
    """What kms:DescribeKey shows of a key that is as it should be."""
    return {
        "Arn": arn,
        "KeyId": arn.rpartition("/")[2],
        "AWSAccountId": arn.split(":")[4],
        "KeyManager": "CUSTOMER",
        "KeyState": "Enabled",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        **changes,
    }


def refused(code: str, message: str = "no", operation: str = "Operation", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


def subnet_group(name: str, *, zones: str = "ab", **changes: Any) -> dict[str, Any]:
    return {
        "DBSubnetGroupName": name,
        "VpcId": "vpc-1",
        "SubnetGroupStatus": "Complete",
        "Subnets": [{"SubnetAvailabilityZone": {"Name": f"{REGION}{letter}"}} for letter in zones],
        **changes,
    }


# What RDS shows under another name than it is given, and how.
_SHOWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "DBClusterParameterGroupName": lambda name: {"DBClusterParameterGroup": name},
    "DBParameterGroupName": lambda name: {"DBParameterGroups": [{"DBParameterGroupName": name}]},
    "DBSubnetGroupName": lambda name: {"DBSubnetGroup": name},
    "EnableCloudwatchLogsExports": lambda types: {"EnabledCloudwatchLogsExports": types},
    "EnableIAMDatabaseAuthentication": lambda on: {"IAMDatabaseAuthenticationEnabled": on},
    "EnablePerformanceInsights": lambda on: {"PerformanceInsightsEnabled": on},
    "StorageType": lambda kind: {"StorageType": kind} if kind != "aurora" else {},
    "Tags": lambda tags: {"TagList": tags},
    "VpcSecurityGroupIds": lambda ids: {
        "VpcSecurityGroups": [{"VpcSecurityGroupId": one, "Status": "active"} for one in ids]
    },
    **dict.fromkeys(("ApplyImmediately", "ManageMasterUserPassword", "SnapshotIdentifier"), lambda _: {}),
}


def _shown(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a call as a describe shows them."""
    shown: dict[str, Any] = {}
    for name, value in parameters.items():
        shown |= _SHOWN[name](value) if name in _SHOWN else {name: value}
    return shown


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
    shared_clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Those of other accounts, by ARN in small letters."""
    backups: list[dict[str, Any]] = field(default_factory=list)
    """Automated backups of clusters."""
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
    class_zones: tuple[str, ...] = ("a", "b", "c")
    subnet_groups: dict[str, dict[str, Any]] = field(default_factory=lambda: {"databases": subnet_group("databases")})
    quotas: dict[str, tuple[int, int]] = field(default_factory=lambda: {"DBClusters": (1, 40), "DBInstances": (2, 40)})
    """Used and most; manual cluster snapshots are counted."""
    manual_snapshots: int = 100
    """Quota of manual cluster snapshots."""
    shares: dict[str, list[str]] = field(default_factory=dict)
    """Accounts that a snapshot is shared with, by its name."""
    account: str = ACCOUNT
    region: str = REGION
    parameter_groups: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    version_then: str = VERSION
    """What the source of a point in time ran then."""
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
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
        kind = parameters.get("SnapshotType")
        found = []
        for one in self.snapshots:
            seen = one["SnapshotType"] if one["DBClusterSnapshotArn"].split(":")[4] == self.account else "shared"
            if kind == seen or (kind is None and (seen != "shared" or parameters.get("IncludeShared"))):
                found.append(one if seen != "shared" else self._as_shared(one))
        if name := parameters.get("DBClusterSnapshotIdentifier"):
            found = [s for s in found if name in (s["DBClusterSnapshotIdentifier"], s["DBClusterSnapshotArn"])]
            found = [s for s in found if s["SnapshotType"] != "automated" or kind == "automated"]
            if not found:
                raise refused("DBClusterSnapshotNotFoundFault", operation="DescribeDBClusterSnapshots")
        elif cluster := parameters.get("DBClusterIdentifier"):
            found = [s for s in found if cluster == s["DBClusterIdentifier"]]
        return {"DBClusterSnapshots": found}

    @staticmethod
    def _as_shared(one: dict[str, Any]) -> dict[str, Any]:
        arn = one["DBClusterSnapshotArn"]
        return {**one, "DBClusterSnapshotIdentifier": arn, "SnapshotType": "shared", "TagList": []}

    def describe_db_cluster_snapshot_attributes(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_snapshot_attributes", parameters)
        name = parameters["DBClusterSnapshotIdentifier"]
        restore = {"AttributeName": "restore", "AttributeValues": self.shares.get(name, [])}
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": [restore]}}

    def describe_account_attributes(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_account_attributes", parameters)
        manual = sum(one["SnapshotType"] == "manual" for one in self.snapshots)
        quotas = {**self.quotas, "ManualClusterSnapshots": (manual, self.manual_snapshots)}
        return {
            "AccountQuotas": [
                {"AccountQuotaName": name, "Used": used, "Max": most} for name, (used, most) in quotas.items()
            ]
        }

    def describe_db_clusters(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_clusters", parameters)
        if filters := parameters.get("Filters"):
            [wanted] = filters
            assert wanted["Name"] == "clone-group-id"
            return {"DBClusters": [c for c in self.clusters.values() if c.get("CloneGroupId") in wanted["Values"]]}
        if "DBClusterIdentifier" not in parameters:
            return {"DBClusters": list(self.clusters.values())}
        name = parameters["DBClusterIdentifier"]
        shared = bool(parameters.get("IncludeShared"))
        found, key = (self.shared_clusters, name) if shared else (self.clusters, name.lower())
        if key not in found:
            raise refused("DBClusterNotFoundFault")
        return {"DBClusters": [found[key]]}

    def describe_db_cluster_automated_backups(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_automated_backups", parameters)
        wanted = parameters.get("DbClusterResourceId")
        found = [one for one in self.backups if wanted in (None, one["DbClusterResourceId"])]
        if wanted and not found:
            raise refused("DBClusterAutomatedBackupNotFoundFault")
        return {"DBClusterAutomatedBackups": found}

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
        zones = [{"Name": f"{REGION}{letter}"} for letter in self.class_zones]
        options = [{"DBInstanceClass": name, "AvailabilityZones": zones} for name in found]
        return {"OrderableDBInstanceOptions": options}

    def describe_db_subnet_groups(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_subnet_groups", parameters)
        if parameters["DBSubnetGroupName"] not in self.subnet_groups:
            raise refused("DBSubnetGroupNotFoundFault")
        return {"DBSubnetGroups": [self.subnet_groups[parameters["DBSubnetGroupName"]]]}

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

    def restore_db_cluster_to_point_in_time(self, **parameters: Any) -> dict[str, Any]:
        self._called("restore_db_cluster_to_point_in_time", parameters)
        return self._restore(parameters, self.version_then)

    def restore_db_cluster_from_snapshot(self, **parameters: Any) -> dict[str, Any]:
        self._called("restore_db_cluster_from_snapshot", parameters)
        return self._restore(parameters, parameters["EngineVersion"])

    def _restore(self, parameters: dict[str, Any], version: str) -> dict[str, Any]:
        name = parameters["DBClusterIdentifier"]
        if name in self.clusters:
            raise refused("DBClusterAlreadyExistsFault")
        self.clusters[name] = {
            "DBClusterIdentifier": name,
            "DBClusterArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{name}",
            "DbClusterResourceId": f"cluster-{name.upper()}",
            "Status": "creating",
            "EngineVersion": version,
            "Port": 5432,
            "MasterUsername": "admin_user",
            "Endpoint": f"{name}.cluster-x.{REGION}.rds.amazonaws.com",
            "ReaderEndpoint": f"{name}.cluster-ro-x.{REGION}.rds.amazonaws.com",
            "DBClusterMembers": [],
            "TagList": parameters["Tags"],
            "DeletionProtection": False,
            "Engine": parameters.get("Engine", "aurora-postgresql"),
            "AutoMinorVersionUpgrade": True,
            "DatabaseInsightsMode": "standard",
            **_shown(parameters),
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
        cluster |= _shown(parameters)
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
            "EngineVersion": VERSION,
            "AutoMinorVersionUpgrade": True,
            "PerformanceInsightsEnabled": False,
            **_shown(parameters),
        }
        members = self.clusters[cluster]["DBClusterMembers"]
        members.append(
            {"DBInstanceIdentifier": name, "IsClusterWriter": not members, "DBClusterParameterGroupStatus": "in-sync"}
        )
        return {"DBInstance": self.instances[name]}

    def add_role_to_db_cluster(self, **parameters: Any) -> dict[str, Any]:
        self._called("add_role_to_db_cluster", parameters)
        role = {"RoleArn": parameters["RoleArn"], "FeatureName": parameters.get("FeatureName", ""), "Status": "PENDING"}
        self.clusters[parameters["DBClusterIdentifier"]].setdefault("AssociatedRoles", []).append(role)
        return {}

    def enable_http_endpoint(self, **parameters: Any) -> dict[str, Any]:
        self._called("enable_http_endpoint", parameters)
        [cluster] = [one for one in self.clusters.values() if one["DBClusterArn"] == parameters["ResourceArn"]]
        cluster["HttpEndpointEnabled"] = True
        return {}

    def create_db_cluster_endpoint(self, **parameters: Any) -> dict[str, Any]:
        self._called("create_db_cluster_endpoint", parameters)
        name = parameters["DBClusterEndpointIdentifier"]
        if name in self.endpoints:
            raise refused("DBClusterEndpointAlreadyExistsFault")
        self.endpoints[name] = {
            **parameters, "EndpointType": "CUSTOM", "CustomEndpointType": parameters["EndpointType"],
            "Status": "creating",
        }  # fmt: skip
        return self.endpoints[name]

    def describe_db_cluster_endpoints(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_endpoints", parameters)
        cluster = parameters.get("DBClusterIdentifier")
        if cluster is None:
            [wanted] = parameters["Filters"]
            return {"DBClusterEndpoints": [one for name, one in self.endpoints.items() if name in wanted["Values"]]}
        own = [{"DBClusterIdentifier": cluster, "EndpointType": kind} for kind in ("WRITER", "READER")]
        custom = [one for one in self.endpoints.values() if one["DBClusterIdentifier"] == cluster]
        return {"DBClusterEndpoints": own + custom}

    def reboot_db_instance(self, **parameters: Any) -> dict[str, Any]:
        self._called("reboot_db_instance", parameters)
        return {}

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
            for role in cluster.get("AssociatedRoles", ()):
                role["Status"] = "ACTIVE"
        for endpoint in self.endpoints.values():
            endpoint["Status"] = "available"
        for instance in self.instances.values():
            instance["DBInstanceStatus"] = "available"


@dataclass
class FakeAutoscaling:
    """Application Auto Scaling: targets and policies by resource id."""

    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def describe_scalable_targets(self, **parameters: Any) -> dict[str, Any]:
        return {"ScalableTargets": [self.targets[name] for name in parameters["ResourceIds"] if name in self.targets]}

    def describe_scaling_policies(self, **parameters: Any) -> dict[str, Any]:
        name = parameters["ResourceId"]
        return {"ScalingPolicies": [self.policies[name]] if name in self.policies else []}

    def register_scalable_target(self, **parameters: Any) -> dict[str, Any]:
        self.targets[parameters["ResourceId"]] = {**self.targets.get(parameters["ResourceId"], {}), **parameters}
        return {}

    def put_scaling_policy(self, **parameters: Any) -> dict[str, Any]:
        self.policies[parameters["ResourceId"]] = parameters
        return {}

    def deregister_scalable_target(self, **parameters: Any) -> dict[str, Any]:
        if parameters["ResourceId"] not in self.targets:
            raise refused("ObjectNotFoundException")
        del self.targets[parameters["ResourceId"]]
        return {}


@dataclass
class FakeKms:
    """The keys of all accounts, as one of them may see them."""

    keys: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {arn: key(arn) for arn in (KEY_ARN, SNAPSHOT_KEY_ARN)}
    )
    aliases: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    """ARNs of keys that must not be described."""

    def describe_key(self, **parameters: Any) -> dict[str, Any]:
        wanted = parameters["KeyId"]
        arn = self.aliases.get(wanted, wanted)
        found = next((one for one in self.keys.values() if arn in (one["Arn"], one["KeyId"])), None)
        if arn in self.denied:
            raise refused("AccessDeniedException", f"not authorized to perform kms:DescribeKey on {arn}", "DescribeKey")
        if found is None:
            raise refused("NotFoundException", f"Key {arn} does not exist", "DescribeKey")
        return {"KeyMetadata": found}


@dataclass
class FakeEc2:
    """Security groups, by id, with their VPC."""

    groups: dict[str, str] = field(default_factory=lambda: {"sg-0123456789abcdef0": "vpc-1"})
    error: Exception | None = None

    def get_paginator(self, operation: str) -> _Paginator:
        return _Paginator(getattr(self, operation))

    def describe_security_groups(self, **parameters: Any) -> dict[str, Any]:
        if self.error:
            raise self.error
        [wanted] = parameters["Filters"]
        return {
            "SecurityGroups": [{"GroupId": g, "VpcId": vpc} for g, vpc in self.groups.items() if g in wanted["Values"]]
        }


class FakeAws:
    """What `Sessions` gives: one account's services, and by `assume` other accounts'."""

    def __init__(self, rds: FakeRds | None = None, *, account: str = ACCOUNT) -> None:
        self.account = account
        self.regions = {REGION: rds or FakeRds(account=account)}
        self.kms = FakeKms()
        self.ec2 = FakeEc2()
        self.autoscaling = FakeAutoscaling()
        self.others: dict[str, FakeAws] = {}
        """By account: where there is a role to take on."""

    @property
    def rds(self) -> FakeRds:
        return self.regions[REGION]

    def rds_in(self, region: str) -> FakeRds:
        if region not in self.regions:
            self.regions[region] = FakeRds(snapshots=[], account=self.account, region=region)
        return self.regions[region]

    def kms_in(self, region: str) -> FakeKms:
        return self.kms

    def assume(self, role: SourceRole, operation_id: str) -> FakeAws:
        if role.account not in self.others:
            raise AssumeRoleFailed(f"The role {role.role_arn} could not be taken on", field="source_account_id")
        return self.others[role.account]

    def clients(self, role: SourceRole | None) -> FakeAws:
        """As `StepContext.clients`."""
        return self.assume(role, "op") if role else self

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """What RDS was asked for, in any account and region."""
        own = [call for rds in self.regions.values() for call in rds.calls]
        return own + [call for other in self.others.values() for call in other.calls]


SOURCE_KEY_ARN = f"arn:aws:kms:{SOURCE_REGION}:{SOURCE_ACCOUNT}:key/source"
SHARE_KEY_ARN = f"arn:aws:kms:{REGION}:{SOURCE_ACCOUNT}:key/share"


def source_accounts(**changes: Any) -> dict[str, Any]:
    """The module's source_accounts as the workflow carries it, before it is JSON text."""
    return {
        SOURCE_ACCOUNT: {
            "role_arn": f"arn:aws:iam::{SOURCE_ACCOUNT}:role/aurora-restore-source",
            "external_id": "an-external-id-to-keep",
            "share_kms_key_arns": {REGION: SHARE_KEY_ARN},
            **changes,
        }
    }


def two_accounts(*snapshots: dict[str, Any]) -> FakeAws:
    """The deployment's account, and a source account that has these snapshots in another region."""
    aws, source = FakeAws(FakeRds(snapshots=[])), FakeAws(account=SOURCE_ACCOUNT)
    source.regions = {SOURCE_REGION: FakeRds(snapshots=list(snapshots), account=SOURCE_ACCOUNT, region=SOURCE_REGION)}
    default = key(SOURCE_KEY_ARN, KeyManager="AWS")
    source.kms.keys |= {SOURCE_KEY_ARN: default, SHARE_KEY_ARN: key(SHARE_KEY_ARN)}
    aws.kms.keys |= {SHARE_KEY_ARN: key(SHARE_KEY_ARN), SOURCE_KEY_ARN: default}
    aws.kms.denied.add(SOURCE_KEY_ARN)
    aws.others[SOURCE_ACCOUNT] = source
    return aws
