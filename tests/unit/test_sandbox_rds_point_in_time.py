"""Point in time, retained backups, clones (aws-facts 4), and major upgrades of what was restored (aws-facts 3.4)."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.clock import VirtualClock
from sandbox.core import Call, Principal
from sandbox.dataplane import DataPlane
from sandbox.rds import RdsService
from sandbox.rds.ports import KeyFacts
from tests.unit.rds_harness import (
    ACCOUNT,
    OTHER_ACCOUNT,
    PASSWORD,
    REGION,
    ROLE,
    Network,
    Plane,
    Secrets,
    World,
    key_arn,
    refused,
)
from tests.unit.rds_harness import world as make_world

LATEST: dict[str, Any] = {"UseLatestRestorableTime": True}
CLONE: dict[str, Any] = {"RestoreType": "copy-on-write", **LATEST}
MAJOR: dict[str, Any] = {"AllowMajorVersionUpgrade": True, "ApplyImmediately": True}


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


def source(world: World, **params: Any) -> dict[str, Any]:
    """A cluster with a writer and an hour of past."""
    world.cluster(**params)
    world.instance("source-1")
    world.after(3600)
    return world.shown("source")


def to_time(world: World, name: str = "back", account: str = ACCOUNT, /, **params: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"DBClusterIdentifier": name, **params}
    if "SourceDbClusterResourceId" not in params:
        given.setdefault("SourceDBClusterIdentifier", "source")
    return dict(world.call("RestoreDBClusterToPointInTime", account, REGION, **given)["DBCluster"])


def restored(world: World, name: str = "back", /, **params: Any) -> dict[str, Any]:
    to_time(world, name, **params)
    world.after(3600)
    return world.shown(name)


# ---- what is asked for


def test_exactly_one_source_and_one_time(world: World) -> None:
    shown = source(world)
    now = world.clock.now()
    for params in (
        {},
        {**LATEST, "RestoreToTime": now},
        {**CLONE, "RestoreToTime": now, "UseLatestRestorableTime": False},
        {**LATEST, "SourceDBClusterIdentifier": "source", "SourceDbClusterResourceId": shown["DbClusterResourceId"]},
    ):
        with refused("InvalidParameterCombination"):
            to_time(world, **params)
    with refused("InvalidParameterValue", "restore type"):
        to_time(world, **LATEST, RestoreType="copy")
    with refused("DBClusterNotFoundFault"):
        to_time(world, **LATEST, SourceDBClusterIdentifier="none")
    with refused("DBClusterNotFoundFault"):  # same region only
        elsewhere = shown["DBClusterArn"].replace(REGION, "us-east-1")
        to_time(world, **LATEST, SourceDBClusterIdentifier=elsewhere)
    with refused("DBClusterAlreadyExistsFault"):
        to_time(world, "source", **LATEST)


def test_only_within_the_window(world: World) -> None:
    shown = source(world)
    earliest, latest = shown["EarliestRestorableTime"], shown["LatestRestorableTime"]
    now = world.clock.now()
    assert timedelta() < now - latest <= timedelta(minutes=5), "typically within the last five minutes"
    for wanted in (earliest - timedelta(seconds=1), now):
        with refused("InvalidParameterValue", "must be between the earliest"):
            to_time(world, RestoreToTime=wanted)
    to_time(world, "first", RestoreToTime=earliest)
    to_time(world, "last", RestoreToTime=latest)
    world.after(3 * 24 * 3600)
    moved = world.shown("source")["EarliestRestorableTime"]
    assert world.clock.now() - moved == timedelta(days=1), "no further back than the retention period"


def test_not_while_the_restorable_times_are_null(world: World) -> None:
    """Aurora.Managing.Backups: NULL until the restore is complete, and then neither backup nor restore."""
    source(world)
    world.snapshot()
    world.restore()
    assert "LatestRestorableTime" not in world.shown("target")
    with refused("InvalidDBClusterStateFault"):
        to_time(world, SourceDBClusterIdentifier="target", **LATEST)
    world.after(60)
    to_time(world, SourceDBClusterIdentifier="target", **LATEST)


def test_what_is_kept_and_what_is_defaulted(world: World) -> None:
    """BC: the same configuration, but the default security and parameter groups and the engine's port."""
    group = {"DBClusterParameterGroupName": "own", "DBParameterGroupFamily": "aurora-mysql8.0", "Description": "d"}
    world.call("CreateDBClusterParameterGroup", **group)
    source(
        world,
        Port=4406,
        VpcSecurityGroupIds=["sg-app"],
        DBClusterParameterGroupName="own",
        BackupRetentionPeriod=9,
        PreferredBackupWindow="01:00-01:30",
        DeletionProtection=True,
        StorageType="aurora-iopt1",
        Tags=[{"Key": "team", "Value": "coffee"}],
    )
    world.modify(ServerlessV2ScalingConfiguration={"MinCapacity": 1, "MaxCapacity": 2})
    back = restored(world, **LATEST)
    assert (back["Port"], back["DBClusterParameterGroup"]) == (3306, "default.aurora-mysql8.0")
    assert back["VpcSecurityGroups"] == [{"VpcSecurityGroupId": "sg-default-vpc-1", "Status": "active"}]
    # BC: "Uses existing setting", and a window "selected at random".
    assert back["BackupRetentionPeriod"] == 9
    assert back["PreferredBackupWindow"] != "01:00-01:30"
    assert (back["DeletionProtection"], back["DBClusterMembers"]) == (False, [])
    assert "ServerlessV2ScalingConfiguration" not in back
    assert "StorageType" not in back
    assert back["TagList"] == [{"Key": "team", "Value": "coffee"}]
    own = restored(world, "own", **LATEST, Port=4406, VpcSecurityGroupIds=["sg-app"], Tags=[{"Key": "a", "Value": "b"}])
    assert (own["Port"], own["TagList"]) == (4406, [{"Key": "a", "Value": "b"}])


def test_creating_all_the_time_and_longer_than_from_a_snapshot(world: World) -> None:
    source(world)
    to_time(world, **LATEST)
    assert world.statuses("back", world.rds.timings.restore(1) + 300) == ["creating", "available"]
    assert not world.messages(SourceType="db-cluster", SourceIdentifier="back"), "no event is documented"


def test_an_earlier_version_comes_back_with_an_earlier_time(world: World) -> None:
    source(world)
    before = world.clock.now()
    world.after(600)
    world.modify(EngineVersion="8.0.mysql_aurora.3.10.3")
    world.after(600)
    assert restored(world, "new", **LATEST)["EngineVersion"] == "8.0.mysql_aurora.3.10.3"
    assert restored(world, "old", RestoreToTime=before)["EngineVersion"] == "8.0.mysql_aurora.3.08.2"


def test_key_rules(world: World) -> None:
    source(world, StorageEncrypted=True, KmsKeyId=key_arn("own"))
    assert restored(world, **LATEST)["KmsKeyId"] == key_arn("own")
    assert restored(world, "other", **LATEST, KmsKeyId=key_arn("second"))["KmsKeyId"] == key_arn("second")
    with refused("KMSKeyNotAccessibleFault"):
        to_time(world, "third", **LATEST, KmsKeyId=key_arn("disabled"))
    world.rds.set_encryption(world.shown("source")["DBClusterArn"], "none")
    with refused("InvalidParameterCombination", "isn't encrypted"):
        to_time(world, "third", **LATEST, KmsKeyId=key_arn("own"))


# ---- retained automated backups


def test_a_deleted_cluster_with_retained_backups_comes_back(world: World) -> None:
    shown = source(world, BackupRetentionPeriod=2)
    resource, latest = shown["DbClusterResourceId"], shown["LatestRestorableTime"]
    [active] = world.call("DescribeDBClusterAutomatedBackups", DBClusterIdentifier="source")[
        "DBClusterAutomatedBackups"
    ]
    assert (active["Status"], active["RestoreWindow"]["LatestTime"]) == ("active", latest)
    with refused("InvalidDBClusterAutomatedBackupStateFault"):
        world.call("DeleteDBClusterAutomatedBackup", DbClusterResourceId=resource)
    world.call("DeleteDBInstance", DBInstanceIdentifier="source-1", SkipFinalSnapshot=True)
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    world.after(3600)
    with refused("DBClusterNotFoundFault"):
        world.shown("source")
    [kept] = world.call("DescribeDBClusterAutomatedBackups", DbClusterResourceId=resource)["DBClusterAutomatedBackups"]
    assert (kept["Status"], kept["RestoreWindow"]["LatestTime"]) == ("retained", latest)
    assert kept["DBClusterIdentifier"] == "source"
    filters = [{"Name": "status", "Values": ["active"]}]
    assert world.call("DescribeDBClusterAutomatedBackups", Filters=filters)["DBClusterAutomatedBackups"] == []
    with refused("InvalidParameterValue"):
        to_time(world, SourceDbClusterResourceId=resource, RestoreToTime=latest + timedelta(seconds=1))
    assert restored(world, SourceDbClusterResourceId=resource, **LATEST)["EngineVersion"] == shown["EngineVersion"]
    world.after(2 * 24 * 3600)
    with refused("DBClusterAutomatedBackupNotFoundFault"):
        to_time(world, "later", SourceDbClusterResourceId=resource, **LATEST)


def test_backups_go_with_the_cluster_by_default(world: World) -> None:
    """BC:DeleteDBCluster.DeleteAutomatedBackups: by default they are deleted."""
    resource = source(world)["DbClusterResourceId"]
    world.call("DeleteDBInstance", DBInstanceIdentifier="source-1", SkipFinalSnapshot=True)
    world.call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True)
    world.after(3600)
    with refused("DBClusterAutomatedBackupNotFoundFault"):
        to_time(world, SourceDbClusterResourceId=resource, **LATEST)


# ---- clones


def test_a_clone_is_fast_whatever_the_size_until_there_are_fifteen(world: World) -> None:
    """AUG-2023 Clone: 15 copy-on-write clones; the 16th silently becomes a full copy."""
    source(world)
    world.rds.set_volume_size(ACCOUNT, REGION, "source", 10_000)
    for number in range(16):
        to_time(world, f"clone-{number}", **CLONE)
    world.after(world.rds.timings.clone + 1)
    assert [world.shown(f"clone-{n}")["Status"] for n in (0, 14, 15)] == ["available", "available", "creating"]
    groups = {world.shown(f"clone-{n}").get("CloneGroupId") for n in range(15)}
    assert groups == {world.shown("source")["CloneGroupId"]}
    assert "CloneGroupId" not in world.shown("clone-15")
    world.after(world.rds.timings.restore(10_000))
    assert world.shown("clone-15")["Status"] == "available"


def test_a_clone_needs_a_source_with_an_instance(world: World) -> None:
    world.cluster()
    with refused("InvalidDBClusterStateFault", "at least one DB instance"):
        to_time(world, **CLONE)


def test_a_clone_of_another_accounts_cluster(world: World) -> None:
    """AUG-2023 Clone, cross-account: AWS RAM, the ARN, a key of one's own, one per account, and no more sharing."""
    arn = source(world, StorageEncrypted=True, KmsKeyId=key_arn("own"))["DBClusterArn"]
    given = {**CLONE, "SourceDBClusterIdentifier": arn, "KmsKeyId": key_arn("second", OTHER_ACCOUNT)}
    world.keys["theirs"] = KeyFacts(key_arn("second", OTHER_ACCOUNT), enabled=True, aws_managed=False)
    with refused("DBClusterNotFoundFault"):  # the same error as for one that is not there
        to_time(world, "clone", OTHER_ACCOUNT, **given)
    world.rds.share_cluster(arn, OTHER_ACCOUNT)
    seen = world.call("DescribeDBClusters", OTHER_ACCOUNT, REGION, IncludeShared=True)["DBClusters"]
    assert [cluster["DBClusterArn"] for cluster in seen] == [arn]
    assert world.call("DescribeDBClusters", OTHER_ACCOUNT, REGION)["DBClusters"] == []
    with refused("DBClusterNotFoundFault"):  # only clones cross accounts
        to_time(world, "clone", OTHER_ACCOUNT, **{**given, "RestoreType": "full-copy"})
    with refused("DBClusterNotFoundFault"):  # only by its ARN
        to_time(world, "clone", OTHER_ACCOUNT, **{**given, "SourceDBClusterIdentifier": "source"})
    with refused("InvalidParameterCombination", "KmsKeyId is required"):
        to_time(world, "clone", OTHER_ACCOUNT, **{**given, "KmsKeyId": None})
    clone = to_time(world, "clone", OTHER_ACCOUNT, **given)
    assert (clone["CrossAccountClone"], clone["KmsKeyId"]) == (True, given["KmsKeyId"])
    with refused("InvalidDBClusterStateFault", "has a clone"):
        to_time(world, "second", OTHER_ACCOUNT, **given)
    with pytest.raises(ValueError, match="can't be shared"):
        world.rds.share_cluster(clone["DBClusterArn"], ACCOUNT)
    with refused("InvalidDBClusterStateFault", "can't be renamed"):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", NewDBClusterIdentifier="n", ApplyImmediately=True)


@pytest.mark.parametrize("kind", ["sse-rds", "aws/rds"])
def test_a_default_key_is_not_shared_with_a_clone(world: World, kind: str) -> None:
    arn = source(world)["DBClusterArn"]
    world.rds.share_cluster(arn, OTHER_ACCOUNT)
    world.rds.set_encryption(arn, *(("sse-rds",) if kind == "sse-rds" else ("sse-kms", key_arn("aws-rds"))))
    with refused("KMSKeyNotAccessibleFault"):
        to_time(world, "clone", OTHER_ACCOUNT, **CLONE, SourceDBClusterIdentifier=arn, KmsKeyId=key_arn("second"))


def test_the_data_plane_copies_for_a_clone_and_goes_back_for_a_time() -> None:
    plane = Plane()
    with make_world(plane=plane) as world:
        volume = source(world)["DbClusterResourceId"].lower()
        at = world.clock.now() - timedelta(minutes=10)
        clone = to_time(world, "clone", **CLONE)["DbClusterResourceId"].lower()
        back = to_time(world, RestoreToTime=at)["DbClusterResourceId"].lower()
        world.after(3600)
        assert [done for done in plane.done if done[0] in ("copy_volume", "restore_volume")] == [
            ("copy_volume", volume, clone),
            ("restore_volume", volume, back, at),
        ]
        assert plane.marks == sorted(plane.marks), "the plane is told of each time before it ends"
        assert plane.marks


# ---- major upgrades (aws-facts 3.4)


def upgraded_postgresql(world: World, **params: Any) -> dict[str, Any]:
    world.cluster(Engine="aurora-postgresql", EngineVersion="14.18", MasterUsername="postgres", **params)
    world.instance("source-1")
    return world.modify(EngineVersion="16.11", **MAJOR)


def test_postgresql_is_upgraded_by_modify_with_an_instance(world: World) -> None:
    world.cluster(Engine="aurora-postgresql", EngineVersion="14.18", MasterUsername="postgres")
    with refused("InvalidDBClusterStateFault", "without a healthy primary instance"):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", EngineVersion="16.11", **MAJOR)
    world.instance("source-1")
    with refused("InvalidParameterCombination", "AllowMajorVersionUpgrade"):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", EngineVersion="16.11", ApplyImmediately=True)
    world.call("ModifyDBCluster", DBClusterIdentifier="source", EngineVersion="16.11", **MAJOR)
    world.after(60)
    assert (world.shown("source")["Status"], world.instance_shown("source-1")["DBInstanceStatus"]) == (
        "upgrading",
        "upgrading",
    )
    world.after(1000)
    shown, writer = world.shown("source"), world.instance_shown("source-1")
    assert (shown["EngineVersion"], writer["EngineVersion"]) == ("16.11", "16.11")
    assert shown["DBClusterParameterGroup"] == "default.aurora-postgresql16"
    assert writer["DBParameterGroups"] == [
        {"DBParameterGroupName": "default.aurora-postgresql16", "ParameterApplyStatus": "in-sync"}
    ]
    assert "Database cluster engine major version has been upgraded" in world.messages()


def test_custom_groups_must_be_named_anew(world: World) -> None:
    for family in ("aurora-postgresql14", "aurora-postgresql16"):
        group = {"DBParameterGroupFamily": family, "Description": "d"}
        world.call("CreateDBClusterParameterGroup", DBClusterParameterGroupName=family, **group)
        world.call("CreateDBParameterGroup", DBParameterGroupName=family, **group)
    postgres = {"Engine": "aurora-postgresql", "EngineVersion": "14.18", "MasterUsername": "postgres"}
    world.cluster(**postgres, DBClusterParameterGroupName="aurora-postgresql14")
    world.instance("source-1", DBParameterGroupName="aurora-postgresql14")
    version = {"DBClusterIdentifier": "source", "EngineVersion": "16.11", **MAJOR}
    with refused("InvalidParameterCombination", "cluster parameter group aurora-postgresql14 is custom"):
        world.call("ModifyDBCluster", **version)
    with refused("InvalidParameterCombination", "cannot be used"):
        world.call("ModifyDBCluster", **version, DBClusterParameterGroupName="aurora-postgresql14")
    named = {"DBClusterParameterGroupName": "aurora-postgresql16"}
    with refused("InvalidParameterCombination", "instance parameter group aurora-postgresql14 is custom"):
        world.call("ModifyDBCluster", **version, **named)
    with refused("InvalidParameterCombination", "only valid in combination"):
        world.call("ModifyDBCluster", DBClusterIdentifier="source", DBInstanceParameterGroupName="aurora-postgresql14")
    world.call("ModifyDBCluster", **version, **named, DBInstanceParameterGroupName="aurora-postgresql16")
    world.after(2000)
    [group] = world.instance_shown("source-1")["DBParameterGroups"]
    assert group == {"DBParameterGroupName": "aurora-postgresql16", "ParameterApplyStatus": "in-sync"}
    assert world.shown("source")["DBClusterParameterGroup"] == "aurora-postgresql16"


def test_a_failed_upgrade_leaves_the_version_and_an_event(world: World) -> None:
    world.rds.fail_upgrade("source", "Unable to perform a major version upgrade")
    shown = upgraded_postgresql(world)
    assert (shown["Status"], shown["EngineVersion"]) == ("available", "14.18")
    assert shown["DBClusterParameterGroup"] == "default.aurora-postgresql14"
    assert "Unable to perform a major version upgrade" in world.messages()


@pytest.mark.parametrize("fails", [False, True])
def test_mysql_2_becomes_3_with_the_writer_of_what_was_restored(world: World, fails: bool) -> None:
    world.cluster(EngineVersion="5.7.mysql_aurora.2.12.5")
    world.snapshot()
    world.restore(EngineVersion="8.0.mysql_aurora.3.08.2")
    assert world.shown("target")["EngineVersion"] == "5.7.mysql_aurora.2.12.5"
    if fails:
        world.rds.fail_upgrade("target", "Database cluster is in a state that cannot be upgraded: prechecks failed")
    writer = world.instance("target-1", "target")
    world.after(1000)
    writer, shown = world.instance_shown("target-1"), world.shown("target")
    expected = "5.7.mysql_aurora.2.12.5" if fails else "8.0.mysql_aurora.3.08.2"
    assert (shown["Status"], shown["EngineVersion"]) == ("available", expected)
    assert (writer["DBInstanceStatus"], writer["EngineVersion"]) == ("available", expected)


def test_a_writer_may_lag_behind_its_cluster(world: World) -> None:
    """The version must be looked at on cluster and writer."""
    source(world)
    world.rds.lag_version("source-1", "8.0.mysql_aurora.3.04.0")
    assert world.instance_shown("source-1")["EngineVersion"] == "8.0.mysql_aurora.3.04.0"
    world.rds.lag_version("source-1", None)
    assert world.instance_shown("source-1")["EngineVersion"] == world.shown("source")["EngineVersion"]


def test_without_extended_support_an_old_major_is_upgraded(world: World) -> None:
    """BC:EngineLifecycleSupport: "…-disabled" upgrades a restored cluster that is past its standard support."""
    world.cluster(Engine="aurora-postgresql", EngineVersion="12.22", MasterUsername="postgres")
    world.snapshot()
    given = {"Engine": "aurora-postgresql", "EngineVersion": "12.22"}
    world.restore("enrolled", **given)
    assert world.shown("enrolled")["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    world.restore(**given, EngineLifecycleSupport="open-source-rds-extended-support-disabled")
    world.instance("target-1", "target")
    world.after(1000)
    assert world.shown("target")["EngineVersion"] == "14.6", "13's standard support ended, too"


# ---- the whole way, on real servers


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_the_rows_of_the_asked_second_come_back_from_real_servers(engine: str) -> None:
    """The clock stands still while rows are written, and jumps: both engines' logs run on real time."""
    clock = VirtualClock(start=datetime(2026, 11, 1, 12, tzinfo=UTC))
    version = {"aurora-mysql": "8.0.mysql_aurora.3.08.2", "aurora-postgresql": "15.10"}[engine]
    with tempfile.TemporaryDirectory(prefix="dp-") as folder, DataPlane(Path(folder, "root")) as plane:
        rds = RdsService(
            clock,
            data_plane=plane,
            keys=lambda *_: None,
            secrets=Secrets(),
            network=Network(),
            authorize_as_caller=None,
        )

        def call(operation: str, **params: Any) -> Any:
            principal = Principal(account=ACCOUNT, arn=ROLE, role_name="restore")
            return rds.handle(Call("rds", operation, REGION, ACCOUNT, principal, params))

        def wait_for(cluster: str, instance: str | None = None) -> str:
            clock.sleep(4 * 3600)
            if instance:
                given = {"DBInstanceClass": "db.r6g.large", "Engine": engine}
                call("CreateDBInstance", DBClusterIdentifier=cluster, DBInstanceIdentifier=instance, **given)
                clock.sleep(3600)
            [shown] = call("DescribeDBClusters", DBClusterIdentifier=cluster)["DBClusters"]
            assert shown["Status"] == "available"
            return str(shown["DbClusterResourceId"].lower())

        def rows(volume: str) -> list[Any]:
            return [number for (number,) in plane.execute_admin(volume, "SELECT id FROM orders ORDER BY id", "shop")]

        def back(name: str, **params: Any) -> list[Any]:
            call("RestoreDBClusterToPointInTime", DBClusterIdentifier=name, **params)
            return rows(wait_for(name, f"{name}-1"))

        with clock.busy():
            given = {"Engine": engine, "EngineVersion": version, "MasterUsername": "postgres", "DatabaseName": "shop"}
            call("CreateDBCluster", DBClusterIdentifier="source", MasterUserPassword=PASSWORD, **given)
            volume = wait_for("source", "source-1")
            plane.execute_admin(volume, "CREATE TABLE orders (id INT PRIMARY KEY)", "shop")
            times = []
            for number in range(3):
                clock.sleep(1)
                plane.execute_admin(volume, f"INSERT INTO orders VALUES ({number})", "shop")
                times.append(clock.now())
            clock.sleep(600)
            living = {"SourceDBClusterIdentifier": "source"}
            plane.execute_admin(volume, "DELETE FROM orders", "shop")
            clock.sleep(60)  # not yet restorable
            assert back("latest", **living, **LATEST) == [0, 1, 2]
            assert back("clone", **living, **CLONE) == []
            assert back("second", **living, RestoreToTime=times[1]) == [0, 1]
            assert back("earlier", **living, RestoreToTime=times[1] - timedelta(microseconds=1)) == [0]
            for instance in ("source-1",):
                call("DeleteDBInstance", DBInstanceIdentifier=instance)
            call("DeleteDBCluster", DBClusterIdentifier="source", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
            clock.sleep(3600)
            gone = {
                "SourceDbClusterResourceId": volume.replace("cluster-", "CLUSTER-")
                .upper()
                .replace("CLUSTER", "cluster")
            }
            assert back("gone", **gone, RestoreToTime=times[2]) == [0, 1, 2]
    clock.close()


def test_where_time_flows_the_data_plane_is_told_of_it_often() -> None:
    plane, clock = Plane(), VirtualClock(scale=100)
    try:
        RdsService(clock, data_plane=plane, keys=lambda *_: None, secrets=Secrets(), network=Network())
        clock.sleep(20)
        steps = [(after - before).total_seconds() for before, after in itertools.pairwise(plane.marks)]
        assert len(steps) >= 2
        assert min(steps) >= 2, "20 ms of real time"
    finally:
        clock.close()
