"""What goes wrong, and how it ends: the code, the record, the message, and nothing left half-made."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from sandbox import samples
from sandbox.faults import Fault
from tests.workflow.support import ACCOUNT, ON_CALL, REGION, Deployment, assert_audited, assert_failed

GOOD = {"target_cluster_id": "never-made", "snapshot_identifier": "source-mysql-snapshot"}
WITHOUT_SOURCE = {"target_cluster_id": "never-made"}


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (
            {"snapshot_date": "2026-13-01", "source_cluster_id": "source-mysql", "snapshot_identifier": None},
            "ARP-SNAP-CHECK-004",
            "snapshot_date",
        ),
        ({"db_instance_clas": "db.r6g.large"}, "ARP-GENERAL-011", "db_instance_class"),
        ({"snapshot_identifier": None}, "ARP-SNAP-CHECK-005", "snapshot_identifier"),
        ({"snapshot_identifier": None, "source_cluster_id": "source-mysql"}, "ARP-SNAP-CHECK-005", "snapshot_date"),
        ({"snapshot_date": "2026-11-01", "source_cluster_id": "source-mysql"}, "ARP-GENERAL-013", "snapshot_date"),
        ({"target_cluster_id": "two--hyphens"}, "ARP-GENERAL-002", "target_cluster_id"),
        ({"target_cluster_id": "1-digit-first"}, "ARP-GENERAL-002", "target_cluster_id"),
        ({"target_cluster_id": "ends-with-"}, "ARP-GENERAL-002", "target_cluster_id"),
        ({"target_cluster_id": "x" * 64}, "ARP-GENERAL-002", "target_cluster_id"),
        ({"target_cluster_id": None}, "ARP-GENERAL-001", "target_cluster_id"),
        ({"target_cluster_id": "source-mysql"}, "ARP-RESTORE-009", "source-mysql"),
        ({"snapshot_identifier": "no-such-snapshot"}, "ARP-SNAP-CHECK-001", "no-such-snapshot"),
        (
            {"snapshot_identifier": "arn:aws:rds:us-east-1:111122223333:cluster-snapshot:elsewhere"},
            "ARP-SNAP-CHECK-001",
            "us-east-1",
        ),
        (
            {"snapshot_identifier": "arn:aws:rds:eu-west-1:999900001111:cluster-snapshot:theirs"},
            "ARP-SNAP-CHECK-006",
            "999900001111",
        ),
        ({"db_instance_class": "db.r99.gigantic"}, "ARP-RESTORE-006", "db.r99.gigantic"),
        ({"db_parameter_group_name": "no-such-group"}, "ARP-RESTORE-005", "no-such-group"),
        (
            {"db_cluster_parameter_group_name": "default.aurora-postgresql15"},
            "ARP-RESTORE-005",
            "default.aurora-postgresql15",
        ),
        ({"db_subnet_group_name": "no-such-subnets"}, "ARP-RESTORE-003", "no-such-subnets"),
        ({"engine_version": "8.0.mysql_aurora.3.04.0"}, "ARP-RESTORE-010", "engine_version"),
        (
            {"users": [{"name": "shop; DROP TABLE x", "access": "read_only", "databases": ["roastery"]}]},
            "ARP-GENERAL-002",
            "users",
        ),
        ({"readers": 16}, "ARP-GENERAL-002", "readers"),
        ({"target_region": "us-east-1"}, "ARP-GENERAL-002", "target_region"),
    ],
)
def test_bad_input_is_refused_before_anything_is_created(
    deployment: Deployment, mysql_source: samples.Source, change: dict[str, Any], code: str, said: str
) -> None:
    request = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    before = deployment.sandbox.recorder.recorded

    execution = deployment.run(request)

    assert_failed(execution, code)
    assert said in str(execution.cause)
    writes = {
        c.operation
        for c in deployment.sandbox.recorder.calls(since=before)
        if c.service == "rds" and not c.operation.startswith(("Describe", "List"))
    }
    assert writes == set()
    assert "RestoreCluster" not in execution.states


@pytest.mark.parametrize("request_", ["just text", ["a", "list"], 42, None])
def test_input_that_is_no_object_fails_with_a_code(deployment: Deployment, request_: Any) -> None:
    execution = deployment.run(request_)
    assert_failed(execution, "ARP-GENERAL-002")


def test_a_snapshot_that_is_still_creating_is_refused(deployment: Deployment, mysql_source: samples.Source) -> None:
    rds = deployment.client("rds")
    name = f"slow-{uuid.uuid4().hex[:8]}"
    arn = deployment.client("rds").create_db_cluster_snapshot(
        DBClusterSnapshotIdentifier=name, DBClusterIdentifier=mysql_source.cluster_id
    )["DBClusterSnapshot"]["DBClusterSnapshotArn"]
    deployment.sandbox.rds.hold_status(arn, "creating")
    execution = deployment.run({**GOOD, "snapshot_identifier": name})
    assert_failed(execution, "ARP-SNAP-CHECK-002")
    deployment.sandbox.rds.release_status(arn)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


def test_a_second_execution_of_an_operation_is_refused_and_touches_nothing(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    request = {**GOOD, "target_cluster_id": target, "operation_id": f"op-{target}"}
    first = deployment.run(request)
    assert first.status == "SUCCEEDED", first.cause

    second = deployment.run({**request, "target_cluster_id": f"{target}-b"})

    assert second.status == "FAILED"
    assert second.error == "ARP-GENERAL-012"
    assert str(second.cause).startswith(f"ARP-GENERAL-012: Operation op-{target} belongs to the execution {first.arn} ")
    assert "stackTrace" not in str(second.cause)
    assert second.messages == first.messages
    assert "Compensate" not in second.states
    assert second.record == first.record
    assert second.trail == first.trail
    assert deployment.cluster(target) is not None


@pytest.mark.parametrize(
    ("effect", "code"),
    [("raise", "ARP-GENERAL-010"), ("timeout", "ARP-GENERAL-006"), ("deny", "ARP-GENERAL-014")],
)
@pytest.mark.parametrize(
    ("function", "step"),
    [
        ("snapshot-check", "TakeTurn"),
        ("restore-snapshot", "RestoreCluster"),
        ("configure-cluster", "ConfigureCluster"),
    ],
)
def test_a_lambda_that_raises_times_out_or_is_denied_ends_in_failed(
    deployment: Deployment, mysql_source: samples.Source, target: str, function: str, step: str, effect: Any, code: str
) -> None:
    deployment.sandbox.faults.add(Fault(function=f"*{function}", effect=effect, error="RuntimeError", times=None))
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert_failed(execution, code)
    assert execution.record is not None
    assert execution.record["error"]["step"] == step
    assert ("lambda.timeout" in execution.record["error"]["remedy"]) == (effect == "timeout")
    assert deployment.cluster(target) is None or deployment.cluster(target)["Status"] == "deleting"  # type: ignore[index]


def test_denied_by_its_role_a_step_fails_with_its_code(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.faults.add(
        Fault(service="rds", operation="RestoreDBClusterFromSnapshot", error="AccessDenied", status=403, times=None)
    )
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert_failed(execution, "ARP-GENERAL-014")
    assert deployment.cluster(target) is None


@pytest.mark.parametrize("status", ["incompatible-network", "restore-failed", "inaccessible-encryption-credentials"])
def test_a_terminal_status_fails_at_once_with_the_events_that_explain_it(
    deployment: Deployment, mysql_source: samples.Source, target: str, status: str
) -> None:
    message = f"The sandbox explains {status}"
    deployment.sandbox.rds.fail_resource(target, status, message)
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert_failed(execution, "ARP-RESTORE-STATUS-001")
    assert message in str(execution.record)
    assert status in str(execution.cause)
    assert str(execution.cause).endswith("Everything that was made has been removed.")
    assert "Everything that was made has been removed." in execution.messages[0]["message"]
    assert "Endpoint:" not in execution.messages[0]["message"]
    deployment.sandbox.clock.advance(3600)
    assert deployment.cluster(target) is None, "a failure before the writer is available cleans up"
    assert {r["state"] for r in execution.record["resources"]} == {"DELETED"}  # type: ignore[index]
    assert execution.record["expires_at"] > 0  # type: ignore[index]


def test_a_failure_is_in_the_logs_with_operation_code_cause_and_remedy(
    deployment: Deployment, mysql_source: samples.Source
) -> None:
    execution = deployment.run({**GOOD, "snapshot_identifier": "no-such-snapshot"})
    assert_failed(execution, "ARP-SNAP-CHECK-001")
    for function, message in (("snapshot-check", "step_failed"), ("compensate", "operation_failed")):
        lines = deployment.sandbox.logs(f"/aws/lambda/aurora-restore-{function}")
        told = [json.loads(line) for line in lines if execution.operation_id in line and '"ERROR"' in line]
        failure = next(line["failure"] for line in told if line["message"] == message)
        assert failure["code"] == "ARP-SNAP-CHECK-001"
        assert "no-such-snapshot" in failure["cause"]
        assert failure["remedy"]


def test_a_failure_after_the_writer_is_there_keeps_what_was_made_and_says_so(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    checks = [{"name": "orders", "database": "roastery", "sql": "SELECT COUNT(*) FROM orders", "equals": 1000}]
    execution = deployment.run({**GOOD, "target_cluster_id": target, "checks": checks})
    assert_failed(execution, "ARP-VERIFY-001")
    assert "1000" in str(execution.cause)
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["Status"] == "available"
    assert f"Still there (and billed): db-cluster {target} (KEPT)" in str(execution.cause)
    for told in (
        "Still there (and billed)",
        f"Endpoint: {cluster['Endpoint']}",
        cluster["MasterUserSecret"]["SecretArn"],
    ):
        assert told in execution.messages[0]["message"]
    assert "KEPT" in str(execution.record)
    assert "expires_at" not in execution.record  # type: ignore[operator]


def test_what_fails_after_verification_is_a_warning_on_a_good_restore(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.faults.add(Fault(function="*-cleanup", effect="raise", error="RuntimeError", times=None))
    deployment.sandbox.faults.add(
        Fault(service="sns", operation="Publish", error="InternalFailure", status=500, times=None)
    )
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert execution.status == "SUCCEEDED"
    assert execution.record is not None
    assert execution.record["status"] == "SUCCEEDED"
    assert len(execution.record["warnings"]) == 2
    assert execution.output["warnings"] == execution.record["warnings"]
    assert "Compensate" not in execution.states
    assert_audited(execution)


def test_a_good_restore_that_cannot_be_told_still_has_an_output(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.faults.add(
        Fault(function="*-sns-notification", effect="raise", error="RuntimeError", times=None)
    )
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert execution.status == "SUCCEEDED", execution.cause
    assert execution.states[-2:] == ["SucceedUnreported", "RestoreSucceeded"]
    output = execution.output
    assert (output["operation_id"], output["status"]) == (execution.operation_id, "SUCCEEDED")
    assert output["target_cluster_id"] == target
    assert output["warnings"][0].startswith("NotifySuccess ended with ")
    assert set(output["caught"]) == {"notification"}


def test_compensation_that_cannot_work_still_ends_as_failed_and_notified(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.rds.fail_resource(target, "restore-failed", "no luck")
    deployment.sandbox.faults.add(Fault(function="*-compensate", effect="raise", error="RuntimeError", times=None))
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert_failed(execution, "ARP-RESTORE-STATUS-001")
    assert execution.record is not None
    [warning] = execution.record["warnings"]
    assert warning.startswith("compensation: ARP-GENERAL-010")
    assert "compensation: ARP-GENERAL-010" in execution.messages[0]["message"]


def test_a_notification_that_fails_on_the_failure_road_still_fails_the_execution(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.rds.fail_resource(target, "restore-failed", "no luck")
    deployment.sandbox.faults.add(
        Fault(function="*-sns-notification", effect="raise", error="RuntimeError", times=None)
    )
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    assert execution.status == "FAILED"
    assert execution.states[-1] == "RestoreFailedUnreported"
    assert execution.error == "ARP-NOTIFY-001"
    assert "ARP-RESTORE-STATUS-001" in str(execution.cause)
    assert execution.record is not None
    assert execution.record["status"] == "FAILED"


def test_who_is_on_call_hears_of_failures_alone(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    sns, sqs, topic = deployment.client("sns"), deployment.client("sqs"), deployment.outputs["topic_arn"]
    [on_call] = [
        subscription["SubscriptionArn"]
        for subscription in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        if subscription["Endpoint"] == ON_CALL
    ]
    filter_ = sns.get_subscription_attributes(SubscriptionArn=on_call)["Attributes"]["FilterPolicy"]
    # No mail goes out of the sandbox: a queue that is subscribed with the same filter stands in for the mailbox.
    mailbox = sqs.create_queue(QueueName=target)["QueueUrl"]
    stand_in = sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:{target}",
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": filter_},
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    failed = deployment.run(WITHOUT_SOURCE)
    assert deployment.run({**GOOD, "target_cluster_id": target}).status == "SUCCEEDED"
    sns.unsubscribe(SubscriptionArn=stand_in)

    heard = sqs.receive_message(QueueUrl=mailbox, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["operation_id"] for message in heard] == [failed.operation_id]


@pytest.mark.parametrize("operation", ["RestoreDBClusterFromSnapshot", "ModifyDBCluster", "CreateDBInstance"])
@pytest.mark.parametrize("done", [False, True])
def test_a_call_that_is_throttled_or_whose_answer_is_lost_is_retried_without_harm(
    deployment: Deployment, mysql_source: samples.Source, target: str, operation: str, done: bool
) -> None:
    deployment.sandbox.faults.add(
        Fault(service="rds", operation=operation, principal="*:assumed-role/*", error="Throttling", times=8, done=done)
    )
    execution = deployment.run({**GOOD, "target_cluster_id": target, "readers": 1})
    assert execution.status == "SUCCEEDED", execution.cause
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert len(cluster["DBClusterMembers"]) == 2


@pytest.mark.parametrize("state", ["RestoreCluster", "ObserveWriter"])
def test_a_stopped_execution_leaves_all_as_it_is_and_a_redrive_ends_the_restore(
    deployment: Deployment, mysql_source: samples.Source, target: str, state: str
) -> None:
    def entered(arn: str) -> bool:
        return any(e.get("stateEnteredEventDetails", {}).get("name") == state for e in deployment.history(arn))

    states = deployment.client("stepfunctions")
    arn = deployment.start({**GOOD, "target_cluster_id": target, "readers": 1})
    deadline = time.monotonic() + 60
    while not entered(arn):
        assert time.monotonic() < deadline, f"{state} was not reached"
        time.sleep(0.02)
    states.stop_execution(executionArn=arn)
    stopped = deployment.wait(arn)
    assert stopped.status == "ABORTED"
    assert stopped.record is not None
    assert stopped.record["status"] == "IN_PROGRESS"
    assert "expires_at" not in stopped.record
    assert stopped.messages == []
    deployment.sandbox.clock.advance(3600)

    states.redrive_execution(executionArn=arn)
    redriven = deployment.wait(arn)
    assert redriven.status == "SUCCEEDED", redriven.cause
    assert redriven.record is not None
    assert redriven.record["status"] == "SUCCEEDED"
    assert_audited(redriven)
    assert len(redriven.messages) == 1
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert len(cluster["DBClusterMembers"]) == 2
    assert redriven.states.count("SnapshotCheck") == 1, "what was done is not done again"


def test_an_unknown_status_is_waited_for(deployment: Deployment, mysql_source: samples.Source, target: str) -> None:
    deployment.sandbox.rds.hold_status(target, "polishing")
    arn = deployment.start({**GOOD, "target_cluster_id": target})
    deployment.sandbox.clock.call_later(7200, lambda: deployment.sandbox.rds.release_status(target))
    execution = deployment.wait(arn)
    assert execution.status == "SUCCEEDED", execution.cause


def test_a_phase_that_passes_its_deadline_fails_with_what_it_last_saw(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.rds.hold_status(target, "migrating")
    execution = deployment.run({**GOOD, "target_cluster_id": target})
    deployment.sandbox.rds.release_status(target)
    assert_failed(execution, "ARP-GENERAL-006")
    assert "migrating" in str(execution.cause)
