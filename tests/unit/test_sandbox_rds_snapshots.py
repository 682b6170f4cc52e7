"""Snapshots and restores. Sources: botocore's documentation (BC), Aurora User Guide (AUG), quotas page (RUG-LIMITS)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.core import NotEmulated
from tests.unit.rds_harness import ACCOUNT, OTHER_ACCOUNT, REGION, Plane, World, key_arn, refused
from tests.unit.rds_harness import world as make_world

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW = "8.0.mysql_aurora.3.04.0", "8.0.mysql_aurora.3.08.2"


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


def found(world: World, account: str = ACCOUNT, region: str = REGION, **params: Any) -> set[str]:
    answer = world.call("DescribeDBClusterSnapshots", account, region, **params)
    return {snapshot["DBClusterSnapshotIdentifier"] for snapshot in answer["DBClusterSnapshots"]}


# ---- taking and finding


def test_a_snapshot_takes_time_and_shows_progress(world: World) -> None:
    """AUG-EVENTS: 0074 and 0075 for a manual cluster snapshot."""
    world.cluster()
    world.rds.set_volume_size(ACCOUNT, REGION, "source", 1000)
    world.call("CreateDBClusterSnapshot", DBClusterSnapshotIdentifier="Snap", DBClusterIdentifier="source")
    progress = []
    for _ in range(8):
        [shown] = world.call("DescribeDBClusterSnapshots", DBClusterSnapshotIdentifier="snap")["DBClusterSnapshots"]
        progress.append((shown["Status"], shown["PercentProgress"]))
        world.after(60)
    assert progress[0] == ("creating", 0)
    assert progress == sorted(progress, key=lambda one: one[1])
    assert progress[-1] == ("available", 100)
    assert shown["AllocatedStorage"] == 1000
    assert world.messages(SourceType="db-cluster-snapshot") == [
        "Creating manual cluster snapshot",
        "Manual cluster snapshot created",
    ]


def test_a_snapshot_keeps_some_settings_and_not_others(world: World) -> None:
    """BC shape DBClusterSnapshot: no parameter group, subnet group, security groups, protection.

    The port is kept, but shown as 0 (Security Hub user guide, AwsRdsDbClusterSnapshot).
    """
    world.cluster(Port=3310, BackupRetentionPeriod=9, EnableIAMDatabaseAuthentication=True)
    shown = world.snapshot()
    kept = {"Port": 0, "BackupRetentionPeriod": 9, "IAMDatabaseAuthenticationEnabled": True}
    assert {name: shown[name] for name in kept} == kept
    assert not {"DBClusterParameterGroup", "DBSubnetGroup", "VpcSecurityGroups", "DeletionProtection"} & shown.keys()


def test_identifier_and_cluster_exclude_each_other(world: World) -> None:
    """BC:DescribeDBClusterSnapshots."""
    with refused("InvalidParameterCombination"):
        found(world, DBClusterIdentifier="source", DBClusterSnapshotIdentifier="snap")


def test_an_automated_snapshot_by_identifier_needs_its_type(world: World) -> None:
    """BC: "If this identifier is for an automated snapshot, the SnapshotType parameter must also be specified." """
    world.cluster()
    arn = world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    world.after(200)
    name = arn.split(":", 6)[6]
    assert name == f"rds:source-{datetime(2026, 11, 1, 12, 1, tzinfo=UTC):%Y-%m-%d-%H-%M}"
    with refused("DBClusterSnapshotNotFoundFault"):
        found(world, DBClusterSnapshotIdentifier=name)
    assert found(world, DBClusterSnapshotIdentifier=name, SnapshotType="automated") == {name}
    assert found(world) == {name}, "without a type: automated and manual"
    assert found(world, SnapshotType="manual") == set()
    assert "Automated cluster snapshot created" in world.messages()


def test_filters_and_resource_id_tell_namesakes_apart(world: World) -> None:
    """BC: DbClusterResourceId; filters db-cluster-id, db-cluster-snapshot-id, snapshot-type, engine."""
    first = world.cluster()
    world.snapshot("one")
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    world.after(100)
    world.cluster()
    world.snapshot("two")
    assert found(world, DBClusterIdentifier="source") == {"one", "two"}
    assert found(world, DbClusterResourceId=first["DbClusterResourceId"]) == {"one"}
    assert found(world, Filters=[{"Name": "db-cluster-snapshot-id", "Values": ["two"]}]) == {"two"}
    assert found(world, Filters=[{"Name": "engine", "Values": ["aurora-postgresql"]}]) == set()


def test_automated_snapshots_expire_and_go_with_their_cluster(world: World) -> None:
    """AUG-2023 Aurora.Managing.Backups: end of the retention period, or deletion of the cluster."""
    world.cluster(BackupRetentionPeriod=1)
    world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    world.after(23 * 3600)
    assert len(found(world)) == 1
    world.after(3600 + 60)
    assert found(world) == set()
    world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    world.after(200)
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    world.after(100)
    assert found(world) == set()


def test_quota_counts_manual_snapshots_only(world: World) -> None:
    """RUG-LIMITS: 100 manual cluster snapshots; code SnapshotQuotaExceeded (not the shape's name)."""
    world.rds.kit.quotas["ManualClusterSnapshots"] = 1
    world.cluster()
    world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    world.rds.take_backup_snapshot(ACCOUNT, REGION, "source", "7f2c")
    world.snapshot("one")
    with refused("SnapshotQuotaExceeded"):
        world.snapshot("two")
    quotas = world.call("DescribeAccountAttributes")["AccountQuotas"]
    assert {"AccountQuotaName": "ManualClusterSnapshots", "Used": 1, "Max": 1} in quotas


def test_delete_snapshot(world: World) -> None:
    world.cluster()
    world.snapshot()
    arn = world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    with refused("InvalidDBClusterSnapshotStateFault"):
        world.call("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier=arn)
    world.call("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier="snap")
    world.after(60)
    with refused("DBClusterSnapshotNotFoundFault"):
        world.call("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier="snap")


# ---- sharing


def test_a_shared_snapshot_goes_by_its_arn_and_shows_only_when_asked_for(world: World) -> None:
    """AUG-SHARE, BC: IncludeShared or SnapshotType shared; the full ARN; only in its own region; tags stay at home."""
    world.cluster(KmsKeyId=key_arn("own"), StorageEncrypted=True)
    arn = world.snapshot(Tags=[{"Key": "team", "Value": "a"}])["DBClusterSnapshotArn"]
    world.share("snap", OTHER_ACCOUNT)
    assert found(world, OTHER_ACCOUNT) == set()
    assert found(world, OTHER_ACCOUNT, IncludeShared=True) == {arn}
    assert found(world, OTHER_ACCOUNT, SnapshotType="shared") == {arn}
    assert found(world, OTHER_ACCOUNT, SnapshotType="manual", IncludeShared=True) == set()
    assert found(world, OTHER_ACCOUNT, "us-east-1", IncludeShared=True) == set()
    with refused("DBClusterSnapshotNotFoundFault"):
        found(world, OTHER_ACCOUNT, IncludeShared=True, DBClusterSnapshotIdentifier="snap")
    answer = world.call(
        "DescribeDBClusterSnapshots", OTHER_ACCOUNT, DBClusterSnapshotIdentifier=arn, IncludeShared=True
    )
    [shown] = answer["DBClusterSnapshots"]
    assert (shown["SnapshotType"], shown["TagList"]) == ("shared", [])
    attributes = world.call("DescribeDBClusterSnapshotAttributes", DBClusterSnapshotIdentifier="snap")
    assert attributes["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"] == [
        {"AttributeName": "restore", "AttributeValues": [OTHER_ACCOUNT]}
    ]


def test_what_cannot_be_shared(world: World) -> None:
    """AUG-SHARE: automated and AWS Backup's, default keys, more than 20 accounts, ``all`` when encrypted."""
    world.cluster("default-key")
    world.snapshot("owned-by-aws", "default-key")
    automated = world.rds.take_automated_snapshot(ACCOUNT, REGION, "default-key")
    backup = world.rds.take_backup_snapshot(ACCOUNT, REGION, "default-key", "7f2c")
    world.cluster("own-key", StorageEncrypted=True, KmsKeyId=key_arn("own"))
    world.snapshot("mine", "own-key")
    world.cluster("aws-key", StorageEncrypted=True, KmsKeyId="alias/aws/rds")
    world.snapshot("legacy", "aws-key")
    for name in (automated, backup, "owned-by-aws", "legacy"):
        with refused("InvalidDBClusterSnapshotStateFault"):
            world.share(name, OTHER_ACCOUNT)
    with refused("InvalidDBClusterSnapshotStateFault", "publicly"):
        world.share("mine", "all")
    world.share("mine", *(f"{number:012}" for number in range(20)))
    with refused("SharedSnapshotQuotaExceeded"):
        world.share("mine", OTHER_ACCOUNT)


def test_sharing_a_default_key_names_the_reason(world: World) -> None:
    world.cluster()
    world.snapshot()
    with refused("InvalidDBClusterSnapshotStateFault", "default service key"):
        world.share("snap", OTHER_ACCOUNT)


# ---- RestoreDBClusterFromSnapshot


def test_restore_walks_without_an_event_and_without_instances(world: World) -> None:
    """AUG-STATUS: creating, migrating, available; AUG-EVENTS: no event for a restored cluster; no instances (BC)."""
    world.cluster()
    world.snapshot()
    before = world.messages()
    world.begin_restore()
    assert world.statuses("target", world.rds.timings.restore(1) + 10) == ["creating", "migrating", "available"]
    assert world.messages() == before
    assert world.shown("target")["DBClusterMembers"] == []


def test_what_a_restore_loses(world: World) -> None:
    """BC:RestoreDBClusterFromSnapshot, AUG-2023: what is not named comes back as a default, or not at all."""
    world.call(
        "CreateDBClusterParameterGroup",
        DBClusterParameterGroupName="mine",
        DBParameterGroupFamily="aurora-mysql8.0",
        Description="test",
    )
    source = world.cluster(
        DBClusterParameterGroupName="mine",
        VpcSecurityGroupIds=["sg-app"],
        Port=3310,
        BackupRetentionPeriod=9,
        DeletionProtection=True,
        CopyTagsToSnapshot=True,
        EnableIAMDatabaseAuthentication=True,
        EnableCloudwatchLogsExports=["audit"],
        StorageType="aurora-iopt1",
        ManageMasterUserPassword=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    world.snapshot()
    target = world.restore()
    assert target["Port"] == 3310
    assert target["BackupRetentionPeriod"] == 9
    assert target["DBClusterParameterGroup"] == "default.aurora-mysql8.0"
    assert target["VpcSecurityGroups"] == [{"VpcSecurityGroupId": "sg-default-vpc-1", "Status": "active"}]
    assert target["IAMDatabaseAuthenticationEnabled"] is False
    assert target["DeletionProtection"] is False
    assert target["EnabledCloudwatchLogsExports"] == []
    assert target["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert target["TagList"] == []
    assert not {"StorageType", "MasterUserSecret", "ServerlessV2ScalingConfiguration"} & target.keys()
    assert target["MasterUsername"] == source["MasterUsername"]
    assert target["DbClusterResourceId"] != source["DbClusterResourceId"]


def test_restorable_times_are_null_until_restored_and_no_backup_before(world: World) -> None:
    """AUG-2023 Aurora.Managing.Backups: NULL until the restore is complete; no backup while they are."""
    world.cluster()
    world.snapshot()
    target = world.restore()
    assert target["Status"] == "available"
    assert not {"EarliestRestorableTime", "LatestRestorableTime"} & target.keys()
    with refused("InvalidDBClusterStateFault"):
        world.snapshot("too-early", "target")
    world.after(60)
    assert "EarliestRestorableTime" in world.shown("target")
    world.snapshot("later", "target")


def test_engine_version_defaults_to_the_regions_not_the_snapshots(world: World) -> None:
    """BC: "the default version for the engine in the Region"."""
    world.cluster(EngineVersion=OLD)
    world.snapshot()
    default = world.rds.kit.catalogue.default("aurora-mysql").name
    assert world.restore(EngineVersion=None)["EngineVersion"] == default != OLD


def test_a_lower_version_and_an_unknown_one_are_refused_in_aws_words(world: World) -> None:
    """redcap-on-aws#99 and aws-sdk-go#3786 quote both texts."""
    world.cluster(EngineVersion=NEW)
    world.snapshot()
    with refused(
        "InvalidParameterCombination",
        rf"The engine version you requested for your restored DB cluster \({OLD}\) is earlier than the engine version "
        rf"of the DB cluster snapshot \({NEW}\)",
    ):
        world.restore(EngineVersion=OLD)
    world.rds.retire_version("aurora-mysql", NEW)
    with refused("InvalidParameterCombination", f"Cannot find version {NEW} for aurora-mysql"):
        world.restore(EngineVersion=NEW)
    with refused("InvalidParameterCombination", "doesn't match the engine name"):
        world.restore(Engine="aurora-postgresql", EngineVersion="16.8")


def test_restore_refusals(world: World) -> None:
    world.cluster()
    world.snapshot()
    with refused("DBClusterSnapshotNotFoundFault"):
        world.restore(snapshot="none")
    with refused("DBClusterAlreadyExistsFault"):
        world.restore("source")
    with refused("DBSubnetGroupNotFoundFault"):
        world.restore(DBSubnetGroupName="none")
    with refused("DBClusterParameterGroupNotFound"):
        world.restore(DBClusterParameterGroupName="none")
    with refused("InvalidParameterValue", "not a valid identifier"):
        world.restore("bad--name")
    arn = world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    with refused("InvalidDBClusterSnapshotStateFault"):
        world.restore(snapshot=arn)
    with pytest.raises(NotEmulated, match="MasterUserPassword"):  # BC: not a parameter of Restore
        world.restore(MasterUserPassword="nine-letters")


def test_a_snapshot_of_another_region_cannot_be_restored(world: World) -> None:
    """There is no cross-region restore: copy first."""
    world.cluster()
    arn = world.snapshot()["DBClusterSnapshotArn"]
    with refused("DBClusterSnapshotNotFoundFault"):
        world.call(
            "RestoreDBClusterFromSnapshot",
            ACCOUNT,
            "us-east-1",
            DBClusterIdentifier="target",
            SnapshotIdentifier=arn,
            Engine="aurora-mysql",
        )


def test_the_key_is_the_snapshots_unless_named(world: World) -> None:
    """AUG-ENC: whoever names no key keeps the snapshot's; a key may be given at restore."""
    world.cluster(StorageEncrypted=True, KmsKeyId=key_arn("own"))
    world.snapshot()
    assert world.restore("same")["KmsKeyId"] == key_arn("own")
    assert world.restore("new", KmsKeyId=key_arn("second"))["KmsKeyId"] == key_arn("second")
    with refused("KMSKeyNotAccessibleFault"):
        world.restore("gone", KmsKeyId=key_arn("disabled"))
    world.denied.add("kms:CreateGrant")
    with refused("KMSKeyNotAccessibleFault", "you do not have permissions to access it"):
        world.restore("denied")


def test_an_unencrypted_snapshot_comes_back_encrypted(world: World) -> None:
    """AUG-ENC: since 2026-02-18 restore operations produce encrypted clusters."""
    world.cluster()
    arn = world.snapshot()["DBClusterSnapshotArn"]
    world.rds.set_encryption(arn, "none")
    assert world.restore()["StorageEncryptionType"] == "sse-rds"


def test_a_shared_snapshot_is_restored_directly_and_may_keep_a_foreign_key(world: World) -> None:
    """AUG-SHARE: Aurora restores a shared snapshot directly, encrypted or not; AUG-ENC: with its owner's key."""
    world.cluster(StorageEncrypted=True, KmsKeyId=key_arn("own"))
    arn = world.snapshot()["DBClusterSnapshotArn"]
    world.share("snap", OTHER_ACCOUNT)
    answer = world.call(
        "RestoreDBClusterFromSnapshot",
        OTHER_ACCOUNT,
        DBClusterIdentifier="target",
        SnapshotIdentifier=arn,
        Engine="aurora-mysql",
        EngineVersion=NEW,
    )
    assert answer["DBCluster"]["KmsKeyId"] == key_arn("own")
    assert "kms:Decrypt" in {action for action, _, _ in world.asked}


def test_major_upgrade_by_restore_happens_at_the_writer_and_may_fail_quietly(world: World) -> None:
    """AUG-2023 AuroraMySQL.mysql80-upgrade-procedure: failed prechecks leave all available, still at 5.7."""
    world.cluster(EngineVersion="5.7.mysql_aurora.2.12.4")
    world.snapshot()
    for name in ("good", "bad"):
        assert world.restore(name)["EngineVersion"] == "5.7.mysql_aurora.2.12.4"
    world.rds.fail_upgrade("bad", "Database cluster is in a state that cannot be upgraded: prechecks failed")
    for name in ("good", "bad"):
        world.instance(f"{name}-writer", name)
    world.after(world.rds.timings.upgrade)
    assert world.shown("good")["EngineVersion"] == NEW
    bad = world.shown("bad")
    assert (bad["Status"], bad["EngineVersion"]) == ("available", "5.7.mysql_aurora.2.12.4")
    assert any("cannot be upgraded" in message for message in world.messages())


def test_volumes_are_copied_for_snapshot_and_restore() -> None:
    plane = Plane()
    with make_world(plane=plane) as world:
        source = world.cluster()["DbClusterResourceId"].lower()
        world.snapshot()
        target = world.restore()["DbClusterResourceId"].lower()
        snapshot = plane.done[1][2]
        assert plane.done[1:] == [("copy_volume", source, snapshot), ("copy_volume", snapshot, target)]
        world.call("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier="snap")
        world.after(60)
        assert plane.done[-1] == ("delete_volume", snapshot)


# ---- CopyDBClusterSnapshot, in one account


def copy(world: World, source: str, target: str, region: str = REGION, **params: Any) -> Any:
    answer = world.call(
        "CopyDBClusterSnapshot",
        ACCOUNT,
        region,
        SourceDBClusterSnapshotIdentifier=source,
        TargetDBClusterSnapshotIdentifier=target,
        **params,
    )
    return answer["DBClusterSnapshot"]


def test_a_copy_of_an_automated_snapshot_is_manual_and_has_no_event(world: World) -> None:
    """AUG-COPY: becomes manual; AUG-EVENTS has no event for copies of cluster snapshots; tags only with CopyTags."""
    world.cluster(StorageEncrypted=True, KmsKeyId=key_arn("own"), Tags=[{"Key": "team", "Value": "a"}])
    arn = world.rds.take_automated_snapshot(ACCOUNT, REGION, "source")
    world.after(200)
    before = world.messages()
    begun = copy(world, arn, "copied", KmsKeyId=key_arn("second"))
    assert (begun["Status"], begun["PercentProgress"]) == ("copying", 0)
    world.after(world.rds.timings.copy(1, same_region=True) + 1)
    [done] = world.call("DescribeDBClusterSnapshots", DBClusterSnapshotIdentifier="copied")["DBClusterSnapshots"]
    assert (done["Status"], done["SnapshotType"], done["KmsKeyId"]) == ("available", "manual", key_arn("second"))
    assert (done["SourceDBClusterSnapshotArn"], done["TagList"]) == (arn, [])
    assert world.messages() == before


def test_a_copy_may_progress_unevenly(world: World) -> None:
    world.cluster()
    world.snapshot()
    lasts = world.rds.timings.copy(1, same_region=True)
    shown = {}
    for skew in (0.5, 1.0, 2.0):
        world.rds.timings.copy_progress_skew = skew
        copy(world, "snap", f"copied-{skew:.0f}-{skew * 10:.0f}")
        world.after(lasts / 4)
        [found] = world.call(
            "DescribeDBClusterSnapshots", DBClusterSnapshotIdentifier=f"copied-{skew:.0f}-{skew * 10:.0f}"
        )["DBClusterSnapshots"]
        shown[skew] = found["PercentProgress"]
        world.after(lasts)  # copies of one snapshot queue
    assert shown == {0.5: 50, 1.0: 25, 2.0: 6}


def test_copy_rules(world: World) -> None:
    """BC:CopyDBClusterSnapshot: names, key across regions, no encrypting copy, state."""
    world.cluster()
    world.snapshot()
    arn = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:snap"
    with refused("InvalidParameterValue", "not a valid identifier"):
        copy(world, "snap", "rds:source-2026-11-01")
    with refused("InvalidParameterCombination", "KmsKeyId is required"):
        copy(world, arn, "over", "us-east-1")
    with refused("DBClusterSnapshotNotFoundFault"):
        copy(world, "snap", "over", "us-east-1")  # another region needs the ARN
    with refused("KMSKeyNotAccessibleFault"):
        copy(world, arn, "over", "us-east-1", KmsKeyId=key_arn("own"))  # a key of the source's region
    with refused("DBClusterSnapshotAlreadyExistsFault"):
        copy(world, "snap", "snap")
    world.rds.set_encryption(arn, "none")
    with refused("InvalidParameterCombination", "can't encrypt an unencrypted"):
        copy(world, "snap", "encrypted", KmsKeyId=key_arn("own"))
    copy(world, "snap", "second")
    with refused("InvalidDBClusterSnapshotStateFault"):
        copy(world, "second", "third")
    world.call("DeleteDBClusterSnapshot", DBClusterSnapshotIdentifier="second")  # cancels the copy
    world.after(60)
    assert found(world) == {"snap"}
