"""Clusters: create, modify, rename, delete, passwords. Sources: botocore's docs (BC), Aurora User Guide (AUG)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandbox.core import NotEmulated
from sandbox.rds.settings import check_windows, drawn_window
from tests.unit.rds_harness import ACCOUNT, PASSWORD, REGION, Plane, World, key_arn, refused
from tests.unit.rds_harness import world as make_world

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


# ---- DescribeDBClusters


def test_describes_by_identifier_arn_and_filter(world: World) -> None:
    one = world.cluster("One")
    world.cluster("two", Engine="aurora-postgresql", EngineVersion="16.8", MasterUsername="postgres")
    assert one["DBClusterIdentifier"] == "one", "identifiers are stored in lower case"
    assert world.shown(one["DBClusterArn"]) == one
    by_engine = world.call("DescribeDBClusters", Filters=[{"Name": "engine", "Values": ["aurora-postgresql"]}])
    assert [cluster["DBClusterIdentifier"] for cluster in by_engine["DBClusters"]] == ["two"]
    with refused("DBClusterNotFoundFault"):  # cluster errors keep their shape's name on the wire (botocore)
        world.shown("three")
    with refused("InvalidParameterValue", "Unrecognized filter"):
        world.call("DescribeDBClusters", Filters=[{"Name": "colour", "Values": ["red"]}])


def test_pages_of_20_to_100(world: World) -> None:
    for number in range(25):
        world.call(
            "CreateDBCluster",
            DBClusterIdentifier=f"c{number:02}",
            Engine="aurora-mysql",
            MasterUsername="admin",
            MasterUserPassword=PASSWORD,
        )
    first = world.call("DescribeDBClusters", MaxRecords=20)
    second = world.call("DescribeDBClusters", MaxRecords=20, Marker=first["Marker"])
    assert len(first["DBClusters"]) == 20
    assert [cluster["DBClusterIdentifier"] for cluster in second["DBClusters"]] == [f"c{n}" for n in range(20, 25)]
    assert "Marker" not in second
    with refused("InvalidParameterValue", "Must be between 20 and 100"):
        world.call("DescribeDBClusters", MaxRecords=5)


def test_first_reads_after_a_create_may_miss(world: World) -> None:
    """The first poll may answer 404 (Terraform waits 30 s before it, CloudFormation "probes")."""
    world.rds.hide_new_resources(reads=2)
    world.call(
        "CreateDBCluster",
        DBClusterIdentifier="new",
        Engine="aurora-mysql",
        MasterUsername="admin",
        MasterUserPassword=PASSWORD,
    )
    for _ in range(2):
        with refused("DBClusterNotFoundFault"):
            world.shown("new")
    assert world.shown("new")["Status"] == "creating"


# ---- CreateDBCluster


@pytest.mark.parametrize("name", ["9lives", "two--hyphens", "ends-", "under_score", "x" * 64, ""])
def test_identifier_rules(world: World, name: str) -> None:
    """BC:CreateDBCluster.DBClusterIdentifier: 1-63 letters, digits, hyphens; letter first; no ``--``, no last ``-``."""
    with refused("InvalidParameterValue" if name else "MissingParameter"):
        world.cluster(name)


def test_refuses_what_cannot_be(world: World) -> None:
    world.cluster()
    with refused("DBClusterAlreadyExistsFault"):
        world.cluster("SOURCE")
    with refused("InvalidParameterCombination", "Cannot find version 8.0.mysql_aurora.3.99.9 for aurora-mysql"):
        world.cluster("other", EngineVersion="8.0.mysql_aurora.3.99.9")
    with refused("InvalidParameterCombination", "Cannot find version"):  # retired
        world.cluster("other", EngineVersion="8.0.mysql_aurora.3.05.2")
    with refused("DBSubnetGroupNotFoundFault"):
        world.cluster("other", DBSubnetGroupName="none")
    with refused("DBClusterParameterGroupNotFound"):  # wire code ≠ shape name
        world.cluster("other", DBClusterParameterGroupName="none")
    with refused("InvalidParameterCombination", "cannot be used for this instance"):
        world.cluster("other", DBClusterParameterGroupName="default.aurora-mysql5.7")
    with refused("InvalidParameterCombination", "different VPCs"):
        world.cluster("other", VpcSecurityGroupIds=["sg-elsewhere"])
    with refused("InvalidParameterValue", "Invalid security group"):
        world.cluster("other", VpcSecurityGroupIds=["sg-none"])
    with refused("InvalidParameterValue", "Only printable ASCII"):
        world.cluster("other", MasterUserPassword="with/slash@")
    with pytest.raises(NotEmulated, match="ReplicationSourceIdentifier"):
        world.cluster("other", ReplicationSourceIdentifier="x")


def test_quota_of_40_clusters(world: World) -> None:
    """RUG-LIMITS: 40 clusters; the fault is a 403."""
    world.rds.kit.quotas["DBClusters"] = 1
    world.cluster()
    with refused("DBClusterQuotaExceededFault"):
        world.cluster("second")


def test_always_encrypted_since_february_2026(world: World) -> None:
    """AUG-ENC: from 2026-02-18 the default is a key that AWS owns, which shows as sse-rds without KmsKeyId."""
    today = world.cluster()
    assert (today["StorageEncrypted"], today["StorageEncryptionType"]) == (True, "sse-rds")
    assert "KmsKeyId" not in today
    with make_world(start=datetime(2025, 6, 1, tzinfo=UTC)) as before:
        assert before.cluster("plain")["StorageEncryptionType"] == "none"
        assert before.cluster("legacy", StorageEncrypted=True)["KmsKeyId"] == key_arn("aws-rds")


def test_a_customer_key_needs_createGrant_and_describeKey_of_the_caller(world: World) -> None:  # noqa: N802
    """AUG-KEYS: RDS acts as the caller; CreateGrant for an AWS resource, by way of RDS."""
    world.cluster(StorageEncrypted=True, KmsKeyId=key_arn("own"))
    asked = {action: context for action, resource, context in world.asked if resource == key_arn("own")}
    assert asked["kms:CreateGrant"]["kms:GrantIsForAWSResource"] == "true"
    assert asked["kms:DescribeKey"]["kms:ViaService"] == f"rds.{REGION}.amazonaws.com"
    for key in ("none", "disabled"):
        with refused("KMSKeyNotAccessibleFault", "does not exist, is not enabled or you do not have permissions"):
            world.cluster("other", StorageEncrypted=True, KmsKeyId=key)
    world.denied.add("kms:CreateGrant")
    with refused("KMSKeyNotAccessibleFault"):
        world.cluster("other", StorageEncrypted=True, KmsKeyId=key_arn("own"))


def test_storage_type_shows_only_when_io_optimized(world: World) -> None:
    """BC:DBCluster.StorageType: not returned for ``aurora``."""
    assert "StorageType" not in world.cluster()
    assert world.cluster("fast", StorageType="aurora-iopt1")["StorageType"] == "aurora-iopt1"


# ---- ModifyDBCluster


def test_modify_walks_and_is_stale_first(world: World) -> None:
    """A read right after a Modify still says available; one modification at a time."""
    world.cluster()
    world.call("ModifyDBCluster", DBClusterIdentifier="source", BackupRetentionPeriod=7, ApplyImmediately=True)
    assert world.shown("source")["Status"] == "available"
    with refused("InvalidDBClusterStateFault"):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", BackupRetentionPeriod=8)
    assert world.statuses("source", 60) == ["available", "modifying", "available"]
    assert world.shown("source")["BackupRetentionPeriod"] == 7


def test_password_waits_for_apply_immediately(world: World) -> None:
    """TF#3220: without ApplyImmediately a password is silently queued (BC says otherwise: the harder reading holds)."""
    world.cluster()
    queued = world.modify(MasterUserPassword="another-password", ApplyImmediately=False)
    assert queued["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    assert "Reset master credentials" not in world.messages()
    world.call(
        "ModifyDBCluster", DBClusterIdentifier="source", MasterUserPassword="third-password", ApplyImmediately=True
    )
    assert "resetting-master-credentials" in world.statuses("source", 90)
    assert "Reset master credentials" in world.messages(SourceType="db-cluster", SourceIdentifier="source")


def test_managed_password_makes_a_secret_that_waits_for_an_instance(world: World) -> None:
    """AUG rds-secrets-manager: name, tags, user and password only; ``active`` needs an instance (CFN skips it)."""
    world.cluster()
    shown = world.modify(ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=key_arn("own"))
    secret = world.secrets[shown["MasterUserSecret"]["SecretArn"]]
    assert secret["name"].startswith("rds!cluster-")
    assert secret["tags"] == {"aws:rds:primaryDBClusterArn": shown["DBClusterArn"]}
    assert set(json.loads(secret["value"])) == {"username", "password"}
    assert shown["MasterUserSecret"]["SecretStatus"] == "creating"
    assert shown["MasterUserSecret"]["KmsKeyId"] == key_arn("own")
    actions = {action for action, _, _ in world.asked}
    assert {"secretsmanager:CreateSecret", "secretsmanager:TagResource", "kms:GenerateDataKey"} <= actions
    world.instance("writer")
    assert world.shown("source")["MasterUserSecret"]["SecretStatus"] == "active"
    with refused("InvalidParameterCombination", "manages"):
        world.modify(MasterUserPassword="third-password")
    before = secret["value"]
    world.modify(RotateMasterUserPassword=True)
    assert world.secrets[shown["MasterUserSecret"]["SecretArn"]]["value"] != before
    assert "MasterUserSecret" not in world.modify(ManageMasterUserPassword=False, MasterUserPassword="third-password")
    assert world.secrets == {}


def test_the_first_cluster_of_an_account_makes_its_service_linked_role(world: World) -> None:
    """AUG "Using service-linked roles for Amazon Aurora"."""
    world.denied.add("iam:CreateServiceLinkedRole")
    with refused("InvalidParameterValue", "permission to create service linked role"):
        world.cluster("first")
    world.denied.clear()
    world.cluster("first")
    world.denied.add("iam:CreateServiceLinkedRole")
    world.cluster("second")


def test_a_cluster_shows_no_performance_insights_before_they_are_switched(world: World) -> None:
    assert "PerformanceInsightsEnabled" not in world.cluster("plain")
    assert world.cluster("watched", EnablePerformanceInsights=True)["PerformanceInsightsEnabled"] is True


def test_the_backup_window_is_drawn_clear_of_the_maintenance_window(world: World) -> None:
    names = [f"lot-{n}" for n in range(12)]
    drawn = {world.cluster(name)["PreferredBackupWindow"] for name in names}
    assert len(drawn) > 3
    for name in names:
        check_windows(drawn_window(name, "sun:22:00-mon:05:30"), "sun:22:00-mon:05:30")


def test_a_caller_without_createsecret_is_denied(world: World) -> None:
    world.cluster()
    world.denied.add("secretsmanager:CreateSecret")
    with refused("AccessDenied", "secretsmanager:CreateSecret"):
        world.modify(ManageMasterUserPassword=True)


def test_iam_authentication_and_log_exports(world: World) -> None:
    world.cluster()
    world.call(
        "ModifyDBCluster",
        DBClusterIdentifier="source",
        ApplyImmediately=True,
        EnableIAMDatabaseAuthentication=True,
        CloudwatchLogsExportConfiguration={"EnableLogTypes": ["error", "audit"]},
    )
    assert world.shown("source")["PendingModifiedValues"] == {"IAMDatabaseAuthenticationEnabled": True}
    assert "configuring-iam-database-auth" in world.statuses("source", 120)
    shown = world.shown("source")
    assert shown["IAMDatabaseAuthenticationEnabled"] is True
    assert shown["EnabledCloudwatchLogsExports"] == ["audit", "error"]
    with refused("InvalidParameterCombination", "log types 'postgresql'"):
        world.modify(CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]})


def test_parameter_group_of_another_family_is_refused_and_a_new_one_waits_for_a_reboot(world: World) -> None:
    """AUG Aurora.Modifying: a group changed later is pending-reboot on the members, until a reboot."""
    world.cluster()
    world.instance("writer")
    for name, family in (("mine", "aurora-mysql8.0"), ("old", "aurora-mysql5.7")):
        world.call(
            "CreateDBClusterParameterGroup",
            DBClusterParameterGroupName=name,
            DBParameterGroupFamily=family,
            Description="test",
        )
    with refused(
        "InvalidParameterCombination", "Please use a Parameter Group with DBParameterGroupFamily aurora-mysql8.0"
    ):
        world.modify(DBClusterParameterGroupName="old")
    [member] = world.modify(DBClusterParameterGroupName="mine")["DBClusterMembers"]
    assert member["DBClusterParameterGroupStatus"] == "pending-reboot"
    world.call("RebootDBInstance", DBInstanceIdentifier="writer")
    assert world.instance_shown("writer")["DBInstanceStatus"] == "rebooting"
    world.after(60)
    [member] = world.shown("source")["DBClusterMembers"]
    assert member["DBClusterParameterGroupStatus"] == "in-sync"


def test_engine_version_needs_a_healthy_writer_and_an_upgrade_path(world: World) -> None:
    """TF#23601: InvalidDBClusterStateFault without a primary instance."""
    world.cluster()
    with refused("InvalidDBClusterStateFault", "without a healthy primary instance"):
        world.modify(EngineVersion="8.0.mysql_aurora.3.09.0")
    world.instance("writer")
    with refused("InvalidParameterCombination", "Cannot upgrade"):
        world.modify(EngineVersion="8.0.mysql_aurora.3.04.0")
    assert world.modify(EngineVersion="8.0.mysql_aurora.3.09.0")["EngineVersion"] == "8.0.mysql_aurora.3.09.0"
    assert world.instance_shown("writer")["EngineVersion"] == "8.0.mysql_aurora.3.09.0"


def test_a_major_upgrade_must_be_allowed(world: World) -> None:
    world.cluster("pg", Engine="aurora-postgresql", EngineVersion="15.10", MasterUsername="postgres")
    world.instance("writer", "pg")
    with refused("InvalidParameterCombination", "AllowMajorVersionUpgrade"):
        world.modify("pg", EngineVersion="16.8")
    shown = world.modify("pg", EngineVersion="16.8", AllowMajorVersionUpgrade=True)
    assert (shown["EngineVersion"], shown["DBClusterParameterGroup"]) == ("16.8", "default.aurora-postgresql16")


def test_rename_moves_the_name_and_keeps_the_resource(world: World) -> None:
    """AUG-2023: status renaming, both cluster endpoints change, instances keep their names; event RDS-EVENT-0172."""
    before = world.cluster("old")
    world.instance("writer", "old")
    world.call("ModifyDBCluster", DBClusterIdentifier="old", NewDBClusterIdentifier="new", ApplyImmediately=True)
    assert world.statuses("old", 50) == ["available", "renaming"]
    with refused("DBClusterNotFoundFault"):
        world.shown("new")
    world.after(20)
    with refused("DBClusterNotFoundFault"):
        world.shown("old")
    after = world.shown("new")
    assert after["DbClusterResourceId"] == before["DbClusterResourceId"]
    assert after["Endpoint"].startswith("new.")
    assert world.instance_shown("writer")["DBClusterIdentifier"] == "new"
    assert "Renamed cluster from old to new" in world.messages()


def test_the_maintenance_window_applies_what_waits(world: World) -> None:
    world.cluster()
    assert world.modify(EnableIAMDatabaseAuthentication=True, ApplyImmediately=False)["PendingModifiedValues"]
    from sandbox.core import Principal

    world.rds.run_maintenance(ACCOUNT, REGION, "source", Principal(ACCOUNT, "arn:aws:iam::1:root", admin=True))
    world.after(200)
    shown = world.shown("source")
    assert shown["IAMDatabaseAuthenticationEnabled"] is True
    assert "PendingModifiedValues" not in shown


# ---- DeleteDBCluster


def test_delete_rules(world: World) -> None:
    """BC:DeleteDBCluster, AUG-2023, and Terraform's acceptance tests for the texts."""
    world.cluster(DeletionProtection=True)
    world.instance("writer")
    with refused("InvalidParameterCombination", "FinalDBSnapshotIdentifier is required"):
        world.call("DeleteDBCluster", DBClusterIdentifier="source")
    with refused("InvalidParameterCombination", "can not be specified"):
        world.call(
            "DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True, FinalDBSnapshotIdentifier="final"
        )
    with refused("InvalidParameterCombination", "Cannot delete protected Cluster"):
        world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    world.modify(DeletionProtection=False)
    with refused("InvalidDBClusterStateFault", "still contains DB instances in non-deleting state"):
        world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    world.call("DeleteDBInstance", DBInstanceIdentifier="writer")
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    assert world.shown("source")["Status"] == "deleting"
    world.after(world.rds.timings.instance_delete + 20)
    with refused("DBClusterNotFoundFault"):
        world.shown("source")
    assert "DB cluster deleted" in world.messages()


def test_final_snapshot_needs_the_permission_and_the_secret_goes_with_the_cluster(world: World) -> None:
    """Since February 2025 the caller needs rds:CreateDBClusterSnapshot (AWS notice); RDS deletes its own secret."""
    world.cluster(ManageMasterUserPassword=True)
    assert len(world.secrets) == 1
    world.denied.add("rds:CreateDBClusterSnapshot")
    with refused("AccessDenied"):
        world.call("DeleteDBCluster", DBClusterIdentifier="source", FinalDBSnapshotIdentifier="final")
    world.denied.clear()
    world.call("DeleteDBCluster", DBClusterIdentifier="source", FinalDBSnapshotIdentifier="final")
    world.after(300)
    assert world.secrets == {}
    [final] = world.call("DescribeDBClusterSnapshots", DBClusterSnapshotIdentifier="final")["DBClusterSnapshots"]
    assert (final["SnapshotType"], final["Status"]) == ("manual", "available")


# ---- injected trouble


def test_a_resource_ends_where_a_test_sends_it(world: World) -> None:
    world.rds.fail_resource("source", "incompatible-network", "no free address in the subnet")
    assert world.cluster()["Status"] == "incompatible-network"
    assert "no free address in the subnet" in world.messages()
    with refused("InvalidDBClusterStateFault"):
        world.modify(BackupRetentionPeriod=2)
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)


def test_a_held_status_stays_until_released(world: World) -> None:
    world.rds.hold_status("source", "quiescing")
    assert world.cluster()["Status"] == "quiescing"
    world.rds.release_status("source")
    assert world.shown("source")["Status"] == "available"
    world.rds.hold_status("source", "storage-optimization")
    assert world.shown("source")["Status"] == "storage-optimization"
    world.rds.release_status("source")
    assert world.shown("source")["Status"] == "available"


# ---- real servers


def test_the_data_plane_sees_the_life_of_a_cluster() -> None:
    plane = Plane()
    with make_world(plane=plane) as world:
        shown = world.cluster(DatabaseName="shop")
        volume = shown["DbClusterResourceId"].lower()
        assert plane.done == [("create_volume", volume, "aurora-mysql", "admin", PASSWORD, "shop")]
        world.modify(MasterUserPassword="second-password")
        world.instance("writer")
        world.instance("reader")
        assert plane.done[1:] == [
            ("set_master_password", volume, "admin", "second-password"),
            ("start", volume, "8.0.mysql_aurora.3.08.2"),
        ]
        shown = world.shown("source")
        assert (shown["Endpoint"], shown["ReaderEndpoint"]) == ("source.writer.local", "source.reader.local")
        assert world.instance_shown("reader")["Endpoint"]["Address"] == "source.db:reader.local"
        world.modify(NewDBClusterIdentifier="moved")
        assert {key.cluster for key in plane.open} == {"moved"}
        assert world.shown("moved")["Endpoint"] == "moved.writer.local"
        for name in ("writer", "reader"):
            world.call("DeleteDBInstance", DBInstanceIdentifier=name)
        world.call("DeleteDBCluster", DBClusterIdentifier="moved", SkipFinalSnapshot=True)
        world.after(600)
        assert plane.open == {}
        assert plane.done[-2:] == [("stop", volume), ("delete_volume", volume)]


def test_a_broken_data_plane_is_a_failed_cluster_not_a_silent_success() -> None:
    plane = Plane()
    plane.broken = "create_volume"
    with make_world(plane=plane) as world:
        assert world.cluster()["Status"] == "failed"
        assert any("no space left" in message for message in world.messages())
