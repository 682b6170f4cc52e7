"""RestoreCluster: begins the restore of the cluster, from its snapshot, to a point in time, or as a clone."""

from __future__ import annotations

from dataclasses import replace

from botocore.exceptions import ClientError

from aurora_restore import names
from aurora_restore.copying import just_shared
from aurora_restore.engine.aurora import Aurora, restore_parameters
from aurora_restore.engine.snapshots import NOT_FOUND
from aurora_restore.engine.versions import as_it_was, refuse_unasked_major
from aurora_restore.errors import ResourceBusy, wire_code
from aurora_restore.model import PhaseTiming, Record, ResourceState, iso
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
        record = as_it_was(record.with_resource(made), cluster)
        return record if "cluster" in record.timings else record.with_timing("cluster", PhaseTiming(iso(ctx.now)))

    ctx.update("restore_started", begun, {"arn": made.arn, "tags": sorted({names.OPERATION_TAG, names.MANAGED_BY_TAG})})
    refuse_unasked_major(ctx.record)
    return {"cluster": plan.target_cluster_id, "arn": made.arn}
