"""DynamoDB for the benchmarks: moto's tables and expressions, called directly and counted.

moto's own transaction copies whole tables first, so that the cost of a write grows with the number of operations; here
all conditions are checked before anything is written, under one lock, which comes to the same.
"""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend


class Tables:
    """The operations of a boto3 DynamoDB client that the package uses."""

    def __init__(self, account: str, region: str, tables: Mapping[str, Sequence[str]]) -> None:
        self._backend = DynamoDBBackend(region, account)
        self._lock = threading.RLock()
        self.counts: Counter[str] = Counter()
        """Items read and items written; one in a transaction counts as two, as it is billed."""
        for name, keys in tables.items():
            self._backend.create_table(
                name,
                schema=[
                    {"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
                ],
                throughput=None,
                attr=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                global_indexes=None,
                indexes=None,
                streams=None,
                billing_mode="PAY_PER_REQUEST",
                sse_specification=None,
                tags=[],
                deletion_protection_enabled=False,
                warm_throughput=None,
            )

    def get_item(self, **params: Any) -> dict[str, Any]:
        """GetItem."""
        with self._lock:
            self.counts["read"] += 1
            item = self._backend.get_item(params["TableName"], params["Key"])
            return {} if item is None else {"Item": item.to_json()["Attributes"]}

    def put_item(self, **params: Any) -> dict[str, Any]:
        """PutItem."""
        return self._one("PutItem", "Put", params)

    def update_item(self, **params: Any) -> dict[str, Any]:
        """UpdateItem; of ReturnValues only ALL_NEW and ALL_OLD."""
        return self._one("UpdateItem", "Update", params)

    def delete_item(self, **params: Any) -> dict[str, Any]:
        """DeleteItem."""
        return self._one("DeleteItem", "Delete", params)

    def transact_write_items(self, **params: Any) -> dict[str, Any]:
        """TransactWriteItems."""
        with self._lock:
            writes = [next(iter(item.items())) for item in params["TransactItems"]]
            self.counts["written"] += 2 * len(writes)
            holds = [self._holds(kind, write) for kind, write in writes]
            if not all(holds):
                reasons = [{"Code": "None" if fine else "ConditionalCheckFailed"} for fine in holds]
                raise _error("TransactWriteItems", "TransactionCanceledException", CancellationReasons=reasons)
            for kind, write in writes:
                self._apply(kind, write)
            return {}

    def _one(self, operation: str, kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.counts["written"] += 1
            if not self._holds(kind, params):
                raise _error(operation, "ConditionalCheckFailedException")
            old = self._current(kind, params)
            before = old.to_json()["Attributes"] if old is not None else None
            self._apply(kind, params)
            match params.get("ReturnValues", "NONE"):
                case "ALL_OLD" if before is not None:
                    return {"Attributes": before}
                case "ALL_NEW":
                    return {"Attributes": self._current(kind, params).to_json()["Attributes"]}
            return {}

    def _current(self, kind: str, write: Mapping[str, Any]) -> Any:
        table = self._backend.get_table(write["TableName"])
        keys = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
        key = {name: write["Item"][name] for name in keys} if kind == "Put" else write["Key"]
        return self._backend.get_item(write["TableName"], key)

    def _holds(self, kind: str, write: Mapping[str, Any]) -> bool:
        condition = get_filter_expression(
            write.get("ConditionExpression"),
            write.get("ExpressionAttributeNames", {}),
            write.get("ExpressionAttributeValues", {}),
        )
        return bool(condition.expr(self._current(kind, write)))

    def _apply(self, kind: str, write: Mapping[str, Any]) -> None:
        try:
            if kind == "Put":
                self._backend.put_item(write["TableName"], copy.deepcopy(write["Item"]), overwrite=True)
            elif kind == "Update":
                self._backend.update_item(
                    write["TableName"],
                    write["Key"],
                    write["UpdateExpression"],
                    write.get("ExpressionAttributeNames", {}),
                    copy.deepcopy(write.get("ExpressionAttributeValues", {})),
                )
            elif kind == "Delete":
                self._backend.delete_item(write["TableName"], write["Key"])
        except ConditionalCheckFailed as error:
            raise AssertionError("the condition was checked before") from error


def _error(operation: str, code: str, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "The conditional request failed"},
        "ResponseMetadata": {"HTTPStatusCode": 400},
        **more,
    }
    return ClientError(response, operation)
