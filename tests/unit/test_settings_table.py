"""Each setting alone: which calls have it, how it is read back, and what a difference means."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from aurora_restore import contract, living, planner
from aurora_restore.engine import aurora, settings_table
from aurora_restore.engine.settings_table import BY_FIELD, SETTINGS, Call, Shown
from aurora_restore.model import InstanceSpec, Request
from tests.unit.core_support import ACCOUNT, KEY_ARN, NOW, FakeRds, request, settings
from tests.unit.test_planner import parsed, plan

ROLE = f"arn:aws:iam::{ACCOUNT}:role/monitoring"
R, M, C = "RestoreDBClusterFromSnapshot", "ModifyDBCluster", "CreateDBInstance"


def on_both(parameters: dict[str, Any]) -> dict[str, Any]:
    return {M: parameters, C: parameters}


# What is asked for beside a setting that does not go alone.
MONITORED = {"monitoring_interval": 30, "monitoring_role_arn": ROLE}
INSIGHTS = {"enable_performance_insights": True}
ADVANCED = {**INSIGHTS, "performance_insights_retention_period": 465}

# By hand, from the API reference: field, value, with, the calls that have it, and what they have.
GIVEN: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [
    ("port", 3310, {}, {R: {"Port": 3310}}),
    ("db_subnet_group_name", "others", {}, {R: {"DBSubnetGroupName": "others"}}),
    ("vpc_security_group_ids", ["sg-1", "sg-2"], {}, {R: {"VpcSecurityGroupIds": ["sg-1", "sg-2"]}}),
    ("network_type", "DUAL", {}, {R: {"NetworkType": "DUAL"}}),
    ("availability_zones", ["eu-west-1a"], {}, {R: {"AvailabilityZones": ["eu-west-1a"]}}),
    ("kms_key_id", KEY_ARN, {}, {R: {"KmsKeyId": KEY_ARN}}),
    ("storage_type", "aurora-iopt1", {}, {R: {"StorageType": "aurora-iopt1"}}),
    ("backtrack_window", 3600, {}, {R: {"BacktrackWindow": 3600}}),
    (
        "engine_lifecycle_support",
        "open-source-rds-extended-support",
        {},
        {R: {"EngineLifecycleSupport": "open-source-rds-extended-support"}},
    ),
    ("db_cluster_parameter_group_name", "group", {}, {R: {"DBClusterParameterGroupName": "group"}}),
    ("db_parameter_group_name", "group", {}, {C: {"DBParameterGroupName": "group"}}),
    ("enable_iam_database_authentication", True, {}, {R: {"EnableIAMDatabaseAuthentication": True}}),
    ("enable_cloudwatch_logs_exports", ["postgresql"], {}, {R: {"EnableCloudwatchLogsExports": ["postgresql"]}}),
    (
        "serverless_v2_scaling",
        {"min_capacity": 0, "max_capacity": 8, "seconds_until_auto_pause": 600},
        {},
        {
            R: {
                "ServerlessV2ScalingConfiguration": {
                    "MinCapacity": 0, "MaxCapacity": 8, "SecondsUntilAutoPause": 600,
                }
            }
        },
    ),
    ("backup_retention_period", 9, {}, {R: {"BackupRetentionPeriod": 9}}),
    ("preferred_backup_window", "03:00-04:00", {}, {R: {"PreferredBackupWindow": "03:00-04:00"}}),
    ("copy_tags_to_snapshot", False, {}, {R: {"CopyTagsToSnapshot": False}}),
    (
        "preferred_maintenance_window",
        "sun:05:00-sun:06:00",
        {},
        on_both({"PreferredMaintenanceWindow": "sun:05:00-sun:06:00"}),
    ),
    ("auto_minor_version_upgrade", False, {}, on_both({"AutoMinorVersionUpgrade": False})),
    ("enable_performance_insights", True, {}, on_both({"EnablePerformanceInsights": True})),
    (
        "performance_insights_kms_key_id",
        KEY_ARN,
        INSIGHTS,
        on_both({"PerformanceInsightsKMSKeyId": KEY_ARN}),
    ),
    (
        "performance_insights_retention_period",
        93,
        INSIGHTS,
        on_both({"PerformanceInsightsRetentionPeriod": 93}),
    ),
    ("database_insights_mode", "advanced", ADVANCED, {M: {"DatabaseInsightsMode": "advanced"}}),
    ("monitoring_interval", 30, {}, {C: {"MonitoringInterval": 30}}),
    ("monitoring_role_arn", ROLE, {"monitoring_interval": 30}, {C: {"MonitoringRoleArn": ROLE}}),
    ("ca_certificate_identifier", "rds-ca-ecc384-g1", {}, {C: {"CACertificateIdentifier": "rds-ca-ecc384-g1"}}),
    ("db_instance_class", "db.t4g.medium", {}, {C: {"DBInstanceClass": "db.t4g.medium"}}),
]  # fmt: skip
OF_AN_ENTRY: list[tuple[str, Any, dict[str, Any], str]] = [
    ("db_instance_class", "db.t4g.medium", {}, "DBInstanceClass"),
    ("promotion_tier", 7, {}, "PromotionTier"),
    ("availability_zone", "eu-west-1b", {}, "AvailabilityZone"),
    ("db_parameter_group_name", "group", {}, "DBParameterGroupName"),
    ("ca_certificate_identifier", "rds-ca-ecc384-g1", {}, "CACertificateIdentifier"),
    ("auto_minor_version_upgrade", False, {}, "AutoMinorVersionUpgrade"),
    ("preferred_maintenance_window", "sun:05:00-sun:06:00", {}, "PreferredMaintenanceWindow"),
    ("monitoring_interval", 30, {"monitoring_role_arn": ROLE}, "MonitoringInterval"),
    ("monitoring_role_arn", ROLE, {"monitoring_interval": 30}, "MonitoringRoleArn"),
]


def asked(**changes: Any) -> Request:
    """A request that need not make sense as a whole."""
    raw = {**request(), **changes}
    found = contract.parse(raw, defaults={}, operation_id="op", settings=settings(), now=NOW).request
    assert found is not None
    return found


def calls_of(wanted_request: Request) -> dict[str, dict[str, Any]]:
    """What the calls of the restore have, on a cluster that RDS has given its defaults."""
    made = plan(readers=0)
    resolved = {
        "port": wanted_request.port,
        "kms_key_id": wanted_request.kms_key_id,
        "storage_type": wanted_request.storage_type or "aurora",
        "iam_authentication": wanted_request.enable_iam_database_authentication,
        "engine_lifecycle_support": wanted_request.engine_lifecycle_support or aurora.NO_EXTENDED_SUPPORT,
    }
    made = dataclasses.replace(made, instances=tuple(planner._instances(wanted_request)), **resolved)
    default = {"AutoMinorVersionUpgrade": True, "DatabaseInsightsMode": "standard", "PerformanceInsightsEnabled": False}
    wanted = aurora.wanted_settings(wanted_request, made, {})
    [writer] = made.instances
    return {
        R: aurora.restore_parameters(wanted_request, made, {}),
        M: aurora.configure_parameters(wanted, {**default, "MasterUserSecret": {"SecretArn": "x"}}, secret_key=KEY_ARN),
        C: aurora.instance_parameters(wanted_request, made, writer, {}),
    }


@pytest.mark.parametrize(("field", "value", "with_", "expected"), GIVEN, ids=[row[0] for row in GIVEN])
def test_a_setting_is_given_to_the_calls_that_take_it_and_to_no_other(
    field: str, value: Any, with_: dict[str, Any], expected: dict[str, Any]
) -> None:
    without, given = calls_of(asked(**with_)), calls_of(asked(**with_, **{field: value}))
    for call in (R, M, C):
        added = {name: part for name, part in given[call].items() if without[call].get(name) != part}
        assert added == expected.get(call, {}), call


def test_the_cases_are_all_of_the_table() -> None:
    own_calls = {row.field for row in SETTINGS if set(row.calls) & {Call.COMPLETE, Call.LAST}}
    assert {row[0] for row in GIVEN} | {"promotion_tier", "availability_zone", "tags"} | own_calls == BY_FIELD.keys()
    assert {row[0] for row in OF_AN_ENTRY} == set(settings_table.OF_AN_INSTANCE)
    assert {field.name for field in dataclasses.fields(InstanceSpec)} == set(settings_table.OF_AN_INSTANCE)
    entry = contract.schema()["properties"]["instances"]["items"]["properties"]
    assert set(entry) == set(settings_table.OF_AN_INSTANCE)
    assert BY_FIELD.keys() - set(contract.schema()["properties"]) == {"promotion_tier", "availability_zone"}


def test_the_sdk_knows_every_parameter_of_the_table() -> None:
    engine = aurora.Aurora(FakeRds())  # type: ignore[arg-type]
    for call, operation in ((Call.RESTORE, R), (Call.MODIFY, M), (Call.CREATE, C)):
        names = {row.name: None for row in SETTINGS if call in row.calls}
        assert engine.by_model(operation, names)[1] == {}
    for part, operation, paths in (
        ("DBClusters", "DescribeDBClusters", [row.cluster for row in SETTINGS]),
        ("DBInstances", "DescribeDBInstances", [row.instance for row in SETTINGS]),
    ):
        known = engine.shown_members(operation, part) | living.OWN_MEMBERS
        assert {settings_table._member(path) for path in paths if path} <= known


@pytest.mark.parametrize(("field", "value", "with_", "name"), OF_AN_ENTRY, ids=[row[0] for row in OF_AN_ENTRY])
def test_an_instances_own_setting_is_above_the_common_one(
    field: str, value: Any, with_: dict[str, Any], name: str
) -> None:
    given = calls_of(parsed(instances=[{**with_, field: value}]))
    assert given[C][name] == value
    assert given[R].get(name) is None
    if name != "MonitoringInterval":
        assert given[M].get(name) is None


def test_an_instance_without_monitoring_gets_no_role() -> None:
    given = calls_of(parsed(**MONITORED, instances=[{"monitoring_interval": 0}]))
    assert given[C]["MonitoringInterval"] == 0
    assert "MonitoringRoleArn" not in given[C]


def test_a_modify_has_only_what_differs_and_what_belongs_to_it() -> None:
    wanted = {**ADVANCED, "database_insights_mode": "advanced", "auto_minor_version_upgrade": True, "port": 5}
    shown: dict[str, Any] = {"AutoMinorVersionUpgrade": True, "PerformanceInsightsEnabled": True}
    shown |= {"PerformanceInsightsRetentionPeriod": 465, "DatabaseInsightsMode": "standard"}
    # The change of the mode has to name what it needs, even where that is so already (BC:ModifyDBCluster).
    assert settings_table.changes(wanted, shown) == {
        "DatabaseInsightsMode": "advanced",
        "EnablePerformanceInsights": True,
        "PerformanceInsightsRetentionPeriod": 465,
    }
    assert settings_table.changes(wanted, {**shown, "DatabaseInsightsMode": "advanced"}) == {}


# --- drift ------------------------------------------------------------------------------------------------------------

EVERYTHING: dict[str, Any] = {
    "port": 3310,
    "db_subnet_group_name": "Databases",
    "vpc_security_group_ids": ["sg-2", "sg-1"],
    "network_type": "DUAL",
    "availability_zones": ["eu-west-1a"],
    "kms_key_id": KEY_ARN,
    "storage_type": "aurora-iopt1",
    "backtrack_window": 3600,
    "engine_lifecycle_support": aurora.NO_EXTENDED_SUPPORT,
    "db_cluster_parameter_group_name": "Group",
    "enable_iam_database_authentication": True,
    "enable_cloudwatch_logs_exports": ["error", "audit"],
    "serverless_v2_scaling": {"min_capacity": 0, "max_capacity": 8.0},
    "backup_retention_period": 9,
    "preferred_backup_window": "03:00-04:00",
    "copy_tags_to_snapshot": True,
    "preferred_maintenance_window": "sun:05:00-sun:06:00",
    "auto_minor_version_upgrade": False,
    "enable_performance_insights": True,
    "performance_insights_kms_key_id": KEY_ARN.rpartition("/")[2],
    "performance_insights_retention_period": 465,
    "database_insights_mode": "advanced",
    "associated_roles": [{"role_arn": ROLE, "feature_name": "s3Import"}],
    "enable_http_endpoint": True,
    "custom_endpoints": [
        {"db_cluster_endpoint_identifier": "reports", "endpoint_type": "READER", "static_members": [3, 2]}
    ],
    "reader_autoscaling": {
        "min_capacity": 1,
        "max_capacity": 4,
        "predefined_metric_type": "RDSReaderAverageCPUUtilization",
        "target_value": 60,
    },
    "tags": {"team": "orders"},
}
AS_SHOWN: dict[str, Any] = {
    "Port": 3310,
    "DBSubnetGroup": "databases",
    "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1"}, {"VpcSecurityGroupId": "sg-2"}],
    "NetworkType": "DUAL",
    "AvailabilityZones": ["eu-west-1a", "eu-west-1b", "eu-west-1c"],
    "KmsKeyId": KEY_ARN,
    "StorageType": "aurora-iopt1",
    "BacktrackWindow": 3600,
    "EngineLifecycleSupport": aurora.NO_EXTENDED_SUPPORT,
    "DBClusterParameterGroup": "group",
    "IAMDatabaseAuthenticationEnabled": True,
    "EnabledCloudwatchLogsExports": ["audit", "error"],
    "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.0, "MaxCapacity": 8.0, "SecondsUntilAutoPause": 300},
    "BackupRetentionPeriod": 9,
    "PreferredBackupWindow": "03:00-04:00",
    "CopyTagsToSnapshot": True,
    "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
    "AutoMinorVersionUpgrade": False,
    "PerformanceInsightsEnabled": True,
    "PerformanceInsightsKMSKeyId": KEY_ARN,
    "PerformanceInsightsRetentionPeriod": 465,
    "DatabaseInsightsMode": "advanced",
    "AssociatedRoles": [{"RoleArn": ROLE, "FeatureName": "s3Import", "Status": "ACTIVE"}],
    "HttpEndpointEnabled": True,
    "CustomEndpointsByOrdinal": [
        {
            "db_cluster_endpoint_identifier": "reports",
            "endpoint_type": "READER",
            "static_members": [2, 3],
            "excluded_members": [],
        }
    ],
    "ReaderAutoscaling": {
        "min_capacity": 1,
        "max_capacity": 4,
        "predefined_metric_type": "RDSReaderAverageCPUUtilization",
        "target_value": 60.0,
        "scale_in_cooldown": 300,
    },
    "TagList": [{"Key": "team", "Value": "orders"}, {"Key": "aws:cloudformation:stack-name", "Value": "x"}],
    "DeletionProtection": False,
}
OTHERWISE: dict[str, Any] = {
    "port": ("Port", 3306),
    "db_subnet_group_name": ("DBSubnetGroup", "default"),
    "vpc_security_group_ids": ("VpcSecurityGroups", [{"VpcSecurityGroupId": "sg-default"}]),
    "network_type": ("NetworkType", "IPV4"),
    "availability_zones": ("AvailabilityZones", ["eu-west-1b"]),
    "kms_key_id": ("KmsKeyId", f"{KEY_ARN}2"),
    "storage_type": ("StorageType", None),
    "backtrack_window": ("BacktrackWindow", None),
    "engine_lifecycle_support": ("EngineLifecycleSupport", aurora.EXTENDED_SUPPORT),
    "db_cluster_parameter_group_name": ("DBClusterParameterGroup", "default.aurora-mysql8.0"),
    "enable_iam_database_authentication": ("IAMDatabaseAuthenticationEnabled", False),
    "enable_cloudwatch_logs_exports": ("EnabledCloudwatchLogsExports", ["audit"]),
    "serverless_v2_scaling": ("ServerlessV2ScalingConfiguration", {"MinCapacity": 0, "MaxCapacity": 16}),
    "backup_retention_period": ("BackupRetentionPeriod", 1),
    "preferred_backup_window": ("PreferredBackupWindow", "01:00-02:00"),
    "copy_tags_to_snapshot": ("CopyTagsToSnapshot", False),
    "preferred_maintenance_window": ("PreferredMaintenanceWindow", "mon:05:00-mon:06:00"),
    "auto_minor_version_upgrade": ("AutoMinorVersionUpgrade", True),
    "enable_performance_insights": ("PerformanceInsightsEnabled", False),
    "performance_insights_kms_key_id": ("PerformanceInsightsKMSKeyId", f"{KEY_ARN}2"),
    "performance_insights_retention_period": ("PerformanceInsightsRetentionPeriod", 7),
    "database_insights_mode": ("DatabaseInsightsMode", "standard"),
    "associated_roles": (
        "AssociatedRoles",
        [{"RoleArn": ROLE, "FeatureName": "s3Import", "Status": "INVALID"}],
    ),
    "enable_http_endpoint": ("HttpEndpointEnabled", None),
    "custom_endpoints": ("CustomEndpointsByOrdinal", []),
    "reader_autoscaling": ("ReaderAutoscaling", None),
    "tags": ("TagList", [{"Key": "team", "Value": "another"}]),
}
REPORTED_ONLY = {
    "availability_zones", "preferred_backup_window", "copy_tags_to_snapshot", "preferred_maintenance_window",
    "auto_minor_version_upgrade", "promotion_tier",
}  # fmt: skip
KNOWN = frozenset(AS_SHOWN)


def cluster_drift(wanted: dict[str, Any], described: dict[str, Any], known: frozenset[str] = KNOWN) -> list[Any]:
    return list(settings_table.cluster_differences(wanted, Shown("c", described, known)))


def test_nothing_differs_when_everything_is_as_asked_for() -> None:
    assert cluster_drift(EVERYTHING, AS_SHOWN) == []
    assert EVERYTHING.keys() == OTHERWISE.keys()
    of_cluster = {row.field for row in SETTINGS if row.cluster and Call.LAST not in row.calls}
    assert EVERYTHING.keys() == of_cluster


def test_what_was_not_asked_for_does_not_differ() -> None:
    assert cluster_drift({}, AS_SHOWN) == []
    assert cluster_drift({"backtrack_window": 0}, {**AS_SHOWN, "BacktrackWindow": None}) == []
    assert cluster_drift({"deletion_protection": True}, AS_SHOWN) == []  # it goes on when this has passed


@pytest.mark.parametrize("field", OTHERWISE)
def test_a_difference_is_found_alone(field: str) -> None:
    member, value = OTHERWISE[field]
    [found] = cluster_drift(EVERYTHING, {**AS_SHOWN, member: value})
    assert (found.field, found.resource, found.wanted) == (field, "c", EVERYTHING[field])
    assert found.matters is (field not in REPORTED_ONLY)
    assert field in found.told
    assert found.to_mapping()["wanted"] == EVERYTHING[field]


def test_what_the_sdk_does_not_show_cannot_differ() -> None:
    shown = {**AS_SHOWN, "EngineLifecycleSupport": None}
    assert [one.field for one in cluster_drift(EVERYTHING, shown)] == ["engine_lifecycle_support"]
    assert cluster_drift(EVERYTHING, shown, KNOWN - {"EngineLifecycleSupport"}) == []


INSTANCE: dict[str, Any] = {
    "DBInstanceIdentifier": "orders-1",
    "DBInstanceClass": "db.r8g.large",
    "PromotionTier": 0,
    "AvailabilityZone": "eu-west-1a",
    "DBParameterGroups": [{"DBParameterGroupName": "group"}],
    "CACertificateIdentifier": "rds-ca-ecc384-g1",
    "AutoMinorVersionUpgrade": False,
    "PreferredMaintenanceWindow": "sun:05:00-sun:06:00",
    "MonitoringInterval": 30,
    "MonitoringRoleArn": ROLE,
    "PerformanceInsightsEnabled": False,
}
OF_INSTANCE: dict[str, tuple[Any, str, Any]] = {
    "db_instance_class": ("db.r8g.large", "DBInstanceClass", "db.t4g.medium"),
    "promotion_tier": (0, "PromotionTier", 1),
    "availability_zone": ("eu-west-1a", "AvailabilityZone", "eu-west-1b"),
    "db_parameter_group_name": ("Group", "DBParameterGroups", [{"DBParameterGroupName": "default.x"}]),
    "ca_certificate_identifier": ("rds-ca-ecc384-g1", "CACertificateIdentifier", "rds-ca-rsa2048-g1"),
    "auto_minor_version_upgrade": (False, "AutoMinorVersionUpgrade", True),
    "preferred_maintenance_window": ("sun:05:00-sun:06:00", "PreferredMaintenanceWindow", "mon:05:00-mon:06:00"),
    "monitoring_interval": (30, "MonitoringInterval", 0),
    "monitoring_role_arn": (ROLE, "MonitoringRoleArn", None),
}


@pytest.mark.parametrize("field", OF_INSTANCE)
def test_a_difference_of_an_instance_is_found_alone(field: str) -> None:
    wanted = {name: row[0] for name, row in OF_INSTANCE.items()}
    assert list(settings_table.instance_differences(wanted, Shown("i", INSTANCE, frozenset(INSTANCE)))) == []
    _, member, value = OF_INSTANCE[field]
    [found] = settings_table.instance_differences(wanted, Shown("i", {**INSTANCE, member: value}, frozenset(INSTANCE)))
    assert (found.field, found.matters) == (field, field not in REPORTED_ONLY)


# --- copy -------------------------------------------------------------------------------------------------------------


def test_a_living_clusters_settings_are_a_request() -> None:
    reader = {**INSTANCE, "DBInstanceClass": "db.t4g.medium", "PromotionTier": 15, "MonitoringInterval": 0}
    reader |= {"DBInstanceIdentifier": "orders-2", "MonitoringRoleArn": None}
    shown = {**AS_SHOWN, "TagList": [*AS_SHOWN["TagList"], {"Key": "aurora-restore:operation-id", "Value": "op"}]}
    writer = {**INSTANCE, "PerformanceInsightsEnabled": True, "PerformanceInsightsRetentionPeriod": 465}
    writer["PerformanceInsightsKMSKeyId"] = KEY_ARN
    found = settings_table.copied(shown, [writer, reader])
    # Not copied: the zones that RDS chose, and the choice of paid support.
    own = {"availability_zones", "engine_lifecycle_support"}
    assert (EVERYTHING.keys() | {"monitoring_interval", "deletion_protection"}) - own <= found.keys()
    assert not found.keys() & own
    assert found["tags"] == {"team": "orders"}
    assert found["serverless_v2_scaling"]["seconds_until_auto_pause"] == 300
    assert found["db_instance_class"] == "db.r8g.large"
    assert found["instances"] == [
        {"promotion_tier": 0},
        {"db_instance_class": "db.t4g.medium", "promotion_tier": 15, "monitoring_interval": 0},
    ]


def test_default_groups_are_left_to_rds_unless_another_instance_has_its_own() -> None:
    default = {**INSTANCE, "DBParameterGroups": [{"DBParameterGroupName": "default.aurora-mysql8.0"}]}
    found = settings_table.copied({"DBClusterParameterGroup": "default.aurora-mysql8.0"}, [default])
    assert "db_cluster_parameter_group_name" not in found
    assert "db_parameter_group_name" not in found
    assert found["instances"] == [{"promotion_tier": 0}]
    found = settings_table.copied({}, [INSTANCE, default])
    assert found["db_parameter_group_name"] == "group"
    assert found["instances"][1]["db_parameter_group_name"] == "default.aurora-mysql8.0"
