"""The report of a plan, and what is told of a request that is wrong in many ways, word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aurora_restore import contract, errors, planner, preflight, report, sources
from aurora_restore.model import Plan
from tests.unit.core_support import (
    ACCOUNT,
    NOW,
    REGION,
    SOURCE_ACCOUNT,
    SOURCE_KEY_ARN,
    SOURCE_REGION,
    FakeAws,
    refused,
    request,
    settings,
    snapshot,
    source_accounts,
    subnet_group,
    two_accounts,
)

DATA = Path(__file__).resolve().parents[1] / "data"


def checked(aws: FakeAws, raw: dict[str, Any]) -> Plan:
    """What SnapshotCheck does with a request."""
    given = settings()
    parsed = contract.parse(raw, defaults={}, operation_id="op", settings=given, now=NOW)
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
    return planner.plan(parsed.request, facts, given, NOW, problems=parsed.problems)


def good() -> Plan:
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
        ),
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
    assert "\n".join(report.table(good())) + "\n" == golden("plan-good.txt")


def test_the_findings_of_a_thoroughly_bad_request() -> None:
    error = bad()
    told = "\n".join(report.findings_table(error.details["findings"])) + "\n"
    assert told == golden("plan-bad.txt")
    for finding in error.details["findings"]:
        assert finding["cause"] in str(error)
        assert finding["remedy"] in str(error)


def test_a_line_is_longer_than_the_width_only_for_a_word_that_is_not_broken() -> None:
    for line in [*report.table(good()), *report.findings_table(bad().details["findings"])]:
        assert len(line) <= report.WIDTH or "arn:" in line.split()[-1]


def test_the_report_is_plain_data_that_fits_and_tells_no_external_id() -> None:
    plan = good()
    text = json.dumps(report.of_plan(plan))
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
