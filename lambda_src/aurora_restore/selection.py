"""Which snapshot a request means: by name or ARN, by day, or by rule.

Rules go by SnapshotCreateTime, never by names (an automated snapshot's carries the minute it was scheduled for) nor by
the order in which RDS lists, which is none (aws-facts: DescribeDBClusterSnapshots).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import durations, names
from aurora_restore.errors import (
    RestoreError,
    SnapshotAmbiguous,
    SnapshotNotAvailable,
    SnapshotNotFound,
    SnapshotTooOld,
    SourceAccountUnknown,
    wire_code,
)
from aurora_restore.model import Request, SnapshotKind, SnapshotSelector, iso
from aurora_restore.readiness import Described, normal_status

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

NEWEST: Final = 5
_NEVER: Final = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class View:
    """Who looks at an account's snapshots in a region."""

    rds: RDSClient
    partition: str
    account: str
    """Whose snapshots are meant."""
    region: str
    owner: bool
    """The look is the owner's (the deployment's own account, or by the source role), which sees all kinds.

    Another account sees what is shared with it, by ARN, and without tags.
    """


@dataclass(frozen=True)
class Selection:
    """The snapshot, or why there is none; one that is not available is both."""

    snapshot: Described | None = None
    findings: tuple[RestoreError, ...] = ()
    warnings: tuple[str, ...] = ()


# --- looking --------------------------------------------------------------------------------------------------------


def find(view: View, request: Request, now: datetime) -> Selection:
    """The snapshot that the request means, seen by ``view``."""
    if request.snapshot_identifier:
        return _by_identifier(view, request, request.snapshot_identifier, now)
    if not request.source_cluster_id:
        raise ValueError("a validated request has a source")
    found = list(_snapshots(view, request.source_cluster_id))
    if not found:
        # RDS wants DBClusterIdentifier to be a cluster that exists: a deleted one's snapshots show without it only.
        found = list(_snapshots(view, None))
    return choose(found, rule_of(request, view), now, living=lambda: _living(view, request))


def _by_identifier(view: View, request: Request, identifier: str, now: datetime) -> Selection:
    name = names.snapshot_name(identifier)
    # Another account's snapshot is found by its ARN only; for an automated one the type must be given, too.
    arn = f"arn:{view.partition}:rds:{view.region}:{view.account}:cluster-snapshot:{name}"
    which: dict[str, Any] = {"DBClusterSnapshotIdentifier": name if view.owner else arn}
    kind: dict[str, Any] = (
        {"SnapshotType": "automated"} if name.startswith("rds:") else {"IncludeShared": True, "IncludePublic": True}
    )
    found: Described | None = None
    try:
        found = next(iter(view.rds.describe_db_cluster_snapshots(**which, **kind)["DBClusterSnapshots"]), None)
    except ClientError as error:
        if wire_code(error) != "DBClusterSnapshotNotFound":
            raise
    where = f"account {view.account}, {view.region}"
    if found is None:
        there = what_is_there(list(_snapshots(view, None)), now)
        if not view.owner:
            problem: RestoreError = SourceAccountUnknown(
                f"Account {view.account} is not among the deployment's source_accounts, and shares no snapshot {name} "
                f"with this account in {view.region}. {there}",
                field="snapshot_identifier",
            )
        else:
            problem = SnapshotNotFound(f"There is no snapshot {name} ({where}). {there}", field="snapshot_identifier")
        return Selection(findings=(problem,))

    findings: list[RestoreError] = []
    cluster, resource = request.source_cluster_id, request.source_cluster_resource_id
    if cluster and found.get("DBClusterIdentifier") != cluster.lower():
        findings.append(
            SnapshotNotFound(
                f"Snapshot {name} is of cluster {found.get('DBClusterIdentifier')}, not of {cluster}",
                field="source_cluster_id",
            )
        )
    if resource and found.get("DbClusterResourceId") not in (None, resource):
        findings.append(
            SnapshotNotFound(
                f"Snapshot {name} is of the cluster {found.get('DbClusterResourceId')}, not of {resource}",
                field="source_cluster_resource_id",
            )
        )
    if not _available(found):
        findings.append(
            SnapshotNotAvailable(f"It cannot be used yet: {listed([found], now)}", field="snapshot_identifier")
        )
    return Selection(found, tuple(findings))


def _snapshots(view: View, cluster: str | None) -> Iterable[Described]:
    """The account's snapshots, of one cluster or of all."""
    which: dict[str, Any] = {}
    if not view.owner:
        which["SnapshotType"] = "shared"
    elif cluster:
        which["DBClusterIdentifier"] = cluster.lower()
    try:
        for page in view.rds.get_paginator("describe_db_cluster_snapshots").paginate(**which):
            yield from (one for one in page["DBClusterSnapshots"] if account_of(one) == view.account)
    except ClientError as error:
        if wire_code(error) != "DBClusterNotFound":
            raise


def _living(view: View, request: Request) -> str | None:
    """Resource id of the cluster that has the source's name now; only its account can know."""
    if not view.owner or not request.source_cluster_id:
        return None
    try:
        found = view.rds.describe_db_clusters(DBClusterIdentifier=request.source_cluster_id)["DBClusters"]
    except ClientError as error:
        if wire_code(error) != "DBClusterNotFound":
            raise
        return None
    return found[0].get("DbClusterResourceId") if found else None


# --- the rules, pure ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What a snapshot has to be, by day or by selector."""

    account: str
    region: str
    cluster: str
    said_by: str
    """Field of the request that says so."""
    resource_id: str | None = None
    day: date | None = None
    selector: SnapshotSelector = field(default_factory=SnapshotSelector)

    def fits(self, snapshot: Described) -> bool:
        """It is what is asked for, whatever its status and age.

        The pipeline's own copies do not count: their SnapshotCreateTime is when they were copied, so that the newest
        copy may hold old data. They go by their name, not by the pipeline's tags, which the snapshots of a restored
        cluster inherit from it (CopyTagsToSnapshot).
        """
        created, tags = created_at(snapshot), _tags(snapshot)
        return (
            account_of(snapshot) == self.account
            and str(snapshot.get("DBClusterIdentifier", "")).lower() == self.cluster
            and self.resource_id in (None, snapshot.get("DbClusterResourceId"))
            and (self.day is None or (created is not None and created.date() == self.day))
            and self.selector.type in ("any", "shared", kind_of(snapshot).value)
            and all(tags.get(key) == value for key, value in self.selector.tags.items())
            and not names.is_copy_identifier(names.snapshot_name(str(snapshot.get("DBClusterSnapshotIdentifier", ""))))
        )

    def __str__(self) -> str:
        kind = self.selector.type
        parts = [f"{'' if kind == 'any' else f'{kind} '}snapshot of {self.cluster}"]
        parts += [f"(resource id {self.resource_id})"] if self.resource_id else []
        parts += [f"of {self.day.isoformat()} (UTC)"] if self.day else []
        parts += (
            [f"with tags {', '.join(f'{k}={v}' for k, v in self.selector.tags.items())}"] if self.selector.tags else []
        )
        return " ".join([*parts, f"in account {self.account}, {self.region}"])


def rule_of(request: Request, view: View) -> Rule:
    """The rule that a request without a snapshot_identifier states."""
    day = request.snapshot_date
    return Rule(
        account=view.account,
        region=view.region,
        cluster=str(request.source_cluster_id).lower(),
        said_by="snapshot_date" if day else "snapshot_selector",
        resource_id=request.source_cluster_resource_id,
        day=date.fromisoformat(day) if day else None,
        selector=request.snapshot_selector or SnapshotSelector(),
    )


def choose(snapshots: Sequence[Described], rule: Rule, now: datetime, *, living: Callable[[], str | None]) -> Selection:
    """The newest available one that fits; the order of ``snapshots`` does not matter.

    ``living`` tells the resource id of the cluster that has the name now, None for none or if that cannot be known.
    Without a resource id in the request its snapshots are meant: what a deleted one of its name has left is never taken
    in their place, not even while the first of them is still being made.
    """
    fitting = [snapshot for snapshot in snapshots if rule.fits(snapshot)]
    available = [snapshot for snapshot in fitting if _available(snapshot) and created_at(snapshot)]
    warnings: list[str] = []
    ids = sorted({str(snapshot.get("DbClusterResourceId")) for snapshot in available})
    if available and rule.resource_id is None:
        alive = living()
        others = [one for one in ids if one != alive]
        if (alive not in ids) if alive else len(ids) > 1:
            return Selection(findings=(_ambiguous(available, ids, rule, alive, now),))
        if alive and others:
            available = [snapshot for snapshot in available if snapshot.get("DbClusterResourceId") == alive]
            warnings.append(
                f"Several clusters have had the name {rule.cluster}; the snapshot is of the one that has it now "
                f"({alive}), not of {', '.join(others)}."
            )
    if not available:
        return Selection(findings=(_none(snapshots, fitting, rule, now),))
    chosen = max(available, key=_newest)
    created = _created(chosen)
    age = (now - created).total_seconds()
    most = rule.selector.max_age_hours
    if most is not None and age > most * 3600:
        problem = SnapshotTooOld(
            f"The newest {rule} is {names.snapshot_name(str(chosen['DBClusterSnapshotIdentifier']))}, "
            f"{durations.told(age)} old; max_age_hours is {most:g}",
            field="snapshot_selector",
        )
        return Selection(chosen, (problem,), tuple(warnings))
    if source := chosen.get("SourceDBClusterSnapshotArn"):
        warnings.append(f"The snapshot is a copy of {source}: its time is when it was copied, its data may be older.")
    if rule.day is None and most is None and age > STALE:
        warnings.append(f"The newest snapshot that fits is {durations.told(age)} old, and max_age_hours sets no limit.")
    return Selection(chosen, (), tuple(warnings))


STALE: Final = 48 * 3600
"""Seconds; RDS takes an automated snapshot each day, so that an older newest one deserves a word."""


def _none(everything: Sequence[Described], fitting: Sequence[Described], rule: Rule, now: datetime) -> RestoreError:
    if fitting:
        return SnapshotNotAvailable(f"No {rule} is available: {listed(_newest_of(fitting), now)}", field=rule.said_by)
    of_cluster = [one for one in everything if replace(rule, day=None, selector=SnapshotSelector()).fits(one)]
    there = what_is_there(of_cluster or everything, now, f"of {rule.cluster}" if of_cluster else "at all")
    clusters = {str(one.get("DBClusterIdentifier")).lower() for one in everything if account_of(one) == rule.account}
    if rule.cluster in clusters:
        return SnapshotNotFound(f"There is no {rule}. {there}", field=rule.said_by)
    alike = difflib.get_close_matches(rule.cluster, sorted(clusters), n=1)
    meant = f"; did you mean {alike[0]}?" if alike else "."
    return SnapshotNotFound(
        f"There is no {rule}{meant} {there}",
        field=rule.said_by,
        remedy="Correct source_cluster_id, or say where the cluster is: source_region, if it is in another region than "
        f"{rule.region}; source_account_id, if it is of another account.",
    )


def _ambiguous(
    available: Sequence[Described], ids: Sequence[str], rule: Rule, alive: str | None, now: datetime
) -> RestoreError:
    def newest_by(resource_id: str) -> Described:
        return max((one for one in available if str(one.get("DbClusterResourceId")) == resource_id), key=_newest)

    told = "; ".join(f"{resource_id}: {listed([newest_by(resource_id)], now)}" for resource_id in ids)
    now_has = f"the one that has it now ({alive}) has none that fits and is available" if alive else "none has it now"
    return SnapshotAmbiguous(
        f"Several clusters have had the name {rule.cluster}, and {now_has}. Each with its newest: {told}",
        field="source_cluster_resource_id",
        details={"resource_ids": list(ids)},
    )


# --- what a snapshot tells ------------------------------------------------------------------------------------------


def kind_of(snapshot: Described) -> SnapshotKind:
    """Its kind at its owner's: what is shared or public is a manual one, since no other can be shared."""
    name = names.snapshot_name(str(snapshot.get("DBClusterSnapshotIdentifier", "")))
    shown = normal_status(snapshot.get("SnapshotType"))
    if shown == "awsbackup" or name.startswith("awsbackup:"):
        return SnapshotKind.AWSBACKUP
    return SnapshotKind.AUTOMATED if shown == "automated" or name.startswith("rds:") else SnapshotKind.MANUAL


def account_of(snapshot: Described) -> str:
    """The owner."""
    return str(snapshot.get("DBClusterSnapshotArn", "::::")).split(":")[4]


def created_at(snapshot: Described) -> datetime | None:
    """May be absent while the snapshot is being created."""
    created: datetime | None = snapshot.get("SnapshotCreateTime")
    return created


def what_is_there(snapshots: Sequence[Described], now: datetime, where: str = "at all") -> str:
    """The newest ones, for whoever asked for one that is not there."""
    if not snapshots:
        return "No snapshot is there at all"
    return f"The newest that are there {where}: {listed(_newest_of(snapshots), now)}"


def _newest_of(snapshots: Sequence[Described]) -> list[Described]:
    """As many as an error lists, the newest first."""
    return sorted(snapshots, key=_newest, reverse=True)[:NEWEST]


def listed(snapshots: Iterable[Described], now: datetime) -> str:
    """Names with time, age and status."""

    def one(snapshot: Described) -> str:
        created = created_at(snapshot)
        percent = "" if _available(snapshot) else f" {snapshot.get('PercentProgress', 0)} %"
        time = f"{iso(created)}, {durations.told((now - created).total_seconds())} old" if created else "no time yet"
        name = names.snapshot_name(str(snapshot.get("DBClusterSnapshotIdentifier")))
        return f"{name} ({time}, {snapshot.get('Status')}{percent})"

    return ", ".join(one(snapshot) for snapshot in snapshots)


def _available(snapshot: Described) -> bool:
    return normal_status(snapshot.get("Status")) == "available"


def _created(snapshot: Described) -> datetime:
    return created_at(snapshot) or _NEVER


def _newest(snapshot: Described) -> tuple[datetime, str]:
    """For max: of two of the same moment always the same one."""
    return _created(snapshot), str(snapshot.get("DBClusterSnapshotArn"))


def _tags(snapshot: Described) -> Mapping[str, str]:
    return {str(tag.get("Key")): str(tag.get("Value", "")) for tag in snapshot.get("TagList") or ()}
