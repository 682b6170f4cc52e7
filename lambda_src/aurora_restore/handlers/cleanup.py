"""Cleanup: removes the copies and shares that the restore needed; deletion protection, if asked for, goes on last."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore.copying import COPY, SHARE, Copying
from aurora_restore.engine.aurora import Aurora
from aurora_restore.errors import CleanupIncomplete, RestoreError, translate
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Each part is tried, whatever becomes of the others. From here on nothing deletes the cluster."""
    problems = [*_take_away(ctx), *_protect(ctx)]
    for problem in problems:
        if problem.retryable:
            raise problem
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise CleanupIncomplete(
            " ".join(problem.cause for problem in problems),
            details={"left": [problem.cause for problem in problems]},
        )
    return {"deletion_protection": ctx.record.wanted.deletion_protection}


def _take_away(ctx: StepContext) -> list[RestoreError]:
    """Leave copies and shares, the last one made first, since each is made of the one before."""
    copying, keep = Copying(ctx), ctx.record.wanted.keep_copies
    problems: list[RestoreError] = []
    for resource in reversed(ctx.record.resources):
        if resource.kind not in {COPY, SHARE} or not resource.state.ours:
            continue
        try:
            copying.take_away(resource, keep=keep, wait=False)
        except (RestoreError, ClientError, BotoCoreError) as error:
            ours = error if isinstance(error, RestoreError) else translate(error, "rds")
            problems.append(
                ours
                if ours.retryable
                else CleanupIncomplete(
                    f"The {resource.kind} {resource.identifier} in account {resource.account}, {resource.region}, "
                    f"is left: {ours.cause}",
                    details=ours.details,
                )
            )
    return problems


def _protect(ctx: StepContext) -> list[RestoreError]:
    request, plan = ctx.record.wanted, ctx.record.planned
    if not request.deletion_protection:
        return []
    aurora = Aurora(ctx.aws.rds)
    try:
        if not aurora.own_cluster(ctx.record).get("DeletionProtection"):
            aurora.modify(plan.target_cluster_id, {"DeletionProtection": True})
    except RestoreError as error:
        return [error]
    except (ClientError, BotoCoreError) as error:
        ours = translate(error, "rds")
        if ours.retryable:
            return [ours]
        return [
            CleanupIncomplete(
                f"Deletion protection of {plan.target_cluster_id} could not be switched on: {ours.cause}",
                details=ours.details,
            )
        ]
    return []
