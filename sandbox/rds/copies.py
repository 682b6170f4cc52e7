"""CopyDBClusterSnapshot within one account, also from another region (AUG-COPY)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.core import NotEmulated
from sandbox.rds.errors import fault, invalid_combination
from sandbox.rds.requests import identifier, only, tags
from sandbox.rds.snapshots import not_found
from sandbox.rds.store import AVAILABLE, Encryption, Snapshot

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.kit import Kit
    from sandbox.rds.snapshots import Snapshots

# PreSignedUrl means something between GovCloud regions only, and is ignored in others (BC).
_COPY = {
    *("CopyTags", "KmsKeyId", "PreSignedUrl", "SourceDBClusterSnapshotIdentifier", "Tags"),
    "TargetDBClusterSnapshotIdentifier",
}


class Copies:
    """See the module's description."""

    def __init__(self, kit: Kit, snapshots: Snapshots) -> None:
        self.kit = kit
        self.snapshots = snapshots
        self.operations = {"CopyDBClusterSnapshot": self.copy}

    def copy(self, call: Call) -> dict[str, Any]:
        """CopyDBClusterSnapshot: called in the destination region; whatever the source was, the copy is manual."""
        params = call.params
        only(params, call.operation, _COPY)
        # Letters, digits and hyphens: an automated snapshot's own name (rds:…) cannot be the copy's.
        name = identifier(params["TargetDBClusterSnapshotIdentifier"], "TargetDBClusterSnapshotIdentifier")
        with self.kit.lock:
            source = self._source(call)
        encryption = self._encryption(call, source)
        with self.kit.lock:
            region = self.kit.region(call)
            if name in region.snapshots:
                raise fault(
                    "DBClusterSnapshotAlreadyExistsFault",
                    f"Cannot create the cluster snapshot because {name} already exists.",
                )
            self.snapshots.check_quota(region)
            inherited = source.tags if params.get("CopyTags") else {}
            target = Snapshot(
                place=region.place,
                identifier=name,
                created=self.kit.clock.now(),
                tags={**inherited, **tags(params)},
                snapshot_type="manual",
                engine=source.engine,
                engine_version=source.engine_version,
                encryption=encryption,
                size_gb=source.size_gb,
                volume=self.snapshots.volume(region.place.arn("cluster-snapshot", name)),
                facts={**source.facts, "SourceDBClusterSnapshotArn": source.arn},
                master_username=source.master_username,
                iam_authentication=source.iam_authentication,
            )
            self.snapshots.start_copy(region, source, target)
            return {"DBClusterSnapshot": self.snapshots.shown(call, target)}

    def _source(self, call: Call) -> Snapshot:
        wanted = call.params["SourceDBClusterSnapshotIdentifier"]
        if wanted.startswith("arn:"):
            found = self.kit.store.by_arn(wanted)
        else:
            found = self.kit.region(call).snapshots.get(wanted.lower())
        if not isinstance(found, Snapshot):
            raise not_found(wanted)
        if found.place.account != call.account:
            if not found.shared_with & {call.account, "all"}:
                raise not_found(wanted)
            raise NotEmulated("rds:CopyDBClusterSnapshot of another account's snapshot")
        if found.status != AVAILABLE:
            raise fault(
                "InvalidDBClusterSnapshotStateFault",
                f"The DB cluster snapshot {found.identifier} is not in the available state (it is {found.status}).",
            )
        return found

    def _encryption(self, call: Call, source: Snapshot) -> Encryption:
        """Apply the key rules of BC:CopyDBClusterSnapshot.KmsKeyId; not under the lock."""
        wanted, current = call.params.get("KmsKeyId"), source.encryption
        if current.kind == "none":
            if wanted:
                raise invalid_combination("You can't encrypt an unencrypted DB cluster snapshot when you copy it.")
            return current
        if current.key is not None:
            self.kit.usable_key(call, current.key, region=source.place.region)
        if wanted:
            return Encryption("sse-kms", self.kit.usable_key(call, wanted).arn)
        if source.place.region != call.region:
            raise invalid_combination("KmsKeyId is required to copy an encrypted DB cluster snapshot across Regions.")
        return Encryption(current.kind, current.key)
