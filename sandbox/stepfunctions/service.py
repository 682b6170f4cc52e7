"""The ``states`` API: state machines, versions, aliases, tags, executions."""

from __future__ import annotations

import json
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandbox.core import AwsError, Call, NotEmulated, Principal
from sandbox.stepfunctions import definition, tasks
from sandbox.stepfunctions.execution import Execution, Machine
from sandbox.stepfunctions.history import without_data
from sandbox.stepfunctions.interpreter import MAX_PAYLOAD
from sandbox.stepfunctions.logs import ExecutionLog
from sandbox.stepfunctions.tokens import Tokens

if TYPE_CHECKING:
    from sandbox.clock import VirtualClock
    from sandbox.stepfunctions.logs import LogSink

_NAME: Final = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_MAX_VERSIONS: Final = 1_000
_MAX_TAGS: Final = 50

# Developer Guide, "Logging to CloudWatch Logs": what the role needs before logging can be switched on.
_LOG_DELIVERY: Final = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip


class Registry(Protocol):
    """Makes sessions of roles; see sandbox.principals."""

    def issue(self, role_arn: str, session_name: str) -> tuple[str, str, str]:
        """Return key, secret and token of a new session."""
        ...

    def lookup(self, access_key: str) -> Principal:
        """Return who a key belongs to."""
        ...


class Authorizer(Protocol):
    """Decides; see sandbox.authz."""

    def check_action(
        self, principal: Principal, action: str, resource: str, context: Mapping[str, Any], region: str
    ) -> None:
        """Raise AwsError when the principal may not."""
        ...

    def check_service(self, service: str, role_arn: str, source_arn: str) -> None:
        """Raise AwsError when the role's trust policy keeps the service out."""
        ...


class Functions(Protocol):
    """Runs functions; see sandbox.functions."""

    def invoke(self, function_arn: str, payload: bytes, *, invoker: Principal | None) -> tasks.InvocationResult:
        """Invoke and wait."""
        ...


Record = Callable[[Call, str | None, str | None], None]
"""(call, error code, message) → None: notes what a task asked for; sandbox.recorder.Recorder.record is one."""
CallAs = Callable[[Principal, str, str, str, Mapping[str, Any]], Mapping[str, Any]]
"""(principal, service, operation, region, params) → output: an API call that a task makes as its role."""


@dataclass
class _Version:
    arn: str
    number: int
    created: datetime
    description: str | None
    revision: dict[str, Any]


@dataclass
class _Alias:
    arn: str
    name: str
    description: str | None
    routing: list[dict[str, Any]]
    created: datetime
    updated: datetime


@dataclass
class _StateMachine:
    """A state machine; ``revision`` holds what a version freezes."""

    arn: str
    name: str
    kind: str
    created: datetime
    updated: datetime
    revision: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, _Version] = field(default_factory=dict)
    published: int = 0
    aliases: dict[str, _Alias] = field(default_factory=dict)


@dataclass(frozen=True)
class _Backend:
    """What tasks do, done as the state machine's role."""

    service: StepFunctionsService
    role_arn: str
    region: str

    def invoke(self, function_arn: str, payload: bytes) -> tasks.InvocationResult:
        """Authorize and invoke."""
        return self.service.invoke_as(self.role_arn, self.region, function_arn, payload)

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the API call."""
        return self.service.call_as_role(self.role_arn, self.region, service, operation, params)


class StepFunctionsService:
    """AWS Step Functions, Standard workflows, all accounts and regions. Implements sandbox.core.Service."""

    name = "states"

    def __init__(
        self,
        clock: VirtualClock,
        functions: Functions,
        registry: Registry,
        authorizer: Authorizer | None = None,
        *,
        log: LogSink | None = None,
        call_as: CallAs | None = None,
        record: Record | None = None,
        seed: int = 0,
    ) -> None:
        self._clock = clock
        self._functions = functions
        self._registry = registry
        self._authorizer = authorizer
        self._log = log
        self._call_as = call_as
        self._record = record
        self._seed = seed
        self._lock = threading.RLock()
        self._machines: dict[str, _StateMachine] = {}
        self._executions: dict[str, Execution] = {}
        self._tokens = Tokens()
        self._operations: dict[str, Callable[[Call], Mapping[str, Any]]] = {
            "CreateStateMachine": self._create,
            "UpdateStateMachine": self._update,
            "DescribeStateMachine": self._describe,
            "DeleteStateMachine": self._delete,
            "ListStateMachines": self._list,
            "ValidateStateMachineDefinition": self._validate,
            "PublishStateMachineVersion": self._publish,
            "ListStateMachineVersions": self._list_versions,
            "DeleteStateMachineVersion": self._delete_version,
            "CreateStateMachineAlias": self._create_alias,
            "UpdateStateMachineAlias": self._update_alias,
            "DescribeStateMachineAlias": self._describe_alias,
            "DeleteStateMachineAlias": self._delete_alias,
            "ListStateMachineAliases": self._list_aliases,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
            "StartExecution": self._start,
            "DescribeExecution": self._describe_execution,
            "DescribeStateMachineForExecution": self._describe_for_execution,
            "ListExecutions": self._list_executions,
            "GetExecutionHistory": self._history,
            "StopExecution": self._stop,
            "RedriveExecution": self._redrive,
            "SendTaskSuccess": self._task_success,
            "SendTaskFailure": self._task_failure,
            "SendTaskHeartbeat": self._task_heartbeat,
        }

    # ---- for the rest of the sandbox

    def handle(self, call: Call) -> Mapping[str, Any]:
        """Answer an API call."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise NotEmulated(f"states:{call.operation}")
        with self._clock.busy():
            return operation(call)

    def execution(self, arn: str) -> Execution:
        """Return an execution by its ARN."""
        with self._lock:
            found = self._executions.get(arn)
        if found is None:
            raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return found

    def executions(self) -> list[Execution]:
        """Return all executions, the oldest first."""
        with self._lock:
            return list(self._executions.values())

    def close(self) -> None:
        """Stop whatever still runs."""
        for execution in self.executions():
            execution.stop("Sandbox.Closed", "The sandbox stops.")

    def invoke_as(self, role_arn: str, region: str, function_arn: str, payload: bytes) -> tasks.InvocationResult:
        """Invoke a function as a session of the role, if the role may."""
        role = self._session(role_arn)
        if not function_arn.startswith("arn:"):
            function_arn = f"arn:{role.partition}:lambda:{region}:{role.account}:function:{function_arn}"
        called_region = function_arn.split(":")[3]
        call = Call("lambda", "Invoke", called_region, role.account, role, {"FunctionName": function_arn})
        try:
            self._authorize(role, "lambda:InvokeFunction", function_arn, called_region)
            result = self._functions.invoke(function_arn, payload, invoker=role)
        except AwsError as error:
            self._note(call, error.code, error.message)
            raise
        self._note(call, None, None)
        return result

    def _note(self, call: Call, error: str | None, message: str | None) -> None:
        if self._record is not None:
            self._record(call, error, message)

    def call_as_role(
        self, role_arn: str, region: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Make an API call as a session of the role."""
        if self._call_as is None:
            raise NotEmulated(f"the task {service}:{operation}", "No gateway is attached.")
        return self._call_as(self._session(role_arn), service, operation, region, params)

    def _session(self, role_arn: str) -> Principal:
        key, _, _ = self._registry.issue(role_arn, secrets.token_hex(16))
        return self._registry.lookup(key)

    def _authorize(self, principal: Principal, action: str, resource: str, region: str) -> None:
        if self._authorizer is not None:
            try:
                self._authorizer.check_action(principal, action, resource, {}, region)
            except AwsError as error:
                if action.startswith("lambda:"):  # whatever the policies' side calls it, Lambda calls it so
                    raise AwsError("AccessDeniedException", error.message, 403) from error
                raise

    # ---- state machines

    def _create(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        name = params["name"]
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        if params.get("type", "STANDARD") != "STANDARD":
            raise NotEmulated("Express workflows", "Use type STANDARD.")
        if params.get("versionDescription") and not params.get("publish"):
            raise AwsError("ValidationException", "Version description can only be set when publish is true")
        arn = f"arn:{call.principal.partition}:states:{call.region}:{call.account}:stateMachine:{name}"
        revision = self._revision(call, arn, {}, "INITIAL")
        with self._lock:
            machine = self._machines.get(arn)
            if machine is None:
                now = self._clock.now()
                machine = _StateMachine(arn, name, "STANDARD", now, now, revision)
                machine.tags = self._merged_tags({}, params.get("tags", []), arn)
                self._machines[arn] = machine
            elif {**machine.revision, "revisionId": None} != {**revision, "revisionId": None}:
                # CreateStateMachine is idempotent: only a different definition, role or configuration conflicts.
                raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            answer: dict[str, Any] = {"stateMachineArn": arn, "creationDate": machine.created}
            if params.get("publish"):
                answer["stateMachineVersionArn"] = self._publish_revision(machine, params.get("versionDescription")).arn
            return answer

    def _revision(self, call: Call, arn: str, before: Mapping[str, Any], revision_id: str) -> dict[str, Any]:
        """Return the configuration that the call asks for, checked."""
        params = call.params
        text = params.get("definition", before.get("definition"))
        findings = [finding for finding in definition.validate(text) if finding.severity == "ERROR"]
        if findings:
            listed = ", ".join(f"{finding.code}: {finding.message} at {finding.location}" for finding in findings)
            raise AwsError("InvalidDefinition", f"Invalid State Machine Definition: '{listed}'")
        definition.refuse_what_is_not_emulated(definition.parse(text))
        role_arn = params.get("roleArn", before.get("roleArn"))
        logging = params.get("loggingConfiguration", before.get("loggingConfiguration", {"level": "OFF"}))
        logging = {"level": "OFF", "includeExecutionData": False, **logging}
        self._check_role(role_arn, arn)
        self._check_logging(role_arn, logging, call.region)
        return {
            "definition": text,
            "roleArn": role_arn,
            "loggingConfiguration": logging,
            "tracingConfiguration": params.get("tracingConfiguration", before.get("tracingConfiguration"))
            or {"enabled": False},
            "encryptionConfiguration": params.get("encryptionConfiguration", before.get("encryptionConfiguration"))
            or {"type": "AWS_OWNED_KEY"},
            "revisionId": revision_id,
        }

    def _check_role(self, role_arn: str, machine_arn: str) -> None:
        if not re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/.+", role_arn):
            raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid Role Arn: {role_arn}'")
        if self._authorizer is None:
            return
        try:
            self._authorizer.check_service("states.amazonaws.com", role_arn, machine_arn)
        except AwsError as error:
            raise AwsError(
                "AccessDeniedException",
                "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to "
                f"assume the provided role ({error.message})",
            ) from error

    def _check_logging(self, role_arn: str, logging: Mapping[str, Any], region: str) -> None:
        if logging["level"] == "OFF":
            return
        destinations = logging.get("destinations", [])
        group = destinations[0].get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "") if destinations else ""
        if len(destinations) != 1 or not group.endswith(":*"):
            raise AwsError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be the ARN of one log group, ending with ':*'.",
            )
        role = self._session(role_arn)
        for action in _LOG_DELIVERY:
            try:
                self._authorize(role, f"logs:{action}", "*", region)
            except AwsError as error:
                # AWS's message names no action; the sandbox's does.
                raise AwsError(
                    "AccessDeniedException",
                    "The state machine IAM Role is not authorized to access the Log Destination "
                    f"(logs:{action} on *: {error.message})",
                ) from error

    def _update(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        machine = self._machine(params["stateMachineArn"])
        configurable = {
            "definition",
            "roleArn",
            "loggingConfiguration",
            "tracingConfiguration",
            "encryptionConfiguration",
        }
        if not configurable & params.keys():
            raise AwsError(
                "MissingRequiredParameter", "Either the definition, the role ARN, or a configuration is needed"
            )
        revision = self._revision(call, machine.arn, machine.revision, str(uuid.uuid4()))
        with self._lock:
            machine.revision, machine.updated = revision, self._clock.now()
            answer = {"updateDate": machine.updated, "revisionId": revision["revisionId"]}
            if params.get("publish"):
                answer["stateMachineVersionArn"] = self._publish_revision(machine, params.get("versionDescription")).arn
            return answer

    def _machine(self, arn: str, error: str = "StateMachineDoesNotExist") -> _StateMachine:
        """Return the state machine of an ARN, with or without a version or an alias."""
        base = _base_arn(arn)
        with self._lock:
            machine = self._machines.get(base)
        if machine is None:
            raise AwsError(error, f"State Machine Does Not Exist: '{arn}'")
        return machine

    def _resolve(self, arn: str) -> tuple[_StateMachine, _Version | None, _Alias | None]:
        """Return what an ARN means: the machine, and the version (directly, or by an alias's routing)."""
        machine = self._machine(arn)
        qualifier = arn[len(machine.arn) + 1 :]
        if not qualifier:
            return machine, None, None
        alias = None
        if not qualifier.isdigit():
            alias = machine.aliases.get(qualifier)
            if alias is None:
                raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
            chosen, left = alias.routing[0], secrets.randbelow(100)
            for route in alias.routing:
                if left < route["weight"]:
                    chosen = route
                    break
                left -= route["weight"]
            qualifier = chosen["stateMachineVersionArn"].rsplit(":", 1)[1]
        version = machine.versions.get(int(qualifier))
        if version is None:
            raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine, version, alias

    def _describe(self, call: Call) -> Mapping[str, Any]:
        arn = call.params["stateMachineArn"]
        machine, version, _ = self._resolve(arn)
        revision = machine.revision if version is None else version.revision
        described = {
            "stateMachineArn": machine.arn if version is None else version.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "type": machine.kind,
            "creationDate": machine.created if version is None else version.created,
            **revision,
        }
        if version is not None and version.description is not None:
            described["description"] = version.description
        if described["revisionId"] == "INITIAL":  # API reference: absent until the first update
            del described["revisionId"]
        return described

    def _delete(self, call: Call) -> Mapping[str, Any]:
        arn = call.params["stateMachineArn"]
        if _base_arn(arn) != arn:
            raise AwsError("ValidationException", "Versions and aliases have calls of their own to be deleted")
        with self._lock:
            machine = self._machines.pop(arn, None)
        if machine is not None:
            # API reference: deleting a state machine ends its running executions (eventually; here at once).
            for execution in self.executions():
                if execution.machine.arn == arn:
                    execution.stop(None, None)
        return {}

    def _list(self, call: Call) -> Mapping[str, Any]:
        mine = f":states:{call.region}:{call.account}:"
        with self._lock:
            machines = [machine for machine in self._machines.values() if mine in machine.arn]
        items = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.kind,
                "creationDate": machine.created,
            }
            for machine in machines
        ]
        return _page(items, call.params, "stateMachines")

    def _validate(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        if params.get("type", "STANDARD") != "STANDARD":
            raise NotEmulated("Express workflows", "Use type STANDARD.")
        findings = definition.validate(params["definition"])
        failed = any(finding.severity == "ERROR" for finding in findings)
        if not failed:
            definition.refuse_what_is_not_emulated(definition.parse(params["definition"]))
        if params.get("severity", "ERROR") == "ERROR":
            findings = [finding for finding in findings if finding.severity == "ERROR"]
        limit = params.get("maxResults") or 100
        return {
            "result": "FAIL" if failed else "OK",
            "diagnostics": [finding.shape() for finding in findings[:limit]],
            "truncated": len(findings) > limit,
        }

    # ---- versions and aliases

    def _publish_revision(self, machine: _StateMachine, description: str | None) -> _Version:
        latest = machine.versions.get(machine.published)
        if latest is not None and latest.revision["revisionId"] == machine.revision["revisionId"]:
            return latest  # publishing the same revision again gives the same version
        if len(machine.versions) >= _MAX_VERSIONS:
            raise AwsError("ServiceQuotaExceededException", f"A state machine has at most {_MAX_VERSIONS} versions")
        machine.published += 1
        version = _Version(
            f"{machine.arn}:{machine.published}",
            machine.published,
            self._clock.now(),
            description,
            dict(machine.revision),
        )
        machine.versions[version.number] = version
        return version

    def _publish(self, call: Call) -> Mapping[str, Any]:
        machine = self._machine(call.params["stateMachineArn"])
        expected = call.params.get("revisionId")
        with self._lock:
            if expected is not None and expected != machine.revision["revisionId"]:
                raise AwsError("ConflictException", "The revision is not the current one")
            version = self._publish_revision(machine, call.params.get("description"))
        return {"stateMachineVersionArn": version.arn, "creationDate": version.created}

    def _list_versions(self, call: Call) -> Mapping[str, Any]:
        # The API answers an empty list, not an error, for a machine that is gone.
        with self._lock:
            machine = self._machines.get(call.params["stateMachineArn"])
            versions = [] if machine is None else sorted(machine.versions.values(), key=lambda version: -version.number)
        items = [{"stateMachineVersionArn": version.arn, "creationDate": version.created} for version in versions]
        return _page(items, call.params, "stateMachineVersions")

    def _delete_version(self, call: Call) -> Mapping[str, Any]:
        arn = call.params["stateMachineVersionArn"]
        base, _, number = arn.rpartition(":")
        if _base_arn(arn) != base or not number.isdigit():
            raise AwsError("InvalidArn", f"Invalid Arn: '{arn}'")
        with self._lock:
            machine = self._machines.get(base)
            if machine is not None:
                for alias in machine.aliases.values():
                    if any(route["stateMachineVersionArn"] == arn for route in alias.routing):
                        raise AwsError("ConflictException", f"The version is used by the alias {alias.arn}")
                machine.versions.pop(int(number), None)
        return {}

    def _create_alias(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        routing = params["routingConfiguration"]
        machine = self._routed_machine(routing)
        now = self._clock.now()
        name = params["name"]
        if not re.fullmatch(r"(?=.*[A-Za-z_.-])[A-Za-z0-9_.-]{1,80}", name):
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        with self._lock:
            alias = _Alias(f"{machine.arn}:{name}", name, params.get("description"), list(routing), now, now)
            existing = machine.aliases.setdefault(name, alias)
            if (existing.routing, existing.description) != (alias.routing, alias.description):
                raise AwsError("ConflictException", f"The alias {alias.arn} exists with another configuration")
        return {"stateMachineAliasArn": existing.arn, "creationDate": existing.created}

    def _routed_machine(self, routing: Sequence[Mapping[str, Any]]) -> _StateMachine:
        bases = {_base_arn(route["stateMachineVersionArn"]) for route in routing}
        if len(bases) != 1 or len(routing) > 2 or sum(route["weight"] for route in routing) != 100:
            raise AwsError(
                "ValidationException",
                "One or two versions of one state machine are needed, with weights of 100 together",
            )
        for route in routing:
            if self._resolve(route["stateMachineVersionArn"])[1] is None:
                raise AwsError("ValidationException", "An alias routes to versions")
        return self._machine(bases.pop())

    def _alias(self, arn: str) -> tuple[_StateMachine, _Alias]:
        machine = self._machine(arn, "ResourceNotFound")
        alias = machine.aliases.get(arn[len(machine.arn) + 1 :])
        if alias is None:
            raise AwsError("ResourceNotFound", f"Request references a resource that does not exist: '{arn}'")
        return machine, alias

    def _update_alias(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        machine, alias = self._alias(params["stateMachineAliasArn"])
        with self._lock:
            if "routingConfiguration" in params:
                if self._routed_machine(params["routingConfiguration"]) is not machine:
                    raise AwsError("ValidationException", "An alias routes to versions of its own state machine")
                alias.routing = list(params["routingConfiguration"])
            alias.description = params.get("description", alias.description)
            alias.updated = self._clock.now()
        return {"updateDate": alias.updated}

    def _describe_alias(self, call: Call) -> Mapping[str, Any]:
        _, alias = self._alias(call.params["stateMachineAliasArn"])
        described = {
            "stateMachineAliasArn": alias.arn,
            "name": alias.name,
            "routingConfiguration": alias.routing,
            "creationDate": alias.created,
            "updateDate": alias.updated,
        }
        return described if alias.description is None else {**described, "description": alias.description}

    def _delete_alias(self, call: Call) -> Mapping[str, Any]:
        machine, alias = self._alias(call.params["stateMachineAliasArn"])
        with self._lock:
            machine.aliases.pop(alias.name, None)
        return {}

    def _list_aliases(self, call: Call) -> Mapping[str, Any]:
        arn = call.params["stateMachineArn"]
        machine, version, _ = self._resolve(arn)
        items = [
            {"stateMachineAliasArn": alias.arn, "creationDate": alias.created}
            for alias in machine.aliases.values()
            if version is None or any(route["stateMachineVersionArn"] == version.arn for route in alias.routing)
        ]
        return _page(items, call.params, "stateMachineAliases")

    # ---- tags

    @staticmethod
    def _merged_tags(tags: Mapping[str, str], new: Sequence[Mapping[str, str]], arn: str) -> dict[str, str]:
        merged = {**tags, **{tag["key"]: tag.get("value", "") for tag in new}}
        if len(merged) > _MAX_TAGS:
            raise AwsError("TooManyTags", f"Too many tags: '{arn}'")
        return merged

    def _tagged(self, arn: str) -> _StateMachine:
        with self._lock:
            machine = self._machines.get(arn)
        if machine is None:
            raise AwsError("ResourceNotFound", f"Resource not found: '{arn}'")
        return machine

    def _tag(self, call: Call) -> Mapping[str, Any]:
        machine = self._tagged(call.params["resourceArn"])
        with self._lock:
            machine.tags = self._merged_tags(machine.tags, call.params["tags"], machine.arn)
        return {}

    def _untag(self, call: Call) -> Mapping[str, Any]:
        machine = self._tagged(call.params["resourceArn"])
        with self._lock:
            machine.tags = {key: value for key, value in machine.tags.items() if key not in call.params["tagKeys"]}
        return {}

    def _list_tags(self, call: Call) -> Mapping[str, Any]:
        tags = self._tagged(call.params["resourceArn"]).tags
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of a state machine, for the authorizer; none when it does not exist."""
        with self._lock:
            machine = self._machines.get(_base_arn(arn))
            return {} if machine is None else dict(machine.tags)

    # ---- executions

    def _start(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        machine, version, alias = self._resolve(params["stateMachineArn"])
        name = params.get("name") or str(uuid.uuid4())
        if not _NAME.fullmatch(name):
            raise AwsError("InvalidName", f"Invalid Name: '{name}'")
        text = params.get("input", "{}")
        try:
            json.loads(text)
        except ValueError as error:
            raise AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'") from error
        if len(text.encode()) > MAX_PAYLOAD:
            raise AwsError("InvalidExecutionInput", "The input is longer than 262144 bytes")
        arn = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}"
        with self._lock:
            existing = self._executions.get(arn)
            if existing is None:
                existing = self._new_execution(machine, version, alias, arn, name, text, params.get("traceHeader"))
                self._executions[arn] = existing
                begin = True
            elif existing.status == "RUNNING" and existing.input == text:
                begin = False  # API reference: idempotent while it runs, with the same input
            else:
                raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        if begin:
            existing.start()
        return {"executionArn": arn, "startDate": existing.started}

    def _new_execution(
        self,
        machine: _StateMachine,
        version: _Version | None,
        alias: _Alias | None,
        arn: str,
        name: str,
        text: str,
        trace_header: str | None,
    ) -> Execution:
        revision = machine.revision if version is None else version.revision
        region = machine.arn.split(":")[3]
        backend = _Backend(self, revision["roleArn"], region)
        log = ExecutionLog(revision["loggingConfiguration"], machine.name, arn, self._log)
        return Execution(
            arn=arn,
            name=name,
            machine=Machine(
                machine.arn,
                machine.name,
                None if version is None else version.arn,
                None if alias is None else alias.arn,
                definition.parse(revision["definition"]),
                revision,
            ),
            input=text,
            clock=self._clock,
            integration=lambda resource: tasks.integration(resource, region, backend),
            tokens=self._tokens,
            on_event=log.write,
            seed=self._seed,
            trace_header=trace_header,
        )

    def _describe_execution(self, call: Call) -> Mapping[str, Any]:
        execution = self.execution(call.params["executionArn"])
        with execution.lock:
            blocker = execution.not_redrivable()
            included = {"included": True}
            described = {
                **_summary(execution),
                "input": execution.input,
                "inputDetails": included,
                "output": execution.output,
                "outputDetails": None if execution.output is None else included,
                "error": execution.error,
                "cause": execution.cause,
                "traceHeader": execution.trace_header,
                "redriveStatus": "REDRIVABLE" if blocker is None else "NOT_REDRIVABLE",
                "redriveStatusReason": blocker,
            }
        return _given(described)

    def _describe_for_execution(self, call: Call) -> Mapping[str, Any]:
        machine = self.execution(call.params["executionArn"]).machine
        current = self._machines.get(machine.arn)
        described = {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            **machine.revision,
            "updateDate": self._clock.now() if current is None else current.updated,
        }
        if described["revisionId"] == "INITIAL":
            del described["revisionId"]
        return described

    def _list_executions(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        if "stateMachineArn" not in params:
            raise NotEmulated("states:ListExecutions by map run")
        machine, version, alias = self._resolve(params["stateMachineArn"])
        wanted, redriven = params.get("statusFilter"), params.get("redriveFilter")
        chosen = [
            execution
            for execution in reversed(self.executions())
            if execution.machine.arn == machine.arn
            and (version is None or alias is not None or execution.machine.version_arn == version.arn)
            and (alias is None or execution.machine.alias_arn == alias.arn)
            and (wanted is None or execution.status == wanted)
            and (redriven is None or (redriven == "REDRIVEN") == (execution.redrives > 0))
        ]
        return _page([_given(_summary(execution)) for execution in chosen], params, "executions")

    def _history(self, call: Call) -> Mapping[str, Any]:
        params = call.params
        execution = self.execution(params["executionArn"])
        with execution.lock:
            events = list(execution.history.events)
        if params.get("reverseOrder"):
            events.reverse()
        page = _page(events, params, "events")
        if not params.get("includeExecutionData", True):
            page["events"] = [without_data(event) for event in page["events"]]
        return page

    def _stop(self, call: Call) -> Mapping[str, Any]:
        execution = self.execution(call.params["executionArn"])
        execution.stop(call.params.get("error"), call.params.get("cause"))
        return {"stopDate": execution.stopped}

    def _redrive(self, call: Call) -> Mapping[str, Any]:
        return {"redriveDate": self.execution(call.params["executionArn"]).redrive()}

    # ---- task tokens

    def _task_success(self, call: Call) -> Mapping[str, Any]:
        try:
            output = json.loads(call.params["output"])
        except ValueError as error:
            raise AwsError("InvalidOutput", f"Invalid Output: '{error}'") from error
        self._tokens.succeed(call.params["taskToken"], output)
        return {}

    def _task_failure(self, call: Call) -> Mapping[str, Any]:
        self._tokens.fail(call.params["taskToken"], call.params.get("error"), call.params.get("cause"))
        return {}

    def _task_heartbeat(self, call: Call) -> Mapping[str, Any]:
        self._tokens.beat(call.params["taskToken"])
        return {}


def _base_arn(arn: str) -> str:
    match = re.fullmatch(r"(arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:stateMachine:[^:]+)(:[^:]+)?", arn)
    if match is None:
        raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    return match[1]


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _summary(execution: Execution) -> dict[str, Any]:
    return {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started,
        "stopDate": execution.stopped,
        "stateMachineVersionArn": execution.machine.version_arn,
        "stateMachineAliasArn": execution.machine.alias_arn,
        "redriveCount": execution.redrives,
        "redriveDate": execution.redriven,
    }


def _page(items: Sequence[Any], params: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Cut one page out; the token is the position, so that a history that grows meanwhile is read without gaps."""
    token = params.get("nextToken")
    if token is not None and not str(token).isdigit():
        raise AwsError("InvalidToken", f"Invalid Token: '{token}'")
    start, size = int(token or 0), params.get("maxResults") or (1000 if name == "events" else 100)
    page: dict[str, Any] = {name: list(items[start : start + size])}
    if start + size < len(items):
        page["nextToken"] = str(start + size)
    return page
