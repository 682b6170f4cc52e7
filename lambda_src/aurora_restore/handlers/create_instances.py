"""CreateWriter and CreateReaders: the instances of the restored cluster, the writer alone first.

The workflow comes again when an Observe has found an instance whose parameters wait for a reboot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aurora_restore import readiness
from aurora_restore.engine.aurora import Aurora, instance_parameters
from aurora_restore.model import REBOOTS, PhaseTiming, Record, Resource, ResourceState, iso
from aurora_restore.readiness import Described
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Create the instances of the role, or find those that an earlier try has created."""
    role = str(ctx.event["role"])
    request, plan = ctx.record.wanted, ctx.record.planned
    wanted = plan.of_role(role)
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)

    intents = [
        ctx.intent("db-instance", instance.identifier, instance.role)
        for instance in wanted
        if ctx.record.resource("db-instance", instance.identifier) is None
    ]
    if intents:

        def intended(record: Record) -> Record:
            for intent in intents:
                record = record.with_resource(intent)
            return record

        ctx.update("instances_intended", intended, {"instances": [intent.identifier for intent in intents]})

    created: list[Resource] = []
    for instance in wanted:
        described = aurora.ensure_instance(instance_parameters(request, plan, instance, ctx.tags), ctx.record)
        _reboot(ctx, aurora, described, cluster)
        intent = ctx.record.resource("db-instance", instance.identifier)
        if intent is None:
            raise LookupError(f"no intent of {instance.identifier}")
        created.append(
            replace(
                intent,
                state=ResourceState.CREATED,
                arn=described["DBInstanceArn"],
                resource_id=described["DbiResourceId"],
                created_at=iso(ctx.now),
            )
        )

    def begun(record: Record) -> Record:
        for resource in created:
            record = record.with_resource(resource)
        return record if role in record.timings else record.with_timing(role, PhaseTiming(iso(ctx.now)))

    ctx.update("instances_created", begun, {"role": role, "instances": [item.identifier for item in created]})
    return {"role": role, "instances": [instance.identifier for instance in wanted]}


def _reboot(ctx: StepContext, aurora: Aurora, instance: Described, cluster: Described) -> None:
    """Reboot the instance if its parameters wait for that, once."""
    done: Mapping[str, str] = ctx.record.results.get(REBOOTS, {})
    for name in readiness.instance_ready(instance, cluster).reboots:
        if name not in done:
            aurora.reboot(name)
            now = {**done, name: iso(ctx.now)}
            ctx.update("instance_rebooted", lambda record: record.with_result(REBOOTS, now), {"instance": name})  # noqa: B023
