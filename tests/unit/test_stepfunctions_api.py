"""The ``states`` API, and the pipeline's own definition on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.core import AwsError, NotEmulated
from sandbox.stepfunctions import definition
from tests.unit.stepfunctions_harness import (
    ACCOUNT,
    REGION,
    ROLE,
    FunctionError,
    Harness,
    function_arn,
    harness,
    single,
    task,
)

PASS = single({"Type": "Pass"})
ROOT = Path(__file__).parents[2]


@pytest.fixture
def sfn() -> Iterator[Harness]:
    with harness() as made:
        yield made


def test_create_is_idempotent_and_describe_gives_back_what_was_given(sfn: Harness) -> None:
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vendedlogs/states/x:*"
    logging = {
        "level": "ALL",
        "includeExecutionData": True,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    options = {"loggingConfiguration": logging, "tracingConfiguration": {"enabled": True}, "type": "STANDARD"}
    arn = sfn.create(PASS, **options)
    assert arn == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:machine"
    assert sfn.create(PASS, **options) == arn
    with pytest.raises(AwsError, match="StateMachineAlreadyExists"):
        sfn.create(PASS)
    described = sfn.call("DescribeStateMachine", stateMachineArn=arn)
    assert json.loads(described["definition"]) == PASS
    assert described["loggingConfiguration"] == logging
    assert described["tracingConfiguration"] == {"enabled": True}
    assert described["encryptionConfiguration"] == {"type": "AWS_OWNED_KEY"}
    assert (described["status"], described["type"], described["roleArn"]) == ("ACTIVE", "STANDARD", ROLE)
    assert "revisionId" not in described
    sfn.call("DeleteStateMachine", stateMachineArn=arn)
    sfn.call("DeleteStateMachine", stateMachineArn=arn)
    with pytest.raises(AwsError, match="StateMachineDoesNotExist"):
        sfn.call("DescribeStateMachine", stateMachineArn=arn)
    assert sfn.call("ListStateMachineVersions", stateMachineArn=arn) == {"stateMachineVersions": []}


def test_versions_and_aliases_run_what_they_froze(sfn: Harness) -> None:
    answer = sfn.call(
        "CreateStateMachine",
        name="v",
        definition=json.dumps(single({"Type": "Pass", "Result": 1})),
        roleArn=ROLE,
        publish=True,
        versionDescription="first",
    )
    arn = answer["stateMachineArn"]
    assert answer["stateMachineVersionArn"] == f"{arn}:1"
    updated = sfn.call(
        "UpdateStateMachine",
        stateMachineArn=arn,
        definition=json.dumps(single({"Type": "Pass", "Result": 2})),
        publish=True,
    )
    assert updated["stateMachineVersionArn"] == f"{arn}:2"
    again = sfn.call("PublishStateMachineVersion", stateMachineArn=arn)
    assert again["stateMachineVersionArn"] == f"{arn}:2"
    listed = sfn.call("ListStateMachineVersions", stateMachineArn=arn)["stateMachineVersions"]
    assert [version["stateMachineVersionArn"] for version in listed] == [f"{arn}:2", f"{arn}:1"]
    described = sfn.call("DescribeStateMachine", stateMachineArn=f"{arn}:1")
    assert (described["stateMachineArn"], described["description"]) == (f"{arn}:1", "first")
    assert sfn.call("DescribeStateMachine", stateMachineArn=arn)["revisionId"] == updated["revisionId"]

    routing = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    sfn.call("CreateStateMachineAlias", name="live", routingConfiguration=routing)
    for qualifier, output in [("", "2"), (":1", "1"), (":2", "2"), (":live", "1")]:
        execution = sfn.start(arn + qualifier)
        assert execution.wait(5)
        assert execution.output == output
    described = sfn.call("DescribeExecution", executionArn=execution.arn)
    assert described["stateMachineAliasArn"] == f"{arn}:live"
    assert described["stateMachineVersionArn"] == f"{arn}:1"
    assert json.loads(sfn.call("DescribeStateMachineForExecution", executionArn=execution.arn)["definition"])
    assert len(sfn.call("ListExecutions", stateMachineArn=f"{arn}:live")["executions"]) == 1
    with pytest.raises(AwsError, match="ConflictException"):
        sfn.call("DeleteStateMachineVersion", stateMachineVersionArn=f"{arn}:1")
    moved = [{"stateMachineVersionArn": f"{arn}:2", "weight": 100}]
    sfn.call("UpdateStateMachineAlias", stateMachineAliasArn=f"{arn}:live", routingConfiguration=moved)
    assert sfn.call("DescribeStateMachineAlias", stateMachineAliasArn=f"{arn}:live")["routingConfiguration"] == moved
    sfn.call("DeleteStateMachineVersion", stateMachineVersionArn=f"{arn}:1")
    with pytest.raises(AwsError, match="StateMachineDoesNotExist"):
        sfn.start(f"{arn}:1")


def test_an_update_leaves_running_executions_alone(sfn: Harness) -> None:
    two = {
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 9, "Next": "P"}, "P": {"Type": "Pass", "End": True}},
    }
    two["States"]["P"]["Result"] = "old"  # type: ignore[index]
    arn = sfn.create(two)
    with sfn.clock.busy():
        execution = sfn.start(arn)
        sfn.call("UpdateStateMachine", stateMachineArn=arn, definition=json.dumps(PASS))
    assert execution.wait(5)
    assert execution.output == '"old"'


def test_tags(sfn: Harness) -> None:
    arn = sfn.create(PASS, tags=[{"key": "a", "value": "1"}])
    sfn.call("TagResource", resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    sfn.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert sfn.call("ListTagsForResource", resourceArn=arn) == {"tags": [{"key": "b", "value": "2"}]}
    assert sfn.service.tags(arn) == {"b": "2"}
    with pytest.raises(AwsError, match="ResourceNotFound"):
        sfn.call("ListTagsForResource", resourceArn=arn + "x")


def test_start_is_idempotent_only_while_it_runs_with_the_same_input(sfn: Harness) -> None:
    arn = sfn.create(single({"Type": "Wait", "Seconds": 5}))
    with sfn.clock.busy():
        execution = sfn.start(arn, {"a": 1}, name="n")
        assert sfn.start(arn, {"a": 1}, name="n") is execution
        with pytest.raises(AwsError, match="ExecutionAlreadyExists"):
            sfn.start(arn, {"a": 2}, name="n")
    assert execution.wait(5)
    with pytest.raises(AwsError, match="ExecutionAlreadyExists"):
        sfn.start(arn, {"a": 1}, name="n")
    assert execution.arn == f"arn:aws:states:{REGION}:{ACCOUNT}:execution:machine:n"
    for wrong, code in [({"name": "a b"}, "InvalidName"), ({"input": "{"}, "InvalidExecutionInput")]:
        with pytest.raises(AwsError, match=code):
            sfn.call("StartExecution", stateMachineArn=arn, **wrong)
    with pytest.raises(AwsError, match="InvalidExecutionInput"):
        sfn.call("StartExecution", stateMachineArn=arn, input=json.dumps("x" * 262_144))
    with pytest.raises(AwsError, match="ExecutionDoesNotExist"):
        sfn.call("DescribeExecution", executionArn=execution.arn + "x")
    with pytest.raises(AwsError, match="InvalidArn"):
        sfn.call("StartExecution", stateMachineArn="nonsense")


def test_lists_and_history_come_in_pages(sfn: Harness) -> None:
    arn = sfn.create(PASS)
    executions = [sfn.start(arn) for _ in range(5)]
    assert all(execution.wait(5) for execution in executions)
    seen, token = [], {}
    while True:
        page = sfn.call("ListExecutions", stateMachineArn=arn, maxResults=2, statusFilter="SUCCEEDED", **token)
        seen += [item["executionArn"] for item in page["executions"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert seen == [execution.arn for execution in reversed(executions)]
    ask: dict[str, Any] = {"executionArn": executions[0].arn, "maxResults": 3}
    first = sfn.call("GetExecutionHistory", **ask)
    second = sfn.call("GetExecutionHistory", **ask, nextToken=first["nextToken"])
    assert [event["id"] for event in first["events"] + second["events"]] == [1, 2, 3, 4]
    assert "nextToken" not in second
    backwards = sfn.call("GetExecutionHistory", executionArn=executions[0].arn, reverseOrder=True)["events"]
    assert [event["id"] for event in backwards] == [4, 3, 2, 1]
    bare = sfn.call("GetExecutionHistory", executionArn=executions[0].arn, includeExecutionData=False)["events"]
    assert "input" not in bare[0]["executionStartedEventDetails"]
    assert "input" in backwards[-1]["executionStartedEventDetails"]


def test_accounts_and_regions_are_apart(sfn: Harness) -> None:
    sfn.create(PASS)
    other = Harness(sfn.clock, sfn.functions, sfn.service, account="444455556666", region="us-east-1")
    assert other.call("ListStateMachines") == {"stateMachines": []}
    assert other.create(PASS) == "arn:aws:states:us-east-1:444455556666:stateMachine:machine"
    assert len(sfn.call("ListStateMachines")["stateMachines"]) == 1


def test_execution_events_go_to_the_log_group() -> None:
    written: list[tuple[str, str, str, str, dict[str, Any]]] = []

    def log(account: str, region: str, group: str, stream: str, lines: Any) -> None:
        written.extend((account, region, group, stream, json.loads(line)) for _, line in lines)

    with harness(log=log) as sfn:
        for level, expected in [("ALL", 7), ("ERROR", 2), ("FATAL", 1), ("OFF", 0)]:
            written.clear()
            destination = {"logGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vendedlogs/states/x:*"}
            arn = sfn.create(
                single(task("missing")),
                name=level,
                loggingConfiguration={"level": level, "destinations": [{"cloudWatchLogsLogGroup": destination}]},
            )
            execution = sfn.start(arn, {"secret": 1})
            assert execution.wait(5)
            assert len(written) == expected - (level == "ALL")
            assert {entry[:3] for entry in written} <= {(ACCOUNT, REGION, "/aws/vendedlogs/states/x")}
            assert "secret" not in json.dumps([entry[4] for entry in written])
            if expected:
                assert written[-1][4]["type"] == "ExecutionFailed"
                assert written[-1][4]["execution_arn"] == execution.arn
        with pytest.raises(AwsError, match="InvalidLoggingConfiguration"):
            sfn.create(PASS, loggingConfiguration={"level": "ALL", "destinations": []})


def test_logging_needs_a_role_that_may_deliver_logs() -> None:
    class NoLogs:
        def check_action(self, principal: Any, action: str, resource: str, context: Any, region: str) -> None:
            raise AwsError("AccessDenied", f"not authorized to perform: {action}", 403)

        def check_service(self, service: str, role_arn: str, source_arn: str) -> None:
            if role_arn.endswith("/stranger"):
                raise AwsError("AccessDenied", "no", 403)

    destination = {"logGroupArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:x:*"}
    logging = {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": destination}]}
    with harness(authorizer=NoLogs()) as sfn:
        with pytest.raises(AwsError, match=r"not authorized to access the Log Destination .*logs:CreateLogDelivery"):
            sfn.create(PASS, loggingConfiguration=logging)
        stranger = f"arn:aws:iam::{ACCOUNT}:role/stranger"
        with pytest.raises(AwsError, match=r"states\.amazonaws\.com"):
            sfn.call("CreateStateMachine", name="x", definition=json.dumps(PASS), roleArn=stranger)


def _states(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


INVALID = {
    "no json": "{",
    "no object": "[]",
    "no states": {"StartAt": "A", "States": {}},
    "no StartAt": {"States": PASS["States"]},
    "StartAt leads nowhere": {"StartAt": "X", "States": PASS["States"]},
    "unknown machine field": {**PASS, "Extra": 1},
    "unknown state field": single({"Type": "Pass", "Seconds": 1}),
    "unknown type": single({"Type": "Passs"}),
    "Next leads nowhere": _states(A={"Type": "Pass", "Next": "B"}),
    "neither Next nor End": _states(A={"Type": "Pass"}),
    "both Next and End": _states(A={"Type": "Pass", "Next": "A", "End": True}),
    "unreachable": _states(A={"Type": "Succeed"}, B={"Type": "Succeed"}),
    "no end": _states(A={"Type": "Pass", "Next": "A"}),
    "a name that is too long": _states(**{"x" * 81: {"Type": "Succeed"}}),
    "the same name in a branch": _states(
        A={"Type": "Parallel", "Branches": [_states(A={"Type": "Succeed"})], "End": True}
    ),
    "a target outside of the branch": _states(
        A={"Type": "Parallel", "Branches": [_states(B={"Type": "Pass", "Next": "C"})], "Next": "C"},
        C={"Type": "Succeed"},
    ),
    "a broken path": single({"Type": "Pass", "InputPath": "a.b"}),
    "a ResultPath with many places": single({"Type": "Pass", "ResultPath": "$.a[*]"}),
    "a template without path": single({"Type": "Pass", "Parameters": {"a.$": "b"}}),
    "an unknown intrinsic": single({"Type": "Pass", "Parameters": {"a.$": "States.Nope()"}}),
    "a function without name": single({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {}}),
    "an unknown parameter": single(task("f") | {"Parameters": {"FunctionName": "f", "Payloads": 1}}),
    "a resource that is no ARN": single({"Type": "Task", "Resource": "${x}"}),
    "States.ALL not last": single(task("f", Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}])),
    "States.ALL not alone": single(task("f", Retry=[{"ErrorEquals": ["States.ALL", "A"]}])),
    "a retry on a Choice": _states(A={"Type": "Choice", "Choices": [], "Retry": []}),
    "a backoff below one": single(task("f", Retry=[{"ErrorEquals": ["A"], "BackoffRate": 0.5}])),
    "a cap below the interval": single(
        task("f", Retry=[{"ErrorEquals": ["A"], "IntervalSeconds": 9, "MaxDelaySeconds": 9}])
    ),
    "a heartbeat longer than the timeout": single(task("f", TimeoutSeconds=5, HeartbeatSeconds=5)),
    "two timeouts": single(task("f", TimeoutSeconds=5, TimeoutSecondsPath="$.x")),
    "a rule without operator": _states(
        A={"Type": "Choice", "Choices": [{"Variable": "$.x", "Next": "B"}]}, B={"Type": "Succeed"}
    ),
    "a rule with the wrong operand": _states(
        A={"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": "1", "Next": "B"}]}, B={"Type": "Succeed"}
    ),
    "a nested Next": _states(
        A={
            "Type": "Choice",
            "Choices": [{"Not": {"Variable": "$.x", "IsNull": True, "Next": "B"}, "Next": "B"}],
        },
        B={"Type": "Succeed"},
    ),
    "a Wait without time": single({"Type": "Wait"}),
    "a Wait with two times": single({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.x"}),
    "a catch that leads nowhere": single(task("f", Catch=[{"ErrorEquals": ["A"], "Next": "X"}])),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_definitions(sfn: Harness, name: str) -> None:
    wrong = INVALID[name]
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    validated = sfn.call("ValidateStateMachineDefinition", definition=text)
    assert validated["result"] == "FAIL"
    assert validated["diagnostics"]
    with pytest.raises(AwsError, match="InvalidDefinition"):
        sfn.call("CreateStateMachine", name="x", definition=text, roleArn=ROLE)


DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "QueryLanguage": "JSONata"},
        {"Type": "Pass", "Assign": {"x": 1}},
        {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": {}},
        {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:rds:describeDBClusters"},
        {"Type": "Map", "ItemProcessor": {**DISTRIBUTED, **_states(I={"Type": "Succeed"})}},
    ],
)
def test_what_is_not_emulated_is_refused_when_the_machine_is_made(sfn: Harness, state: Any) -> None:
    with pytest.raises(NotEmulated):
        sfn.create(single(state))
    with pytest.raises(NotEmulated):
        sfn.call("ValidateStateMachineDefinition", definition=json.dumps(single(state)))


def test_warnings_are_told_when_asked_for(sfn: Harness) -> None:
    text = json.dumps(single({"Type": "Pass", "Parameters": {"a": "$.b"}}))
    assert sfn.call("ValidateStateMachineDefinition", definition=text)["diagnostics"] == []
    warned = sfn.call("ValidateStateMachineDefinition", definition=text, severity="WARNING")
    assert warned["result"] == "OK"
    assert [finding["code"] for finding in warned["diagnostics"]] == ["NO_DOLLAR"]


# ---- the pipeline's own definition


def pipeline() -> dict[str, Any]:
    text = (ROOT / "statemachine.asl.json").read_text()
    text = re.sub(r"\$\{(\w+)_arn\}", lambda match: function_arn(match[1], "1"), text)
    text = text.replace("${partition}", "aws").replace("${defaults_json}", "{}")
    text = text.replace("${source_accounts_json}", "{}")
    assert definition.validate(text) == []
    machine: dict[str, Any] = json.loads(text)
    return machine


def wire(sfn: Harness, laps: int = 3) -> list[tuple[str, str]]:
    """Functions that answer as the pipeline's do; returns what was called: (function, step)."""
    seen: list[tuple[str, str]] = []
    observed: dict[str, int] = {}

    def note(name: str, answer: Any) -> Any:
        def handler(event: Any) -> Any:
            seen.append((name, event.get("step", "")))
            return answer(event) if callable(answer) else answer

        return handler

    def observe(event: Any) -> dict[str, Any]:
        step = event["step"]
        observed[step] = observed.get(step, 0) + 1
        ready = observed[step] >= laps
        return {
            "state": "READY" if ready else "PENDING", "wait_seconds": 30, "phase": event.get("phase", ""),
            "status": "creating", "percent": None, "detail": "",
        }  # fmt: skip

    operation = {
        "operation_id": "op", "target_cluster_id": "t", "engine": "aurora-mysql", "database_phase": True, "readers": 1,
        "status": "IN_PROGRESS", "phase": "SnapshotCheck",
        "mode": "restore", "copies_needed": False, "copies": [], "report": {},
        "wait_seconds": 0, "completes": False, "upgrade_needed": False,
    }  # fmt: skip
    answers: dict[str, Any] = {
        "snapshot_check": operation,
        "check_restore_status": observe,
        "compensate": observe,
        "sns_notification": {
            "error": "ARP-X-001", "cause": "because", "operation_id": "op", "step": "x",
            "outcome": {"status": "SUCCEEDED"},
        },
    }  # fmt: skip
    names = (
        "restore_snapshot", "configure_cluster", "create_instances", "check_settings", "setup_db_users",
        "verify_restore", "cleanup",
    )  # fmt: skip
    for name in (*answers, *names):
        sfn.functions.handlers[name] = note(name, answers.get(name, {"operation_id": "op", "step": "x"}))
    return seen


def test_the_pipeline_succeeds(sfn: Harness) -> None:
    seen = wire(sfn)
    execution = sfn.run(pipeline(), {"snapshot_identifier": "s"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    functions = [name for name, _ in seen]
    assert functions[0] == "snapshot_check"
    assert functions[-3:] == ["verify_restore", "cleanup", "sns_notification"]
    assert functions.count("check_restore_status") == 12
    assert "compensate" not in functions
    assert execution.output == '{"status":"SUCCEEDED"}'


def test_a_success_that_cannot_be_told_still_has_an_output(sfn: Harness) -> None:
    wire(sfn)

    def fail(_: Any) -> None:
        raise FunctionError("Boom", "no")

    sfn.functions.handlers["cleanup"] = sfn.functions.handlers["sns_notification"] = fail
    execution = sfn.run(pipeline(), {"password": "hunter2"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    output = json.loads(execution.output or "")
    told = {name: output[name] for name in ("operation_id", "status", "target_cluster_id", "execution_arn")}
    assert told == {
        "operation_id": "op",
        "status": "SUCCEEDED",
        "target_cluster_id": "t",
        "execution_arn": execution.arn,
    }
    assert output["started_at"]
    assert output["warnings"][0].startswith("NotifySuccess ended with Boom: ")
    assert {name: caught["Error"] for name, caught in output["caught"].items()} == {
        "cleanup": "Boom",
        "notification": "Boom",
    }
    assert "hunter2" not in str(execution.output)


def test_the_pipeline_compensates_and_fails(sfn: Harness) -> None:
    seen = wire(sfn, laps=2)

    def fail(_: Any) -> None:
        raise FunctionError("ConfigurationFailed", "no")

    sfn.functions.handlers["configure_cluster"] = fail
    told: list[Any] = []
    notify = sfn.functions.handlers["sns_notification"]

    def noted(event: Any) -> Any:
        told.append(event["errors"])
        return notify(event)

    sfn.functions.handlers["sns_notification"] = noted
    execution = sfn.run(pipeline(), {})
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "ARP-X-001", "because")
    assert [{step: caught["Error"] for step, caught in one.items()} for one in told] == [
        {"ConfigureCluster": "ConfigurationFailed"}
    ]
    assert [name for name, _ in seen][-3:] == ["compensate", "compensate", "sns_notification"]


def test_the_pipeline_refuses_a_duplicate_without_touching_anything(sfn: Harness) -> None:
    seen = wire(sfn)

    def refuse(event: Any) -> dict[str, Any]:
        if event["step"] == "TakeTurn":
            return {"wait_seconds": 0}
        raise FunctionError("DuplicateOperation", "it runs already")

    sfn.functions.handlers["snapshot_check"] = refuse
    execution = sfn.run(pipeline(), {})
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "ARP-GENERAL-012", "it runs already")
    assert seen == []


def test_a_failure_that_cannot_be_told_still_names_its_step(sfn: Harness) -> None:
    wire(sfn)

    def fail(_: Any) -> None:
        raise FunctionError("Boom", "no")

    for name in ("configure_cluster", "compensate", "sns_notification"):
        sfn.functions.handlers[name] = fail
    execution = sfn.run(pipeline(), {})
    assert (execution.status, execution.error) == ("FAILED", "ARP-NOTIFY-001")
    assert '{"ConfigureCluster":{"Error":"Boom"' in str(execution.cause)


COPY = {"ordinal": 1, "phase": "copy-1"}


def copying(sfn: Harness, *, starts: list[Any], mode: str = "restore") -> list[tuple[str, str]]:
    """The same with one copy to make; StartCopy answers, or raises, one after the other."""
    seen = wire(sfn)
    check = sfn.functions.handlers["snapshot_check"]
    route = {"copies_needed": True, "copies": [COPY], "mode": mode, "report": {"steps": ["read me"]}}
    sfn.functions.handlers["snapshot_check"] = lambda event: {**check(event), **route}
    looks: list[int] = []

    def copy(event: Any) -> Any:
        seen.append(("copy_snapshot", event["step"]))
        answer: Any = {"state": "READY", "wait_seconds": 0, "detail": "", "phase": "", "copies": [COPY]}
        if event["step"] == "StartCopy":
            assert event["ordinal"] == 1
            answer = {**answer, **starts.pop(0)}
        if "error" in answer:
            raise FunctionError(answer["error"], "no")
        return answer

    def look(event: Any) -> Any:
        seen.append(("check_copy_status", event["step"]))
        looks.append(1)
        ready = len(looks) > 2
        return {"state": "READY" if ready else "PENDING", "wait_seconds": 60, "phase": "copy-1", "status": "copying",
                "percent": 0, "detail": ""}  # fmt: skip

    sfn.functions.handlers |= {"copy_snapshot": copy, "check_copy_status": look}
    return seen


def test_the_pipeline_copies_waits_for_a_lane_and_restores(sfn: Harness) -> None:
    starts: list[Any] = [
        {"state": "QUEUED", "wait_seconds": 900}, {"state": "BLOCKED", "wait_seconds": 60}, {"state": "STARTED"},
    ]  # fmt: skip
    seen = copying(sfn, starts=starts)
    execution = sfn.run(pipeline(), {})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    start, look = ("copy_snapshot", "StartCopy"), ("check_copy_status", "ObserveCopy")
    assert seen[: seen.index(("restore_snapshot", "RestoreCluster"))] == [
        ("snapshot_check", "TakeTurn"), ("snapshot_check", "SnapshotCheck"), ("copy_snapshot", "PrepareCopies"),
        start, ("copy_snapshot", "WaitForLane"), start, start, look, look, look, ("copy_snapshot", "FinishCopy"),
    ]  # fmt: skip


def test_the_pipeline_takes_the_fallback_when_the_direct_copy_is_refused(sfn: Harness) -> None:
    seen = copying(sfn, starts=[{"error": "DirectCopyRefused"}, {"state": "STARTED"}])
    execution = sfn.run(pipeline(), {})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    steps = [step for name, step in seen if name == "copy_snapshot"]
    assert steps == ["PrepareCopies", "StartCopy", "UseFallback", "PrepareCopies", "StartCopy", "FinishCopy"]


def test_the_pipeline_compensates_a_failed_copy(sfn: Harness) -> None:
    seen = copying(sfn, starts=[{"error": "CopySourceVanished"}])
    execution = sfn.run(pipeline(), {})
    assert (execution.status, execution.error) == ("FAILED", "ARP-X-001")
    assert "restore_snapshot" not in [name for name, _ in seen]
    assert "compensate" in [name for name, _ in seen]


def test_a_plan_is_the_executions_output(sfn: Harness) -> None:
    seen = copying(sfn, starts=[], mode="plan")
    execution = sfn.run(pipeline(), {})
    assert (execution.status, json.loads(execution.output or "")) == ("SUCCEEDED", {"steps": ["read me"]})
    assert [name for name, _ in seen] == ["snapshot_check"] * 2, "its turn and the check"
