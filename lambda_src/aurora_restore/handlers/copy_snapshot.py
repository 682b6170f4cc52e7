"""CopySnapshots: shares the snapshot, starts its copies one after the other, and waits for nothing.

PrepareCopies; for each copy StartCopy, WaitForLane when it has to queue, and FinishCopy; UseFallback when AWS refuses
the copy to another account and another region in one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from aurora_restore import metrics, names, waits
from aurora_restore.copying import Copying, just_shared
from aurora_restore.engine.snapshots import ALREADY_EXISTS, copy_parameters, limit_reached, refusal, refuse_foreign
from aurora_restore.errors import (
    CopyNameConflict,
    CopySourceVanished,
    CopyTimedOut,
    DirectCopyRefused,
    InternalError,
    ResourceBusy,
    Throttled,
    wire_code,
)
from aurora_restore.model import PhaseTiming, PlannedCopy, Record, Resource, ResourceState, Status, iso, parse_time
from aurora_restore.readiness import SNAPSHOT_GOING, Described, in_flight, normal_status
from aurora_restore.runtime import Handler, StepContext, Verdict, refuse_late, step
from aurora_restore.shared_items import WAITER_GRACE, Lanes, copy_key

PHASE: Final = "CopySnapshots"
SHARE_PHASE: Final = "share"


# --- PrepareCopies --------------------------------------------------------------------------------------------------


@step()
def _prepare(ctx: StepContext) -> Verdict:
    plan = ctx.record.planned
    if plan.route.share_snapshot and not Copying(ctx).share(plan.snapshot_arn):
        return _wait(
            ctx, SHARE_PHASE, "BLOCKED", f"another operation's share of {plan.snapshot_arn} is being withdrawn"
        )
    if ctx.record.status is Status.QUEUED:
        ctx.update("queue_left", lambda record: _out_of_queue(record, SHARE_PHASE, iso(ctx.now)))
    return _verdict("READY", 0, f"{len(plan.copies)} copies to make", SHARE_PHASE)


# --- StartCopy ------------------------------------------------------------------------------------------------------


@step(audited=False)
def _start(ctx: StepContext) -> Verdict:
    """Start the copy, join one that is in flight or done, or say that it has to wait.

    QUEUED waits for a lane, and is woken; BLOCKED waits for what nobody tells of: another operation's deletion of the
    same copy, or copies that are not the pipeline's. Written only what changes: it may be asked many times.
    """
    refuse_late(ctx.record, ctx.step)
    copy = ctx.record.planned.copy(int(ctx.event["ordinal"]))
    copying = Copying(ctx)
    intent = copying.intend(copy)
    if intent.state is ResourceState.FOREIGN:
        raise CopyNameConflict(
            f"The snapshot {copy.identifier} in {copy.account}, {copy.region}, is not the pipeline's"
        )
    snapshots = copying.snapshots(copy.account, copy.region)

    found = snapshots.find(copy.identifier)
    going = found is not None and normal_status(found.get("Status")) in SNAPSHOT_GOING
    if going or not copying.items.join(copy_key(copy.arn), ctx.operation_id, ctx.now, gone=found is None):
        return _wait(
            ctx, copy.queue_phase, "BLOCKED", f"{copy.identifier} is being deleted; it is copied anew after that"
        )
    if found is not None:
        return _joined(ctx, copying, copy, intent, found)

    if copy.cross_region:
        taken = _take_lane(ctx, copying, copy)
        if taken is not None:
            return _wait(ctx, copy.queue_phase, "QUEUED", taken)
    try:
        found = snapshots.copy(copy_parameters(copy, ctx.tags))
    except ClientError as error:
        if wire_code(error) == ALREADY_EXISTS:
            found = snapshots.find(copy.identifier)
            if found is None:
                raise ResourceBusy(f"RDS says that {copy.identifier} exists, but does not describe it yet") from error
            return _joined(ctx, copying, copy, intent, found)
        if limit_reached(error):
            # The lane stays taken: the place in front of the deployment's other operations is not given up.
            said = str(error.response["Error"].get("Message", ""))
            return _wait(ctx, copy.queue_phase, "BLOCKED", f"copies of others are in flight to {copy.region}: {said}")
        ours = refusal(error, copy)
        if not isinstance(ours, Throttled):  # after that it may have begun all the same
            copying.leave_lane(copying.turn(copy))
        if isinstance(ours, CopySourceVanished) and just_shared(ctx.record, copy.source_arn, ctx.now):
            raise ResourceBusy(f"{copy.source_arn} has just been shared, and is not visible yet") from error
        raise ours from error
    return _begun(ctx, copy, intent, "copy_started", {"tags": sorted({names.OPERATION_TAG, names.MANAGED_BY_TAG})})


def _joined(ctx: StepContext, copying: Copying, copy: PlannedCopy, intent: Resource, found: Described) -> Verdict:
    """Go on with a copy that is there: an earlier try's, or another operation's."""
    try:
        refuse_foreign(copy, found, ctx.record.deployment)
    except CopyNameConflict:
        copying.save("copy_foreign", replace(intent, state=ResourceState.FOREIGN))
        copying.items.leave(copy_key(copy.arn), ctx.operation_id, ctx.now)
        copying.leave_lane_of(copying.turn(copy), found)
        raise
    if copy.cross_region:
        copying.leave_queue(copying.turn(copy))
    deployment = ctx.record.deployment
    own = names.bears_tags(found.get("TagList"), deployment=deployment, operation_id=ctx.operation_id)
    return _begun(ctx, copy, intent, "copy_started" if own else "copy_joined", {"status": found.get("Status")})


def _begun(ctx: StepContext, copy: PlannedCopy, intent: Resource, event: str, details: Mapping[str, Any]) -> Verdict:
    if intent.state is not ResourceState.CREATED or ctx.record.status is Status.QUEUED:
        made = replace(intent, state=ResourceState.CREATED, created_at=intent.created_at or iso(ctx.now))

        def begun(record: Record) -> Record:
            refuse_late(record, ctx.step)
            record = _out_of_queue(record.with_resource(made), copy.queue_phase, iso(ctx.now))
            timing = record.timings.get(copy.phase) or PhaseTiming(iso(ctx.now))
            return replace(record.with_timing(copy.phase, timing), phase=PHASE)

        queued = ctx.record.timings.get(copy.queue_phase)
        told = {"arn": copy.arn, "source": copy.source_arn, **details}
        ctx.update(event, begun, told)
        if queued is not None and queued.ready_at is None:
            metrics.phase_ready(ctx.settings.deployment, "queue", queued.elapsed(ctx.now), ctx.now)
    return _verdict("STARTED", 0, f"{copy.identifier} is being copied to {copy.account}, {copy.region}", copy.phase)


def _take_lane(ctx: StepContext, copying: Copying, copy: PlannedCopy) -> str | None:
    """Take one of the lanes to the copy's account and region; else what all of them are taken by."""
    turn = copying.turn(copy)
    until = ctx.now + timedelta(seconds=waits.LANE) + WAITER_GRACE

    def take(lanes: Lanes) -> Lanes:
        return lanes.take(turn, limit=copying.limit, now=ctx.now, until=until)

    lanes = copying.items.change_lanes(turn, take)
    if turn.copy not in lanes.holders and len(lanes.holders) >= copying.limit:
        # All taken: by copies that are in flight? Whoever held the others may have been stopped.
        snapshots = copying.snapshots(turn.account, turn.region)
        lost = [arn for arn in lanes.doubtful(ctx.now) if not in_flight(snapshots.find(arn.rpartition(":")[2]))]
        if lost:
            lanes = copying.items.change_lanes(turn, lambda lanes: take(lanes.without(*lost)))
            copying.wake(turn, lanes)
    if turn.copy in lanes.holders:
        return None
    busy = ", ".join(sorted(arn.rpartition(":")[2] for arn in lanes.holders))
    return f"all {copying.limit} lanes to {copy.account}, {copy.region}, are taken or waited for (in flight: {busy})"


def _wait(ctx: StepContext, phase: str, state: str, why: str) -> Verdict:
    """Wait for one's turn, for which all of an operation's copies together have a deadline of its own."""
    before = ctx.record.timings.get(phase)
    timing = replace(before or PhaseTiming(iso(ctx.now)), status=state, ready_at=None)
    others = _queued_seconds(ctx.record, ctx.now, but=phase)
    elapsed, deadline = timing.elapsed(ctx.now), ctx.settings.deadlines["queue"] - others
    if timing != before or ctx.record.status is not Status.QUEUED:

        def queued(record: Record) -> Record:
            refuse_late(record, ctx.step)
            return replace(record.with_timing(phase, timing), status=Status.QUEUED, phase=PHASE)

        ctx.update("copy_queued", queued, {"phase": phase, "reason": why})
    if elapsed >= deadline:
        raise CopyTimedOut(
            f"Phase {phase!r} waited {round(elapsed)} s for its turn{f', others {others} s' if others else ''}; the "
            f"deadline is {others + deadline} s; last seen: {why}",
            details={"phase": phase, "status": state},
        )
    wait = waits.turn_wait(elapsed, remaining=deadline - elapsed, woken=state == "QUEUED")
    return _verdict(state, wait, why, phase)


def _queued_seconds(record: Record, now: datetime, *, but: str | None = None) -> int:
    """For how long the operation has waited for its turns, also on a way that AWS then refused."""
    waited: float = record.results.get("fallback", {}).get("queued_seconds", 0)
    for phase, timing in record.timings.items():
        if (phase == SHARE_PHASE or phase.startswith("queue-")) and phase != but:
            waited += timing.elapsed(parse_time(timing.ready_at) if timing.ready_at else now)
    return round(waited)


def _out_of_queue(record: Record, phase: str, now: str) -> Record:
    """The record of an operation whose turn it is, if it had to wait for it."""
    record = replace(record, status=Status.IN_PROGRESS)
    queued = record.timings.get(phase)
    if queued is None or queued.ready_at is not None:
        return record
    return record.with_timing(phase, replace(queued, ready_at=now))


def _verdict(state: str, wait: int, detail: str, phase: str) -> dict[str, Any]:
    return {"state": state, "wait_seconds": wait, "phase": phase, "detail": detail}


# --- WaitForLane ----------------------------------------------------------------------------------------------------


@step(audited=False)
def _wait_for_lane(ctx: StepContext) -> Verdict:
    """Leave the token by which the state is woken; its time-out is the workflow's."""
    copying, token = Copying(ctx), str(ctx.event["task_token"])
    turn = copying.turn(ctx.record.planned.copy(int(ctx.event["ordinal"])))
    copying.items.leave_token(turn, token, ctx.now + timedelta(seconds=waits.LANE) + timedelta(days=1))
    # The look comes after the token: a lane that was given back before it woke nobody.
    turn_is_here = copying.items.lanes(turn).may_go(turn, limit=copying.limit, now=ctx.now)
    if turn_is_here:
        copying.send(token)
    return {"waiting": not turn_is_here}


# --- FinishCopy -----------------------------------------------------------------------------------------------------


@step()
def _finish(ctx: StepContext) -> Verdict:
    """The copy is available: its lane is free for the next one, and it is shared if the way leads on from there."""
    copy = ctx.record.planned.copy(int(ctx.event["ordinal"]))
    copying = Copying(ctx)
    if copy.cross_region:
        copying.leave_lane(copying.turn(copy))
    ctx.update("copy_available", details={"arn": copy.arn})
    if copy.share:
        # Nothing is recorded: the share is the deployment's own, and goes with the copy.
        copying.snapshots(copy.account, copy.region).share(copy.identifier, ctx.settings.account)
        ctx.update("share_added", details={"arn": copy.arn})
    return {"copy": copy.identifier, "arn": copy.arn, "shared": copy.share}


# --- UseFallback ----------------------------------------------------------------------------------------------------


@step()
def _use_fallback(ctx: StepContext) -> Verdict:
    """Take the way without the single step; what was copied on the refused way already is cleaned up at the end."""
    plan = ctx.record.planned
    if "fallback" not in ctx.record.results:  # an earlier try of this step came so far
        refused = ctx.record.last_error
        said = refused.cause if refused else "AWS refused the copy in one step."
        fallback = plan.fallback_route
        if fallback is None:
            raise DirectCopyRefused(said, details=refused.details if refused else None)
        kept = {copy.ordinal for old, copy in zip(plan.copies, fallback.copies, strict=False) if old.arn == copy.arn}

        def changed(record: Record) -> Record:
            now_planned = replace(record.planned, route=fallback, fallback_route=None)
            timings = {
                phase: timing
                for phase, timing in record.timings.items()
                if not phase.startswith(("copy-", "queue-")) or int(phase.rpartition("-")[2]) in kept
            }
            on_it = replace(record, plan=now_planned, timings=timings)
            lost = _queued_seconds(record, ctx.now) - _queued_seconds(on_it, ctx.now)
            return on_it.with_result("fallback", {"refused": said, "queued_seconds": lost}).with_warnings(
                f"AWS refused the copy in one step: {len(fallback.copies)} copies were made. {said}"
            )

        ctx.update("fallback_taken", changed, {"copies": [copy.identifier for copy in fallback.copies]})
    copies = ctx.record.planned.copies
    return {"copies": [{"ordinal": copy.ordinal, "phase": copy.phase} for copy in copies]}


# --- by step --------------------------------------------------------------------------------------------------------


@step(audited=False)
def _unknown(ctx: StepContext) -> Verdict:
    raise InternalError(f"copy-snapshot has no step {ctx.step!r}")


_STEPS: Final[Mapping[str, Handler]] = {
    "PrepareCopies": _prepare,
    "StartCopy": _start,
    "WaitForLane": _wait_for_lane,
    "FinishCopy": _finish,
    "UseFallback": _use_fallback,
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Which of them is told by the step's name."""
    return _STEPS.get(str(event.get("step")), _unknown)(event, context)
