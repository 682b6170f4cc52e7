"""The copy planner: against brute force over every combination of facts, and the cases a person would ask about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.engine.routes import (
    DEFAULT_KEY,
    Goal,
    Hop,
    Opening,
    Rights,
    Route,
    SnapshotKey,
    SourceSnapshot,
    find_route,
    opening,
)
from aurora_restore.errors import NoCopyRoute
from aurora_restore.model import KeyKind, SnapshotKind
from tests.unit import route_oracle as oracle
from tests.unit.route_oracle import HERE, OWNER, SOURCES, TARGET, THERE, Case

NAMES = ["-".join(str(part) for part in (kind, *key)) for kind, key in SOURCES]
every_source = pytest.mark.parametrize(("kind", "key"), SOURCES, ids=NAMES)


def routed(case: Case) -> Route | None:
    try:
        return find_route(*oracle.facts(case))
    except NoCopyRoute:
        return None


# --- every combination ----------------------------------------------------------------------------------------------


def test_the_combinations_are_counted() -> None:
    cases = list(oracle.all_cases())
    assert len(cases) == len(set(cases)) == 5376
    assert all(oracle.case_of(*oracle.facts(case)) == case for case in cases)


def test_the_oracle_says_yes_and_no() -> None:
    found = [oracle.cheapest(case) for case in oracle.all_cases()]
    assert {cost[0] if cost else None for cost in found} == {None, 0, 1, 2, 3}


@every_source
def test_every_route_is_legal_and_the_cheapest(kind: str, key: tuple[str, bool, bool]) -> None:
    for case in oracle.cases_of(kind, key):
        route = routed(case)
        assert (route and route.cost) == oracle.cheapest(case), case
        if route:
            assert oracle.play(case, route) == route.cost, case


@every_source
def test_where_there_is_no_way_the_least_change_opens_one(kind: str, key: tuple[str, bool, bool]) -> None:
    for case in oracle.cases_of(kind, key):
        if routed(case):
            continue
        snapshot, rights, goal = oracle.facts(case)
        found = opening(snapshot, rights, goal)
        then = oracle.case_of(found.snapshot, found.rights, goal)
        assert oracle.cheapest(then) == found.route.cost, case
        assert find_route(found.snapshot, found.rights, goal).cost == found.route.cost
        assert len(found.changes) == (1 if any(map(oracle.cheapest, one_change(case))) else 2), (case, found.changes)
        said = refusal(snapshot, rights, goal)
        assert all(change in said.cause for change in found.changes)
        assert said.field is None


def one_change(case: Case) -> Iterator[Case]:
    """What the facts may become by one change, said independently of the planner."""
    here, there = case.share_keys | {HERE}, case.share_keys | {THERE}
    yield case._replace(single_step=True)
    yield case._replace(shared=True)
    if case.key == "customer":
        yield case._replace(key_for_owner=True)
        yield case._replace(key_for_target=True)
    yield case._replace(share_keys=here)
    yield case._replace(share_keys=there)
    yield case._replace(may_copy=True)
    yield case._replace(may_share=True)
    yield case._replace(may_copy=True, may_share=True, share_keys=here)


@every_source
def test_the_strategy_never_decides_whether_there_is_a_way(kind: str, key: tuple[str, bool, bool]) -> None:
    for case in oracle.cases_of(kind, key):
        free, bound = routed(case._replace(single_step=True)), routed(case._replace(single_step=False))
        assert (free is None) == (bound is None)
        if free and bound:
            assert not bound.uses_single_step
            assert free.copies <= bound.copies
            assert free.uses_single_step or free == bound


@every_source
def test_every_copy_has_the_key_of_its_place_and_a_reason(kind: str, key: tuple[str, bool, bool]) -> None:
    for case in oracle.cases_of(kind, key):
        if not (route := routed(case)):
            continue
        for hop in route.hops:
            assert hop.reason
            if hop.by_source_account:
                assert hop.account == OWNER
                assert hop.share or hop is not route.hops[-1]
                assert hop.kms_key_id in {None, oracle.key_arn(hop.region, f"share-{hop.region}")}
            else:
                assert hop.account == TARGET
                assert not hop.share
                own = oracle.key_arn(HERE, "target") if hop.region == HERE else DEFAULT_KEY
                assert hop.kms_key_id == (None if case.key == "none" else own)


@pytest.mark.parametrize("kind", list(SnapshotKind))
@pytest.mark.parametrize("key", [KeyKind.AWS_OWNED, KeyKind.AWS_MANAGED])
def test_flags_mean_nothing_for_a_default_key(kind: SnapshotKind, key: KeyKind) -> None:
    for case in oracle.cases_of(kind, (key, True, False)):
        assert routed(case._replace(key_for_owner=False, key_for_target=True)) == routed(case)


# --- cases that a person asks about ---------------------------------------------------------------------------------

TARGET_KEY = f"arn:aws:kms:{HERE}:{TARGET}:key/target"
SHARE_KEYS = {region: f"arn:aws:kms:{region}:{OWNER}:key/share" for region in (THERE, HERE)}
ROLE = Rights(copy=True, share=True, share_keys={HERE: SHARE_KEYS[HERE]})
GOAL = Goal(TARGET, HERE, TARGET_KEY)
TWO_HOP = replace(GOAL, single_step=False)
NONE, AWS_OWNED = SnapshotKey(KeyKind.NONE), SnapshotKey(KeyKind.AWS_OWNED)
AWS_MANAGED = SnapshotKey(KeyKind.AWS_MANAGED, f"arn:aws:kms:{THERE}:{OWNER}:key/rds")
CUSTOMER = SnapshotKey(KeyKind.CUSTOMER, f"arn:aws:kms:{THERE}:{OWNER}:key/orders", usable_by_target=True)
PRIVATE = replace(CUSTOMER, usable_by_target=False)


def snapshot(
    kind: SnapshotKind = SnapshotKind.MANUAL,
    key: SnapshotKey = CUSTOMER,
    account: str = OWNER,
    region: str = THERE,
    *,
    shared: bool = False,
) -> SourceSnapshot:
    return SourceSnapshot(account, region, kind, key, shared)


def refusal(source: SourceSnapshot, rights: Rights, goal: Goal = GOAL) -> NoCopyRoute:
    with pytest.raises(NoCopyRoute) as caught:
        find_route(source, rights, goal)
    return caught.value


def only(source: SourceSnapshot, rights: Rights, goal: Goal = GOAL) -> Opening:
    found = opening(source, rights, goal)
    assert len(found.changes) == 1
    return found


def places(route: Route) -> list[tuple[str, str, str | None]]:
    return [(hop.account, hop.region, hop.kms_key_id) for hop in route.hops]


@pytest.mark.parametrize("kind", list(SnapshotKind))
@pytest.mark.parametrize("key", [NONE, AWS_OWNED, AWS_MANAGED, CUSTOMER])
def test_an_own_snapshot_of_the_region_needs_no_copy(kind: SnapshotKind, key: SnapshotKey) -> None:
    assert find_route(snapshot(kind, key, TARGET, HERE), Rights(), GOAL) == Route()


@pytest.mark.parametrize("kind", list(SnapshotKind))
@pytest.mark.parametrize("key", [AWS_OWNED, AWS_MANAGED, CUSTOMER])
def test_an_own_snapshot_of_another_region_needs_one(kind: SnapshotKind, key: SnapshotKey) -> None:
    route = find_route(snapshot(kind, key, TARGET, THERE), Rights(), TWO_HOP)
    assert places(route) == [(TARGET, HERE, TARGET_KEY)]
    assert route.cost == (1, 1, 0)
    assert not route.uses_single_step


def test_an_unencrypted_copy_takes_no_key() -> None:
    assert places(find_route(snapshot(key=NONE, account=TARGET), Rights(), GOAL)) == [(TARGET, HERE, None)]
    route = find_route(snapshot(SnapshotKind.AUTOMATED, NONE), Rights(copy=True, share=True), GOAL)
    assert places(route) == [(OWNER, HERE, None)]


def test_a_shared_snapshot_of_the_region_is_restored_directly() -> None:
    assert find_route(snapshot(region=HERE, shared=True), Rights(), GOAL) == Route()


def test_a_manual_snapshot_of_the_region_is_only_shared() -> None:
    route = find_route(snapshot(region=HERE), ROLE, GOAL)
    assert route == Route(share_snapshot=True)
    assert route.cost == (0, 0, 1)


@pytest.mark.parametrize("kind", [SnapshotKind.AUTOMATED, SnapshotKind.AWSBACKUP])
@pytest.mark.parametrize("key", [AWS_OWNED, AWS_MANAGED, PRIVATE])
@pytest.mark.parametrize("goal", [GOAL, TWO_HOP])
def test_the_famous_case_takes_one_copy(kind: SnapshotKind, key: SnapshotKey, goal: Goal) -> None:
    """Another account, another region, cannot be shared: one copy, straight into the target region, then shared.

    Pipelines that first copy in place, then share, then copy again, make two or three.
    """
    route = find_route(snapshot(kind, key), ROLE, goal)
    assert not route.share_snapshot
    assert [replace(hop, reason="") for hop in route.hops] == [
        Hop(
            account=OWNER,
            region=HERE,
            kms_key_id=SHARE_KEYS[HERE],
            by_source_account=True,
            cross_region=True,
            cross_account=False,
            reason="",
            share=True,
        )
    ]
    assert route.cost == (1, 1, 2)


def test_a_default_key_alone_is_reason_enough() -> None:
    route = find_route(snapshot(key=AWS_OWNED), ROLE, GOAL)
    assert places(route) == [(OWNER, HERE, SHARE_KEYS[HERE])]
    assert route.hops[0].reason == (
        f"No snapshot under a key that AWS owns can be shared; it lies in {THERE}, and a cluster is restored from a "
        "snapshot of its own region"
    )


def test_a_shared_snapshot_goes_across_account_and_region_in_one_step() -> None:
    route = find_route(snapshot(shared=True), Rights(), GOAL)
    assert places(route) == [(TARGET, HERE, TARGET_KEY)]
    assert route.uses_single_step


def test_two_hop_goes_over_the_targets_own_copy() -> None:
    route = find_route(snapshot(shared=True), Rights(), TWO_HOP)
    assert places(route) == [(TARGET, THERE, DEFAULT_KEY), (TARGET, HERE, TARGET_KEY)]
    assert route.cost == (2, 1, 0)


def test_two_hop_needs_no_second_copy_where_the_source_role_may_copy() -> None:
    assert find_route(snapshot(shared=True), ROLE, TWO_HOP).cost == (1, 1, 2)


def test_with_a_share_key_in_the_sources_region_only_the_copy_is_made_twice() -> None:
    rights = replace(ROLE, share_keys={THERE: SHARE_KEYS[THERE]})
    source = snapshot(SnapshotKind.AUTOMATED, AWS_MANAGED)
    assert places(find_route(source, rights, GOAL)) == [(OWNER, THERE, SHARE_KEYS[THERE]), (TARGET, HERE, TARGET_KEY)]
    assert find_route(source, rights, TWO_HOP).cost == (3, 1, 2)


def test_within_a_region_an_automated_snapshot_keeps_a_key_that_the_target_may_use() -> None:
    route = find_route(snapshot(SnapshotKind.AUTOMATED, region=HERE), Rights(copy=True, share=True), GOAL)
    assert places(route) == [(OWNER, HERE, None)]
    assert route.cost == (1, 0, 2)
    assert route.hops[0].reason == "The automated snapshot cannot be shared"


def test_no_copy_is_made_in_a_third_region() -> None:
    rights = replace(ROLE, share_keys={"ap-south-1": "arn:aws:kms:ap-south-1:111111111111:key/share"})
    assert only(snapshot(key=AWS_MANAGED, region=HERE), rights).rights.share_keys.keys() == {"ap-south-1", HERE}


# --- what would open a way ------------------------------------------------------------------------------------------


def test_a_share_key_is_asked_for() -> None:
    error = refusal(snapshot(SnapshotKind.AUTOMATED, AWS_MANAGED), Rights(copy=True, share=True))
    assert error.cause == (
        f"No permitted way leads from account {OWNER} in {THERE} to account {TARGET} in {HERE} for this automated "
        f'snapshot under the default key aws/rds. Change needed: add to source_accounts["{OWNER}"].share_kms_key_arns '
        f"a customer key of {HERE} that both accounts may use (modules/source-account makes one). "
        "Then 1 copy would do."
    )
    assert error.advice == NoCopyRoute.remedy


def test_the_owner_is_asked_to_share() -> None:
    error = refusal(snapshot(region=HERE), Rights())
    assert f"Change needed: let the owner share the snapshot with account {TARGET}." in error.cause
    assert error.cause.endswith("Then it could be restored without any copy.")


def test_the_keys_use_is_asked_for() -> None:
    found = only(snapshot(key=PRIVATE, shared=True), Rights())
    assert found.snapshot.key.usable_by_target
    assert str(PRIVATE.arn) in found.changes[0]
    own = only(snapshot(key=PRIVATE, account=TARGET), Rights())
    assert f"the deployment's roles in account {TARGET}" in own.changes[0]


def test_the_source_roles_use_of_the_key_is_asked_for() -> None:
    found = only(snapshot(SnapshotKind.AUTOMATED, replace(PRIVATE, usable_by_source=False)), ROLE)
    assert f"the source role in account {OWNER}" in found.changes[0]


def test_the_module_is_asked_for_and_its_share_key_only_where_it_is_needed() -> None:
    (change,) = only(snapshot(SnapshotKind.AWSBACKUP, AWS_OWNED), Rights()).changes
    assert change == (
        f"apply modules/source-account in account {OWNER}, whose role may copy and share snapshots, with a share key "
        f"in {HERE}, and add its output to source_accounts"
    )
    (change,) = only(snapshot(SnapshotKind.AUTOMATED, NONE), Rights()).changes
    assert "share key" not in change


def test_two_changes_are_named_where_one_is_not_enough() -> None:
    dead = replace(PRIVATE, usable_by_source=False)
    error = refusal(snapshot(SnapshotKind.AUTOMATED, dead), Rights())
    assert re.search(r"Changes needed: enable .* allow .*; and apply modules/source-account in account ", error.cause)
    assert error.advice == "Make both changes that the message names."


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        ("us-east-1", "cn-north-1", "aws and aws-cn"),
        ("cn-northwest-1", "us-gov-west-1", "aws-cn and aws-us-gov"),
        ("us-gov-east-1", "us-east-1", "aws-us-gov and aws"),
        ("cn-north-1", "cn-northwest-1", "neither to nor from another region in China"),
    ],
)
@pytest.mark.parametrize("account", [OWNER, TARGET])
def test_some_borders_no_copy_crosses(source: str, target: str, named: str, account: str) -> None:
    share_keys = {source: "arn:share-1", target: "arn:share-2"}
    rights, goal = Rights(copy=True, share=True, share_keys=share_keys), replace(GOAL, region=target)
    error = refusal(snapshot(account=account, region=source, shared=True), rights, goal)
    assert named in error.cause
    assert source in error.cause
    assert target in error.cause
    assert error.field == "source_region"


def test_within_a_region_of_china_and_within_govcloud_all_is_as_elsewhere() -> None:
    china = replace(GOAL, region="cn-north-1")
    assert find_route(snapshot(region="cn-north-1"), ROLE, china) == Route(share_snapshot=True)
    assert find_route(snapshot(region="us-gov-east-1", shared=True), Rights(), replace(GOAL, region="us-gov-west-1"))


# --- what names have nothing to do with -----------------------------------------------------------------------------

regions = st.from_regex(r"\A(us|eu|ap|sa|ca|me|af|il|mx)-(east|west|north|south|central|southeast)-[1-9]\Z")
accounts = st.from_regex(r"\A[0-9]{12}\Z")


@given(
    st.sampled_from(SOURCES).flatmap(lambda source: st.sampled_from(list(oracle.cases_of(*source)))),
    st.lists(regions, min_size=2, max_size=2, unique=True),
    st.lists(accounts, min_size=2, max_size=2, unique=True),
)
def test_routes_do_not_depend_on_names(case: Case, places: list[str], owners: list[str]) -> None:
    names = {THERE: places[0], HERE: places[1], OWNER: owners[0], TARGET: owners[1]}

    def renamed(hop: Hop) -> Hop:
        return replace(hop, account=names[hop.account], region=names[hop.region], reason="")

    source, rights, goal = oracle.facts(case)
    elsewhere = (
        replace(source, account=names[source.account], region=names[source.region]),
        replace(rights, share_keys={names[region]: arn for region, arn in rights.share_keys.items()}),
        replace(goal, account=names[goal.account], region=names[goal.region]),
    )
    route = routed(case)
    if route is None:
        with pytest.raises(NoCopyRoute):
            find_route(*elsewhere)
        return
    found = find_route(*elsewhere)
    assert found.share_snapshot == route.share_snapshot
    assert [replace(hop, reason="") for hop in found.hops] == [renamed(hop) for hop in route.hops]
