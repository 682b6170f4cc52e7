"""Everything about moto in one place: how it starts, which services are its, and where it is mended, each with why."""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import threading
from typing import TYPE_CHECKING, Any

# Read by moto when it is imported. Managed policies such as AWSLambdaVPCAccessExecutionRole can be attached; the list
# of AMIs, which takes seconds to load in each region, is of no use here.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

import botocore.session
import moto.core.utils
from moto.awslambda.models import LambdaFunction
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.common_models import BaseModel
from moto.core.responses import ActionResult, BaseResponse
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.iam.access_control import PermissionResult
from moto.iam.models import IAMBackend
from moto.kms.models import Grant, Key, KmsBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeBucket
from moto.secretsmanager.models import SecretsManagerBackend
from moto.sqs.models import SQSBackend

from sandbox.core import AwsError, NotEmulated
from sandbox.protocol import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import WSGIEnvironment

    from sandbox.core import Call
    from sandbox.recorder import Metric

# moto's backends call each other and guard nothing: a conditional put of DynamoDB is only atomic under a lock.
LOCK = threading.RLock()

_REGION = "sandbox.region"


class Moto:
    """moto's WSGI application for the services that are its."""

    services = frozenset(
        {
            "application-autoscaling",
            "cloudwatch",
            "dynamodb",
            "ec2",
            "events",
            "iam",
            "kms",
            "lambda",
            "logs",
            "s3",
            "secretsmanager",
            "sns",
            "sqs",
            "tag",
        }
    )

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)

    def dispatch(self, call: Call, environ: WSGIEnvironment) -> Response:
        """Let moto answer, in the caller's account and region; what it does not implement is said clearly."""
        environ = {**environ, "HTTP_X_MOTO_ACCOUNT_ID": _account(call), _REGION: call.region}
        environ["wsgi.input"].seek(0)
        with LOCK:
            for refuse in _REFUSALS.get((call.service, call.operation), []):
                refuse(call)
            try:
                response = _run(self._application, environ)
            except NotImplementedError as error:
                raise NotEmulated(f"{call.service}:{call.operation}", str(error)) from error
        if _means_not_implemented(call, response):
            raise NotEmulated(f"{call.service}:{call.operation}", "moto, which answers for this service, lacks it.")
        return response

    def reset(self) -> None:
        """Forget everything in all accounts."""
        with LOCK:
            BackendDict.reset()


def backend(service: str, account: str, region: str = "aws") -> Any:
    """Return moto's own object for a service in an account; ``region`` is a partition for services without regions."""
    name: Any = service
    with LOCK:
        return get_backend(name)[account][region]


def role_id(account: str, role_name: str) -> str | None:
    """Return the unique id of a role, None where it does not exist."""
    with LOCK:
        role = next((role for role in backend("iam", account).roles.values() if role.name == role_name), None)
        return None if role is None else str(role.id)


def put_log_events(
    account: str, region: str, group: str, stream: str, events: Sequence[tuple[int, str]], *, create_group: bool = True
) -> None:
    """Write lines (milliseconds, text) into a log stream, which is made if it is missing.

    Around PutLogEvents, because moto refuses events outside AWS's window of two weeks by the real clock, and virtual
    time may be far from it.
    """
    with LOCK:
        logs = backend("logs", account, region)
        if group not in logs.groups:
            if not create_group:
                return
            logs.create_log_group(group, {})
        log_group = logs.groups[group]
        if stream not in log_group.streams:
            log_group.create_log_stream(stream)
        log_group.streams[stream].put_log_events(
            [{"timestamp": timestamp, "message": line} for timestamp, line in events]
        )


def log_events(account: str, region: str, group: str | None = None) -> list[dict[str, Any]]:
    """Return what is in a log group, or in all of them, by time: group, stream, timestamp (milliseconds), message."""
    with LOCK:
        groups = backend("logs", account, region).groups
        found = [
            {"group": name, "stream": stream_name, "timestamp": event.timestamp, "message": event.message}
            for name, log_group in groups.items()
            if group in (None, name)
            for stream_name, stream in log_group.streams.items()
            for event in stream.events
        ]
    return sorted(found, key=lambda event: event["timestamp"])


def put_metrics(metrics: Sequence[Metric]) -> None:
    """Write metric values to CloudWatch, as it extracts them from logs in the embedded metric format."""
    with LOCK:
        for metric in metrics:
            datum = {
                "MetricName": metric.name,
                "Value": metric.value,
                "Unit": metric.unit,
                "Timestamp": metric.time.replace(tzinfo=None),
                "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
            }
            backend("cloudwatch", metric.account, metric.region).put_metric_data(metric.namespace, [datum])


def _account(call: Call) -> str:
    """Return the account whose resources a call is about: an ARN may name a key or a secret of another account.

    moto looks only in the caller's; whether the caller may use it, the authorizer has decided.
    """
    named = str(call.params.get({"kms": "KeyId", "secretsmanager": "SecretId"}.get(call.service, ""), ""))
    parts = named.split(":")
    return parts[4] if len(parts) > 5 and parts[3] == call.region else call.account


def _run(application: Callable[..., Iterable[bytes]], environ: WSGIEnvironment) -> Response:
    head: list[Any] = []
    written = io.BytesIO()

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], object]:
        head[:] = [status, headers]
        return written.write

    chunks = application(environ, start_response)
    try:
        for chunk in chunks:
            written.write(chunk)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    return Response(int(head[0].split(" ", 1)[0]), list(head[1]), written.getvalue())


def _means_not_implemented(call: Call, response: Response) -> bool:
    if response.status == 501:
        return True
    if response.status != 404 or call.service == "s3":
        return False
    # An address that moto has no route for: Flask's own page; an operation that it cannot name: an empty 404.
    return not response.body or b"<!doctype html>" in response.body[:100].lower()


# ---- what AWS refuses and moto does not

_REFUSALS: dict[tuple[str, str], list[Callable[[Call], None]]] = {}


def _refuses(service: str, *operations: str) -> Callable[[Callable[[Call], None]], None]:
    """Register a function that raises the AwsError of a refusal, to be asked before moto."""

    def register(refuse: Callable[[Call], None]) -> None:
        for operation in operations:
            _REFUSALS.setdefault((service, operation), []).append(refuse)

    return register


@_refuses("secretsmanager", "PutSecretValue", "PutResourcePolicy", "RotateSecret", "TagResource", "UpdateSecret")
def _(call: Call) -> None:
    # Secrets Manager API reference, InvalidRequestException of these actions: "The secret is scheduled for deletion."
    if _is_scheduled_for_deletion(call, call.params["SecretId"]):
        raise AwsError(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )


@_refuses("secretsmanager", "CreateSecret")
def _(call: Call) -> None:
    # The same page, CreateSecret; moto says ResourceExistsException, for which the remedy would be another.
    if _is_scheduled_for_deletion(call, call.params["Name"]):
        raise AwsError(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )


def _is_scheduled_for_deletion(call: Call, secret_id: str) -> bool:
    secret = backend("secretsmanager", _account(call), call.region).secrets.get(secret_id)
    return secret is not None and bool(secret.is_deleted())


@_refuses("sns", "Publish")
def _(call: Call) -> None:
    # SNS API reference, Publish, Subject: ASCII, at most 100 characters, no line breaks or control characters.
    subject = call.params.get("Subject", "")
    if len(subject) > 100 or not subject.isascii() or (subject and not subject.isprintable()):
        raise AwsError("InvalidParameter", "Invalid parameter: Subject")


@_refuses("lambda", "CreateFunction", "UpdateFunctionCode")
def _(call: Call) -> None:
    # moto makes a function without code when there is no such object, and reads neither its version nor its region.
    code = call.params.get("Code", call.params)
    if "S3Bucket" not in code:
        return
    s3 = backend("s3", call.account)
    try:
        bucket = s3.get_bucket(code["S3Bucket"])
    except MissingBucket:
        raise _no_code("NoSuchBucket", "The specified bucket does not exist") from None
    if bucket.region_name != call.region:
        where = f"The bucket is in this region: {bucket.region_name}. Please use this region to retry the request"
        raise _no_code("PermanentRedirect", where)
    found = s3.get_object(code["S3Bucket"], code["S3Key"])
    if found is None:
        raise _no_code("NoSuchKey", "The specified key does not exist.")
    if code.get("S3ObjectVersion", found.version_id) != found.version_id:
        raise NotEmulated(f"lambda:{call.operation} with an S3ObjectVersion that is not the current one")


def _no_code(code: str, message: str) -> AwsError:
    text = f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
    return AwsError("InvalidParameterValueException", text)


@_refuses("lambda", "CreateFunction", "UpdateFunctionConfiguration")
def _(call: Call) -> None:
    # Lambda developer guide, "Lambda quotas" (environment variables: 4 KB in all) and "Reserved environment variables".
    variables = call.params.get("Environment", {}).get("Variables", {})
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    reserved = sorted(_RESERVED_VARIABLES & set(variables))
    because = "Lambda was unable to configure your environment variables because the environment variables you have "
    if len(measured.encode()) > 4096:
        raise AwsError(
            "InvalidParameterValueException", f"{because}provided exceeded the 4KB limit. String measured: {measured}"
        )
    if reserved:
        raise AwsError(
            "InvalidParameterValueException",
            f"{because}provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}",
        )


@_refuses("lambda", "CreateFunction", "UpdateFunctionConfiguration")
def _(call: Call) -> None:
    for member, most in (("Timeout", 900), ("MemorySize", 10_240)):  # "Lambda quotas"
        value = call.params.get(member, most)
        if value > most:
            name = member[0].lower() + member[1:]
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
                f"Member must have value less than or equal to {most}",
            )


_RESERVED_VARIABLES = {
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
}


@_refuses(
    "kms",
    *("CreateGrant", "ListGrants", "RetireGrant", "RevokeGrant"),
    *("Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncrypt"),
)
def _(call: Call) -> None:
    # KMS API reference, errors of these actions; "Key states of AWS KMS keys": which of them a state refuses.
    key_id = call.params.get("KeyId")
    if key_id is None:
        return
    kms = backend("kms", _account(call), call.region)
    key = kms.keys.get(kms.any_id_to_key_id(key_id))
    if key is None:
        raise AwsError("NotFoundException", f"Key '{key_id}' does not exist")
    if call.operation in ("ListGrants", "RetireGrant", "RevokeGrant"):
        return
    if key.key_state == "Disabled":
        raise AwsError("DisabledException", f"{key.arn} is disabled.")
    if key.key_state == "PendingDeletion":
        raise AwsError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


@_refuses("kms", "CreateGrant")
def _(call: Call) -> None:
    for member in ("GranteePrincipal", "RetiringPrincipal"):
        if missing := _missing_role(str(call.params.get(member, ""))):
            raise AwsError("InvalidArnException", f"ARN does not refer to a valid principal: {missing}")


@_refuses("kms", "CreateKey", "PutKeyPolicy")
def _(call: Call) -> None:
    # KMS developer guide, "Key policies": "The principals … must exist and be visible to AWS KMS".
    for principal in _aws_principals(call.params.get("Policy")):
        if _missing_role(principal):
            raise AwsError(
                "MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals."
            )


@_refuses("iam", "CreateRole", "UpdateAssumeRolePolicy")
def _(call: Call) -> None:
    # IAM user guide, "AWS JSON policy elements: Principal": a role that a trust policy names must exist.
    document = call.params.get("AssumeRolePolicyDocument", call.params.get("PolicyDocument"))
    for principal in _aws_principals(document):
        if _missing_role(principal):
            raise AwsError("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{principal}"')


def _aws_principals(document: str | None) -> list[str]:
    """Return whom a policy names as AWS principals; what is no policy is for moto to refuse."""
    try:
        statements = json.loads(document or "{}").get("Statement", [])
    except (ValueError, AttributeError):
        return []
    named: list[str] = []
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal")
        of_aws = principal.get("AWS", []) if isinstance(principal, dict) else []
        named += [of_aws] if isinstance(of_aws, str) else of_aws
    return named


def _missing_role(arn: str) -> str | None:
    """Return the ARN of a role when there is no such role; None for everything else."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        return None
    roles = backend("iam", parts[4], parts[1]).roles.values()
    return None if any(role.arn == arn for role in roles) else arn


# ---- patches

# A session has a loader of its own, which reads its service models (RDS: a megabyte of JSON) itself; moto makes one for
# each service. All of them read the same files: they share one.
for _module in (botocore.session, moto.core.utils):
    vars(_module)["create_loader"] = functools.cache(vars(_module)["create_loader"])


def _replace(owner: type, name: str) -> Callable[[Callable[..., Any]], None]:
    """Put a function in the place of a method of moto's; it gets the method itself as its first argument."""

    def decorate(replacement: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return replacement(original, *args, **kwargs)

        setattr(owner, name, method)

    return decorate


@_replace(BaseModel, "__new__")
def _(_: Any, cls: type, *__: Any, **___: Any) -> Any:
    # For its dashboard moto keeps every object that there ever was, each item read from a table among them.
    return object.__new__(cls)


@_replace(BaseResponse, "get_region_from_url")
def _(original: Callable[..., str], self: Any, request: Any, full_url: str) -> str:
    # moto prefers what it finds in the User-Agent to the credential scope, and defaults to us-east-1. What does not
    # come through the gateway (moto used by itself in the same process) stays moto's.
    return getattr(request, "environ", {}).get(_REGION) or original(self, request, full_url)


@_replace(IAMBackend, "_init_aws_policies")
def _(original: Callable[..., list[Any]], self: Any) -> list[Any]:
    # moto parses all of AWS's managed policies for each account anew. An account's own is only what hangs on them.
    if not _MANAGED_POLICIES:
        _MANAGED_POLICIES.extend(original(self))
    return [copy.copy(policy) for policy in _MANAGED_POLICIES]


_MANAGED_POLICIES: list[Any] = []


@_replace(FakeBucket, "get_permission")
def _(_: Any, self: Any, action: str, resource: str) -> Any:  # noqa: ARG001
    # moto reads a bucket's policy without principals and conditions: "deny what does not come over TLS" denies
    # everything. The sandbox's authorizer has read it properly before the call gets here.
    return PermissionResult.NEUTRAL


# What CreateFunction and UpdateFunctionConfiguration take and moto does not give back, so that every plan would show a
# change: terraform-provider-aws reads all of them.
_FORGOTTEN = ("DeadLetterConfig", "FileSystemConfigs", "LoggingConfig")


@_replace(LambdaFunction, "__init__")
def _(
    original: Callable[..., None], self: Any, account_id: str, spec: dict[str, Any], *args: Any, **kwargs: Any
) -> None:
    self.sandbox_settings = {name: spec[name] for name in _FORGOTTEN if spec.get(name)}
    original(self, account_id, spec, *args, **kwargs)


@_replace(LambdaFunction, "get_configuration")
def _(original: Callable[..., dict[str, Any]], self: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    configuration: dict[str, Any] = original(self, *args, **kwargs) | self.sandbox_settings
    logging = {"LogFormat": "Text", "LogGroup": self.logs_group_name}
    configuration["LoggingConfig"] = logging | configuration.get("LoggingConfig", {})
    vpc = configuration["VpcConfig"]
    if vpc and vpc["SubnetIds"]:  # moto says "vpc-123abc"
        subnet = backend("ec2", self.account_id, self.region).get_subnet(vpc["SubnetIds"][0])
        vpc["VpcId"] = subnet.vpc_id
    return configuration


@_replace(LambdaFunction, "update_configuration")
def _(original: Callable[..., Any], self: Any, updates: dict[str, Any]) -> Any:
    # moto takes nine of the settings and drops the others.
    self.tracing_config = updates.get("TracingConfig") or self.tracing_config
    self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
    self.ephemeral_storage = updates.get("EphemeralStorage", {}).get("Size", self.ephemeral_storage)
    # A new dictionary: published versions are shallow copies and keep the old one.
    self.sandbox_settings = self.sandbox_settings | {name: updates[name] for name in _FORGOTTEN if name in updates}
    return original(self, updates)


@_replace(LambdaFunction, "update_function_code")
def _(original: Callable[..., Any], self: Any, spec: dict[str, Any]) -> Any:
    # UpdateFunctionCode is also how the architecture changes; moto leaves it as it was.
    self.architectures = spec.get("Architectures") or self.architectures
    self.code = dict(self.code)  # shared with the published versions
    return original(self, spec)


@_replace(DynamoHandler, "list_tags_of_resource")
def _(_: Callable[..., Any], self: Any) -> Any:
    # moto pages at 10 tags "to make testing easier"; terraform-provider-aws reads one page, so that a table with more
    # tags would show a change in every plan.
    return ActionResult({"Tags": self.dynamodb_backend.list_tags_of_resource(self.body["ResourceArn"])})


@_replace(BaseJSONSerializer, "_serialize_type_structure")
def _(original: Callable[..., None], self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    # moto looks for each of an AttributeValue's ten members, under several names: three quarters of a read's time.
    # What it looks in is DynamoDB's JSON already, but for binary values.
    if shape.name == "AttributeValue" and key:
        members = value.to_regular_json() if isinstance(value, DynamoType) else value
        if not _has_bytes(members):
            serialized[key] = members
            return
    original(self, serialized, value, shape, key)


def _has_bytes(members: dict[str, Any]) -> bool:
    [(kind, value)] = members.items()
    if kind == "M":
        return any(map(_has_bytes, value.values()))
    return any(map(_has_bytes, value)) if kind == "L" else kind in ("B", "BS")


@_replace(DynamoDBBackend, "transact_write_items")
def _(original: Callable[..., None], self: Any, transact_items: list[dict[str, Any]]) -> None:
    # moto copies all of a table's items before a transaction, for the case that it fails: ever slower as a table grows.
    # Enough are those that it is about to change.
    before = []
    for item in transact_items:
        for action in item.values():
            table = self.tables.get(action.get("TableName"))
            given = action.get("Key", action.get("Item", {}))
            if table is not None and table.hash_key_attr in given:
                hash_key = DynamoType(given[table.hash_key_attr])
                range_key = DynamoType(given[table.range_key_attr]) if table.range_key_attr in given else None
                before.append((table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))))
    try:
        original(self, transact_items)
    except Exception:
        for table, hash_key, range_key, found in before:
            table.delete_item(hash_key, range_key)
            if found is not None and range_key is not None:
                table.items[hash_key][range_key] = found
            elif found is not None:
                table.items[hash_key] = found
        raise


# With that, moto's copy has nothing to do. (Backups of tables would be copies, too; the sandbox makes none.)
Table.__deepcopy__ = lambda self, _: self  # type: ignore[attr-defined]


@_replace(Key, "__init__")
def _(original: Callable[..., None], self: Any, policy: str | None, key_usage: str | None, *rest: Any) -> None:
    # KMS API reference, CreateKey: KeyUsage is ENCRYPT_DECRYPT by default; moto shows none.
    original(self, policy, key_usage or "ENCRYPT_DECRYPT", *rest)


@_replace(KmsBackend, "_generate_default_keys")
def _(original: Callable[..., str | None], self: Any, alias_name: str) -> str | None:
    # An AWS managed key comes with its alias's first use. moto makes it a customer's, open to the whole account; AWS's
    # policy opens it through its service alone ("AWS managed keys": the policy of aws/rds and of the others).
    key_id = original(self, alias_name)
    if key_id is not None:
        key, service = self.keys[key_id], alias_name.removeprefix("alias/aws/")
        key.key_manager = "AWS"
        key.description = f"Default key that protects my resources of {service} when no other key is defined"
        key.policy = json.dumps(_managed_key_policy(self.account_id, self.region_name, service))
    return key_id


def _managed_key_policy(account: str, region: str, service: str) -> dict[str, Any]:
    conditions = {"kms:CallerAccount": account, "kms:ViaService": f"{service}.{region}.amazonaws.com"}
    use = ["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "ListGrants", "DescribeKey"]
    look = ["Describe*", "Get*", "List*", "RevokeGrant"]
    return {
        "Version": "2012-10-17",
        "Id": f"auto-{service}-1",
        "Statement": [
            {
                "Sid": "ThroughTheService",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"kms:{action}" for action in use],
                "Resource": "*",
                "Condition": {"StringEquals": conditions},
            },
            {
                "Sid": "MetadataForTheAccount",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": [f"kms:{action}" for action in look],
                "Resource": "*",
            },
        ],
    }


def _takes_key_arns(name: str) -> None:
    # KMS takes a key's ARN in these calls as well as its id; moto looks for the id alone.
    @_replace(KmsBackend, name)
    def _(original: Callable[..., Any], self: Any, key_id: str, *args: Any, **kwargs: Any) -> Any:
        return original(self, self.get_key_id(key_id), *args, **kwargs)


for _name in ("cancel_key_deletion", "disable_key", "enable_key", "schedule_key_deletion"):
    _takes_key_arns(_name)


@_replace(Key, "add_grant")
def _(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
    # KMS API reference, GrantListEntry: the key by its ARN, and the account that made the grant (here always its own).
    grant = original(self, *args, **kwargs)
    grant.sandbox_members = {"KeyId": self.arn, "IssuingAccount": f"arn:aws:iam::{self.account_id}:root"}
    return grant


@_replace(Grant, "to_json")
def _(original: Callable[..., dict[str, Any]], self: Any) -> dict[str, Any]:
    # The same page: a member without a value is left out, where moto sends null.
    members = original(self) | self.sandbox_members
    return {member: value for member, value in members.items() if value is not None}


@_replace(SecretsManagerBackend, "get_secret_value")
def _(
    original: Callable[..., Any], self: Any, secret_id: str, version_id: str | None, version_stage: str | None
) -> Any:
    # Secrets Manager API reference, GetSecretValue: without version and stage it is AWSCURRENT's. moto answers with the
    # version that was current before an UpdateSecretVersionStage.
    return original(self, secret_id, version_id, version_stage or (None if version_id else "AWSCURRENT"))


@_replace(SQSBackend, "receive_message")
def _(original: Callable[..., Any], self: Any, queue_name: str, count: int, _: int, *args: Any, **kwargs: Any) -> Any:
    # moto's long poll sleeps in real time, and here it would keep everybody else from moto meanwhile. An empty answer
    # is what a consumer must be ready for anyway.
    return original(self, queue_name, count, 0, *args, **kwargs)
