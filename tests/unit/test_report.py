"""The report of a plan, and what is told of a request that is wrong in many ways, word for word."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from aurora_restore import contract, errors, names, plan_settings, planner, preflight, report, source_cluster, sources
from aurora_restore.engine import settings_table
from aurora_restore.living import NOTHING_COPIED, Copied
from aurora_restore.model import Plan, Request, iso
from tests.unit.core_support import (
    ACCOUNT,
    NOW,
    REGION,
    SNAPSHOT_KEY_ARN,
    SOURCE_ACCOUNT,
    SOURCE_KEY_ARN,
    SOURCE_REGION,
    FakeAws,
    FakeRds,
    refused,
    request,
    settings,
    snapshot,
    source_accounts,
    subnet_group,
    two_accounts,
)

DATA = Path(__file__).resolve().parents[1] / "data"


Checked = tuple[Plan, Request, dict[str, str]]
"""A plan, its request, and the tags of what it makes."""


def checked(
    aws: FakeAws, raw: dict[str, Any], *, defaults: dict[str, Any] | None = None, copied: Copied = NOTHING_COPIED
) -> Checked:
    """What SnapshotCheck does with a request."""
    given = settings(tags={"team": "platform"})
    parsed = contract.parse(raw, defaults=defaults or {}, operation_id="op", settings=given, now=NOW, copied=copied)
    assert parsed.request is not None
    known = sources.parse(json.dumps(source_accounts()))
    facts = preflight.gather(
        aws,  # type: ignore[arg-type]
        aws.clients,  # type: ignore[arg-type]
        parsed.request,
        known,
        given,
        NOW,
        problems=parsed.problems,
    )
    plan = planner.plan(
        parsed.request, facts, given, NOW, problems=parsed.problems, origins=parsed.origins, copied=copied
    )
    request = source_cluster.filled(parsed.request, facts.source)
    tags = {**given.tags, **request.all_tags}
    return plan, request, names.operation_tags(deployment=given.deployment, operation_id="op", tags=tags)


def good() -> Checked:
    """An automated snapshot under the default key, from another account and another region."""
    nightly = snapshot(
        "rds:orders-2026-11-22-03-07",
        account=SOURCE_ACCOUNT,
        region=SOURCE_REGION,
        KmsKeyId=SOURCE_KEY_ARN,
        AllocatedStorage=150,
        BackupRetentionPeriod=7,
    )
    return checked(
        two_accounts(nightly),
        request(
            mode="plan",
            snapshot_identifier=None,
            source_cluster_id="orders",
            source_account_id=SOURCE_ACCOUNT,
            source_region=SOURCE_REGION,
            snapshot_selector={"type": "automated", "max_age_hours": 26},
            readers=1,
            users=[{"name": "app", "access": "read_write", "databases": ["shop"]}],
            tags={"environment": "staging"},
            backup_retention_period=7,
        ),
        defaults={"port": 5433, "preferred_backup_window": "03:00-04:00", "requested_by": "platform"},
    )


def bad() -> errors.RestoreError:
    """Nearly everything is wrong, at the source, on the way and at the target."""
    unfit = snapshot(
        "orders-old", account=SOURCE_ACCOUNT, region=SOURCE_REGION, KmsKeyId=SOURCE_KEY_ARN, Status="copying"
    )
    aws = two_accounts(unfit)
    aws.others[SOURCE_ACCOUNT].kms.keys[SOURCE_KEY_ARN] |= {"KeyState": "PendingDeletion"}
    rds = aws.rds
    rds.clusters["orders-staging"] = {"Status": "available"}
    rds.subnet_groups["databases"] = subnet_group("databases", zones="d", SubnetGroupStatus="Incomplete")
    rds.quotas = {"DBClusters": (40, 40), "DBInstances": (38, 40)}
    rds.parameter_groups = {"orders15": "aurora-postgresql15"}
    rds.errors["describe_db_instances"] = [
        refused("AccessDenied", "not authorized to perform rds:DescribeDBInstances", "DescribeDBInstances")
    ]
    aws.ec2.groups["sg-2"] = "vpc-2"
    raw = request(
        mode="plan",
        snapshot_identifier="orders-old",
        source_account_id=SOURCE_ACCOUNT,
        source_region=SOURCE_REGION,
        target_region="eu-north-1",
        engine_version="17.4",
        readers=2,
        vpc_security_group_ids=["sg-2", "sg-3"],
        db_parameter_group_name="orders15",
        db_cluster_parameter_group_name="nowhere",
        kms_key_id="alias/missing",
        enable_cloudwatch_logs_exports=["audit"],
        users=[{"name": "rds_admin", "access": "read_only", "databases": ["shop"]}],
    )
    try:
        checked(aws, raw)
    except errors.RestoreError as error:
        return error
    raise AssertionError("it was not refused")


def golden(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def test_the_table_of_a_good_plan() -> None:
    assert "\n".join(report.of_plan(*good())["table"]) + "\n" == golden("plan-good.txt")


def test_the_findings_of_a_thoroughly_bad_request() -> None:
    error = bad()
    told = "\n".join(report.findings_table(error.details["findings"])) + "\n"
    assert told == golden("plan-bad.txt")
    for finding in error.details["findings"]:
        assert finding["cause"] in str(error)
        assert finding["remedy"] in str(error)


def test_a_line_is_longer_than_the_width_only_for_a_word_that_is_not_broken() -> None:
    for line in [*report.of_plan(*good())["table"], *report.findings_table(bad().details["findings"])]:
        assert len(line) <= report.WIDTH or "arn:" in line.split()[-1]


def test_the_report_is_plain_data_that_fits_and_tells_no_external_id() -> None:
    plan, asked, tags = good()
    text = json.dumps(report.of_plan(plan, asked, tags))
    assert len(text) < 32_000
    assert plan.source_role is not None
    assert plan.source_role.external_id not in text
    told = json.loads(text)
    assert [step["name"] for step in told["steps"]] == [step.name for step in plan.steps]
    assert told["expected_seconds"] == sum(plan.expected_seconds[phase] for phase in (
        "copy-1", "cluster", "configure", "writer", "readers",
    ))  # fmt: skip
    assert told["costs"][0]["usd"] == 3.0
    assert (plan.target_account, plan.target_region) == (ACCOUNT, REGION)


# --- the settings ---------------------------------------------------------------------------------------------------


def living(**changes: Any) -> FakeAws:
    """A source cluster with a writer."""
    cluster = {
        "DBClusterIdentifier": "orders",
        "DBClusterArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:orders",
        "DbClusterResourceId": "cluster-ORDERS",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.6",
        "Port": 6000,
        "StorageEncrypted": True,
        "KmsKeyId": SNAPSHOT_KEY_ARN,
        "MasterUsername": "admin_user",
        "EarliestRestorableTime": NOW - timedelta(days=2),
        "LatestRestorableTime": NOW - timedelta(minutes=5),
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8.0},
        "DBClusterMembers": [{"DBInstanceIdentifier": "orders-1", "IsClusterWriter": True}],
        **changes,
    }
    writer = {"DBInstanceIdentifier": "orders-1", "DBClusterIdentifier": "orders", "DBInstanceClass": "db.serverless"}
    return FakeAws(FakeRds(clusters={"orders": cluster}, instances={"orders-1": writer}))


def point(**changes: Any) -> dict[str, Any]:
    """A request for a point in time of that cluster."""
    return request(
        snapshot_identifier=None, source_cluster_id="orders", restore_to_time="latest", mode="plan", **changes
    )


def told(made: Checked) -> dict[str, Any]:
    """The report, as a program reads it."""
    read: dict[str, Any] = json.loads(json.dumps(report.of_plan(*made)))
    return read


def test_each_setting_has_its_value_and_who_said_so() -> None:
    copied = Copied(
        "orders-staging",
        "aurora-postgresql",
        {"backup_retention_period": 9, "vpc_security_group_ids": ["sg-0123456789abcdef0"], "tags": {"team": "orders"}},
    )
    made = told(
        checked(
            living(),
            point(
                db_instance_class=None,
                vpc_security_group_ids=None,
                copy_settings_from="orders-staging",
                cost_tags={"cost-center": ""},
                enable_cloudwatch_logs_exports=["postgresql"],
                monitoring_interval=0,
            ),
            defaults={"preferred_backup_window": "03:00-04:00", "deletion_protection": True, "keep_copies": True},
            copied=copied,
        )
    )
    settings = {field: (one["value"], one["origin"]) for field, one in made["settings"].items()}
    assert (
        settings
        | {
            "db_subnet_group_name": ("databases", "request"),
            "vpc_security_group_ids": (["sg-0123456789abcdef0"], "copied"),
            "backup_retention_period": (9, "copied"),
            "preferred_backup_window": ("03:00-04:00", "defaults"),
            "deletion_protection": (True, "defaults"),
            "monitoring_interval": (0, "request"),
            "port": (6000, "source"),
            "kms_key_id": (SNAPSHOT_KEY_ARN, "source"),
            "db_instance_class": ("db.serverless", "source"),
            "serverless_v2_scaling": ({"min_capacity": 0.5, "max_capacity": 8.0}, "source"),
            "engine_lifecycle_support": ("open-source-rds-extended-support-disabled", "pipeline"),
            "preferred_maintenance_window": (None, "RDS"),
            "enable_iam_database_authentication": (None, "source"),
            "tags.team": ("orders", "copied"),
            "tags.cost-center": ("", "request"),
            "tags.aurora-restore:managed-by": ("restore", "pipeline"),
        }
        == settings
    )
    lines = [line.split(maxsplit=2) for line in made["table"]]
    for line in (
        ["backup_retention_period", "copied", "9"],
        ["serverless_v2_scaling", "source", "min_capacity 0.5, max_capacity 8.0"],
        ["deletion_protection", "defaults", "true"],
        ["tags", "copied", "team = orders"],
        ["preferred_maintenance_window", "RDS", "one that RDS chooses"],
    ):
        assert line in lines
    assert "Copied:   from the cluster orders-staging" in made["table"]
    assert "Defaults: also keep_copies" in made["table"]
    assert made["origins"]["keep_copies"] == "defaults"


def test_what_an_instance_has_of_its_own_is_told_with_it() -> None:
    own = {
        "db_instance_class": "db.r8g.large",
        "monitoring_interval": 60,
        "monitoring_role_arn": "arn:aws:iam::123456789012:role/m",
    }
    made = told(
        checked(living(), point(db_instance_class=None, readers=None, instances=[own, {**own, "promotion_tier": 3}]))
    )
    assert "db_instance_class" not in made["settings"], "no instance has what is said for all"
    writer, reader = made["settings"]["instances"]["value"]
    assert (writer["identifier"], writer["role"], writer["db_instance_class"]) == (
        "orders-staging-1", "writer", "db.r8g.large",
    )  # fmt: skip
    assert (reader["promotion_tier"], reader["monitoring_interval"]) == (3, 60)
    assert sum(line.startswith("instances ") for line in made["table"]) == 2


def test_every_row_of_the_table_of_settings_is_told() -> None:
    fields = {setting.field for setting in settings_table.SETTINGS} - {"tags", "promotion_tier", "availability_zone"}
    plan, asked, _ = good()
    assert {one.field for one in plan_settings.settings(plan, asked, {})} == fields | {"instances"}


def test_the_report_of_the_largest_settings_fits_an_executions_output() -> None:
    plan, asked, _ = good()
    tags = {f"{number:02}{'海' * 126}": "海" * 256 for number in range(50)}
    told = json.dumps(report.of_plan(plan, asked, tags), ensure_ascii=False)
    assert len(told.encode()) < 150_000


# --- what else is told ----------------------------------------------------------------------------------------------


def test_a_minor_upgrade_is_told_as_a_major_one_is() -> None:
    def lines(version: str, **more: Any) -> list[str]:
        aws = FakeAws()
        return list(told(checked(aws, request(mode="plan", engine_version=version, **more)))["table"])

    assert "Engine:   aurora-postgresql 16.6 to 16.8 (minor upgrade)" in lines("16.8")
    assert "aurora-postgresql 16.6 to 16.8," in " ".join(" ".join(lines("16.8")).split())
    major = lines("17.4", allow_major_version_upgrade=True)
    assert "Engine:   aurora-postgresql 16.6 to 17.4 (major upgrade)" in major
    assert "Engine:   aurora-postgresql 16.6" in lines("16.6")


def test_the_window_of_a_point_in_time_is_told() -> None:
    earliest, latest = iso(NOW - timedelta(days=2)), iso(NOW - timedelta(minutes=5))
    for moment in ("latest", iso(NOW - timedelta(hours=1))):
        made = told(checked(living(), {**point(), "restore_to_time": moment}))
        assert (made["source"]["restorable_from"], made["source"]["restorable_to"]) == (earliest, latest)
        assert f"          can be restored to any time from {earliest} to {latest} (UTC)" in made["table"]
    clone = told(checked(living(), {**point(), "restore_to_time": None, "clone": True}))
    assert "restorable_from" not in clone["source"]


def test_a_class_of_the_defaults_that_is_not_the_sources_is_noted() -> None:
    defaults = {"db_instance_class": "db.r8g.large"}
    made = told(checked(living(), point(db_instance_class=None), defaults=defaults))
    [note] = made["notes"]
    assert "will be db.r8g.large, which the deployment's defaults name; the source's writer is db.serverless" in note
    assert "Notes" in made["table"]
    assert told(checked(living(), point(db_instance_class="db.r8g.large")))["notes"] == []
    assert told(checked(living(), point(db_instance_class=None)))["notes"] == []
