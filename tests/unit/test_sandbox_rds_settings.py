"""Every setting of a restored cluster: taken, kept, shown, refused (aws-facts 3.1 to 3.3, 3.5, 3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core import NotEmulated
from sandbox.rds.ports import SubnetFacts
from sandbox.rds.settings import check_windows
from tests.unit.rds_harness import ACCOUNT, Network, World, refused
from tests.unit.rds_harness import world as make_world

ROLE = f"arn:aws:iam::{ACCOUNT}:role/monitoring"
ADVANCED = {"DatabaseInsightsMode": "advanced", "EnablePerformanceInsights": True}


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


def writer(world: World, **params: Any) -> dict[str, Any]:
    world.cluster(**params)
    return world.instance("source-1")


# ---- values that are refused, wherever they are given


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "between 1 and 35"),
        ({"PreferredBackupWindow": "3:00-4:00"}, "InvalidParameterValue", "hh24:mi-hh24:mi"),
        ({"PreferredBackupWindow": "03:00-03:20"}, "InvalidParameterValue", "at least 30 minutes"),
        ({"StorageType": "gp3"}, "InvalidParameterCombination", "Invalid storage type"),
        ({"NetworkType": "IPV6"}, "InvalidParameterValue", "IPV4, DUAL"),
        ({"NetworkType": "DUAL"}, "NetworkTypeNotSupported", "supports IPV4"),
        ({"EngineLifecycleSupport": "none"}, "InvalidParameterValue", "EngineLifecycleSupport"),
        ({"EnableCloudwatchLogsExports": ["postgresql"]}, "InvalidParameterCombination", "log types 'postgresql'"),
        ({"BacktrackWindow": 259_201}, "InvalidParameterValue", "259200"),
        ({"Port": 80}, "InvalidParameterValue", "1150"),
        ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault", None),
        ({"VpcSecurityGroupIds": ["sg-none"]}, "InvalidParameterValue", "Invalid security group"),
        ({"DBClusterParameterGroupName": "none"}, "DBClusterParameterGroupNotFound", None),
    ],
)
@pytest.mark.parametrize("operation", ["restore", "to_time", "create"])
def test_a_wrong_value_is_refused(
    world: World, operation: str, params: dict[str, Any], code: str, text: str | None
) -> None:
    world.cluster()
    if operation == "restore":
        world.snapshot()
    with refused(code, text):
        if operation == "create":
            world.cluster("other", **params)
        elif operation == "restore":
            world.begin_restore(**params)
        else:
            given = {"SourceDBClusterIdentifier": "source", "UseLatestRestorableTime": True, **params}
            world.call("RestoreDBClusterToPointInTime", DBClusterIdentifier="target", **given)


@pytest.mark.parametrize(
    ("scaling", "code"),
    [
        ({"MinCapacity": 0.3, "MaxCapacity": 4}, "InvalidParameterCombination"),
        ({"MinCapacity": 1, "MaxCapacity": 4, "SecondsUntilAutoPause": 600}, "InvalidParameterCombination"),
        ({"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 299}, "InvalidParameterValue"),
        ({"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 86_401}, "InvalidParameterValue"),
    ],
)
def test_serverless_ranges(world: World, scaling: dict[str, Any], code: str) -> None:
    """BC:ServerlessV2ScalingConfiguration: half steps; a pause of 300 to 86,400 s, with a minimum of 0."""
    world.cluster()
    with refused(code):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", ServerlessV2ScalingConfiguration=scaling)


def test_the_pause_is_shown_where_it_was_not_given(world: World) -> None:
    shown = world.cluster(ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4})
    assert shown["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0,
        "MaxCapacity": 4,
        "SecondsUntilAutoPause": 300,
    }


@pytest.mark.parametrize(
    ("backup", "maintenance", "overlap"),
    [
        ("03:00-03:30", "sun:03:30-sun:04:00", False),
        ("03:00-03:31", "sun:03:30-sun:04:00", True),
        ("23:45-00:15", "mon:00:00-mon:00:30", True),
        ("23:45-00:15", "mon:00:15-mon:00:45", False),
        ("00:00-00:30", "sun:23:45-mon:00:15", True),
    ],
)
def test_windows_do_not_overlap(backup: str, maintenance: str, overlap: bool) -> None:
    """BC:PreferredBackupWindow: "Must not conflict with the preferred maintenance window"."""
    if not overlap:
        check_windows(backup, maintenance)
        return
    with refused("InvalidParameterCombination", "must not overlap"):
        check_windows(backup, maintenance)


def test_windows_of_a_modify_are_seen_together_with_what_stays(world: World) -> None:
    world.cluster(PreferredBackupWindow="03:00-03:30")
    with refused("InvalidParameterCombination", "must not overlap"):
        world.modify(PreferredMaintenanceWindow="wed:03:15-wed:03:45")
    for wrong in ("wed:03:15-wed:03:30", "03:15-03:45", "wed:03:15-fri:03:45"):
        with refused("InvalidParameterValue"):
            world.modify(PreferredMaintenanceWindow=wrong)
    assert world.modify(PreferredMaintenanceWindow="wed:04:00-wed:04:30")["Status"] == "available"


def test_backtrack_is_of_aurora_mysql_and_from_the_beginning(world: World) -> None:
    """AUG "Backtracking an Aurora DB cluster"."""
    assert world.cluster("back", BacktrackWindow=3600)["BacktrackWindow"] == 3600
    assert world.modify("back", BacktrackWindow=7200)["BacktrackWindow"] == 7200
    world.cluster()
    with refused("InvalidParameterCombination", "isn't enabled"):
        world.modify(BacktrackWindow=3600)
    with refused("InvalidParameterCombination", "Backtrack isn't supported"):
        world.cluster(
            "pg", Engine="aurora-postgresql", EngineVersion="16.8", MasterUsername="postgres", BacktrackWindow=1
        )


def test_dual_stack_where_all_subnets_have_ipv6(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tuple(SubnetFacts(one.subnet, one.vpc, one.zone, ipv6=True) for one in Network.facts)
    monkeypatch.setattr(Network, "facts", facts)
    assert world.cluster(NetworkType="DUAL")["NetworkType"] == "DUAL"
    [group] = world.call("DescribeDBSubnetGroups", DBSubnetGroupName="default")["DBSubnetGroups"]
    assert group["SupportedNetworkTypes"] == ["IPV4", "DUAL"]


@pytest.mark.parametrize(
    "member",
    [
        "MasterUserPassword",
        "ManageMasterUserPassword",
        "MasterUserSecretKmsKeyId",
        "PreferredMaintenanceWindow",
        "AutoMinorVersionUpgrade",
        "EnableLocalWriteForwarding",
        "EnableGlobalWriteForwarding",
        "DatabaseInsightsMode",
        "CACertificateIdentifier",
        "DBInstanceParameterGroupName",
        "EnableHttpEndpoint",
    ],
)
def test_a_restore_does_not_take(world: World, member: str) -> None:
    """aws-facts 3.1: not in the request's shape, so a Modify must follow."""
    world.cluster()
    world.snapshot()
    with pytest.raises(NotEmulated, match=member):
        world.begin_restore(**{member: "x"})


# ---- insights and monitoring


def test_advanced_insights_need_performance_insights_for_465_days(world: World) -> None:
    """BC:ModifyDBCluster.DatabaseInsightsMode."""
    writer(world)
    for given in (
        {"DatabaseInsightsMode": "advanced"},
        ADVANCED,
        {"DatabaseInsightsMode": "advanced", "PerformanceInsightsRetentionPeriod": 465},
        {**ADVANCED, "PerformanceInsightsRetentionPeriod": 731},
    ):
        with refused("InvalidParameterCombination", "465"):
            world.call("ModifyDBCluster", DBClusterIdentifier="source", **given)
    with refused("InvalidParameterValue", "retention"):
        world.modify(PerformanceInsightsRetentionPeriod=8)
    shown = world.modify(**ADVANCED, PerformanceInsightsRetentionPeriod=465)
    assert shown["DatabaseInsightsMode"] == "advanced"
    for instance in (world.instance_shown("source-1"), world.instance("source-2")):
        assert (instance["DatabaseInsightsMode"], instance["PerformanceInsightsEnabled"]) == ("advanced", True)
        assert instance["PerformanceInsightsRetentionPeriod"] == 465
    with refused("InvalidParameterCombination", "Set DatabaseInsightsMode for the DB Cluster"):
        world.instance("source-3", DatabaseInsightsMode="standard")


def test_monitoring_needs_a_role_that_may_be_passed(world: World) -> None:
    world.cluster()
    with refused("InvalidParameterValue", "0, 1, 5, 10, 15, 30, 60"):
        world.instance("source-1", MonitoringInterval=7, MonitoringRoleArn=ROLE)
    with refused("InvalidParameterCombination", "MonitoringRoleARN"):
        world.instance("source-1", MonitoringInterval=30)
    with refused("InvalidParameterCombination", "MonitoringRoleARN"):
        world.modify(MonitoringInterval=30)
    shown = world.instance("source-1", MonitoringInterval=30, MonitoringRoleArn=ROLE)
    assert (shown["MonitoringInterval"], shown["MonitoringRoleArn"]) == (30, ROLE)
    assert "log-group:RDSOSMetrics" in shown["EnhancedMonitoringResourceArn"]
    assert (
        "iam:PassRole",
        ROLE,
        {"aws:ViaAWSService": "true", "iam:PassedToService": "monitoring.rds.amazonaws.com"},
    ) in (world.asked)
    world.modify(MonitoringInterval=60, MonitoringRoleArn=ROLE)
    assert world.instance_shown("source-1")["MonitoringInterval"] == 60
    assert world.instance("source-2")["MonitoringInterval"] == 60


def test_an_authority_must_fit_the_version(world: World) -> None:
    """aws-facts 3.4: SupportedCACertificateIdentifiers of DescribeDBEngineVersions."""
    shown = writer(world)
    assert shown["CertificateDetails"]["CAIdentifier"] == "rds-ca-rsa2048-g1"
    assert world.instance("source-2", CACertificateIdentifier="rds-ca-ecc384-g1")["CertificateDetails"][
        "CAIdentifier"
    ] == ("rds-ca-ecc384-g1")
    with refused("CertificateNotFound"):
        world.instance("source-3", CACertificateIdentifier="rds-ca-2019")
    world.cluster("old", EngineVersion="5.7.mysql_aurora.2.12.5")
    offered = world.call("DescribeDBEngineVersions", Engine="aurora-mysql", EngineVersion="5.7.mysql_aurora.2.12.5")
    assert "rds-ca-ecc384-g1" not in offered["DBEngineVersions"][0]["SupportedCACertificateIdentifiers"]
    with refused("InvalidParameterCombination", "isn't supported"):
        world.instance("old-1", "old", CACertificateIdentifier="rds-ca-ecc384-g1")


# ---- parameter groups and reboots


def test_a_dynamic_parameter_is_applied_soon_a_static_one_with_a_reboot(world: World) -> None:
    """aws-facts 3.5: DBParameterGroups "applying"; cluster members "pending-reboot" until RebootDBInstance."""
    family = {"DBParameterGroupFamily": "aurora-mysql8.0", "Description": "d"}
    world.call("CreateDBParameterGroup", DBParameterGroupName="own", **family)
    world.call("CreateDBClusterParameterGroup", DBClusterParameterGroupName="own", **family)
    world.cluster(DBClusterParameterGroupName="own")
    world.instance("source-1", DBParameterGroupName="own")

    def status() -> tuple[str, str]:
        [group] = world.instance_shown("source-1")["DBParameterGroups"]
        [member] = world.shown("source")["DBClusterMembers"]
        return group["ParameterApplyStatus"], member["DBClusterParameterGroupStatus"]

    def set_parameter(operation: str, name: str, method: str) -> None:
        parameter = {"ParameterName": name, "ParameterValue": "1", "ApplyMethod": method}
        world.call(
            f"Modify{operation}ParameterGroup", **{f"{operation}ParameterGroupName": "own"}, Parameters=[parameter]
        )

    assert status() == ("in-sync", "in-sync"), "groups that are named at create or restore wait for nothing"
    set_parameter("DB", "slow_query_log", "immediate")
    assert status() == ("applying", "in-sync")
    world.after(60)
    assert status() == ("in-sync", "in-sync")
    set_parameter("DB", "performance_schema", "pending-reboot")
    set_parameter("DBCluster", "binlog_format", "pending-reboot")
    world.after(60)
    assert status() == ("pending-reboot", "pending-reboot")
    world.call("RebootDBInstance", DBInstanceIdentifier="source-1")
    assert world.instance_shown("source-1")["DBInstanceStatus"] == "rebooting"
    world.after(60)
    assert status() == ("in-sync", "in-sync")
    world.rds.need_reboot("source-1")
    assert status() == ("pending-reboot", "pending-reboot")


# ---- events that say what no status says


def test_an_event_without_a_change_of_status(world: World) -> None:
    """aws-facts 6: several failures show only in DescribeEvents."""
    writer(world)
    world.rds.emit_event("source", "Amazon RDS can't access the KMS encryption key")
    world.rds.emit_event("source-1", "Insufficient instance capacity", category="notification")
    world.rds.emit_event("source", event_id="RDS-EVENT-0177")
    assert world.shown("source")["Status"] == "available"
    texts = world.messages(SourceType="db-cluster", SourceIdentifier="source")
    assert texts[-2:] == ["Amazon RDS can't access the KMS encryption key", "Database cluster upgrade in progress"]
    assert "Insufficient instance capacity" in world.messages(SourceType="db-instance")
    with pytest.raises(KeyError):
        world.rds.emit_event("none", "x")
