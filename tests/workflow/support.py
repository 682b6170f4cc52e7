"""What workflow tests share: a deployed pipeline, and a way to run restores through it and look at what they left."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from aurora_restore import audit, history
from aurora_restore.model import from_dynamo
from sandbox import samples
from sandbox.server import Sandbox
from sandbox.terraform import TerraformRoot

ACCOUNT, REGION = "111122223333", "eu-west-1"
ON_CALL = "on-call@example.com"
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Execution:
    """A finished execution and what it left behind."""

    arn: str
    status: str
    error: str | None
    cause: str | None
    output: Any
    operation_id: str
    record: dict[str, Any] | None
    trail: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    history: list[dict[str, Any]]

    @property
    def states(self) -> list[str]:
        """The states that were entered, in order."""
        return [e["stateEnteredEventDetails"]["name"] for e in self.history if "stateEnteredEventDetails" in e]

    @property
    def code(self) -> str:
        """The error code of the record."""
        assert self.record is not None
        return str(self.record["error"]["code"])


@dataclass
class Deployment:
    """The module, applied in the sandbox from examples/simple."""

    sandbox: Sandbox
    root: TerraformRoot
    outputs: dict[str, Any]
    network: samples.Network
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """A client of the deployment's account and region, as its administrator."""
        if service not in self.clients:
            self.clients[service] = self.sandbox.client(service, ACCOUNT, REGION)
        return self.clients[service]

    def start(self, request: Any, name: str | None = None, machine: str | None = None) -> str:
        """Start an execution; returns its ARN."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=machine or self.outputs["state_machine_arn"],
            name=name or f"test-{uuid.uuid4().hex[:12]}",
            input=json.dumps(request),
        )
        return str(started["executionArn"])

    def wait(self, arn: str, operation_id: str | None = None, timeout: float = 120) -> Execution:
        """Wait (real seconds) for the end of an execution and collect what it left."""
        states = self.client("stepfunctions")
        deadline = time.monotonic() + timeout
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"{arn} still runs: {self.history(arn)[-3:]}"
            time.sleep(0.05)
        request = json.loads(described["input"])
        if operation_id is None:
            asked = request.get("operation_id") if isinstance(request, dict) else None
            operation_id = asked or described["name"]
        return Execution(
            arn=arn,
            status=described["status"],
            error=described.get("error"),
            cause=described.get("cause"),
            output=json.loads(described["output"]) if "output" in described else None,
            operation_id=operation_id,
            record=self.record(operation_id),
            trail=self.trail(operation_id),
            messages=[m for m in self.sandbox.messages() if operation_id in m["message"]],
            history=self.history(arn),
        )

    def run(self, request: Any, name: str | None = None) -> Execution:
        """Start and wait."""
        return self.wait(self.start(request, name))

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The whole execution history."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        return [event for page in pages for event in page["events"]]

    def forget_durations(self) -> None:
        """Forget what other tests' restores have taught: waits and plans are those of a first restore again."""
        self.client("dynamodb").delete_item(
            TableName=self.outputs["state_table_name"], Key={"operation_id": {"S": history.ITEM}}
        )

    def record(self, operation_id: str) -> dict[str, Any] | None:
        """The state item as plain data."""
        item = (
            self.client("dynamodb")
            .get_item(TableName=self.outputs["state_table_name"], Key={"operation_id": {"S": operation_id}})
            .get("Item")
        )
        return item and from_dynamo({k: _deserialize(v) for k, v in item.items()})

    def trail(self, operation_id: str) -> list[dict[str, Any]]:
        """The audit events, in order."""
        pages = (
            self.client("dynamodb")
            .get_paginator("query")
            .paginate(
                TableName=self.outputs["audit_table_name"],
                KeyConditionExpression="operation_id = :o",
                ExpressionAttributeValues={":o": {"S": operation_id}},
            )
        )
        return [from_dynamo({k: _deserialize(v) for k, v in item.items()}) for page in pages for item in page["Items"]]

    def cluster(self, cluster_id: str) -> dict[str, Any] | None:
        """The cluster as RDS describes it, or None."""
        rds = self.client("rds")
        try:
            return dict(rds.describe_db_clusters(DBClusterIdentifier=cluster_id)["DBClusters"][0])
        except rds.exceptions.DBClusterNotFoundFault:
            return None

    def secret(self, target: str, user: str) -> dict[str, Any]:
        """The secret of an application user."""
        names = self.client("secretsmanager").get_paginator("list_secrets").paginate()
        name = next(s["Name"] for page in names for s in page["SecretList"] if s["Name"].endswith(f"/{target}/{user}"))
        value = self.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
        return dict(json.loads(value))

    def login(self, target: str, user: str, engine: str, database: str | None = samples.DATABASE) -> samples.Rows:
        """A stock client's connection with the password of the user's secret."""
        secret = self.secret(target, user)
        return samples.connect(
            engine,
            secret["host"],
            secret["port"],
            secret["username"],
            secret["password"],
            self.sandbox.ca_pem,
            database,
        )

    def delete_cluster(self, cluster_id: str) -> None:
        """Remove a restored cluster, so that the pool of servers stays small."""
        rds = self.client("rds")
        cluster = self.cluster(cluster_id)
        if cluster is None:
            return
        if cluster["DeletionProtection"]:
            rds.modify_db_cluster(DBClusterIdentifier=cluster_id, DeletionProtection=False, ApplyImmediately=True)
            self.sandbox.clock.advance(600)  # a cluster that is being modified cannot be deleted
        for member in cluster["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"], SkipFinalSnapshot=True)
        rds.delete_db_cluster(DBClusterIdentifier=cluster_id, SkipFinalSnapshot=True)


def assert_failed(execution: Execution, code: str) -> None:
    """Each sentence of the FAQ on failures: record, log (checked elsewhere), notification, execution."""
    assert execution.status == "FAILED", execution
    assert execution.record is not None
    assert execution.record["status"] == "FAILED"
    error = execution.record["error"]
    assert error["code"] == code, error
    assert error["cause"]
    assert error["remedy"]
    assert execution.error
    assert code in str(execution.cause)
    assert len(execution.messages) == 1, execution.messages
    assert code in execution.messages[0]["message"]
    assert_audited(execution)


def assert_audited(execution: Execution) -> None:
    """The audit trail is whole and ends at the record's head."""
    assert execution.record is not None
    assert audit.problems(execution.trail, head=execution.record["audit_hash"]) == []
