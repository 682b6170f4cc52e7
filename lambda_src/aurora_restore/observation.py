"""The common part of every Observe: a judgement becomes a verdict, and the record is written only when it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from aurora_restore import metrics, waits
from aurora_restore.errors import RestoreError
from aurora_restore.model import PhaseTiming, Record, iso
from aurora_restore.readiness import NOT_FOUND, Readiness, State, required_reads
from aurora_restore.runtime import StepContext, Verdict, logger
from aurora_restore.state import Mutation, unchanged


@dataclass(frozen=True)
class Watch:
    """What is waited for, and what it means that it fails or does not come."""

    phase: str
    """The key of its timing in the record."""
    kind: str
    """The phase's bounded name: of its way to wait, and of its metric."""
    deadline: int
    """Seconds since the phase began."""
    failed: Callable[[Readiness], RestoreError]
    timed_out: Callable[[Readiness], RestoreError]
    expected: float | None = None
    """Seconds that it is expected to take."""
    used: int = 0
    """Seconds that phases before it have used of a deadline that it shares with them."""
    when_ready: Mutation = unchanged


def begun(ctx: StepContext, phase: str) -> PhaseTiming:
    """The phase's timing so far."""
    return ctx.record.timings.get(phase) or PhaseTiming(started_at=iso(ctx.now))


def verdict(ctx: StepContext, watch: Watch, judged: Readiness) -> Verdict:
    """What the workflow gets: READY, or PENDING with the seconds to wait; raises what ends the wait."""
    if judged.unknown:
        logger.warning("unknown_status", extra={"status": judged.status, "detail": judged.detail})
    before = begun(ctx, watch.phase)
    elapsed = before.elapsed(ctx.now)
    # The last look saw it pending: what is good now is not what was before the change.
    change_seen = before.status is not None and before.good_reads == 0
    needed = required_reads(watch.kind, change_seen=change_seen)
    reads = before.good_reads + 1 if judged.state is State.READY else 0
    ready = reads >= needed
    timing = replace(
        before,
        status=judged.status,
        good_reads=min(reads, needed),
        seen=before.seen or judged.status != NOT_FOUND,
        ready_at=before.ready_at or (iso(ctx.now) if ready else None),
    )
    if timing != before:
        _save(ctx, watch, timing, judged, ready=ready)
        if ready and before.ready_at is None:
            metrics.phase_ready(ctx.settings.deployment, watch.kind, elapsed, ctx.now)

    if judged.state is State.FAILED:
        raise watch.failed(judged)
    if judged.state is not State.READY and elapsed >= watch.deadline:  # a good read is confirmed even then
        raise watch.timed_out(judged)

    wait = 0
    if judged.state is State.READY and not ready:
        wait = waits.confirm(elapsed)
    elif not ready:
        wait = waits.next_wait(
            watch.kind,
            elapsed,
            percent=judged.percent,
            expected=watch.expected,
            remaining=watch.deadline - elapsed,
            floor=waits.floor_after(
                watch.used, floor=ctx.settings.wait_floor_seconds, cap=ctx.settings.wait_cap_seconds
            ),
            cap=ctx.settings.wait_cap_seconds,
        )
    seen = {
        "state": State.READY.value if ready else State.PENDING.value,
        "wait_seconds": wait,
        "phase": watch.phase,
        "status": judged.status,
        "percent": judged.percent,
        "detail": judged.detail,
    }
    logger.info("observed", extra={"observed": seen, "elapsed": round(elapsed)})
    return seen


def _save(ctx: StepContext, watch: Watch, timing: PhaseTiming, judged: Readiness, *, ready: bool) -> None:
    def seen(record: Record) -> Record:
        record = record.with_timing(watch.phase, timing)
        return watch.when_ready(record) if ready else record

    event = "phase_ready" if timing.ready_at else "status_seen"
    ctx.update(event, seen, {"phase": watch.phase, "status": judged.status, "detail": judged.detail})
