"""DB cluster snapshots: take, find, describe, share, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.rds.errors import fault, invalid_combination, invalid_value
from sandbox.rds.kit import SHARES_PER_SNAPSHOT
from sandbox.rds.requests import filtered, identifier, only, page, tags
from sandbox.rds.store import AVAILABLE, CREATING, DELETING, Cluster, Encryption, Region, Snapshot

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sandbox.core import Call
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.kit import Kit

_OWN_TYPES = ("automated", "manual", "awsbackup")
# What a snapshot keeps of its cluster (BC shape DBClusterSnapshot). Not: parameter group, subnet group, security
# groups, Serverless v2 range, log exports, deletion protection, instances.
_FACTS = ("BackupRetentionPeriod", "PreferredBackupWindow", "StorageType")
# Begun and done (AUG-EVENTS).
_EVENTS = {"automated": ("RDS-EVENT-0168", "RDS-EVENT-0169"), "manual": ("RDS-EVENT-0074", "RDS-EVENT-0075")}


class Snapshots:
    """See the module's description."""

    def __init__(self, kit: Kit, servers: Servers) -> None:
        self.kit = kit
        self.servers = servers
        self.operations = {
            "CreateDBClusterSnapshot": self.create,
            "DescribeDBClusterSnapshots": self.describe,
            "DeleteDBClusterSnapshot": self.delete,
            "DescribeDBClusterSnapshotAttributes": self.describe_attributes,
            "ModifyDBClusterSnapshotAttribute": self.modify_attribute,
        }

    # ---- finding

    def find(self, call: Call, wanted: str) -> Snapshot | None:
        """Return the snapshot that the caller means: an own one by name or ARN, a shared or public one by ARN.

        Everything else is "not found", also a snapshot of another region: it exists only where it lives.
        """
        if not wanted.startswith("arn:"):
            return self.kit.region(call).snapshots.get(wanted.lower())
        found = self.kit.store.by_arn(wanted)
        if not isinstance(found, Snapshot) or found.place.region != call.region:
            return None
        return found if readable(found, call.account) else None

    def _own(self, call: Call) -> Snapshot:
        wanted = call.params["DBClusterSnapshotIdentifier"]
        found = self.find(call, wanted)
        if found is None or found.place.account != call.account:
            raise not_found(wanted)
        return found

    # ---- DescribeDBClusterSnapshots

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeDBClusterSnapshots, with all its rules of selection (BC)."""
        params = call.params
        wanted, kind = params.get("DBClusterSnapshotIdentifier"), params.get("SnapshotType")
        if wanted and params.get("DBClusterIdentifier"):
            raise invalid_combination(
                "DBClusterIdentifier and DBClusterSnapshotIdentifier can't be used in conjunction with each other."
            )
        if kind not in (None, "automated", "manual", "shared", "public"):
            # awsbackup is documented for DB snapshots only and "does not apply to Aurora".
            raise invalid_value(f"Invalid snapshot type: {kind}")
        with self.kit.lock:
            found = [snapshot for snapshot in self._visible(call) if self._selected(call, snapshot)]
            if wanted:
                found = [snapshot for snapshot in found if self.kit.seen(snapshot) is not None]
                if not found:
                    raise not_found(wanted)
            known = {
                "db-cluster-id": lambda one: (one.facts["DBClusterIdentifier"], one.facts["cluster-arn"]),
                "db-cluster-snapshot-id": lambda one: (one.identifier, one.arn),
                "db-cluster-resource-id": lambda one: one.facts["DbClusterResourceId"],
                "snapshot-type": lambda one: _type_for(call, one),
                "engine": lambda one: one.engine,
            }
            # Unsorted, as AWS's answer: whoever wants the newest has to sort.
            found.sort(key=lambda one: hashlib.sha256(one.arn.encode()).digest())
            return page([self.shown(call, one) for one in filtered(found, params, known)], "DBClusterSnapshots", params)

    def _visible(self, call: Call) -> list[Snapshot]:
        """Own ones, and what other accounts share in this very region."""
        own = list(self.kit.region(call).snapshots.values())
        others = [
            snapshot
            for region in self.kit.store
            if region.place.region == call.region and region.place.account != call.account
            for snapshot in region.snapshots.values()
            if readable(snapshot, call.account) and snapshot.status == AVAILABLE
        ]
        return own + others

    def _selected(self, call: Call, snapshot: Snapshot) -> bool:
        params = call.params
        kind, seen_as = params.get("SnapshotType"), _type_for(call, snapshot)
        if kind is not None:
            if kind != seen_as:
                return False
        elif (seen_as == "shared" and not params.get("IncludeShared")) or (
            seen_as == "public" and not params.get("IncludePublic")
        ):
            return False
        if wanted := params.get("DBClusterSnapshotIdentifier"):
            if wanted != snapshot.arn and (seen_as not in _OWN_TYPES or wanted.lower() != snapshot.identifier):
                return False
            # "If this identifier is for an automated snapshot, the SnapshotType parameter must also be specified."
            return seen_as != "automated" or kind == "automated"
        if (cluster := params.get("DBClusterIdentifier")) and cluster.lower() not in (
            snapshot.facts["DBClusterIdentifier"],
            snapshot.facts["cluster-arn"].lower(),
        ):
            return False
        resource = params.get("DbClusterResourceId")
        return not resource or resource == snapshot.facts["DbClusterResourceId"]

    def shown(self, call: Call, snapshot: Snapshot) -> dict[str, Any]:
        """Return the botocore DBClusterSnapshot; another account's goes by its ARN, and without tags."""
        own = snapshot.place.account == call.account
        shown = {member: value for member, value in snapshot.facts.items() if member != "cluster-arn"}
        return {
            **shown,
            **snapshot.encryption.describe(),
            "DBClusterSnapshotIdentifier": snapshot.identifier if own else snapshot.arn,
            "DBClusterSnapshotArn": snapshot.arn,
            "SnapshotType": _type_for(call, snapshot),
            "SnapshotCreateTime": snapshot.created,
            "Status": snapshot.status,
            "PercentProgress": self._progress(snapshot),
            "Engine": snapshot.engine,
            "EngineMode": "provisioned",
            "EngineVersion": snapshot.engine_version,
            "AllocatedStorage": snapshot.size_gb,
            "Port": 0,  # as RDS shows snapshots of Aurora clusters; a restore has the cluster's port all the same
            "MasterUsername": snapshot.master_username,
            "LicenseModel": snapshot.engine,
            "IAMDatabaseAuthenticationEnabled": snapshot.iam_authentication,
            "TagList": snapshot.tag_list if own else [],
        }

    def _progress(self, snapshot: Snapshot) -> int:
        """0 while queued, then growing with time, 100 only when available."""
        if snapshot.status == AVAILABLE:
            return 100
        if snapshot.begun is None or not snapshot.lasts or snapshot.status == "failed":
            return 0
        share = (self.kit.clock.now() - snapshot.begun).total_seconds() / snapshot.lasts
        return min(99, int(100 * share**self.kit.timings.copy_progress_skew))

    # ---- taking

    def create(self, call: Call) -> dict[str, Any]:
        """CreateDBClusterSnapshot."""
        params = call.params
        only(params, call.operation, {"DBClusterIdentifier", "DBClusterSnapshotIdentifier", "Tags"})
        name = identifier(params["DBClusterSnapshotIdentifier"], "DBClusterSnapshotIdentifier", 255)
        with self.kit.lock:
            wanted = params["DBClusterIdentifier"]
            cluster = self.kit.region(call).clusters.get(wanted.rsplit(":", 1)[-1].lower())
            if cluster is None:
                raise fault("DBClusterNotFoundFault", f"DBCluster {wanted} not found.")
            return {"DBClusterSnapshot": self.shown(call, self.take(cluster, name, "manual", tags(params)))}

    def take(self, cluster: Cluster, name: str, kind: str, own_tags: Mapping[str, str]) -> Snapshot:
        """Begin a snapshot of any kind. Call with the lock held."""
        region = self.kit.store.region(cluster.place.account, cluster.place.region)
        if cluster.status != AVAILABLE or cluster.restorable_since is None:
            # No backup while the restorable times are NULL (Aurora.Managing.Backups).
            raise fault(
                "InvalidDBClusterStateFault",
                f"DbCluster {cluster.identifier} is not currently in the available state (it is {cluster.status}).",
            )
        if name in region.snapshots:
            raise fault(
                "DBClusterSnapshotAlreadyExistsFault",
                f"Cannot create the cluster snapshot because {name} already exists.",
            )
        if kind == "manual":
            self.check_quota(region)
        copied = cluster.tags if cluster.settings["CopyTagsToSnapshot"] else {}
        snapshot = Snapshot(
            place=cluster.place,
            identifier=name,
            created=self.kit.clock.now(),
            tags={**copied, **own_tags},
            snapshot_type=kind,
            engine=cluster.engine,
            engine_version=cluster.engine_version,
            encryption=Encryption(cluster.encryption.kind, cluster.encryption.key),
            size_gb=cluster.size_gb,
            volume=self.volume(cluster.place.arn("cluster-snapshot", name)),
            facts=_facts(cluster),
            master_username=cluster.master_username,
            iam_authentication=cluster.settings["IAMDatabaseAuthenticationEnabled"],
        )
        lasts = self.kit.timings.snapshot(snapshot.size_gb)
        begun, ended = _EVENTS.get(kind, ("", ""))
        self._start(region, snapshot, CREATING, lasts, self.servers.copy_volume(cluster.volume, snapshot.volume), ended)
        if begun:
            self.kit.events.emit(snapshot, begun)
        return snapshot

    def _start(
        self, region: Region, snapshot: Snapshot, status: str, lasts: float, work: Future[None] | None, ended: str
    ) -> None:
        self.enter(region, snapshot)
        snapshot.begun, snapshot.lasts = self.kit.clock.now(), lasts

        def done() -> None:
            if ended:
                self.kit.events.emit(snapshot, ended)

        self.kit.walk(snapshot, [(status, lasts)], done, work=work)

    def enter(self, region: Region, snapshot: Snapshot) -> None:
        """Let a new snapshot be seen."""
        region.snapshots[snapshot.identifier] = snapshot
        self.kit.hide(snapshot)

    def take_automated(self, cluster: Cluster, at: datetime) -> Snapshot:
        """Take what RDS takes by itself each day; it expires with the cluster's retention period."""
        snapshot = self.take(cluster, f"rds:{cluster.identifier}-{at:%Y-%m-%d-%H-%M}", "automated", {})
        retention = timedelta(days=cluster.settings["BackupRetentionPeriod"])
        self.kit.clock.call_at(at + retention, lambda: self._expire(snapshot), background=True)
        return snapshot

    def drop_automated(self, cluster: Cluster) -> None:
        """Delete a cluster's automated snapshots with it."""
        region = self.kit.store.region(cluster.place.account, cluster.place.region)
        for snapshot in list(region.snapshots.values()):
            if snapshot.snapshot_type == "automated" and snapshot.facts["DbClusterResourceId"] == cluster.resource_id:
                self.remove(snapshot)

    def _expire(self, snapshot: Snapshot) -> None:
        with self.kit.lock:
            region = self.kit.store.region(snapshot.place.account, snapshot.place.region)
            if region.snapshots.get(snapshot.identifier) is snapshot:
                self.remove(snapshot)

    def check_quota(self, region: Region) -> None:
        """Manual snapshots count; automated ones and AWS Backup's do not (RUG-LIMITS)."""
        manual = sum(snapshot.snapshot_type == "manual" for snapshot in region.snapshots.values())
        most = self.kit.quota(region.place, "ManualClusterSnapshots")
        if manual >= most:
            raise fault("SnapshotQuotaExceededFault", f"Cannot create more than {most} manual snapshots")

    @staticmethod
    def volume(arn: str) -> str:
        """Return the name of a snapshot's volume in the data plane."""
        return f"snapshot-{hashlib.sha256(arn.encode()).hexdigest()[:26]}"

    # ---- deleting

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteDBClusterSnapshot: manual ones only, and not while they are being created."""
        with self.kit.lock:
            snapshot = self._own(call)
            if snapshot.snapshot_type != "manual":
                owner = "AWS Backup" if snapshot.snapshot_type == "awsbackup" else "RDS"
                raise fault(
                    "InvalidDBClusterSnapshotStateFault",
                    f"The snapshot {snapshot.identifier} is managed by {owner} and can't be deleted by this call.",
                )
            # A copy may be cancelled by deleting its target (BC:CopyDBClusterSnapshot); what is being taken may not.
            if snapshot.status in (CREATING, DELETING):
                raise fault(
                    "InvalidDBClusterSnapshotStateFault",
                    f"The snapshot {snapshot.identifier} can't be deleted now (it is {snapshot.status}).",
                )
            self.remove(snapshot)
            return {"DBClusterSnapshot": {**self.shown(call, snapshot), "Status": "deleted"}}

    def remove(self, snapshot: Snapshot) -> None:
        """Delete a snapshot and its volume. Call with the lock held."""
        region = self.kit.store.region(snapshot.place.account, snapshot.place.region)

        def done() -> None:
            region.snapshots.pop(snapshot.identifier, None)
            self.servers.delete_volume(snapshot.volume)

        self.kit.walk(snapshot, [(DELETING, self.kit.timings.snapshot_delete)], done, final=None)

    # ---- sharing

    def describe_attributes(self, call: Call) -> dict[str, Any]:
        """DescribeDBClusterSnapshotAttributes."""
        with self.kit.lock:
            return _attributes(self._own(call))

    def modify_attribute(self, call: Call) -> dict[str, Any]:
        """ModifyDBClusterSnapshotAttribute: share with accounts (AUG-SHARE)."""
        params = call.params
        if params["AttributeName"] != "restore":
            raise invalid_value(f"Unknown attribute name: {params['AttributeName']}")
        add, remove = set(params.get("ValuesToAdd") or ()), set(params.get("ValuesToRemove") or ())
        for value in add | remove:
            if value != "all" and not (len(value) == 12 and value.isdigit()):
                raise invalid_value(f"Invalid account id: {value}")
        with self.kit.lock:
            snapshot = self._own(call)
            self._check_shareable(call, snapshot, add)
            after = (snapshot.shared_with | add) - remove
            most = self.kit.quota(snapshot.place, SHARES_PER_SNAPSHOT)
            if len(after) > most:
                raise fault(
                    "SharedSnapshotQuotaExceededFault", f"A snapshot can be shared with {most} accounts at most."
                )
            snapshot.shared_with = after
            return _attributes(snapshot)

    def _check_shareable(self, call: Call, snapshot: Snapshot, add: set[str]) -> None:
        def refused(why: str) -> Exception:
            return fault("InvalidDBClusterSnapshotStateFault", why)

        if snapshot.snapshot_type != "manual":
            raise refused(
                "Automated snapshots and those of AWS Backup can't be shared. Copy to a manual snapshot first."
            )
        if snapshot.status != AVAILABLE:
            raise refused(f"The snapshot {snapshot.identifier} is not available (it is {snapshot.status}).")
        if not add:
            return
        if "all" in add and snapshot.encryption.kind != "none":
            raise refused("Encrypted snapshots can't be shared publicly.")
        key = (
            self.kit.keys.find(call.account, call.region, snapshot.encryption.key) if snapshot.encryption.key else None
        )
        if (key is not None and key.aws_managed) or snapshot.encryption.kind == "sse-rds":
            # For sse-rds AWS's pages are silent; it is treated as a default key, which is never shareable.
            raise refused(
                "Sharing snapshots encrypted with the default service key for RDS is currently not supported."
            )


def readable(snapshot: Snapshot, account: str) -> bool:
    """Tell whether a snapshot is the account's own, shared with it or public."""
    return snapshot.place.account == account or bool(snapshot.shared_with & {account, "all"})


def _type_for(call: Call, snapshot: Snapshot) -> str:
    if snapshot.place.account == call.account:
        return snapshot.snapshot_type
    return "shared" if call.account in snapshot.shared_with else "public"


def _facts(cluster: Cluster) -> dict[str, Any]:
    return {
        **{member: cluster.settings[member] for member in _FACTS},
        "AvailabilityZones": cluster.subnet_group.zones[:3],
        "DBClusterIdentifier": cluster.identifier,
        "DbClusterResourceId": cluster.resource_id,
        "ClusterCreateTime": cluster.created,
        "VpcId": cluster.subnet_group.vpc,
        "Port": cluster.port,
        "cluster-arn": cluster.arn,
    }


def _attributes(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "DBClusterSnapshotAttributesResult": {
            "DBClusterSnapshotIdentifier": snapshot.identifier,
            "DBClusterSnapshotAttributes": [
                {"AttributeName": "restore", "AttributeValues": sorted(snapshot.shared_with)}
            ],
        }
    }


def not_found(wanted: str) -> Exception:
    """Return the error for a snapshot that is not there, or not for this caller."""
    return fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {wanted} not found.")
