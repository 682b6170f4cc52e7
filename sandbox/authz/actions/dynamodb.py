"""Amazon DynamoDB: "Actions, resources, and condition keys for Amazon DynamoDB".

A transaction has no action of its own: each of its items needs what the item's operation alone would need
("Using IAM with transactions"). With a customer's key, DynamoDB asks for kms:Decrypt in the caller's name ("DynamoDB
encryption at rest usage notes").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from moto.dynamodb.parsing.key_condition_expression import parse_expression

from sandbox.authz.needs import Need, anywhere, arn, key_use
from sandbox.core import AwsError

if TYPE_CHECKING:
    from sandbox.authz.needs import Mapper
    from sandbox.authz.sources import Sources, Table
    from sandbox.core import Call

Item = Mapping[str, Mapping[str, Any]]


def _table_arn(call: Call, name: str) -> str:
    return name if name.startswith("arn:") else arn(call, "dynamodb", f"table/{name}")


def _leading(keys: Iterable[Item], table: Table | None) -> list[str] | None:
    """Return the partition key values; a table that does not exist has no key to take them by."""
    if table is None:
        return None
    name = table.hash_key()
    values = [next(iter(key[name].values())) for key in keys if name in key]
    return list(dict.fromkeys(str(value) for value in values)) or None


def _need(
    call: Call, sources: Sources, action: str, table_name: str, keys: Iterable[Item], **more: str | None
) -> list[Need]:
    table = sources.table(table_name, call.region, call.account)
    context = {
        "dynamodb:LeadingKeys": _leading(keys, table),
        "dynamodb:ReturnConsumedCapacity": call.params.get("ReturnConsumedCapacity"),
        **{f"dynamodb:{name}": value for name, value in more.items()},
    }
    return [Need(f"dynamodb:{action}", (_table_arn(call, table_name),), context), *_key_use(call, sources, table)]


def _key_use(call: Call, sources: Sources, table: Table | None) -> list[Need]:
    if table is None:
        return []
    encryption_context = {
        "aws:dynamodb:tableName": table.arn.rpartition("/")[2],
        "aws:dynamodb:subscriberId": table.arn.split(":")[4],
    }
    source = "DynamoDB encryption at rest usage notes: table keys and the caller's kms:Decrypt"
    return key_use(call, sources, table.kms_key, ["kms:Decrypt"], encryption_context, source)


def _one(action: str, member: str) -> Mapper:
    """Map an operation on one item."""

    def mapper(call: Call, sources: Sources) -> list[Need]:
        params = call.params
        more = {"Select": None} if action == "GetItem" else {"ReturnValues": params.get("ReturnValues", "NONE")}
        if action == "GetItem" and params.get("ProjectionExpression"):
            more = {"Select": "SPECIFIC_ATTRIBUTES"}
        return _need(call, sources, action, params["TableName"], [params[member]], EnclosingOperation=None, **more)

    return mapper


def _query(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    table = sources.table(params["TableName"], call.region, call.account)
    resource = _table_arn(call, params["TableName"])
    index = params.get("IndexName")
    context = {
        "dynamodb:LeadingKeys": _queried(params, table, index) if table else None,
        "dynamodb:Select": params.get("Select"),
        "dynamodb:ReturnConsumedCapacity": params.get("ReturnConsumedCapacity"),
        "dynamodb:ReturnValues": None,
    }
    resources = (f"{resource}/index/{index}",) if index else (resource,)
    return [Need("dynamodb:Query", resources, context), *_key_use(call, sources, table)]


def _queried(params: Mapping[str, Any], table: Table, index: str | None) -> list[str] | None:
    """Return the partition key value that a query asks for."""
    hash_key = table.hash_key(index)
    if conditions := params.get("KeyConditions"):
        return [str(next(iter(value.values()))) for value in conditions[hash_key]["AttributeValueList"]]
    if "KeyConditionExpression" not in params:
        message = "Either the KeyConditions or KeyConditionExpression parameter must be specified"
        raise AwsError("ValidationException", message)
    parsed, _, _ = parse_expression(
        params["KeyConditionExpression"],
        params.get("ExpressionAttributeValues", {}),
        params.get("ExpressionAttributeNames", {}),
        [dict(element) for element in (table.indexes[index] if index else table.schema)],
    )
    return [str(next(iter(value.values()))) for name, value in parsed if name == hash_key]


def _transact_write(call: Call, sources: Sources) -> list[Need]:
    needs: list[Need] = []
    more = {"EnclosingOperation": "TransactWriteItems", "ReturnValues": "NONE"}
    for item in call.params["TransactItems"]:
        for kind, operation in item.items():
            action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
            key = operation["Item"] if kind == "Put" else operation["Key"]
            needs += _need(call, sources, action, operation["TableName"], [key], **more)
    return _distinct(needs)


def _transact_get(call: Call, sources: Sources) -> list[Need]:
    needs: list[Need] = []
    for item in call.params["TransactItems"]:
        get = item["Get"]
        needs += _need(
            call, sources, "GetItem", get["TableName"], [get["Key"]], EnclosingOperation="TransactGetItems", Select=None
        )
    return _distinct(needs)


def _batch_get(call: Call, sources: Sources) -> list[Need]:
    needs: list[Need] = []
    for table, request in call.params["RequestItems"].items():
        needs += _need(call, sources, "BatchGetItem", table, request["Keys"], Select=None)
    return _distinct(needs)


def _batch_write(call: Call, sources: Sources) -> list[Need]:
    needs: list[Need] = []
    for table, requests in call.params["RequestItems"].items():
        keys = [next(iter(request.values())) for request in requests]
        needs += _need(call, sources, "BatchWriteItem", table, [key.get("Item") or key["Key"] for key in keys])
    return _distinct(needs)


def _scan(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    resource = _table_arn(call, params["TableName"])
    index = params.get("IndexName")
    context = {
        "dynamodb:Select": params.get("Select"),
        "dynamodb:ReturnConsumedCapacity": params.get("ReturnConsumedCapacity"),
        "dynamodb:ReturnValues": None,
    }
    table = sources.table(params["TableName"], call.region, call.account)
    resources = (f"{resource}/index/{index}",) if index else (resource,)
    return [Need("dynamodb:Scan", resources, context), *_key_use(call, sources, table)]


def _table_action(action: str) -> Mapper:
    return lambda call, _sources: [Need(f"dynamodb:{action}", (_table_arn(call, call.params["TableName"]),))]


def _distinct(needs: list[Need]) -> list[Need]:
    """Ask once for the key of a table that several items are in."""
    return [need for position, need in enumerate(needs) if need not in needs[:position]]


OPERATIONS: Mapping[str, Mapper] = {
    "BatchGetItem": _batch_get,
    "BatchWriteItem": _batch_write,
    "DeleteItem": _one("DeleteItem", "Key"),
    "DescribeTable": _table_action("DescribeTable"),
    "DescribeTimeToLive": _table_action("DescribeTimeToLive"),
    "GetItem": _one("GetItem", "Key"),
    "ListTables": anywhere("dynamodb:ListTables"),
    "PutItem": _one("PutItem", "Item"),
    "Query": _query,
    "Scan": _scan,
    "TransactGetItems": _transact_get,
    "TransactWriteItems": _transact_write,
    "UpdateItem": _one("UpdateItem", "Key"),
}
