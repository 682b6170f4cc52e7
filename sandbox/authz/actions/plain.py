"""Services whose permissions follow from one parameter, or from none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.needs import Need, anywhere, arn, request_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call


def _function(action: str) -> Mapper:
    """A function may be named, given by ARN or by a partial ARN, with a version or alias in either place."""

    def mapper(call: Call, _sources: Sources) -> list[Need]:
        name, qualifier = call.params["FunctionName"], call.params.get("Qualifier")
        if name.startswith("arn:"):
            resource = name
        else:
            account, _, rest = name.partition(":function:")
            resource = arn(call, "lambda", f"function:{rest or account}")
            if rest:
                resource = resource.replace(call.account, account, 1)
        if qualifier and len(resource.split(":")) == 7:
            resource += f":{qualifier}"
        context = {"lambda:EventSourceToken": None, "lambda:InvokedViaFunctionUrl": None}
        return [Need(f"lambda:{action}", (resource,), context if action == "InvokeFunction" else {})]

    return mapper


def _log_group(action: str) -> Mapper:
    """The resource of a log group's action ends in ":log-stream:" and the stream, empty for the group ("Overview of
    managing access permissions to your CloudWatch Logs resources": the ARN form with ":*" covers all but tagging)."""

    def mapper(call: Call, _sources: Sources) -> list[Need]:
        group, stream = call.params["logGroupName"], call.params.get("logStreamName", "")
        return [Need(f"logs:{action}", (arn(call, "logs", f"log-group:{group}:log-stream:{stream}"),))]

    return mapper


def _put_metric_data(call: Call, _sources: Sources) -> list[Need]:
    # The reference lists datasets as an optional resource; without one, policies name "*".
    dataset = arn(call, "cloudwatch", "dataset/default")
    return [Need("cloudwatch:PutMetricData", (dataset,), {"cloudwatch:namespace": call.params["Namespace"]})]


def _scalable_target(action: str) -> Mapper:
    """The target's ARN ends in an id that only its registration makes: policies name all of an account's."""

    def mapper(call: Call, _sources: Sources) -> list[Need]:
        resource = (arn(call, _SCALING, "scalable-target/*"),)
        tags = request_tags([{"Key": key, "Value": value} for key, value in (call.params.get("Tags") or {}).items()])
        context = {
            "application-autoscaling:scalable-dimension": call.params["ScalableDimension"],
            "application-autoscaling:service-namespace": call.params["ServiceNamespace"],
            **tags,
        }
        # "Tagging support for Application Auto Scaling": who tags at registration needs TagResource beside it. The
        # service authorization reference gives that action no keys but those of tags.
        tagging = [Need(f"{_SCALING}:TagResource", resource, tags)] if tags else []
        return [Need(f"{_SCALING}:{action}", resource, context), *tagging]

    return mapper


def _resource(action: str, parameter: str) -> Mapper:
    return lambda call, _sources: [Need(action, (call.params[parameter],))]


def _start_execution(call: Call, _sources: Sources) -> list[Need]:
    """A version or an alias is part of the ARN that is called, and a condition key beside the plain one that is asked
    about ("Versions and aliases in Step Functions: permissions")."""
    parts = call.params["stateMachineArn"].split(":")
    qualifier = parts[7] if len(parts) > 7 else None
    return [Need("states:StartExecution", (":".join(parts[:7]),), {"states:StateMachineQualifier": qualifier})]


_SCALING = "application-autoscaling"
_EC2 = (
    "DescribeAccountAttributes",
    "DescribeAvailabilityZones",
    "DescribeInternetGateways",
    "DescribeNetworkInterfaces",
    "DescribeRegions",
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeVpcs",
)


def _ec2(action: str) -> Mapper:
    return lambda call, _sources: [Need(f"ec2:{action}", context={"ec2:Region": call.region})]


SERVICES: Mapping[str, Mapping[str, Mapper]] = {
    _SCALING: {
        operation: _scalable_target(operation)
        for operation in (
            "DeleteScalingPolicy",
            "DeregisterScalableTarget",
            "PutScalingPolicy",
            "RegisterScalableTarget",
        )
    }
    | {
        operation: anywhere(f"{_SCALING}:{operation}")
        for operation in ("DescribeScalableTargets", "DescribeScalingPolicies")
    },
    "cloudwatch": {"PutMetricData": _put_metric_data},
    "ec2": {operation: _ec2(operation) for operation in _EC2},
    "lambda": {
        "GetFunction": _function("GetFunction"),
        "GetFunctionConfiguration": _function("GetFunctionConfiguration"),
        "Invoke": _function("InvokeFunction"),
    },
    "logs": {
        operation: _log_group(operation)
        for operation in ("CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "GetLogEvents", "PutLogEvents")
    }
    | {"DescribeLogGroups": anywhere("logs:DescribeLogGroups")},
    "states": {
        "DescribeExecution": _resource("states:DescribeExecution", "executionArn"),
        "GetExecutionHistory": _resource("states:GetExecutionHistory", "executionArn"),
        "StartExecution": _start_execution,
        "StopExecution": _resource("states:StopExecution", "executionArn"),
        # The reference lists no resource types for these: a token belongs to no resource that a policy could name.
        **{
            operation: anywhere(f"states:{operation}")
            for operation in ("SendTaskFailure", "SendTaskHeartbeat", "SendTaskSuccess")
        },
    },
    "xray": {
        operation: anywhere(f"xray:{operation}")
        for operation in ("GetSamplingRules", "GetSamplingTargets", "PutTelemetryRecords", "PutTraceSegments")
    },
}
