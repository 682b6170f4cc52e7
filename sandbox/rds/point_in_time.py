"""RestoreDBClusterToPointInTime: from a living cluster's log, from retained automated backups, or as a clone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.rds.clusters import not_available, not_found
from sandbox.rds.errors import fault, invalid_combination, invalid_value, key_not_accessible
from sandbox.rds.requests import filtered, identifier, only, page
from sandbox.rds.store import AVAILABLE, CREATING, DELETING, AutomatedBackup, Cluster, Encryption, Region

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.clusters import Clusters
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.kit import Kit

CLONES = 15
_RESTORE = {
    *("BacktrackWindow", "BackupRetentionPeriod", "CopyTagsToSnapshot", "DBClusterIdentifier"),
    *("DBClusterParameterGroupName", "DBSubnetGroupName", "DeletionProtection", "EnableCloudwatchLogsExports"),
    *("EnableIAMDatabaseAuthentication", "EngineLifecycleSupport", "EngineMode", "KmsKeyId", "NetworkType", "Port"),
    *("PreferredBackupWindow", "PubliclyAccessible", "RestoreToTime", "RestoreType", "SourceDBClusterIdentifier"),
    *("ServerlessV2ScalingConfiguration", "SourceDbClusterResourceId", "StorageType", "Tags"),
    *("UseLatestRestorableTime", "VpcSecurityGroupIds"),
}
# The new cluster keeps these of its source. Not the port, for which the engine's default is taken (BC).
_INHERITED = ("BackupRetentionPeriod",)


@dataclass(frozen=True)
class _Source:
    """What is restored: a cluster that lives or is gone, and the times to which it can be."""

    cluster: Cluster
    window: tuple[datetime, datetime] | None


class PointInTime:
    """See the module's description."""

    def __init__(self, kit: Kit, *, servers: Servers, clusters: Clusters) -> None:
        self.kit = kit
        self.servers = servers
        self.clusters = clusters
        self.operations = {
            "RestoreDBClusterToPointInTime": self.restore,
            "DescribeDBClusterAutomatedBackups": self.describe_backups,
            "DeleteDBClusterAutomatedBackup": self.delete_backup,
        }

    # ---- RestoreDBClusterToPointInTime

    def restore(self, call: Call) -> dict[str, Any]:
        """RestoreDBClusterToPointInTime."""
        params = call.params
        only(params, call.operation, _RESTORE)
        _check_request(params)
        name = identifier(params["DBClusterIdentifier"], "DBClusterIdentifier")
        clone = params.get("RestoreType") == "copy-on-write"
        with self.kit.lock:
            source = self._source(call, clone=clone)
            self._check_source(call, source, clone=clone)
            instant = None if clone else self._instant(params, source)
            version = self.clusters.in_support(self._version(source.cluster, instant), params)
            self.clusters.check_settings(version, params)
        encryption = self._encryption(call, source.cluster)
        self.kit.service_linked_role(call)
        with self.kit.lock:
            settings = {member: source.cluster.settings[member] for member in _INHERITED}
            given = dict(params)
            if not params.get("Tags"):
                given["Tags"] = source.cluster.tag_list  # BC: the source's tags, unless some are given
            cluster = self.clusters.add(
                call, name, version, source.cluster.master_username, encryption, given, inherited=settings
            )
            cluster.size_gb = source.cluster.size_gb
            at = self._version(source.cluster, instant)
            if at.major != version.major:
                cluster.engine_version, cluster.upgrade_to = at.name, version.name
            seconds = self._clone(source.cluster, cluster) if clone else self._replay_seconds(cluster)
            if instant is None:
                work = self.servers.copy_volume(source.cluster.volume, cluster.volume)
            else:
                work = self.servers.restore_volume(source.cluster.volume, cluster.volume, instant)
            # "creating" all the time, and billed (AUG-STATUS); only a snapshot's restore shows "migrating".
            self.kit.walk(cluster, [(CREATING, seconds)], lambda: self._restored(cluster), work=work)
            return {"DBCluster": self.clusters.shown(cluster)}

    def _source(self, call: Call, *, clone: bool) -> _Source:
        """Find the source: whoever is not allowed to see it is told that there is none."""
        params, region = call.params, self.kit.region(call)
        if resource_id := params.get("SourceDbClusterResourceId"):
            for cluster in region.clusters.values():
                if cluster.resource_id == resource_id:
                    return _Source(cluster, self.clusters.restorable(cluster))
            backup = region.automated_backups.get(resource_id)
            if backup is None or clone:
                raise fault("DBClusterAutomatedBackupNotFoundFault", f"Automated backup for {resource_id} not found.")
            return _Source(backup.cluster, self._window(backup))
        wanted = params["SourceDBClusterIdentifier"]
        found = self.clusters.find(region, wanted)
        if found is None and clone:
            other = self.kit.store.by_arn(wanted)
            if isinstance(other, Cluster) and other.place.region == call.region and call.account in other.shared_with:
                found = other
        if found is None:
            raise not_found(wanted)
        return _Source(found, self.clusters.restorable(found))

    def _check_source(self, call: Call, source: _Source, *, clone: bool) -> None:
        cluster = source.cluster
        if source.window is None:
            # Neither backup nor restore while the restorable times are NULL (Aurora.Managing.Backups).
            raise not_available(cluster)
        if not clone:
            return
        if cluster.status != AVAILABLE:
            raise not_available(cluster)
        if not cluster.instances:
            raise fault(
                "InvalidDBClusterStateFault",
                f"DbCluster {cluster.identifier} must have at least one DB instance to be cloned.",
            )
        if cluster.place.account != call.account:
            mine = self.kit.region(call).clusters.values()
            if any(one.foreign_source == cluster.arn for one in mine):
                raise fault("InvalidDBClusterStateFault", f"This account has a clone of {cluster.arn} already.")

    @staticmethod
    def _instant(params: Mapping[str, Any], source: _Source) -> datetime:
        assert source.window is not None, "checked before"
        earliest, latest = source.window
        if params.get("UseLatestRestorableTime"):
            return latest
        wanted = params["RestoreToTime"]
        instant = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
        if not earliest <= instant <= latest:
            raise invalid_value(
                f"RestoreToTime {instant.isoformat()} must be between the earliest ({earliest.isoformat()}) and the "
                f"latest restorable time ({latest.isoformat()}) of the source."
            )
        return datetime.fromisoformat(instant.isoformat())

    def _version(self, cluster: Cluster, instant: datetime | None) -> Version:
        """Return the version that ran at a time."""
        since = [time for time, _ in cluster.versions]
        index = len(since) if instant is None else max(1, bisect_right(since, instant))
        version = self.kit.catalogue.known(cluster.engine, cluster.versions[index - 1][1])
        assert version is not None, "a cluster has versions that the catalogue knows"
        return version

    def _encryption(self, call: Call, source: Cluster) -> Encryption:
        """Return the new cluster's encryption; refuse keys that the caller may not use. Not under the lock."""
        own, key = source.encryption, call.params.get("KmsKeyId")
        foreign = source.place.account != call.account
        if foreign and own.kind != "none":
            facts = self.kit.keys.find(source.place.account, source.place.region, own.key) if own.key else None
            if facts is None or facts.aws_managed:
                # The default key of another account can't be shared (AUG-2023 Clone).
                raise key_not_accessible(own.key or "an AWS owned key")
            if not key:
                raise invalid_combination("KmsKeyId is required for a clone of another account's encrypted DB cluster.")
        if own.key is not None:
            self.kit.usable_key(call, own.key)
        if key:
            if own.kind == "none":
                # BC:KmsKeyId: "if [the source] isn't encrypted, then the restore request is rejected".
                raise invalid_combination("KmsKeyId can't be specified: the source DB cluster isn't encrypted.")
            return Encryption("sse-kms", self.kit.usable_key(call, key).arn)
        if own.kind == "none":
            return self.kit.default_encryption(call, asked=False)
        return Encryption(own.kind, own.key)

    def _clone(self, source: Cluster, clone: Cluster) -> float:
        """Note a clone; return its seconds: after 15 of one volume the next is silently a full copy."""
        if source.place.account != clone.place.account:
            clone.foreign_source = source.arn
        source.clone_group = source.clone_group or f"clone-group-{source.volume.removeprefix('cluster-')}"
        clones = [
            one
            for region in self.kit.store
            for one in region.clusters.values()
            if one.clone_group == source.clone_group and one is not source
        ]
        if len(clones) >= CLONES:
            return self.kit.timings.restore(clone.size_gb)
        clone.clone_group = source.clone_group
        return self.kit.timings.clone

    def _replay_seconds(self, cluster: Cluster) -> float:
        return self.kit.timings.restore(cluster.size_gb) + self.kit.timings.point_in_time_replay

    def _restored(self, cluster: Cluster) -> None:
        """No event: AWS documents none for a restored cluster. The restorable times stay NULL a little longer."""

        def restorable() -> None:
            with self.kit.lock:
                cluster.restorable_since = self.kit.clock.now()

        self.kit.clock.call_later(self.kit.timings.restorable_after, restorable)

    # ---- automated backups

    def describe_backups(self, call: Call) -> dict[str, Any]:
        """DescribeDBClusterAutomatedBackups: of clusters that live (active), and what is retained of others."""
        params = call.params
        with self.kit.lock:
            backups = list(self._backups(self.kit.region(call)))
            if wanted := params.get("DbClusterResourceId"):
                backups = [one for one in backups if one["DbClusterResourceId"] == wanted]
                if not backups:
                    raise _no_backup(wanted)
            if wanted := params.get("DBClusterIdentifier"):
                named = wanted.rsplit(":", 1)[-1].lower()
                backups = [one for one in backups if one["DBClusterIdentifier"] == named]
                if not backups:
                    raise _no_backup(wanted)
            known = {
                "status": lambda one: one["Status"],
                "db-cluster-id": lambda one: (one["DBClusterIdentifier"], one["DBClusterArn"]),
                "db-cluster-resource-id": lambda one: one["DbClusterResourceId"],
            }
            return page(filtered(backups, params, known), "DBClusterAutomatedBackups", params)

    def _backups(self, region: Region) -> Iterable[dict[str, Any]]:
        for cluster in sorted(region.clusters.values(), key=lambda one: one.identifier):
            if cluster.status != DELETING:
                yield _shown(cluster, "active", self.clusters.restorable(cluster))
        for backup in region.automated_backups.values():
            yield _shown(backup.cluster, backup.status, self._window(backup), backup)

    def _window(self, backup: AutomatedBackup) -> tuple[datetime, datetime] | None:
        window = self.clusters.restorable(backup.cluster)
        return None if window is None else (min(window[0], backup.latest), backup.latest)

    def delete_backup(self, call: Call) -> dict[str, Any]:
        """DeleteDBClusterAutomatedBackup: only what is retained; an active one ends with its cluster."""
        wanted = call.params["DbClusterResourceId"]
        with self.kit.lock:
            region = self.kit.region(call)
            backup = region.automated_backups.get(wanted)
            if backup is None:
                if any(cluster.resource_id == wanted for cluster in region.clusters.values()):
                    raise fault("InvalidDBClusterAutomatedBackupStateFault", "The automated backup is active.")
                raise _no_backup(wanted)
            shown = {**_shown(backup.cluster, "deleting", self._window(backup), backup)}
            self.clusters.drop_backup(backup)
            return {"DBClusterAutomatedBackup": shown}


def _check_request(params: Mapping[str, Any]) -> None:
    if bool(params.get("SourceDBClusterIdentifier")) == bool(params.get("SourceDbClusterResourceId")):
        raise invalid_combination("Specify exactly one of SourceDBClusterIdentifier and SourceDbClusterResourceId.")
    if params.get("RestoreType") not in (None, "full-copy", "copy-on-write"):
        raise invalid_value(f"Invalid restore type: {params['RestoreType']}. Valid values: full-copy, copy-on-write.")
    if params.get("RestoreType") == "copy-on-write" and params.get("RestoreToTime"):
        raise invalid_combination("RestoreToTime can't be specified with the restore type copy-on-write.")
    if bool(params.get("RestoreToTime")) == bool(params.get("UseLatestRestorableTime")):
        raise invalid_combination("Specify exactly one of RestoreToTime and UseLatestRestorableTime.")


def _no_backup(wanted: str) -> Exception:
    return fault("DBClusterAutomatedBackupNotFoundFault", f"Automated backup for {wanted} not found.")


def _shown(
    cluster: Cluster, status: str, window: tuple[datetime, datetime] | None, backup: AutomatedBackup | None = None
) -> dict[str, Any]:
    settings = cluster.settings
    identifier_ = backup.identifier if backup else f"ab-{cluster.volume.removeprefix('cluster-')}"
    return {
        **cluster.encryption.describe(),
        "DBClusterAutomatedBackupsArn": cluster.place.arn("cluster-auto-backup", identifier_),
        "DBClusterIdentifier": cluster.identifier,
        "DBClusterArn": cluster.arn,
        "DbClusterResourceId": cluster.resource_id,
        "Status": status,
        "Engine": cluster.engine,
        "EngineMode": "provisioned",
        "EngineVersion": cluster.engine_version,
        "Region": cluster.place.region,
        "AvailabilityZones": cluster.subnet_group.zones[:3],
        "VpcId": cluster.subnet_group.vpc,
        "Port": cluster.port,
        "MasterUsername": cluster.master_username,
        "ClusterCreateTime": cluster.created,
        "AllocatedStorage": cluster.size_gb,
        "LicenseModel": cluster.engine,
        "BackupRetentionPeriod": settings["BackupRetentionPeriod"],
        "PreferredBackupWindow": settings["PreferredBackupWindow"],
        "IAMDatabaseAuthenticationEnabled": settings["IAMDatabaseAuthenticationEnabled"],
        "StorageType": settings["StorageType"],
        "RestoreWindow": {"EarliestTime": window[0], "LatestTime": window[1]} if window else {},
        "TagList": cluster.tag_list,
    }
