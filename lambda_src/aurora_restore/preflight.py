"""The facts that a plan rests on, gathered with read-only calls, before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import names
from aurora_restore.engine import aurora
from aurora_restore.errors import SnapshotNotAvailable, SnapshotNotFound, UnsupportedSnapshot, wire_code
from aurora_restore.model import Request, iso
from aurora_restore.readiness import Described, normal_status

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

NEWEST: Final = 5


@dataclass(frozen=True)
class Facts:
    """What is there."""

    snapshot: Described
    offered: Described | None
    """The wanted engine version as offered in this region, or None."""
    upgrades: Mapping[str, bool]
    """Versions that the snapshot's version can be upgraded to; True where that is a major upgrade."""
    lifecycles: Sequence[Mapping[str, Any]]
    """Support periods of the wanted version's major."""
    class_offered: bool
    classes: tuple[str, ...] = ()
    """The classes that are offered; asked for only when the wanted one is not."""
    subnet_group: Described | None = None
    cluster_parameter_group: Described | None = None
    instance_parameter_group: Described | None = None
    target: Described | None = None
    """A cluster that has the wanted name."""
    taken_instances: tuple[str, ...] = ()
    """Instances that have one of the wanted names."""


def wanted_version(request: Request, snapshot: Described) -> str:
    """The snapshot's version, unless asked otherwise."""
    return request.engine_version or str(snapshot["EngineVersion"])


def gather(rds: RDSClient, request: Request) -> Facts:
    """Look everything up."""
    snapshot = find_snapshot(rds, request)
    engine, version = str(snapshot["Engine"]), wanted_version(request, snapshot)
    if engine not in aurora.ENGINES:
        raise UnsupportedSnapshot(
            f"Snapshot {snapshot['DBClusterSnapshotIdentifier']} is of engine {engine}", field="snapshot_identifier"
        )
    offered = _first(rds.describe_db_engine_versions(Engine=engine, EngineVersion=version)["DBEngineVersions"])
    upgrades: Mapping[str, bool] = {}
    if offered is None or version != snapshot["EngineVersion"]:
        upgrades = _upgrades(rds, engine, str(snapshot["EngineVersion"]))
    classes = _classes(rds, engine, version, request.db_instance_class) if offered else ()
    class_offered = request.db_instance_class in classes
    wanted = [names.instance_identifier(request.target_cluster_id, n + 1) for n in range(request.readers + 1)]
    return Facts(
        snapshot=snapshot,
        offered=offered,
        upgrades=upgrades,
        lifecycles=_lifecycles(rds, engine, version),
        class_offered=class_offered,
        classes=_classes(rds, engine, version, None) if offered and not class_offered else (),
        subnet_group=_or_none(
            lambda: rds.describe_db_subnet_groups(DBSubnetGroupName=request.db_subnet_group_name)["DBSubnetGroups"][0],
            "DBSubnetGroupNotFound",
        ),
        cluster_parameter_group=_cluster_parameter_group(rds, request.db_cluster_parameter_group_name),
        instance_parameter_group=_instance_parameter_group(rds, request.db_parameter_group_name),
        target=aurora.Aurora(rds).cluster(request.target_cluster_id),
        taken_instances=_taken(rds, wanted),
    )


# --- the snapshot ---------------------------------------------------------------------------------------------------


def find_snapshot(rds: RDSClient, request: Request) -> Described:
    """The snapshot that the request means; refused with what is there when there is none."""
    if request.snapshot_identifier:
        return _by_identifier(rds, request.snapshot_identifier, request.source_cluster_id)
    if not (request.source_cluster_id and request.snapshot_date):
        raise ValueError("a validated request has a source")
    found = list(_snapshots(rds, request.source_cluster_id))
    chosen, others = newest_of_day(found, date.fromisoformat(request.snapshot_date))
    if chosen is not None:
        return chosen
    day = f"{request.source_cluster_id} of {request.snapshot_date} (UTC)"
    if others:
        raise SnapshotNotAvailable(f"No snapshot of {day} is available: {_listed(others)}", field="snapshot_date")
    raise SnapshotNotFound(f"There is no snapshot of {day}. {_what_is_there(found)}", field="snapshot_date")


def newest_of_day(snapshots: Iterable[Described], day: date) -> tuple[Described | None, list[Described]]:
    """The newest available snapshot created on a UTC day, and all of that day.

    By SnapshotCreateTime: an automated snapshot's name carries the minute it was scheduled for, not its day.
    """
    of_day = [snapshot for snapshot in snapshots if (created := _created(snapshot)) and created.date() == day]
    available = [snapshot for snapshot in of_day if normal_status(snapshot.get("Status")) == "available"]
    return max(available, key=lambda snapshot: snapshot["SnapshotCreateTime"], default=None), of_day


def _by_identifier(rds: RDSClient, identifier: str, cluster: str | None) -> Described:
    name = identifier.split(":", 6)[6] if identifier.startswith("arn:") else identifier
    # For an automated snapshot the type must be given, too (BC:DescribeDBClusterSnapshots).
    kind: dict[str, Any] = {"SnapshotType": "automated"} if name.startswith("rds:") else {}
    found = _or_none(
        lambda: rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=identifier, **kind)["DBClusterSnapshots"][
            0
        ],
        "DBClusterSnapshotNotFound",
    )
    if found is None:
        raise SnapshotNotFound(
            f"There is no snapshot {identifier}. {_what_is_there(list(_snapshots(rds, cluster)))}",
            field="snapshot_identifier",
        )
    if cluster and found.get("DBClusterIdentifier") != cluster.lower():
        raise SnapshotNotFound(
            f"Snapshot {identifier} is of cluster {found.get('DBClusterIdentifier')}, not of {cluster}",
            field="source_cluster_id",
        )
    if normal_status(found.get("Status")) != "available":
        raise SnapshotNotAvailable(f"No use yet: {_listed([found])}", field="snapshot_identifier")
    return found


def _snapshots(rds: RDSClient, cluster: str | None) -> Iterable[Described]:
    """Automated and manual snapshots, of one cluster or of all; RDS gives them in no order."""
    which: dict[str, Any] = {"DBClusterIdentifier": cluster.lower()} if cluster else {}
    try:
        for page in rds.get_paginator("describe_db_cluster_snapshots").paginate(**which):
            yield from page["DBClusterSnapshots"]
    except ClientError as error:
        if wire_code(error) != "DBClusterNotFound":
            raise


def _what_is_there(snapshots: Sequence[Described]) -> str:
    if not snapshots:
        return "No snapshot is there at all"
    newest = sorted(snapshots, key=lambda snapshot: _created(snapshot) or _NEVER, reverse=True)[:NEWEST]
    return f"The newest that are there: {_listed(newest)}"


_NEVER: Final = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _listed(snapshots: Iterable[Described]) -> str:
    def one(snapshot: Described) -> str:
        created = _created(snapshot)
        percent = f" {snapshot['PercentProgress']} %" if normal_status(snapshot.get("Status")) == "creating" else ""
        return (
            f"{snapshot.get('DBClusterSnapshotIdentifier')} "
            f"({iso(created) if created else 'no time yet'}, {snapshot.get('Status')}{percent})"
        )

    return ", ".join(one(snapshot) for snapshot in snapshots)


def _created(snapshot: Described) -> datetime | None:
    """May be absent while the snapshot is being created."""
    created: datetime | None = snapshot.get("SnapshotCreateTime")
    return created


# --- the rest -------------------------------------------------------------------------------------------------------


def _upgrades(rds: RDSClient, engine: str, version: str) -> dict[str, bool]:
    # The snapshot's version may be retired, hence IncludeAll.
    found = _first(
        rds.describe_db_engine_versions(Engine=engine, EngineVersion=version, IncludeAll=True)["DBEngineVersions"]
    )
    targets = (found or {}).get("ValidUpgradeTarget") or ()
    return {target["EngineVersion"]: bool(target.get("IsMajorVersionUpgrade")) for target in targets}


def _lifecycles(rds: RDSClient, engine: str, version: str) -> Sequence[Mapping[str, Any]]:
    """Support periods; none when the SDK or RDS does not know them."""
    if not hasattr(rds, "describe_db_major_engine_versions"):
        return ()
    found = _or_none(
        lambda: rds.describe_db_major_engine_versions(Engine=engine, MajorEngineVersion=aurora.family_version(version))[
            "DBMajorEngineVersions"
        ][0],
        "InvalidParameterValue",
        "InvalidParameterCombination",
    )
    return (found or {}).get("SupportedEngineLifecycles") or ()


def _classes(rds: RDSClient, engine: str, version: str, wanted: str | None) -> tuple[str, ...]:
    which: dict[str, Any] = {"DBInstanceClass": wanted} if wanted else {}
    pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine=engine, EngineVersion=version, Vpc=True, **which
    )
    return tuple(sorted({option["DBInstanceClass"] for page in pages for option in page["OrderableDBInstanceOptions"]}))


def _cluster_parameter_group(rds: RDSClient, name: str | None) -> Described | None:
    if name is None:
        return None
    return _or_none(
        lambda: rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)["DBClusterParameterGroups"][
            0
        ],
        "DBParameterGroupNotFound",
        "DBClusterParameterGroupNotFound",
    )


def _instance_parameter_group(rds: RDSClient, name: str | None) -> Described | None:
    if name is None:
        return None
    return _or_none(
        lambda: rds.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"][0],
        "DBParameterGroupNotFound",
    )


def _taken(rds: RDSClient, identifiers: Sequence[str]) -> tuple[str, ...]:
    """Instance names are shared with RDS, Neptune and DocumentDB, within account and region."""
    pages = rds.get_paginator("describe_db_instances").paginate(
        Filters=[{"Name": "db-instance-id", "Values": list(identifiers)}]
    )
    found = {instance["DBInstanceIdentifier"] for page in pages for instance in page["DBInstances"]}
    return tuple(identifier for identifier in identifiers if identifier in found)


def _first(found: Sequence[Any]) -> Any:
    return found[0] if found else None


def _or_none(look: Callable[[], Any], *codes: str) -> Described | None:
    try:
        found: Described = look()
    except ClientError as error:
        if wire_code(error) in codes:
            return None
        raise
    except IndexError:
        return None
    return found
