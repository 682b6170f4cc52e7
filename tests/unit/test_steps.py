"""The handlers, one after the other as the state machine calls them, on a fake RDS and moto's DynamoDB and SNS."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from aurora_restore import audit, errors, events, history, report, runtime
from aurora_restore.engine.aurora import Aurora
from aurora_restore.model import Record, ResourceState, Status, iso, parse_time
from aurora_restore.names import MANAGED_BY_TAG, OPERATION_TAG, operation_tags, tag_list
from aurora_restore.state import StateStore
from tests.unit.core_support import (
    EXECUTION_ARN,
    KEY_ARN,
    NOW,
    REGION,
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
    two_accounts,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
    aws_request_id="1",
)


def as_caught(error: errors.RestoreError) -> dict[str, str]:
    name = type(error).__name__
    return {"Error": name, "Cause": json.dumps({"errorMessage": str(error), "errorType": name})}


class Workflow:
    """What the state machine does for the handlers: payloads, and a clock."""

    def __init__(self, tables: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rds = FakeRds()
        self.tables = tables
        self.sns = boto3.client("sns", region_name=REGION)
        self.sqs = boto3.client("sqs", region_name=REGION)
        topic = self.sns.create_topic(Name="restore-notifications")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="inbox")["QueueUrl"]
        self.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:inbox",
            Attributes={"RawMessageDelivery": "true"},
        )  # fmt: skip
        self.settings = settings(
            topic_arn=topic, deadlines={"cluster": 7200, "configure": 600, "instance": 3600, "compensate": 1800}
        )
        monkeypatch.setattr(runtime, "settings", lambda: self.settings)
        self.aws = FakeAws(self.rds)
        self.aws.dynamodb, self.aws.sns = tables, self.sns
        monkeypatch.setattr(runtime, "sessions", lambda: self.aws)
        self.now = NOW
        self.execution = {"id": EXECUTION_ARN, "name": "run-1", "start_time": iso(NOW)}
        self.request: Any = request(operation_id="op")
        self.operation_id = "op"

    @property
    def store(self) -> StateStore:
        return StateStore(self.tables, self.settings)

    @property
    def record(self) -> Record:
        standing = self.store.standing(self.operation_id)
        assert standing is not None
        return self.store.load(self.operation_id, standing.execution_arn)

    def call(self, function: str, step: str, **payload: Any) -> Any:
        self.now += timedelta(seconds=1)
        handler = import_module(f"aurora_restore.handlers.{function}").handler
        event = {"now": iso(self.now), "step": step, **payload}
        return handler(json.loads(json.dumps(event)), CONTEXT)

    def check(self, **changes: Any) -> Any:
        started = {"request": self.request, "execution": self.execution, "defaults_json": "{}"}
        return self.call("snapshot_check", "SnapshotCheck", **{**started, **changes})

    def step(self, function: str, step: str, **payload: Any) -> Any:
        return self.call(function, step, operation_id=self.operation_id, execution_arn=EXECUTION_ARN, **payload)

    def observe(self, phase: str) -> Any:
        self.now += timedelta(seconds=9)  # with the second of every call: two looks are never closer than the floor
        return self.step("check_restore_status", "Observe", phase=phase)

    def until_ready(self, phase: str) -> None:
        for _ in range(5):
            seen = self.observe(phase)
            if seen["state"] == "READY":
                return
            self.now += timedelta(seconds=seen["wait_seconds"])
            self.rds.all_available()
        raise AssertionError(seen)

    def up_to_writer(self) -> None:
        self.check()
        self.step("restore_snapshot", "RestoreCluster")
        self.until_ready("cluster")
        self.step("configure_cluster", "ConfigureCluster")
        self.until_ready("configure")
        self.step("create_instances", "CreateWriter", role="writer")

    def up_to_readers(self) -> None:
        self.up_to_writer()
        self.until_ready("writer")
        self.step("create_instances", "CreateReaders", role="readers")
        self.until_ready("readers")

    def failing(
        self,
        function: str,
        step: str,
        error: errors.RestoreError | dict[str, str],
        failed: str = "RestoreCluster",
        **payload: Any,
    ) -> Any:
        caught = {failed: error if isinstance(error, dict) else as_caught(error)}
        return self.call(function, step, request=self.request, execution=self.execution, errors=caught, **payload)

    def messages(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in found]

    def trail(self) -> list[dict[str, Any]]:
        return self.store.trail(self.operation_id, EXECUTION_ARN)


@pytest.fixture
def workflow(tables: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    return Workflow(tables, monkeypatch)


def test_the_main_road(workflow: Workflow, capsys: pytest.CaptureFixture[str]) -> None:
    workflow.request |= {"readers": 2, "deletion_protection": True, "backup_retention_period": 7, "requested_by": "me"}
    verdict = workflow.check()
    assert {
        key: verdict[key] for key in ("operation_id", "target_cluster_id", "engine", "database_phase", "readers")
    } == {
        "operation_id": "op",
        "target_cluster_id": "orders-staging",
        "engine": "aurora-postgresql",
        "database_phase": True,
        "readers": 2,
    }
    workflow.up_to_readers()
    assert not workflow.rds.clusters["orders-staging"]["DeletionProtection"]
    workflow.step("cleanup", "Cleanup")
    assert workflow.rds.clusters["orders-staging"]["DeletionProtection"]
    told = workflow.step("sns_notification", "NotifySuccess", warnings={})
    assert told["notified"]
    output = told["outcome"]
    assert (output["operation_id"], output["status"], output["mode"]) == ("op", "SUCCEEDED", "restore")

    record = workflow.record
    assert record.status is Status.SUCCEEDED
    assert {item.state for item in record.resources} == {ResourceState.HANDED_OVER}
    assert [item.identifier for item in record.resources] == [
        "orders-staging", "orders-staging-1", "orders-staging-2", "orders-staging-3",
    ]  # fmt: skip
    assert record.requested_by == "me"
    assert record.cluster is not None
    assert record.cluster.endpoint
    assert record.expires_at
    assert set(record.timings) == {"cluster", "configure", "writer", "readers"}
    assert all(timing.ready_at for timing in record.timings.values())

    assert record.cluster.endpoint == output["cluster"]["endpoint"]
    assert (record.started_at, record.finished_at) == (output["started_at"], output["finished_at"])
    [message] = workflow.messages()
    assert (message["event"], message["status"]) == ("restore.succeeded", "SUCCEEDED")
    # One builder: they differ only by what has been noted about the message itself.
    assert {name for name in message if message[name] != output[name]} == {"audit"}
    assert message.keys() == output.keys()
    trail = workflow.trail()
    assert audit.problems(trail, head=record.audit_hash) == []
    # The message was built before the event that tells of it.
    assert message["audit"]["hash"] in [event["hash"] for event in trail]

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert all(line["operation_id"] == "op" for line in lines if "level" in line)
    metrics = [line for line in lines if "_aws" in line]
    names = {metric["Name"] for line in metrics for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert names == {"AuroraRestoreDuration", "AuroraRestoreSuccess"}
    dimensions = {tuple(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) for line in metrics}
    assert dimensions == {("Deployment", "Phase"), ("Deployment", "Outcome"), ("Deployment",)}


def test_the_calls_of_the_main_road(workflow: Workflow) -> None:
    workflow.request |= {"readers": 1, "backup_retention_period": 7, "tags": {"team": "orders"}}
    workflow.up_to_readers()
    [restored] = workflow.rds.made("restore_db_cluster_from_snapshot")
    tags = {tag["Key"]: tag["Value"] for tag in restored["Tags"]}
    assert tags == {"team": "orders", OPERATION_TAG: "op", MANAGED_BY_TAG: "restore"}
    [modified] = workflow.rds.made("modify_db_cluster")
    assert modified == {
        "DBClusterIdentifier": "orders-staging",
        "ApplyImmediately": True,
        "ManageMasterUserPassword": True,
        "MasterUserSecretKmsKeyId": KEY_ARN,
    }
    assert restored["BackupRetentionPeriod"] == 7
    writer, reader = workflow.rds.made("create_db_instance")
    assert (writer["PromotionTier"], reader["PromotionTier"]) == (0, 1)
    assert writer["PubliclyAccessible"] is False
    assert writer["Tags"] == restored["Tags"]


def test_every_step_can_be_repeated(workflow: Workflow) -> None:
    workflow.request |= {"readers": 1, "deletion_protection": True}
    first = workflow.check()
    assert workflow.check() == first
    for _ in range(2):
        workflow.step("restore_snapshot", "RestoreCluster")
    workflow.until_ready("cluster")
    for _ in range(2):
        workflow.step("configure_cluster", "ConfigureCluster")
    workflow.until_ready("configure")
    for role, step in (("writer", "CreateWriter"), ("readers", "CreateReaders")):
        for _ in range(2):
            workflow.step("create_instances", step, role=role)
        workflow.until_ready(role)
        assert workflow.observe(role)["state"] == "READY"
    for _ in range(2):
        workflow.step("cleanup", "Cleanup")
    for _ in range(2):
        workflow.step("sns_notification", "NotifySuccess", warnings={})
    for operation, times in (
        ("restore_db_cluster_from_snapshot", 1),
        ("modify_db_cluster", 2),
        ("create_db_instance", 2),
    ):
        assert len(workflow.rds.made(operation)) == times
    assert len(workflow.messages()) == 1


@pytest.mark.parametrize(
    ("function", "step", "operation", "payload"),
    [
        ("restore_snapshot", "RestoreCluster", "restore_db_cluster_from_snapshot", {}),
        ("create_instances", "CreateWriter", "create_db_instance", {"role": "writer"}),
    ],
)
def test_a_create_whose_answer_was_lost_is_adopted(
    workflow: Workflow, function: str, step: str, operation: str, payload: dict[str, Any]
) -> None:
    workflow.check()
    if step == "CreateWriter":
        workflow.step("restore_snapshot", "RestoreCluster")
    real = getattr(workflow.rds, operation)

    def lost(**parameters: Any) -> Any:
        real(**parameters)
        raise refused("InternalFailure", status=500)

    setattr(workflow.rds, operation, lost)
    with pytest.raises(errors.Throttled):
        workflow.step(function, step, **payload)
    assert workflow.record.resources[-1].state is ResourceState.INTENDED
    setattr(workflow.rds, operation, real)
    workflow.step(function, step, **payload)
    assert workflow.record.resources[-1].state is ResourceState.CREATED
    assert len(workflow.rds.made(operation)) == 1


def test_what_is_anothers_is_not_adopted(workflow: Workflow) -> None:
    workflow.check()
    workflow.rds.clusters["orders-staging"] = {"DBClusterIdentifier": "orders-staging", "TagList": []}
    with pytest.raises(errors.TargetExists, match="not made by this operation"):
        workflow.step("restore_snapshot", "RestoreCluster")


# --- waiting --------------------------------------------------------------------------------------------------------


def test_a_poll_that_sees_nothing_new_writes_nothing(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    seen = workflow.observe("cluster")
    assert (seen["state"], seen["status"], seen["percent"]) == ("PENDING", "creating", None)
    assert 300 <= seen["wait_seconds"] <= 450
    version = workflow.record.version
    for _ in range(3):
        workflow.observe("cluster")
    assert workflow.record.version == version


def _configuring(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.all_available()
    workflow.until_ready("cluster")
    workflow.step("configure_cluster", "ConfigureCluster")


def test_a_good_read_that_may_be_stale_is_confirmed_later(workflow: Workflow) -> None:
    _configuring(workflow)
    first = workflow.observe("configure")
    assert first["state"] == "PENDING"
    assert first["wait_seconds"] == 20
    assert workflow.observe("configure")["state"] == "READY"


def test_a_change_that_was_seen_under_way_needs_no_second_good_read(workflow: Workflow) -> None:
    _configuring(workflow)
    assert workflow.observe("configure")["state"] == "PENDING"
    workflow.rds.clusters["orders-staging"]["Status"] = "resetting-master-credentials"
    assert workflow.observe("configure")["state"] == "PENDING"
    workflow.rds.all_available()
    assert workflow.observe("configure")["state"] == "READY"


def test_what_is_listed_as_under_way_is_not_looked_at_and_what_is_not_is(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.step("create_instances", "CreateWriter", role="writer")

    def looks(operation: str) -> list[dict[str, Any]]:
        return [parameters for parameters in workflow.rds.made(operation) if parameters]

    before = len(looks("describe_db_clusters")), len(looks("describe_db_instances"))
    seen = workflow.observe("writer")
    assert (seen["state"], seen["status"]) == ("PENDING", "creating")
    assert (len(looks("describe_db_clusters")), len(looks("describe_db_instances"))) == before
    workflow.rds.all_available()
    assert workflow.observe("writer")["state"] == "READY"
    # Once for what is waited for, and once for the version of all instances.
    assert (len(looks("describe_db_clusters")), len(looks("describe_db_instances"))) == (before[0] + 1, before[1] + 2)


def test_at_the_deadline_a_look_of_its_own_decides(workflow: Workflow) -> None:
    """Not the list, which may be some seconds old: what became ready in the last moment is no failure."""
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    assert workflow.observe("cluster")["state"] == "PENDING"
    workflow.now += timedelta(seconds=7200)
    listed = len(workflow.rds.made("describe_db_clusters"))
    workflow.rds.all_available()
    assert workflow.observe("cluster")["state"] == "READY"
    assert workflow.rds.made("describe_db_clusters")[listed:] == [{"DBClusterIdentifier": "orders-staging"}]


def test_operations_that_start_together_take_turns(workflow: Workflow) -> None:
    waits = []
    for _ in range(6):
        turn = workflow.call("snapshot_check", "TakeTurn", request=workflow.request, execution=workflow.execution)
        waits.append(turn["wait_seconds"])
    assert waits[:4] == [0, 0, 0, 0]
    assert 0 < waits[4] < waits[5]
    assert workflow.rds.calls == []


def test_a_terminal_status_fails_at_once_with_the_events(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["Status"] = "incompatible-network"
    workflow.rds.events = [
        {"SourceIdentifier": "orders-staging", "Date": NOW, "Message": "The DB cluster can't be created"}
    ]
    with pytest.raises(errors.ClusterFailed, match="can't be created"):
        workflow.observe("cluster")
    last = workflow.record.last_error
    assert last is not None
    assert last.details["events"][0]["source"] == "orders-staging"


def test_events_that_cannot_be_read_do_not_hide_the_failure(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["Status"] = "failed"
    workflow.rds.errors["describe_events"] = [refused("AccessDenied")]
    with pytest.raises(errors.ClusterFailed):
        workflow.observe("cluster")


def test_an_unknown_status_waits_to_the_deadline(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["Status"] = "transmogrifying"
    assert workflow.observe("cluster")["state"] == "PENDING"
    workflow.now += timedelta(seconds=7175)
    assert workflow.observe("cluster")["wait_seconds"] <= 10
    workflow.now += timedelta(seconds=10)
    with pytest.raises(errors.OperationTimeout, match="transmogrifying"):
        workflow.observe("cluster")


def test_ready_at_the_deadline_is_ready(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.all_available()
    workflow.now += timedelta(seconds=10_000)
    assert workflow.observe("cluster")["state"] == "READY"


def test_a_first_good_read_at_the_deadline_is_still_confirmed(workflow: Workflow) -> None:
    _configuring(workflow)
    workflow.now += timedelta(seconds=10_000)
    assert workflow.observe("configure")["state"] == "PENDING"
    assert workflow.observe("configure")["state"] == "READY"


def test_an_impaired_master_secret_is_warned_of(workflow: Workflow) -> None:
    workflow.up_to_readers()
    workflow.rds.clusters["orders-staging"]["MasterUserSecret"]["SecretStatus"] = "impaired"
    workflow.step("check_settings", "CheckSettings")
    [warning] = workflow.record.warnings
    assert "is impaired: RDS cannot rotate it" in warning


def test_a_maintenance_window_that_hits_the_window_that_rds_drew_moves_that(workflow: Workflow) -> None:
    workflow.request |= {"preferred_maintenance_window": "sun:03:00-sun:04:00"}
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["PreferredBackupWindow"] = "03:30-04:00"
    workflow.rds.all_available()
    workflow.until_ready("cluster")
    workflow.step("configure_cluster", "ConfigureCluster")
    [modified] = workflow.rds.made("modify_db_cluster")
    assert modified["PreferredMaintenanceWindow"] == "sun:03:00-sun:04:00"
    assert modified["PreferredBackupWindow"] == "04:00-04:30"


def test_a_cluster_that_vanishes_or_is_replaced(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.observe("cluster")
    cluster = workflow.rds.clusters.pop("orders-staging")
    with pytest.raises(errors.ResourceVanished):
        workflow.observe("cluster")
    workflow.rds.clusters["orders-staging"] = {**cluster, "DbClusterResourceId": "cluster-OTHER"}
    with pytest.raises(errors.ResourceVanished, match="another cluster"):
        workflow.observe("cluster")


# --- failing --------------------------------------------------------------------------------------------------------


def test_a_refused_request_ends_as_failed_with_a_notification(workflow: Workflow) -> None:
    workflow.request = request(operation_id="op", snapshot_identifer="x", password="hunter2")
    with pytest.raises(errors.UnknownField) as caught:
        workflow.check()
    waited = workflow.failing("compensate", "Compensate", caught.value)
    assert (waited["state"], waited["status"]) == ("READY", "CLEAN")
    told = workflow.failing("sns_notification", "NotifyFailure", caught.value)
    assert told["error"] == "ARP-GENERAL-011"
    assert "operation_id: op" in told["cause"]
    record = workflow.record
    assert record.status is Status.FAILED
    assert record.error is not None
    assert (record.error.code, record.error.field, record.error.step) == (
        "ARP-GENERAL-011",
        "snapshot_identifer",
        "SnapshotCheck",
    )
    assert record.error.remedy
    [message] = workflow.messages()
    assert message["error"]["code"] == "ARP-GENERAL-011"
    assert workflow.rds.calls == []
    assert "hunter2" not in json.dumps([record.to_mapping(), workflow.trail(), message, told])
    assert record.expires_at


def test_a_duplicate_touches_nothing(workflow: Workflow) -> None:
    workflow.up_to_writer()
    before, calls = workflow.record, len(workflow.rds.calls)
    workflow.execution = {**workflow.execution, "id": f"{EXECUTION_ARN}-2", "name": "run-2"}
    with pytest.raises(errors.DuplicateOperation) as caught:
        workflow.check()
    # Even if the workflow went on to Compensate (it does not, for this error).
    assert workflow.failing("compensate", "Compensate", caught.value)["status"] == "NOTHING"
    workflow.failing("sns_notification", "NotifyFailure", caught.value)
    assert workflow.record == before
    assert len(workflow.rds.calls) == calls


def test_a_record_that_cannot_be_read_does_not_keep_the_message(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.rds.instances["orders-staging-1"]["DBInstanceStatus"] = "incompatible-parameters"
    with pytest.raises(errors.InstanceFailed) as caught:
        workflow.observe("writer")
    workflow.tables.update_item(
        TableName=workflow.settings.state_table,
        Key={"operation_id": {"S": "op"}},
        UpdateExpression="SET unheard_of = :x",
        ExpressionAttributeValues={":x": {"S": "x"}},
    )
    told = workflow.failing("sns_notification", "NotifyFailure", caught.value)
    assert told["error"] == "ARP-RESTORE-STATUS-002"
    [message] = workflow.messages()
    assert message["error"]["code"] == "ARP-RESTORE-STATUS-002"


def test_a_failure_before_the_writer_cleans_up(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.rds.instances["orders-staging-1"]["DBInstanceStatus"] = "incompatible-parameters"
    with pytest.raises(errors.InstanceFailed) as caught:
        workflow.observe("writer")
    first = workflow.failing("compensate", "Compensate", caught.value)
    assert first["state"] == "PENDING"
    assert [name for name, _ in workflow.rds.calls if name.startswith("delete")] == [
        "delete_db_instance",
        "delete_db_cluster",
    ]
    assert workflow.rds.made("delete_db_cluster") == [
        {"DBClusterIdentifier": "orders-staging", "SkipFinalSnapshot": True}
    ]
    assert workflow.record.status is Status.FAILED
    assert workflow.record.expires_at is None
    workflow.rds.instances.clear()
    assert workflow.failing("compensate", "Compensate", caught.value)["state"] == "PENDING"
    workflow.rds.clusters.clear()
    assert workflow.failing("compensate", "Compensate", caught.value)["status"] == "CLEAN"
    assert workflow.failing("compensate", "Compensate", caught.value)["status"] == "CLEAN"
    told = workflow.failing("sns_notification", "NotifyFailure", caught.value)
    assert told["error"] == "ARP-RESTORE-STATUS-002"
    assert told["cause"].endswith("(operation_id: op) Everything that was made has been removed.")
    record = workflow.record
    assert {item.state for item in record.resources} == {ResourceState.DELETED}
    assert record.expires_at
    assert record.error == errors.Failure.of(caught.value, "Observe")
    assert audit.problems(workflow.trail(), head=record.audit_hash) == []
    assert len(workflow.rds.made("delete_db_instance")) == 1


def test_a_failure_after_the_writer_keeps_and_says_so(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.until_ready("writer")
    error = errors.UserCreationFailed("no")
    kept = workflow.failing("compensate", "Compensate", error)
    assert (kept["state"], kept["status"]) == ("READY", "KEPT")
    told = workflow.failing("sns_notification", "NotifyFailure", error)
    assert told["cause"].endswith(
        "Still there (and billed): db-cluster orders-staging (KEPT), db-instance orders-staging-1 (KEPT)."
    )
    assert not [name for name, _ in workflow.rds.calls if name.startswith("delete")]
    assert {item.state for item in workflow.record.resources} == {ResourceState.KEPT}
    assert workflow.record.expires_at is None
    [message] = workflow.messages()
    assert message["results"]["compensation"]["policy"] == "keep"


def test_an_intent_whose_call_was_lost_is_compensated(workflow: Workflow) -> None:
    workflow.check()
    workflow.rds.errors["restore_db_cluster_from_snapshot"] = [refused("KMSKeyNotAccessibleFault", "The key …")]
    with pytest.raises(errors.EncryptionKeyInaccessible) as caught:
        workflow.step("restore_snapshot", "RestoreCluster")
    waited = workflow.failing("compensate", "Compensate", caught.value)
    assert (waited["state"], waited["detail"]) == ("PENDING", "db-cluster orders-staging: may still appear")
    # The lost call took effect after all.
    real = workflow.rds
    real.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="orders-staging",
        EngineVersion="16.6",
        Tags=tag_list(operation_tags(deployment="restore", operation_id="op", tags={})),
    )
    assert workflow.failing("compensate", "Compensate", caught.value)["state"] == "PENDING"
    assert len(real.made("delete_db_cluster")) == 1


def test_an_intent_that_never_came_to_be(workflow: Workflow) -> None:
    workflow.check()
    workflow.rds.errors["restore_db_cluster_from_snapshot"] = [refused("InvalidVPCNetworkStateFault")]
    with pytest.raises(errors.NetworkInvalid) as caught:
        workflow.step("restore_snapshot", "RestoreCluster")
    assert workflow.failing("compensate", "Compensate", caught.value)["state"] == "PENDING"
    workflow.now += timedelta(seconds=61)
    assert workflow.failing("compensate", "Compensate", caught.value)["status"] == "CLEAN"


def test_what_was_made_but_is_not_visible_yet_is_not_taken_for_gone(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    hidden = workflow.rds.clusters.copy()
    workflow.rds.clusters.clear()
    assert workflow.failing("compensate", "Compensate", errors.InternalError("x"))["state"] == "PENDING"
    workflow.rds.clusters = hidden
    workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    assert len(workflow.rds.made("delete_db_cluster")) == 1


def test_another_cluster_of_the_name_is_never_deleted(workflow: Workflow) -> None:
    """Its tags may have come with a snapshot or a clone; its resource id is its own."""
    workflow.request |= {"deletion_protection": True}
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["DbClusterResourceId"] = "cluster-OTHER"
    for function, step in (("configure_cluster", "ConfigureCluster"), ("cleanup", "Cleanup")):
        with pytest.raises(errors.ResourceVanished):
            workflow.step(function, step)
    assert workflow.rds.made("modify_db_cluster") == []
    assert workflow.failing("compensate", "Compensate", errors.InternalError("x"))["status"] == "CLEAN"
    assert workflow.rds.made("delete_db_cluster") == []


def test_another_deployments_cluster_is_not_adopted(workflow: Workflow) -> None:
    workflow.check()
    workflow.rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="orders-staging",
        EngineVersion="16.6",
        Tags=tag_list(operation_tags(deployment="other", operation_id="op", tags={})),
    )
    with pytest.raises(errors.TargetExists):
        workflow.step("restore_snapshot", "RestoreCluster")


def test_an_instance_that_cannot_be_deleted_does_not_hold_the_failure_up(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.rds.errors["delete_db_instance"] = [refused("AccessDenied", "no")]
    done = workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    assert (done["state"], done["status"]) == ("READY", "INCOMPLETE")
    assert "it still has instances" in done["detail"]


def test_what_does_not_bear_the_tag_is_never_deleted(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.rds.clusters["orders-staging"]["TagList"] = []
    workflow.rds.instances["orders-staging-1"]["TagList"] = [{"Key": OPERATION_TAG, "Value": "another"}]
    assert workflow.failing("compensate", "Compensate", errors.InternalError("x"))["status"] == "CLEAN"
    assert not [name for name, _ in workflow.rds.calls if name.startswith("delete")]
    assert {item.state for item in workflow.record.resources} == {ResourceState.FOREIGN}


def test_a_busy_cluster_is_deleted_later(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.errors["delete_db_cluster"] = [refused("InvalidDBClusterStateFault")]
    assert workflow.failing("compensate", "Compensate", errors.InternalError("x"))["state"] == "PENDING"
    workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    workflow.rds.clusters.clear()
    assert workflow.failing("compensate", "Compensate", errors.InternalError("x"))["status"] == "CLEAN"


@pytest.mark.parametrize("stuck", ["AccessDenied", "InvalidParameterCombination"])
def test_what_cannot_be_deleted_is_said(workflow: Workflow, stuck: str) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.errors["delete_db_cluster"] = [refused(stuck, "deletion protection")]
    done = workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    assert (done["state"], done["status"]) == ("READY", "INCOMPLETE")
    assert "deletion protection" in workflow.record.warnings[0]
    assert workflow.record.expires_at is None


def test_a_compensation_has_a_deadline(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    workflow.now += timedelta(seconds=1801)
    done = workflow.failing("compensate", "Compensate", errors.InternalError("x"))
    assert (done["state"], done["status"]) == ("READY", "INCOMPLETE")
    assert "is being deleted" in done["detail"]


@pytest.mark.parametrize(
    ("caught", "code"),
    [
        (
            {"Error": "Sandbox.Timedout", "Cause": '{"errorMessage": "Task timed out after 3.00 seconds"}'},
            "ARP-GENERAL-006",
        ),
        ({"Error": "Runtime.ExitError", "Cause": "{}"}, "ARP-GENERAL-010"),
        ({"Error": "States.Timeout", "Cause": ""}, "ARP-GENERAL-006"),
    ],
)
def test_a_failure_before_there_is_a_record_is_recorded(workflow: Workflow, caught: dict[str, str], code: str) -> None:
    assert workflow.failing("compensate", "Compensate", caught, "TakeTurn")["status"] == "NOTHING"
    told = workflow.failing("sns_notification", "NotifyFailure", caught, "TakeTurn")
    assert told["error"] == code
    assert told["cause"].endswith("Nothing had been made.")
    record = workflow.record
    assert record.status is Status.FAILED
    assert record.error is not None
    assert (record.error.code, record.error.step) == (code, "TakeTurn")
    assert len(workflow.messages()) == 1


def test_the_step_that_failed_is_named_if_it_never_came_to_begin(workflow: Workflow) -> None:
    workflow.up_to_readers()
    caught = {"Error": "Sandbox.Timedout", "Cause": '{"errorMessage": "Task timed out after 600.00 seconds"}'}
    workflow.failing("compensate", "Compensate", caught, "SetupDbUsers")
    told = workflow.failing("sns_notification", "NotifyFailure", caught, "SetupDbUsers")
    assert workflow.record.phase == "CreateReaders"
    assert workflow.record.error is not None
    assert workflow.record.error.step == "SetupDbUsers"
    assert "SetupDbUsers ran out of time" in told["cause"]
    assert workflow.messages()[0]["error"]["step"] == "SetupDbUsers"


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("mode", ["plan", "restore"])
def test_a_refused_plan_is_no_failed_restore(
    workflow: Workflow, capsys: pytest.CaptureFixture[str], mode: str, readable: bool
) -> None:
    wrong = {"db_instance_class": "db.x9.large"} if readable else {"password": "hunter2"}
    workflow.request = request(operation_id="op", mode=mode, target_cluster_id="Shop", **wrong)
    with pytest.raises(errors.RestoreError) as caught:
        workflow.check()
    assert (workflow.record.request is not None) == readable
    workflow.failing("compensate", "Compensate", caught.value, "SnapshotCheck")
    told = workflow.failing("sns_notification", "NotifyFailure", caught.value, "SnapshotCheck")
    assert ("Nothing had been made." in told["cause"]) == (mode == "restore")
    [message] = workflow.messages()
    event = "plan.refused" if mode == "plan" else "restore.failed"
    assert (message["event"], message["mode"], message["target_cluster_id"]) == (event, mode, "shop")
    metrics = [line for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert bool(metrics) == (mode == "restore")


def test_compensates_own_failure_does_not_hide_the_first(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    first = errors.ClusterFailed("first")
    workflow.rds.errors["describe_db_clusters"] = [refused("AccessDenied")]
    with pytest.raises(errors.AccessDenied) as second:
        workflow.failing("compensate", "Compensate", first)
    warnings = {"compensation": as_caught(second.value)}
    for _ in range(2):
        told = workflow.failing("sns_notification", "NotifyFailure", first, warnings=warnings)
        assert told["error"] == first.code
    record = workflow.record
    assert record.error is not None
    assert record.error.error == "ClusterFailed"
    assert len(record.warnings) == 1
    assert "ARP-GENERAL-014" in record.warnings[0]
    [message] = workflow.messages()
    assert message["warnings"] == list(record.warnings)
    assert [item["state"] for item in message["resources"]] == ["CREATED"]


def test_the_next_operation_expects_what_this_one_took(workflow: Workflow) -> None:
    first = workflow.check(request={**workflow.request, "mode": "plan", "operation_id": "first"})["report"]
    assert first["learned_phases"] == []
    workflow.up_to_readers()
    assert workflow.step("sns_notification", "NotifySuccess", warnings={})["status"] == "SUCCEEDED"
    took = workflow.record.timings["cluster"].elapsed(parse_time(str(workflow.record.timings["cluster"].ready_at)))
    expected = workflow.record.planned.expected_seconds
    assert 10 < took < expected["cluster"]

    asked = {**workflow.request, "mode": "plan", "operation_id": "second", "target_cluster_id": "orders-again"}
    second = workflow.check(request=asked)["report"]
    assert {"cluster", "configure", "writer"} <= set(second["learned_phases"])
    assert second["expected_seconds"] < first["expected_seconds"]
    assert any(line.startswith("Learned from earlier operations: cluster") for line in second["table"])
    known = history.load(workflow.tables, workflow.settings.state_table)
    assert known[history.work_class("cluster", "aurora-postgresql", 10)].count == history.PRIOR_WEIGHT + 1


@pytest.mark.parametrize(
    "error", [errors.Throttled("too many"), errors.StateConflict("too many writers"), KeyError("stats")]
)
def test_what_cannot_be_learned_changes_no_outcome(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    workflow.up_to_readers()

    def refuse(*_: Any) -> None:
        raise error

    monkeypatch.setattr(history, "save", refuse)
    assert workflow.step("sns_notification", "NotifySuccess", warnings={})["status"] == "SUCCEEDED"
    assert workflow.record.status is Status.SUCCEEDED
    assert workflow.record.warnings == ()
    assert "durations_not_learned" in caplog.messages


def test_a_message_that_cannot_be_sent_changes_no_outcome(workflow: Workflow) -> None:
    workflow.up_to_readers()
    workflow.sns.delete_topic(TopicArn=workflow.settings.topic_arn)
    told = workflow.step("sns_notification", "NotifySuccess", warnings={})
    assert not told["notified"]
    record = workflow.record
    assert record.status is Status.SUCCEEDED
    assert "could not be sent" in record.warnings[0]
    assert told["outcome"]["warnings"] == list(record.warnings)


def test_the_state_tables_failure_does_not_hold_the_message(workflow: Workflow) -> None:
    workflow.tables.delete_table(TableName=workflow.settings.state_table)
    told = workflow.failing("sns_notification", "NotifyFailure", errors.ClusterFailed("first"))
    assert told["error"] == "ARP-RESTORE-STATUS-001"
    assert workflow.messages()[0]["error"]["code"] == "ARP-RESTORE-STATUS-001"


def test_cleanups_failure_becomes_a_warning(workflow: Workflow) -> None:
    workflow.request |= {"deletion_protection": True}
    workflow.up_to_readers()
    workflow.rds.errors["modify_db_cluster"] = [refused("AccessDenied", "no")]
    with pytest.raises(errors.CleanupIncomplete) as caught:
        workflow.step("cleanup", "Cleanup")
    workflow.step("sns_notification", "NotifySuccess", warnings={"cleanup": as_caught(caught.value)})
    record = workflow.record
    assert record.status is Status.SUCCEEDED
    assert record.error is None
    assert "ARP-CLEANUP-001" in record.warnings[0]
    assert "ARP-CLEANUP-001" in workflow.messages()[0]["warnings"][0]


def test_an_unforeseen_error_has_a_code_and_tells_no_values(
    workflow: Workflow, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow.check()
    workflow.rds.errors["describe_db_clusters"] = [RuntimeError("password hunter2")]
    with pytest.raises(errors.InternalError, match="RuntimeError in") as caught:
        workflow.step("restore_snapshot", "RestoreCluster")
    record = workflow.record
    assert record.last_error is not None
    assert "hunter2" not in json.dumps([record.to_mapping(), str(caught.value), capsys.readouterr().out])


def test_malformed_defaults(workflow: Workflow) -> None:
    with pytest.raises(errors.ConfigurationInvalid):
        workflow.check(defaults_json="{")
    with pytest.raises(errors.ConfigurationInvalid, match="source_accounts"):
        workflow.check(source_accounts_json="[1]")


# --- planning -------------------------------------------------------------------------------------------------------


def from_elsewhere(workflow: Workflow, **changes: Any) -> None:
    nightly = snapshot("rds:s", account=SOURCE_ACCOUNT, region=SOURCE_REGION, KmsKeyId=SOURCE_KEY_ARN)
    workflow.aws.others = two_accounts(nightly).others
    workflow.aws.kms = two_accounts().kms
    workflow.request = request(
        operation_id="op",
        snapshot_identifier="rds:s",
        source_account_id=SOURCE_ACCOUNT,
        source_region=SOURCE_REGION,
        **changes,
    )


def test_a_plan_ends_as_planned_and_expires(workflow: Workflow, capsys: pytest.CaptureFixture[str]) -> None:
    from_elsewhere(workflow, mode="plan")
    known = json.dumps(source_accounts())
    verdict = workflow.check(source_accounts_json=known)
    assert (verdict["mode"], verdict["status"], verdict["copies_needed"]) == ("plan", "PLANNED", True)
    assert verdict["copies"] == [{"ordinal": 1, "phase": "copy-1"}]
    assert verdict["report"]["table"][0].startswith("PLAN: restore orders-staging")
    record = workflow.record
    assert record.status is Status.PLANNED
    assert record.status.finished
    assert record.finished_at
    assert record.expires_at
    assert record.plan is not None
    assert record.plan.source_role is not None
    trail = workflow.trail()
    assert [event["event"] for event in trail] == ["operation_claimed", "request_accepted", "planned"]
    assert workflow.check(source_accounts_json=known) == verdict
    assert all(name.startswith("describe_") for name, _ in workflow.aws.calls)
    with pytest.raises(errors.OperationEnded):
        workflow.step("restore_snapshot", "RestoreCluster")
    # The external id is for the steps to come, not for people.
    secret = record.plan.source_role.external_id
    assert secret not in json.dumps([verdict, trail]) + capsys.readouterr().out


def test_a_restore_that_needs_copies_says_so(workflow: Workflow) -> None:
    from_elsewhere(workflow)
    verdict = workflow.check(source_accounts_json=json.dumps(source_accounts()))
    assert (verdict["mode"], verdict["status"], verdict["report"]) == ("restore", "IN_PROGRESS", None)
    assert (verdict["copies_needed"], len(verdict["copies"])) == (True, 1)
    assert workflow.record.expires_at is None


def test_a_restore_that_needs_none_says_so(workflow: Workflow) -> None:
    verdict = workflow.check()
    assert (verdict["copies"], verdict["copies_needed"], verdict["mode"]) == ([], False, "restore")


def test_all_findings_reach_the_record_the_message_and_the_execution(workflow: Workflow) -> None:
    workflow.request = request(
        operation_id="op", mode="plan", target_region="us-east-1", db_instance_class="db.x9.large"
    )
    with pytest.raises(errors.InvalidParameter) as caught:
        workflow.check()
    workflow.failing("compensate", "Compensate", caught.value)
    told = workflow.failing("sns_notification", "NotifyFailure", caught.value)
    record = workflow.record
    assert record.status is Status.FAILED
    assert record.request is not None
    assert record.error is not None
    codes = [errors.InvalidParameter.code, errors.InstanceClassUnavailable.code]
    assert [finding["code"] for finding in record.error.details["findings"]] == codes
    assert all(code in told["cause"] for code in codes)
    assert "request_refused" in [event["event"] for event in workflow.trail()]


def test_an_event_that_is_not_the_workflows(workflow: Workflow) -> None:
    handler = import_module("aurora_restore.handlers.cleanup").handler
    with pytest.raises(errors.InternalError):
        handler({}, CONTEXT)


def test_another_executions_step_is_refused(workflow: Workflow) -> None:
    workflow.check()
    with pytest.raises(errors.StateLoadFailed):
        workflow.call("restore_snapshot", "RestoreCluster", operation_id="op", execution_arn=f"{EXECUTION_ARN}-2")


def test_a_step_that_comes_after_the_end_does_nothing(workflow: Workflow) -> None:
    workflow.check()
    workflow.failing("compensate", "Compensate", errors.OperationTimeout("RestoreCluster took too long"))
    ended = workflow.record
    with pytest.raises(errors.OperationEnded):
        workflow.step("restore_snapshot", "RestoreCluster")
    assert workflow.rds.clusters == {}
    assert workflow.record == ended


# --- upgrades in place, and failures that no status shows -----------------------------------------------------------

TO_17 = {"engine_version": "17.4", "allow_major_version_upgrade": True}


def up_to_upgrade(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.until_ready("writer")
    workflow.step("configure_cluster", "UpgradeEngine")


def set_version(workflow: Workflow, version: str) -> None:
    for one in (*workflow.rds.clusters.values(), *workflow.rds.instances.values()):
        one["EngineVersion"] = version


def test_an_upgrade_in_place_is_asked_for_once(workflow: Workflow) -> None:
    workflow.request |= {**TO_17, "readers": 1}
    assert workflow.check()["upgrade_needed"]
    up_to_upgrade(workflow)
    assert workflow.rds.made("modify_db_cluster")[-1] == {
        "DBClusterIdentifier": "orders-staging",
        "ApplyImmediately": True,
        "EngineVersion": "17.4",
        "AllowMajorVersionUpgrade": True,
    }
    set_version(workflow, "16.6")  # as it was, while the upgrade does not show yet
    made = len(workflow.rds.made("modify_db_cluster"))
    workflow.step("configure_cluster", "UpgradeEngine")
    assert len(workflow.rds.made("modify_db_cluster")) == made
    seen = workflow.observe("upgrade")
    assert (seen["state"], "16.6" in seen["detail"]) == ("PENDING", True)
    set_version(workflow, "17.4")
    assert workflow.observe("upgrade")["state"] == "PENDING", "the first good read is confirmed"
    assert workflow.observe("upgrade")["state"] == "READY"
    assert workflow.record.cluster is not None
    assert workflow.record.cluster.engine_version == "17.4"


def test_parameters_that_come_with_an_upgrade_may_need_a_reboot(workflow: Workflow) -> None:
    workflow.request |= TO_17
    up_to_upgrade(workflow)
    set_version(workflow, "17.4")
    groups = workflow.rds.instances["orders-staging-1"]["DBParameterGroups"] = [
        {"DBParameterGroupName": "orders17", "ParameterApplyStatus": "pending-reboot"}
    ]
    assert workflow.observe("upgrade")["state"] == "REBOOT"
    workflow.step("create_instances", "RebootWriter", role="writer")
    assert workflow.rds.made("reboot_db_instance") == [{"DBInstanceIdentifier": "orders-staging-1"}]
    assert len(workflow.rds.made("create_db_instance")) == 1
    groups[0]["ParameterApplyStatus"] = "in-sync"
    workflow.until_ready("upgrade")


def test_an_upgrade_that_is_pending_or_there_is_not_asked_for(workflow: Workflow) -> None:
    workflow.request |= TO_17
    workflow.up_to_writer()
    workflow.until_ready("writer")
    workflow.rds.clusters["orders-staging"]["PendingModifiedValues"] = {"EngineVersion": "17.4"}
    made = len(workflow.rds.made("modify_db_cluster"))
    assert not workflow.step("configure_cluster", "UpgradeEngine")["upgraded"]
    assert len(workflow.rds.made("modify_db_cluster")) == made
    assert workflow.check()["upgrade_needed"]


def test_an_upgrade_that_failed_is_told_with_its_events(workflow: Workflow) -> None:
    workflow.request |= TO_17
    up_to_upgrade(workflow)
    set_version(workflow, "16.6")
    workflow.rds.events = [{"SourceIdentifier": "orders-staging", "Date": NOW, "Message": "pg_upgrade has failed"}]
    assert workflow.observe("upgrade")["state"] == "PENDING"
    workflow.now += timedelta(seconds=300)
    workflow.observe("upgrade")
    with pytest.raises(errors.VersionMismatch, match=r"16\.6, planned is 17\.4.*pg_upgrade has failed"):
        workflow.observe("upgrade")


def test_an_upgrade_has_what_the_writer_has_left_of_its_time(workflow: Workflow) -> None:
    workflow.request |= TO_17
    workflow.up_to_writer()
    workflow.now += timedelta(seconds=3000)
    workflow.until_ready("writer")
    workflow.step("configure_cluster", "UpgradeEngine")
    workflow.rds.clusters["orders-staging"]["Status"] = "upgrading"
    assert workflow.observe("upgrade")["state"] == "PENDING"
    workflow.now += timedelta(seconds=600)
    with pytest.raises(errors.OperationTimeout, match="'upgrade'"):
        workflow.observe("upgrade")


def test_a_writer_of_another_version_is_not_taken_for_ready(workflow: Workflow) -> None:
    """An upgrade on restore that failed: cluster and writer are available, at the old version."""
    workflow.up_to_writer()
    set_version(workflow, "16.4")
    workflow.rds.all_available()
    with pytest.raises(errors.VersionMismatch, match=r"16\.4, planned is 16\.6"):
        workflow.observe("writer")


@pytest.mark.parametrize(
    ("phase", "source", "kind"),
    [
        ("configure", "orders-staging", errors.ClusterFailed),
        ("writer", "orders-staging-1", errors.ClusterFailed),
        ("readers", "orders-staging-2", errors.InstanceFailed),
    ],
)
def test_a_failure_that_only_an_event_tells(
    workflow: Workflow, phase: str, source: str, kind: type[errors.RestoreError]
) -> None:
    workflow.request |= {"readers": 1}
    message = "Amazon RDS can't access the KMS encryption key"

    def told() -> None:
        later = {"SourceIdentifier": source, "Date": NOW + timedelta(seconds=1), "Message": "Binlog position"}
        workflow.rds.events = [{**later, "Date": NOW, "Message": message}, *[later] * 2 * events.NEWEST]

    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.until_ready("cluster")
    steps = [
        ("configure", lambda: workflow.step("configure_cluster", "ConfigureCluster")),
        ("writer", lambda: workflow.step("create_instances", "CreateWriter", role="writer")),
        ("readers", lambda: workflow.step("create_instances", "CreateReaders", role="readers")),
    ]
    for name, begin in steps:
        begin()
        if name == phase:
            told()
            with pytest.raises(kind, match="no status shows"):
                workflow.until_ready(name)
            began = workflow.record.timings[name].started_at
            assert iso(workflow.rds.made("describe_events")[-1]["StartTime"]) == began
            return
        workflow.until_ready(name)


def test_events_that_cannot_be_searched_are_asked_for_again_or_told(workflow: Workflow) -> None:
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.errors["describe_events"] = [refused("Throttling")]
    with pytest.raises(errors.Throttled):
        workflow.until_ready("cluster")
    workflow.rds.errors["describe_events"] = [refused("AccessDenied", "no describing of events")]
    workflow.until_ready("cluster")
    [warning] = [one for one in workflow.record.warnings if "events" in one]
    assert "phase 'cluster'" in warning
    assert "no describing of events" in warning


def test_whose_events_count(workflow: Workflow) -> None:
    workflow.request |= {"readers": 1}
    workflow.check()
    cluster, writer, reader = "orders-staging", "orders-staging-1", "orders-staging-2"
    for phase, sources in (
        ("configure", [cluster]),
        ("writer", [cluster, writer]),
        ("upgrade", [cluster, writer]),
        ("readers", [cluster, reader]),
    ):
        assert [name for _, name in events.of_phase(workflow.record.planned, phase)] == sources


# --- points in time -------------------------------------------------------------------------------------------------


def living_source(workflow: Workflow, **request: Any) -> None:
    workflow.rds.clusters["orders"] = {
        "DBClusterIdentifier": "orders",
        "DBClusterArn": f"arn:aws:rds:{REGION}:123456789012:cluster:orders",
        "DbClusterResourceId": "cluster-ORDERS",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.6",
        "Port": 6000,
        "StorageEncrypted": True,
        "MasterUsername": "admin_user",
        "EarliestRestorableTime": NOW - timedelta(days=1),
        "LatestRestorableTime": NOW,
        "DBClusterMembers": [],
    }
    del workflow.request["snapshot_identifier"]
    workflow.request |= {"source_cluster_id": "orders", "restore_to_time": iso(NOW - timedelta(hours=1)), **request}


def test_a_point_in_time_takes_the_main_road(workflow: Workflow) -> None:
    living_source(workflow)
    verdict = workflow.check()
    assert (verdict["copies_needed"], verdict["upgrade_needed"]) == (False, False)
    workflow.up_to_readers()
    [call] = workflow.rds.made("restore_db_cluster_to_point_in_time")
    assert (call["Port"], call["RestoreType"]) == (6000, "full-copy")
    assert not workflow.rds.made("restore_db_cluster_from_snapshot")
    workflow.step("cleanup", "Cleanup")
    workflow.step("sns_notification", "NotifySuccess", warnings={})
    [message] = workflow.messages()
    assert message["source"]["kind"] == "point_in_time"


def test_the_version_of_then_is_the_planned_one(workflow: Workflow) -> None:
    living_source(workflow)
    workflow.rds.version_then = "16.4"
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.step("restore_snapshot", "RestoreCluster")
    plan = workflow.record.planned
    assert (plan.engine_version, plan.version_at_restore) == ("16.4", None)
    assert [w for w in workflow.record.warnings if "16.4" in w and "16.6" in w]


def test_a_version_of_then_that_shows_only_later_is_the_planned_one_too(workflow: Workflow) -> None:
    """What the answer to the restore call shows is not documented."""
    living_source(workflow)
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["EngineVersion"] = "16.4"
    workflow.rds.all_available()
    workflow.until_ready("cluster")
    assert workflow.record.planned.engine_version == "16.4"
    assert [w for w in workflow.record.warnings if "16.4" in w and "16.6" in w]


def test_an_older_major_version_that_shows_only_later_needs_leave(workflow: Workflow) -> None:
    living_source(workflow, engine_version="16.6")
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    workflow.rds.clusters["orders-staging"]["EngineVersion"] = "15.8"
    workflow.rds.all_available()
    with pytest.raises(errors.MajorUpgradeRefused, match="the source ran 15"):
        workflow.observe("cluster")


@pytest.mark.parametrize(("then", "major"), [("16.4", False), ("15.8", True)])
def test_the_version_of_then_is_upgraded_to_the_one_that_is_asked_for(
    workflow: Workflow, then: str, major: bool
) -> None:
    living_source(workflow, engine_version="16.6", allow_major_version_upgrade=major)
    workflow.rds.version_then = then
    assert workflow.check()["upgrade_needed"]
    workflow.step("restore_snapshot", "RestoreCluster")
    plan = workflow.record.planned
    assert (plan.engine_version, plan.version_at_restore, plan.major_upgrade) == ("16.6", then, major)


def test_an_older_major_version_of_then_needs_leave(workflow: Workflow) -> None:
    living_source(workflow, engine_version="16.6")
    workflow.rds.version_then = "15.8"
    workflow.check()
    with pytest.raises(errors.MajorUpgradeRefused, match=r"15\.8"):
        workflow.step("restore_snapshot", "RestoreCluster")


# --- settings --------------------------------------------------------------------------------------------------------

ROLE = "arn:aws:iam::123456789012:role/r"
COMPLETED: dict[str, Any] = {
    "readers": 1,
    "associated_roles": [{"role_arn": ROLE, "feature_name": "s3Import"}],
    "enable_http_endpoint": True,
    "custom_endpoints": [
        {"db_cluster_endpoint_identifier": "Reports", "endpoint_type": "READER", "static_members": [2]},
        {"db_cluster_endpoint_identifier": "any", "endpoint_type": "ANY", "excluded_members": [1]},
    ],
    "reader_autoscaling": {
        "min_capacity": 1,
        "max_capacity": 3,
        "predefined_metric_type": "RDSReaderAverageCPUUtilization",
        "target_value": 60,
        "scale_in_cooldown": 120,
    },
}


def test_a_restore_that_is_as_asked_for_has_an_empty_drift_report(workflow: Workflow) -> None:
    workflow.request |= {"readers": 1, "backup_retention_period": 7, "tags": {"team": "orders"}}
    assert workflow.check()["completes"] is False
    workflow.up_to_readers()
    assert workflow.step("check_settings", "CheckSettings")["differences"] == 0
    assert workflow.record.results["drift"] == []
    assert not workflow.rds.made("describe_db_cluster_endpoints")


def test_a_difference_that_matters_fails_and_the_others_are_told(workflow: Workflow) -> None:
    workflow.request |= {"preferred_backup_window": "03:00-04:00"}
    workflow.up_to_readers()
    cluster, writer = workflow.rds.clusters["orders-staging"], workflow.rds.instances["orders-staging-1"]
    cluster["PreferredBackupWindow"] = "01:00-02:00"
    assert workflow.step("check_settings", "CheckSettings")["differences"] == 1
    assert workflow.record.warnings == (
        'preferred_backup_window of orders-staging is "01:00-02:00", asked for is "03:00-04:00"',
    )
    cluster["VpcSecurityGroups"] = [{"VpcSecurityGroupId": "sg-default", "Status": "active"}]
    writer["DBInstanceClass"] = "db.t4g.medium"
    with pytest.raises(errors.ConfigurationDrift) as caught:
        workflow.step("check_settings", "CheckSettings")
    assert "2 settings" in caught.value.cause
    assert "sg-default" in caught.value.cause
    assert "db_instance_class of orders-staging-1" in caught.value.cause
    assert workflow.record.results["drift"] == caught.value.details["drift"]
    assert [(item["field"], item["matters"]) for item in workflow.record.results["drift"]] == [
        ("vpc_security_group_ids", True),
        ("preferred_backup_window", False),
        ("db_instance_class", True),
    ]


def test_what_takes_calls_of_its_own(workflow: Workflow) -> None:
    workflow.request |= COMPLETED
    assert workflow.check()["completes"] is True
    workflow.up_to_readers()
    for _ in range(2):  # the second try finds everything done
        workflow.step("complete_cluster", "CompleteCluster")
    assert workflow.rds.made("add_role_to_db_cluster") == [
        {"DBClusterIdentifier": "orders-staging", "RoleArn": ROLE, "FeatureName": "s3Import"}
    ]
    assert len(workflow.rds.made("enable_http_endpoint")) == 1
    reports, anywhere = workflow.rds.made("create_db_cluster_endpoint")
    assert (reports["DBClusterEndpointIdentifier"], reports["StaticMembers"]) == ("reports", ["orders-staging-2"])
    assert (anywhere["EndpointType"], anywhere["ExcludedMembers"]) == ("ANY", ["orders-staging-1"])
    assert {tag["Key"] for tag in reports["Tags"]} == {OPERATION_TAG, MANAGED_BY_TAG}
    target = workflow.aws.autoscaling.targets["cluster:orders-staging"]
    assert (target["MinCapacity"], target["MaxCapacity"], target["Tags"][OPERATION_TAG]) == (1, 3, "op")
    tracking = workflow.aws.autoscaling.policies["cluster:orders-staging"]["TargetTrackingScalingPolicyConfiguration"]
    assert (tracking["TargetValue"], tracking["ScaleInCooldown"]) == (60.0, 120)
    assert workflow.record.resource("scalable-target", "cluster:orders-staging")

    seen = workflow.observe("complete")
    assert (seen["state"], "role" in seen["detail"]) == ("PENDING", True)
    workflow.rds.clusters["orders-staging"]["AssociatedRoles"][0]["Status"] = "ACTIVE"
    assert "endpoint" in workflow.observe("complete")["detail"]
    workflow.until_ready("complete")
    assert workflow.step("check_settings", "CheckSettings")["differences"] == 0


def test_a_role_that_rds_cannot_take_on_fails(workflow: Workflow) -> None:
    workflow.request |= COMPLETED
    workflow.up_to_readers()
    workflow.step("complete_cluster", "CompleteCluster")
    workflow.rds.clusters["orders-staging"]["AssociatedRoles"][0]["Status"] = "INVALID"
    with pytest.raises(errors.ClusterFailed, match="cannot take it on"):
        workflow.observe("complete")


def test_a_role_that_the_cluster_has_for_another_feature_is_not_taken_for_ours(workflow: Workflow) -> None:
    workflow.request |= COMPLETED
    workflow.up_to_readers()
    workflow.rds.errors["add_role_to_db_cluster"] = [refused("DBClusterRoleAlreadyExists", "already associated")]
    with pytest.raises(errors.AwsCallFailed, match="already associated"):
        workflow.step("complete_cluster", "CompleteCluster")


def test_an_endpoint_of_another_cluster_is_not_taken_over(workflow: Workflow) -> None:
    workflow.request |= COMPLETED
    workflow.up_to_readers()
    workflow.rds.endpoints["reports"] = {"DBClusterIdentifier": "other", "EndpointType": "CUSTOM"}
    with pytest.raises(errors.TargetExists, match="another cluster"):
        workflow.step("complete_cluster", "CompleteCluster")


def test_a_scalable_target_is_deregistered_when_the_cluster_goes(workflow: Workflow) -> None:
    workflow.request |= COMPLETED
    workflow.up_to_readers()
    workflow.step("complete_cluster", "CompleteCluster")

    def never_ready(record: Record) -> Record:
        return dataclasses.replace(record, timings={})

    workflow.store.update(workflow.record, never_ready, at=workflow.now, step="Test", event="forgotten", details={})
    error = errors.InternalError("x")
    assert workflow.failing("compensate", "Compensate", error)["state"] == "PENDING"
    assert workflow.aws.autoscaling.targets == {}
    target = workflow.record.resource("scalable-target", "cluster:orders-staging")
    assert target is not None
    assert target.state is ResourceState.DELETED
    workflow.rds.instances.clear()
    workflow.rds.clusters.clear()
    assert workflow.failing("compensate", "Compensate", error)["status"] == "CLEAN"


def test_an_instance_that_waits_for_a_reboot_is_rebooted_once(workflow: Workflow) -> None:
    workflow.up_to_writer()
    workflow.rds.all_available()
    groups = workflow.rds.instances["orders-staging-1"]["DBParameterGroups"] = [
        {"DBParameterGroupName": "g", "ParameterApplyStatus": "pending-reboot"}
    ]
    assert workflow.observe("writer")["state"] == "REBOOT"
    workflow.step("create_instances", "CreateWriter", role="writer")
    assert workflow.rds.made("reboot_db_instance") == [{"DBInstanceIdentifier": "orders-staging-1"}]
    assert workflow.record.results["reboots"].keys() == {"orders-staging-1"}
    # It still waits: not rebooted again, but waited for.
    assert workflow.observe("writer")["state"] == "PENDING"
    workflow.step("create_instances", "CreateWriter", role="writer")
    assert len(workflow.rds.made("reboot_db_instance")) == 1
    groups[0]["ParameterApplyStatus"] = "in-sync"
    workflow.until_ready("writer")


def test_a_cluster_group_that_waits_for_a_reboot_counts_too(workflow: Workflow) -> None:
    workflow.request |= {"readers": 2}
    workflow.up_to_writer()
    workflow.until_ready("writer")
    workflow.step("create_instances", "CreateReaders", role="readers")
    workflow.rds.all_available()
    for member in workflow.rds.clusters["orders-staging"]["DBClusterMembers"][1:]:
        member["DBClusterParameterGroupStatus"] = "pending-reboot"
    assert workflow.observe("readers")["state"] == "REBOOT"
    workflow.step("create_instances", "CreateReaders", role="readers")
    assert [made["DBInstanceIdentifier"] for made in workflow.rds.made("reboot_db_instance")] == [
        "orders-staging-2",
        "orders-staging-3",
    ]


# --- copy_settings_from ----------------------------------------------------------------------------------------------


def living_cluster(rds: FakeRds, **changes: Any) -> None:
    rds.clusters["orders"] = {
        "DBClusterIdentifier": "orders",
        "Engine": "aurora-postgresql",
        "Port": 5433,
        "DBSubnetGroup": "databases",
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-0123456789abcdef0", "Status": "active"}],
        "KmsKeyId": KEY_ARN,
        "BackupRetentionPeriod": 9,
        "DBClusterMembers": [
            {"DBInstanceIdentifier": "orders-b", "IsClusterWriter": True},
            {"DBInstanceIdentifier": "orders-a", "IsClusterWriter": False},
            {"DBInstanceIdentifier": "application-autoscaling-1", "IsClusterWriter": False},
        ],
        "TagList": [{"Key": "team", "Value": "orders"}, {"Key": "aws:cloudformation:stack-id", "Value": "x"}],
        **changes,
    }
    for name, instance_class in (
        ("orders-a", "db.t4g.medium"),
        ("orders-b", "db.r8g.large"),
        ("application-autoscaling-1", "db.r8g.large"),
    ):
        rds.instances[name] = {
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": "orders",
            "DBInstanceClass": instance_class,
            "PromotionTier": 1,
        }
    rds.endpoints["orders-reports"] = {
        "DBClusterIdentifier": "orders",
        "DBClusterEndpointIdentifier": "orders-reports",
        "EndpointType": "CUSTOM",
        "CustomEndpointType": "READER",
        "StaticMembers": ["orders-a"],
        "Status": "available",
    }


def test_settings_and_topology_are_taken_of_a_living_cluster(workflow: Workflow) -> None:
    living_cluster(workflow.rds)
    workflow.request = {
        "operation_id": "op", "snapshot_identifier": "orders-manual", "target_cluster_id": "orders-staging",
        "copy_settings_from": "Orders", "backup_retention_period": 3,
    }  # fmt: skip
    workflow.check(defaults_json=json.dumps({"port": 9999, "copy_tags_to_snapshot": False}))
    record = workflow.record
    wanted, plan = record.wanted, record.planned
    assert (wanted.copy_settings_from, wanted.port, wanted.backup_retention_period) == ("orders", 5433, 3)
    assert wanted.tags == {"team": "orders"}
    assert [(one.instance_class, one.role) for one in plan.instances] == [
        ("db.r8g.large", "writer"),
        ("db.t4g.medium", "reader"),
    ]
    [endpoint] = wanted.custom_endpoints
    assert (endpoint.db_cluster_endpoint_identifier, endpoint.static_members) == ("orders-staging-reports", (2,))
    assert plan.kms_key_id == KEY_ARN
    origins = {name: plan.origins[name] for name in ("port", "backup_retention_period", "copy_tags_to_snapshot")}
    assert origins == {
        "port": "copied", "backup_retention_period": "request", "copy_tags_to_snapshot": "defaults",
    }  # fmt: skip
    assert any("autoscaling has added" in warning for warning in plan.warnings)
    assert any("orders-staging-reports" in warning for warning in plan.warnings)
    told = report.of_plan(plan, wanted, {})
    assert told["settings"]["custom_endpoints"]["origin"] == "copied"
    assert told["settings"]["copy_tags_to_snapshot"] == {"value": False, "origin": "defaults"}
    assert "Copied:   from the cluster orders" in told["table"]


def test_a_cluster_that_is_not_there_gives_no_settings(workflow: Workflow) -> None:
    workflow.request |= {"copy_settings_from": "orders"}
    with pytest.raises(errors.InvalidParameter, match="no such cluster in eu-west-1") as caught:
        workflow.check()
    assert caught.value.field == "copy_settings_from"


def test_settings_of_another_engine_are_refused(workflow: Workflow) -> None:
    living_cluster(workflow.rds, Engine="aurora-mysql")
    workflow.request |= {"copy_settings_from": "orders"}
    with pytest.raises(errors.InvalidParameter, match="is aurora-mysql; the snapshot is aurora-postgresql"):
        workflow.check()


def test_a_key_of_awss_is_not_copied(workflow: Workflow) -> None:
    living_cluster(workflow.rds)
    workflow.aws.kms.keys[KEY_ARN]["KeyManager"] = "AWS"
    workflow.request |= {"copy_settings_from": "orders"}
    workflow.check()
    assert workflow.record.wanted.kms_key_id is None
    assert any("was not copied: AWS manages it" in warning for warning in workflow.record.planned.warnings)


def test_a_key_that_cannot_be_described_is_not_copied_and_why_is_told(workflow: Workflow) -> None:
    other = KEY_ARN.rpartition("/")[0] + "/other"
    living_cluster(workflow.rds, KmsKeyId=other)
    workflow.aws.kms.denied.add(other)
    workflow.request |= {"copy_settings_from": "orders"}
    workflow.check()
    assert workflow.record.wanted.kms_key_id is None
    assert any("cannot even be described (" in warning for warning in workflow.record.planned.warnings)


def test_what_no_request_can_ask_for_is_told(workflow: Workflow) -> None:
    living_cluster(
        workflow.rds,
        LocalWriteForwardingStatus="enabled",
        GlobalWriteForwardingStatus="disabled",
        DomainMemberships=[{"Domain": "d-1", "Status": "joined"}],
    )
    workflow.request |= {"copy_settings_from": "orders"}
    workflow.check()
    told = [warning for warning in workflow.record.planned.warnings if "switch it on afterwards" in warning]
    assert [warning.partition(" of ")[0] for warning in told] == [
        "The local write forwarding",
        "The Active Directory membership",
    ]


def test_what_the_writer_has_otherwise_than_the_cluster_is_its_own(workflow: Workflow) -> None:
    living_cluster(workflow.rds, PreferredMaintenanceWindow="sun:03:00-sun:03:30", AutoMinorVersionUpgrade=True)
    workflow.rds.instances["orders-a"] |= {"PreferredMaintenanceWindow": "sun:03:00-sun:03:30"}
    workflow.rds.instances["orders-b"] |= {
        "PreferredMaintenanceWindow": "tue:05:00-tue:05:30",
        "AutoMinorVersionUpgrade": False,
    }
    workflow.request |= {"copy_settings_from": "orders"}
    workflow.check()
    wanted = workflow.record.wanted
    assert (wanted.preferred_maintenance_window, wanted.auto_minor_version_upgrade) == ("sun:03:00-sun:03:30", True)
    writer, reader = wanted.topology[:2]
    assert (writer.preferred_maintenance_window, writer.auto_minor_version_upgrade) == ("tue:05:00-tue:05:30", False)
    assert reader.preferred_maintenance_window is None


def test_a_custom_endpoint_of_another_cluster_is_refused_before_anything_is_made(workflow: Workflow) -> None:
    workflow.rds.endpoints["reports"] = {"DBClusterEndpointIdentifier": "reports", "DBClusterIdentifier": "orders"}
    workflow.request |= {
        "custom_endpoints": [
            {"db_cluster_endpoint_identifier": "Reports", "endpoint_type": "ANY"},
            {"db_cluster_endpoint_identifier": "free", "endpoint_type": "ANY"},
        ]
    }
    with pytest.raises(errors.InvalidParameter, match="'reports', but orders has") as caught:
        workflow.check()
    assert caught.value.field == "custom_endpoints"


def test_a_scalable_target_of_an_earlier_cluster_is_told(workflow: Workflow) -> None:
    workflow.aws.autoscaling.targets["cluster:orders-staging"] = {"MinCapacity": 1, "MaxCapacity": 4}
    workflow.check()
    [warning] = [one for one in workflow.record.warnings if "Auto Scaling" in one]
    assert "1 to 4 readers" in warning


def test_a_snapshot_that_shows_no_port_keeps_its_clusters(workflow: Workflow) -> None:
    workflow.rds.snapshots = [snapshot(Port=0)]
    workflow.check()
    workflow.step("restore_snapshot", "RestoreCluster")
    assert "Port" not in workflow.rds.made("restore_db_cluster_from_snapshot")[-1]


def test_autoscaling_is_copied_with_the_readers_that_it_needs(workflow: Workflow) -> None:
    living_cluster(workflow.rds)
    aws = workflow.aws.autoscaling
    aws.targets["cluster:orders"] = {"MinCapacity": 2, "MaxCapacity": 4}
    aws.policies["cluster:orders"] = {
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 60.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
        }
    }
    workflow.request |= {"copy_settings_from": "orders"}
    workflow.check()
    scaling = workflow.record.wanted.reader_autoscaling
    assert scaling is not None
    assert (scaling.min_capacity, scaling.max_capacity) == (2, 4)
    assert len(workflow.record.planned.readers) == 2


def test_a_setting_that_the_sdk_knows_in_no_call_is_refused_before_anything_is_made(
    workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow.request |= {"database_insights_mode": "standard", "mode": "plan"}
    real = Aurora.by_model

    def old(self: Aurora, operation: str, parameters: dict[str, Any]) -> Any:
        accepted, unknown = real(self, operation, parameters)
        lost = {name: accepted.pop(name) for name in ("DatabaseInsightsMode",) if name in accepted}
        return accepted, {**unknown, **lost}

    monkeypatch.setattr(Aurora, "by_model", old)
    with pytest.raises(errors.ConfigurationInvalid, match="too old for DatabaseInsightsMode of ModifyDBCluster"):
        workflow.check()
    assert workflow.record.resources == ()
