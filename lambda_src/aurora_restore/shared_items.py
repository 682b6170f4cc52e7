"""What operations share, and who may do what with it: owners of copies and of shares, lanes for copies, and who waits.

The items lie in the state table under keys that no operation can have (an operation_id has no "#"). Each change is one
conditional write; what it changes to is decided by pure functions. Nothing is ever deleted here: an item that may go
gets a time to live, and is read as if it had gone already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from aurora_restore import waits
from aurora_restore.errors import StateConflict, translate, wire_code
from aurora_restore.model import from_dynamo, iso

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SETTLES: Final = timedelta(seconds=300)
"""How long after its last try a removal may still arrive at RDS: a function's life, the SDK's own retries included.

Only then may what was removed be made anew under the same name, or a late call would remove the new one.
"""

WAITER_GRACE: Final = timedelta(seconds=300)
"""How long a waiter keeps its place after it should have come back: longer than the retries of a step that is slow."""

HELD_UNSEEN: Final = timedelta(seconds=waits.TURN_CAP) + 2 * WAITER_GRACE
"""How long a copy may hold its lane without being in flight: until RDS shows it, or while AWS refuses it for copies of
others, when its operation comes back within TURN_CAP and its grace."""

_GONE_AFTER: Final = timedelta(days=7)
_ATTEMPTS: Final = 10
_FREE: Final = "#state = :active OR (#state = :deleting AND deleting_at < :settled)"
"""Of an item: no removal can arrive any more."""
_serialize: Final = TypeSerializer().serialize
_deserialize: Final = TypeDeserializer().deserialize


# --- owners -----------------------------------------------------------------------------------------------------------


class Left(StrEnum):
    """What is to be done with a thing by who has just left it."""

    REMOVE = "REMOVE"
    """Nobody needs it: remove it. Until it is gone nobody can join."""
    OTHERS = "OTHERS"
    """Other operations need it."""
    ABSENT = "ABSENT"
    """There is no item: the operation never came so far as to own it."""
    KEPT = "KEPT"
    """It stays, since this or another operation was asked to keep it."""


def copy_key(arn: str) -> str:
    """The item of a snapshot copy."""
    return f"copy#{arn}"


def share_key(snapshot_arn: str, account: str) -> str:
    """The item of a share that the pipeline has added to a snapshot."""
    return f"share#{snapshot_arn}#{account}"


# --- lanes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """One operation's wish to make one copy, in the account and region in which the copy is made."""

    operation_id: str
    account: str
    region: str
    copy: str
    """ARN of the copy. It is what holds a lane: operations that share a copy share its lane."""

    @property
    def lane_key(self) -> str:
        """The item of the lanes."""
        return f"lane#{self.account}#{self.region}"

    @property
    def waiter(self) -> str:
        """Its name in the queue."""
        return f"{self.operation_id}#{self.copy.rpartition(':')[2]}"

    @property
    def wait_key(self) -> str:
        """The item of the token that wakes it."""
        return self.wait_key_of(self.waiter)

    def wait_key_of(self, waiter: str) -> str:
        """The same for another waiter of the same queue."""
        return f"wait#{self.account}#{self.region}#{waiter}"


@dataclass(frozen=True)
class Waiter:
    """A place in the queue; who does not come back loses it."""

    name: str
    until: str


@dataclass(frozen=True)
class Lanes:
    """The copies in flight to one account and region, and who waits for one of them to end, first come first served."""

    holders: Mapping[str, str] = field(default_factory=dict)
    """Since when, by copy."""
    waiting: tuple[Waiter, ...] = ()

    def take(self, turn: Turn, *, limit: int, now: datetime, until: datetime) -> Lanes:
        """With the copy among the holders if it is its turn, else with the waiter in the queue until then."""
        present = self._present(now)
        place = next((n for n, waiter in enumerate(present) if waiter.name == turn.waiter), len(present))
        if turn.copy in self.holders or place < limit - len(self.holders):
            others = tuple(waiter for waiter in present if waiter.name != turn.waiter)
            return Lanes({**self.holders, turn.copy: iso(now)}, others)
        waiter = Waiter(turn.waiter, iso(until))
        return Lanes(self.holders, (*present[:place], waiter, *present[place + 1 :]))

    def without(self, *copies: str) -> Lanes:
        """With the lanes of these copies free."""
        return replace(self, holders={copy: since for copy, since in self.holders.items() if copy not in copies})

    def forget(self, turn: Turn) -> Lanes:
        """Without the waiter."""
        return replace(self, waiting=tuple(waiter for waiter in self.waiting if waiter.name != turn.waiter))

    def next(self, *, limit: int, now: datetime) -> tuple[str, ...]:
        """The waiters whose turn it is."""
        return tuple(waiter.name for waiter in self._present(now)[: max(0, limit - len(self.holders))])

    def may_go(self, turn: Turn, *, limit: int, now: datetime) -> bool:
        """It is the waiter's turn, or it has no place in the queue: then it has to ask again, not to wait."""
        named = {waiter.name for waiter in self._present(now)}
        return turn.copy in self.holders or turn.waiter not in named or turn.waiter in self.next(limit=limit, now=now)

    def doubtful(self, now: datetime) -> tuple[str, ...]:
        """Holders that should be in flight by now: to be looked up when all lanes are taken."""
        return tuple(copy for copy, since in self.holders.items() if since <= iso(now - HELD_UNSEEN))

    def _present(self, now: datetime) -> tuple[Waiter, ...]:
        return tuple(waiter for waiter in self.waiting if waiter.until > iso(now))

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Lanes:
        """From the item's plain data."""
        return cls(item.get("holders", {}), tuple(Waiter(**waiter) for waiter in item.get("waiting", ())))


# --- the items --------------------------------------------------------------------------------------------------------


class SharedItems:
    """Reads and conditional writes."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    # owners

    def join(self, key: str, operation_id: str, now: datetime, *, gone: bool) -> bool:
        """Become an owner; False while somebody removes it, or may still do so.

        The caller has seen that the thing is not there (``gone``), or that it is and is not going: then a removal that
        has settled is over, or has failed.
        """
        # Whoever wanted it kept meant the one that was there.
        return self._join(key, operation_id, now, f"attribute_not_exists(#state) OR {_FREE}", "kept" if gone else "")

    def join_existing(self, key: str, operation_id: str, now: datetime) -> bool:
        """Become an owner of the share that is there, if it is the pipeline's and nobody is withdrawing it.

        One that was to be withdrawn and was not is the pipeline's still; what is there after that is a person's.
        """
        return self._join(key, operation_id, now, f"({_FREE}) AND attribute_not_exists(withdrawn)")

    def withdrawn(self, key: str) -> None:
        """Note that the share is gone, by who was the last to leave it."""
        self._update(key, "SET withdrawn = :yes", "#state = :deleting", {":yes": True, ":deleting": "DELETING"})

    def owners(self, key: str) -> frozenset[str]:
        """Who needs the thing."""
        return frozenset(self._read(key).get("owners", ()))

    def settled(self, key: str, now: datetime) -> bool:
        """No removal may be under way."""
        item = self._read(key)
        return item.get("state") != "DELETING" or str(item["deleting_at"]) < iso(now - SETTLES)

    def _join(self, key: str, operation_id: str, now: datetime, condition: str, *stale: str) -> bool:
        past = ", ".join(["deleting_at", "expires_at", "withdrawn", *filter(None, stale)])
        joined = self._update(
            key,
            f"SET #state = :active ADD owners :me REMOVE {past}",
            condition,
            {
                ":active": "ACTIVE",
                ":deleting": "DELETING",
                ":settled": iso(now - SETTLES),
                ":me": {operation_id},
            },
        )
        return joined is not None

    def leave(self, key: str, operation_id: str, now: datetime, *, keep: bool = False) -> Left:
        """Be an owner no more; can be called again until what it answers has been done.

        The last to leave finds nobody left in the very write that keeps others from joining, so that nothing is
        removed under an owner. ``keep`` has it stay, also when others leave later.
        """
        after = self._update(
            key,
            f"{'SET kept = :yes ' if keep else ''}DELETE owners :me",
            "#state = :active" if keep else "attribute_exists(#state)",
            {":me": {operation_id}, **({":yes": True, ":active": "ACTIVE"} if keep else {})},
        )
        if after is None:
            return Left.OTHERS if keep else Left.ABSENT
        if after.get("kept"):
            return Left.KEPT
        alone = self._update(
            key,
            "SET #state = :deleting, deleting_at = :now, expires_at = :gone",
            "attribute_exists(#state) AND attribute_not_exists(owners) AND attribute_not_exists(kept)",
            {":deleting": "DELETING", ":now": iso(now), ":gone": int((now + _GONE_AFTER).timestamp())},
        )
        return Left.OTHERS if alone is None else Left.REMOVE

    # lanes

    def lanes(self, turn: Turn) -> Lanes:
        """The lanes as they are now."""
        return Lanes.from_item(self._read(turn.lane_key))

    def change_lanes(self, turn: Turn, change: Callable[[Lanes], Lanes]) -> Lanes:
        """Change the lanes by a pure function, which may be called again on newer ones."""
        for _ in range(_ATTEMPTS):
            item = self._read(turn.lane_key)
            before = Lanes.from_item(item)
            after = change(before)
            if after == before:
                return before
            saved = self._update(
                turn.lane_key,
                "SET holders = :holders, waiting = :waiting, #version = :next",
                "#version = :read" if item else "attribute_not_exists(#version)",
                {
                    ":holders": dict(after.holders),
                    ":waiting": [{"name": waiter.name, "until": waiter.until} for waiter in after.waiting],
                    ":next": int(item.get("version", 0)) + 1,
                    **({":read": item["version"]} if item else {}),
                },
            )
            if saved is not None:
                return after
        raise StateConflict(f"{turn.lane_key} could not be saved: too many writers at once")

    # tokens

    def leave_token(self, turn: Turn, token: str, expires: datetime) -> None:
        """Leave the token by which the waiter can be woken."""
        values = {":token": token, ":expires": int(expires.timestamp())}
        self._update(turn.wait_key, "SET task_token = :token, expires_at = :expires", "", values)

    def take_token(self, wait_key: str) -> str | None:
        """Take a waiter's token, which wakes once only; None when there is none."""
        answer = self._update(wait_key, "REMOVE task_token", "attribute_exists(task_token)", {}, returns="UPDATED_OLD")
        return None if answer is None else str(answer["task_token"])

    # DynamoDB

    def _read(self, key: str) -> dict[str, Any]:
        """The item as plain data; empty when there is none."""
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table, Key={"operation_id": {"S": key}}, ConsistentRead=True
            )
        except ClientError as error:
            raise translate(error, "dynamodb") from error
        return _plain(answer.get("Item", {}))

    def _update(
        self, key: str, update: str, condition: str, values: Mapping[str, Any], returns: Any = "ALL_NEW"
    ) -> dict[str, Any] | None:
        """One conditional write; what it returns, or None when the condition did not hold."""
        reserved = {"#state": "state", "#version": "version"}
        names = {name: word for name, word in reserved.items() if name in f"{update} {condition}"}
        given: dict[str, Any] = {
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {name: _serialize(value) for name, value in values.items()},
        }
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={"operation_id": {"S": key}},
                UpdateExpression=update,
                ReturnValues=returns,
                **{name: value for name, value in given.items() if value},
            )
        except ClientError as error:
            if wire_code(error) == "ConditionalCheckFailedException":
                return None
            raise translate(error, "dynamodb") from error
        return _plain(answer.get("Attributes", {}))


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = from_dynamo({name: _deserialize(value) for name, value in item.items()})
    return data
