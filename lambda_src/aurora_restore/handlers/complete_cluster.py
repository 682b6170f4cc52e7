"""CompleteCluster: what takes calls of its own: IAM roles, Data API, custom endpoints, autoscaling of readers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aurora_restore.compensation import SCALABLE_TARGET
from aurora_restore.engine.aurora import Aurora
from aurora_restore.engine.autoscaling import Autoscaling, resource_id
from aurora_restore.model import PhaseTiming, Record, ResourceState, iso
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Add what is not there yet; a second try finds nothing left to do."""
    request, plan = ctx.record.wanted, ctx.record.planned
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    done: dict[str, Any] = {}

    if request.associated_roles:
        done["associated_roles"] = [aurora.ensure_role(cluster, role) for role in request.associated_roles]
    if request.enable_http_endpoint:
        done["enable_http_endpoint"] = aurora.ensure_http_endpoint(cluster)
    if request.custom_endpoints:
        members = [instance.identifier for instance in plan.instances]
        done["custom_endpoints"] = [
            aurora.ensure_custom_endpoint(cluster, endpoint, members, ctx.tags) for endpoint in request.custom_endpoints
        ]
    if request.reader_autoscaling:
        done["reader_autoscaling"] = _autoscaling(ctx)

    def begun(record: Record) -> Record:
        return record if "complete" in record.timings else record.with_timing("complete", PhaseTiming(iso(ctx.now)))

    ctx.update("completion_started", begun, done)
    return {"cluster": plan.target_cluster_id, "completed": sorted(done)}


def _autoscaling(ctx: StepContext) -> str:
    """Last of all, and with an intent: a scalable target does not go with its cluster."""
    wanted, name = ctx.record.wanted.reader_autoscaling, ctx.record.planned.target_cluster_id
    if wanted is None:
        raise LookupError("no autoscaling was asked for")
    target = resource_id(name)
    intent = ctx.record.resource(SCALABLE_TARGET, target)
    if intent is None:
        intent = ctx.intent(SCALABLE_TARGET, target)
        ctx.update("autoscaling_intended", lambda record: record.with_resource(intent), {"scalable_target": target})
    Autoscaling(ctx.aws.autoscaling).ensure(name, wanted, ctx.tags)
    made = replace(intent, state=ResourceState.CREATED, created_at=iso(ctx.now))
    ctx.update("autoscaling_registered", lambda record: record.with_resource(made), {"scalable_target": target})
    return target
