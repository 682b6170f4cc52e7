from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aurora_restore import audit, errors
from aurora_restore.model import PhaseTiming, Record, Resource, ResourceState, Status, iso
from aurora_restore.state import Standing, StateStore, unchanged
from tests.unit.core_support import EXECUTION_ARN, NOW, refused, settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef


@pytest.fixture
def store(tables: DynamoDBClient) -> StateStore:
    return StateStore(tables, settings())


def new(operation_id: str = "op", execution_arn: str = EXECUTION_ARN) -> Record:
    return Record(operation_id=operation_id, execution_arn=execution_arn, started_at=iso(NOW))


def claim(store: StateStore, record: Record | None = None) -> Record:
    return store.claim(record or new(), at=NOW, step="SnapshotCheck", event="operation_claimed", details={})


def update(store: StateStore, record: Record, mutate: Callable[[Record], Record], event: str = "e") -> Record:
    return store.update(record, mutate, at=NOW + timedelta(seconds=1), step="S", event=event, details={"n": 1.5})


def change(tables: DynamoDBClient, **attributes: AttributeValueTypeDef) -> None:
    """Write into the record past the store."""
    tables.update_item(
        TableName=settings().state_table,
        Key={"operation_id": {"S": "op"}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
        ExpressionAttributeNames={f"#{name}": name for name in attributes},
        ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()},
    )


def test_a_claim_makes_the_record_and_the_first_event(store: StateStore) -> None:
    record = claim(store)
    assert store.load("op", EXECUTION_ARN) == record
    assert (record.version, record.audit_sequence) == (1, 1)
    trail = store.trail("op", EXECUTION_ARN)
    assert audit.problems(trail, head=record.audit_hash) == []


def test_a_retried_claim_finds_its_own_record(store: StateStore) -> None:
    record = claim(store)
    assert claim(store) == record
    assert len(store.trail("op", EXECUTION_ARN)) == 1


def test_a_second_execution_is_refused_and_touches_nothing(store: StateStore) -> None:
    record = claim(store)
    with pytest.raises(errors.DuplicateOperation, match="IN_PROGRESS"):
        claim(store, new(execution_arn=f"{EXECUTION_ARN}-other"))
    assert store.load("op", EXECUTION_ARN) == record
    with pytest.raises(errors.StateLoadFailed, match="another execution"):
        store.load("op", f"{EXECUTION_ARN}-other")


def test_an_absent_record(store: StateStore) -> None:
    assert store.find("nothing", EXECUTION_ARN) is None
    assert store.standing("nothing") is None
    with pytest.raises(errors.StateLoadFailed, match="no record"):
        store.load("nothing", EXECUTION_ARN)


def test_everything_in_a_record_survives(store: StateStore) -> None:
    resource = Resource("db-cluster", "c", "eu-west-1", "1", "op", ResourceState.CREATED, arn="a", resource_id="r")
    failure = errors.Failure.of(errors.ClusterFailed("bad", field="f", details={"events": [{"at": "x"}]}), "S")

    def change(record: Record) -> Record:
        record = record.with_resource(resource).with_warnings("w").with_result("users", [{"name": "a", "n": 0.5}])
        record = record.with_timing("cluster", PhaseTiming(iso(NOW), good_reads=1, seen=True))
        return replace(record, status=Status.FAILED, error=failure, expires_at=123)

    saved = update(store, claim(store), change)
    assert store.find("op", EXECUTION_ARN) == saved
    cleared = update(store, saved, lambda record: replace(record, expires_at=None, error=None))
    found = store.find("op", EXECUTION_ARN)
    assert found == cleared
    assert found is not None
    assert (found.expires_at, found.error) == (None, None)


def test_the_trail_is_whole_after_many_changes(store: StateStore) -> None:
    record = claim(store)
    for number in range(12):
        record = update(store, record, unchanged, f"event-{number}")
    trail = store.trail("op", EXECUTION_ARN)
    assert [event["event"] for event in trail][1:] == [f"event-{number}" for number in range(12)]
    assert audit.problems(trail, head=record.audit_hash) == []


def test_a_whole_float_is_hashed_as_it_will_be_read(store: StateStore) -> None:
    record = store.update(claim(store), unchanged, at=NOW, step="S", event="e", details={"at_least": 1.0})
    assert audit.problems(store.trail("op", EXECUTION_ARN), head=record.audit_hash) == []


def test_a_lost_race_is_run_again_on_the_newer_record(store: StateStore) -> None:
    stale = claim(store)
    update(store, stale, lambda record: record.with_warnings("theirs"))
    saved = update(store, stale, lambda record: record.with_warnings("ours"))
    assert saved.warnings == ("theirs", "ours")
    assert saved.audit_sequence == 3
    assert audit.problems(store.trail("op", EXECUTION_ARN), head=saved.audit_hash) == []


class Failing:
    """A client whose transactions fail a number of times."""

    def __init__(self, client: DynamoDBClient, times: int, *reasons: str, code: str = "TransactionCanceledException"):
        self._client, self.left, self._code = client, times, code
        self._reasons = [{"Code": reason} for reason in reasons]
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **parameters: Any) -> Any:
        self.tries += 1
        if self.left:
            self.left -= 1
            error = refused(self._code, operation="TransactWriteItems")
            error.response["CancellationReasons"] = self._reasons  # type: ignore[typeddict-unknown-key]
            raise error
        return self._client.transact_write_items(**parameters)


def test_a_conflict_is_retried_within_bounds(tables: DynamoDBClient) -> None:
    record = claim(StateStore(tables, settings()))
    flaky: Any = Failing(tables, 3, "TransactionConflict", "None")
    assert update(StateStore(flaky, settings()), record, unchanged).version == 2
    assert flaky.tries == 4
    hopeless: Any = Failing(tables, 99, "TransactionConflict", "None")
    with pytest.raises(errors.StateConflict):
        update(StateStore(hopeless, settings()), record, unchanged)
    assert hopeless.tries < 20


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("TransactionCanceledException", "ValidationError", errors.StateSaveFailed),
        ("TransactionCanceledException", "ThrottlingError", errors.Throttled),
        ("ThrottlingException", "", errors.Throttled),
        ("ResourceNotFoundException", "", errors.StateStoreUnavailable),
        ("AccessDeniedException", "", errors.AccessDenied),
    ],
)
def test_other_failures_are_ours_at_once(
    tables: DynamoDBClient, code: str, reason: str, expected: type[errors.RestoreError]
) -> None:
    record = claim(StateStore(tables, settings()))
    failing: Any = Failing(tables, 1, reason, code=code)
    with pytest.raises(expected):
        update(StateStore(failing, settings()), record, unchanged)
    failing = Failing(tables, 1, reason, code=code)
    with pytest.raises(expected):
        claim(StateStore(failing, settings()), new("other"))


def test_a_newer_layout_is_refused(tables: DynamoDBClient, store: StateStore) -> None:
    claim(store)
    change(tables, schema_version={"N": "99"})
    with pytest.raises(errors.StateLoadFailed, match="newer"):
        store.find("op", EXECUTION_ARN)


def test_who_owns_an_operation_is_read_whatever_version_wrote_its_record(
    tables: DynamoDBClient, store: StateStore
) -> None:
    """Records outlive releases, and executions keep the code that they began with."""
    claim(store)
    change(tables, schema_version={"N": "99"}, unheard_of={"S": "x"}, status={"S": "PARKED"}, plan={"S": "another"})
    with pytest.raises(errors.DuplicateOperation, match="PARKED"):
        claim(store, new(execution_arn=f"{EXECUTION_ARN}-other"))
    assert store.find("op", f"{EXECUTION_ARN}-other") is None
    standing = store.standing("op")
    assert standing == Standing(EXECUTION_ARN, "PARKED", None)
    assert standing.over


@pytest.mark.parametrize(
    ("status", "compensation", "over"),
    [
        ("QUEUED", None, False),
        ("IN_PROGRESS", None, False),
        ("FAILED", "running", False),
        ("FAILED", "incomplete", True),
        ("FAILED", None, True),
        ("SUCCEEDED", None, True),
    ],
)
def test_when_an_operation_is_over(status: str, compensation: str | None, over: bool) -> None:
    assert Standing("arn", status, compensation).over is over
