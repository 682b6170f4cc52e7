"""The way of a snapshot to where a cluster can be restored from it: the cheapest one that AWS allows. Pure.

A search over snapshots: a node is a snapshot (account, region, kind, key, shared or not), a move is one call that the
deployment may make, a copy or a share. The goal is a snapshot that RestoreDBClusterFromSnapshot takes in the
deployment's account T and region TR. Copies are made in the source's region and in TR only: data does not pass through
a third region that nobody asked for.

The rules stand beside the moves. Sources: AUG-COPY (Aurora User Guide, "Copying a DB cluster snapshot"), AUG-SHARE
("Sharing a DB cluster snapshot"), AUG-ENC ("Encrypting Amazon Aurora resources"), AUG-KEYS ("AWS KMS key management"),
BC (RDS API reference).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations, count
from typing import Final

from aurora_restore.errors import InternalError, NoCopyRoute
from aurora_restore.model import KeyKind, SnapshotKind

DEFAULT_KEY: Final = "alias/aws/rds"
"""The key of a copy that only lives until the next one is made of it."""

Cost = tuple[int, int, int]

# Regions of the partition aws have none of these prefixes.
_PARTITIONS: Final[Mapping[str, str]] = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}


# --- facts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SnapshotKey:
    """What a snapshot is encrypted under, and who may use it.

    The two flags tell of customer keys. A default key (aws/rds, or one that AWS owns) cannot be disabled and serves
    its own account, always, and no other.
    """

    kind: KeyKind
    arn: str | None = None
    usable_by_source: bool = True
    """It is enabled, and the role in the snapshot's account may use it."""
    usable_by_target: bool = False
    """It is enabled, and the deployment's own roles may use it."""


@dataclass(frozen=True)
class SourceSnapshot:
    """A snapshot: the source, or a copy of it on the way."""

    account: str
    region: str
    kind: SnapshotKind
    key: SnapshotKey
    shared: bool = False
    """With the deployment's account; means nothing for a snapshot of its own."""


@dataclass(frozen=True)
class Rights:
    """What the deployment may do in the source's account, where that is another one than its own."""

    copy: bool = False
    share: bool = False
    share_keys: Mapping[str, str] = field(default_factory=dict)
    """By region: ARN of a customer key there that the source role and the deployment's roles may use."""


@dataclass(frozen=True)
class Goal:
    """Where the cluster is restored."""

    account: str
    region: str
    kms_key_id: str
    """Key of this account and region for the copies that are made there."""
    single_step: bool = True
    """A copy may go to another account and another region at once (copy_strategy auto or direct)."""


# --- the route ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hop:
    """One copy: CopyDBClusterSnapshot, called in ``region`` by ``account``, of the snapshot before it."""

    account: str
    region: str
    kms_key_id: str | None
    """Given to the call; None where the copy stays unencrypted, or keeps its key within one account and region."""
    by_source_account: bool
    """Made by the source account's role, not by the deployment's own."""
    cross_region: bool
    cross_account: bool
    reason: str
    """Why it is needed, for a person."""
    share: bool = False
    """Shared with the deployment's account when it is available."""


@dataclass(frozen=True)
class Route:
    """The share of the snapshot itself, where it is needed, and then the copies in order."""

    share_snapshot: bool = False
    hops: tuple[Hop, ...] = ()

    @property
    def copies(self) -> int:
        """How many copies are made; each is a full one, and billed as such (AUG-COPY)."""
        return len(self.hops)

    @property
    def cross_region_copies(self) -> int:
        """How many of them move the data between regions."""
        return sum(hop.cross_region for hop in self.hops)

    @property
    def source_writes(self) -> int:
        """Copies made and shares added in another account than the deployment's."""
        return self.share_snapshot + sum(hop.by_source_account + hop.share for hop in self.hops)

    @property
    def uses_single_step(self) -> bool:
        """A copy goes to another account and another region at once, which AWS allows since September 2025."""
        return any(hop.cross_account and hop.cross_region for hop in self.hops)

    @property
    def cost(self) -> Cost:
        """What routes are compared by: fewest copies, then fewest across regions, then least done at the source."""
        return (self.copies, self.cross_region_copies, self.source_writes)


def find_route(snapshot: SourceSnapshot, rights: Rights, goal: Goal) -> Route:
    """The cheapest permitted route; raise NoCopyRoute, which names the least change that would open one."""
    refuse_borders(snapshot.region, goal.region)
    if route := _search(snapshot, rights, goal):
        return route
    found = opening(snapshot, rights, goal)
    many = len(found.changes) > 1
    raise NoCopyRoute(
        f"No permitted way leads from account {snapshot.account} in {snapshot.region} to account {goal.account} in "
        f"{goal.region} for this {_KINDS[snapshot.kind]} {_KEYS[snapshot.key.kind]}. "
        f"{'Changes needed' if many else 'Change needed'}: {'; and '.join(found.changes)}. {_outlook(found.route)}",
        remedy="Make both changes that the message names." if many else None,
    )


def _search(snapshot: SourceSnapshot, rights: Rights, goal: Goal) -> Route | None:
    """Uniform-cost search; among equal costs the route that was found first wins, in the order of `_moves`."""
    tickets = count()
    queue = [(Route().cost, next(tickets), snapshot, Route())]
    done: set[SourceSnapshot] = set()
    while queue:
        _, _, here, route = heapq.heappop(queue)
        # A restore takes an own or a shared snapshot of its own region, an encrypted one too (AUG-SHARE).
        if here.region == goal.region and _readable(here, goal):
            return route
        if here in done:
            continue
        done.add(here)
        for there, further in _moves(here, route, snapshot, rights, goal):
            heapq.heappush(queue, (further.cost, next(tickets), there, further))
    return None


# --- the moves ------------------------------------------------------------------------------------------------------


def _moves(
    here: SourceSnapshot, route: Route, source: SourceSnapshot, rights: Rights, goal: Goal
) -> Iterator[tuple[SourceSnapshot, Route]]:
    """Every call that may be made with a snapshot, and what it leads to."""
    regions = tuple(dict.fromkeys((source.region, goal.region)))
    if here.account != goal.account:
        if rights.share and _shareable(here) and not here.shared:
            yield replace(here, shared=True), _with_share(route)
        if rights.copy and (here.key.kind is not KeyKind.CUSTOMER or here.key.usable_by_source):
            for region in regions:
                for key in _source_keys(here, region, rights):
                    yield _copied(here, route, goal, source.account, region, key)
    if _readable(here, goal):
        for region in regions:
            # AUG-COPY, "Cross-Region and cross-account copy in a single step": new enough to be refused.
            if goal.single_step or here.account == goal.account or here.region == region:
                yield _copied(here, route, goal, goal.account, region, _target_key(here, region, goal))


def _shareable(snapshot: SourceSnapshot) -> bool:
    """Only a manual snapshot, and not one under a default key, may be shared (AUG-SHARE, AUG-ENC).

    For keys that AWS owns the guide says neither yes nor no; a copy under a customer key works in both cases.
    """
    return snapshot.kind is SnapshotKind.MANUAL and snapshot.key.kind in {KeyKind.NONE, KeyKind.CUSTOMER}


def _readable(snapshot: SourceSnapshot, goal: Goal) -> bool:
    """The deployment may copy it, and restore from it in its region: it and its key are there for T (AUG-SHARE)."""
    key = snapshot.key
    if snapshot.account == goal.account:
        return key.kind is not KeyKind.CUSTOMER or key.usable_by_target
    return snapshot.shared and _shareable(snapshot) and (key.kind is KeyKind.NONE or key.usable_by_target)


def _source_keys(here: SourceSnapshot, region: str, rights: Rights) -> Iterator[SnapshotKey]:
    """The keys that a copy within the source's account may get in a region.

    An unencrypted copy takes none. The key may stay what it is within one region, and has to be given across regions
    (BC:CopyDBClusterSnapshot, KmsKeyId). A copy under aws/rds of another region would lead nowhere.
    """
    if here.key.kind is KeyKind.NONE:
        yield here.key
        return
    if region == here.region:
        yield here.key
    if arn := rights.share_keys.get(region):
        yield SnapshotKey(KeyKind.CUSTOMER, arn, usable_by_source=True, usable_by_target=True)


def _target_key(here: SourceSnapshot, region: str, goal: Goal) -> SnapshotKey:
    """The key of a copy that T makes: none if unencrypted; it has to be given across accounts and across regions."""
    if here.key.kind is KeyKind.NONE:
        return here.key
    if region == goal.region:
        return SnapshotKey(KeyKind.CUSTOMER, goal.kms_key_id, usable_by_source=False, usable_by_target=True)
    return SnapshotKey(KeyKind.AWS_MANAGED, DEFAULT_KEY)


def _copied(
    here: SourceSnapshot, route: Route, goal: Goal, account: str, region: str, key: SnapshotKey
) -> tuple[SourceSnapshot, Route]:
    """The copy, which is manual whatever its source was and is shared with nobody (AUG-COPY), and the route to it."""
    cross_region, cross_account = region != here.region, account != here.account
    keeps_key = key == here.key and not cross_region and not cross_account
    hop = Hop(
        account=account,
        region=region,
        kms_key_id=None if keeps_key or key.kind is KeyKind.NONE else key.arn,
        by_source_account=account != goal.account,
        cross_region=cross_region,
        cross_account=cross_account,
        reason=_reason(here, goal, account, region),
    )
    return SourceSnapshot(account, region, SnapshotKind.MANUAL, key), replace(route, hops=(*route.hops, hop))


def _with_share(route: Route) -> Route:
    """The route, at whose end the snapshot is shared."""
    if not route.hops:
        return replace(route, share_snapshot=True)
    return replace(route, hops=(*route.hops[:-1], replace(route.hops[-1], share=True)))


def refuse_borders(source_region: str, region: str) -> None:
    """No copy crosses from one partition to another, nor to or from a region of China (AUG-COPY)."""
    here, there = _partition(source_region), _partition(region)
    if here != there:
        raise NoCopyRoute(
            f"No snapshot can be copied from {source_region} to {region}: they are of two partitions, {here} and "
            f"{there}, which share nothing",
            field="source_region",
            remedy=f"Name a snapshot of partition {there}, or restore in {here}, with a deployment of its own there.",
        )
    if source_region != region and here == "aws-cn":
        raise NoCopyRoute(
            f"No snapshot can be copied from {source_region} to {region}: RDS copies cluster snapshots neither to nor "
            "from another region in China",
            field="source_region",
            remedy=f"Name a snapshot of {region}, or restore in {source_region}, with a deployment of its own there.",
        )


def _partition(region: str) -> str:
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


# --- for a person ---------------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[SnapshotKind, str]] = {
    SnapshotKind.AUTOMATED: "automated snapshot",
    SnapshotKind.MANUAL: "manual snapshot",
    SnapshotKind.AWSBACKUP: "snapshot of AWS Backup",
}
_KEYS: Final[Mapping[KeyKind, str]] = {
    KeyKind.NONE: "without encryption",
    KeyKind.AWS_OWNED: "under a key that AWS owns",
    KeyKind.AWS_MANAGED: "under the default key aws/rds",
    KeyKind.CUSTOMER: "under a customer key",
}


def _reason(here: SourceSnapshot, goal: Goal, account: str, region: str) -> str:
    """Why this snapshot has to be copied to there."""
    why = []
    if account != goal.account:
        if here.kind is not SnapshotKind.MANUAL:
            why.append(f"the {_KINDS[here.kind]} cannot be shared")
        if here.key.kind in {KeyKind.AWS_OWNED, KeyKind.AWS_MANAGED}:
            why.append(f"no snapshot {_KEYS[here.key.kind]} can be shared")
        if here.key.kind is KeyKind.CUSTOMER and not here.key.usable_by_target:
            why.append(f"account {goal.account} may not use its key")
    elif account != here.account and region == here.region:
        why.append(f"only a snapshot of its own may be copied to {goal.region} by account {goal.account}")
    if region != here.region:
        why.append(f"it lies in {here.region}, and a cluster is restored from a snapshot of its own region")
    text = "; ".join(why)
    return text[:1].upper() + text[1:]


def _outlook(route: Route) -> str:
    if not route.copies:
        return "Then it could be restored without any copy."
    return f"Then {route.copies} {'copy' if route.copies == 1 else 'copies'} would do."


# --- what would open a way ------------------------------------------------------------------------------------------

# What RDS needs of a key that is not its caller's own, to copy and to restore (AUG-SHARE, AUG-KEYS).
_KEY_USE: Final = "kms:DescribeKey, kms:CreateGrant, kms:Decrypt, kms:GenerateDataKey* and kms:ReEncrypt*"

_Change = tuple[str, Callable[[SourceSnapshot, Rights], tuple[SourceSnapshot, Rights]]]


@dataclass(frozen=True)
class Opening:
    """The least that would open a way: what to change, the facts as they would be then, and the route they allow."""

    changes: tuple[str, ...]
    """One, wherever one is enough; else two."""
    snapshot: SourceSnapshot
    rights: Rights
    route: Route


def opening(snapshot: SourceSnapshot, rights: Rights, goal: Goal) -> Opening:
    """What would open a way where there is none; what takes a person the least effort comes first.

    copy_strategy is not among the changes: where one step is allowed, two are, so that it never decides whether there
    is a way. Nor is a share key in the source's region: one in TR serves every case, with fewer copies.
    """
    changes = tuple(_changes(snapshot, rights, goal))
    for size in range(1, len(changes) + 1):
        for chosen in combinations(changes, size):
            facts = (snapshot, rights)
            for _, apply in chosen:
                facts = apply(*facts)
            if route := _search(*facts, goal):
                return Opening(tuple(text for text, _ in chosen), *facts, route)
    raise InternalError(f"Nothing opens a way for {snapshot} with {rights} to {goal}")


def _changes(snapshot: SourceSnapshot, rights: Rights, goal: Goal) -> Iterator[_Change]:
    """The changes that may help, each with what it makes of the facts."""
    source, key, name = snapshot.account, snapshot.key, snapshot.key.arn or "the snapshot's key"
    customer, foreign = key.kind is KeyKind.CUSTOMER, source != goal.account
    use = f"enable {name} if it is disabled, and let its policy and "

    if foreign and _shareable(snapshot) and not snapshot.shared:
        text = f"let the owner share the snapshot with account {goal.account}"
        yield text, lambda facts, may: (replace(facts, shared=True), may)
    if customer and not key.usable_by_target:
        text = f"{use}the deployment's roles in account {goal.account} allow {_KEY_USE}"
        yield text, lambda facts, may: (replace(facts, key=replace(facts.key, usable_by_target=True)), may)
    if not foreign:
        return
    if customer and not key.usable_by_source:
        text = f"{use}the source role in account {source} allow {_KEY_USE}"
        yield text, lambda facts, may: (replace(facts, key=replace(facts.key, usable_by_source=True)), may)
    keys = dict(rights.share_keys)
    if lacks_key := key.kind is not KeyKind.NONE and goal.region not in keys:
        keys[goal.region] = "(a share key yet to be made)"
        text = (
            f'add to source_accounts["{source}"].share_kms_key_arns a customer key of {goal.region} that both accounts '
            "may use (modules/source-account makes one)"
        )
        yield text, lambda facts, may: (facts, replace(may, share_keys=keys))
    if not (rights.copy and rights.share):
        text = (
            f"apply modules/source-account in account {source}, whose role may copy and share snapshots"
            f"{f', with a share key in {goal.region}' if lacks_key else ''}, and add its output to source_accounts"
        )
        yield text, lambda facts, _: (facts, Rights(copy=True, share=True, share_keys=keys))
