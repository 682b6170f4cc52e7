"""Cleanup: what is done last on a verified cluster; deletion protection, if it was asked for."""

from __future__ import annotations

from botocore.exceptions import ClientError

from aurora_restore.engine.aurora import Aurora
from aurora_restore.errors import CleanupIncomplete, translate
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Protect the cluster. From here on nothing deletes it."""
    request, plan = ctx.record.wanted, ctx.record.planned
    if not request.deletion_protection:
        return {"deletion_protection": False}
    aurora = Aurora(ctx.aws.rds)
    if not aurora.own_cluster(ctx.record).get("DeletionProtection"):
        try:
            aurora.modify(plan.target_cluster_id, {"DeletionProtection": True})
        except ClientError as error:
            ours = translate(error, "rds")
            if ours.retryable:
                raise ours from error
            raise CleanupIncomplete(
                f"Deletion protection of {plan.target_cluster_id} could not be switched on: {ours.cause}",
                details=ours.details,
            ) from error
    return {"deletion_protection": True}
