"""Executions: every state, errors, time, limits, redrive; with fake functions on a jumping clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.core import AwsError
from sandbox.stepfunctions.execution import Execution
from tests.unit.stepfunctions_harness import (
    ACCOUNT,
    REGION,
    FunctionError,
    Harness,
    function_arn,
    harness,
    single,
    task,
)


@pytest.fixture
def sfn() -> Iterator[Harness]:
    with harness() as made:
        yield made


def kinds(execution: Execution) -> list[str]:
    return [event["type"] for event in execution.history.events]


def seconds(execution: Execution) -> float:
    assert execution.stopped is not None
    return (execution.stopped - execution.started).total_seconds()


PAYLOAD = {"ResultSelector": {"x.$": "$.Payload"}}


def test_pass(sfn: Harness) -> None:
    event = {"a": {"b": 1}, "keep": True}
    assert sfn.state({"Type": "Pass"}, event) == event
    assert sfn.state({"Type": "Pass", "Result": {"r.$": "$.a"}}, event) == {"r.$": "$.a"}
    assert sfn.state({"Type": "Pass", "InputPath": "$.a", "ResultPath": "$.r"}, event) == {**event, "r": {"b": 1}}
    assert sfn.state({"Type": "Pass", "Parameters": {"n.$": "$.a.b"}, "ResultPath": "$.x.y"}, event) == {
        **event,
        "x": {"y": {"n": 1}},
    }
    assert sfn.state({"Type": "Pass", "Result": 1, "ResultPath": None, "OutputPath": "$.a"}, event) == {"b": 1}
    assert sfn.state({"Type": "Pass", "InputPath": None}, event) == {}
    assert sfn.state({"Type": "Pass", "OutputPath": None}, event) == {}


def test_context_object(sfn: Harness) -> None:
    execution = sfn.run(
        {
            "StartAt": "W",
            "States": {
                "W": {"Type": "Wait", "Seconds": 90, "Next": "S"},
                "S": {"Type": "Pass", "Parameters": {"all.$": "$$"}, "End": True},
            },
        },
        {"q": 1},
    )
    context = json.loads(execution.output or "")["all"]
    assert context["Execution"] == {
        "Id": execution.arn,
        "Input": {"q": 1},
        "Name": execution.name,
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/states",
        "StartTime": "2026-01-01T00:00:00.000Z",
        "RedriveCount": 0,
    }
    assert context["State"] == {"Name": "S", "EnteredTime": "2026-01-01T00:01:30.000Z", "RetryCount": 0}
    assert context["StateMachine"] == {"Id": execution.machine.arn, "Name": "machine-0"}


def test_lambda_invoke(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda event: {"got": event}
    execution = sfn.run(single(task("f", **PAYLOAD, ResultPath="$.r")), {"a": 1})
    assert json.loads(execution.output or "") == {"a": 1, "r": {"x": {"got": {"a": 1}}}}
    assert kinds(execution) == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited",
        "ExecutionSucceeded",
    ]  # fmt: skip
    scheduled = execution.history.events[2]["taskScheduledEventDetails"]
    assert scheduled["resourceType"] == "lambda"
    assert scheduled["resource"] == "invoke"
    assert scheduled["region"] == REGION
    assert json.loads(scheduled["parameters"]) == {"FunctionName": function_arn("f"), "Payload": {"a": 1}}
    invoker = sfn.functions.calls[0][2]
    assert invoker is not None
    assert (invoker.account, invoker.role_name, invoker.admin) == (ACCOUNT, "states", False)


def test_plain_function_and_short_name(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda event: event["a"] + 1
    assert sfn.state({"Type": "Task", "Resource": function_arn("f", "7")}, {"a": 1}) == 2
    state = task("f", ResultSelector={"v.$": "$.Payload"})
    state["Parameters"]["FunctionName"] = "f"
    assert sfn.state(state, {"a": 1}) == {"v": 2}
    assert [call[0] for call in sfn.functions.calls] == [function_arn("f", "7"), function_arn("f")]


def test_a_functions_exception_is_the_error_and_its_document_the_cause(sfn: Harness) -> None:
    def fail(_: Any) -> None:
        raise FunctionError("SnapshotNotFound", "no such snapshot")

    sfn.functions.handlers["f"] = fail
    execution = sfn.run(single(task("f")))
    assert (execution.status, execution.error) == ("FAILED", "SnapshotNotFound")
    assert json.loads(execution.cause or "")["errorMessage"] == "no such snapshot"
    assert kinds(execution)[-2:] == ["TaskFailed", "ExecutionFailed"]
    caught = sfn.output(
        {
            "StartAt": "S",
            "States": {
                "S": task(
                    "f", Catch=[{"ErrorEquals": ["SnapshotNotFound"], "ResultPath": "$.e", "Next": "C"}], End=True
                ),
                "C": {"Type": "Pass", "End": True},
            },
        },
        {"kept": 1},
    )
    assert caught["kept"] == 1
    assert caught["e"]["Error"] == "SnapshotNotFound"
    assert json.loads(caught["e"]["Cause"])["errorType"] == "SnapshotNotFound"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("TooManyRequestsException", "Lambda.TooManyRequestsException"),
        ("ServiceException", "Lambda.ServiceException"),
        ("ResourceNotFoundException", "Lambda.ResourceNotFoundException"),
        ("AccessDeniedException", "Lambda.AWSLambdaException"),
    ],
)
def test_refused_invocations(sfn: Harness, code: str, name: str) -> None:
    def refuse(_: Any) -> None:
        raise AwsError(code, "no", 403)

    sfn.functions.handlers["f"] = refuse
    execution = sfn.run(single(task("f")))
    assert execution.error == name
    assert f"no (Service: AWSLambda; Status Code: 403; Error Code: {code};" in (execution.cause or "")


def test_the_role_is_authorized_for_the_qualified_function() -> None:
    asked: list[tuple[str, str, str]] = []

    class Deny:
        def check_action(self, principal: Any, action: str, resource: str, context: Any, region: str) -> None:
            asked.append((principal.role_name, action, resource))
            if action == "lambda:InvokeFunction":
                raise AwsError("AccessDenied", "User: … is not authorized to perform: lambda:InvokeFunction", 403)

        def check_service(self, service: str, role_arn: str, source_arn: str) -> None:
            asked.append((service, role_arn, source_arn))

    recorded: list[Any] = []
    with harness(authorizer=Deny(), record=lambda call, error, _m: recorded.append((call.operation, error))) as sfn:
        state = task("f")
        state["Parameters"]["FunctionName"] = function_arn("f", "3")
        execution = sfn.run(single(state))
        assert execution.error == "Lambda.AWSLambdaException"
        assert "is not authorized to perform: lambda:InvokeFunction" in (execution.cause or "")
        assert sfn.functions.calls == []
    assert ("states", "lambda:InvokeFunction", function_arn("f", "3")) in asked
    assert asked[0][0] == "states.amazonaws.com"
    assert recorded == [("Invoke", "AccessDeniedException")]


def test_retry_backs_off_with_a_cap_and_then_gives_up(sfn: Harness) -> None:
    tries: list[int] = []

    def fail(event: Any) -> None:
        tries.append(event["n"])
        raise FunctionError("Busy")

    sfn.functions.handlers["f"] = fail
    sfn.functions.cost = 0
    state = task(
        "f",
        Retry=[
            {"ErrorEquals": ["Other"], "MaxAttempts": 9},
            {"ErrorEquals": ["Busy"], "IntervalSeconds": 10, "BackoffRate": 2, "MaxAttempts": 4, "MaxDelaySeconds": 45},
            {"ErrorEquals": ["States.ALL"]},
        ],
    )
    state["Parameters"]["Payload"] = {"n.$": "$$.State.RetryCount"}
    del state["Parameters"]["Payload.$"]
    execution = sfn.run(single(state))
    assert execution.error == "Busy"
    assert tries == [0, 1, 2, 3, 4]
    assert seconds(execution) == 10 + 20 + 40 + 45
    assert kinds(execution).count("TaskScheduled") == 5
    assert kinds(execution).count("TaskStateEntered") == 1


def test_full_jitter_is_bounded_and_repeatable(sfn: Harness) -> None:
    def fail(_: Any) -> None:
        raise FunctionError("Busy")

    sfn.functions.handlers["f"] = fail
    sfn.functions.cost = 0
    retry = {"ErrorEquals": ["Busy"], "IntervalSeconds": 100, "MaxAttempts": 3, "JitterStrategy": "FULL"}
    machine = sfn.create(single(task("f", Retry=[retry])))
    waits = []
    for _ in range(2):
        sfn.service._executions.clear()
        execution = sfn.start(machine, name="same")
        assert execution.wait(10)
        waits.append(seconds(execution))
    assert waits[0] == pytest.approx(waits[1], abs=1e-3)
    assert 0 < waits[0] < 700


def test_a_task_times_out_in_virtual_time_and_is_caught(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda _: 1
    sfn.functions.cost = 500
    execution = sfn.run(
        {
            "StartAt": "S",
            "States": {
                "S": task(
                    "f", TimeoutSecondsPath="$.t", Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "C"}], End=True
                ),
                "C": {"Type": "Succeed"},
            },
        },
        {"t": 30},
    )
    assert json.loads(execution.output or "") == {"Error": "States.Timeout", "Cause": ""}
    assert seconds(execution) == 30
    assert "TaskTimedOut" in kinds(execution)


def test_the_machines_timeout_cannot_be_caught(sfn: Harness) -> None:
    definition = {**single({"Type": "Wait", "Seconds": 100}), "TimeoutSeconds": 5}
    execution = sfn.run(definition)
    assert (execution.status, seconds(execution)) == ("TIMED_OUT", 5)
    described = sfn.call("DescribeExecution", executionArn=execution.arn)
    assert "error" not in described
    assert "cause" not in described
    assert execution.history.events[-1]["executionTimedOutEventDetails"] == {"error": "States.Timeout"}


def test_waits(sfn: Harness) -> None:
    event = {"s": 20, "at": "2026-01-01T00:10:00Z", "bad": "soon"}
    for state, expected in [
        ({"Seconds": 3600}, 3600),
        ({"SecondsPath": "$.s"}, 20),
        ({"Timestamp": "2025-01-01T00:00:00Z"}, 0),
    ]:
        execution = sfn.run(single({"Type": "Wait", **state}), event)
        assert seconds(execution) == expected
        assert json.loads(execution.output or "") == event
    later = (sfn.clock.now()).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert seconds(sfn.run(single({"Type": "Wait", "TimestampPath": "$.at"}), {"at": later})) == 0
    for state in ({"SecondsPath": "$.bad"}, {"TimestampPath": "$.bad"}, {"SecondsPath": "$.none"}):
        execution = sfn.run(single({"Type": "Wait", **state}), event)
        assert execution.error == "States.Runtime"


def test_choice(sfn: Harness) -> None:
    definition: dict[str, Any] = {
        "StartAt": "C",
        "States": {
            "C": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 5, "Next": "Big"}]},
            "Big": {"Type": "Pass", "Result": "big", "End": True},
        },
    }
    assert sfn.output(definition, {"n": 6}) == "big"
    execution = sfn.run(definition, {"n": 1})
    assert execution.error == "States.NoChoiceMatched"
    execution = sfn.run(definition, {})
    assert execution.error == "States.Runtime"
    assert "An error occurred while executing the state 'C' (entered at the event id #2)." in (execution.cause or "")


def test_fail_and_its_paths(sfn: Harness) -> None:
    def fail(**fields: Any) -> Execution:
        return sfn.run(
            {"StartAt": "F", "States": {"F": {"Type": "Fail", **fields}}}, {"f": {"error": "E", "cause": "C"}}
        )

    execution = fail(ErrorPath="$.f.error", CausePath="States.Format('{}!', $.f.cause)")
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "E", "C!")
    assert kinds(execution) == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    execution = fail()
    assert (execution.error, execution.cause) == (None, None)
    assert fail(ErrorPath="$.none").error == "States.Runtime"


def test_parallel(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda event: event["a"]
    branches = [
        single(task("f", **PAYLOAD)),
        single({"Type": "Wait", "Seconds": 10}),
        single({"Type": "Pass", "Result": 3}),
    ]
    execution = sfn.run(single({"Type": "Parallel", "Branches": _renamed(branches), "ResultPath": "$.r"}), {"a": 1})
    assert json.loads(execution.output or "") == {"a": 1, "r": [{"x": 1}, {"a": 1}, 3]}
    assert seconds(execution) == 10


def _renamed(branches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """State names are unique in the whole machine."""
    return [
        {"StartAt": f"B{index}", "States": {f"B{index}": branch["States"]["S"]}}
        for index, branch in enumerate(branches)
    ]


def test_a_failed_branch_ends_the_others_and_is_caught_by_its_own_error(sfn: Harness) -> None:
    branches = _renamed([single({"Type": "Wait", "Seconds": 1000}), single({"Type": "Pass"})])
    branches[1] = {
        "StartAt": "Soon",
        "States": {
            "Soon": {"Type": "Wait", "Seconds": 5, "Next": "F"},
            "F": {"Type": "Fail", "Error": "Boom", "Cause": "c"},
        },
    }
    state = {"Type": "Parallel", "Branches": branches, "Catch": [{"ErrorEquals": ["Boom"], "Next": "C"}], "End": True}
    execution = sfn.run({"StartAt": "P", "States": {"P": state, "C": {"Type": "Pass", "End": True}}})
    assert json.loads(execution.output or "") == {"Error": "Boom", "Cause": "c"}
    assert seconds(execution) == 5
    assert "ParallelStateFailed" in kinds(execution)


def test_map(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda event: event
    sfn.functions.cost = 10
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "all.$": "$.k"},
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "T",
            "States": {"T": task("f", OutputPath="$.Payload", End=True)},
        },
        "MaxConcurrency": 2,
    }
    execution = sfn.run(single(state), {"items": ["a", "b", "c", "d", "e"], "k": 9})
    assert json.loads(execution.output or "") == [{"i": i, "v": v, "all": 9} for i, v in enumerate("abcde")]
    assert seconds(execution) == 30
    assert kinds(execution).count("MapIterationSucceeded") == 5
    assert sfn.state({**state, "ItemsPath": "$.items"}, {"items": [], "k": 1}) == []
    assert sfn.run(single(state), {"items": 1, "k": 1}).error == "States.Runtime"


def test_a_failed_iteration_aborts_the_others_and_a_retry_runs_all_anew(sfn: Harness) -> None:
    calls: list[int] = []

    def handler(event: Any) -> Any:
        calls.append(event)
        if event == 2 and calls.count(2) == 1:
            raise FunctionError("Boom")
        return event

    sfn.functions.handlers["f"] = handler
    state = {
        "Type": "Map",
        "ItemProcessor": {
            "StartAt": "T",
            "States": {
                "T": task("f", OutputPath="$.Payload", Next="W"),
                "W": {"Type": "Wait", "Seconds": 5, "End": True},
            },
        },
        "Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 1}],
    }
    execution = sfn.start(sfn.create(single(state)), [1, 2, 3])
    assert execution.wait(10)
    assert json.loads(execution.output or "") == [1, 2, 3]
    assert sorted(calls) == [1, 1, 2, 2, 3, 3]
    assert kinds(execution).count("MapIterationAborted") == 2
    assert kinds(execution).count("MapIterationFailed") == 1


def test_an_inline_map_fails_with_the_iterations_own_error(sfn: Harness) -> None:
    """As on AWS, where LocalStack recorded its test_map_state_catch: the Map's Catch names the iteration's error."""

    def handler(event: Any) -> Any:
        raise FunctionError("Boom", f"no {event}")

    sfn.functions.handlers["f"] = handler
    state = {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "T", "States": {"T": task("f", End=True)}},
        "MaxConcurrency": 1,
        "Catch": [{"ErrorEquals": ["Boom"], "ResultPath": "$.error", "Next": "C"}],
        "End": True,
    }
    execution = sfn.run({"StartAt": "M", "States": {"M": state, "C": {"Type": "Pass", "End": True}}}, {"items": [1, 2]})
    caught = json.loads(execution.output or "")
    assert caught["items"] == [1, 2]
    assert caught["error"]["Error"] == "Boom"
    assert json.loads(caught["error"]["Cause"])["errorMessage"] == "no 1"
    assert len(sfn.functions.calls) == 1


def test_a_wait_for_a_token_in_a_map_has_a_time_out_of_its_own(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda event: None
    waiting = task("f", TimeoutSecondsPath="$.wait", Next="Never")
    waiting["Resource"] += ".waitForTaskToken"
    waiting["Catch"] = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.lane", "Next": "Again"}]
    states = {
        "W": waiting,
        "Never": {"Type": "Fail", "Error": "Woken"},
        "Again": {"Type": "Pass", "OutputPath": "$.lane.Error", "End": True},
    }
    state = {
        "Type": "Map",
        "ItemSelector": {"wait.$": "$$.Map.Item.Value.seconds"},
        "ItemProcessor": {"StartAt": "W", "States": states},
        "MaxConcurrency": 1,
    }
    execution = sfn.run(single(state), [{"seconds": 30}, {"seconds": 50}])
    assert json.loads(execution.output or "") == ["States.Timeout", "States.Timeout"]
    assert seconds(execution) == 80


@pytest.mark.parametrize(
    ("result", "fields", "error"),
    [
        ("x" * 300_000, {}, "States.DataLimitExceeded"),
        (1, {"InputPath": "$.none"}, "States.Runtime"),
        (1, {"ResultSelector": {"x.$": "$.none"}}, "States.Runtime"),
        (1, {"OutputPath": "$.none"}, "States.Runtime"),
    ],
)
def test_states_all_catches_neither_runtime_errors_nor_too_much_data(
    sfn: Harness, result: Any, fields: Any, error: str
) -> None:
    sfn.functions.handlers["f"] = lambda _: result
    handlers = {
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}],
    }
    state = task("f", **handlers, **fields, End=True)
    execution = sfn.run({"StartAt": "S", "States": {"S": state, "C": {"Type": "Pass", "End": True}}})
    assert (execution.status, execution.error) == ("FAILED", error)
    assert kinds(execution).count("TaskScheduled") <= 1


def test_a_result_path_that_does_not_fit_is_caught(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda _: 1
    catch = [{"ErrorEquals": ["States.ResultPathMatchFailure"], "ResultPath": None, "Next": "C"}]
    state = task("f", ResultPath="$.a.b", Catch=catch, End=True)
    assert sfn.output({"StartAt": "S", "States": {"S": state, "C": {"Type": "Pass", "End": True}}}, {"a": 1}) == {
        "a": 1
    }


def test_the_history_is_limited(sfn: Harness) -> None:
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Next": "B"},
            "B": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "D"}], "Default": "A"},
            "D": {"Type": "Succeed"},
        },
    }
    execution = sfn.run(definition)
    assert (execution.status, execution.error) == ("FAILED", "States.Runtime")
    assert execution.cause == "The execution reached the maximum number of history events (25000)."
    assert len(execution.history.events) == 25_000
    assert kinds(execution)[-1] == "ExecutionFailed"


def test_stop(sfn: Harness) -> None:
    sfn.functions.handlers["f"] = lambda _: 1
    machine = sfn.create(single({"Type": "Wait", "Seconds": 1000}))
    with sfn.clock.busy():  # time stands still
        execution = sfn.start(machine)
        answer = sfn.call("StopExecution", executionArn=execution.arn, error="Enough", cause="of it")
    assert execution.wait(5)
    assert answer["stopDate"] == execution.stopped
    described = sfn.call("DescribeExecution", executionArn=execution.arn)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "of it")
    assert kinds(execution)[-1] == "ExecutionAborted"


def test_callbacks(sfn: Harness) -> None:
    tokens: list[str] = []
    sfn.functions.handlers["f"] = lambda event: tokens.append(event["token"])
    state = task("f", HeartbeatSeconds=60, TimeoutSeconds=1000)
    state["Resource"] += ".waitForTaskToken"
    state["Parameters"] = {"FunctionName": function_arn("f"), "Payload": {"token.$": "$$.Task.Token"}}
    machine = sfn.create(single(state))

    def begin() -> Execution:
        execution = sfn.start(machine)
        while len(tokens) < len(sfn.service.executions()):
            sfn.clock.sleep(1)
        return execution

    with sfn.clock.busy():
        execution = begin()
        for _ in range(3):
            sfn.clock.sleep(50)
            sfn.call("SendTaskHeartbeat", taskToken=tokens[-1])
        sfn.call("SendTaskSuccess", taskToken=tokens[-1], output='{"done": true}')
    assert execution.wait(5)
    assert json.loads(execution.output or "") == {"done": True}
    assert "TaskSubmitted" in kinds(execution)
    with sfn.clock.busy():
        execution = begin()
        sfn.call("SendTaskFailure", taskToken=tokens[-1], error="E", cause="c")
    assert (execution.wait(5), execution.error, execution.cause) == (True, "E", "c")
    with sfn.clock.busy():
        execution = begin()
        sfn.clock.sleep(100)
        with pytest.raises(AwsError, match="TaskTimedOut"):
            sfn.call("SendTaskSuccess", taskToken=tokens[-1], output="{}")
    assert (execution.wait(5), execution.error) == (True, "States.HeartbeatTimeout")
    assert seconds(execution) == 60
    with pytest.raises(AwsError, match="InvalidToken"):
        sfn.call("SendTaskSuccess", taskToken="?", output="{}")
    with pytest.raises(AwsError, match="TaskDoesNotExist"):
        sfn.call("SendTaskSuccess", taskToken="AAAA", output="{}")


def test_dynamodb_callback() -> None:
    calls: list[Any] = []

    def call_as(principal: Any, service: str, operation: str, region: str, params: Any) -> Any:
        calls.append((principal.role_name, service, operation, region))
        if params["Key"] == 1:
            return {}
        raise AwsError("ConditionalCheckFailedException", "The conditional request failed")

    with harness(call_as=call_as) as sfn:
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:dynamodb:updateItem.waitForTaskToken",
            "Parameters": {"Key.$": "$.k", "Token.$": "$$.Task.Token"},
            "TimeoutSeconds": 77,
        }
        execution = sfn.run(single(state), {"k": 1})
        assert (execution.error, seconds(execution)) == ("States.Timeout", 77)
        execution = sfn.run(single(state), {"k": 2})
        assert execution.error == "DynamoDb.ConditionalCheckFailedException"
    assert calls[0] == ("states", "dynamodb", "UpdateItem", REGION)


def test_redrive_continues_where_it_failed(sfn: Harness) -> None:
    calls: list[str] = []
    broken = {"b", "m2"}

    def handler(event: Any) -> Any:
        calls.append(event["n"])
        if event["n"] in broken:
            raise FunctionError("Boom")
        return event["n"]

    sfn.functions.handlers["f"] = handler

    def step(name: str, **fields: Any) -> dict[str, Any]:
        state = task("f", ResultPath=f"$.{name}", ResultSelector={"v.$": "$.Payload"}, **fields)
        state["Parameters"] = {"FunctionName": function_arn("f"), "Payload": {"n": name}}
        return state

    inner = task("f", ResultSelector={"v.$": "$.Payload"}, End=True)
    inner["Parameters"] = {"FunctionName": function_arn("f"), "Payload": {"n.$": "$"}}
    definition = {
        "StartAt": "A",
        "States": {
            "A": step("a", Next="B"),
            "B": step("b", Next="M"),
            "M": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "MaxConcurrency": 1,
                "ResultPath": "$.m",
                "ItemProcessor": {"StartAt": "I", "States": {"I": inner}},
                "End": True,
            },
        },
    }
    execution = sfn.run(definition, {"items": ["m1", "m2", "m3"]})
    assert execution.status == "FAILED"
    assert sfn.call("DescribeExecution", executionArn=execution.arn)["redriveStatus"] == "REDRIVABLE"
    broken.discard("b")
    sfn.call("RedriveExecution", executionArn=execution.arn)
    assert execution.wait(5)
    assert calls == ["a", "b", "b", "m1", "m2"]
    broken.clear()
    sfn.call("RedriveExecution", executionArn=execution.arn)
    assert execution.wait(5)
    assert calls == ["a", "b", "b", "m1", "m2", "m2", "m3"]
    assert execution.status == "SUCCEEDED"
    output = json.loads(execution.output or "")
    assert [item["v"] for item in output["m"]] == ["m1", "m2", "m3"]
    described = sfn.call("DescribeExecution", executionArn=execution.arn)
    assert (described["redriveCount"], described["redriveStatus"]) == (2, "NOT_REDRIVABLE")
    with pytest.raises(AwsError, match="ExecutionNotRedrivable"):
        sfn.call("RedriveExecution", executionArn=execution.arn)


def test_hundreds_of_executions_hold_no_thread_while_they_wait(sfn: Harness) -> None:
    import threading

    sfn.functions.handlers["f"] = lambda _: 1
    machine = sfn.create(
        {
            "StartAt": "A",
            "States": {
                "A": task("f", Next="W"),
                "W": {"Type": "Wait", "Seconds": 600, "Next": "D"},
                "D": task("f", End=True),
            },
        }
    )
    before = threading.active_count()
    seen: list[int] = []
    sfn.clock.call_later(300, lambda: seen.append(threading.active_count()))
    with sfn.clock.busy():
        executions = [sfn.start(machine) for _ in range(300)]
    assert all(execution.wait(60) for execution in executions)
    assert {execution.status for execution in executions} == {"SUCCEEDED"}
    assert {seconds(execution) for execution in executions} == {602}
    assert seen[0] <= before + 2
