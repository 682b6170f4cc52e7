"""Observe: looks at what a phase waits for, judges it, and says how long to wait; never waits itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aurora_restore import events, metrics, waits
from aurora_restore.engine.aurora import Aurora, glance, refuse_another
from aurora_restore.errors import ClusterFailed, InstanceFailed, OperationTimeout, ResourceVanished, RestoreError
from aurora_restore.fleet import Kind
from aurora_restore.model import ClusterFacts, PhaseTiming, Record, WaitPhase, iso, parse_time
from aurora_restore.readiness import NOT_FOUND, Described, Readiness, State, required_reads
from aurora_restore.runtime import StepContext, Verdict, logger, step

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEADLINE_OF: Mapping[str, str] = {"writer": "instance", "readers": "instance"}


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """One look. The record is written only when what is seen has changed."""
    phase: WaitPhase = ctx.event["phase"]
    plan = ctx.record.planned
    before = ctx.record.timings.get(phase) or PhaseTiming(started_at=iso(ctx.now))
    elapsed = before.elapsed(ctx.now)
    deadline = ctx.settings.deadlines[_DEADLINE_OF.get(phase, phase)]
    judged, cluster = _look(ctx, phase, before, late=elapsed >= deadline)
    if cluster:
        refuse_another(ctx.record, cluster)
    if judged.unknown:
        logger.warning("unknown_status", extra={"status": judged.status, "detail": judged.detail})

    reads = before.good_reads + 1 if judged.state is State.READY else 0
    # The last look saw it pending: what is good now is not what was before the change.
    change_seen = before.status is not None and before.good_reads == 0
    required = required_reads(phase, change_seen=change_seen)
    ready = reads >= required
    timing = replace(
        before,
        status=judged.status,
        good_reads=min(reads, required),
        seen=before.seen or judged.status != NOT_FOUND,
        ready_at=before.ready_at or (iso(ctx.now) if ready else None),
    )
    if timing != before:
        _save(ctx, phase, timing, judged, cluster if ready else None)
        if ready and before.ready_at is None:
            metrics.phase_ready(ctx.settings.deployment, phase, elapsed, ctx.now)

    if judged.state is State.FAILED:
        raise _failed(ctx, phase, judged)
    if not ready and elapsed >= deadline:
        raise _timed_out(ctx, phase, judged, deadline)

    wait = 0
    if judged.state is State.READY and not ready:
        wait = waits.confirm(elapsed)
    elif not ready:
        wait = waits.next_wait(
            phase,
            elapsed,
            percent=judged.percent,
            expected=plan.expected_seconds.get(phase),
            remaining=deadline - elapsed,
            floor=ctx.settings.wait_floor_seconds,
            cap=ctx.settings.wait_cap_seconds,
        )
    verdict = {
        "state": State.READY.value if ready else State.PENDING.value,
        "wait_seconds": wait,
        "phase": phase,
        "status": judged.status,
        "percent": judged.percent,
        "detail": judged.detail,
    }
    logger.info("observed", extra={"observed": verdict, "elapsed": round(elapsed)})
    return verdict


def _look(ctx: StepContext, phase: WaitPhase, before: PhaseTiming, *, late: bool) -> tuple[Readiness, Described | None]:
    """By the list that all operations share, as long as that says "not yet"; else by a look of one's own."""
    if not late:
        kind: Kind = "db-instance" if phase in {"writer", "readers"} else "db-cluster"
        listed = ctx.listings.under_way(kind, since=parse_time(before.started_at))
        if judged := glance(ctx.record, phase, listed):
            return judged, None
    return Aurora(ctx.aws.rds).observe(phase, ctx.record.planned, seen=before.seen)


def _save(ctx: StepContext, phase: str, timing: PhaseTiming, judged: Readiness, cluster: Described | None) -> None:
    facts = _facts(cluster) if cluster else None

    def seen(record: Record) -> Record:
        return replace(record.with_timing(phase, timing), cluster=facts or record.cluster)

    event = "phase_ready" if timing.ready_at else "status_seen"
    ctx.update(event, seen, {"phase": phase, "status": judged.status, "detail": judged.detail})


def _facts(cluster: Described) -> ClusterFacts:
    return ClusterFacts(
        identifier=cluster["DBClusterIdentifier"],
        arn=cluster["DBClusterArn"],
        resource_id=cluster["DbClusterResourceId"],
        engine_version=cluster["EngineVersion"],
        port=cluster["Port"],
        endpoint=cluster.get("Endpoint"),
        reader_endpoint=cluster.get("ReaderEndpoint"),
        master_username=cluster.get("MasterUsername"),
        master_secret_arn=(cluster.get("MasterUserSecret") or {}).get("SecretArn"),
    )


def _failed(ctx: StepContext, phase: str, judged: Readiness) -> RestoreError:
    found = events.since(ctx.aws.rds, ctx.record.planned, parse_time(ctx.record.started_at), ctx.now)
    kind: type[RestoreError] = InstanceFailed if phase in {"writer", "readers"} else ClusterFailed
    if judged.status == NOT_FOUND:
        kind = ResourceVanished
    return kind(f"{judged.detail}.{events.told(found)}", details={"status": judged.status, "events": found})


def _timed_out(ctx: StepContext, phase: str, judged: Readiness, deadline: int) -> RestoreError:
    found = events.since(ctx.aws.rds, ctx.record.planned, parse_time(ctx.record.started_at), ctx.now)
    return OperationTimeout(
        f"Phase {phase!r} passed its deadline of {deadline} s; last seen: {judged.detail}.{events.told(found)}",
        details={"phase": phase, "status": judged.status, "events": found},
    )
