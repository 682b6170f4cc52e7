"""Observe: looks at what a phase waits for, judges it, and says how long to wait; never waits itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aurora_restore import events, observation, readiness
from aurora_restore.engine.aurora import Aurora, glance, refuse_another
from aurora_restore.engine.versions import as_it_was, refuse_unasked_major
from aurora_restore.errors import (
    ClusterFailed,
    InstanceFailed,
    OperationTimeout,
    ResourceVanished,
    RestoreError,
    VersionMismatch,
)
from aurora_restore.fleet import Kind
from aurora_restore.model import REBOOTS, ClusterFacts, PhaseTiming, Record, WaitPhase, parse_time
from aurora_restore.observation import Watch
from aurora_restore.readiness import NOT_FOUND, Described, Readiness, State
from aurora_restore.runtime import StepContext, Verdict, step

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEADLINE_OF: Mapping[str, str] = {
    "writer": "instance",
    "upgrade": "instance",
    "readers": "instance",
    "complete": "configure",
}
_SHARES_WITH: Mapping[str, str] = {"upgrade": "writer", "complete": "configure"}
"""Phases that have what another one has left of its deadline, as where the restore itself does the same."""
_VERSIONED: Final = frozenset({"writer", "upgrade"})
"""Phases after which cluster and writer run the version that the plan has for them."""


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """One look. The record is written only when what is seen has changed."""
    phase: WaitPhase = ctx.event["phase"]
    plan = ctx.record.planned
    before = observation.begun(ctx, phase)
    used = _used(ctx, phase)
    deadline = ctx.settings.deadlines[_DEADLINE_OF.get(phase, phase)] - used
    if phase in _SHARES_WITH:  # that the phase before took long is no reason to fail this one at its first look
        deadline = max(deadline, ctx.settings.wait_cap_seconds)
    aurora = Aurora(ctx.aws.rds)
    judged, cluster = _look(ctx, aurora, phase, before, deadline)
    if cluster:
        refuse_another(ctx.record, cluster)
    mismatches: list[str] = []
    if cluster and judged.state is State.READY and phase in _VERSIONED:
        planned = plan.restored_version if phase == "writer" else plan.engine_version
        mismatches = readiness.version_problems(planned, cluster, aurora.instances(plan.target_cluster_id))
        if phase == "upgrade":
            judged = readiness.upgraded(judged, mismatches, before.elapsed(ctx.now))

    def ready(record: Record) -> Record:
        if cluster is None:
            return record
        # The answer to the restore call need not have shown the version that was brought back.
        return replace(as_it_was(record, cluster) if phase == "cluster" else record, cluster=_facts(cluster))

    watch = Watch(
        phase=phase,
        kind=phase,
        deadline=deadline,
        used=used,
        failed=lambda judged: _failed(ctx, phase, judged),
        timed_out=lambda judged: _timed_out(ctx, phase, judged, deadline),
        expected=plan.expected_seconds.get(phase),
        when_ready=ready,
    )
    seen = observation.verdict(ctx, watch, judged)
    if seen["state"] == State.READY.value:
        refuse_unasked_major(ctx.record)
        _refuse_silent_failures(ctx, phase, before, mismatches)
    # An instance is rebooted once: one that still waits for it afterwards is waited for, up to the deadline.
    if set(judged.reboots) - ctx.record.results.get(REBOOTS, {}).keys():
        return {**seen, "state": "REBOOT"}
    return seen


def _refuse_silent_failures(ctx: StepContext, phase: str, timing: PhaseTiming, mismatches: list[str]) -> None:
    """What RDS describes is good: fail all the same if the version is not, or an event tells of a failure."""
    sources = events.of_phase(ctx.record.planned, phase)
    try:
        found = events.read(ctx.aws.rds, sources, parse_time(timing.started_at), ctx.now)
    except RestoreError as error:
        if error.retryable:
            raise
        found, unread = [], f"RDS's events of the phase {phase!r} could not be searched for failures: {error.cause}"
        ctx.update("events_not_read", lambda record: record.with_warnings(unread), {"phase": phase})
    newest = found[-events.NEWEST :]
    details = {"phase": phase, "events": newest}
    if mismatches:
        raise VersionMismatch(f"{'; '.join(mismatches)}.{events.told(newest)}", details=details)
    if silent := readiness.silent_failures(event["message"] for event in found):
        kind: type[RestoreError] = InstanceFailed if phase == "readers" else ClusterFailed
        raise kind(f"RDS tells of a failure that no status shows: {' | '.join(silent)}", details=details)


def _used(ctx: StepContext, phase: str) -> int:
    """Seconds of its deadline that the phase before has used."""
    before = ctx.record.timings.get(_SHARES_WITH.get(phase, ""))
    if before is None or before.ready_at is None:
        return 0
    return round(before.elapsed(parse_time(before.ready_at)))


def _look(
    ctx: StepContext, aurora: Aurora, phase: WaitPhase, before: PhaseTiming, deadline: int
) -> tuple[Readiness, Described | None]:
    """By the list that all operations share, as long as that says "not yet"; else, and at the deadline, by its own."""
    if before.elapsed(ctx.now) < deadline:
        kind: Kind = "db-instance" if phase in {"writer", "readers"} else "db-cluster"
        listed = ctx.listings.under_way(kind, since=parse_time(before.started_at))
        if judged := glance(ctx.record, phase, listed):
            return judged, None
    data_api = bool(ctx.record.wanted.enable_http_endpoint)
    return aurora.observe(phase, ctx.record.planned, seen=before.seen, data_api=data_api)


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
    found = _events(ctx)
    kind: type[RestoreError] = InstanceFailed if phase in {"writer", "readers"} else ClusterFailed
    if judged.status == NOT_FOUND:
        kind = ResourceVanished
    return kind(f"{judged.detail}.{events.told(found)}", details={"status": judged.status, "events": found})


def _timed_out(ctx: StepContext, phase: str, judged: Readiness, deadline: int) -> RestoreError:
    found = _events(ctx)
    return OperationTimeout(
        f"Phase {phase!r} passed its deadline of {deadline} s; last seen: {judged.detail}.{events.told(found)}",
        details={"phase": phase, "status": judged.status, "events": found},
    )


def _events(ctx: StepContext) -> list[dict[str, str]]:
    began = parse_time(ctx.record.started_at)
    return events.since(ctx.aws.rds, events.of_cluster(ctx.record.planned), began, ctx.now)
