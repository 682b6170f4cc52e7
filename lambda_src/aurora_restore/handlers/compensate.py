"""Compensate: records the failure, then cleans up or keeps; answers READY or PENDING like an Observe."""

from __future__ import annotations

from typing import Any, Final

from aurora_restore import compensation, outcome, waits
from aurora_restore.copying import Copying
from aurora_restore.engine.aurora import Aurora
from aurora_restore.engine.autoscaling import Autoscaling
from aurora_restore.errors import failure_caught
from aurora_restore.model import Record, ResourceState, iso, parse_time
from aurora_restore.runtime import StepContext, Verdict, logger, step

_LEAVING: Final = frozenset({ResourceState.DELETED, ResourceState.DELETING})


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """Touches nothing unless the record is this execution's."""
    record = ctx.find_record()
    if record is None:
        return _verdict("READY", "NOTHING", "there is no operation of this execution")
    if "compensation" not in record.results:
        record = _record_failure(ctx, record)
    state = record.results["compensation"]
    if state["outcome"] != "running":
        return _verdict("READY", str(state["outcome"]).upper(), "; ".join(state["left"]))
    return _clean_up(ctx, record, str(state["policy"]), str(state["started_at"]))


def _record_failure(ctx: StepContext, record: Record) -> Record:
    failure = outcome.explained(failure_caught(ctx.event["errors"]), record)
    ttl = ctx.settings.record_ttl_days

    def fail(record: Record) -> Record:
        keep = compensation.keeps(record)
        record = compensation.kept(record) if keep else record
        report = compensation.report("keep" if keep else "clean_up", iso(ctx.now))
        return outcome.failed(record.with_result("compensation", report), failure, now=ctx.now, ttl_days=ttl)

    logger.error("operation_failed", extra={"failure": failure.to_mapping()})
    return ctx.update("operation_failed", fail, {"error": failure.error, "code": failure.code, "cause": failure.cause})


def _clean_up(ctx: StepContext, record: Record, policy: str, started_at: str) -> Verdict:
    elapsed = max(0.0, (ctx.now - parse_time(started_at)).total_seconds())
    swept = compensation.sweep(
        Aurora(ctx.aws.rds), lambda: Autoscaling(ctx.aws.autoscaling), Copying(ctx), record, elapsed=elapsed
    )
    deadline = ctx.settings.deadlines["compensate"]
    late = bool(swept.pending) and elapsed >= deadline
    done = late or not swept.pending
    left = [*swept.stuck, *(swept.pending if late else [])]
    good = "kept" if policy == "keep" else "clean"
    report = compensation.report(
        policy, started_at, outcome=("incomplete" if left else good) if done else None, left=left
    )

    def swept_over(record: Record) -> Record:
        record = compensation.with_states(record, swept.resources).with_result("compensation", report)
        record = record.with_warnings(*(f"Not cleaned up: {item}" for item in left))
        return outcome.expiring(record, now=ctx.now, ttl_days=ctx.settings.record_ttl_days)

    record = ctx.record  # the sweep records what it does about copies and shares by itself
    if done or swept_over(record) != record:
        states: dict[str, Any] = {item.identifier: item.state.value for item in swept.resources}
        ctx.update("compensated" if done else "compensating", swept_over, {"resources": states, "left": left})
    if done:
        return _verdict("READY", str(report["outcome"]).upper(), "; ".join(left))
    # How long it takes is known only for what is on its way out; anything else may get there with the next look.
    leaving = all(item.state in _LEAVING for item in swept.resources)
    wait = waits.next_wait(
        "compensate",
        elapsed,
        expected=record.plan.expected_seconds.get("compensate") if record.plan and leaving else None,
        remaining=deadline - elapsed,
        floor=ctx.settings.wait_floor_seconds,
        cap=ctx.settings.wait_cap_seconds,
    )
    return _verdict("PENDING", "CLEANING_UP", "; ".join(swept.pending), wait)


def _verdict(state: str, status: str, detail: str, wait: int = 0) -> dict[str, Any]:
    return {
        "state": state,
        "wait_seconds": wait,
        "phase": "compensate",
        "status": status,
        "percent": None,
        "detail": detail,
    }
