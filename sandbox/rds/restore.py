"""RestoreDBClusterFromSnapshot: what comes back, what is lost, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.core import NotEmulated
from sandbox.rds.errors import fault, invalid_combination
from sandbox.rds.requests import identifier, only
from sandbox.rds.store import AVAILABLE, CREATING, Cluster, Encryption, Snapshot

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.clusters import Clusters
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.kit import Kit, Phase
    from sandbox.rds.snapshots import Snapshots

# What the request may hold. Passwords, maintenance window, insights and their like are not among it (BC): they need a
# ModifyDBCluster afterwards. Monitoring and Performance Insights are for Multi-AZ and limitless clusters only.
_RESTORE = {
    *("AvailabilityZones", "BacktrackWindow", "BackupRetentionPeriod", "CopyTagsToSnapshot", "DBClusterIdentifier"),
    *("DBClusterParameterGroupName", "DBSubnetGroupName", "DatabaseName", "DeletionProtection"),
    *(
        "EnableCloudwatchLogsExports",
        "EnableIAMDatabaseAuthentication",
        "Engine",
        "EngineLifecycleSupport",
        "EngineMode",
    ),
    *("EngineVersion", "KmsKeyId", "NetworkType", "Port", "PreferredBackupWindow", "PubliclyAccessible"),
    *("ServerlessV2ScalingConfiguration", "SnapshotIdentifier", "StorageType", "Tags", "VpcSecurityGroupIds"),
}


class Restores:
    """See the module's description."""

    def __init__(self, kit: Kit, *, servers: Servers, clusters: Clusters, snapshots: Snapshots) -> None:
        self.kit = kit
        self.servers = servers
        self.clusters = clusters
        self.snapshots = snapshots
        self.operations = {"RestoreDBClusterFromSnapshot": self.restore}

    def restore(self, call: Call) -> dict[str, Any]:
        """RestoreDBClusterFromSnapshot."""
        params = call.params
        only(params, call.operation, _RESTORE)
        name = identifier(params["DBClusterIdentifier"], "DBClusterIdentifier")
        with self.kit.lock:
            snapshot = self._snapshot(call)
        version = self._version(snapshot, params["Engine"], params.get("EngineVersion"))
        version = self.clusters.in_support(version, params)
        self.clusters.check_settings(version, params)
        encryption = self._encryption(call, snapshot)
        self.kit.service_linked_role(call)
        with self.kit.lock:
            if snapshot.status != AVAILABLE:
                raise _unavailable(snapshot)
            # The instance-less cluster keeps the snapshot's settings that AWS says it keeps (port, backup retention);
            # everything else is the engine's or the VPC's default unless named.
            inherited = {
                member: value for member, value in snapshot.facts.items() if member in ("Port", "BackupRetentionPeriod")
            }
            cluster = self.clusters.add(
                call, name, version, snapshot.master_username, encryption, params, inherited=inherited
            )
            cluster.size_gb = snapshot.size_gb
            if version.major != self._of(snapshot).major:
                # Aurora MySQL 2 → 3: the upgrade runs when the writer is created, and may fail there.
                cluster.engine_version, cluster.upgrade_to = snapshot.engine_version, version.name
            work = self.servers.copy_volume(snapshot.volume, cluster.volume)
            self.kit.walk(cluster, self._phases(cluster), lambda: self._restored(cluster), work=work)
            return {"DBCluster": self.clusters.shown(cluster)}

    def _snapshot(self, call: Call) -> Snapshot:
        wanted = call.params["SnapshotIdentifier"]
        if ":snapshot:" in wanted:
            raise NotEmulated("rds:RestoreDBClusterFromSnapshot with a DB instance's snapshot")
        snapshot = self.snapshots.find(call, wanted)
        if snapshot is None:
            raise fault("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {wanted} not found.")
        if snapshot.status != AVAILABLE:
            raise _unavailable(snapshot)
        return snapshot

    def _of(self, snapshot: Snapshot) -> Version:
        version = self.kit.catalogue.known(snapshot.engine, snapshot.engine_version)
        assert version is not None, "a snapshot has a version that the catalogue knows"
        return version

    def _version(self, snapshot: Snapshot, engine: str, asked: str | None) -> Version:
        """Without EngineVersion it is the default of the Region, not the snapshot's (BC)."""
        version = self.clusters.version(engine, asked)
        if engine != snapshot.engine:
            raise invalid_combination(
                f"The engine name requested for your restored DB cluster ({engine}) doesn't match the engine name of "
                f"the DB cluster snapshot ({snapshot.engine})."
            )
        source = self._of(snapshot)
        if version.order < source.order:
            raise invalid_combination(
                f"The engine version you requested for your restored DB cluster ({version.name}) is earlier than the "
                f"engine version of the DB cluster snapshot ({source.name})"
            )
        if version.major != source.major and engine == "aurora-postgresql":
            raise NotEmulated(
                "a major upgrade of Aurora PostgreSQL by restore",
                "AWS documents none: restore at the same major version and modify the cluster.",
            )
        return version

    def _encryption(self, call: Call, snapshot: Snapshot) -> Encryption:
        """Return the new cluster's encryption; refuse keys that the caller may not use. Not under the lock."""
        source = snapshot.encryption
        if source.key is not None:
            self.kit.usable_key(call, source.key)
        if key := call.params.get("KmsKeyId"):
            return Encryption("sse-kms", self.kit.usable_key(call, key).arn)
        if source.kind == "none":
            return self.kit.default_encryption(call, asked=False)
        # Whoever names no key keeps the snapshot's, even another account's (AUG-ENC).
        return Encryption(source.kind, source.key)

    def _phases(self, cluster: Cluster) -> list[Phase]:
        seconds, part = self.kit.timings.restore(cluster.size_gb), self.kit.timings.restore_creating_part
        phases = [(CREATING, seconds * part)]
        return phases if part >= 1 else [*phases, ("migrating", seconds * (1 - part))]

    def _restored(self, cluster: Cluster) -> None:
        """No event: AWS documents none for a restored cluster. The restorable times stay NULL a little longer."""

        def restorable() -> None:
            with self.kit.lock:
                cluster.restorable_since = self.kit.clock.now()

        self.kit.clock.call_later(self.kit.timings.restorable_after, restorable)


def _unavailable(snapshot: Snapshot) -> Exception:
    return fault(
        "InvalidDBClusterSnapshotStateFault",
        f"The DB cluster snapshot {snapshot.identifier} is not in the available state (it is {snapshot.status}).",
    )
