"""Owners, lanes and tokens: each rule alone, then under races, where other operations act between any two calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from moto import mock_aws

from aurora_restore import errors, waits
from aurora_restore.shared_items import SETTLES, WAITER_GRACE, Lanes, Left, SharedItems, Turn, copy_key, share_key
from tests.unit.core_support import ACCOUNT, NOW, REGION, refused, settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ARN = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:arp-orders-1"
KEY = copy_key(ARN)
LATER = NOW + SETTLES + timedelta(seconds=1)
TABLE = settings().state_table


@pytest.fixture
def items(tables: DynamoDBClient) -> SharedItems:
    return SharedItems(tables, TABLE)


def turn(operation: str, copy: str = "") -> Turn:
    return Turn(operation, ACCOUNT, REGION, f"{ARN[:-1]}{copy or operation}")


def item(tables: DynamoDBClient, key: str) -> dict[str, Any]:
    return tables.get_item(TableName=TABLE, Key={"operation_id": {"S": key}}).get("Item", {})


# --- owners ---------------------------------------------------------------------------------------------------------


def test_the_last_to_leave_removes(items: SharedItems) -> None:
    assert items.join(KEY, "a", NOW, gone=True)
    assert items.join(KEY, "b", NOW, gone=False)
    assert items.join(KEY, "b", NOW, gone=False)
    assert items.leave(KEY, "a", NOW) is Left.OTHERS
    assert items.leave(KEY, "a", NOW) is Left.OTHERS
    assert items.leave(KEY, "b", NOW) is Left.REMOVE
    assert items.leave(KEY, "b", NOW) is Left.REMOVE  # until it has done so


def test_nobody_joins_what_is_being_removed(items: SharedItems) -> None:
    items.join(KEY, "a", NOW, gone=True)
    items.leave(KEY, "a", NOW)
    assert not items.join(KEY, "b", NOW, gone=False)
    assert not items.join(KEY, "b", NOW + SETTLES, gone=False)
    assert not items.join(KEY, "b", NOW + SETTLES, gone=True)  # a late call may still arrive
    assert not items.settled(KEY, NOW + SETTLES)
    assert items.settled(KEY, LATER)
    assert items.join(KEY, "b", LATER, gone=True)
    # The first one's retry must not take it for its own.
    assert items.leave(KEY, "a", LATER) is Left.OTHERS


def test_a_removal_that_has_failed_is_taken_over(items: SharedItems, tables: DynamoDBClient) -> None:
    items.join(KEY, "a", NOW, gone=True)
    assert items.leave(KEY, "a", NOW) is Left.REMOVE
    assert items.join(KEY, "b", LATER, gone=False)
    assert "expires_at" not in item(tables, KEY)
    assert items.leave(KEY, "a", LATER) is Left.OTHERS  # its late retry
    assert items.leave(KEY, "b", LATER) is Left.REMOVE


def test_a_removal_that_is_tried_again_settles_later(items: SharedItems) -> None:
    items.join(KEY, "a", NOW, gone=True)
    items.leave(KEY, "a", NOW)
    items.leave(KEY, "a", LATER)
    assert not items.join(KEY, "b", LATER + SETTLES, gone=True)


def test_kept_is_kept_whoever_leaves_later(items: SharedItems) -> None:
    for operation in ("a", "b"):
        items.join(KEY, operation, NOW, gone=False)
    assert items.leave(KEY, "a", NOW, keep=True) is Left.KEPT
    assert items.leave(KEY, "b", NOW) is Left.KEPT
    items.join(KEY, "c", NOW, gone=False)
    assert items.leave(KEY, "c", NOW) is Left.KEPT
    # Somebody has deleted what was kept: what is made anew is another one.
    items.join(KEY, "d", NOW, gone=True)
    assert items.leave(KEY, "d", NOW) is Left.REMOVE


def test_who_never_joined_removes_nothing(items: SharedItems) -> None:
    assert items.leave(KEY, "a", NOW) is Left.ABSENT
    assert items.leave(KEY, "a", NOW, keep=True) is Left.OTHERS
    items.join(KEY, "b", NOW, gone=True)
    assert items.leave(KEY, "a", NOW) is Left.OTHERS


def test_a_share_that_is_not_the_pipelines_cannot_be_joined(items: SharedItems) -> None:
    key = share_key(ARN, ACCOUNT)
    assert not items.join_existing(key, "a", NOW)
    items.withdrawn(key)
    assert not items.join_existing(key, "a", NOW)
    items.join(key, "a", NOW, gone=True)
    assert items.join_existing(key, "b", NOW)
    items.leave(key, "a", NOW)
    items.leave(key, "b", NOW)
    assert not items.join_existing(key, "c", NOW + SETTLES)
    assert items.join_existing(key, "c", LATER)  # nobody has withdrawn it
    items.withdrawn(key)  # too late: it is in use again
    assert items.join_existing(key, "d", LATER)
    items.leave(key, "c", LATER)
    items.leave(key, "d", LATER)
    items.withdrawn(key)
    late = LATER + 2 * SETTLES
    assert not items.join_existing(key, "e", late)  # a person has shared it meanwhile
    assert items.join(key, "e", late, gone=True)
    assert items.join_existing(key, "f", late)


def test_only_what_may_go_has_a_time_to_live(items: SharedItems, tables: DynamoDBClient) -> None:
    items.join(KEY, "a", NOW, gone=True)
    assert "expires_at" not in item(tables, KEY)
    items.leave(KEY, "a", NOW)
    assert int(item(tables, KEY)["expires_at"]["N"]) > (NOW + SETTLES).timestamp()
    items.join(KEY, "b", LATER, gone=True)
    assert "expires_at" not in item(tables, KEY)


# --- lanes ----------------------------------------------------------------------------------------------------------


def take(lanes: Lanes, who: Turn, now: datetime = NOW, limit: int = 1) -> Lanes:
    return lanes.take(who, limit=limit, now=now, until=now + timedelta(seconds=900) + WAITER_GRACE)


def test_first_come_first_served() -> None:
    a, b, c = turn("a"), turn("b"), turn("c")
    lanes = take(take(take(Lanes(), a), b), c)
    assert set(lanes.holders) == {a.copy}
    assert [waiter.name for waiter in lanes.waiting] == [b.waiter, c.waiter]
    assert lanes.next(limit=1, now=NOW) == ()
    lanes = lanes.without(a.copy)
    assert lanes.next(limit=1, now=NOW) == (b.waiter,)
    assert take(lanes, c).holders == {}  # not before b, though a lane is free
    assert set(take(lanes, b).holders) == {b.copy}
    assert set(take(lanes, c, limit=2).holders) == {c.copy}  # one is left for b


def test_operations_with_one_copy_have_one_lane() -> None:
    a, b = turn("a", "x"), turn("b", "x")
    lanes = take(take(Lanes(), a), b)
    assert set(lanes.holders) == {a.copy}
    assert lanes.waiting == ()


def test_who_does_not_come_back_loses_the_place() -> None:
    a, b, c = turn("a"), turn("b"), turn("c")
    lanes = take(take(take(Lanes(), a), b), c, now=NOW + timedelta(seconds=600)).without(a.copy)
    late = NOW + timedelta(seconds=900) + WAITER_GRACE
    assert lanes.next(limit=1, now=late - timedelta(seconds=1)) == (b.waiter,)
    assert lanes.next(limit=1, now=late) == (c.waiter,)
    assert set(take(lanes, c, now=late).holders) == {c.copy}


def test_who_asks_again_keeps_the_place() -> None:
    a, b, c = turn("a"), turn("b"), turn("c")
    lanes = take(take(take(Lanes(), a), b), c)
    again = take(lanes, b, now=NOW + timedelta(seconds=900))
    assert [waiter.name for waiter in again.waiting] == [b.waiter, c.waiter]
    assert again.waiting[0].until > lanes.waiting[0].until


def test_a_holder_is_doubtful_after_a_while() -> None:
    lanes = take(Lanes(), turn("a"))
    # Whom AWS refuses for copies of others comes back within this time, and must find its lane.
    assert lanes.doubtful(NOW + timedelta(seconds=waits.TURN_CAP) + WAITER_GRACE) == ()
    assert lanes.doubtful(NOW + timedelta(seconds=1199)) == ()
    assert lanes.doubtful(NOW + timedelta(seconds=1200)) == (turn("a").copy,)


def test_who_has_no_place_must_ask_again_instead_of_waiting() -> None:
    a, b = turn("a"), turn("b")
    lanes = take(take(Lanes(), a), b)
    assert lanes.may_go(a, limit=1, now=NOW)
    assert not lanes.may_go(b, limit=1, now=NOW)
    assert lanes.forget(b).may_go(b, limit=1, now=NOW)
    assert lanes.without(a.copy).may_go(b, limit=1, now=NOW)


# So few that nobody's place runs out: who loses it may well be overtaken.
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["take", "free", "forget"])), max_size=12)
)
def test_there_are_never_more_holders_than_lanes(changes: list[tuple[str, str]]) -> None:
    lanes, now = Lanes(), NOW
    for who, what in changes:
        now += timedelta(seconds=100)
        before = lanes
        match what:
            case "take":
                lanes = take(lanes, turn(who), now, limit=2)
            case "free":
                lanes = lanes.without(turn(who).copy)
            case _:
                lanes = lanes.forget(turn(who))
        assert len(lanes.holders) <= 2
        names = [waiter.name for waiter in lanes.waiting]
        assert len(set(names)) == len(names)
        kept = [waiter.name for waiter in before.waiting if waiter.name in names]
        assert names[: len(kept)] == kept  # nobody overtakes


def test_lanes_are_saved_and_a_lost_race_is_run_again(items: SharedItems, tables: DynamoDBClient) -> None:
    a, b = turn("a"), turn("b")
    assert items.lanes(a) == Lanes()
    raced: list[int] = []

    def change(lanes: Lanes) -> Lanes:
        if not raced:
            raced.append(1)
            SharedItems(tables, TABLE).change_lanes(b, lambda lanes: take(lanes, b, limit=2))
        return take(lanes, a, limit=2)

    saved = items.change_lanes(a, change)
    assert set(saved.holders) == {a.copy, b.copy}
    assert items.lanes(a) == saved
    again = items.change_lanes(a, lambda lanes: take(lanes, turn("c"), limit=2))
    assert items.lanes(a) == again
    assert [waiter.name for waiter in again.waiting] == [turn("c").waiter]
    version = item(tables, a.lane_key)["version"]
    items.change_lanes(a, lambda lanes: lanes)
    assert item(tables, a.lane_key)["version"] == version
    assert "expires_at" not in item(tables, a.lane_key)


def test_a_race_that_is_always_lost_ends(items: SharedItems, tables: DynamoDBClient) -> None:
    numbers = iter(range(100))

    def change(lanes: Lanes) -> Lanes:
        other = turn(f"other-{next(numbers)}")
        SharedItems(tables, TABLE).change_lanes(other, lambda lanes: take(lanes, other, limit=200))
        return take(lanes, turn("a"), limit=200)

    with pytest.raises(errors.StateConflict):
        items.change_lanes(turn("a"), change)


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_wakes_once(items: SharedItems, tables: DynamoDBClient) -> None:
    a = turn("a")
    assert items.take_token(a.wait_key) is None
    items.leave_token(a, "t1", NOW)
    items.leave_token(a, "t2", NOW)
    assert "expires_at" in item(tables, a.wait_key)
    assert items.take_token(a.wait_key_of(a.waiter)) == "t2"
    assert items.take_token(a.wait_key) is None


def test_keys_are_none_that_an_operation_can_have() -> None:
    a = turn("a")
    assert all("#" in key for key in (KEY, share_key(ARN, ACCOUNT), a.lane_key, a.wait_key))
    assert a.wait_key == f"wait#{ACCOUNT}#{REGION}#a#arp-orders-a"


def test_what_dynamodb_refuses_is_ours(tables: DynamoDBClient) -> None:
    class Broken:
        def update_item(self, **_: Any) -> Any:
            raise refused("ThrottlingException", operation="UpdateItem")

        def get_item(self, **_: Any) -> Any:
            raise refused("ResourceNotFoundException", operation="GetItem")

    broken: Any = Broken()
    with pytest.raises(errors.Throttled):
        SharedItems(broken, TABLE).join(KEY, "a", NOW, gone=True)
    with pytest.raises(errors.StateStoreUnavailable):
        SharedItems(broken, TABLE).lanes(turn("a"))


# --- races ----------------------------------------------------------------------------------------------------------


class Interleaved:
    """A client between whose calls others act: before each call, what is due comes first."""

    def __init__(self, client: DynamoDBClient) -> None:
        self._client = client
        self.others: list[Callable[[], None]] = []

    @contextmanager
    def after(self, *others: Callable[[], None]) -> Iterator[None]:
        self.others = list(others)
        yield
        while self.others:
            self.others.pop(0)()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def interleaved(**parameters: Any) -> Any:
            if self.others:
                self.others.pop(0)()
            return call(**parameters)

        return interleaved


@pytest.mark.parametrize("what", ["join", "keep"])
def test_the_leavers_second_write_sees_what_came_between(tables: DynamoDBClient, what: str) -> None:
    client: Any = Interleaved(tables)
    plain, items = SharedItems(tables, TABLE), SharedItems(client, TABLE)
    plain.join(KEY, "a", NOW, gone=True)

    def between() -> None:
        plain.join(KEY, "b", NOW, gone=False)
        if what == "keep":
            plain.leave(KEY, "b", NOW, keep=True)

    with client.after(lambda: None, between):
        assert items.leave(KEY, "a", NOW) is Left.OTHERS
    assert plain.join(KEY, "c", NOW, gone=False)


OPERATIONS = ("a", "b", "c", "d")


class Races(RuleBasedStateMachine):
    """A table, a clock, and a client between whose calls others can act."""

    def __init__(self) -> None:
        super().__init__()
        self.mock = mock_aws()
        self.mock.start()
        client = boto3.client("dynamodb", region_name=REGION)
        client.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "operation_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "operation_id", "KeyType": "HASH"}],
        )
        self.plain = SharedItems(client, TABLE)
        self.client = Interleaved(client)
        raced: Any = self.client
        self.items = SharedItems(raced, TABLE)
        self.now = NOW

    def teardown(self) -> None:
        self.mock.stop()


class OwnerRaces(Races):
    """Operations that share one copy, against an account in which the copy is there or not."""

    def __init__(self) -> None:
        super().__init__()
        self.exists = False
        self.owners: set[str] = set()
        self.kept = False
        self.doomed: list[datetime] = []
        """When removals were begun that may still arrive."""

    @rule(who=st.sampled_from(OPERATIONS))
    def join(self, who: str) -> None:
        there = self.exists
        if self.plain.join(KEY, who, self.now, gone=not there):
            self.joined(who)
        else:
            assert who not in self.owners
            assert self.doomed, "kept out though no removal can arrive any more"

    def joined(self, who: str) -> None:
        """What was removed is made anew, and what was to be is used again, when no removal can arrive any more."""
        assert not self.doomed
        self.owners.add(who)
        if not self.exists:
            self.exists, self.kept = True, False

    @rule(who=st.sampled_from(OPERATIONS), keep=st.sampled_from([False, False, True]))
    def leave(self, who: str, keep: bool) -> None:
        keep = keep and who in self.owners
        self.owners -= {who}
        self.kept = self.kept or keep
        self.left(self.plain.leave(KEY, who, self.now, keep=keep))

    def left(self, how: Left) -> None:
        if how is Left.REMOVE:
            assert not self.owners
            assert not self.kept
            self.doomed.append(self.now)
        if how is Left.KEPT:
            assert self.kept

    @rule(
        who=st.sampled_from(OPERATIONS),
        other=st.sampled_from(OPERATIONS),
        what=st.sampled_from(["join", "leave", "keep"]),
    )
    def leave_while_another_acts(self, who: str, other: str, what: str) -> None:
        """Between the leaver's two writes: no removal under a new owner, and one when both leave."""
        if who == other:
            return
        self.owners -= {who}
        answers: list[Left] = []

        def act() -> None:
            if what != "join":
                keep = what == "keep" and other in self.owners
                self.owners -= {other}
                self.kept = self.kept or keep
                answers.append(self.plain.leave(KEY, other, self.now, keep=keep))
            elif self.plain.join(KEY, other, self.now, gone=not self.exists):
                self.joined(other)

        with self.client.after(lambda: None, act):
            answers.append(self.items.leave(KEY, who, self.now))
        for answer in answers:
            self.left(answer)

    @invariant()
    def what_nobody_needs_is_on_its_way_out(self) -> None:
        item = self.plain._read(KEY)
        if item and not self.owners and not self.kept:
            assert item["state"] == "DELETING"

    @rule()
    def removal_arrives(self) -> None:
        """More than once: the SDK repeats a call whose answer was lost."""
        if self.doomed:
            assert not self.owners, "deleted while an owner is left"
            self.exists = False

    @rule(seconds=st.sampled_from([1, 200, 400]), fails=st.booleans())
    def time_passes(self, seconds: int, fails: bool) -> None:
        self.now += timedelta(seconds=seconds)
        # A removal is carried out while its function lives, or fails.
        over = [begun for begun in self.doomed if begun < self.now - SETTLES]
        if over and not fails:
            self.removal_arrives()
        self.doomed = [begun for begun in self.doomed if begun not in over]


class ShareRaces(Races):
    """Operations and a person that share one snapshot: what the person shares stays."""

    KEY = share_key(ARN, ACCOUNT)

    def __init__(self) -> None:
        super().__init__()
        self.by: str | None = None
        """Who has added the share that is there."""
        self.owners: set[str] = set()
        self.doomed: list[datetime] = []

    @rule()
    def a_person_shares(self) -> None:
        """While nothing of ours can arrive: a share has no name of its own by which a late call could spare it."""
        if not self.doomed:
            self.by = self.by or "person"

    @rule(who=st.sampled_from(OPERATIONS[:2]))
    def share(self, who: str) -> None:
        if self.by is None:
            joined = self.plain.join(self.KEY, who, self.now, gone=True)
            self.by = "pipeline" if joined else None
        else:
            joined = self.plain.join_existing(self.KEY, who, self.now)
        if joined:
            assert not self.doomed
            assert self.by == "pipeline", "a person's share was taken for ours"
            self.owners.add(who)
        else:
            assert self.doomed or self.by == "person", "a share of ours was taken for a person's"

    @rule(who=st.sampled_from(OPERATIONS[:2]), fails=st.booleans())
    def leave(self, who: str, fails: bool) -> None:
        """Also once more, when the withdrawal has failed."""
        if self.by != "pipeline":
            return
        self.owners -= {who}
        if self.plain.leave(self.KEY, who, self.now) is Left.REMOVE:
            assert not self.owners
            self.doomed.append(self.now)
            if not fails:
                self.by = None
                self.plain.withdrawn(self.KEY)

    @rule(seconds=st.sampled_from([200, 400, 400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.doomed = [begun for begun in self.doomed if begun >= self.now - SETTLES]


class LaneRaces(Races):
    """Operations that each make a copy of their own, over two lanes."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[str] = []
        self.asked: dict[str, datetime] = {}
        self.flying: set[str] = set()

    def take(self, who: str, items: SharedItems) -> None:
        until = self.now + timedelta(seconds=900) + WAITER_GRACE
        lanes = items.change_lanes(turn(who), lambda lanes: lanes.take(turn(who), limit=2, now=self.now, until=until))
        place = self.queue.index(who) if who in self.queue else len(self.queue)
        if turn(who).copy in lanes.holders:
            assert who in self.flying or place < 2 - len(self.flying), "overtaken"
            self.flying.add(who)
            self.queue = [other for other in self.queue if other != who]
        else:
            assert place >= 2 - len(self.flying), "a free lane was refused"
            self.queue = self.queue if who in self.queue else [*self.queue, who]
            self.asked[who] = self.now

    def end(self, who: str, items: SharedItems) -> None:
        lanes = items.change_lanes(turn(who), lambda lanes: lanes.without(turn(who).copy).forget(turn(who)))
        self.flying.discard(who)
        self.queue = [other for other in self.queue if other != who]
        assert list(lanes.next(limit=2, now=self.now)) == [
            turn(other).waiter for other in self.queue[: 2 - len(self.flying)]
        ]

    @rule(who=st.sampled_from(OPERATIONS))
    def ask(self, who: str) -> None:
        self.take(who, self.plain)

    @rule(who=st.sampled_from(OPERATIONS))
    def copy_ends(self, who: str) -> None:
        self.end(who, self.plain)

    @rule(who=st.sampled_from(OPERATIONS), other=st.sampled_from(OPERATIONS), ends=st.booleans())
    def ask_while_another_acts(self, who: str, other: str, ends: bool) -> None:
        """Between the read and the write: the write is lost, and decided anew."""
        if who == other:
            return
        with self.client.after(lambda: None, lambda: (self.end if ends else self.take)(other, self.plain)):
            self.take(who, self.items)

    @rule(seconds=st.sampled_from([300, 1000]))
    def time_passes(self, seconds: int) -> None:
        """In steps: time-outs come when they are due, not after another one's grace is over."""
        for _ in range(seconds // 100):
            self.now += timedelta(seconds=100)
            for who in list(self.queue):
                if self.now - self.asked[who] >= timedelta(seconds=900):
                    self.take(who, self.plain)  # its time-out

    @invariant()
    def never_more_in_flight_than_lanes(self) -> None:
        assert len(self.flying) <= 2
        lanes = self.plain.lanes(turn("a"))
        assert set(lanes.holders) == {turn(who).copy for who in self.flying}
        assert [waiter.name for waiter in lanes.waiting] == [turn(who).waiter for who in self.queue]

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        """Whose turn it is finds out when it asks again, at the latest."""
        lanes = self.plain.lanes(turn("a"))
        for who in self.queue[: 2 - len(self.flying)]:
            assert lanes.may_go(turn(who), limit=2, now=self.now)


_SETTINGS = hypothesis.settings(max_examples=20, stateful_step_count=25, deadline=None)
TestOwnerRaces = OwnerRaces.TestCase
TestOwnerRaces.settings = _SETTINGS
TestShareRaces = ShareRaces.TestCase
TestShareRaces.settings = _SETTINGS
TestLaneRaces = LaneRaces.TestCase
TestLaneRaces.settings = _SETTINGS
