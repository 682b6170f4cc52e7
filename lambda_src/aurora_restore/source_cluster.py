"""The cluster that is restored to a point in time, or cloned: found, and judged (AUG: Restoring a DB cluster to a
specified time, Cloning a volume for an Aurora DB cluster, Retaining automated backups).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore.errors import (
    CloneLimitReached,
    InvalidParameter,
    MissingParameter,
    RestoreError,
    RestoreTimeOutside,
    SourceClusterNotFound,
    SourceNotRestorable,
    TargetKeyInvalid,
    wire_code,
)
from aurora_restore.facts import ClusterSource, SourceFacts
from aurora_restore.model import KeyKind, Request, ServerlessScaling, SourceCluster, iso, parse_time
from aurora_restore.readiness import CLUSTER_TERMINAL, Described, normal_status
from aurora_restore.settings import Settings

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

CLONES: Final = 15
"""So many share one volume; of the next one RDS silently makes a full copy (AUG: Cloning, limitations)."""

_NO_CLUSTER: Final = "DBClusterNotFound"
_NO_BACKUP: Final = "DBClusterAutomatedBackupNotFound"


# --- looking --------------------------------------------------------------------------------------------------------


def find(rds: RDSClient, request: Request, settings: Settings) -> SourceFacts:
    """The cluster that is meant, alive or by its retained backups; SourceClusterNotFound tells what is there."""
    if request.source_account_id:
        return _shared(rds, request, request.source_account_id, settings)
    name, resource = request.source_cluster_id, request.source_cluster_resource_id
    living = _cluster(rds, name) if name else None
    if living is None or resource not in (None, living["DbClusterResourceId"]):
        if resource is None:
            raise SourceClusterNotFound(
                f"There is no cluster {name} in {settings.region}. {_retained(rds, name)}", field="source_cluster_id"
            )
        backup = _backup(rds, resource)
        if backup is None or (name and backup["DBClusterIdentifier"] != name.lower()):
            of = f", but automated backups of it are of the cluster {backup['DBClusterIdentifier']}" if backup else ""
            raise SourceClusterNotFound(
                f"There is no cluster {resource}{f' named {name}' if name else ''} in {settings.region}, nor automated "
                f"backups of it{of}. {_retained(rds, name)}",
                field="source_cluster_resource_id",
            )
        if normal_status(backup.get("Status")) != "active":
            return _of_backup(backup, settings)
        living = _cluster(rds, str(backup["DBClusterIdentifier"]))
        if living is None or living["DbClusterResourceId"] != resource:
            raise SourceClusterNotFound(
                f"The cluster {resource} is being deleted or renamed", field="source_cluster_resource_id"
            )
    return SourceFacts(
        described={**living, "AllocatedStorage": _size(rds, living)},
        account=settings.account,
        region=settings.region,
        cluster=ClusterSource(
            earliest=living.get("EarliestRestorableTime"),
            latest=living.get("LatestRestorableTime"),
            writer_class=_writer_class(rds, living),
            clones=len(_clones(rds, living)) if request.clone else 0,
        ),
    )


def _shared(rds: RDSClient, request: Request, account: str, settings: Settings) -> SourceFacts:
    """Another account's cluster shows by its ARN, if it is shared by AWS RAM; its instances do not."""
    name = str(request.source_cluster_id).lower()  # as RDS keeps it
    arn = f"arn:{settings.partition}:rds:{settings.region}:{account}:cluster:{name}"
    cluster = _cluster(rds, arn, IncludeShared=True)
    if cluster is None or request.source_cluster_resource_id not in (None, cluster["DbClusterResourceId"]):
        raise SourceClusterNotFound(
            f"Account {account} has no cluster {request.source_cluster_id} in {settings.region}, or does not share it "
            "with this account",
            field="source_cluster_id",
            remedy="Share the cluster with this account by AWS RAM, accept the share, and check the name.",
        )
    clones = _clones(rds, cluster)
    return SourceFacts(
        described={**cluster, "AllocatedStorage": 0},
        account=account,
        region=settings.region,
        cluster=ClusterSource(
            earliest=cluster.get("EarliestRestorableTime"),
            latest=cluster.get("LatestRestorableTime"),
            clones=len(clones),
            cloned_across=any(clone.get("CrossAccountClone") for clone in clones),
        ),
    )


def _of_backup(backup: Described, settings: Settings) -> SourceFacts:
    window: Mapping[str, Any] = backup.get("RestoreWindow") or {}
    return SourceFacts(
        described={**backup, "AllocatedStorage": 0},
        account=settings.account,
        region=settings.region,
        cluster=ClusterSource(deleted=True, earliest=window.get("EarliestTime"), latest=window.get("LatestTime")),
    )


def _cluster(rds: RDSClient, identifier: str, **more: Any) -> Described | None:
    try:
        found = rds.describe_db_clusters(DBClusterIdentifier=identifier, **more)["DBClusters"]
    except ClientError as error:
        if wire_code(error) != _NO_CLUSTER:
            raise
        return None
    return found[0] if found else None


def _backups(rds: RDSClient, **which: Any) -> list[Described]:
    pages = rds.get_paginator("describe_db_cluster_automated_backups").paginate(**which)
    try:
        return [backup for page in pages for backup in page["DBClusterAutomatedBackups"]]
    except ClientError as error:
        if wire_code(error) != _NO_BACKUP:
            raise
        return []


def _backup(rds: RDSClient, resource_id: str) -> Described | None:
    return next(iter(_backups(rds, DbClusterResourceId=resource_id)), None)


def _retained(rds: RDSClient, name: str | None) -> str:
    """What is left of deleted clusters of that name, for whoever asked for one that is not there."""
    found = [one for one in _backups(rds) if name and one["DBClusterIdentifier"] == name.lower()]
    kept = [one for one in found if normal_status(one.get("Status")) == "retained"]
    if not kept:
        return "No automated backups of a deleted cluster of that name are retained" if name else "None are retained"
    told = "; ".join(f"{one['DbClusterResourceId']}, {_window(_of_window(one))}" for one in kept)
    return f"Retained automated backups of deleted clusters of that name, by source_cluster_resource_id: {told}"


def _of_window(backup: Described) -> ClusterSource:
    window: Mapping[str, Any] = backup.get("RestoreWindow") or {}
    return ClusterSource(earliest=window.get("EarliestTime"), latest=window.get("LatestTime"))


def _writer_class(rds: RDSClient, cluster: Described) -> str | None:
    writers = [one["DBInstanceIdentifier"] for one in cluster.get("DBClusterMembers") or () if one["IsClusterWriter"]]
    if not writers:
        return None
    wanted = [{"Name": "db-cluster-id", "Values": [str(cluster["DBClusterIdentifier"])]}]
    pages = rds.get_paginator("describe_db_instances").paginate(Filters=wanted)  # type: ignore[arg-type]
    found = {one["DBInstanceIdentifier"]: one for page in pages for one in page["DBInstances"]}
    return found[writers[0]].get("DBInstanceClass") if writers[0] in found else None


def _clones(rds: RDSClient, cluster: Described) -> list[Described]:
    group = cluster.get("CloneGroupId")
    if not group:
        return []
    wanted = [{"Name": "clone-group-id", "Values": [str(group)]}]
    pages = rds.get_paginator("describe_db_clusters").paginate(Filters=wanted)  # type: ignore[arg-type]
    found = [one for page in pages for one in page["DBClusters"]]
    return [one for one in found if one["DbClusterResourceId"] != cluster["DbClusterResourceId"]]


def _size(rds: RDSClient, cluster: Described) -> int:
    """GiB, of its newest automated snapshot; 0 without one. A cluster itself shows 1, whatever its size (BC)."""
    pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(
        DBClusterIdentifier=cluster["DBClusterIdentifier"], SnapshotType="automated"
    )
    found = [one for page in pages for one in page["DBClusterSnapshots"] if one.get("SnapshotCreateTime")]
    newest = max(found, key=lambda one: one["SnapshotCreateTime"], default=None)
    return int(newest.get("AllocatedStorage") or 0) if newest else 0


# --- what the request takes from it, pure ---------------------------------------------------------------------------


def filled(request: Request, source: SourceFacts | None) -> Request:
    """The request with what it leaves open taken from the source: the class of its writer, and that one's range."""
    if source is None or source.cluster is None:
        return request
    if request.db_instance_class is None:
        request = replace(request, db_instance_class=source.cluster.writer_class)
    scaling = source.described.get("ServerlessV2ScalingConfiguration")
    if "db.serverless" in request.classes and request.serverless_v2_scaling is None and scaling:
        least, most = float(scaling["MinCapacity"]), float(scaling["MaxCapacity"])
        pause = scaling.get("SecondsUntilAutoPause")
        request = replace(request, serverless_v2_scaling=ServerlessScaling(least, most, pause))
    return request


def planned(request: Request, source: SourceFacts) -> SourceCluster | None:
    """The source as the plan has it; None for a snapshot."""
    if source.cluster is None:
        return None
    latest = request.clone or request.restore_to_time == "latest"
    return SourceCluster(
        arn=source.arn,
        resource_id=str(source.described["DbClusterResourceId"]),
        deleted=source.cluster.deleted,
        restore_to=None if latest else request.restore_to_time,
        earliest=iso(source.cluster.earliest) if source.cluster.earliest else None,
        latest=iso(source.cluster.latest) if source.cluster.latest else None,
        writer_class=source.cluster.writer_class,
    )


@dataclass(frozen=True)
class _Case:
    request: Request
    source: SourceFacts
    cluster: ClusterSource


def refusals(request: Request, source: SourceFacts | None, settings: Settings) -> Iterator[RestoreError]:
    """What stands against restoring or cloning this cluster; nothing for a snapshot."""
    if source is None or source.cluster is None:
        return
    case = _Case(request, source, source.cluster)
    yield from _clone_refusals(case, settings) if request.clone else _time_refusals(case)
    yield from _key_refusals(case, settings)
    if request.availability_zones:
        yield InvalidParameter(
            "availability_zones are given, but RDS takes them for a restore from a snapshot only",
            field="availability_zones",
            remedy="Leave availability_zones out: the volume covers three zones, and instances can name theirs.",
        )
    if any(spec.db_instance_class is None for spec in request.topology):
        yield MissingParameter(
            "db_instance_class is missing, and the source has no writer that shows one", field="db_instance_class"
        )


def _time_refusals(case: _Case) -> Iterator[RestoreError]:
    asked, cluster = case.request.restore_to_time, case.cluster
    if cluster.earliest is None or cluster.latest is None:
        yield SourceNotRestorable(
            f"RDS tells of no time to which {case.source.arn} can be restored yet: it does so only when a restored or "
            "new cluster is complete",
            field=case.source.field,
        )
    elif asked and asked != "latest" and not cluster.earliest <= parse_time(asked) <= cluster.latest:
        yield RestoreTimeOutside(
            f"{asked} is outside of what {case.source.arn} can be restored to: {_window(cluster)}",
            field="restore_to_time",
        )


def _window(cluster: ClusterSource) -> str:
    if cluster.earliest is None or cluster.latest is None:
        return "no time yet"
    return f"from {iso(cluster.earliest)} to {iso(cluster.latest)}"


def _clone_refusals(case: _Case, settings: Settings) -> Iterator[RestoreError]:
    source, cluster = case.source, case.cluster

    def refused(why: str) -> SourceNotRestorable:
        return SourceNotRestorable(f"{source.arn} cannot be cloned: {why}", field=source.field)

    if cluster.deleted:
        yield refused("it is deleted, and only retained automated backups are left; use restore_to_time")
        return
    own = source.account == settings.account
    status = normal_status(source.described.get("Status"))
    if status in CLUSTER_TERMINAL:
        yield refused(f"it is {status}")
    elif own and not source.described.get("DBClusterMembers"):
        yield refused("it has no instance, and RDS asks for one; create one, or use restore_to_time")
    if own and cluster.clones >= CLONES:
        yield CloneLimitReached(
            f"{source.arn} has {cluster.clones} clones; RDS shares a volume with {CLONES} at most", field="clone"
        )
    if cluster.cloned_across:
        yield refused("this account has a clone of it already, and may have one only of another account's cluster")


def _key_refusals(case: _Case, settings: Settings) -> Iterator[RestoreError]:
    """Which key the new cluster can have (BC:RestoreDBClusterToPointInTime KmsKeyId; AUG: cross-account cloning)."""
    request, source = case.request, case.source
    kind = source.key.kind if source.key else None
    if kind in (KeyKind.AWS_MANAGED, KeyKind.AWS_OWNED) and source.account != settings.account:
        yield SourceNotRestorable(
            f"{source.arn} cannot be cloned by another account: it is under a default key, which cannot be shared",
            field=source.field,
        )
    if kind is KeyKind.NONE and (request.kms_key_id or request.require_local_customer_key):
        yield TargetKeyInvalid(
            f"{source.arn} is not encrypted, and RDS takes no key for a point in time or a clone of it",
            field="kms_key_id",
            remedy="Restore from a snapshot, for which a key can be given, or leave kms_key_id out and set "
            "require_local_customer_key = false: the new cluster is then under a key that AWS owns.",
        )
