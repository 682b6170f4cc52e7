"""SnapshotCheck: claims the operation, validates the request, finds the snapshot, makes the plan; creates nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aurora_restore import (
    contract,
    fleet,
    history,
    living,
    outcome,
    planner,
    preflight,
    report,
    source_cluster,
    sources,
)
from aurora_restore.engine.aurora import Aurora, refuse_old_sdk
from aurora_restore.errors import ConfigurationInvalid, together
from aurora_restore.model import Plan, Record, Request, SourceKind, iso, parse_time
from aurora_restore.runtime import StepContext, Verdict, step


@step(audited=False)
def handler(ctx: StepContext) -> Verdict:
    """Decide everything before anything is done; before that, TakeTurn says when."""
    if ctx.step == "TakeTurn":
        wait = fleet.take_turn(
            ctx.aws.dynamodb,
            ctx.settings.state_table,
            now=ctx.now,
            calls_per_second=ctx.settings.rds_calls_per_second,
        )
        return {"wait_seconds": wait}
    execution = ctx.event["execution"]
    # Claimed before it is validated: a request that is refused ends as FAILED under its own operation_id.
    record = ctx.claim(
        Record(
            operation_id=ctx.operation_id,
            execution_arn=ctx.execution_arn,
            started_at=iso(parse_time(str(execution.get("start_time") or ctx.event["now"]))),
            deployment=ctx.settings.deployment,
            environment=ctx.settings.environment,
        ),
        "operation_claimed",
        {"execution_name": str(execution.get("name", ""))},
    )
    if record.plan is not None:  # an earlier try came this far
        return _verdict(ctx, record)

    raw, defaults = ctx.event.get("request"), _defaults(ctx.event.get("defaults_json"))
    copied = living.NOTHING_COPIED
    if pair := contract.settings_source(raw, defaults):
        copied = living.copy(ctx.aws, *pair, ctx.settings)
    passable = _passable(ctx.event.get("passable_role_arns_json"))
    settings = replace(ctx.settings, passable_role_arns=passable)
    parsed = contract.parse(
        raw, defaults=defaults, operation_id=ctx.operation_id, settings=settings, now=ctx.now, copied=copied
    )
    accounts = sources.parse(ctx.event.get("source_accounts_json"))
    request = parsed.request
    if request is None:
        raise together(parsed.problems)
    ctx.update(
        "request_refused" if parsed.problems else "request_accepted",
        lambda record: replace(record, request=request, requested_by=request.requested_by),
        {"target_cluster_id": request.target_cluster_id, "mode": request.mode, **_claimed_by(request)},
    )
    facts = preflight.gather(ctx.aws, ctx.clients, request, accounts, ctx.settings, ctx.now, problems=parsed.problems)
    plan = planner.plan(
        request,
        facts,
        ctx.settings,
        ctx.now,
        problems=parsed.problems,
        origins=parsed.origins,
        copied=copied,
        known=history.load(ctx.aws.dynamodb, ctx.settings.state_table),
    )
    filled = source_cluster.filled(request, facts.source)
    refuse_old_sdk(Aurora(ctx.aws.rds), filled, plan, ctx.tags)
    return _verdict(ctx, _save(ctx, filled, plan))


def _save(ctx: StepContext, request: Request, plan: Plan) -> Record:
    """The plan in the record, which ends there in mode "plan"."""
    ttl = ctx.settings.record_ttl_days

    def planned(record: Record) -> Record:
        record = replace(record, request=request, plan=plan, warnings=plan.warnings)
        return outcome.planned(record, now=ctx.now, ttl_days=ttl) if request.mode == "plan" else record

    return ctx.update(
        "planned",
        planned,
        {
            "mode": request.mode,
            "source": report.source(plan),
            "engine_version": plan.engine_version,
            "copies": [copy.arn for copy in plan.copies],
            "share_snapshot": plan.route.share_snapshot,
            "instances": [instance.identifier for instance in plan.instances],
        },
    )


def _defaults(text: object) -> object:
    try:
        return json.loads(str(text)) if text else {}
    except ValueError as error:
        raise ConfigurationInvalid("The deployment's defaults are not JSON", field="defaults") from error


def _passable(text: object) -> tuple[str, ...] | None:
    return tuple(str(arn) for arn in json.loads(str(text))) if text else None


def _claimed_by(request: Request) -> dict[str, str]:
    return {"requested_by": request.requested_by} if request.requested_by else {}


def _may_be_older(request: Request, plan: Plan) -> bool:
    """At the asked time the source may have run an older version than the one that is asked for."""
    return plan.source_kind is SourceKind.POINT_IN_TIME and request.engine_version is not None


def _verdict(ctx: StepContext, record: Record) -> dict[str, Any]:
    plan, request = record.planned, record.wanted
    return {
        "mode": request.mode,
        "target_cluster_id": plan.target_cluster_id,
        "engine": plan.engine,
        "database_phase": plan.database_phase,
        "readers": len(plan.readers),
        "completes": request.completes,
        "copies": [{"ordinal": copy.ordinal, "phase": copy.phase} for copy in plan.copies],
        "copies_needed": bool(plan.copies) or plan.route.share_snapshot,
        "upgrade_needed": plan.upgrades_in_place or _may_be_older(request, plan),
        "report": report.of_plan(plan, request, ctx.tags) if request.mode == "plan" else None,
        "status": record.status.value,
        "phase": record.phase,
    }
