"""ObserveCopy: looks at a snapshot copy, judges it, and says how long to wait; never waits itself."""

from __future__ import annotations

from aurora_restore import events, observation
from aurora_restore.copying import Copying
from aurora_restore.engine.snapshots import refuse_foreign
from aurora_restore.errors import CopyFailed, CopyNameConflict, CopyTimedOut, CopyVanished, RestoreError
from aurora_restore.model import PlannedCopy, parse_time
from aurora_restore.observation import Watch
from aurora_restore.readiness import NOT_FOUND, SNAPSHOT_GOING, Readiness, snapshot_copied
from aurora_restore.runtime import StepContext, Verdict, step


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """One look. The record is written only when what is seen has changed."""
    copy = ctx.record.planned.copy(int(ctx.event["ordinal"]))
    found = Copying(ctx).snapshots(copy.account, copy.region).find(copy.identifier)
    if found is not None:
        try:
            refuse_foreign(copy, found, ctx.record.deployment)
        except CopyNameConflict as error:
            raise CopyVanished(f"Another snapshot has the copy's name now: {error.cause}") from error
    deadline = ctx.settings.deadlines["copy"]
    watch = Watch(
        phase=copy.phase,
        kind="copy",
        deadline=deadline,
        failed=lambda judged: _failed(ctx, copy, judged),
        timed_out=lambda judged: _timed_out(ctx, copy, judged, deadline),
        expected=copy.expected_seconds or None,
    )
    judged = snapshot_copied(found, seen=observation.begun(ctx, copy.phase).seen)
    return observation.verdict(ctx, watch, judged)


def _failed(ctx: StepContext, copy: PlannedCopy, judged: Readiness) -> RestoreError:
    found = _events(ctx, copy)
    kind: type[RestoreError] = CopyVanished if judged.status in {NOT_FOUND, *SNAPSHOT_GOING} else CopyFailed
    return kind(
        f"{copy.identifier} in {copy.account}, {copy.region}: {judged.detail}.{events.told(found)}",
        details={"status": judged.status, "events": found},
    )


def _timed_out(ctx: StepContext, copy: PlannedCopy, judged: Readiness, deadline: int) -> RestoreError:
    found = _events(ctx, copy)
    progress = "" if judged.percent is None else f" ({judged.percent} %)"
    return CopyTimedOut(
        f"{copy.identifier} in {copy.account}, {copy.region}, passed its deadline of {deadline} s; "
        f"last seen: {judged.detail}{progress}.{events.told(found)}",
        details={"phase": copy.phase, "status": judged.status, "events": found},
    )


def _events(ctx: StepContext, copy: PlannedCopy) -> list[dict[str, str]]:
    rds = Copying(ctx).rds(copy.account, copy.region)
    return events.since(rds, events.of_copy(copy), parse_time(ctx.record.started_at), ctx.now)
