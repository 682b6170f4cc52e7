"""The one writer of state: the operation's record and its audit trail, always changed together.

A change is a pure function from record to record. It is saved as an update of the attributes that differ, in one
transaction with the audit event, on the condition that nobody else has saved in between; a lost race loads the record
again and applies the function again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Self

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from aurora_restore import audit
from aurora_restore.errors import (
    DuplicateOperation,
    RestoreError,
    StateConflict,
    StateLoadFailed,
    StateSaveFailed,
    Throttled,
    translate,
)
from aurora_restore.model import SCHEMA_VERSION, Plain, Record, Status, from_dynamo, iso, to_dynamo

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef, UpdateTypeDef

    from aurora_restore.settings import Settings

Mutation = Callable[[Record], Record]

_ATTEMPTS: Final = 8
_RACE: Final = frozenset({"ConditionalCheckFailed", "TransactionConflict"})
_THROTTLED: Final = frozenset({"ThrottlingError", "ProvisionedThroughputExceeded"})
_serialize: Final = TypeSerializer().serialize
_deserialize: Final = TypeDeserializer().deserialize
_UNFINISHED: Final = frozenset(status.value for status in Status if not status.finished)


def unchanged(record: Record) -> Record:
    """The mutation of an event that only has to be in the audit trail."""
    return record


@dataclass(frozen=True)
class Standing:
    """What may be asked of an operation's record whoever has written it.

    Executions keep the code that they began with, and records outlive releases: a whole `Record` is read only by the
    execution that owns it.
    """

    execution_arn: str
    status: str
    compensation: str | None
    """``running``, and in the end what became of it; None before it has begun."""

    @property
    def over(self) -> bool:
        """Nothing more is done by the operation, not even its compensation."""
        return self.status not in _UNFINISHED and self.compensation != "running"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From the record as plain data."""
        compensation = data.get("results", {}).get("compensation", {})
        return cls(str(data["execution_arn"]), str(data["status"]), compensation.get("outcome"))


class StateStore:
    """Loads and saves operations."""

    def __init__(self, dynamodb: DynamoDBClient, settings: Settings) -> None:
        self._dynamodb = dynamodb
        self._settings = settings

    def standing(self, operation_id: str) -> Standing | None:
        """Whose an operation is, and whether it is over, whatever version of the pipeline has written its record."""
        data = self._read(operation_id)
        return None if data is None else Standing.of(data)

    def find(self, operation_id: str, execution_arn: str) -> Record | None:
        """The record of the operation, if there is one and it is this execution's."""
        data = self._read(operation_id)
        if data is None or Standing.of(data).execution_arn != execution_arn:
            return None
        return _record(data)

    def load(self, operation_id: str, execution_arn: str) -> Record:
        """The record of the operation, which must be this execution's."""
        data = self._read(operation_id)
        if data is None:
            raise StateLoadFailed(f"There is no record of operation {operation_id}")
        owner = Standing.of(data).execution_arn
        if owner != execution_arn:
            raise StateLoadFailed(f"Operation {operation_id} belongs to another execution ({owner})")
        return _record(data)

    def _read(self, operation_id: str) -> Plain | None:
        """The item, if there is one. Always read consistently: a stale record would repeat a step."""
        try:
            answer = self._dynamodb.get_item(
                TableName=self._settings.state_table,
                Key={"operation_id": {"S": operation_id}},
                ConsistentRead=True,
            )
        except ClientError as error:
            raise translate(error, "dynamodb") from error
        item = answer.get("Item")
        if item is None:
            return None
        data: Plain = from_dynamo({name: _deserialize(value) for name, value in item.items()})
        return data

    def claim(self, record: Record, *, at: datetime, step: str, event: str, details: Mapping[str, Any]) -> Record:
        """Make the operation this execution's: create its record, or return it when a retry finds it made.

        Raises DuplicateOperation, and touches nothing, when another execution owns the operation_id.
        """
        claimed, trail = self._sealed(record, at=at, step=step, event=event, details=details)
        put: PutTypeDef = {
            "TableName": self._settings.state_table,
            "Item": _item(claimed.to_mapping()),
            "ConditionExpression": "attribute_not_exists(operation_id)",
        }
        for _ in range(_ATTEMPTS):
            try:
                self._dynamodb.transact_write_items(TransactItems=[{"Put": put}, trail])
            except ClientError as error:
                if not _race(error):
                    raise _save_error(error) from error
            else:
                return claimed
            existing = self.standing(record.operation_id)
            if existing is None:
                continue  # a conflict with a writer that then failed
            if existing.execution_arn == record.execution_arn:
                return self.load(record.operation_id, record.execution_arn)
            raise DuplicateOperation(
                f"Operation {record.operation_id} belongs to the execution {existing.execution_arn} "
                f"(status {existing.status})",
                field="operation_id",
            )
        raise StateConflict(f"Operation {record.operation_id} could not be claimed: too many writers at once")

    def update(
        self,
        record: Record,
        mutate: Mutation,
        *,
        at: datetime,
        step: str,
        event: str,
        details: Mapping[str, Any] | None = None,
    ) -> Record:
        """Apply a change and append its audit event; returns the record as saved.

        ``mutate`` may be called again, on a newer record, when another writer was faster: it must be pure.
        """
        current = record
        for _ in range(_ATTEMPTS):
            changed, trail = self._sealed(mutate(current), at=at, step=step, event=event, details=details or {})
            try:
                self._dynamodb.transact_write_items(TransactItems=[{"Update": self._changes(current, changed)}, trail])
            except ClientError as error:
                if not _race(error):
                    raise _save_error(error) from error
                current = self.load(record.operation_id, record.execution_arn)
            else:
                return changed
        raise StateConflict(f"Operation {record.operation_id} could not be saved: too many writers at once")

    def _sealed(
        self, record: Record, *, at: datetime, step: str, event: str, details: Mapping[str, Any]
    ) -> tuple[Record, TransactWriteItemTypeDef]:
        """The record with its new audit head, and the Put of the event."""
        entry = audit.build(
            operation_id=record.operation_id,
            execution_arn=record.execution_arn,
            sequence=record.audit_sequence + 1,
            previous_hash=record.audit_hash,
            at=iso(at),
            step=step,
            event=event,
            actor=self._settings.deployment,
            details=from_dynamo(to_dynamo(details)),  # as it will be read: 1.0 comes back as 1, and is hashed as that
        )
        sealed = replace(
            record,
            version=record.version + 1,
            audit_sequence=entry["sequence"],
            audit_hash=entry["hash"],
            updated_at=iso(at),
        )
        put: PutTypeDef = {
            "TableName": self._settings.audit_table,
            "Item": _item(entry),
            "ConditionExpression": "attribute_not_exists(event_id)",
        }
        return sealed, {"Put": put}

    def _changes(self, before: Record, after: Record) -> UpdateTypeDef:
        """An Update of the attributes that differ, on the condition that nobody has saved since ``before``."""
        old, new = before.to_mapping(), after.to_mapping()
        names = {"#version": "version"}
        values: dict[str, Any] = {":read": {"N": str(before.version)}}
        sets: list[str] = []
        removes: list[str] = []
        for index, name in enumerate(sorted(old.keys() | new.keys())):
            if name == "operation_id" or old.get(name) == new.get(name):
                continue
            names[f"#{index}"] = name
            if name in new:
                values[f":{index}"] = _serialize(to_dynamo(new[name]))
                sets.append(f"#{index} = :{index}")
            else:
                removes.append(f"#{index}")
        return {
            "TableName": self._settings.state_table,
            "Key": {"operation_id": {"S": before.operation_id}},
            "UpdateExpression": f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
            "ConditionExpression": "#version = :read",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }

    def trail(self, operation_id: str, execution_arn: str) -> list[dict[str, Any]]:
        """The audit events of one execution, in order. For operators and tests; no function's role may query."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._settings.audit_table,
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": operation_id}},
            ConsistentRead=True,
        )
        events = [
            from_dynamo({name: _deserialize(value) for name, value in item.items()})
            for page in pages
            for item in page["Items"]
        ]
        return [event for event in events if event["execution_arn"] == execution_arn]


def _record(data: Plain) -> Record:
    if data.get("schema_version", 0) > SCHEMA_VERSION:
        raise StateLoadFailed(f"The record of {data['operation_id']} was written by a newer version of the pipeline")
    return Record.from_mapping(data)


def _item(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _serialize(value) for name, value in to_dynamo(data).items()}


def _race(error: ClientError) -> bool:
    """The save lost against another writer (and failed for no other reason)."""
    if error.response["Error"]["Code"] != "TransactionCanceledException":
        return False
    reasons = _reasons(error)
    return bool(reasons) and reasons <= _RACE


def _save_error(error: ClientError) -> RestoreError:
    ours = translate(error, "dynamodb")
    if error.response["Error"]["Code"] != "TransactionCanceledException":
        return ours
    # boto3 does not retry a cancelled transaction, whatever it was cancelled for (BC:TransactWriteItems).
    kind = Throttled if _reasons(error) & _THROTTLED else StateSaveFailed
    return kind(f"DynamoDB cancelled the save: {', '.join(sorted(_reasons(error)))}", details=ours.details)


def _reasons(error: ClientError) -> set[str]:
    return {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])} - {"None"}
