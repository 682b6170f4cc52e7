"""RestoreCluster: begins the restore of the cluster, from its snapshot, to a point in time, or as a clone."""

from __future__ import annotations

from dataclasses import replace

from botocore.exceptions import ClientError

from aurora_restore import names
from aurora_restore.copying import just_shared
from aurora_restore.engine.aurora import Aurora, restore_parameters
from aurora_restore.engine.snapshots import NOT_FOUND
from aurora_restore.engine.versions import VersionWay
from aurora_restore.errors import MajorUpgradeRefused, ResourceBusy, wire_code
from aurora_restore.model import PhaseTiming, Record, ResourceState, SourceKind, iso
from aurora_restore.readiness import Described
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Restore, or find the restore that an earlier try has begun."""
    request, plan = ctx.record.wanted, ctx.record.planned
    aurora = Aurora(ctx.aws.rds)
    parameters = restore_parameters(request, plan, ctx.tags)

    intent = ctx.record.resource("db-cluster", plan.target_cluster_id)
    if intent is None:
        intent = ctx.intent("db-cluster", plan.target_cluster_id)
        ctx.update("restore_intended", lambda record: record.with_resource(intent), {"cluster": intent.identifier})

    try:
        cluster = aurora.ensure_cluster(parameters, ctx.record)
    except ClientError as error:
        if wire_code(error) == NOT_FOUND and just_shared(ctx.record, plan.snapshot_to_restore, ctx.now):
            raise ResourceBusy(f"{plan.snapshot_to_restore} has just been shared, and is not visible yet") from error
        raise
    made = replace(
        intent,
        state=ResourceState.CREATED,
        arn=cluster["DBClusterArn"],
        resource_id=cluster["DbClusterResourceId"],
        created_at=iso(ctx.now),
    )

    def begun(record: Record) -> Record:
        record = _as_it_was(record.with_resource(made), cluster)
        return record if "cluster" in record.timings else record.with_timing("cluster", PhaseTiming(iso(ctx.now)))

    ctx.update("restore_started", begun, {"arn": made.arn, "tags": sorted({names.OPERATION_TAG, names.MANAGED_BY_TAG})})
    if ctx.record.planned.major_upgrade and not request.allow_major_version_upgrade:
        raise MajorUpgradeRefused(
            f"At {request.restore_to_time} the source ran {cluster['EngineVersion']}, of another major version than "
            f"engine_version {plan.engine_version}",
            field="engine_version",
        )
    return {"cluster": plan.target_cluster_id, "arn": made.arn}


def _as_it_was(record: Record, cluster: Described) -> Record:
    """The record with the version that a point in time has brought back: that of then, which only RDS knows."""
    plan, asked, version = record.planned, record.wanted.engine_version, str(cluster["EngineVersion"])
    if plan.source_kind is not SourceKind.POINT_IN_TIME or version == plan.restored_version:
        return record
    if asked is None:
        changed = replace(plan, engine_version=version)
        told = f"and the restored one keeps it; today's is {plan.engine_version}."
    else:
        way = VersionWay(version, asked, version)
        changed = replace(plan, version_at_restore=version if way.in_place else None, major_upgrade=way.major)
        told = f"and the restored one is to run {asked}."
    return replace(record, plan=changed).with_warnings(f"At that time the source ran engine version {version}, {told}")
