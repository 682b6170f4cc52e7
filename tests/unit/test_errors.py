import json
import re
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ParamValidationError

from aurora_restore import errors
from tests.unit.core_support import refused


def test_the_table_is_complete_and_without_doubles() -> None:
    codes = [error.code for error in errors.TABLE]
    assert len(set(codes)) == len(codes)
    components = "SNAP-CHECK|SNAP-COPY|COPY-STATUS|RESTORE|RESTORE-STATUS|DBUSER|VERIFY|SWAP|CLEANUP|NOTIFY|GENERAL"
    for error in errors.TABLE:
        assert re.fullmatch(rf"ARP-({components})-\d{{3}}", error.code)
        assert (error.__doc__ or "").strip().endswith(".")
        assert error.remedy.endswith(".")


def test_only_what_a_retry_helps_is_retryable() -> None:
    retryable = {error.__name__ for error in errors.TABLE if error.retryable}
    assert retryable == {
        "Throttled", "ResourceBusy", "TransientDatabaseError", "StateConflict", "MasterCredentialsUnavailable",
        "EncryptionKeyInaccessible", "CopyKeyInaccessible", "CapacityInsufficient",
    }  # fmt: skip


def test_the_workflow_retries_what_is_retryable_and_nothing_else_of_ours() -> None:
    machine = json.loads((Path(__file__).resolve().parents[2] / "statemachine.asl.json").read_text())
    states = list(machine["States"].values())
    states += [inner for state in states for inner in state.get("ItemProcessor", {}).get("States", {}).values()]
    retried = {
        name
        for state in states
        for retrier in state.get("Retry", ())
        for name in retrier["ErrorEquals"]
        if "." not in name
    }
    # A difference may be one of an old read: CheckSettings looks a second time.
    assert retried - {"ConfigurationDrift"} == {error.__name__ for error in errors.TABLE if error.retryable}


def test_a_cause_has_bounds_and_still_survives_the_state_machine() -> None:
    raised = errors.together([errors.InvalidParameter("x" * 300, field="f") for _ in range(1000)])
    assert len(raised.cause) == errors.MAX_CAUSE
    assert len(json.dumps(raised.details)) < 50_000
    caught = {"Error": "InvalidParameter", "Cause": json.dumps({"errorMessage": str(raised)})}
    assert errors.failure_of(caught).cause == raised.cause


@pytest.mark.parametrize(
    ("code", "message", "operation", "expected"),
    [
        ("Throttling", "", "X", errors.Throttled),
        ("ThrottlingException", "Rate exceeded", "X", errors.Throttled),
        ("InternalFailure", "", "X", errors.Throttled),
        ("AccessDenied", "User: x is not authorized", "RestoreDBClusterFromSnapshot", errors.AccessDenied),
        ("AccessDenied", "", "DescribeDBClusterSnapshots", errors.SnapshotAccessDenied),
        ("DBClusterSnapshotNotFoundFault", "", "RestoreDBClusterFromSnapshot", errors.SnapshotVanished),
        ("DBClusterNotFoundFault", "", "RestoreDBClusterToPointInTime", errors.SourceClusterNotFound),
        (
            "DBClusterAutomatedBackupNotFoundFault",
            "",
            "RestoreDBClusterToPointInTime",
            errors.SourceClusterNotFound,
        ),
        ("DBClusterNotFoundFault", "", "ModifyDBCluster", errors.ResourceVanished),
        (
            "InvalidParameterValue",
            "RestoreToTime must be between the earliest and the latest restorable time",
            "RestoreDBClusterToPointInTime",
            errors.RestoreTimeOutside,
        ),
        ("InvalidDBClusterStateFault", "", "RestoreDBClusterToPointInTime", errors.ResourceBusy),
        ("DBSubnetGroupNotFoundFault", "", "X", errors.SubnetGroupInvalid),
        ("InvalidVPCNetworkStateFault", "", "X", errors.NetworkInvalid),
        ("DBClusterParameterGroupNotFound", "", "X", errors.ParameterGroupInvalid),
        ("DBClusterQuotaExceededFault", "", "X", errors.QuotaExceeded),
        ("InstanceQuotaExceeded", "", "X", errors.QuotaExceeded),
        ("KMSKeyNotAccessibleFault", "", "X", errors.EncryptionKeyInaccessible),
        ("InvalidDBClusterStateFault", "", "X", errors.ResourceBusy),
        ("InvalidDBInstanceState", "", "X", errors.ResourceBusy),
        ("InvalidDBClusterSnapshotStateFault", "", "X", errors.ResourceBusy),
        ("InvalidDBClusterSnapshotStateFault", "", "ModifyDBClusterSnapshotAttribute", errors.ResourceBusy),
        ("DBClusterSnapshotNotFoundFault", "", "ModifyDBClusterSnapshotAttribute", errors.CopySourceVanished),
        ("SharedSnapshotQuotaExceeded", "", "ModifyDBClusterSnapshotAttribute", errors.ShareFailed),
        ("DBInstanceAlreadyExists", "", "X", errors.TargetExists),
        ("InsufficientDBInstanceCapacity", "", "X", errors.CapacityInsufficient),
        ("InvalidParameterValue", "Invalid security group , groupId= sg-1", "X", errors.SecurityGroupInvalid),
        ("InvalidParameterCombination", "Cannot find version 1 for aurora-mysql", "X", errors.EngineVersionNotOffered),
        ("InvalidParameterValue", "The engine version is earlier than the engine version", "X", errors.EngineDowngrade),
        ("InvalidParameterValue", "something", "X", errors.RestoreStartFailed),
        ("ResourceNotFoundException", "", "GetItem", errors.StateStoreUnavailable),
        ("InvalidParameter", "", "Publish", errors.NotificationFailed),
        ("InvalidResourceStateFault", "", "EnableHttpEndpoint", errors.ResourceBusy),
        ("ConcurrentUpdateException", "", "RegisterScalableTarget", errors.ResourceBusy),
        ("LimitExceededException", "", "RegisterScalableTarget", errors.QuotaExceeded),
        ("LimitExceededException", "", "CreateSecret", errors.QuotaExceeded),
        ("DBClusterRoleQuotaExceeded", "", "AddRoleToDBCluster", errors.QuotaExceeded),
        ("Unheard", "of", "X", errors.AwsCallFailed),
    ],
)
def test_aws_errors_become_ours(code: str, message: str, operation: str, expected: type[errors.RestoreError]) -> None:
    ours = errors.translate(refused(code, message, operation))
    assert type(ours) is expected
    assert ours.details["aws_code"] == code


def test_a_server_error_is_retried_whatever_its_code() -> None:
    assert type(errors.translate(refused("Odd", status=503))) is errors.Throttled


def test_errors_without_an_answer() -> None:
    assert type(errors.translate(EndpointConnectionError(endpoint_url="x"), "rds")) is errors.Throttled
    assert type(errors.translate(NoCredentialsError())) is errors.AccessDenied
    ours = errors.translate(ParamValidationError(report="value: s3cret"))
    assert type(ours) is errors.InternalError
    assert "s3cret" not in str(ours)


@pytest.mark.parametrize("error", errors.TABLE, ids=lambda error: error.__name__)
def test_an_error_survives_the_state_machine(error: type[errors.RestoreError]) -> None:
    raised = error("Something is wrong with 'x: y'")
    caught = {
        "Error": error.__name__,
        "Cause": json.dumps({"errorMessage": str(raised), "errorType": error.__name__, "stackTrace": []}),
    }
    failure = errors.failure_of(caught)
    assert failure == errors.Failure.of(raised)
    assert failure.message == str(raised)
    assert errors.Failure.from_mapping(failure.to_mapping()) == failure


@pytest.mark.parametrize(
    ("caught", "code"),
    [
        ({"Error": "States.Timeout", "Cause": ""}, "ARP-GENERAL-006"),
        (
            {"Error": "Sandbox.Timedout", "Cause": '{"errorMessage": "Task timed out after 3.00 seconds"}'},
            "ARP-GENERAL-006",
        ),
        ({"Error": "Runtime.ExitError", "Cause": '{"errorMessage": "signal: killed"}'}, "ARP-GENERAL-010"),
        ({"Error": "Lambda.AccessDeniedException", "Cause": "x is not authorized to perform"}, "ARP-GENERAL-014"),
        ({}, "ARP-GENERAL-010"),
        ({"Error": "E", "Cause": "[1]"}, "ARP-GENERAL-010"),
    ],
)
def test_foreign_errors_get_a_code(caught: dict[str, str], code: str) -> None:
    assert errors.failure_of(caught).code == code


@pytest.mark.parametrize("message", ["RequestId: 1 Error: Task timed out after 600.00 seconds", "Task timed out"])
def test_a_functions_own_time_limit_is_not_a_phases_deadline(message: str) -> None:
    caught = {"Error": "Sandbox.Timedout", "Cause": json.dumps({"errorMessage": message})}
    failure = errors.failure_caught({"SetupDbUsers": caught})
    assert (failure.code, failure.step) == ("ARP-GENERAL-006", "SetupDbUsers")
    assert failure.cause == f"SetupDbUsers ran out of time (Sandbox.Timedout): {message}."
    for word in ("lambda.timeout", "lambda.database_timeout", "log_group_names"):
        assert word in failure.remedy
    assert "deadline" not in failure.remedy


def test_a_function_that_did_not_answer_has_no_knob() -> None:
    failure = errors.failure_caught({"ObserveWriter": {"Error": "States.Timeout", "Cause": ""}})
    assert (failure.code, failure.step) == ("ARP-GENERAL-006", "ObserveWriter")
    assert "log_group_names" in failure.remedy
    assert "raise" not in failure.remedy


def test_a_phases_deadline_keeps_its_remedy() -> None:
    raised = errors.OperationTimeout("Phase 'cluster' passed its deadline")
    caught = {"Error": "OperationTimeout", "Cause": json.dumps({"errorMessage": str(raised)})}
    assert "'deadlines'" in errors.failure_caught({"ObserveCluster": caught}).remedy


def test_several_findings_are_told_at_once() -> None:
    first = errors.TargetExists("A is taken", field="target_cluster_id")
    # AWS's words may look like ours.
    second = errors.SubnetGroupInvalid("B is not there. Remedy: none", details={"aws_code": "x"})
    joined = errors.together([first, second])
    assert type(joined) is errors.TargetExists
    assert joined.field == "target_cluster_id"
    assert joined.details["findings"] == [
        {
            "code": "ARP-RESTORE-009",
            "error": "TargetExists",
            "cause": "A is taken.",
            "remedy": errors.TargetExists.remedy,
            "field": "target_cluster_id",
        },
        {
            "code": "ARP-RESTORE-003",
            "error": "SubnetGroupInvalid",
            "cause": "B is not there. Remedy: none.",
            "remedy": errors.SubnetGroupInvalid.remedy,
            "field": None,
        },
    ]
    for finding in (first, second):
        assert f"{finding.code}: {finding.cause} To do: {finding.advice}" in joined.cause
    assert errors.together([first]) is first

    caught = {"Error": "TargetExists", "Cause": json.dumps({"errorMessage": str(joined)})}
    failure = errors.failure_of(caught)
    assert (failure.cause, failure.remedy) == (joined.cause, joined.advice)


def test_all_findings_of_a_thoroughly_bad_request_fit() -> None:
    raised = errors.together([errors.InvalidParameter("x" * 300, field=f"f{n}") for n in range(30)])
    assert not raised.cause.endswith("...")
    assert raised.cause.count(errors.InvalidParameter.code) == 30
