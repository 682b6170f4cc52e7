"""What a Task state can call: the optimized Lambda integration, a plain function ARN, and a DynamoDB callback."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sandbox.core import AwsError, NotEmulated
from sandbox.stepfunctions import definition, paths
from sandbox.stepfunctions.errors import TIMEOUT, StatesError, runtime_error
from sandbox.stepfunctions.history import with_data

Event = tuple[str, tuple[str, Mapping[str, Any]] | None]


class InvocationResult(Protocol):
    """What an invocation gave; sandbox.functions.Invocation is one."""

    @property
    def payload(self) -> bytes:
        """The answer, or the error's JSON."""
        ...

    @property
    def function_error(self) -> str | None:
        """None, or ``Unhandled``."""
        ...

    @property
    def version(self) -> str:
        """The version that ran."""
        ...


class Backend(Protocol):
    """How tasks act on the rest of the sandbox, as the state machine's role; refusals are AwsErrors."""

    def invoke(self, function_arn: str, payload: bytes) -> InvocationResult:
        """Invoke a function and wait for its end."""
        ...

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make an API call."""
        ...


class Integration(Protocol):
    """One kind of task: how its work is done, and which events tell of it."""

    @property
    def callback(self) -> bool:
        """Whether the end comes with a returned token."""
        ...

    def prepare(self, parameters: Any) -> Callable[[], Any]:
        """Check the parameters; the callable does the work and returns the result or raises StatesError."""
        ...

    def scheduled(self, parameters: Any, timeout: float | None, heartbeat: float | None) -> Event:
        """Tell of the beginning."""
        ...

    def started(self) -> Event:
        """Tell that the request was made."""
        ...

    def submitted(self, answer: Any) -> Event:
        """Tell that the service took the request, and the token is waited for."""
        ...

    def succeeded(self, result: Any) -> Event:
        """Tell of the result."""
        ...

    def failed(self, error: StatesError) -> Event:
        """Tell of the failure."""
        ...

    def timed_out(self, error: StatesError) -> Event:
        """Tell that the time is over."""
        ...


def integration(resource: str, region: str, backend: Backend) -> Integration:
    """Return the integration of a task's Resource."""
    if definition.FUNCTION_ARN.fullmatch(resource):
        return PlainFunction(resource, backend)
    callback = resource.endswith(".waitForTaskToken")
    if definition.LAMBDA_INVOKE.fullmatch(resource):
        return LambdaInvoke("lambda", "invoke", callback, region, backend)
    if definition.UPDATE_ITEM_CALLBACK.fullmatch(resource):
        return UpdateItem("aws-sdk:dynamodb", "updateItem", callback, region, backend)
    raise NotEmulated(f"the task resource {resource}")


def _error_details(error: StatesError) -> dict[str, Any]:
    return {"error": error.error, "cause": error.cause}


_LAMBDA_CODES: Final = {"AccessDeniedException": "AWSLambdaException"}


def _lambda_error(error: AwsError) -> StatesError:
    """Name a refused Invoke as Step Functions does: ``Lambda.<exception>``.

    A denial has no exception class in its SDK and comes as Lambda.AWSLambdaException, which many a Retry names among
    the transient ones (seen on AWS: awslabs/aws-deployment-framework issue 460).
    """
    cause = (
        f"{error.message} (Service: AWSLambda; Status Code: {error.status}; Error Code: {error.code}; "
        f"Request ID: {uuid.uuid4()}; Proxy: null)"
    )
    return StatesError(f"Lambda.{_LAMBDA_CODES.get(error.code, error.code)}", cause)


def _invoke(backend: Backend, function: str, payload: bytes) -> InvocationResult:
    """Invoke, and turn both kinds of failure into the state's error.

    A function's own error is named by the exception's class, and its cause is the whole error payload; so is a time-out
    (Sandbox.Timedout) and a process that ends (Runtime.ExitError).
    """
    try:
        answer = backend.invoke(function, payload)
    except AwsError as error:
        raise _lambda_error(error) from error
    if answer.function_error is not None:
        text = answer.payload.decode()
        document = _json(text)
        kind = document.get("errorType") if isinstance(document, dict) else None
        raise StatesError(kind or "Lambda.Unknown", text)
    return answer


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True)
class _ServiceTask:
    """The Task… events of service integrations."""

    service: str
    action: str
    callback: bool
    region: str
    backend: Backend

    @property
    def _where(self) -> dict[str, Any]:
        suffix = ".waitForTaskToken" if self.callback else ""
        return {"resourceType": self.service, "resource": self.action + suffix}

    def scheduled(self, parameters: Any, timeout: float | None, heartbeat: float | None) -> Event:
        """See Integration."""
        details = {"parameters": paths.compact(parameters), "region": self.region, **self._where}
        return "TaskScheduled", (
            "taskScheduled",
            {**details, "timeoutInSeconds": timeout, "heartbeatInSeconds": heartbeat},
        )

    def started(self) -> Event:
        """See Integration."""
        return "TaskStarted", ("taskStarted", self._where)

    def submitted(self, answer: Any) -> Event:
        """See Integration."""
        return "TaskSubmitted", ("taskSubmitted", {**with_data("output", paths.compact(answer)), **self._where})

    def succeeded(self, result: Any) -> Event:
        """See Integration."""
        return "TaskSucceeded", ("taskSucceeded", {**with_data("output", paths.compact(result)), **self._where})

    def failed(self, error: StatesError) -> Event:
        """See Integration."""
        return "TaskFailed", ("taskFailed", {**_error_details(error), **self._where})

    def timed_out(self, error: StatesError) -> Event:
        """See Integration."""
        return "TaskTimedOut", ("taskTimedOut", {**_error_details(error), **self._where})


class LambdaInvoke(_ServiceTask):
    """``states:::lambda:invoke``, with or without ``.waitForTaskToken``."""

    def prepare(self, parameters: Any) -> Callable[[], Any]:
        """See Integration."""
        function = parameters.get("FunctionName")
        if not isinstance(function, str):
            raise runtime_error("The field 'FunctionName' must be a string")
        if parameters.get("InvocationType", "RequestResponse") != "RequestResponse":
            raise NotEmulated("a lambda:invoke task with an InvocationType of its own", "Use RequestResponse.")
        if "Qualifier" in parameters:
            function = f"{function}:{parameters['Qualifier']}"
        payload = paths.compact(parameters.get("Payload", {})).encode()

        def work() -> Any:
            answer = _invoke(self.backend, function, payload)
            request_id = str(uuid.uuid4())
            return {
                "ExecutedVersion": answer.version,
                "Payload": _json(answer.payload.decode()),
                "SdkHttpMetadata": {
                    "AllHttpHeaders": {
                        "x-amzn-RequestId": [request_id],
                        "Content-Type": ["application/json"],
                        "X-Amz-Executed-Version": [answer.version],
                    },
                    "HttpHeaders": {
                        "Content-Type": "application/json",
                        "X-Amz-Executed-Version": answer.version,
                        "x-amzn-RequestId": request_id,
                    },
                    "HttpStatusCode": 200,
                },
                "SdkResponseMetadata": {"RequestId": request_id},
                "StatusCode": 200,
            }

        return work


class UpdateItem(_ServiceTask):
    """``states:::aws-sdk:dynamodb:updateItem.waitForTaskToken``: leave a token in an item and wait for it."""

    def prepare(self, parameters: Any) -> Callable[[], Any]:
        """See Integration."""

        def work() -> Any:
            try:
                return dict(self.backend.call("dynamodb", "UpdateItem", parameters))
            except AwsError as error:
                name = error.code if error.code.endswith("Exception") else f"{error.code}Exception"
                raise StatesError(
                    f"DynamoDb.{name}",
                    f"{error.message} (Service: DynamoDb, Status Code: {error.status}, Request ID: {uuid.uuid4()})",
                ) from error

        return work


@dataclass(frozen=True)
class PlainFunction:
    """A function's ARN as the Resource: the state's input is the payload, the answer is the result."""

    resource: str
    backend: Backend
    callback: bool = False

    def prepare(self, parameters: Any) -> Callable[[], Any]:
        """See Integration."""
        payload = paths.compact(parameters).encode()
        return lambda: _json(_invoke(self.backend, self.resource, payload).payload.decode())

    def scheduled(self, parameters: Any, timeout: float | None, heartbeat: float | None) -> Event:
        """See Integration; a plain function has no heartbeat event field."""
        del heartbeat
        details = {"resource": self.resource, **with_data("input", paths.compact(parameters))}
        return "LambdaFunctionScheduled", ("lambdaFunctionScheduled", {**details, "timeoutInSeconds": timeout})

    def started(self) -> Event:
        """See Integration."""
        return "LambdaFunctionStarted", None

    def submitted(self, answer: Any) -> Event:
        """See Integration."""
        raise NotImplementedError(f"a plain function has no callback: {answer}")

    def succeeded(self, result: Any) -> Event:
        """See Integration."""
        return "LambdaFunctionSucceeded", ("lambdaFunctionSucceeded", with_data("output", paths.compact(result)))

    def failed(self, error: StatesError) -> Event:
        """See Integration."""
        return "LambdaFunctionFailed", ("lambdaFunctionFailed", _error_details(error))

    def timed_out(self, error: StatesError) -> Event:
        """See Integration."""
        return "LambdaFunctionTimedOut", (
            "lambdaFunctionTimedOut",
            {"error": error.error or TIMEOUT, "cause": error.cause},
        )
