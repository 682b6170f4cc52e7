"""CopyDBClusterSnapshot, within an account or from another one, within a region or from another one (AUG-COPY).

A copy reads its source to the end: RDS grants itself both keys for as long as it lasts, and a source or a key that it
loses meanwhile lets it fail.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.rds.errors import fault, invalid_combination, invalid_value, key_not_accessible
from sandbox.rds.kit import CROSS_REGION_COPIES
from sandbox.rds.requests import identifier, only, tags
from sandbox.rds.snapshots import not_found, readable
from sandbox.rds.store import AVAILABLE, COPYING, Encryption, Region, Snapshot

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.kit import Kit
    from sandbox.rds.snapshots import Snapshots

# PreSignedUrl means something between GovCloud regions only, and is ignored in others (BC).
_COPY = {
    *("CopyTags", "KmsKeyId", "PreSignedUrl", "SourceDBClusterSnapshotIdentifier", "Tags"),
    "TargetDBClusterSnapshotIdentifier",
}
# How often in its course a copy is looked at for what it needs: its source, its keys, its grants.
_LOOKS = 10


@dataclass(eq=False)
class _Copy:
    """A copy in flight, with the grants that RDS made itself for it: key ARN and grant id."""

    source: Snapshot
    target: Snapshot
    grants: list[tuple[str, str]] = field(default_factory=list)

    @property
    def crosses(self) -> bool:
        return self.source.place.region != self.target.place.region


class Copies:
    """See the module's description."""

    def __init__(self, kit: Kit, *, servers: Servers, snapshots: Snapshots) -> None:
        self.kit = kit
        self.servers = servers
        self.snapshots = snapshots
        self.operations = {"CopyDBClusterSnapshot": self.copy}
        # The copies in flight by their source's ARN: the first one runs, the others wait for their turn.
        self._queues: dict[str, deque[_Copy]] = {}

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
            if source.place.region != region.place.region:
                self._check_in_flight(region)
            target = Snapshot(
                place=region.place,
                identifier=name,
                created=self.kit.clock.now(),
                status=COPYING,
                tags=tags(params) or self._inherited_tags(call, source),
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
            self.snapshots.enter(region, target)
            self._queue(_Copy(source, target))
            return {"DBClusterSnapshot": self.snapshots.shown(call, target)}

    # ---- what is refused

    def _source(self, call: Call) -> Snapshot:
        """Find the source: an own one by ARN, in this region also by name; another account's shared one by ARN.

        A single call may cross accounts and regions at once (AUG-COPY, since September 2025).
        """
        wanted = call.params["SourceDBClusterSnapshotIdentifier"]
        if wanted.startswith("arn:"):
            found = self.kit.store.by_arn(wanted)
        else:
            found = self.kit.region(call).snapshots.get(wanted.lower())
        # RDS does not tell what is not shared from what is not there.
        if not isinstance(found, Snapshot) or not readable(found, call.account):
            raise not_found(wanted)
        here = self.kit.region(call).place
        if found.place.region != here.region and "aws-cn" in (found.place.partition, here.partition):
            raise invalid_value("Snapshots can't be copied to, from or between the China Regions.")
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
        if not wanted and source.place.region != call.region:
            raise invalid_combination("KmsKeyId is required to copy an encrypted DB cluster snapshot across Regions.")
        if not wanted and source.place.account != call.account:
            raise invalid_combination(
                "KmsKeyId is required to copy an encrypted DB cluster snapshot that another account shares."
            )
        if current.key is not None:
            self.kit.usable_key(call, current.key, region=source.place.region)
        if wanted:
            return Encryption("sse-kms", self.kit.usable_key(call, wanted).arn)
        return Encryption(current.kind, current.key)

    def _check_in_flight(self, region: Region) -> None:
        """Five copies from other regions per account and region (AUG-COPY); those that wait for their turn count.

        How AWS words the refusal of the sixth is not documented: it is RDS's one code for too many snapshots here.
        """
        in_flight = sum(
            copy.crosses and copy.target.place == region.place for queue in self._queues.values() for copy in queue
        )
        most = self.kit.quota(region.place, CROSS_REGION_COPIES)
        if in_flight >= most:
            raise fault("SnapshotQuotaExceededFault", f"Cannot copy more than {most} snapshots across regions")

    @staticmethod
    def _inherited_tags(call: Call, source: Snapshot) -> dict[str, str]:
        """Only where no tags are given, and not from an account whose tags the caller cannot see."""
        return dict(source.tags) if call.params.get("CopyTags") and source.place.account == call.account else {}

    # ---- its course

    def _queue(self, copy: _Copy) -> None:
        """Let a copy begin, or wait for those of the same source: without progress, maybe for long (AUG-COPY).

        Silently: AWS documents no event for copies of cluster snapshots.
        """
        source, target = copy.source, copy.target
        for key in dict.fromkeys((source.encryption.key, target.encryption.key)):
            if key is not None:
                copy.grants.append((key, self.kit.keys.grant(key, target.arn)))
        target.ended = lambda: self._ended(copy)
        queue = self._queues.setdefault(source.arn, deque())
        queue.append(copy)
        if queue[0] is copy:
            self._begin(copy)

    def _begin(self, copy: _Copy) -> None:
        source, target = copy.source, copy.target
        if reason := self._broken(copy):
            self.kit.fail(target, "failed", reason)
            return
        target.begun = self.kit.clock.now()
        target.lasts = self.kit.timings.copy(source.size_gb, same_region=not copy.crosses)
        work = self.servers.copy_volume(source.volume, target.volume)
        ended, target.ended = target.ended, None  # its walk begins now, and shall not end it
        phases = [(COPYING, target.lasts / _LOOKS)] * _LOOKS
        self.kit.walk(target, phases, lambda: None, work=work, broken=lambda: self._broken(copy), ended=ended)

    def _broken(self, copy: _Copy) -> str | None:
        """Say what a copy has lost that it cannot go on without, if anything."""
        source, account = copy.source, copy.target.place.account
        if self.kit.store.by_arn(source.arn) is not source:
            return f"The source snapshot {source.arn} was deleted before the copy was complete."
        if not readable(source, account):
            return f"The source snapshot {source.arn} is no longer shared with account {account}."
        for key, grant in copy.grants:
            facts = self.kit.keys.find(account, key.split(":")[3], key)
            if facts is None or not facts.enabled or not self.kit.keys.is_granted(key, grant):
                return key_not_accessible(key).message
        return None

    def _ended(self, copy: _Copy) -> None:
        """Retire the grants, and let the next copy of the source begin."""
        for key, grant in copy.grants:
            self.kit.keys.retire(key, grant)
        queue = self._queues[copy.source.arn]
        first = queue[0] is copy
        queue.remove(copy)
        if not queue:
            del self._queues[copy.source.arn]
        elif first:
            self._begin(queue[0])
