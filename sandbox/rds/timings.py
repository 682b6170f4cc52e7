"""How long things take, in virtual seconds. Deterministic: what varies, a test sets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class Timings:
    """Durations per operation; the defaults are a small cluster on an ordinary day."""

    cluster_create: float = 60
    cluster_delete: float = 60
    restore_base: float = 480
    restore_per_gb: float = 0.5
    # Part of a restore that shows "creating" before "migrating" (AUG-STATUS: a snapshot is being restored); 1 = all.
    restore_creating_part: float = 0.2
    # Earliest/LatestRestorableTime stay NULL this long after a restored cluster is available (Aurora.Managing.Backups).
    restorable_after: float = 30
    snapshot_base: float = 90
    snapshot_per_gb: float = 0.3
    copy_base: float = 120
    copy_per_gb: float = 1.0
    copy_region_per_gb: float = 2.0
    # What a copy shows of itself: PercentProgress = 100 x (share of its time) ^ skew; 1 = evenly.
    copy_progress_skew: float = 1.0
    snapshot_delete: float = 5
    instance_create: float = 420
    instance_configure: float = 30
    instance_modify: float = 60
    instance_delete: float = 240
    reboot: float = 30
    # After a Modify call the old "available" still shows for a while (Terraform waits 30 s before its first look).
    modify_lag: float = 5
    modify: float = 40
    reset_credentials: float = 20
    rename: float = 60
    upgrade: float = 600
    # A clone shares its source's pages: its duration does not depend on the size (AUG-2023 Clone).
    clone: float = 300
    # A restore to a point in time also replays the log.
    point_in_time_replay: float = 240
    # Latest restorable time is "typically within the last 5 minutes" (Aurora.Managing.Backups).
    restorable_lag: float = 120
    # How long a parameter group shows "applying" after a dynamic parameter was set.
    parameter_apply: float = 20
    role: float = 20
    data_api: float = 10
    custom_endpoint: float = 30
    stop: float = 180
    start: float = 300

    def restore(self, size_gb: int) -> float:
        """Seconds from RestoreDBClusterFromSnapshot to ``available``."""
        return self.restore_base + self.restore_per_gb * size_gb

    def snapshot(self, size_gb: int) -> float:
        """Seconds from the start of a snapshot to ``available``."""
        return self.snapshot_base + self.snapshot_per_gb * size_gb

    def copy(self, size_gb: int, *, same_region: bool) -> float:
        """Seconds from the start of a copy to ``available``."""
        return self.copy_base + (self.copy_per_gb if same_region else self.copy_region_per_gb) * size_gb
