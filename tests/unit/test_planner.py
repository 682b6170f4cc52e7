"""From request and facts to a plan, the facts looked up in a fake RDS."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import contract, errors, planner, preflight, sources
from aurora_restore.engine import aurora
from aurora_restore.model import Plan, Request
from tests.unit.core_support import (
    FAMILY,
    KEY_ARN,
    NOW,
    SNAPSHOT_KEY_ARN,
    VERSION,
    FakeAws,
    FakeRds,
    refused,
    request,
    settings,
    snapshot,
)


def parsed(**changes: Any) -> Request:
    found = contract.parse(request(**changes), defaults={}, operation_id="op", settings=settings(), now=NOW)
    assert found.request is not None
    assert found.problems == ()
    return found.request


def plan(where: FakeRds | FakeAws | None = None, accounts: dict[str, Any] | None = None, **changes: Any) -> Plan:
    aws = where if isinstance(where, FakeAws) else FakeAws(where)
    wanted, known = parsed(**changes), sources.parse(json.dumps(accounts or {}))
    facts = preflight.gather(aws, aws.clients, wanted, known, settings(), NOW)  # type: ignore[arg-type]
    return planner.plan(wanted, facts, settings(), NOW)


def refusal(
    where: FakeRds | FakeAws | None = None, accounts: dict[str, Any] | None = None, **changes: Any
) -> errors.RestoreError:
    with pytest.raises(errors.RestoreError) as caught:
        plan(where, accounts, **changes)
    return caught.value


def test_a_plan() -> None:
    made = plan(readers=2)
    assert (made.engine, made.engine_version) == ("aurora-postgresql", VERSION)
    assert made.copies == ()
    assert made.to_mapping()["route"] == {"copies": [], "share_snapshot": False}
    assert [(i.identifier, i.role) for i in made.instances] == [
        ("orders-staging-1", "writer"),
        ("orders-staging-2", "reader"),
        ("orders-staging-3", "reader"),
    ]
    assert [step.name for step in made.steps] == [
        "CopySnapshots", "RestoreCluster", "ConfigureCluster", "CreateWriter", "CreateReaders", "SetupDbUsers",
        "VerifyRestore", "Cleanup",
    ]  # fmt: skip
    assert made.kms_key_id == SNAPSHOT_KEY_ARN
    assert made.engine_lifecycle_support == aurora.NO_EXTENDED_SUPPORT
    assert Plan.from_mapping(made.to_mapping()) == made


def test_nothing_is_changed_by_planning() -> None:
    rds = FakeRds()
    plan(rds)
    assert all(name.startswith("describe_") for name, _ in rds.calls)


@given(st.integers(0, 15), st.integers(0, 200_000), st.booleans(), st.sampled_from(["aurora", "aurora-iopt1"]))
def test_every_plan_has_one_writer_and_keeps_the_snapshots_version(
    readers: int, size: int, encrypted: bool, storage: str
) -> None:
    rds = FakeRds(snapshots=[snapshot(AllocatedStorage=size, StorageEncrypted=encrypted, StorageType=storage)])
    made = plan(rds, readers=readers)
    assert len(made.instances) == readers + 1
    assert made.writer.promotion_tier == 0
    assert len({instance.identifier for instance in made.instances}) == readers + 1
    assert made.engine_version == VERSION
    assert made.storage_type == storage
    assert made.kms_key_id == (SNAPSHOT_KEY_ARN if encrypted else KEY_ARN)
    assert not made.warnings
    restored = next(step for step in made.steps if step.name == "RestoreCluster")
    assert bool(restored.reason) is not encrypted, "why it is under another key than its snapshot"
    assert set(made.expected_seconds) >= {"cluster", "configure", "writer", "readers"}
    assert Plan.from_mapping(made.to_mapping()) == made


# --- which snapshot -------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def by_date(*snapshots: dict[str, Any], day: str = "2026-11-22") -> dict[str, Any]:
    return {
        "where": FakeRds(snapshots=list(snapshots)),
        "snapshot_identifier": None,
        "source_cluster_id": "orders",
        "snapshot_date": day,
    }


def test_the_newest_available_one_of_the_utc_day() -> None:
    made = plan(
        **by_date(
            snapshot("first", SnapshotCreateTime=at("2026-11-22T00:00:00")),
            snapshot("last", SnapshotCreateTime=at("2026-11-22T23:59:59")),
            snapshot("rds:orders-2026-11-22-03-07", SnapshotCreateTime=at("2026-11-22T03:12:00")),
            snapshot("newest", SnapshotCreateTime=at("2026-11-22T23:59:59.5"), Status="creating"),
            snapshot("next-day", SnapshotCreateTime=at("2026-11-23T00:00:00")),
            snapshot("other", SnapshotCreateTime=at("2026-11-22T23:59:59.9"), DBClusterIdentifier="other"),
        )
    )
    assert made.snapshot_identifier == "last"


def test_the_name_does_not_count() -> None:
    error = refusal(**by_date(snapshot("rds:orders-2026-11-22-23-58", SnapshotCreateTime=at("2026-11-23T00:01:00"))))
    assert type(error) is errors.SnapshotNotFound


def test_none_of_that_day_lists_the_newest_five() -> None:
    found = [snapshot(f"s{day}", SnapshotCreateTime=at(f"2026-11-{day}T10:00:00")) for day in range(10, 18)]
    error = refusal(**by_date(*found))
    assert type(error) is errors.SnapshotNotFound
    assert error.field == "snapshot_date"
    for day in range(13, 18):
        assert f"s{day} (2026-11-{day}T10:00:00.000Z, {22 - day} d 23 h old, available)" in error.cause
    assert "s12" not in error.cause


def test_one_that_is_still_being_created() -> None:
    unborn = snapshot("s", SnapshotCreateTime=at("2026-11-22T10:00:00"), Status="creating", PercentProgress=40)
    error = refusal(**by_date(unborn))
    assert type(error) is errors.SnapshotNotAvailable
    assert "40 %" in error.cause
    no_time = {**unborn, "SnapshotCreateTime": None}
    assert type(refusal(**by_date(no_time))) is errors.SnapshotNotFound


def test_no_snapshot_at_all() -> None:
    assert "No snapshot is there at all" in refusal(**by_date()).cause


def test_by_name() -> None:
    automated = snapshot("rds:orders-2026-11-22-03-07")
    rds = FakeRds(snapshots=[snapshot(), automated])
    assert plan(rds).snapshot_identifier == "orders-manual"
    assert (
        plan(rds, snapshot_identifier=automated["DBClusterSnapshotIdentifier"]).snapshot_arn
        == (automated["DBClusterSnapshotArn"])
    )
    assert rds.made("describe_db_cluster_snapshots")[-1]["SnapshotType"] == "automated"
    assert plan(rds, snapshot_identifier=snapshot()["DBClusterSnapshotArn"]).snapshot_identifier == "orders-manual"
    assert plan(rds, source_cluster_id="orders")


@pytest.mark.parametrize(
    ("found", "changes", "kind"),
    [
        ([], {}, errors.SnapshotNotFound),
        ([snapshot("another")], {}, errors.SnapshotNotFound),
        ([snapshot(Status="creating", PercentProgress=3)], {}, errors.SnapshotNotAvailable),
        ([snapshot()], {"source_cluster_id": "invoices"}, errors.SnapshotNotFound),
        ([snapshot(Engine="neptune")], {}, errors.UnsupportedSnapshot),
        ([snapshot(Engine="mysql")], {}, errors.UnsupportedSnapshot),
    ],
)
def test_snapshots_that_will_not_do(
    found: list[dict[str, Any]], changes: dict[str, Any], kind: type[errors.RestoreError]
) -> None:
    assert type(refusal(FakeRds(snapshots=found), **changes)) is kind


# --- the rest of the preflight --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "kind", "words"),
    [
        ("16.4", errors.EngineDowngrade, "older"),
        ("16.7", errors.EngineVersionNotOffered, "16.8"),
        ("17.4", errors.MajorUpgradeRefused, "16.8"),
        ("15.9", errors.EngineDowngrade, "older"),
        # Whatever is allowed: no flag makes a target of them.
        (
            "17.3",
            errors.EngineVersionNotOffered,
            "to 17.3; of other major versions, by allow_major_version_upgrade, it",
        ),
        ("99.1", errors.EngineVersionNotOffered, "it can be to 17.4"),
        ("16", errors.InvalidParameter, "16 is not a full version; there are 16.6 (the snapshot's own), 16.8"),
        ("17", errors.InvalidParameter, "17 is not a full version; there is 17.4"),
        ("15", errors.EngineDowngrade, "older"),
    ],
)
def test_versions_that_will_not_do(version: str, kind: type[errors.RestoreError], words: str) -> None:
    error = refusal(engine_version=version)
    assert (type(error), error.field) == (kind, "engine_version")
    assert words in error.cause


def test_a_minor_upgrade() -> None:
    made = plan(engine_version="16.8")
    assert (made.engine_version, made.snapshot_engine_version) == ("16.8", VERSION)


def test_a_version_that_is_offered_but_not_as_an_upgrade() -> None:
    rds = FakeRds()
    rds.versions["16.9"] = {"EngineVersion": "16.9", "DBParameterGroupFamily": FAMILY}
    assert type(refusal(rds, engine_version="16.9")) is errors.EngineVersionNotOffered


def test_a_retired_version_is_restored_as_its_lowest_minor_upgrade() -> None:
    rds = FakeRds(retired={VERSION})
    rds.versions[VERSION]["ValidUpgradeTarget"].insert(0, {"EngineVersion": "16.10", "IsMajorVersionUpgrade": False})
    made = plan(rds)
    assert (made.engine_version, made.version_at_restore, made.snapshot_engine_version) == ("16.8", None, VERSION)
    assert any("does not offer" in warning and "16.8" in warning for warning in made.warnings)
    assert any(step.name == "RestoreCluster" and "16.8" in step.action for step in made.steps)
    # Asked for by name it is refused, and what is offered is told.
    error = refusal(rds, engine_version=VERSION)
    assert type(error) is errors.EngineVersionNotOffered
    assert "16.8, 16.10" in error.cause
    rds.versions[VERSION]["ValidUpgradeTarget"] = [{"EngineVersion": "17.4", "IsMajorVersionUpgrade": True}]
    assert "no minor upgrade" in refusal(rds).cause


def test_extended_support_is_never_silent() -> None:
    ended = [
        {"LifecycleSupportName": "open-source-rds-standard-support", "LifecycleSupportEndDate": NOW - timedelta(days=1)}
    ]
    rds = FakeRds(lifecycles=ended)
    assert type(refusal(rds)) is errors.ExtendedSupportRequired
    # Without it RDS may upgrade the major version during the restore.
    assert type(refusal(rds, engine_lifecycle_support=aurora.NO_EXTENDED_SUPPORT)) is errors.ExtendedSupportRequired
    made = plan(rds, engine_lifecycle_support=aurora.EXTENDED_SUPPORT)
    assert made.engine_lifecycle_support == aurora.EXTENDED_SUPPORT
    assert made.warnings
    ended[0]["LifecycleSupportEndDate"] = NOW + timedelta(days=1)
    assert plan(rds)


@pytest.mark.parametrize(
    ("rds", "changes", "kind", "field"),
    [
        (FakeRds(), {"db_instance_class": "db.x9.large"}, errors.InstanceClassUnavailable, "db_instance_class"),
        (FakeRds(subnet_groups={}), {}, errors.SubnetGroupInvalid, "db_subnet_group_name"),
        (FakeRds(), {"db_parameter_group_name": "p"}, errors.ParameterGroupInvalid, "db_parameter_group_name"),
        (
            FakeRds(parameter_groups={"p": "aurora-postgresql15"}),
            {"db_parameter_group_name": "p"},
            errors.ParameterGroupInvalid,
            "db_parameter_group_name",
        ),
        (
            FakeRds(parameter_groups={"p": "aurora-mysql8.0"}),
            {"db_cluster_parameter_group_name": "p"},
            errors.ParameterGroupInvalid,
            "db_cluster_parameter_group_name",
        ),
        (
            FakeRds(clusters={"orders-staging": {"Status": "available"}}),
            {},
            errors.TargetExists,
            "target_cluster_id",
        ),
        (
            FakeRds(instances={"x": {"DBInstanceIdentifier": "orders-staging-2", "DBClusterIdentifier": "o"}}),
            {"readers": 1},
            errors.TargetExists,
            "target_cluster_id",
        ),
        (
            FakeRds(),
            {"enable_cloudwatch_logs_exports": ["audit"]},
            errors.InvalidParameter,
            "enable_cloudwatch_logs_exports",
        ),
        (
            FakeRds(),
            {"users": [{"name": "Admin_User", "access": "read_only", "databases": ["d"]}]},
            errors.UserAlreadyExists,
            "users",
        ),
        (
            FakeRds(),
            {"users": [{"name": "rds_iam", "access": "read_only", "databases": ["d"]}]},
            errors.UserAlreadyExists,
            "users",
        ),
    ],
)
def test_what_is_refused_before_anything_is_created(
    rds: FakeRds, changes: dict[str, Any], kind: type[errors.RestoreError], field: str
) -> None:
    error = refusal(rds, **changes)
    assert (type(error), error.field) == (kind, field)
    assert all(name.startswith("describe_") for name, _ in rds.calls)


def test_a_class_that_is_not_offered_lists_those_that_are() -> None:
    assert "db.t4g.medium" in refusal(db_instance_class="db.x9.large").cause


def test_fitting_groups() -> None:
    rds = FakeRds(parameter_groups={"p": FAMILY, "c": FAMILY})
    assert plan(rds, db_parameter_group_name="p", db_cluster_parameter_group_name="c")


def test_a_thoroughly_bad_request_is_told_all_at_once() -> None:
    rds = FakeRds(subnet_groups={}, clusters={"orders-staging": {"Status": "available"}})
    error = refusal(rds, db_instance_class="db.x9.large", db_parameter_group_name="p")
    text = str(error)
    for kind in (
        errors.TargetExists, errors.InstanceClassUnavailable, errors.SubnetGroupInvalid, errors.ParameterGroupInvalid,
    ):  # fmt: skip
        assert kind.code in text


def test_a_denied_look_up_is_not_taken_for_absence() -> None:
    rds = FakeRds(errors={"describe_db_clusters": [refused("AccessDenied")]})
    with pytest.raises(Exception, match="AccessDenied"):
        plan(rds)


@pytest.mark.parametrize(
    ("version", "key", "family"),
    [
        ("8.0.mysql_aurora.3.08.2", (3, 8, 2), "8.0"),
        ("5.7.mysql_aurora.2.11.3", (2, 11, 3), "5.7"),
        ("16.6", (16, 6), "16"),
    ],
)
def test_versions(version: str, key: tuple[int, ...], family: str) -> None:
    assert aurora.version_key(version) == key
    assert aurora.family_version(version) == family


def test_restore_parameters_leave_nothing_to_rds_defaults() -> None:
    wanted = parsed(
        db_instance_class="db.serverless",
        serverless_v2_scaling={"min_capacity": 0.5, "max_capacity": 4},
        enable_iam_database_authentication=True,
        enable_cloudwatch_logs_exports=["postgresql"],
        port=6000,
    )
    aws = FakeAws()
    facts = preflight.gather(aws, aws.clients, wanted, {}, settings(), NOW)  # type: ignore[arg-type]
    made = planner.plan(wanted, facts, settings(), NOW)
    parameters = aurora.restore_parameters(wanted, made, {"a": "b"})
    assert parameters == {
        "DBClusterIdentifier": "orders-staging",
        "SnapshotIdentifier": made.snapshot_arn,
        "Engine": "aurora-postgresql",
        "EngineVersion": VERSION,
        "EngineLifecycleSupport": aurora.NO_EXTENDED_SUPPORT,
        "StorageType": "aurora",
        "KmsKeyId": SNAPSHOT_KEY_ARN,
        "Port": 6000,
        "DBSubnetGroupName": "databases",
        "VpcSecurityGroupIds": ["sg-0123456789abcdef0"],
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4},
        "EnableIAMDatabaseAuthentication": True,
        "EnableCloudwatchLogsExports": ["postgresql"],
        "CopyTagsToSnapshot": True,
        "DeletionProtection": False,
        "Tags": [{"Key": "a", "Value": "b"}],
    }


def test_a_parameter_that_the_sdk_does_not_know() -> None:
    engine = aurora.Aurora(FakeRds())  # type: ignore[arg-type]
    restore = "RestoreDBClusterFromSnapshot"
    known = {"Engine": "x", "AllowEngineModeChange": True}
    assert engine.left_for_modify(restore, known) == {"AllowEngineModeChange": True}
    with pytest.raises(errors.ConfigurationInvalid, match="FromTheFuture"):
        engine.left_for_modify(restore, {"FromTheFuture": 1})


def test_the_backup_window_is_the_sources() -> None:
    """Left out, RDS draws one by lot (BC: PreferredBackupWindow)."""
    where = FakeRds(snapshots=[snapshot(PreferredBackupWindow="01:00-01:30")])

    def given(**changes: Any) -> str | None:
        made, wanted = plan(where, **changes), parsed(**changes)
        window: str | None = aurora.restore_parameters(wanted, made, {}).get("PreferredBackupWindow")
        return window

    assert given() == "01:00-01:30"
    assert given(preferred_backup_window="05:00-05:30") == "05:00-05:30"
    assert given(preferred_maintenance_window="sun:02:00-sun:03:00") == "01:00-01:30"
    # RDS draws another one then, and ConfigureCluster sees to it that they do not overlap.
    assert given(preferred_maintenance_window="sun:01:15-sun:03:00") is None
    assert given(instances=[{}, {"preferred_maintenance_window": "sun:01:15-sun:03:00"}]) is None
