import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import errors, notification
from aurora_restore.model import ClusterFacts, Record, Resource, ResourceState, Status, iso
from aurora_restore.notification import MAX_SUBJECT, Message
from tests.unit.core_support import EXECUTION_ARN, NOW, REGION, settings
from tests.unit.test_planner import parsed, plan

RECORD = Record(
    operation_id="op",
    execution_arn=EXECUTION_ARN,
    started_at=iso(NOW),
    status=Status.SUCCEEDED,
    request=parsed(),
    plan=plan(),
    cluster=ClusterFacts("orders-staging", "arn", "cluster-X", "16.6", 5432, endpoint="orders.example"),
    resources=(Resource("db-cluster", "orders-staging", REGION, "1", "op", ResourceState.KEPT),),
    audit_sequence=9,
    audit_hash="abc",
)
FAILURE = errors.Failure.of(errors.ClusterFailed("It is incompatible-network", field="x"), "RestoreCluster")


def build(
    record: Record | None = RECORD, failure: errors.Failure | None = None, request: object = None, **changes: Any
) -> Message:
    return notification.build(
        settings=settings(**changes),
        operation_id="op",
        execution_arn=EXECUTION_ARN,
        now=NOW,
        record=record,
        failure=failure,
        request=request,
    )


def of_state(state: ResourceState) -> Record:
    """A failed operation whose resources are in one state."""
    return replace(RECORD, status=Status.FAILED, resources=tuple(replace(r, state=state) for r in RECORD.resources))


def test_success() -> None:
    message = build(environment="prod")
    assert message.subject == "[restore] Aurora restore succeeded: orders-staging"
    assert message.attributes["status"] == "SUCCEEDED"
    assert message.document["cluster"]["endpoint"] == "orders.example"
    assert message.document["audit"] == {"sequence": 9, "hash": "abc"}
    assert "orders.example:5432" in message.text
    parameters = message.publish_parameters("arn")
    bodies = json.loads(parameters["Message"])
    assert json.loads(bodies["default"]) == json.loads(json.dumps(message.document))
    assert bodies["email"] == message.text
    assert parameters["MessageAttributes"]["environment"]["StringValue"] == "prod"


def test_failure() -> None:
    message = build(replace(RECORD, status=Status.FAILED), FAILURE)
    assert message.attributes["error_code"] == "ARP-RESTORE-STATUS-001"
    assert message.document["error"]["remedy"]
    for word in (
        "ARP-RESTORE-STATUS-001",
        "incompatible-network",
        "Remedy",
        "Still there",
        "db-cluster orders-staging (KEPT) in 1, eu-west-1",
    ):
        assert word in message.text


def test_a_message_is_never_too_long_to_be_sent() -> None:
    checks = [{"name": "é" * 100, "actual": "é" * 400} for _ in range(100)]
    message = build(replace(RECORD, results={"verification": {"checks": checks}}), FAILURE)
    body = message.publish_parameters("arn")["Message"]
    assert len(body.encode()) <= notification.MAX_MESSAGE
    assert json.loads(json.loads(body)["default"])["error"]["code"] == "ARP-RESTORE-STATUS-001"


def test_without_a_record() -> None:
    message = build(None, FAILURE)
    assert message.subject == "[restore] Aurora restore failed: op"
    # SNS refuses attributes with an empty value.
    assert all(value["StringValue"] for value in message.publish_parameters("arn")["MessageAttributes"].values())


@given(st.text(max_size=200))
def test_any_subject_is_one_that_sns_takes(name: str) -> None:
    subject = build(deployment=name).subject
    assert len(subject) <= MAX_SUBJECT
    assert subject.isascii()
    assert "\n" not in subject
    assert "\r" not in subject


def test_several_findings_are_a_list_for_people() -> None:
    problems = [errors.TargetExists("A is taken", field="target_cluster_id"), errors.SubnetGroupInvalid("B is missing")]
    message = build(replace(RECORD, status=Status.FAILED), errors.Failure.of(errors.together(problems)))
    for line in (
        " 1. ARP-RESTORE-009 TargetExists [target_cluster_id]",
        "    A is taken.",
        " 2. ARP-RESTORE-003 SubnetGroupInvalid",
        f"    -> {errors.TargetExists.remedy}",
    ):
        assert line in message.text.splitlines()
    assert [item["code"] for item in message.document["error"]["details"]["findings"]] == [
        "ARP-RESTORE-009",
        "ARP-RESTORE-003",
    ]


def test_a_refused_plan_is_not_told_as_a_failed_restore() -> None:
    """Its target may be the living production cluster."""
    message = build(replace(RECORD, status=Status.FAILED, request=parsed(mode="plan")), FAILURE)
    assert message.subject == "[restore] Plan of an Aurora restore refused: orders-staging"
    assert message.text.startswith("Plan of an Aurora restore REFUSED: operation op\nNothing was created or changed.\n")
    attributes = {name: message.attributes[name] for name in ("event", "mode", "status", "target_cluster_id")}
    assert attributes == {
        "event": "plan.refused",
        "mode": "plan",
        "status": "FAILED",
        "target_cluster_id": "orders-staging",
    }
    assert (message.document["event"], message.document["mode"]) == ("plan.refused", "plan")
    assert "remains" not in message.document
    assert build().attributes["mode"] == "restore"


def test_of_a_request_that_was_not_accepted_only_mode_and_target_are_told() -> None:
    asked = {"mode": "plan", "target_cluster_id": "Shop", "password": "hunter2", "operation_id": "hunter2"}
    for record in (None, replace(RECORD, request=None, plan=None, cluster=None)):
        message = build(record, FAILURE, request=asked)
        assert message.subject == "[restore] Plan of an Aurora restore refused: shop"
        assert message.document["target_cluster_id"] == "shop"
        assert message.attributes["mode"] == "plan"
        assert "hunter2" not in json.dumps(message.publish_parameters("arn"))
    message = build(None, FAILURE, request={"target_cluster_id": "x\nhttp://evil.example"})
    assert message.subject == "[restore] Aurora restore failed: op"
    assert "evil" not in json.dumps(message.publish_parameters("arn"))


@pytest.mark.parametrize("state", [ResourceState.DELETED, ResourceState.DELETING, ResourceState.FOREIGN])
def test_a_cluster_that_does_not_stand_is_not_shown(state: ResourceState) -> None:
    message = build(of_state(state), FAILURE)
    assert "cluster" not in message.document
    assert "orders.example" not in message.text + json.dumps(message.document)


def test_a_cluster_that_was_kept_is_shown() -> None:
    message = build(of_state(ResourceState.KEPT), FAILURE)
    assert message.document["cluster"]["endpoint"] == "orders.example"
    assert "Endpoint: orders.example:5432" in message.text
    assert "Still there (and billed):" in message.text


def test_what_has_been_removed_is_said() -> None:
    message = build(of_state(ResourceState.DELETED), FAILURE)
    assert message.document["remains"] == "Everything that was made has been removed."
    assert message.document["remains"] in message.text
    assert "Still there" not in message.text


def test_users_checks_and_times_are_told_by_name() -> None:
    users = [{"name": "app", "secret_arn": "arn:secret"}]
    verification = {"server_version": "16.6", "checks": [{"name": "orders", "passed": True}]}
    record = replace(RECORD, finished_at=iso(NOW), results={"users": users, "verification": verification, "drift": []})
    output = build(record).output()
    assert output["users"] == users
    assert output["checks"] == verification["checks"]
    assert output["results"] == {"verification": {"server_version": "16.6"}, "drift": []}
    assert (output["started_at"], output["finished_at"]) == (iso(NOW), iso(NOW))
    assert output == build(record).document


def test_an_output_is_never_too_long() -> None:
    checks = [{"name": "x" * 100, "actual": "x" * 2000} for _ in range(100)]
    users = [{"name": "app", "secret_arn": "arn:secret"}]
    output = build(replace(RECORD, results={"verification": {"checks": checks}, "users": users})).output()
    assert len(json.dumps(output)) <= notification.MAX_OUTPUT
    assert output["users"] == users
    assert output["left_out"] == ["checks", "results"]
