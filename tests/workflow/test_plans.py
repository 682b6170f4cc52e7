"""`mode: "plan"` through the real state machine: what a person gets for a good request and for a thoroughly bad one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from sandbox import samples
from tests.workflow.cross_account import ACCOUNT, REGION, SOURCE_ACCOUNT, SOURCE_REGION
from tests.workflow.support import Deployment, assert_audited, assert_failed
from tests.workflow.world import World

DATA = Path(__file__).resolve().parents[1] / "data"
FAR = (SOURCE_ACCOUNT, SOURCE_REGION)


def _without_chance(text: str) -> str:
    """What differs from run to run: times, ids, hashes."""
    text = re.sub(r"\d{4}-\d\d-\d\d([T-])\d\d[:-]\d\d([:.]\d+)*Z?", "<time>", text)
    text = re.sub(r"key/[0-9a-f-]{36}", "key/<id>", text)
    text = re.sub(r"source-(customer|aws-managed|aws-owned|none)-[0-9a-f]{6}", r"source-\1", text)
    text = re.sub(r"manual-[0-9a-f]{10}", "manual-<id>", text)
    text = re.sub(r"\b(vpc|sg)-[0-9a-f]{17}\b", r"\1-<id>", text)
    return re.sub(r"-[0-9a-f]{16}\b", "-<hash>", text)


def _assert_golden(name: str, text: str) -> None:
    told = _without_chance(text) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        (DATA / name).write_text(told, encoding="utf-8")
    assert told == (DATA / name).read_text(encoding="utf-8")


def _writes(deployment: Deployment, since: int) -> set[str]:
    """Calls of the pipeline that could have changed something, but for its own tables."""
    return {
        f"{call.service}:{call.operation}"
        for call in deployment.sandbox.recorder.calls(since=since)
        if "assumed-role" in call.principal
        and call.service in {"rds", "kms", "ec2", "secretsmanager"}
        and not call.operation.startswith(("Describe", "List", "Get", "Decrypt", "GenerateDataKey"))
    }


def test_the_plan_of_a_good_request(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*FAR, "automated", "aws-managed")
    cross_account.forget_durations()
    before = cross_account.sandbox.recorder.recorded

    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": "orders-staging", "mode": "plan"})

    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.states[-1] == "PlanReported"
    assert _writes(cross_account, before) == set()
    record = execution.record
    assert record is not None
    assert record["status"] == "PLANNED"
    assert record["expires_at"] > 0
    assert_audited(execution)
    assert execution.messages == []
    described = cross_account.client("stepfunctions").describe_execution(executionArn=execution.arn)
    output = json.loads(described["output"])
    assert "external_id" not in described["output"]
    _assert_golden("plan-workflow-good.txt", "\n".join(output["table"]))
    # The plan is the one that a restore makes and carries out.
    restored = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    assert restored.record is not None
    assert restored.status == "SUCCEEDED", restored.cause
    assert restored.record["plan"]["route"] == record["plan"]["route"]
    assert [step["name"] for step in restored.record["plan"]["steps"]] == [
        step["name"] for step in record["plan"]["steps"]
    ]


def test_a_thoroughly_bad_request_is_told_everything_at_once(cross_account: Deployment, world: World) -> None:
    arn = world.snapshot(*FAR, "manual", "aws-owned")
    ec2, rds = cross_account.client("ec2"), cross_account.client("rds")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="elsewhere", Description="of another VPC", VpcId=vpc)["GroupId"]
    taken = world.cluster(ACCOUNT, REGION, "customer")
    rds.create_db_parameter_group(
        DBParameterGroupName="orders15", DBParameterGroupFamily="aurora-postgresql15", Description="of another engine"
    )
    clusters = len(rds.describe_db_clusters()["DBClusters"])
    cross_account.sandbox.rds.set_quota("DBClusters", 0, ACCOUNT, REGION)
    before = cross_account.sandbox.recorder.recorded
    try:
        execution = cross_account.run(_bad_request(arn, taken, group))
    finally:
        cross_account.sandbox.rds.set_quota("DBClusters", 40, ACCOUNT, REGION)
        ec2.delete_security_group(GroupId=group)
        ec2.delete_vpc(VpcId=vpc)

    assert_failed(execution, "ARP-GENERAL-002")
    assert f"Plan of an Aurora restore refused: {taken}" in execution.messages[0]["subject"]
    assert _writes(cross_account, before) == set()
    assert execution.record is not None
    findings = execution.record["error"]["details"]["findings"]
    told = [f"{found['code']} [{found.get('field')}]\n  {found['cause']}\n  -> {found['remedy']}" for found in findings]
    # How many clusters there are depends on the tests before.
    counted = "\n".join(told).replace(f"has {clusters} of 0 DB clusters", "has 1 of 0 DB clusters")
    _assert_golden("plan-workflow-bad.txt", counted)
    for found in findings:
        assert found["cause"] in str(execution.cause)
        assert found["remedy"] in str(execution.cause)
        assert found["cause"] in execution.messages[0]["message"].replace('\\\\\\"', '"').replace('\\"', '"')


def _bad_request(arn: str, taken: str, group: str) -> dict[str, Any]:
    return {
        "snapshot_identifier": arn,
        "mode": "plan",
        "target_cluster_id": taken,
        "target_region": "us-west-2",
        "engine_version": "8.0.mysql_aurora.3.04.0",
        "db_instance_class": "db.r99.gigantic",
        "db_subnet_group_name": samples.SUBNET_GROUP,
        "vpc_security_group_ids": [group, "sg-0123456789abcdef0"],
        "db_parameter_group_name": "orders15",
        "db_cluster_parameter_group_name": "nowhere",
        "kms_key_id": "alias/missing",
    }
