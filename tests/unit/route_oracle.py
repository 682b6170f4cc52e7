"""Brute force over every sequence of calls, and every combination of facts: what the copy planner is measured by.

Written straight from AWS's rules, as a small RDS that says yes or no to one call at a time; it shares nothing with the
planner. Keys are a table of who may use them, where the planner knows flags. Only `facts` and `case_of`, at the end,
know the planner's types.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from aurora_restore.engine.routes import Goal, Rights, Route, SnapshotKey, SourceSnapshot
from aurora_restore.model import KeyKind, SnapshotKind

OWNER, TARGET = "111111111111", "222222222222"
THERE, HERE = "us-east-1", "eu-west-1"
MOST_COPIES = 3

Cost = tuple[int, int, int]
"""Copies, copies across regions, copies and shares made by the source account's role."""


class Case(NamedTuple):
    """One combination of facts; THERE and OWNER stand for another region and account than the target's."""

    kind: str
    key: str
    key_for_owner: bool
    key_for_target: bool
    region: str
    account: str
    may_copy: bool
    may_share: bool
    share_keys: frozenset[str]
    shared: bool
    single_step: bool


KEYS = (
    ("none", True, False),
    ("aws-owned", True, False),
    ("aws-managed", True, False),
    *(("customer", for_owner, for_target) for for_owner in (True, False) for for_target in (True, False)),
)
SOURCES = tuple(itertools.product(("automated", "manual", "awsbackup"), KEYS))
BOTH = (False, True)


def cases_of(kind: str, key: tuple[str, bool, bool]) -> Iterator[Case]:
    """Everything else than the snapshot's kind and key, in every combination."""
    key_sets = [frozenset(chosen) for n in range(3) for chosen in itertools.combinations((THERE, HERE), n)]
    for region, account, may_copy, may_share, share_keys, shared, single_step in itertools.product(
        (HERE, THERE), (TARGET, OWNER), BOTH, BOTH, key_sets, BOTH, BOTH
    ):
        yield Case(kind, *key, region, account, may_copy, may_share, share_keys, shared, single_step)


def all_cases() -> Iterator[Case]:
    """Every combination."""
    for source in SOURCES:
        yield from cases_of(*source)


# --- a small RDS ----------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """A key: which region it serves, what it is, and who may use it."""

    region: str
    kind: str
    users: frozenset[str]


class Snapshot(NamedTuple):
    """A snapshot in RDS; ``key`` is the name of its key, None if it is not encrypted."""

    owner: str
    region: str
    kind: str
    key: str | None
    shared: bool


def keys_of(case: Case) -> dict[str, Key]:
    """All keys that a call could name, and the source's own."""
    keys = {
        "target": Key(HERE, "customer", frozenset({TARGET})),
        **{f"rds-{a}-{r}": Key(r, "aws-managed", frozenset({a})) for a in (OWNER, TARGET) for r in (THERE, HERE)},
        **{f"share-{region}": Key(region, "customer", frozenset({OWNER, TARGET})) for region in case.share_keys},
    }
    if case.key == "customer":
        users = {OWNER: case.key_for_owner, TARGET: case.key_for_target}
        keys["source"] = Key(case.region, "customer", frozenset(user for user, may in users.items() if may))
    elif case.key != "none":
        keys["source"] = Key(case.region, case.key, frozenset({case.account}))
    return keys


def regions_of(case: Case) -> tuple[str, ...]:
    """Where copies may be made. A rule of ours, not of AWS: data enters no region that the request does not name."""
    return (HERE,) if case.region == HERE else (THERE, HERE)


def may_be_shared(snapshot: Snapshot, keys: dict[str, Key]) -> bool:
    """aws-facts 1: not automated ones and AWS Backup's; 2.1: not under aws/rds, and not under AWS's own keys."""
    return snapshot.kind == "manual" and (snapshot.key is None or keys[snapshot.key].kind == "customer")


def source(case: Case) -> Snapshot:
    """Where the way begins; what cannot be shared is not shared."""
    first = Snapshot(case.account, case.region, case.kind, None if case.key == "none" else "source", case.shared)
    return first._replace(shared=case.shared and case.account == OWNER and may_be_shared(first, keys_of(case)))


def share(case: Case, snapshot: Snapshot) -> Snapshot | None:
    """ModifyDBClusterSnapshotAttribute by the source account's role; None: refused."""
    if not case.may_share or case.account != OWNER or snapshot.owner != OWNER:
        return None
    return snapshot._replace(shared=True) if may_be_shared(snapshot, keys_of(case)) else None


def copy(case: Case, caller: str, snapshot: Snapshot, region: str, key: str | None) -> Snapshot | None:
    """CopyDBClusterSnapshot, called in a region; None: refused."""
    keys = keys_of(case)
    if caller == OWNER and not (case.account == OWNER and case.may_copy):
        return None  # there is no such role, or it has not the right
    if snapshot.owner != caller and not (snapshot.shared and caller == TARGET):
        return None  # DBClusterSnapshotNotFoundFault
    foreign, remote = snapshot.owner != caller, snapshot.region != region
    if foreign and remote and not case.single_step:
        return None  # 2.2: the strategy forbids both in one step
    if snapshot.key is None:
        # 2.2: an unencrypted snapshot takes no key when it is copied
        return None if key is not None else Snapshot(caller, region, "manual", None, shared=False)
    if caller not in keys[snapshot.key].users:
        return None  # KMSKeyNotAccessibleFault
    if key is None:
        # 2.2: optional within one account and region, mandatory otherwise
        return None if foreign or remote else Snapshot(caller, region, "manual", snapshot.key, shared=False)
    named = keys.get(key)
    if named is None or named.region != region or caller not in named.users or named.kind == "aws-owned":
        return None
    return Snapshot(caller, region, "manual", key, shared=False)


def restorable(case: Case, snapshot: Snapshot) -> bool:
    """RestoreDBClusterFromSnapshot by the target account in its region; 2.3: from a shared encrypted one as well."""
    visible = snapshot.owner == TARGET or snapshot.shared
    usable = snapshot.key is None or TARGET in keys_of(case)[snapshot.key].users
    return snapshot.region == HERE and visible and usable


# --- brute force ----------------------------------------------------------------------------------------------------


@cache
def cheapest(case: Case) -> Cost | None:
    """The least cost over all sequences of calls with up to MOST_COPIES copies; None: no sequence leads anywhere.

    One line of copies is enough to look at: what is not on the line to the restored snapshot was needless.
    """
    for copies in range(MOST_COPIES + 1):
        if found := [(copies, *rest) for rest in ways(case, source(case), copies)]:
            return min(found)
    return None


def ways(case: Case, snapshot: Snapshot, copies: int) -> Iterator[tuple[int, int]]:
    """The rest of the cost of each sequence of exactly so many copies that ends in a snapshot to restore."""
    after_share = share(case, snapshot)
    for shares, now in ((0, snapshot), (1, after_share)):
        if now is None:
            continue
        if copies == 0:
            if restorable(case, now):
                yield 0, shares
            continue
        for caller, region, key in itertools.product((OWNER, TARGET), regions_of(case), (None, *keys_of(case))):
            if made := copy(case, caller, now, region, key):
                for across, written in ways(case, made, copies - 1):
                    yield across + (region != now.region), written + shares + (caller == OWNER)


# --- between the two worlds -----------------------------------------------------------------------------------------


def key_arn(region: str, name: str) -> str:
    """An ARN for a key of the oracle's."""
    return f"arn:aws:kms:{region}:{TARGET if name == 'target' else OWNER}:key/{name}"


def facts(case: Case) -> tuple[SourceSnapshot, Rights, Goal]:
    """A case as the planner takes it."""
    arn = key_arn(case.region, "source") if case.key in {"customer", "aws-managed"} else None
    key = SnapshotKey(KeyKind(case.key), arn, case.key_for_owner, case.key_for_target)
    return (
        SourceSnapshot(case.account, case.region, SnapshotKind(case.kind), key, case.shared),
        Rights(case.may_copy, case.may_share, {r: key_arn(r, f"share-{r}") for r in sorted(case.share_keys)}),
        Goal(TARGET, HERE, key_arn(HERE, "target"), case.single_step),
    )


def case_of(snapshot: SourceSnapshot, rights: Rights, goal: Goal) -> Case:
    """The inverse of `facts`."""
    key = snapshot.key
    return Case(
        kind=str(snapshot.kind),
        key=str(key.kind),
        key_for_owner=key.usable_by_source,
        key_for_target=key.usable_by_target,
        region=snapshot.region,
        account=snapshot.account,
        may_copy=rights.copy,
        may_share=rights.share,
        share_keys=frozenset(rights.share_keys),
        shared=snapshot.shared,
        single_step=goal.single_step,
    )


def play(case: Case, route: Route) -> Cost:
    """Make a route's calls one by one; fail at the first that is not allowed, or if the last snapshot is of no use."""
    names = {key_arn(key.region, name): name for name, key in keys_of(case).items()}
    now, across, written = source(case), 0, 0

    def shared(snapshot: Snapshot) -> Snapshot:
        after = share(case, snapshot)
        assert after is not None, f"{snapshot} cannot be shared"
        return after

    if route.share_snapshot:
        now, written = shared(now), 1
    for hop in route.hops:
        assert hop.region in regions_of(case)
        name = f"rds-{hop.account}-{hop.region}" if hop.kms_key_id == "alias/aws/rds" else None
        key = name or (hop.kms_key_id and names[hop.kms_key_id])
        made = copy(case, hop.account, now, hop.region, key)
        assert made is not None, f"{hop} of {now} is refused"
        assert hop.by_source_account == (hop.account == OWNER)
        assert hop.cross_account == (now.owner != made.owner)
        assert hop.cross_region == (now.region != made.region)
        across, written, now = across + hop.cross_region, written + hop.by_source_account, made
        if hop.share:
            now, written = shared(now), written + 1
    assert restorable(case, now), f"{now} cannot be restored from"
    return len(route.hops), across, written
