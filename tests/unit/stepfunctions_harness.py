"""A Step Functions service on a jumping clock, with functions that are Python callables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from sandbox.clock import VirtualClock
from sandbox.core import AwsError, Call, Principal
from sandbox.principals import Registry, admin_of
from sandbox.stepfunctions import StepFunctionsService
from sandbox.stepfunctions.execution import Execution

_MODEL = botocore.session.get_session().get_service_model("stepfunctions")
ACCOUNT, REGION = "111122223333", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
START = datetime(2026, 1, 1, tzinfo=UTC)


def function_arn(name: str, qualifier: str | None = None) -> str:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
    return arn if qualifier is None else f"{arn}:{qualifier}"


@dataclass(frozen=True)
class Answer:
    payload: bytes
    function_error: str | None = None
    version: str = "$LATEST"


class FunctionError(Exception):
    """What a function's own error looks like from outside."""

    def __init__(self, error_type: str, message: str = "") -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass
class FakeFunctions:
    """``handlers`` by function name; each invocation costs ``cost`` virtual seconds."""

    clock: VirtualClock
    handlers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    cost: float = 1.0
    calls: list[tuple[str, Any, Principal | None]] = field(default_factory=list)

    def invoke(self, function_arn: str, payload: bytes, *, invoker: Principal | None) -> Answer:
        event = json.loads(payload)
        self.calls.append((function_arn, event, invoker))
        name = function_arn.split(":")[6]
        if name not in self.handlers:
            raise AwsError("ResourceNotFoundException", f"Function not found: {function_arn}", 404)
        self.clock.sleep(self.cost)
        try:
            return Answer(json.dumps(self.handlers[name](event)).encode())
        except FunctionError as error:
            document = {"errorMessage": str(error), "errorType": error.error_type, "stackTrace": []}
            return Answer(json.dumps(document).encode(), "Unhandled")


@dataclass
class Harness:
    clock: VirtualClock
    functions: FakeFunctions
    service: StepFunctionsService
    account: str = ACCOUNT
    region: str = REGION

    def call(self, operation: str, **params: Any) -> Mapping[str, Any]:
        call = Call("states", operation, self.region, self.account, admin_of(self.account), params)
        answer = self.service.handle(call)
        report = ParamValidator().validate(answer, _MODEL.operation_model(operation).output_shape)
        assert not report.has_errors(), report.generate_report()
        return answer

    def create(self, definition: Mapping[str, Any], name: str = "machine", **params: Any) -> str:
        answer = self.call("CreateStateMachine", name=name, definition=json.dumps(definition), roleArn=ROLE, **params)
        arn: str = answer["stateMachineArn"]
        return arn

    def start(self, machine_arn: str, event: Any = None, **params: Any) -> Execution:
        answer = self.call("StartExecution", stateMachineArn=machine_arn, input=json.dumps(event or {}), **params)
        return self.service.execution(answer["executionArn"])

    def run(self, definition: Mapping[str, Any], event: Any = None) -> Execution:
        execution = self.start(self.create(definition, name=f"machine-{len(self.service._machines)}"), event)
        assert execution.wait(20), "the execution hangs"
        return execution

    def output(self, definition: Mapping[str, Any], event: Any = None) -> Any:
        execution = self.run(definition, event)
        assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
        return json.loads(execution.output or "null")

    def state(self, state: Mapping[str, Any], event: Any = None) -> Any:
        """Run one state alone."""
        return self.output(single(state), event)


def single(state: Mapping[str, Any]) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": {**state, "End": True}}}


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function_arn(name), "Payload.$": "$"},
        **fields,
    }


@contextmanager
def harness(**options: Any) -> Iterator[Harness]:
    clock = VirtualClock(start=START)
    functions = FakeFunctions(clock)
    service = StepFunctionsService(clock, functions, Registry(), **options)
    try:
        yield Harness(clock, functions, service)
    finally:
        service.close()
        clock.close()
