"""The copy phase as long as the workflow has none: the same Observe, Decide and Wait, for one copy.

Not used once the definition has a CopySnapshots state of its own; then this file can go.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

FUNCTION = "check_copy_status"
_COPY = "bench-copy"


def with_copy(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The definition with a copy before RestoreCluster: its cluster loop, under other names."""
    made = copy.deepcopy(dict(definition))
    states = made["States"]
    for name in ("ObserveCluster", "DecideCluster", "WaitCluster"):
        text = json.dumps(states[name]).replace("Cluster", "Copy").replace("ConfigureCopy", "RestoreCluster")
        states[name.replace("Cluster", "Copy")] = json.loads(text.replace("check_restore_status", FUNCTION))
    states["ObserveCopy"]["Parameters"]["Payload"]["phase"] = "copy"
    states["SnapshotCheck"]["Next"] = "ObserveCopy"
    return made


def handler(aws: Any, event: Mapping[str, Any]) -> dict[str, Any]:
    """Begin the copy with the first look, then look; what check_restore_status does for the other phases."""
    from aurora_restore import runtime, waits
    from aurora_restore.model import parse_time

    begun: dict[str, datetime] = aws.__dict__.setdefault("begun", {})
    now, key = parse_time(event["now"]), event["operation_id"]
    name = f"{_COPY}-{key}"
    if key not in begun:
        begun[key] = now
        aws.rds.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="source-snapshot", TargetDBClusterSnapshotIdentifier=name
        )
    [found] = aws.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)["DBClusterSnapshots"]
    ready, settings = found["Status"] == "available", runtime.settings()
    elapsed, percent = (now - begun[key]).total_seconds(), int(found["PercentProgress"])
    wait = waits.next_wait(
        "copy",
        elapsed,
        percent=percent,
        remaining=settings.deadlines["copy"] - elapsed,
        floor=settings.wait_floor_seconds,
        cap=settings.wait_cap_seconds,
    )
    return {
        "state": "READY" if ready else "PENDING",
        "wait_seconds": 0 if ready else wait,
        "phase": "copy",
        "status": found["Status"],
        "percent": percent,
        "detail": "",
    }
