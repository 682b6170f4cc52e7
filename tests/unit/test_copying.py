"""CopySnapshots, Cleanup and Compensate on fakes of RDS in two accounts and regions, and moto's DynamoDB."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from aurora_restore import audit, errors
from aurora_restore.engine.snapshots import Snapshots, copy_parameters
from aurora_restore.model import CopyRoute, PhaseTiming, Status, iso
from aurora_restore.names import MANAGED_BY_TAG, OPERATION_TAG
from aurora_restore.shared_items import HELD_UNSEEN, SETTLES, Turn, copy_key, share_key
from tests.unit.copy_support import (
    SOURCE,
    SOURCE_ACCOUNT,
    SOURCE_REGION,
    Operation,
    World,
    arn,
    boto_parameters,
    copy,
    foreign_copy,
    make_world,
    plan,
)
from tests.unit.core_support import ACCOUNT, KEY_ARN, REGION, refused

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def world(tables: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> World:
    return make_world(tables, monkeypatch)


SHARED = copy(1, account=SOURCE_ACCOUNT, region=SOURCE_REGION, share=True)
TWO_HOPS = (SHARED, copy(2, source_arn=SHARED.arn))


def limit_reached() -> Exception:
    return refused("SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions", "CopyDBClusterSnapshot")


# --- the main road --------------------------------------------------------------------------------------------------


def test_two_copies_over_two_accounts_leave_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    op = world.operation("op", plan(*TWO_HOPS))
    op.copied()
    there, here = world.rds(SOURCE_ACCOUNT, SOURCE_REGION), world.rds()
    assert there.shared[SHARED.identifier] == {ACCOUNT}
    assert op.states == {"arp-orders-1": "CREATED", "arp-orders-2": "CREATED"}
    assert {item.account for item in op.record.resources} == {ACCOUNT, SOURCE_ACCOUNT}
    assert set(op.record.timings) == {"copy-1", "copy-2"}
    [made] = here.made("copy_db_cluster_snapshot")
    tags = {tag["Key"]: tag["Value"] for tag in made.pop("Tags")}
    assert tags == {OPERATION_TAG: "op", MANAGED_BY_TAG: "restore"}
    assert made == {
        "SourceDBClusterSnapshotIdentifier": SHARED.arn,
        "TargetDBClusterSnapshotIdentifier": "arp-orders-2",
        "CopyTags": False,
        "KmsKeyId": KEY_ARN,
    }
    assert world.items.lanes(_turn(op)).holders == {}

    op.cleanup()
    assert op.states == {"arp-orders-1": "DELETED", "arp-orders-2": "DELETED"}
    for rds in (there, here):
        rds.all_deleted()
        assert rds.snapshots == []
    assert audit.problems(op.store.trail("op", op.execution)) == []
    assert [name for name in op.events if name.startswith(("copy_", "share_"))] == [
        "copy_intended", "copy_started", "copy_available", "share_added",
        "copy_intended", "copy_started", "copy_available", "copy_deleted", "copy_deleted",
    ]  # fmt: skip
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "AuroraRestoreDuration" in line]
    assert [line["Phase"] for line in lines] == ["copy", "copy"]


def _turn(op: Operation) -> Turn:
    return Turn(op.name, ACCOUNT, REGION, arn("arp-orders-1"))


def test_every_step_can_be_repeated(world: World) -> None:
    op = world.operation("op", plan(*TWO_HOPS, share=True))
    for _ in range(2):
        op.copied()
    for _ in range(2):
        op.cleanup()
    calls = [name for rds in world.regions.values() for name, _ in rds.calls]
    assert calls.count("copy_db_cluster_snapshot") == 2
    assert calls.count("delete_db_cluster_snapshot") == 2
    assert op.events.count("copy_started") == 2


def test_a_copy_within_one_region_takes_no_lane(world: World) -> None:
    planned = copy(source_arn=arn("rds:orders-2026-11-23-05-00"), kms_key_id=None)
    op = world.operation("op", plan(planned))
    op.start()
    [made] = world.rds().made("copy_db_cluster_snapshot")
    assert "KmsKeyId" not in made
    assert "SourceRegion" not in made
    assert world.items.lanes(_turn(op)).holders == {}


def test_only_between_govcloud_regions_the_source_region_is_given() -> None:
    source = "arn:aws-us-gov:rds:us-gov-east-1:1:cluster-snapshot:s"
    parameters = copy_parameters(copy(source_arn=source, region="us-gov-west-1"), {})
    assert parameters["SourceRegion"] == "us-gov-east-1"
    boto_parameters(parameters)
    assert "SourceRegion" not in copy_parameters(copy(source_arn=source, region="us-gov-east-1"), {})
    assert "SourceRegion" not in copy_parameters(copy(), {})
    assert copy_parameters(copy(), {})["CopyTags"] is False


def test_a_copy_whose_answer_was_lost_is_found_again(world: World) -> None:
    op = world.operation("op", plan(copy()))
    real = world.rds().copy_db_cluster_snapshot

    def lost(**parameters: Any) -> Any:
        real(**parameters)
        raise refused("InternalFailure", status=500)

    world.rds().copy_db_cluster_snapshot = lost  # type: ignore[method-assign]
    with pytest.raises(errors.Throttled):
        op.start()
    assert op.states == {"arp-orders-1": "INTENDED"}
    assert world.items.lanes(_turn(op)).holders  # it may be in flight
    assert op.start()["state"] == "STARTED"
    assert op.states == {"arp-orders-1": "CREATED"}
    assert "copy_joined" not in op.events


def test_a_copy_that_rds_does_not_show_yet_is_looked_for_again(world: World) -> None:
    op = world.operation("op", plan(copy()))
    world.rds().errors["copy_db_cluster_snapshot"] = [refused("DBClusterSnapshotAlreadyExistsFault")]
    with pytest.raises(errors.ResourceBusy):
        op.start()


def test_a_step_that_comes_after_the_end_does_nothing(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.compensate()
    with pytest.raises(errors.OperationEnded):
        op.start()
    assert world.rds().made("copy_db_cluster_snapshot") == []


def test_an_unknown_step_is_refused(world: World) -> None:
    op = world.operation("op", plan(copy()))
    with pytest.raises(errors.InternalError, match="NoSuchStep"):
        op.step("NoSuchStep")


def test_an_account_without_a_role_is_out_of_reach(world: World) -> None:
    op = world.operation("op", plan(copy(account="111111111111", source_arn=SOURCE)))
    with pytest.raises(errors.AssumeRoleFailed):
        op.start()


# --- joining --------------------------------------------------------------------------------------------------------


def test_a_second_operation_joins_the_copy_and_the_last_one_deletes_it(world: World) -> None:
    a, b = world.operation("a", plan(copy())), world.operation("b", plan(copy()))
    a.start()
    assert b.start()["state"] == "STARTED"
    assert "copy_joined" in b.events
    assert len(world.rds().made("copy_db_cluster_snapshot")) == 1
    world.rds().all_copied()
    for op in (a, b):
        assert op.observe()["state"] == "READY"
        op.finish()
    a.cleanup()
    assert a.states == {"arp-orders-1": "RELEASED"}
    assert world.rds().made("delete_db_cluster_snapshot") == []
    b.cleanup()
    assert b.states == {"arp-orders-1": "DELETED"}
    assert len(world.rds().made("delete_db_cluster_snapshot")) == 1


@pytest.mark.parametrize(
    ("status", "results", "removed"),
    [
        (Status.SUCCEEDED, {}, True),
        (Status.FAILED, {"compensation": {"outcome": "incomplete"}}, True),
        (Status.FAILED, {"compensation": {"outcome": "running"}}, False),
        (Status.IN_PROGRESS, {}, False),
    ],
)
def test_an_owner_whose_operation_is_over_holds_nothing(
    world: World, status: Status, results: dict[str, Any], removed: bool
) -> None:
    """It could not leave when it was its turn: the account was out of reach."""
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    a, b = (world.operation(name, plan(copy(), share=True)) for name in ("a", "b"))
    a.copied()
    b.copied()
    a.change(status=status, results=results)
    b.cleanup()
    assert set(b.states.values()) == {"DELETED" if removed else "RELEASED"}
    assert there.shared["orders-manual"] == (set() if removed else {ACCOUNT})
    assert len(world.rds().made("delete_db_cluster_snapshot")) == removed


def test_what_fails_does_not_take_the_copy_from_others(world: World) -> None:
    a, b = world.operation("a", plan(copy())), world.operation("b", plan(copy()))
    a.start()
    b.start()
    assert a.compensate()["state"] == "READY"
    assert a.states == {"arp-orders-1": "RELEASED"}
    assert a.record.expires_at
    assert world.items.lanes(_turn(a)).holders  # it is in flight still
    world.rds().all_copied()
    b.observe()
    b.finish()
    assert world.items.lanes(_turn(b)).holders == {}


def test_a_copy_that_is_being_deleted_is_waited_for_and_made_anew(world: World) -> None:
    a, b = world.operation("a", plan(copy())), world.operation("b", plan(copy()))
    a.copied()
    a.cleanup()
    blocked = b.start()
    assert (blocked["state"], blocked["wait_seconds"]) == ("BLOCKED", 60)
    assert b.record.status is Status.QUEUED
    assert b.record.phase == "CopySnapshots"
    world.rds().all_deleted()
    assert b.start()["state"] == "BLOCKED"  # the deletion may be repeated by the SDK
    world.now += SETTLES
    assert b.start()["state"] == "STARTED"
    assert b.record.status is Status.IN_PROGRESS
    assert b.record.timings["queue-1"].ready_at
    assert len(world.rds().made("copy_db_cluster_snapshot")) == 2


def test_a_copy_whose_deletion_failed_is_used_again(world: World) -> None:
    a, b = world.operation("a", plan(copy())), world.operation("b", plan(copy()))
    a.copied()
    world.rds().errors["delete_db_cluster_snapshot"] = [refused("AccessDenied", "no")]
    with pytest.raises(errors.CleanupIncomplete):
        a.cleanup()
    assert b.start()["state"] == "BLOCKED"
    world.now += SETTLES
    assert b.start()["state"] == "STARTED"
    b.cleanup()
    assert len(world.rds().made("copy_db_cluster_snapshot")) == 1
    assert b.states == {"arp-orders-1": "DELETED"}


def test_a_kept_copy_is_found_again_and_stays(world: World) -> None:
    a = world.operation("a", plan(copy()), keep_copies=True)
    a.copied()
    a.cleanup()
    assert a.states == {"arp-orders-1": "KEPT"}
    b = world.operation("b", plan(copy()))
    b.copied()
    b.cleanup()
    assert b.states == {"arp-orders-1": "RELEASED"}
    assert len(world.rds().made("copy_db_cluster_snapshot")) == 1
    assert world.rds().made("delete_db_cluster_snapshot") == []


def test_a_copy_that_has_failed_is_never_kept(world: World) -> None:
    op = world.operation("op", plan(copy()), keep_copies_on_failure=True)
    op.start()
    world.rds().snapshots[0]["Status"] = "failed"
    op.compensate()
    assert op.states == {"arp-orders-1": "DELETING"}
    assert len(world.rds().made("delete_db_cluster_snapshot")) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"TagList": []}, MANAGED_BY_TAG),
        ({"TagList": [{"Key": MANAGED_BY_TAG, "Value": "other"}]}, MANAGED_BY_TAG),
    ],
)
def test_what_only_has_the_name_is_not_adopted_and_never_deleted(
    world: World, changes: dict[str, Any], why: str
) -> None:
    planned = copy()
    world.rds().snapshots.append(foreign_copy(planned, **changes))
    op = world.operation("op", plan(planned))
    for again in (False, True):
        with pytest.raises(errors.CopyNameConflict, match=f"{why}|not the pipeline's" if again else why):
            op.start()
    assert op.states == {"arp-orders-1": "FOREIGN"}
    assert op.compensate()["status"] == "CLEAN"
    assert world.rds().made("delete_db_cluster_snapshot") == []


def test_a_conflict_does_not_free_the_lane_of_what_is_in_flight(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    world.rds().snapshots[0]["TagList"] = []
    with pytest.raises(errors.CopyNameConflict):
        op.start()
    assert world.items.lanes(_turn(op)).holders
    op.compensate()
    assert world.items.lanes(_turn(op)).holders


@pytest.mark.parametrize("source", [None, arn("arp-orders-near", SOURCE_ACCOUNT, SOURCE_REGION)])
def test_a_copy_without_an_item_is_adopted_by_its_tag_whichever_way_it_came(world: World, source: str | None) -> None:
    planned = copy()
    world.rds().snapshots.append(foreign_copy(planned, SourceDBClusterSnapshotArn=source))
    op = world.operation("op", plan(planned))
    op.copied()
    op.cleanup()
    assert op.states == {"arp-orders-1": "DELETED"}


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("KMSKeyNotAccessibleFault", "The source snapshot KMS key …", errors.CopyKeyInaccessible),
        ("SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots", errors.SnapshotQuotaExceeded),
        ("DBClusterSnapshotNotFoundFault", "not found", errors.CopySourceVanished),
        ("InvalidDBClusterSnapshotStateFault", "it is creating", errors.ResourceBusy),
        ("InvalidParameterValue", "The security group", errors.CopyStartFailed),
        ("AccessDenied", "no", errors.AccessDenied),
        ("Throttling", "slowly", errors.Throttled),
        ("SomethingNew", "no", errors.CopyStartFailed),
    ],
)
def test_what_rds_refuses(world: World, code: str, message: str, expected: type[errors.RestoreError]) -> None:
    planned = copy(source_arn=arn("orders-manual", region=SOURCE_REGION))
    op = world.operation("op", plan(planned))
    world.rds().errors["copy_db_cluster_snapshot"] = [refused(code, message, "CopyDBClusterSnapshot")]
    with pytest.raises(expected):
        op.start()
    held = world.items.lanes(_turn(op)).holders
    assert bool(held) is (expected is errors.Throttled)
    assert op.start()["state"] == "STARTED"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterCombination", "no"),
        ("InvalidParameterValue", "no"),
        ("OperationNotPermitted", "Cross-account copies across Regions aren't supported"),
        ("InvalidRequest", "This is not currently supported"),
    ],
)
def test_a_single_step_that_aws_does_not_offer(world: World, code: str, message: str) -> None:
    op = world.operation("op", plan(copy()))
    world.rds().errors["copy_db_cluster_snapshot"] = [refused(code, message, "CopyDBClusterSnapshot")]
    with pytest.raises(errors.DirectCopyRefused):
        op.start()
    # Without a way around it, that is the end.
    with pytest.raises(errors.DirectCopyRefused):
        op.step("UseFallback")


def test_the_fallback_takes_over_what_was_made_and_cleans_up_the_rest(world: World) -> None:
    near = copy(2, source_arn=SHARED.arn, region=SOURCE_REGION, identifier="arp-orders-near")
    far = copy(3, source_arn=near.arn, identifier="arp-orders-far")
    op = world.operation("op", plan(*TWO_HOPS, fallback=CopyRoute(copies=(SHARED, near, far))))
    op.step("PrepareCopies")
    op.start(1)
    world.rds(SOURCE_ACCOUNT, SOURCE_REGION).all_copied()
    op.observe(1)
    op.finish(1)
    world.rds().errors["copy_db_cluster_snapshot"] = [refused("InvalidParameterValue", "no", "CopyDBClusterSnapshot")]
    with pytest.raises(errors.DirectCopyRefused):
        op.start(2)
    for _ in range(2):
        taken = op.step("UseFallback")
        assert taken["copies"] == [{"ordinal": n, "phase": f"copy-{n}"} for n in (1, 2, 3)]
    record = op.record
    assert record.planned.snapshot_to_restore == far.arn
    assert record.planned.fallback_route is None
    assert set(record.timings) == {"copy-1"}
    assert any("one step" in warning for warning in record.warnings)
    op.copied()
    assert len(world.rds(SOURCE_ACCOUNT, SOURCE_REGION).made("copy_db_cluster_snapshot")) == 1
    op.cleanup()
    assert set(op.states.values()) == {"DELETED"}
    assert len(op.states) == 4


# --- lanes ----------------------------------------------------------------------------------------------------------


def many(world: World, number: int) -> list[Operation]:
    return [world.operation(f"op-{n}", plan(copy(identifier=f"arp-orders-{n}"))) for n in range(number)]


def test_who_finds_no_lane_waits_and_is_woken(world: World) -> None:
    a, b, c, d = many(world, 4)
    assert [op.start()["state"] for op in (a, b, c, d)] == ["STARTED", "STARTED", "QUEUED", "QUEUED"]
    assert (c.record.status, c.record.phase) == (Status.QUEUED, "CopySnapshots")
    assert c.events.count("copy_queued") == 1
    assert c.start()["wait_seconds"] == 900
    assert c.events.count("copy_queued") == 1  # written only what changes
    assert c.step("WaitForLane", ordinal=1, task_token="token-c")["waiting"]
    assert d.step("WaitForLane", ordinal=1, task_token="token-d")["waiting"]
    world.rds().all_copied()
    a.observe()
    a.finish()
    assert world.woken == ["token-c"]
    assert d.start()["state"] == "QUEUED"  # it is not its turn
    assert c.start()["state"] == "STARTED"
    assert c.record.status is Status.IN_PROGRESS
    b.finish()
    assert world.woken == ["token-c", "token-d"]


def test_a_lane_that_was_given_back_before_the_token_came_wakes_at_once(world: World) -> None:
    a, b, c = many(world, 3)
    for op in (a, b, c):
        op.start()
    a.finish()
    assert world.woken == []
    assert not c.step("WaitForLane", ordinal=1, task_token="token-c")["waiting"]
    assert world.woken == ["token-c"]


def test_a_token_that_nobody_waits_for_does_no_harm(world: World) -> None:
    a, b, c = many(world, 3)
    for op in (a, b, c):
        op.start()
    c.step("WaitForLane", ordinal=1, task_token="stale")
    a.finish()
    assert c.start()["state"] == "STARTED"  # by its time-out


def test_lanes_that_nobody_uses_are_found_when_all_are_taken(world: World) -> None:
    """Their executions were stopped: nobody has given them back."""
    a, b, c = many(world, 3)
    a.start()
    b.start()
    world.rds().found("arp-orders-0")["Status"] = "available"  # type: ignore[index]
    assert c.start()["state"] == "QUEUED"
    world.now += HELD_UNSEEN
    assert c.start()["state"] == "STARTED"
    assert set(world.items.lanes(_turn(a)).holders) == {arn("arp-orders-1"), arn("arp-orders-2")}


def test_a_copy_in_flight_is_joined_by_who_waits_for_a_lane(world: World) -> None:
    a, b, c = many(world, 3)
    late = world.operation("late", plan(copy(identifier="arp-orders-2")))
    a.start()
    b.start()
    assert [op.start()["state"] for op in (c, late)] == ["QUEUED", "QUEUED"]
    a.finish()
    assert c.start()["state"] == "STARTED"
    assert late.start()["state"] == "STARTED"
    assert world.items.lanes(_turn(late)).waiting == ()


def test_copies_of_others_in_flight_are_waited_for(world: World) -> None:
    op = world.operation("op", plan(copy()))
    world.rds().errors["copy_db_cluster_snapshot"] = [limit_reached(), limit_reached()]
    blocked = op.start()
    assert (blocked["state"], blocked["wait_seconds"]) == ("BLOCKED", 60)
    assert "more than 5" in blocked["detail"]
    assert op.record.status is Status.QUEUED
    world.now += timedelta(hours=2)
    assert 60 < op.start()["wait_seconds"] <= 600
    assert op.start()["state"] == "STARTED"


def test_the_wait_for_a_turn_has_a_deadline_of_its_own(world: World) -> None:
    a, b, c = many(world, 3)
    for op in (a, b, c):
        op.start()
    for rds in world.regions.values():
        for snapshot in rds.snapshots:
            snapshot["Status"] = "copying"
    world.now += timedelta(seconds=172_790)
    assert 0 < c.start()["wait_seconds"] <= 10
    world.now += timedelta(seconds=10)
    with pytest.raises(errors.CopyTimedOut, match="arp-orders-0"):
        c.start()
    c.compensate()
    assert world.items.lanes(_turn(c)).waiting == ()


def test_all_waits_for_turns_of_an_operation_have_one_deadline(world: World) -> None:
    near = copy(2, source_arn=SHARED.arn, region=SOURCE_REGION, identifier="arp-orders-near")
    far = copy(3, source_arn=near.arn, identifier="arp-orders-far")
    op = world.operation("op", plan(*TWO_HOPS, fallback=CopyRoute(copies=(SHARED, near, far))))
    op.step("PrepareCopies")
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    there.errors["copy_db_cluster_snapshot"] = [limit_reached()]
    op.start(1)
    world.now += timedelta(hours=20)
    op.start(1)
    there.all_copied()
    op.observe(1)
    op.finish(1)
    world.rds().errors["copy_db_cluster_snapshot"] = [
        limit_reached(), refused("InvalidParameterValue", "no", "CopyDBClusterSnapshot"), limit_reached(),
    ]  # fmt: skip
    op.start(2)
    world.now += timedelta(hours=20)
    with pytest.raises(errors.DirectCopyRefused):
        op.start(2)
    op.step("UseFallback")
    assert 20 * 3600 <= op.record.results["fallback"]["queued_seconds"] < 20 * 3600 + 60
    op.start(2)
    there.all_copied()
    op.observe(2)
    op.finish(2)
    assert op.start(3)["state"] == "BLOCKED"
    world.now += timedelta(hours=8)
    world.rds().errors["copy_db_cluster_snapshot"] = [limit_reached()]
    with pytest.raises(errors.CopyTimedOut, match=r"others 1440.. s; the deadline is 172800 s"):
        op.start(3)


# --- waiting for the copy -------------------------------------------------------------------------------------------


def test_a_poll_that_sees_nothing_new_writes_nothing(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    seen = op.observe()
    assert (seen["state"], seen["status"], seen["percent"], seen["phase"]) == ("PENDING", "copying", 0, "copy-1")
    version = op.record.version
    op.observe()
    assert op.record.version == version


def test_a_queued_copy_is_not_stuck_and_has_a_deadline(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    world.now += timedelta(seconds=85_000)
    assert op.observe()["wait_seconds"] == 600
    world.now += timedelta(seconds=1_400)
    world.rds().events = [{"SourceIdentifier": "arp-orders-1", "Date": world.now, "Message": "It is slow"}]
    with pytest.raises(errors.CopyTimedOut, match=r"copying \(0 %\).*It is slow"):
        op.observe()


@pytest.mark.parametrize(
    ("status", "expected"),
    [("failed", errors.CopyFailed), ("deleting", errors.CopyVanished), (None, errors.CopyVanished)],
)
def test_a_copy_that_comes_to_nothing(world: World, status: str | None, expected: type[errors.RestoreError]) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    op.observe()
    if status is None:
        world.rds().snapshots.clear()
    else:
        world.rds().snapshots[0]["Status"] = status
    with pytest.raises(expected, match="arp-orders-1"):
        op.observe()


def test_another_snapshot_under_the_copys_name(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    world.rds().snapshots[0]["TagList"] = []
    with pytest.raises(errors.CopyVanished, match="Another snapshot"):
        op.observe()


def test_a_copy_that_is_not_visible_yet_is_waited_for(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.start()
    hidden, world.rds().snapshots = world.rds().snapshots, []
    assert op.observe()["state"] == "PENDING"
    world.rds().snapshots = hidden
    assert op.observe()["status"] == "copying"


# --- shares ---------------------------------------------------------------------------------------------------------


def test_the_share_is_added_once_and_withdrawn_by_the_last(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    a, b = world.operation("a", plan(share=True)), world.operation("b", plan(share=True))
    assert a.step("PrepareCopies")["state"] == "READY"
    assert b.step("PrepareCopies")["state"] == "READY"
    [shared] = there.made("modify_db_cluster_snapshot_attribute")
    assert shared == {
        "DBClusterSnapshotIdentifier": "orders-manual", "AttributeName": "restore", "ValuesToAdd": [ACCOUNT],
    }  # fmt: skip
    a.cleanup()
    assert a.states == {SOURCE: "RELEASED"}
    assert there.shared["orders-manual"] == {ACCOUNT}
    b.compensate()
    assert b.states == {SOURCE: "DELETED"}
    assert there.shared["orders-manual"] == set()
    assert "share_withdrawn" in b.events


@pytest.mark.parametrize("whom", [ACCOUNT, "all"])
def test_a_persons_share_is_used_and_never_withdrawn(world: World, whom: str) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    there.shared["orders-manual"] = {whom, "999999999999"}
    op = world.operation("op", plan(share=True))
    for _ in range(2):
        assert op.step("PrepareCopies")["state"] == "READY"
    assert op.states == {SOURCE: "FOREIGN"}
    op.cleanup()
    assert there.made("modify_db_cluster_snapshot_attribute") == []


def test_a_share_that_is_being_withdrawn_is_waited_for(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    a, b = world.operation("a", plan(share=True)), world.operation("b", plan(share=True))
    a.step("PrepareCopies")
    a.cleanup()
    assert b.step("PrepareCopies")["state"] == "BLOCKED"
    assert b.record.status is Status.QUEUED
    world.now += SETTLES
    assert b.step("PrepareCopies")["state"] == "READY"
    assert b.record.status is Status.IN_PROGRESS
    assert there.shared["orders-manual"] == {ACCOUNT}


def test_a_share_whose_withdrawal_failed_is_taken_over(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    a, b = world.operation("a", plan(share=True)), world.operation("b", plan(share=True))
    a.step("PrepareCopies")
    there.errors["modify_db_cluster_snapshot_attribute"] = [refused("AccessDenied", "no")]
    with pytest.raises(errors.CleanupIncomplete):
        a.cleanup()
    assert b.step("PrepareCopies")["state"] == "BLOCKED"
    world.now += SETTLES
    assert b.step("PrepareCopies")["state"] == "READY"
    assert b.states == {SOURCE: "CREATED"}
    b.cleanup()
    assert there.shared["orders-manual"] == set()


def test_what_a_person_shares_after_the_pipeline_has_withdrawn_its_share_stays(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    a, b = world.operation("a", plan(share=True)), world.operation("b", plan(share=True))
    a.step("PrepareCopies")
    a.cleanup()
    there.shared["orders-manual"] = {ACCOUNT}
    world.now += SETTLES
    assert b.step("PrepareCopies")["state"] == "READY"
    b.cleanup()
    assert b.states == {SOURCE: "FOREIGN"}
    assert there.shared["orders-manual"] == {ACCOUNT}


def test_a_share_whose_answer_was_lost_is_known_for_ours(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    op = world.operation("op", plan(share=True))
    real = there.modify_db_cluster_snapshot_attribute

    def lost(**parameters: Any) -> Any:
        real(**parameters)
        raise refused("InternalFailure", status=500)

    there.modify_db_cluster_snapshot_attribute = lost  # type: ignore[method-assign]
    with pytest.raises(errors.Throttled):
        op.step("PrepareCopies")
    there.modify_db_cluster_snapshot_attribute = real  # type: ignore[method-assign]
    op.step("PrepareCopies")
    assert op.states == {SOURCE: "CREATED"}
    op.cleanup()
    assert there.shared["orders-manual"] == set()


@pytest.mark.parametrize("everybody", ["all", "", "1234", "arn:aws:iam::123456789012:root"])
def test_nothing_is_shared_with_everybody(world: World, everybody: str) -> None:
    rds: Any = world.rds()
    for act in (Snapshots(rds).share, Snapshots(rds).withdraw):
        with pytest.raises(errors.ShareFailed):
            act("s", everybody)
    assert rds.calls == []


def test_a_share_that_rds_refuses(world: World) -> None:
    there = world.rds(SOURCE_ACCOUNT, SOURCE_REGION)
    there.errors["modify_db_cluster_snapshot_attribute"] = [
        refused("SharedSnapshotQuotaExceeded", "20 accounts", "ModifyDBClusterSnapshotAttribute")
    ]
    with pytest.raises(errors.ShareFailed, match="20 accounts"):
        world.operation("op", plan(share=True)).step("PrepareCopies")


def test_a_source_that_has_just_been_shared_may_not_be_visible_yet(world: World) -> None:
    op = world.operation("op", plan(copy(), share=True))
    op.step("PrepareCopies")
    gone = refused("DBClusterSnapshotNotFoundFault", operation="CopyDBClusterSnapshot")
    world.rds().errors["copy_db_cluster_snapshot"] = [gone, gone]
    with pytest.raises(errors.ResourceBusy, match="just been shared"):
        op.start()
    world.now += timedelta(seconds=120)
    with pytest.raises(errors.CopySourceVanished):
        op.start()


def test_a_copy_that_has_just_been_shared_may_not_be_visible_yet(world: World) -> None:
    op = world.operation("op", plan(SHARED))
    op.copied()
    world.rds().errors["restore_db_cluster_from_snapshot"] = [refused("DBClusterSnapshotNotFoundFault")] * 2
    with pytest.raises(errors.ResourceBusy, match="just been shared"):
        op.step("RestoreCluster", "restore_snapshot")
    world.now += timedelta(seconds=120)
    with pytest.raises(errors.SnapshotVanished):
        op.step("RestoreCluster", "restore_snapshot")
    assert [made["SnapshotIdentifier"] for made in world.rds().made("restore_db_cluster_from_snapshot")] == [
        SHARED.arn, SHARED.arn,
    ]  # fmt: skip


# --- cleaning up ----------------------------------------------------------------------------------------------------


def test_cleanup_says_what_is_left_and_protects_the_cluster_all_the_same(world: World) -> None:
    op = world.operation("op", plan(*TWO_HOPS), deletion_protection=True)
    op.copied()
    world.rds().clusters["orders-staging"] = {"DBClusterIdentifier": "orders-staging"}
    world.unreachable = True
    with pytest.raises(errors.CleanupIncomplete, match=f"arp-orders-1 in account {SOURCE_ACCOUNT}"):
        op.cleanup()
    assert op.states == {"arp-orders-1": "CREATED", "arp-orders-2": "DELETED"}
    assert world.rds().clusters["orders-staging"]["DeletionProtection"]


def test_cleanup_names_all_that_went_wrong(world: World) -> None:
    op = world.operation("op", plan(copy()), deletion_protection=True)
    op.copied()
    world.rds().clusters["orders-staging"] = {"DBClusterIdentifier": "orders-staging"}
    world.rds().errors["delete_db_cluster_snapshot"] = [refused("AccessDenied", "not yours")]
    world.rds().errors["modify_db_cluster"] = [refused("AccessDenied", "nor that")]
    with pytest.raises(errors.CleanupIncomplete, match=r"not yours.*nor that"):
        op.cleanup()


def test_cleanup_is_tried_again_when_rds_is_busy(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.copied()
    world.rds().errors["delete_db_cluster_snapshot"] = [refused("InvalidDBClusterSnapshotStateFault", "busy")]
    with pytest.raises(errors.ResourceBusy):
        op.cleanup()
    op.cleanup()
    assert op.states == {"arp-orders-1": "DELETED"}


def test_a_failure_cancels_the_copy_in_flight_and_wakes_the_next(world: World) -> None:
    a, b, c = many(world, 3)
    for op in (a, b, c):
        op.start()
    c.step("WaitForLane", ordinal=1, task_token="token-c")
    first = a.compensate(errors.CopyTimedOut("x"))
    assert first["state"] == "PENDING"
    assert "arp-orders-0" in first["detail"]
    assert world.rds().found("arp-orders-0")["Status"] == "deleting"  # type: ignore[index]
    assert world.woken == ["token-c"]
    assert a.record.expires_at is None
    world.rds().all_deleted()
    assert a.compensate()["status"] == "CLEAN"
    assert a.states == {"arp-orders-0": "DELETED"}
    assert a.record.expires_at
    assert len(world.rds().made("delete_db_cluster_snapshot")) == 1


def test_who_fails_while_it_waits_leaves_the_queue(world: World) -> None:
    a, b, c, d = many(world, 4)
    for op in (a, b, c, d):
        op.start()
    d.step("WaitForLane", ordinal=1, task_token="token-d")
    a.finish()
    assert world.woken == []  # it is c's turn
    c.compensate()
    assert world.woken == ["token-d"]
    world.now += timedelta(seconds=61)
    assert c.compensate()["status"] == "CLEAN"
    assert c.states == {"arp-orders-2": "DELETED"}


def test_a_copy_whose_call_was_lost_is_compensated_when_it_appears(world: World) -> None:
    planned = copy()
    op = world.operation("op", plan(planned))
    world.rds().errors["copy_db_cluster_snapshot"] = [refused("InternalFailure", status=500)]
    with pytest.raises(errors.Throttled):
        op.start()
    assert op.compensate()["detail"].endswith("may still appear")
    world.rds().snapshots.append(foreign_copy(planned, Status="copying"))
    assert op.compensate()["state"] == "PENDING"
    world.rds().all_deleted()
    assert op.compensate()["status"] == "CLEAN"


@pytest.mark.parametrize("finished", [True, False])
def test_copies_are_kept_on_failure_if_asked(world: World, finished: bool) -> None:
    op = world.operation("op", plan(copy()), keep_copies_on_failure=True)
    if finished:
        op.copied()
    else:
        op.start()
    assert op.compensate()["status"] == "CLEAN"
    assert op.states == {"arp-orders-1": "KEPT"}
    assert world.rds().made("delete_db_cluster_snapshot") == []
    assert bool(world.items.lanes(_turn(op)).holders) is not finished
    assert op.record.expires_at is None


def test_copies_go_also_when_the_cluster_is_kept(world: World) -> None:
    op = world.operation("op", plan(copy(), share=True))
    op.copied()
    op.change(timings={**op.record.timings, "writer": PhaseTiming(iso(world.now), ready_at=iso(world.now))})
    assert op.compensate()["state"] == "PENDING"
    world.rds().all_deleted()
    done = op.compensate()
    assert (done["state"], done["status"]) == ("READY", "KEPT")
    assert op.states == {SOURCE: "DELETED", "arp-orders-1": "DELETED"}
    assert op.record.results["compensation"]["policy"] == "keep"


def test_an_account_out_of_reach_does_not_hold_the_others_up(world: World) -> None:
    op = world.operation("op", plan(*TWO_HOPS, share=True))
    op.copied()
    world.unreachable = True
    assert op.compensate()["state"] == "PENDING"
    world.rds().all_deleted()
    done = op.compensate()
    assert (done["state"], done["status"]) == ("READY", "INCOMPLETE")
    assert f"arp-orders-1 in {SOURCE_ACCOUNT}, {SOURCE_REGION}" in done["detail"]
    assert op.states == {SOURCE: "CREATED", "arp-orders-1": "CREATED", "arp-orders-2": "DELETED"}
    assert any("Not cleaned up" in warning for warning in op.record.warnings)


def test_a_busy_copy_is_deleted_later(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.copied()
    world.rds().errors["delete_db_cluster_snapshot"] = [refused("InvalidDBClusterSnapshotStateFault", "in use")]
    assert "in use" in op.compensate()["detail"]
    assert op.compensate()["state"] == "PENDING"
    assert world.rds().snapshots[0]["Status"] == "deleting"


def test_a_copy_without_our_tag_is_never_deleted(world: World) -> None:
    op = world.operation("op", plan(copy()))
    op.copied()
    world.rds().snapshots[0]["TagList"] = [{"Key": OPERATION_TAG, "Value": "op"}]
    assert op.compensate()["status"] == "CLEAN"
    assert op.states == {"arp-orders-1": "FOREIGN"}
    assert world.rds().made("delete_db_cluster_snapshot") == []


def test_what_was_only_intended_is_nobodys(world: World) -> None:
    op = world.operation("op", plan(SHARED, share=True))
    world.unreachable = True
    with pytest.raises(errors.AssumeRoleFailed):
        op.step("PrepareCopies")
    with pytest.raises(errors.AssumeRoleFailed):
        op.start()
    world.unreachable = False
    world.now += timedelta(seconds=61)
    assert op.compensate()["state"] == "PENDING"
    world.now += timedelta(seconds=61)
    assert op.compensate()["status"] == "CLEAN"
    assert world.rds(SOURCE_ACCOUNT, SOURCE_REGION).made("modify_db_cluster_snapshot_attribute") == []


def test_the_items_are_left_as_they_should_be(world: World) -> None:
    op = world.operation("op", plan(*TWO_HOPS, share=True))
    op.copied()
    op.cleanup()
    table = world.tables.scan(TableName=world.settings.state_table)["Items"]
    rest = {item["operation_id"]["S"]: item for item in table if "#" in item["operation_id"]["S"]}
    assert set(rest) == {
        copy_key(TWO_HOPS[0].arn), copy_key(TWO_HOPS[1].arn), share_key(SOURCE, ACCOUNT), f"lane#{ACCOUNT}#{REGION}",
    }  # fmt: skip
    for key, item in rest.items():
        assert "owners" not in item
        assert ("expires_at" in item) is not key.startswith("lane#")
