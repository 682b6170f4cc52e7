"""Cleanup: what is done last on a verified cluster; deletion protection, if it was asked for."""

from __future__ import annotations

from aurora_restore.engine.aurora import Aurora
from aurora_restore.errors import CleanupIncomplete
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Protect the cluster. From here on nothing deletes it."""
    request, plan = ctx.record.wanted, ctx.record.planned
    if not request.deletion_protection:
        return {"deletion_protection": False}
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.cluster(plan.target_cluster_id)
    if cluster is None:
        raise CleanupIncomplete(f"The cluster {plan.target_cluster_id} is gone")
    if not cluster.get("DeletionProtection"):
        aurora.modify(plan.target_cluster_id, {"DeletionProtection": True})
    return {"deletion_protection": True}
