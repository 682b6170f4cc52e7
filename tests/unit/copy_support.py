"""Two accounts and two regions of cluster snapshots, and the pipeline's steps on an operation that has to copy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from aurora_restore import errors, runtime
from aurora_restore.model import CopyRoute, KeyKind, Plan, PlannedCopy, Record, Request, SnapshotKind, SourceRole, iso
from aurora_restore.names import operation_tags, tag_list
from aurora_restore.settings import Settings
from aurora_restore.shared_items import SharedItems
from aurora_restore.state import StateStore
from tests.unit.core_support import ACCOUNT, KEY_ARN, NOW, REGION, FakeRds, refused, settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SOURCE_ACCOUNT, SOURCE_REGION = "210987654321", "us-east-1"
ROLE = SourceRole(SOURCE_ACCOUNT, f"arn:aws:iam::{SOURCE_ACCOUNT}:role/aurora-restore-source", "external")
CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:f",
    aws_request_id="1",
)


def arn(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"


SOURCE = arn("orders-manual", SOURCE_ACCOUNT, SOURCE_REGION)


def copy(ordinal: int = 1, source_arn: str = SOURCE, **changes: Any) -> PlannedCopy:
    """A copy into the deployment's account and region, in one step, unless changed."""
    account, region = changes.get("account", ACCOUNT), changes.get("region", REGION)
    identifier = changes.pop("identifier", f"arp-orders-{ordinal}")
    values: dict[str, Any] = {
        "ordinal": ordinal,
        "source_arn": source_arn,
        "arn": arn(identifier, account, region),
        "identifier": identifier,
        "account": account,
        "region": region,
        "reason": "because",
        "kms_key_id": KEY_ARN,
        "by_source_account": account == SOURCE_ACCOUNT,
        "cross_region": source_arn.split(":")[3] != region,
        "cross_account": source_arn.split(":")[4] != account,
    }
    return PlannedCopy(**{**values, **changes})


def plan(*copies: PlannedCopy, share: bool = False, fallback: CopyRoute | None = None) -> Plan:
    return Plan(
        engine="aurora-postgresql",
        engine_version="16.6",
        snapshot_arn=SOURCE,
        snapshot_identifier="orders-manual",
        snapshot_created_at=iso(NOW),
        snapshot_engine_version="16.6",
        snapshot_size_gib=10,
        source_cluster_id="orders",
        master_username="admin_user",
        target_account=ACCOUNT,
        target_region=REGION,
        target_cluster_id="orders-staging",
        storage_type="aurora",
        engine_lifecycle_support="open-source-rds-extended-support-disabled",
        database_phase=False,
        kms_key_id=KEY_ARN,
        snapshot_account=SOURCE_ACCOUNT,
        snapshot_region=SOURCE_REGION,
        snapshot_kind=SnapshotKind.MANUAL,
        snapshot_key_kind=KeyKind.CUSTOMER,
        route=CopyRoute(share, copies),
        fallback_route=fallback,
        source_role=ROLE,
    )


class Paginator:
    def __init__(self, call: Callable[..., dict[str, Any]]) -> None:
        self._call = call

    def paginate(self, **parameters: Any) -> Iterator[dict[str, Any]]:
        yield self._call(**parameters)


@dataclass
class FakeSnapshots(FakeRds):
    """RDS of one account and region; only a test makes time pass."""

    account: str = ACCOUNT
    region: str = REGION
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    shared: dict[str, set[str]] = field(default_factory=dict)

    def found(self, identifier: str) -> dict[str, Any] | None:
        return next((one for one in self.snapshots if one["DBClusterSnapshotIdentifier"] == identifier), None)

    def _known(self, parameters: dict[str, Any], operation: str) -> dict[str, Any]:
        known = self.found(parameters["DBClusterSnapshotIdentifier"])
        if known is None:
            raise refused("DBClusterSnapshotNotFoundFault", operation=operation)
        return known

    def copy_db_cluster_snapshot(self, **parameters: Any) -> dict[str, Any]:
        self._called("copy_db_cluster_snapshot", parameters)
        identifier = parameters["TargetDBClusterSnapshotIdentifier"]
        if self.found(identifier):
            raise refused("DBClusterSnapshotAlreadyExistsFault", operation="CopyDBClusterSnapshot")
        made = {
            "DBClusterSnapshotIdentifier": identifier,
            "DBClusterSnapshotArn": arn(identifier, self.account, self.region),
            "SourceDBClusterSnapshotArn": parameters["SourceDBClusterSnapshotIdentifier"],
            "SnapshotType": "manual",
            "Status": "copying",
            "PercentProgress": 0,
            "TagList": parameters["Tags"],
        }
        self.snapshots.append(made)
        return {"DBClusterSnapshot": made}

    def delete_db_cluster_snapshot(self, **parameters: Any) -> dict[str, Any]:
        self._called("delete_db_cluster_snapshot", parameters)
        self._known(parameters, "DeleteDBClusterSnapshot")["Status"] = "deleting"
        return {}

    def describe_db_cluster_snapshot_attributes(self, **parameters: Any) -> dict[str, Any]:
        self._called("describe_db_cluster_snapshot_attributes", parameters)
        accounts = sorted(self.shared.get(parameters["DBClusterSnapshotIdentifier"], ()))
        attributes = [{"AttributeName": "restore", "AttributeValues": accounts}]
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": attributes}}

    def modify_db_cluster_snapshot_attribute(self, **parameters: Any) -> dict[str, Any]:
        self._called("modify_db_cluster_snapshot_attribute", parameters)
        accounts = self.shared.setdefault(parameters["DBClusterSnapshotIdentifier"], set())
        accounts |= set(parameters.get("ValuesToAdd", ()))
        accounts -= set(parameters.get("ValuesToRemove", ()))
        return {}

    # what a test does to it

    def all_copied(self) -> None:
        for snapshot in self.snapshots:
            snapshot |= {"Status": "available", "PercentProgress": 100}

    def all_deleted(self) -> None:
        self.snapshots = [one for one in self.snapshots if one["Status"] != "deleting"]


@dataclass
class World:
    """AWS as the functions see it, a clock, and the tokens that were returned."""

    tables: DynamoDBClient
    settings: Settings
    now: datetime = NOW
    regions: dict[tuple[str, str], FakeSnapshots] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)
    unreachable: bool = False

    def rds(self, account: str = ACCOUNT, region: str = REGION) -> FakeSnapshots:
        return self.regions.setdefault((account, region), FakeSnapshots(account=account, region=region))

    @property
    def sessions(self) -> Any:
        return SimpleNamespace(
            rds=self.rds(),
            rds_in=lambda region: self.rds(ACCOUNT, region),
            dynamodb=self.tables,
            assume=self._assume,
            stepfunctions=SimpleNamespace(send_task_success=self._wake),
        )

    def _assume(self, role: SourceRole, operation_id: str) -> Any:
        if self.unreachable:
            raise errors.AssumeRoleFailed(f"The role {role.role_arn} could not be taken on")
        assert role == ROLE
        return SimpleNamespace(rds_in=lambda region: self.rds(role.account, region))

    def _wake(self, **parameters: Any) -> None:
        assert parameters["output"] == "{}"
        if parameters["taskToken"] == "stale":
            raise refused("TaskTimedOut", operation="SendTaskSuccess")
        self.woken.append(parameters["taskToken"])

    @property
    def items(self) -> SharedItems:
        return SharedItems(self.tables, self.settings.state_table)

    def operation(self, name: str, plan: Plan, **request: Any) -> Operation:
        return Operation(self, name, plan, request)


class Operation:
    """An operation whose plan is made already."""

    def __init__(self, world: World, name: str, plan: Plan, request: dict[str, Any]) -> None:
        self.world, self.name = world, name
        self.execution = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:restore:{name}"
        asked = Request(
            operation_id=name,
            target_cluster_id="orders-staging",
            target_region=REGION,
            source_region=SOURCE_REGION,
            source_account_id=SOURCE_ACCOUNT,
            db_instance_class="db.r8g.large",
            db_subnet_group_name="databases",
            vpc_security_group_ids=("sg-0123456789abcdef0",),
            **request,
        )
        record = Record(name, self.execution, iso(world.now), deployment="restore", request=asked, plan=plan)
        self.store.claim(record, at=world.now, step="SnapshotCheck", event="planned", details={})

    @property
    def store(self) -> StateStore:
        return StateStore(self.world.tables, self.world.settings)

    @property
    def record(self) -> Record:
        return self.store.load(self.name, self.execution)

    def change(self, **changes: Any) -> None:
        self.store.update(
            self.record, lambda record: replace(record, **changes), at=self.world.now, step="test", event="changed"
        )

    @property
    def states(self) -> dict[str, str]:
        return {item.identifier: item.state.value for item in self.record.resources}

    @property
    def events(self) -> list[str]:
        return [event["event"] for event in self.store.trail(self.name, self.execution)]

    def _call(self, function: str, event: dict[str, Any]) -> Any:
        self.world.now += timedelta(seconds=1)
        handler = import_module(f"aurora_restore.handlers.{function}").handler
        return handler(json.loads(json.dumps({"now": iso(self.world.now), **event})), CONTEXT)

    def step(self, step: str, function: str = "copy_snapshot", **payload: Any) -> Any:
        known = {"operation_id": self.name, "execution_arn": self.execution, "step": step}
        return self._call(function, {**known, **payload})

    def start(self, ordinal: int = 1) -> Any:
        return self.step("StartCopy", ordinal=ordinal)

    def observe(self, ordinal: int = 1) -> Any:
        return self.step("ObserveCopy", "check_copy_status", ordinal=ordinal)

    def finish(self, ordinal: int = 1) -> Any:
        return self.step("FinishCopy", ordinal=ordinal)

    def copied(self) -> None:
        """Through all of its copies."""
        assert self.step("PrepareCopies")["state"] == "READY"
        for planned in self.record.planned.copies:
            assert self.start(planned.ordinal)["state"] == "STARTED"
            self.world.rds(planned.account, planned.region).all_copied()
            assert self.observe(planned.ordinal)["state"] == "READY"
            self.finish(planned.ordinal)

    def cleanup(self) -> Any:
        return self.step("Cleanup", "cleanup")

    def compensate(self, error: errors.RestoreError | None = None) -> Any:
        raised = error or errors.InternalError("x")
        caught = {"Error": type(raised).__name__, "Cause": json.dumps({"errorMessage": str(raised)})}
        return self._call(
            "compensate",
            {
                "step": "Compensate",
                "request": {"operation_id": self.name},
                "execution": {"id": self.execution, "name": self.name},
                "errors": {"PrepareCopies": caught},
            },
        )


def make_world(tables: DynamoDBClient, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> World:
    deadlines = {"copy": 86_400, "queue": 172_800, "cluster": 7200, "configure": 600, "compensate": 1800}
    world = World(tables, settings(**{"copy_lanes": 2, "deadlines": deadlines, **changes}))
    monkeypatch.setattr(runtime, "settings", lambda: world.settings)
    monkeypatch.setattr(runtime, "sessions", lambda: world.sessions)
    return world


def foreign_copy(planned: PlannedCopy, **changes: Any) -> dict[str, Any]:
    """A snapshot under the copy's name, made by another operation of the deployment unless changed."""
    tags = operation_tags(deployment="restore", operation_id="another", tags={})
    return {
        "DBClusterSnapshotIdentifier": planned.identifier,
        "DBClusterSnapshotArn": planned.arn,
        "SourceDBClusterSnapshotArn": planned.source_arn,
        "SnapshotType": "manual",
        "Status": "available",
        "TagList": tag_list(tags),
        **changes,
    }


def boto_parameters(parameters: dict[str, Any]) -> None:
    """Refuse what botocore would refuse."""
    model = boto3.client("rds", region_name=REGION).meta.service_model
    members = model.operation_model("CopyDBClusterSnapshot").input_shape.members
    assert set(parameters) <= {*members, "SourceRegion"}
