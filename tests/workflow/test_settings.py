"""A restored cluster is what it should be: every setting, taken from a living cluster or asked for alone."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox import samples
from sandbox.faults import Fault
from tests.workflow.support import ACCOUNT, REGION, Deployment, Execution, assert_failed
from tests.workflow.test_restore import request_for, succeeded

MONITORING = f"arn:aws:iam::{ACCOUNT}:role/database-monitoring"
IMPORT = f"arn:aws:iam::{ACCOUNT}:role/database-import"
FAMILY = "aurora-mysql8.0"
TARGET = {"ServiceNamespace": "rds", "ScalableDimension": "rds:cluster:ReadReplicaCount"}
TRACKING = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
    "ScaleInCooldown": 120,
}


@dataclass(frozen=True)
class Surroundings:
    """What settings refer to."""

    subnet_group: str
    cluster_group: str
    instance_group: str
    key: str
    snapshot_key: str
    """A key under which snapshots are, so that a restore has no choice of keys to warn of."""


@pytest.fixture(scope="session")
def surroundings(deployment: Deployment) -> Surroundings:
    ec2, rds = deployment.client("ec2"), deployment.client("rds")
    vpc = deployment.network.vpc_id
    ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)
    [association] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"]
    prefix = association["Ipv6CidrBlock"].removesuffix("00::/56")
    subnets = [
        ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=f"172.31.{200 + n}.0/24",
            Ipv6CidrBlock=f"{prefix}{n:02x}::/64",
            AvailabilityZone=f"{REGION}{zone}",
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("abc")
    ]
    rds.create_db_subnet_group(DBSubnetGroupName="dual", DBSubnetGroupDescription="IPv6 too", SubnetIds=subnets)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="shop-cluster", DBParameterGroupFamily=FAMILY, Description="shop"
    )
    rds.create_db_parameter_group(
        DBParameterGroupName="shop-instance", DBParameterGroupFamily=FAMILY, Description="shop"
    )
    keys = [deployment.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
    return Surroundings("dual", "shop-cluster", "shop-instance", *keys)


@pytest.fixture(scope="session")
def furnished(deployment: Deployment, surroundings: Surroundings) -> Iterator[str]:
    """A living cluster in which nothing is as RDS would have it by itself."""
    rds, scaling = deployment.client("rds"), deployment.client("application-autoscaling")
    name = "furnished"
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-mysql",
        EngineVersion=samples.ENGINE_VERSIONS["aurora-mysql"],
        MasterUsername=samples.MASTER_USERNAME,
        MasterUserPassword=uuid.uuid4().hex,
        Port=3310,
        DBSubnetGroupName=surroundings.subnet_group,
        VpcSecurityGroupIds=[deployment.network.security_group_id],
        NetworkType="DUAL",
        StorageEncrypted=True,
        KmsKeyId=surroundings.key,
        StorageType="aurora-iopt1",
        BacktrackWindow=3600,
        DBClusterParameterGroupName=surroundings.cluster_group,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["audit", "error"],
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 8},
        BackupRetentionPeriod=9,
        PreferredBackupWindow="01:00-02:00",
        PreferredMaintenanceWindow="tue:05:00-tue:06:00",
        CopyTagsToSnapshot=True,
        AutoMinorVersionUpgrade=False,
        DatabaseInsightsMode="advanced",
        EnablePerformanceInsights=True,
        PerformanceInsightsKMSKeyId=surroundings.key,
        PerformanceInsightsRetentionPeriod=465,
        DeletionProtection=True,
        Tags=[{"Key": "team", "Value": "shop"}, {"Key": "cost-center", "Value": "4711"}],
    )
    samples.wait_until_available(rds, name)
    common = {
        "DBClusterIdentifier": name,
        "Engine": "aurora-mysql",
        "DBParameterGroupName": surroundings.instance_group,
        "CACertificateIdentifier": "rds-ca-ecc384-g1",
        "AutoMinorVersionUpgrade": False,
        "PreferredMaintenanceWindow": "tue:05:00-tue:06:00",
        "MonitoringInterval": 30,
        "MonitoringRoleArn": MONITORING,
    }
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-a",
        DBInstanceClass="db.r6g.large",
        PromotionTier=3,
        **{**common, "PreferredMaintenanceWindow": "thu:05:00-thu:06:00", "AutoMinorVersionUpgrade": True},
    )
    samples.wait_until_available(rds, name)
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-b",
        DBInstanceClass="db.serverless",
        PromotionTier=15,
        **{**common, "MonitoringInterval": 5},
    )
    samples.wait_until_available(rds, name)
    rds.add_role_to_db_cluster(DBClusterIdentifier=name, RoleArn=IMPORT)
    rds.enable_http_endpoint(
        ResourceArn=rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["DBClusterArn"]
    )
    rds.create_db_cluster_endpoint(
        DBClusterIdentifier=name,
        DBClusterEndpointIdentifier=f"{name}-reports",
        EndpointType="READER",
        StaticMembers=[f"{name}-b"],
    )
    scaling.register_scalable_target(ResourceId=f"cluster:{name}", MinCapacity=1, MaxCapacity=4, **TARGET)
    scaling.put_scaling_policy(
        ResourceId=f"cluster:{name}",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
        **TARGET,
    )
    deployment.sandbox.clock.advance(600)
    samples.take_snapshot(rds, name, f"{name}-snapshot")
    yield name
    scaling.deregister_scalable_target(ResourceId=f"cluster:{name}", **TARGET)
    deployment.delete_cluster(name)


@pytest.fixture
def target(deployment: Deployment, target: str) -> Iterator[str]:
    """Before the cluster goes, its readers are deregistered and its protection ends."""
    yield target
    with contextlib.suppress(ClientError):
        deployment.client("application-autoscaling").deregister_scalable_target(
            ResourceId=f"cluster:{target}", **TARGET
        )
    with contextlib.suppress(ClientError):
        deployment.client("rds").modify_db_cluster(
            DBClusterIdentifier=target, DeletionProtection=False, ApplyImmediately=True
        )
    deployment.sandbox.clock.advance(600)


def shown(deployment: Deployment, name: str) -> dict[str, Any]:
    """What two clusters of the same settings show alike, by the API's own names."""
    rds, scaling = deployment.client("rds"), deployment.client("application-autoscaling")
    cluster = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    members = {one["DBInstanceIdentifier"]: one["IsClusterWriter"] for one in cluster["DBClusterMembers"]}
    instances = [rds.describe_db_instances(DBInstanceIdentifier=one)["DBInstances"][0] for one in sorted(members)]
    names = [one["DBInstanceIdentifier"] for one in instances]
    endpoints = rds.describe_db_cluster_endpoints(DBClusterIdentifier=name)["DBClusterEndpoints"]
    targets = scaling.describe_scalable_targets(ServiceNamespace="rds", ResourceIds=[f"cluster:{name}"])
    policies = scaling.describe_scaling_policies(ServiceNamespace="rds", ResourceId=f"cluster:{name}")
    of_cluster = (
        "Port", "DBSubnetGroup", "VpcSecurityGroups", "NetworkType", "KmsKeyId", "StorageType", "BacktrackWindow",
        "DBClusterParameterGroup", "IAMDatabaseAuthenticationEnabled", "EnabledCloudwatchLogsExports",
        "ServerlessV2ScalingConfiguration", "BackupRetentionPeriod", "PreferredBackupWindow",
        "PreferredMaintenanceWindow", "CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "DatabaseInsightsMode",
        "PerformanceInsightsEnabled", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod",
        "DeletionProtection", "AssociatedRoles", "HttpEndpointEnabled",
    )  # fmt: skip
    of_instance = (
        "DBInstanceClass", "PromotionTier", "CACertificateIdentifier", "AutoMinorVersionUpgrade",
        "PreferredMaintenanceWindow", "MonitoringInterval", "MonitoringRoleArn", "PerformanceInsightsEnabled",
        "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod", "DBParameterGroups",
    )  # fmt: skip
    return {
        "cluster": {member: cluster.get(member) for member in of_cluster},
        "instances": [{member: one.get(member) for member in of_instance} for one in instances],
        "writer": [members[one] for one in names],
        "endpoints": [
            (
                one["CustomEndpointType"],
                [names.index(member) for member in one["StaticMembers"]],
                one["ExcludedMembers"],
            )
            for one in endpoints
            if one["EndpointType"] == "CUSTOM"
        ],
        "targets": [(one["MinCapacity"], one["MaxCapacity"]) for one in targets["ScalableTargets"]],
        "policies": [one["TargetTrackingScalingPolicyConfiguration"] for one in policies["ScalingPolicies"]],
        "tags": {
            tag["Key"]: tag["Value"] for tag in cluster["TagList"] if not tag["Key"].startswith("aurora-restore:")
        },
    }


def drift(execution: Execution) -> list[dict[str, Any]]:
    assert execution.record is not None
    found: list[dict[str, Any]] = execution.record["results"]["drift"]
    return found


def test_a_cluster_with_every_setting_set_is_restored_as_it_is(
    deployment: Deployment, furnished: str, target: str
) -> None:
    execution = deployment.run(
        {"snapshot_identifier": f"{furnished}-snapshot", "target_cluster_id": target, "copy_settings_from": furnished}
    )
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert drift(execution) == []
    assert shown(deployment, target) == shown(deployment, furnished)
    record = execution.record
    assert record is not None
    assert record["plan"]["origins"]["port"] == "copied"
    assert "CompleteCluster" in execution.states


def test_the_request_is_above_the_copy(deployment: Deployment, furnished: str, target: str) -> None:
    execution = deployment.run(
        {
            "snapshot_identifier": f"{furnished}-snapshot",
            "target_cluster_id": target,
            "copy_settings_from": furnished,
            "deletion_protection": False,
            "backup_retention_period": 1,
            "instances": [{"db_instance_class": "db.t4g.medium"}],
            "custom_endpoints": None,
            "reader_autoscaling": None,
        }
    )
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    found = shown(deployment, target)
    assert found["cluster"]["BackupRetentionPeriod"] == 1
    assert [one["DBInstanceClass"] for one in found["instances"]] == ["db.t4g.medium"]
    assert (found["endpoints"], found["targets"]) == ([], [])
    assert found["cluster"]["Port"] == 3310


def test_a_cluster_that_is_not_there_gives_no_settings(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    execution = deployment.run(request_for(mysql_source, target, copy_settings_from="nobody"))
    assert_failed(execution, "ARP-GENERAL-002")
    assert "no such cluster" in str(execution.cause)
    assert deployment.cluster(target) is None


@pytest.fixture(scope="session")
def plain_snapshots(deployment: Deployment, surroundings: Surroundings) -> dict[str, str]:
    """Snapshots of clusters without instances, by engine: enough for the control plane."""
    rds = deployment.client("rds")
    for engine in ("aurora-mysql", "aurora-postgresql"):
        rds.create_db_cluster(
            DBClusterIdentifier=f"plain-{engine}",
            Engine=engine,
            EngineVersion=samples.ENGINE_VERSIONS[engine],  # type: ignore[index]
            MasterUsername=samples.MASTER_USERNAME,
            MasterUserPassword=uuid.uuid4().hex,
            DBSubnetGroupName=deployment.network.db_subnet_group_name,
            StorageEncrypted=True,
            KmsKeyId=surroundings.snapshot_key,
        )
        samples.wait_until_available(rds, f"plain-{engine}")
        samples.take_snapshot(rds, f"plain-{engine}", f"plain-{engine}-snapshot")
    return {engine: f"plain-{engine}-snapshot" for engine in ("aurora-mysql", "aurora-postgresql")}


CLUSTER, INSTANCE = "cluster", "instance"
# Request, where it shows, and how.
ALONE: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "port": ({"port": 3311}, CLUSTER, {"Port": 3311}),
    "db_subnet_group_name": ({"db_subnet_group_name": "dual"}, CLUSTER, {"DBSubnetGroup": "dual"}),
    "network_type": ({"db_subnet_group_name": "dual", "network_type": "DUAL"}, CLUSTER, {"NetworkType": "DUAL"}),
    "availability_zones": ({"availability_zones": [f"{REGION}a"]}, CLUSTER, {}),
    "kms_key_id": ({"kms_key_id": "KEY"}, CLUSTER, {"KmsKeyId": "KEY"}),
    "storage_type": ({"storage_type": "aurora-iopt1"}, CLUSTER, {"StorageType": "aurora-iopt1"}),
    "backtrack_window": ({"backtrack_window": 7200}, CLUSTER, {"BacktrackWindow": 7200}),
    "engine_lifecycle_support": (
        {"engine_lifecycle_support": "open-source-rds-extended-support"},
        CLUSTER,
        {"EngineLifecycleSupport": "open-source-rds-extended-support"},
    ),
    "db_cluster_parameter_group_name": (
        {"db_cluster_parameter_group_name": "Shop-Cluster"},
        CLUSTER,
        {"DBClusterParameterGroup": "shop-cluster"},
    ),
    "db_parameter_group_name": ({"db_parameter_group_name": "shop-instance"}, INSTANCE, {}),
    "enable_iam_database_authentication": (
        {"enable_iam_database_authentication": True},
        CLUSTER,
        {"IAMDatabaseAuthenticationEnabled": True},
    ),
    "enable_cloudwatch_logs_exports": (
        {"enable_cloudwatch_logs_exports": ["slowquery", "error"]},
        CLUSTER,
        {"EnabledCloudwatchLogsExports": ["slowquery", "error"]},
    ),
    "serverless_v2_scaling": (
        {
            "db_instance_class": "db.serverless",
            "serverless_v2_scaling": {"min_capacity": 0, "max_capacity": 4, "seconds_until_auto_pause": 900},
        },
        CLUSTER,
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 900}},
    ),
    "backup_retention_period": ({"backup_retention_period": 12}, CLUSTER, {"BackupRetentionPeriod": 12}),
    "preferred_backup_window": (
        {"preferred_backup_window": "22:00-22:30"},
        CLUSTER,
        {"PreferredBackupWindow": "22:00-22:30"},
    ),
    "copy_tags_to_snapshot": ({"copy_tags_to_snapshot": False}, CLUSTER, {"CopyTagsToSnapshot": False}),
    "preferred_maintenance_window": (
        {"preferred_maintenance_window": "wed:05:00-wed:06:00"},
        CLUSTER,
        {"PreferredMaintenanceWindow": "wed:05:00-wed:06:00"},
    ),
    "auto_minor_version_upgrade": ({"auto_minor_version_upgrade": False}, CLUSTER, {"AutoMinorVersionUpgrade": False}),
    "enable_performance_insights": (
        {"enable_performance_insights": True},
        INSTANCE,
        {"PerformanceInsightsEnabled": True, "PerformanceInsightsRetentionPeriod": 7},
    ),
    # RDS draws the backup window from these eight hours: it has to give way.
    "maintenance_over_backup": (
        {"preferred_maintenance_window": "sun:22:00-mon:06:00"},
        CLUSTER,
        {"PreferredMaintenanceWindow": "sun:22:00-mon:06:00", "PreferredBackupWindow": "06:00-06:30"},
    ),
    "performance_insights_off": ({"enable_performance_insights": False}, CLUSTER, {}),
    "performance_insights_kms_key_id": (
        {"enable_performance_insights": True, "performance_insights_kms_key_id": "KEY"},
        INSTANCE,
        {"PerformanceInsightsKMSKeyId": "KEY"},
    ),
    "performance_insights_retention_period": (
        {"enable_performance_insights": True, "performance_insights_retention_period": 93},
        CLUSTER,
        {"PerformanceInsightsRetentionPeriod": 93},
    ),
    "database_insights_mode": (
        {
            "enable_performance_insights": True,
            "performance_insights_retention_period": 465,
            "database_insights_mode": "advanced",
        },
        CLUSTER,
        {"DatabaseInsightsMode": "advanced"},
    ),
    "monitoring": (
        {"monitoring_interval": 15, "monitoring_role_arn": MONITORING},
        INSTANCE,
        {"MonitoringInterval": 15, "MonitoringRoleArn": MONITORING},
    ),
    "ca_certificate_identifier": (
        {"ca_certificate_identifier": "rds-ca-rsa4096-g1"},
        INSTANCE,
        {"CACertificateIdentifier": "rds-ca-rsa4096-g1"},
    ),
    "instances": (
        {"instances": [{"db_instance_class": "db.r6g.large", "availability_zone": f"{REGION}b", "promotion_tier": 4}]},
        INSTANCE,
        {"DBInstanceClass": "db.r6g.large", "AvailabilityZone": f"{REGION}b", "PromotionTier": 4},
    ),
    "associated_roles": ({"associated_roles": [{"role_arn": IMPORT}]}, CLUSTER, {}),
    "enable_http_endpoint": ({"enable_http_endpoint": True}, CLUSTER, {"HttpEndpointEnabled": True}),
    "deletion_protection": ({"deletion_protection": True}, CLUSTER, {"DeletionProtection": True}),
}


@pytest.mark.parametrize("field", ALONE)
def test_a_setting_alone(
    deployment: Deployment,
    surroundings: Surroundings,
    plain_snapshots: dict[str, str],
    target: str,
    field: str,
) -> None:
    asked, where, expected = ALONE[field]
    rds = deployment.client("rds")

    def real(values: dict[str, Any]) -> dict[str, Any]:
        return {name: surroundings.key if value == "KEY" else value for name, value in values.items()}

    execution = deployment.run(
        {"snapshot_identifier": plain_snapshots["aurora-mysql"], "target_cluster_id": target, **real(asked)}
    )
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert drift(execution) == []
    cluster = rds.describe_db_clusters(DBClusterIdentifier=target)["DBClusters"][0]
    instance = rds.describe_db_instances(DBInstanceIdentifier=f"{target}-1")["DBInstances"][0]
    described = cluster if where == CLUSTER else instance
    assert {member: described.get(member) for member in expected} == real(expected)
    if field == "availability_zones":  # RDS adds zones of its own to those that are shown
        [restore] = [
            call.params
            for call in deployment.sandbox.recorder.calls()
            if (call.operation, call.params.get("DBClusterIdentifier")) == ("RestoreDBClusterFromSnapshot", target)
        ]
        assert restore["AvailabilityZones"] == [f"{REGION}a"]
    if field == "db_parameter_group_name":
        assert [group["DBParameterGroupName"] for group in instance["DBParameterGroups"]] == ["shop-instance"]
    if field == "associated_roles":
        assert [(one["RoleArn"], one["Status"]) for one in cluster["AssociatedRoles"]] == [(IMPORT, "ACTIVE")]


def test_a_role_of_postgresql_names_its_feature(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    role = {"role_arn": IMPORT, "feature_name": "s3Import"}
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-postgresql"],
            "target_cluster_id": target,
            "associated_roles": [role],
            "enable_http_endpoint": True,
        }
    )
    succeeded(execution)
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["AssociatedRoles"][0]["FeatureName"] == "s3Import"


def test_what_rds_refuses_for_a_while_is_asked_for_again(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    """No capacity at the moment, or busy with another change: neither may cost a restore of hours."""
    for operation, error in (
        ("CreateDBInstance", "InsufficientDBInstanceCapacity"),
        ("EnableHttpEndpoint", "InvalidResourceStateFault"),
    ):
        deployment.sandbox.faults.add(Fault(service="rds", operation=operation, error=error, status=400, times=2))
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "enable_http_endpoint": True,
        }
    )
    succeeded(execution)
    assert execution.states.count("CreateWriter") == 1


def test_readers_endpoints_and_tags(deployment: Deployment, plain_snapshots: dict[str, str], target: str) -> None:
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "readers": 2,
            "custom_endpoints": [
                {"db_cluster_endpoint_identifier": f"{target}-r", "endpoint_type": "READER", "static_members": [3]},
                {"db_cluster_endpoint_identifier": f"{target}-any", "endpoint_type": "ANY", "excluded_members": [1]},
            ],
            "reader_autoscaling": {
                "min_capacity": 1,
                "max_capacity": 5,
                "predefined_metric_type": "RDSReaderAverageDatabaseConnections",
                "target_value": 100,
            },
            "tags": {"team": "shop"},
            "cost_tags": {"cost-center": "4711"},
        }
    )
    record = succeeded(execution)
    assert drift(execution) == []
    found = shown(deployment, target)
    assert sorted(found["endpoints"]) == [("ANY", [], [f"{target}-1"]), ("READER", [2], [])]
    assert found["targets"] == [(1, 5)]
    assert found["tags"] == {"team": "shop", "cost-center": "4711"}
    assert {"kind": "scalable-target", "state": "HANDED_OVER"}.items() <= record["resources"][-1].items()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def when_created(deployment: Deployment, instance: str, act: Callable[[], None]) -> None:
    """Act once, when an instance has just been created."""
    done: list[str] = []

    def on_event(event: Any) -> None:
        if not done and (event.source, event.event_id) == (instance, "RDS-EVENT-0005"):
            done.append(instance)
            act()

    deployment.sandbox.rds.on_event(on_event)


def test_a_difference_that_matters_fails_and_is_named(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    """Somebody gives the cluster another retention and another window than were asked for, while it is restored."""
    rds = deployment.sandbox.rds

    def interfere() -> None:
        rds.alter(target, BackupRetentionPeriod=2, PreferredBackupWindow="01:00-01:30")

    when_created(deployment, f"{target}-1", interfere)
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "backup_retention_period": 9,
            "preferred_backup_window": "22:00-22:30",
        }
    )
    assert_failed(execution, "ARP-VERIFY-005")
    assert {(item["field"], item["matters"], item["found"]) for item in drift(execution)} == {
        ("backup_retention_period", True, 2),
        ("preferred_backup_window", False, "01:00-01:30"),
    }
    assert "backup_retention_period" in str(execution.cause)
    assert deployment.cluster(target) is not None, "a failure after the writer was available keeps the cluster"


def test_a_difference_that_does_not_matter_is_a_warning(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    rds = deployment.sandbox.rds
    when_created(deployment, f"{target}-1", lambda: rds.alter(f"{target}-1", AutoMinorVersionUpgrade=True))
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "auto_minor_version_upgrade": False,
        }
    )
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.record is not None
    [warning] = execution.record["warnings"]
    assert warning == f"auto_minor_version_upgrade of {target}-1 is true, asked for is false"
    assert [item["field"] for item in drift(execution)] == ["auto_minor_version_upgrade"]


def test_an_instance_whose_parameters_wait_is_rebooted(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    rds = deployment.sandbox.rds
    when_created(deployment, f"{target}-1", lambda: rds.need_reboot(f"{target}-1"))
    execution = deployment.run(
        {"snapshot_identifier": plain_snapshots["aurora-mysql"], "target_cluster_id": target, "readers": 1}
    )
    record = succeeded(execution)
    assert execution.states.count("CreateWriter") == 2
    assert record["results"]["reboots"].keys() == {f"{target}-1"}


def test_a_role_that_rds_cannot_take_on_fails(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/database-broken"
    deployment.sandbox.rds.fail_role(role, "RDS isn't able to associate the IAM role")
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "associated_roles": [{"role_arn": role}],
        }
    )
    assert_failed(execution, "ARP-RESTORE-STATUS-001")
    assert role in str(execution.cause)


def test_a_role_that_the_deployment_may_not_pass_is_refused_before_anything_is_made(
    deployment: Deployment, plain_snapshots: dict[str, str], target: str
) -> None:
    execution = deployment.run(
        {
            "snapshot_identifier": plain_snapshots["aurora-mysql"],
            "target_cluster_id": target,
            "monitoring_interval": 30,
            "monitoring_role_arn": f"arn:aws:iam::{ACCOUNT}:role/administrator",
        }
    )
    assert_failed(execution, "ARP-GENERAL-002")
    assert "passable_role_arns" in str(execution.cause)
    assert deployment.cluster(target) is None
