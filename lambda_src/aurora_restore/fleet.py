"""What makes many operations at once bearable for RDS, whose limit of calls a second all of an account share.

Two things, both in items of their own in the state table:

- *turns*: operations that start together are let in one after the other. A turn is reserved, not asked for again and
  again: the workflow waits until it comes.
- *listings*: which clusters and instances are still under way, listed for all operations by the first that finds the
  list too old. It only ever says "not yet": whatever it does not show as under way is looked at itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import ClientError

from aurora_restore.errors import translate
from aurora_restore.readiness import CLUSTER_TRANSIENT, INSTANCE_TRANSIENT, normal_status

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_rds import RDSClient

Kind = Literal["db-cluster", "db-instance"]

CALLS_PER_OPERATION: Final = 32
"""Requests that an operation makes of its own: preflight, changes, and the looks that find a phase ready."""
LISTING_SHARE: Final = 0.25
"""The part of the calls a second that listings may take; the rest is for operations."""
TURNS_AT_ONCE: Final = 4
"""So many operations may start together before any has to wait."""

_TURNS: Final = "turns#rds"
_PAGE: Final = 100


def take_turn(dynamodb: DynamoDBClient, table: str, *, now: datetime, calls_per_second: float) -> int:
    """Reserve the next start; whole seconds until it comes, 0 when nobody is waiting.

    The item holds when the next turn would be, were none let in early: each turn moves it on by the time that an
    operation's calls take. Two updates at most and no read, so that hundreds at once do not race.
    """
    spacing = CALLS_PER_OPERATION / (calls_per_second * (1 - LISTING_SHARE))
    at = now.timestamp()
    early = at - TURNS_AT_ONCE * spacing
    taken = _update(
        dynamodb,
        table,
        _TURNS,
        "SET next_at = next_at + :spacing",
        "next_at > :early",
        {":spacing": spacing, ":early": early},
    )
    if taken is None:
        taken = _update(
            dynamodb,
            table,
            _TURNS,
            "SET next_at = :first",
            "attribute_not_exists(next_at) OR next_at <= :early",
            {":first": early + spacing, ":early": early},
        )
    if taken is None:  # another was first between the two
        return take_turn(dynamodb, table, now=now, calls_per_second=calls_per_second)
    return max(0, round(float(taken["next_at"]["N"]) - at))


class Listings:
    """Which of the account's clusters and instances are under way, as of a few seconds ago."""

    def __init__(
        self,
        rds: RDSClient,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        now: datetime,
        floor: int,
        calls_per_second: float,
    ) -> None:
        self._rds, self._dynamodb, self._table = rds, dynamodb, table
        self._now, self._floor, self._rate = now.timestamp(), floor, calls_per_second * LISTING_SHARE

    def under_way(self, kind: Kind, *, since: datetime) -> Mapping[str, str]:
        """Statuses by resource id, of those on their way to be available; none when the list is of before ``since``."""
        key = f"listing#{kind}"
        item = self._read(key)
        claimed_at, pages = _number(item, "claimed_at"), max(1.0, _number(item, "pages"))
        # Two kinds share the calls a second. Half of the floor: what others have listed costs little delay.
        too_old = self._now - claimed_at > max(self._floor / 2, 2 * pages / self._rate)
        if too_old and self._claim(key, claimed_at if item else None):
            return self._list(key, kind)
        if _number(item, "taken_at") < since.timestamp():
            return {}
        found: dict[str, str] = json.loads(item["statuses"]["S"])
        return found

    def _read(self, key: str) -> Mapping[str, Any]:
        try:
            answer = self._dynamodb.get_item(TableName=self._table, Key={"operation_id": {"S": key}})
        except ClientError as error:
            raise translate(error, "dynamodb") from error
        return answer.get("Item") or {}

    def _claim(self, key: str, read: float | None) -> bool:
        """Whether it is this one that lists; the others go by the old list meanwhile."""
        condition, values = "attribute_not_exists(claimed_at)", {":now": self._now}
        if read is not None:
            condition, values = "claimed_at = :read", {**values, ":read": read}
        return _update(self._dynamodb, self._table, key, "SET claimed_at = :now", condition, values) is not None

    def _list(self, key: str, kind: Kind) -> Mapping[str, str]:
        pages = list(self._clusters() if kind == "db-cluster" else self._instances())
        found = dict(status for page in pages for status in page)
        _update(
            self._dynamodb,
            self._table,
            key,
            "SET taken_at = :now, statuses = :statuses, pages = :pages",
            "attribute_not_exists(taken_at) OR taken_at < :now",
            {":now": self._now, ":statuses": json.dumps(found, separators=(",", ":")), ":pages": len(pages)},
        )
        return found

    def _clusters(self) -> Iterator[list[tuple[str, str]]]:
        for page in self._rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": _PAGE}):
            statuses = ((c["DbClusterResourceId"], normal_status(c.get("Status"))) for c in page["DBClusters"])
            yield [(resource, status) for resource, status in statuses if status in CLUSTER_TRANSIENT]

    def _instances(self) -> Iterator[list[tuple[str, str]]]:
        for page in self._rds.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": _PAGE}):
            statuses = ((i["DbiResourceId"], normal_status(i.get("DBInstanceStatus"))) for i in page["DBInstances"])
            yield [(resource, status) for resource, status in statuses if status in INSTANCE_TRANSIENT]


def _number(item: Mapping[str, Any], name: str) -> float:
    return float(item[name]["N"]) if name in item else 0.0


def _update(
    dynamodb: DynamoDBClient,
    table: str,
    key: str,
    expression: str,
    condition: str,
    values: Mapping[str, float | str],
) -> Mapping[str, Any] | None:
    """The item after the update, or None when the condition did not hold."""
    given = {name: {"S": value} if isinstance(value, str) else {"N": f"{value:.3f}"} for name, value in values.items()}
    try:
        answer = dynamodb.update_item(
            TableName=table,
            Key={"operation_id": {"S": key}},
            UpdateExpression=expression,
            ConditionExpression=condition,
            ExpressionAttributeValues=given,
            ReturnValues="ALL_NEW",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return None
        raise translate(error, "dynamodb") from error
    return answer["Attributes"]
