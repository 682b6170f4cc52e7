"""NotifySuccess and NotifyFailure: write the outcome, then tell it.

The outcome is written before it is published, and a message that cannot be sent changes nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore import history, metrics, notification, outcome
from aurora_restore.errors import Failure, RestoreError, failure_caught, failure_of, translate
from aurora_restore.model import Record, Status, iso, parse_time
from aurora_restore.runtime import StepContext, Verdict, logger, step

MAX_CAUSE: Final = 20_000
"""Characters of the execution's cause: an error's (`errors.MAX_CAUSE`), its remedy, what is left, and the message."""


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """Which of the two is told by the step's name."""
    return _notify_failure(ctx) if ctx.step == "NotifyFailure" else _notify_success(ctx)


def _notify_success(ctx: StepContext) -> Verdict:
    warnings = _warnings(ctx)
    record = ctx.record
    if record.status is not Status.SUCCEEDED:
        ttl = ctx.settings.record_ttl_days
        record = ctx.update(
            "operation_succeeded",
            lambda record: outcome.succeeded(record, now=ctx.now, warnings=warnings, ttl_days=ttl),
            {"warnings": list(warnings)},
        )
        metrics.succeeded(ctx.settings.deployment, _duration(ctx, record), ctx.now)
        _learn(ctx, record)
    problem = _publish(ctx, record, None)
    return {
        "status": Status.SUCCEEDED.value,
        "notified": problem is None,
        "outcome": _message(ctx, ctx.record, None).output(),
    }


def _learn(ctx: StepContext, record: Record) -> None:
    """What the operation took is expected of the next one; that it cannot be saved is worth no failure."""
    try:
        history.learn(ctx.aws.dynamodb, ctx.settings.state_table, record)
    except (RestoreError, BotoCoreError, KeyError, ValueError) as error:  # the last two: an item that is not ours
        logger.warning("durations_not_learned", extra={"reason": str(error)})


def _warnings(ctx: StepContext) -> tuple[str, ...]:
    """What went wrong beside the main road, Cleanup's or Compensate's own failure, as the workflow caught it."""
    caught: Mapping[str, Mapping[str, Any]] = ctx.event.get("warnings") or {}
    return tuple(f"{name}: {failure_of(error).message}" for name, error in sorted(caught.items()))


def _notify_failure(ctx: StepContext) -> Verdict:
    failure = failure_caught(ctx.event["errors"])
    record: Record | None = None
    try:
        record, failure = _record_failure(ctx, failure)
    except (RestoreError, ClientError, BotoCoreError, KeyError, TypeError, ValueError) as error:
        # The state table may be what failed, or the record is not as this version writes it (the last three); the
        # message and the execution's error must come all the same.
        logger.error("outcome_not_recorded", extra={"reason": f"{type(error).__name__}: {error}"})
    problem = _publish(ctx, record, failure)
    cause = f"{failure.message} (operation_id: {ctx.operation_id})"
    if record is not None and _was_a_restore(ctx, record):
        cause += f" {outcome.remains(record)}"
    if problem:
        cause += f" The notification could not be sent: {problem}"
    return {"error": failure.code, "cause": cause[:MAX_CAUSE]}


def _record_failure(ctx: StepContext, failure: Failure) -> tuple[Record | None, Failure]:
    """FAILED in the record, if Compensate could not; the failure that the record tells of."""
    found = ctx.store.standing(ctx.operation_id)
    if found is not None and found.execution_arn != ctx.execution_arn:
        return None, failure  # another execution's operation: not to be touched
    if found is None:
        ctx.claim(_unclaimed(ctx), "operation_claimed", {"late": True})
    record = ctx.record
    warnings = _warnings(ctx)
    if record.status is not Status.FAILED or record.error is None:
        failure = outcome.explained(failure, record)
        ttl = ctx.settings.record_ttl_days
        record = ctx.update(
            "operation_failed",
            lambda record: outcome.failed(record, failure, now=ctx.now, ttl_days=ttl),
            {"error": failure.error, "code": failure.code, "cause": failure.cause},
        )
    if not set(warnings) <= set(record.warnings):
        record = ctx.update("warned", lambda record: record.with_warnings(*warnings), {"warnings": list(warnings)})
    told = record.error or failure
    _count(ctx, record, told)
    return record, told


def _unclaimed(ctx: StepContext) -> Record:
    """The record of an operation whose SnapshotCheck did not come so far as to make one."""
    execution = ctx.event["execution"]
    return Record(
        operation_id=ctx.operation_id,
        execution_arn=ctx.execution_arn,
        started_at=iso(parse_time(str(execution.get("start_time") or ctx.event["now"]))),
        deployment=ctx.settings.deployment,
        environment=ctx.settings.environment,
    )


def _count(ctx: StepContext, record: Record, failure: Failure) -> None:
    if record.notified_at is None and _was_a_restore(ctx, record):
        metrics.failed(ctx.settings.deployment, failure.code, _duration(ctx, record), ctx.now)


def _was_a_restore(ctx: StepContext, record: Record) -> bool:
    return notification.mode_of(record, ctx.event.get("request")) == "restore"


def _duration(ctx: StepContext, record: Record) -> float:
    return max(0.0, (ctx.now - parse_time(record.started_at)).total_seconds())


def _publish(ctx: StepContext, record: Record | None, failure: Failure | None) -> str | None:
    """Publish once; returns why it could not be done, which also becomes a warning in the record."""
    if record is not None and record.notified_at is not None:
        return None
    message = _message(ctx, record, failure)
    try:
        ctx.aws.sns.publish(**message.publish_parameters(ctx.settings.topic_arn))
    except (ClientError, BotoCoreError) as error:
        problem = translate(error, "sns")
        logger.error("notification_failed", extra={"failure": Failure.of(problem).to_mapping()})
        _note(ctx, record, "notification_failed", f"The notification could not be sent: {problem.cause}")
        return problem.cause
    _note(ctx, record, "notified", None)
    return None


def _message(ctx: StepContext, record: Record | None, failure: Failure | None) -> notification.Message:
    return notification.build(
        settings=ctx.settings,
        operation_id=ctx.operation_id,
        execution_arn=ctx.execution_arn,
        now=ctx.now,
        record=record,
        failure=failure,
        request=ctx.event.get("request"),
    )


def _note(ctx: StepContext, record: Record | None, event: str, warning: str | None) -> None:
    if record is None:
        return

    def noted(record: Record) -> Record:
        return record.with_warnings(warning) if warning else replace(record, notified_at=iso(ctx.now))

    try:
        ctx.update(event, noted, {"warning": warning} if warning else None)
    except RestoreError as error:
        # The outcome is recorded and told; that this could not be noted is worth no failure.
        logger.warning("notification_not_noted", extra={"reason": str(error)})
