"""SnapshotCheck: claims the operation, validates the request, finds the snapshot, makes the plan; creates nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from aurora_restore import contract, fleet, planner, preflight
from aurora_restore.errors import ConfigurationInvalid
from aurora_restore.model import Record, Request, iso, parse_time
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
        return _verdict(record)

    request = contract.parse(
        ctx.event.get("request"),
        defaults=_defaults(ctx.event.get("defaults_json")),
        operation_id=ctx.operation_id,
        settings=ctx.settings,
        now=ctx.now,
    )
    record = ctx.update(
        "request_accepted",
        lambda record: replace(record, request=request, requested_by=request.requested_by),
        {"target_cluster_id": request.target_cluster_id, **_claimed_by(request)},
    )
    facts = preflight.gather(ctx.aws.rds, request)
    plan = planner.plan(request, facts, ctx.settings, ctx.now)
    record = ctx.update(
        "planned",
        lambda record: replace(record, plan=plan, warnings=plan.warnings),
        {
            "snapshot": plan.snapshot_arn,
            "engine_version": plan.engine_version,
            "copies": len(plan.copies),
            "instances": [instance.identifier for instance in plan.instances],
        },
    )
    return _verdict(record)


def _defaults(text: object) -> object:
    try:
        return json.loads(str(text)) if text else {}
    except ValueError as error:
        raise ConfigurationInvalid("The deployment's defaults are not JSON", field="defaults") from error


def _claimed_by(request: Request) -> dict[str, str]:
    return {"requested_by": request.requested_by} if request.requested_by else {}


def _verdict(record: Record) -> dict[str, Any]:
    plan = record.planned
    return {
        "target_cluster_id": plan.target_cluster_id,
        "engine": plan.engine,
        "database_phase": plan.database_phase,
        "readers": len(plan.readers),
        "status": record.status.value,
        "phase": record.phase,
    }
