"""Observe: looks at what a phase waits for, judges it, and says how long to wait; never waits itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aurora_restore import events, observation
from aurora_restore.engine.aurora import Aurora, refuse_another
from aurora_restore.errors import ClusterFailed, InstanceFailed, OperationTimeout, ResourceVanished, RestoreError
from aurora_restore.model import REBOOTS, ClusterFacts, Record, WaitPhase, parse_time
from aurora_restore.observation import Watch
from aurora_restore.readiness import NOT_FOUND, Described, Readiness
from aurora_restore.runtime import StepContext, Verdict, step

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEADLINE_OF: Mapping[str, str] = {"writer": "instance", "readers": "instance"}


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """One look. The record is written only when what is seen has changed."""
    phase: WaitPhase = ctx.event["phase"]
    plan = ctx.record.planned
    judged, cluster = Aurora(ctx.aws.rds).observe(
        phase,
        plan,
        seen=observation.begun(ctx, phase).seen,
        data_api=bool(ctx.record.wanted.enable_http_endpoint),
    )
    if cluster:
        refuse_another(ctx.record, cluster)

    def ready(record: Record) -> Record:
        return replace(record, cluster=_facts(cluster)) if cluster else record

    deadline = _deadline(ctx, phase)
    watch = Watch(
        phase=phase,
        kind=phase,
        deadline=deadline,
        failed=lambda judged: _failed(ctx, phase, judged),
        timed_out=lambda judged: _timed_out(ctx, phase, judged, deadline),
        expected=plan.expected_seconds.get(phase),
        when_ready=ready,
        # Roles and endpoints take minutes, and an execution has room for so many events only (statemachine.tf).
        floor=ctx.settings.wait_cap_seconds if phase == "complete" else None,
    )
    verdict = observation.verdict(ctx, watch, judged)
    # An instance is rebooted once: one that still waits for it afterwards is waited for, up to the deadline.
    if set(judged.reboots) - ctx.record.results.get(REBOOTS, {}).keys():
        return {**verdict, "state": "REBOOT"}
    return verdict


def _deadline(ctx: StepContext, phase: WaitPhase) -> int:
    deadlines = ctx.settings.deadlines
    if phase != "complete":
        return deadlines[_DEADLINE_OF.get(phase, phase)]
    # What is completed has what the configuration has left of its deadline.
    configured = ctx.record.timings.get("configure")
    ended = parse_time(configured.ready_at) if configured and configured.ready_at else None
    used = configured.elapsed(ended) if configured and ended else 0
    return max(ctx.settings.wait_cap_seconds, deadlines["configure"] - round(used))


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
