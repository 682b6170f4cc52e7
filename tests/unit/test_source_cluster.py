"""Points in time and clones: which cluster is meant, whether it can be restored, and what its plan and its call are."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from aurora_restore import contract, planner, preflight, report
from aurora_restore.engine import aurora
from aurora_restore.model import Plan, SourceKind, iso
from tests.unit.core_support import (
    ACCOUNT,
    KEY_ARN,
    NOW,
    REGION,
    SHARE_KEY_ARN,
    SNAPSHOT_KEY_ARN,
    SOURCE_ACCOUNT,
    VERSION,
    FakeAws,
    FakeRds,
    key,
    request,
    settings,
    snapshot,
)
from tests.unit.test_preflight import finding, findings
from tests.unit.test_preflight import plan as _plan

EARLIEST, LATEST = NOW - timedelta(days=2), NOW - timedelta(minutes=5)
NO_SNAPSHOT = {"snapshot_identifier": None}
POINT = {**NO_SNAPSHOT, "source_cluster_id": "orders", "restore_to_time": iso(NOW - timedelta(hours=1))}
CLONE = {**NO_SNAPSHOT, "source_cluster_id": "orders", "clone": True}


def cluster(**changes: Any) -> dict[str, Any]:
    """A living source; a change to None takes a member out."""
    name = changes.get("DBClusterIdentifier", "orders")
    values = {
        "DBClusterIdentifier": name,
        "DBClusterArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{name}",
        "DbClusterResourceId": "cluster-ORDERS",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": VERSION,
        "AllocatedStorage": 1,
        "Port": 6000,
        "StorageEncrypted": True,
        "KmsKeyId": SNAPSHOT_KEY_ARN,
        "MasterUsername": "admin_user",
        "IAMDatabaseAuthenticationEnabled": True,
        "EarliestRestorableTime": EARLIEST,
        "LatestRestorableTime": LATEST,
        "DBClusterMembers": [
            {"DBInstanceIdentifier": "orders-2", "IsClusterWriter": False},
            {"DBInstanceIdentifier": "orders-1", "IsClusterWriter": True},
        ],
        **changes,
    }
    return {member: value for member, value in values.items() if value is not None}


def instance(name: str, instance_class: str) -> dict[str, Any]:
    return {"DBInstanceIdentifier": name, "DBClusterIdentifier": "orders", "DBInstanceClass": instance_class}


def living(*others: dict[str, Any], **changes: Any) -> FakeAws:
    """The source among other clusters of the account."""
    source = cluster(**changes)
    return FakeAws(
        FakeRds(
            clusters={one["DBClusterIdentifier"]: one for one in (source, *others)},
            instances={
                "orders-1": instance("orders-1", "db.t4g.medium"),
                "orders-2": instance("orders-2", "db.r8g.large"),
            },
        )
    )


def backup(status: str = "retained", **changes: Any) -> dict[str, Any]:
    """What is left of a deleted cluster."""
    shown = cluster(Status=status, EarliestRestorableTime=None, LatestRestorableTime=None, DBClusterMembers=None)
    return {**shown, "RestoreWindow": {"EarliestTime": EARLIEST, "LatestTime": LATEST}, **changes}


def shared(**changes: Any) -> FakeAws:
    """A cluster that another account shares by AWS RAM."""
    arn = f"arn:aws:rds:{REGION}:{SOURCE_ACCOUNT}:cluster:orders"
    aws = FakeAws(
        FakeRds(shared_clusters={arn: cluster(**{"DBClusterArn": arn, "KmsKeyId": SHARE_KEY_ARN, **changes})})
    )
    aws.kms.keys[SHARE_KEY_ARN] = key(SHARE_KEY_ARN)
    return aws


def parameters(aws: FakeAws, **changes: Any) -> dict[str, Any]:
    """Of the restore's call, which botocore accepts."""
    parsed = contract.parse(request(**changes), defaults={}, operation_id="op", settings=settings(), now=NOW)
    assert parsed.request is not None
    facts = preflight.gather(aws, aws.clients, parsed.request, {}, settings(), NOW)  # type: ignore[arg-type]
    made = planner.plan(parsed.request, facts, settings(), NOW)
    found = aurora.restore_parameters(parsed.request, made, {"a": "b"})
    rds = boto3.client("rds", region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")
    assert aurora.restore_operation(made) == "RestoreDBClusterToPointInTime"
    with Stubber(rds) as stub:
        stub.add_response("restore_db_cluster_to_point_in_time", {})
        rds.restore_db_cluster_to_point_in_time(**found)
    return found


def plan(aws: FakeAws, **changes: Any) -> Plan:
    made = _plan(aws, **changes)
    assert Plan.from_mapping(json.loads(json.dumps(made.to_mapping()))) == made
    assert all(name.startswith("describe_") for name, _ in aws.calls)
    assert (made.copies, made.snapshot_arn, made.route.share_snapshot) == ((), "", False)
    return made


# --- the plan and the call ------------------------------------------------------------------------------------------


def test_a_point_in_time_of_a_living_cluster() -> None:
    aws = living()
    aws.rds.snapshots = [snapshot("rds:orders-2026-11-22-03-07", AllocatedStorage=150)]
    made = plan(aws, **POINT)
    assert made.source_kind is SourceKind.POINT_IN_TIME
    assert made.source_cluster is not None
    assert made.source_cluster.restore_to == POINT["restore_to_time"]
    assert (made.engine_version, made.port, made.iam_authentication) == (VERSION, 6000, True)
    assert (made.snapshot_size_gib, made.kms_key_id) == (150, SNAPSHOT_KEY_ARN)
    assert made.steps[0].name == "RestoreCluster"
    assert "2026-11-23T08:00:00" in made.steps[0].action
    assert made.expected_seconds["cluster"] > plan(living(), **CLONE).expected_seconds["cluster"]
    cost = next(item for item in made.costs if "being created" in item.name)
    assert cost.usd == pytest.approx(150 * 0.10 / 730 * made.expected_seconds["cluster"] / 3600, abs=1e-4)
    assert parameters(aws, **POINT) == {
        "DBClusterIdentifier": "orders-staging",
        "SourceDBClusterIdentifier": "orders",
        "RestoreToTime": NOW - timedelta(hours=1),
        "RestoreType": "full-copy",
        "EngineLifecycleSupport": aurora.NO_EXTENDED_SUPPORT,
        "StorageType": "aurora",
        "KmsKeyId": SNAPSHOT_KEY_ARN,
        # Left out, it were the engine's.
        "Port": 6000,
        "DBSubnetGroupName": "databases",
        "VpcSecurityGroupIds": ["sg-0123456789abcdef0"],
        "EnableIAMDatabaseAuthentication": True,
        "CopyTagsToSnapshot": True,
        "DeletionProtection": False,
        "Tags": [{"Key": "a", "Value": "b"}],
    }


def test_the_latest_time_and_a_clone() -> None:
    latest = parameters(living(), **{**POINT, "restore_to_time": "latest"})
    assert (latest["UseLatestRestorableTime"], latest["RestoreType"]) == (True, "full-copy")
    assert "RestoreToTime" not in latest
    clone = parameters(living(), **CLONE)
    assert (clone["UseLatestRestorableTime"], clone["RestoreType"]) == (True, "copy-on-write")
    assert plan(living(), **CLONE).source_kind is SourceKind.CLONE


def test_the_report_and_its_table() -> None:
    def told(**changes: Any) -> dict[str, Any]:
        parsed = contract.parse(request(**changes), defaults={}, operation_id="op", settings=settings(), now=NOW)
        assert parsed.request is not None
        return report.of_plan(plan(living(), **changes), parsed.request, {})

    made = told(**POINT)
    assert made["source"]["kind"] == "point_in_time"
    assert made["source"]["size_gib"] is None
    assert any("cluster:orders at 2026-11-23T08:00:00.000Z" in line for line in made["table"])
    assert any(line.startswith("Clone of: ") for line in told(**CLONE)["table"])


def test_the_class_and_its_range_come_from_the_writer() -> None:
    made = plan(living(), **POINT, db_instance_class=None)
    assert {one.instance_class for one in made.instances} == {"db.t4g.medium"}
    assert plan(living(), **POINT).writer.instance_class == "db.r8g.large", "the request goes first"

    aws = living(ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 8.0})
    aws.rds.instances["orders-1"]["DBInstanceClass"] = "db.serverless"
    parsed = contract.parse(
        request(**POINT, db_instance_class=None), defaults={}, operation_id="op", settings=settings(), now=NOW
    )
    assert parsed.request is not None
    facts = preflight.gather(aws, aws.clients, parsed.request, {}, settings(), NOW)  # type: ignore[arg-type]
    assert planner.plan(parsed.request, facts, settings(), NOW).writer.instance_class == "db.serverless"
    filled = planner.source_cluster.filled(parsed.request, facts.source)
    assert filled.serverless_v2_scaling is not None
    assert filled.serverless_v2_scaling.max_capacity == 8
    assert finding(living(DBClusterMembers=[]), **POINT, db_instance_class=None)[:2] == (
        "MissingParameter",
        "db_instance_class",
    )


# --- which cluster --------------------------------------------------------------------------------------------------


def test_instances_with_classes_of_their_own_need_none_of_the_source() -> None:
    own = {"instances": [{"db_instance_class": "db.r8g.large"}, {}]}
    made = plan(living(), **{**POINT, "db_instance_class": None, "readers": None}, **own)
    assert [one.instance_class for one in made.instances] == ["db.r8g.large", "db.t4g.medium"]


def test_zones_of_the_volume_go_with_a_snapshot_only() -> None:
    assert finding(living(), **POINT, availability_zones=["eu-west-1a"])[:2] == (
        "InvalidParameter",
        "availability_zones",
    )


def test_a_deleted_cluster_by_its_retained_backups() -> None:
    aws = FakeAws(FakeRds(backups=[backup()]))
    asked = {**POINT, "source_cluster_id": None, "source_cluster_resource_id": "cluster-ORDERS"}
    made = plan(aws, **asked)
    assert made.source_cluster is not None
    assert made.source_cluster.deleted
    assert "retained backups of orders" in made.steps[0].action
    call = parameters(aws, **asked)
    assert call["SourceDbClusterResourceId"] == "cluster-ORDERS"
    assert "SourceDBClusterIdentifier" not in call
    assert plan(aws, **{**asked, "source_cluster_id": "orders"})
    error, field, cause = finding(aws, **{**asked, "source_cluster_id": "invoices"})
    assert (error, field) == ("SourceClusterNotFound", "source_cluster_resource_id")
    assert "of the cluster orders" in cause
    clone = {**CLONE, "source_cluster_resource_id": "cluster-ORDERS"}
    assert finding(aws, **clone)[0] == "SourceNotRestorable"


def test_the_resource_id_tells_a_living_cluster_from_a_deleted_one_of_its_name() -> None:
    aws = living(DbClusterResourceId="cluster-NEW")
    aws.rds.backups = [backup(), backup("active", DbClusterResourceId="cluster-NEW")]
    made = plan(aws, **POINT)
    assert made.source_cluster is not None
    assert (made.source_cluster.resource_id, made.source_cluster.deleted) == ("cluster-NEW", False)
    old = plan(aws, **POINT, source_cluster_resource_id="cluster-ORDERS")
    assert old.source_cluster is not None
    assert (old.source_cluster.resource_id, old.source_cluster.deleted) == ("cluster-ORDERS", True)
    asked = {**POINT, "source_cluster_id": None, "source_cluster_resource_id": "cluster-NEW"}
    by_id = plan(aws, **asked)
    assert by_id.source_cluster is not None
    assert not by_id.source_cluster.deleted


def test_what_is_not_there_is_told_with_what_is_retained() -> None:
    error, field, cause = finding(FakeAws(FakeRds(backups=[backup(), backup("active")])), **POINT)
    assert (error, field) == ("SourceClusterNotFound", "source_cluster_id")
    assert cause.count("cluster-ORDERS") == 1
    assert iso(EARLIEST) in cause
    assert "No automated backups" in finding(FakeAws(), **POINT)[2]
    asked = {**POINT, "source_cluster_id": None, "source_cluster_resource_id": "cluster-X"}
    assert finding(FakeAws(), **asked)[:2] == ("SourceClusterNotFound", "source_cluster_resource_id")


# --- what stands against it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (EARLIEST, True),
        (LATEST, True),
        (EARLIEST - timedelta(seconds=1), False),
        (LATEST + timedelta(seconds=1), False),
    ],
)
def test_the_window(moment: Any, inside: bool) -> None:
    asked = {**POINT, "restore_to_time": iso(moment)}
    for aws, more in (
        (living(), {}),
        (FakeAws(FakeRds(backups=[backup()])), {"source_cluster_resource_id": "cluster-ORDERS"}),
    ):
        if inside:
            assert plan(aws, **asked, **more)
            continue
        error, field, cause = finding(aws, **asked, **more)
        assert (error, field) == ("RestoreTimeOutside", "restore_to_time")
        assert f"from {iso(EARLIEST)} to {iso(LATEST)}" in cause


def test_no_window_yet() -> None:
    assert finding(living(LatestRestorableTime=None), **POINT)[0] == "SourceNotRestorable"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"DBClusterMembers": []}, "no instance"), ({"Status": "stopped"}, "it is stopped")],
)
def test_clusters_that_cannot_be_cloned(changes: dict[str, Any], words: str) -> None:
    error, field, cause = finding(living(**changes), **CLONE)
    assert (error, field) == ("SourceNotRestorable", "source_cluster_id")
    assert words in cause
    assert plan(living(**changes), **POINT), "a point in time can be restored all the same"


@pytest.mark.parametrize("clones", [14, 15])
def test_fifteen_clones_share_a_volume(clones: int) -> None:
    others = [
        cluster(DBClusterIdentifier=f"clone-{n}", DbClusterResourceId=f"cluster-{n}", CloneGroupId="group")
        for n in range(clones)
    ]
    aws = living(*others, CloneGroupId="group")
    if clones < 15:
        assert plan(aws, **CLONE)
    else:
        assert finding(aws, **CLONE)[:2] == ("CloneLimitReached", "clone")
    assert plan(aws, **POINT)


def test_a_clone_of_another_accounts_cluster() -> None:
    asked = {**CLONE, "source_cluster_id": f"arn:aws:rds:{REGION}:{SOURCE_ACCOUNT}:cluster:orders"}
    made = plan(shared(), **asked)
    assert made.kms_key_id == KEY_ARN
    assert made.snapshot_account == SOURCE_ACCOUNT
    assert parameters(shared(), **asked)["SourceDBClusterIdentifier"] == asked["source_cluster_id"]
    by_id = {**CLONE, "source_account_id": SOURCE_ACCOUNT}
    assert plan(shared(), **by_id) == made
    assert plan(shared(), **{**by_id, "source_cluster_id": "Orders"}) == made  # RDS keeps names in small letters
    # RDS asks for a key, even if none is asked for here.
    assert plan(shared(), **by_id, require_local_customer_key=False).kms_key_id == KEY_ARN
    error, field, cause = finding(FakeAws(), **by_id)
    assert (error, field) == ("SourceClusterNotFound", "source_cluster_id")
    assert "does not share it" in cause
    mine = cluster(
        DBClusterIdentifier="mine", DbClusterResourceId="cluster-M", CloneGroupId="g", CrossAccountClone=True
    )
    aws = shared(CloneGroupId="g")
    aws.rds.clusters["mine"] = mine
    assert "clone of it already" in finding(aws, **by_id)[2]


def test_a_default_key_cannot_be_shared_with_a_clone() -> None:
    aws = shared()
    aws.kms.keys[SHARE_KEY_ARN] |= {"KeyManager": "AWS"}
    for case in (aws, shared(KmsKeyId=None)):
        assert "default key" in finding(case, **CLONE, source_account_id=SOURCE_ACCOUNT)[2]


def test_a_cluster_that_is_not_encrypted_takes_no_key() -> None:
    bare = {"StorageEncrypted": False, "KmsKeyId": None}
    for asked in (POINT, CLONE):
        for more in ({}, {"kms_key_id": KEY_ARN, "require_local_customer_key": False}):
            assert finding(living(**bare), **asked, **more)[:2] == ("TargetKeyInvalid", "kms_key_id")
        made = plan(living(**bare), **asked, require_local_customer_key=False)
        assert made.kms_key_id is None
        assert any("AWS owns" in warning for warning in made.warnings)


def test_which_key() -> None:
    assert plan(living(KmsKeyId=None), **POINT).kms_key_id == KEY_ARN
    assert plan(living(KmsKeyId=None), **POINT, require_local_customer_key=False).kms_key_id is None
    assert plan(living(), **CLONE, kms_key_id=KEY_ARN).kms_key_id == KEY_ARN
    aws = living()
    aws.kms.keys[SNAPSHOT_KEY_ARN] |= {"KeyState": "Disabled"}
    error, field, cause = finding(aws, **POINT)
    assert (error, field) == ("SnapshotKeyUnusable", "source_cluster_id")
    assert cause.startswith("The source cluster's key")


def test_everything_is_told_at_once() -> None:
    aws = living(DBClusterMembers=[])
    found = findings(aws, **CLONE, db_instance_class=None, db_parameter_group_name="nowhere", engine_version="16.4")
    assert [error for error, _, _ in found] == [
        "EngineDowngrade", "SourceNotRestorable", "MissingParameter", "ParameterGroupInvalid",
    ]  # fmt: skip


def test_another_engine() -> None:
    assert finding(living(Engine="neptune"), **POINT)[:2] == ("UnsupportedSnapshot", "source_cluster_id")


# --- versions -------------------------------------------------------------------------------------------------------


def test_another_version_comes_by_an_upgrade_in_place() -> None:
    made = plan(living(), **POINT, engine_version="16.8")
    assert (made.version_at_restore, made.engine_version, made.major_upgrade) == (VERSION, "16.8", False)
    assert "UpgradeEngine" in [step.name for step in made.steps]
    assert finding(living(), **POINT, engine_version="17.4")[0] == "MajorUpgradeRefused"
    major = plan(living(), **CLONE, engine_version="17.4", allow_major_version_upgrade=True)
    assert (major.version_at_restore, major.major_upgrade) == (VERSION, True)


def test_a_version_that_is_not_offered_any_more_comes_back_as_it_is() -> None:
    aws = living()
    aws.rds.retired = {VERSION}
    made = plan(aws, **POINT)
    assert (made.engine_version, made.version_at_restore) == (VERSION, None)
