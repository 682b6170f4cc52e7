"""Snapshots from other accounts and regions: how copies are made, shared between operations, queued, and cleaned up."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest

from sandbox import samples
from sandbox.faults import Fault
from tests.workflow.cross_account import ACCOUNT, REGION, SOURCE_ACCOUNT, SOURCE_REGION, CrossAccount
from tests.workflow.support import Deployment, Execution, assert_audited, assert_failed
from tests.workflow.world import World, seconds

FAR = (SOURCE_ACCOUNT, SOURCE_REGION)
ELSEWHERE = (ACCOUNT, SOURCE_REGION)


def succeeded(execution: Execution) -> dict[str, Any]:
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.record is not None
    assert execution.record["status"] == "SUCCEEDED"
    assert_audited(execution)
    return execution.record


def until(condition: Any, seconds: float = 60, pause: float = 0.02) -> Any:
    """Wait, in real time, for something to become true; returns it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(pause)
    return found


def copying(world: World) -> list[dict[str, Any]]:
    return [copy for copy in world.copies() if copy["Status"] == "copying"]


def events(execution: Execution) -> list[str]:
    return [entry["event"] for entry in execution.trail]


@pytest.fixture
def targets(cross_account: Deployment) -> Any:
    """Free names, whose clusters are deleted afterwards."""
    names: list[str] = []

    def new() -> str:
        names.append(f"t-{uuid.uuid4().hex[:10]}")
        return names[-1]

    yield new
    for name in names:
        cross_account.delete_cluster(name)


@pytest.fixture(autouse=True)
def _no_copies_left(cross_account: Deployment, world: World) -> Any:
    """What a test keeps or aborts, or a failed one leaves, is found by its tag."""
    yield
    world.delete_copies(cross_account)


# --- one operation --------------------------------------------------------------------------------------------------


def test_the_hard_case_takes_one_copy_made_in_the_source_account(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    """An automated snapshot under aws/rds of another account and region: naive pipelines copy it two or three times."""
    arn = world.snapshot(*FAR, "automated", "aws-managed")
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    record = succeeded(execution)
    [copy] = record["plan"]["route"]["copies"]
    assert (copy["account"], copy["region"]) == (SOURCE_ACCOUNT, REGION)
    assert copy["share"]
    made = [
        c
        for c in cross_account.sandbox.recorder.calls(operation="CopyDBClusterSnapshot")
        if c.params["TargetDBClusterSnapshotIdentifier"] == copy["identifier"]
    ]
    assert len(made) == 1
    assert f":{SOURCE_ACCOUNT}:" in made[0].principal
    assert events(execution).count("copy_started") == 1
    assert {"copy_available", "share_added", "copy_deleted"} <= set(events(execution))
    world.assert_nothing_left(cross_account, arn)


def test_the_examples_own_restore_brings_the_rows_and_users_of_another_account_and_region(
    cross_account: CrossAccount, world: World, copy_target: str
) -> None:
    """An automated snapshot under the default key, from a real database: rows, users, checks."""
    rds = cross_account.source_client("rds")
    network = samples.make_network(cross_account.source_client("ec2"), rds)
    ca = cross_account.sandbox.ca_pem
    source = samples.make_source(rds, network, "aurora-postgresql", f"orders-{copy_target}", ca)
    arn = cross_account.sandbox.take_automated_snapshot(source.cluster_id, SOURCE_ACCOUNT, SOURCE_REGION)
    world.wait_available(arn)
    execution = cross_account.run(
        {
            "source_account_id": SOURCE_ACCOUNT,
            "source_region": SOURCE_REGION,
            "source_cluster_id": source.cluster_id,
            "snapshot_selector": {"latest": True, "type": "automated"},
            "target_cluster_id": copy_target,
            "users": [{"name": "shop_reports", "access": "read_only", "databases": [samples.DATABASE]}],
            "checks": [
                {"name": "orders", "database": samples.DATABASE, "sql": "SELECT COUNT(*) FROM orders", "equals": 20}
            ],
        }
    )
    record = succeeded(execution)
    assert record["plan"]["snapshot_arn"] == arn
    reports = cross_account.login(copy_target, "shop_reports", source.engine)
    assert reports.execute("SELECT name FROM products WHERE id = 5") == [("Harbour Blend",)]
    reports.close()
    world.assert_nothing_left(cross_account, arn)
    rds.delete_db_instance(DBInstanceIdentifier=f"{source.cluster_id}-1", SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=source.cluster_id, SkipFinalSnapshot=True)


def test_copies_are_tagged_and_named_by_rule(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    record = succeeded(
        cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target, "keep_copies": True})
    )
    [copy] = world.copies()
    tags = {tag["Key"]: tag["Value"] for tag in copy["TagList"]}
    assert tags["aurora-restore:operation-id"] == record["operation_id"]
    assert tags["aurora-restore:managed-by"]
    assert copy["DBClusterSnapshotIdentifier"].startswith("arp-source-customer-")
    assert copy["KmsKeyId"].split(":")[3:5] == [REGION, ACCOUNT]
    assert {r["state"] for r in record["resources"] if r["kind"] == "db-cluster-snapshot"} == {"HANDED_OVER"}


def test_a_kept_copy_is_used_again_but_not_for_a_newer_snapshot_of_the_same_name(
    cross_account: Deployment, world: World, targets: Any
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    name, cluster = arn.rsplit(":", 1)[1], world.cluster(*ELSEWHERE, "customer")
    request = {"snapshot_identifier": arn, "keep_copies": True}
    succeeded(cross_account.run({**request, "target_cluster_id": targets()}))
    again = cross_account.run({**request, "target_cluster_id": targets()})
    succeeded(again)
    assert "copy_joined" in events(again)
    assert "copy_started" not in events(again)
    [kept] = world.copies()

    rds = world.client("rds", *ELSEWHERE)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    cross_account.sandbox.clock.advance(60)
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster)
    world.wait_available(arn)
    newer = cross_account.run({**request, "target_cluster_id": targets()})
    succeeded(newer)
    assert "copy_started" in events(newer)
    assert len(world.copies()) == 2
    assert kept


@pytest.mark.parametrize(("strategy", "hops"), [("auto", 1), ("direct", 1), ("two_hop", 1)])
def test_with_rights_in_the_source_account_no_strategy_needs_a_second_copy(
    cross_account: Deployment, world: World, copy_target: str, strategy: str, hops: int
) -> None:
    arn = world.snapshot(*FAR, "manual", "customer")
    record = succeeded(
        cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target, "copy_strategy": strategy})
    )
    assert len(record["plan"]["route"]["copies"]) == hops
    single = [c for c in record["plan"]["route"]["copies"] if c.get("cross_account") and c.get("cross_region")]
    assert len(single) == (0 if strategy == "two_hop" else 1)
    world.assert_nothing_left(cross_account, arn)


def _refuse_single_step(deployment: Deployment) -> None:
    """AWS before September 2025, or where its pages still say so."""
    deployment.sandbox.faults.add(
        Fault(
            service="rds",
            operation="CopyDBClusterSnapshot",
            principal=f"*:{ACCOUNT}:assumed-role/*",
            params={"SourceDBClusterSnapshotIdentifier": f"arn:aws:rds:{SOURCE_REGION}:{SOURCE_ACCOUNT}:*"},
            error="InvalidParameterValue",
            message="Copying a snapshot from another account to another Region is not supported.",
            times=None,
        )
    )


def test_auto_falls_back_when_aws_refuses_the_single_step(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*FAR, "manual", "customer")
    _refuse_single_step(cross_account)
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    record = succeeded(execution)
    assert "UseFallback" in execution.states
    assert not any(c.get("cross_account") and c.get("cross_region") for c in record["plan"]["route"]["copies"])
    world.assert_nothing_left(cross_account, arn)


def test_direct_does_not_fall_back(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*FAR, "manual", "customer")
    _refuse_single_step(cross_account)
    execution = cross_account.run(
        {"snapshot_identifier": arn, "target_cluster_id": copy_target, "copy_strategy": "direct"}
    )
    assert_failed(execution, "ARP-SNAP-COPY-007")
    world.assert_nothing_left(cross_account, arn)


def test_a_snapshot_that_its_owner_has_shared_is_restored_without_any_right_there(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    """From an account that source_accounts does not name; the owner's share is not ours to withdraw."""
    stranger = "777788889999"
    rds = world.client("rds", stranger, REGION)
    arn = world.snapshot(stranger, REGION, "manual", "none")
    name = arn.rsplit(":", 1)[1]
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[ACCOUNT]
    )
    record = succeeded(cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target}))
    assert record["plan"]["route"]["copies"] == []
    assert world.shares(arn) == [ACCOUNT]


# --- operations beside each other -----------------------------------------------------------------------------------


def test_two_operations_share_one_copy_and_the_last_one_deletes_it(
    cross_account: Deployment, world: World, targets: Any
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer", 500)
    request = {"snapshot_identifier": arn}
    first = cross_account.start({**request, "target_cluster_id": targets()})
    until(lambda: world.copies())
    second = cross_account.start({**request, "target_cluster_id": targets()})
    one, two = cross_account.wait(first), cross_account.wait(second)
    succeeded(one)
    succeeded(two)
    assert (events(one) + events(two)).count("copy_started") == 1
    assert (events(one) + events(two)).count("copy_deleted") == 1
    world.assert_nothing_left(cross_account, arn)


def test_without_reuse_each_operation_has_its_own_copy(cross_account: Deployment, world: World, targets: Any) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    request = {"snapshot_identifier": arn, "reuse_copies": False}
    runs = [cross_account.start({**request, "target_cluster_id": targets()}) for _ in range(2)]
    for execution in map(cross_account.wait, runs):
        succeeded(execution)
        assert events(execution).count("copy_started") == 1
    world.assert_nothing_left(cross_account, arn)


def test_the_sixth_copy_waits_for_a_lane_visibly_and_cheaply(
    cross_account: Deployment, world: World, targets: Any
) -> None:
    arns = [world.snapshot(*ELSEWHERE, "manual", "customer") for _ in range(7)]
    runs = [cross_account.start({"snapshot_identifier": arn, "target_cluster_id": targets()}) for arn in arns]
    ids = [run.rsplit(":", 1)[1] for run in runs]
    most, queued = 0, set()

    def ended() -> bool:
        nonlocal most
        most = max(most, len(copying(world)))
        for name in ids:
            record = cross_account.record(name)
            if record and record["status"] == "QUEUED":
                queued.add(name)
        states = cross_account.client("stepfunctions")
        return all(states.describe_execution(executionArn=run)["status"] != "RUNNING" for run in runs)

    until(ended, 240, pause=0.5)
    executions = [cross_account.wait(run) for run in runs]
    for execution in executions:
        succeeded(execution)
    assert most <= 5
    waited = [execution for execution in executions if "copy_queued" in events(execution)]
    assert len(waited) == 2
    for execution in waited:
        hours = seconds(cross_account, execution) / 3600
        starts = execution.states.count("StartCopy")
        assert starts <= 2 + 4 * hours, "woken when a lane is free; asks by itself every quarter of an hour only"
    world.assert_nothing_left(cross_account, *arns)


def test_a_sixth_copy_that_aws_refuses_for_others_copies_is_queued(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    """The limit is the account's: somebody else's copies take lanes that ours do not know of."""
    arns = [world.snapshot(*ELSEWHERE, "manual", "customer", 2000) for _ in range(6)]
    rds = world.client("rds")
    with cross_account.sandbox.clock.busy():  # else the copies would be done before the restore begins
        for number, arn in enumerate(arns[:5]):
            rds.copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=arn,
                TargetDBClusterSnapshotIdentifier=f"theirs-{copy_target}-{number}",
                KmsKeyId=cross_account.outputs["kms_key_arn"],
            )
        run = cross_account.start({"snapshot_identifier": arns[5], "target_cluster_id": copy_target})
    execution = cross_account.wait(run)
    record = succeeded(execution)
    assert "copy_queued" in events(execution)
    assert any("in flight" in warning for warning in record["plan"]["warnings"])
    for number in range(5):
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"theirs-{copy_target}-{number}")
    world.assert_nothing_left(cross_account, *arns)


def test_an_operation_that_is_aborted_does_not_block_its_lane_for_ever(
    cross_account: Deployment, world: World, targets: Any
) -> None:
    arns = [world.snapshot(*ELSEWHERE, "manual", "customer", 200) for _ in range(6)]
    runs = [cross_account.start({"snapshot_identifier": arn, "target_cluster_id": targets()}) for arn in arns[:5]]
    until(lambda: len(copying(world)) == 5)
    sixth = cross_account.start({"snapshot_identifier": arns[5], "target_cluster_id": targets()})
    for run in runs:
        cross_account.client("stepfunctions").stop_execution(executionArn=run)
    succeeded(cross_account.wait(sixth))


# --- what goes wrong (the FAQ's list) -------------------------------------------------------------------------------


def test_the_101st_manual_snapshot_is_refused_before_anything_is_done(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    rds, cluster = world.client("rds"), world.cluster(ACCOUNT, REGION, "customer")
    have = len(rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"])
    names = [f"full-{copy_target}-{number}" for number in range(100 - have)]
    for name in names:
        rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier=cluster)
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    assert_failed(execution, "ARP-SNAP-COPY-006")
    assert "100" in str(execution.cause)
    assert "CopySnapshots" not in execution.states
    cross_account.sandbox.clock.advance(3600)
    for name in names:
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    world.assert_nothing_left(cross_account, arn)


def test_the_quota_that_fills_up_after_the_check_ends_with_its_code(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    cross_account.sandbox.faults.add(
        Fault(
            service="rds",
            operation="CopyDBClusterSnapshot",
            error="SnapshotQuotaExceeded",
            message="Cannot create more than 100 manual snapshots",
            times=None,
        )
    )
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    assert_failed(execution, "ARP-SNAP-COPY-006")
    world.assert_nothing_left(cross_account, arn)


def test_a_grant_that_is_revoked_in_mid_copy(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer", 10_000)
    key = world.customer_key(*ELSEWHERE)
    kms = world.client("kms", *ELSEWHERE)
    before = {grant["GrantId"] for grant in kms.list_grants(KeyId=key)["Grants"]}
    run = cross_account.start({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    until(lambda: copying(world))
    with cross_account.sandbox.clock.busy():
        for grant in kms.list_grants(KeyId=key)["Grants"]:
            if grant["GrantId"] not in before:
                kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    execution = cross_account.wait(run)
    assert_failed(execution, "ARP-COPY-STATUS-002")
    world.assert_nothing_left(cross_account, arn)


def test_a_source_that_is_deleted_in_mid_copy(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer", 10_000)
    run = cross_account.start({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    until(lambda: copying(world))
    world.client("rds", *ELSEWHERE).delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=arn.rsplit(":", 1)[1])
    execution = cross_account.wait(run)
    assert_failed(execution, "ARP-COPY-STATUS-002")
    world.assert_nothing_left(cross_account, arn)


def test_a_copy_that_somebody_deletes(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer", 10_000)
    run = cross_account.start({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    [copy] = until(lambda: copying(world))
    world.client("rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy["DBClusterSnapshotIdentifier"])
    execution = cross_account.wait(run)
    assert_failed(execution, "ARP-COPY-STATUS-001")
    world.assert_nothing_left(cross_account, arn)


def test_a_foreign_snapshot_with_the_copys_name_is_not_touched(
    cross_account: Deployment, world: World, targets: Any
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    planned = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": targets(), "mode": "plan"})
    assert planned.record is not None
    name = planned.record["plan"]["route"]["copies"][0]["identifier"]
    rds = world.client("rds")
    rds.create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=world.cluster(ACCOUNT, REGION, "customer")
    )
    world.wait_available(f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{name}")
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": targets()})
    assert_failed(execution, "ARP-SNAP-COPY-003")
    assert world.described(f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{name}")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    world.assert_nothing_left(cross_account, arn)


def test_a_copy_that_passes_its_deadline_is_cancelled(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer", 60_000)  # two virtual days
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    assert_failed(execution, "ARP-COPY-STATUS-003")
    assert "%" in str(execution.cause), "what was last seen"
    world.assert_nothing_left(cross_account, arn)


@pytest.mark.parametrize("keep", [False, True])
def test_after_a_failure_copies_are_kept_or_deleted_as_asked(
    cross_account: Deployment, world: World, copy_target: str, keep: bool
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    cross_account.sandbox.rds.fail_resource(copy_target, "restore-failed", "no luck")
    execution = cross_account.run(
        {"snapshot_identifier": arn, "target_cluster_id": copy_target, "keep_copies_on_failure": keep}
    )
    assert_failed(execution, "ARP-RESTORE-STATUS-001")
    cross_account.sandbox.clock.advance(600)
    assert len(world.copies()) == int(keep)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    "operation", ["CopyDBClusterSnapshot", "ModifyDBClusterSnapshotAttribute", "DeleteDBClusterSnapshot"]
)
def test_a_call_that_is_throttled_or_whose_answer_is_lost_does_no_harm(
    cross_account: Deployment, world: World, copy_target: str, operation: str, done: bool
) -> None:
    arn = world.snapshot(*FAR, "automated", "customer")
    cross_account.sandbox.faults.add(
        Fault(service="rds", operation=operation, principal="*:assumed-role/*", error="Throttling", times=8, done=done)
    )
    execution = cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target})
    record = succeeded(execution)
    assert record.get("warnings") == record["plan"].get("warnings"), "no more than the plan said"
    world.assert_nothing_left(cross_account, arn)


def test_a_key_that_arrives_late_is_waited_for_a_little(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    cross_account.sandbox.faults.add(
        Fault(service="rds", operation="CopyDBClusterSnapshot", error="KMSKeyNotAccessibleFault", times=2)
    )
    succeeded(cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target}))
    world.assert_nothing_left(cross_account, arn)


def test_a_key_that_stays_inaccessible_ends_with_its_code(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    cross_account.sandbox.faults.add(
        Fault(service="rds", operation="CopyDBClusterSnapshot", error="KMSKeyNotAccessibleFault", times=None)
    )
    assert_failed(
        cross_account.run({"snapshot_identifier": arn, "target_cluster_id": copy_target}), "ARP-SNAP-COPY-004"
    )
    world.assert_nothing_left(cross_account, arn)


# --- which snapshot -------------------------------------------------------------------------------------------------


def test_the_selector_takes_the_newest_that_fits(cross_account: Deployment, world: World, targets: Any) -> None:
    cluster = world.cluster(*FAR, "customer")
    rds = world.client("rds", *FAR)
    automated = world.snapshot(*FAR, "automated", "customer")
    manual = world.snapshot(*FAR, "manual", "customer")
    rds.add_tags_to_resource(ResourceName=manual, Tags=[{"Key": "Release", "Value": "42"}])
    backup = world.snapshot(*FAR, "awsbackup", "customer")
    where = {"source_cluster_id": cluster, "source_account_id": SOURCE_ACCOUNT, "source_region": SOURCE_REGION}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"latest": True}, backup),
        ({"type": "automated"}, automated),
        ({"type": "awsbackup"}, backup),
        ({"type": "manual"}, manual),
        ({"tags": {"Release": "42"}}, manual),
    ]
    for selector, expected in cases:
        request = {**where, "snapshot_selector": selector, "target_cluster_id": targets(), "mode": "plan"}
        execution = cross_account.run(request)
        assert execution.status == "SUCCEEDED", execution.cause
        assert execution.record is not None
        assert execution.record["plan"]["snapshot_arn"] == expected, selector
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=manual.rsplit(":", 1)[1])


def test_the_snapshots_of_a_restored_cluster_are_found(cross_account: Deployment, world: World, targets: Any) -> None:
    """They inherit the cluster's tags, and the pipeline's are among those."""
    restored, rds = targets(), world.client("rds")
    source = world.snapshot(ACCOUNT, REGION, "manual", "customer")
    succeeded(cross_account.run({"snapshot_identifier": source, "target_cluster_id": restored}))
    arn = samples.take_snapshot(rds, restored, f"{restored}-later")
    described = world.described(arn)
    assert described
    assert "aurora-restore:operation-id" in {tag["Key"] for tag in described["TagList"]}
    request = {"source_cluster_id": restored, "snapshot_selector": {"latest": True}, "target_cluster_id": targets()}
    record = succeeded(cross_account.run(request))
    assert record["plan"]["snapshot_arn"] == arn
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=arn.rsplit(":", 1)[1])


def test_the_newest_snapshot_may_be_too_old(cross_account: Deployment, world: World, copy_target: str) -> None:
    arn = world.snapshot(*ELSEWHERE, "manual", "customer")
    request = {
        "source_cluster_id": world.cluster(*ELSEWHERE, "customer"),
        "source_region": SOURCE_REGION,
        "snapshot_selector": {"latest": True, "max_age_hours": 24},
        "target_cluster_id": copy_target,
        "mode": "plan",
    }
    assert cross_account.run(request).status == "SUCCEEDED"
    cross_account.sandbox.clock.advance(timedelta(hours=30).total_seconds())
    execution = cross_account.run(request)
    assert_failed(execution, "ARP-SNAP-CHECK-009")
    world.client("rds", *ELSEWHERE).delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=arn.rsplit(":", 1)[1])


def test_a_recreated_clusters_snapshots_are_told_apart(
    cross_account: Deployment, world: World, copy_target: str
) -> None:
    """Two clusters have had the name: the living one's snapshots are meant; without any, the request has to say."""
    rds, name = world.client("rds", *ELSEWHERE), f"again-{copy_target}"
    network = samples.make_network(world.client("ec2", *ELSEWHERE), rds)
    arns = []
    for life in ("first", "second"):
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-mysql",
            EngineVersion=samples.ENGINE_VERSIONS["aurora-mysql"],
            MasterUsername=samples.MASTER_USERNAME,
            MasterUserPassword=uuid.uuid4().hex,
            DBSubnetGroupName=network.db_subnet_group_name,
        )
        samples.wait_until_available(rds, name)
        if life == "second":
            newest = {"source_cluster_id": name, "source_region": SOURCE_REGION, "snapshot_selector": {"latest": True}}
            early = cross_account.run({**newest, "target_cluster_id": copy_target, "mode": "plan"})
            assert_failed(early, "ARP-SNAP-CHECK-008")
        arns.append(samples.take_snapshot(rds, name, f"{name}-{life}"))
        if life == "first":
            rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
            cross_account.sandbox.clock.advance(600)
    first, second = (world.described(arn) for arn in arns)
    assert first
    assert second
    request = {
        "source_cluster_id": name,
        "source_region": SOURCE_REGION,
        "snapshot_date": second["SnapshotCreateTime"].strftime("%Y-%m-%d"),
        "target_cluster_id": copy_target,
        "mode": "plan",
    }
    living = cross_account.run(request)
    assert living.record is not None
    assert living.record["plan"]["snapshot_arn"] == arns[1]
    assert any(first["DbClusterResourceId"] in warning for warning in living.record["warnings"])
    asked = cross_account.run({**request, "source_cluster_resource_id": first["DbClusterResourceId"]})
    assert asked.record is not None
    assert asked.record["plan"]["snapshot_arn"] == arns[0]
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    cross_account.sandbox.clock.advance(600)
    ambiguous = cross_account.run(request)
    assert_failed(ambiguous, "ARP-SNAP-CHECK-008")
    assert first["DbClusterResourceId"] in str(ambiguous.cause)
    for arn in arns:
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=arn.rsplit(":", 1)[1])
