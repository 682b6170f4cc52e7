"""The one Lambda operation that moto cannot do: Invoke."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sandbox.core import AwsError, NotEmulated

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.functions.runner import FunctionRunner

_NAME: Final = re.compile(
    r"(?:(?P<arn>arn:[a-z-]+:lambda:(?P<region>[a-z0-9-]+):)?(?P<account>\d{12}):function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[A-Za-z0-9_$-]+))?"
)


def invoke(runner: FunctionRunner, call: Call) -> Mapping[str, Any]:
    """Answer ``lambda:Invoke``."""
    if call.operation != "Invoke":
        raise NotEmulated(f"lambda:{call.operation}")
    params = call.params
    arn = qualified_arn(call)
    payload = params.get("Payload") or b"{}"
    payload = payload if isinstance(payload, bytes) else payload.read()
    try:
        json.loads(payload)
    except ValueError as error:
        raise AwsError("InvalidRequestContentException", f"Could not parse request body into json: {error}") from error
    match params.get("InvocationType", "RequestResponse"):
        case "DryRun":
            return {"StatusCode": 204}
        case "Event":
            runner.invoke_later(arn, payload)
            return {"StatusCode": 202, "Payload": b""}
    done = runner.invoke(arn, payload, invoker=call.principal)
    answer = {"StatusCode": 200, "Payload": done.payload, "ExecutedVersion": done.version}
    if done.function_error is not None:
        answer["FunctionError"] = done.function_error
    if params.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(done.log_tail.encode()).decode()
    return answer


def qualified_arn(call: Call) -> str:
    """Return the ARN that an Invoke means; FunctionName may be a name, a partial ARN or an ARN."""
    match = _NAME.fullmatch(call.params["FunctionName"])
    if match is None:
        raise AwsError("ValidationException", f"{call.params['FunctionName']} is not the name of a function")
    qualifier = match["qualifier"] or call.params.get("Qualifier")
    region, account = match["region"] or call.region, match["account"] or call.account
    arn = f"arn:{call.principal.partition}:lambda:{region}:{account}:function:{match['name']}"
    return arn if qualifier is None else f"{arn}:{qualifier}"
