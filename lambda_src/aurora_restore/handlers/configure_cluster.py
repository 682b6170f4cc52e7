"""ConfigureCluster and UpgradeEngine: what a restore cannot set, and the version that it cannot give."""

from __future__ import annotations

from aurora_restore import windows
from aurora_restore.engine.aurora import (
    Aurora,
    configure_parameters,
    restore_operation,
    restore_parameters,
    upgrade_parameters,
    wanted_settings,
)
from aurora_restore.model import PhaseTiming, Record, iso
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Modify the cluster where it differs; a second try finds nothing left to do."""
    return _upgrade(ctx) if ctx.step == "UpgradeEngine" else _configure(ctx)


def _configure(ctx: StepContext) -> Verdict:
    request, plan = ctx.record.wanted, ctx.record.planned
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    wanted = wanted_settings(request, plan, ctx.tags)
    changes = configure_parameters(wanted, cluster, secret_key=ctx.settings.kms_key_arn)
    if "ManageMasterUserPassword" in changes:  # the first try: later ones would only repeat these
        changes |= aurora.left_for_modify(restore_operation(plan), restore_parameters(request, plan, ctx.tags))
    changes = windows.apart(changes, cluster)
    if changes:
        aurora.modify(plan.target_cluster_id, changes)

    def begun(record: Record) -> Record:
        return record if "configure" in record.timings else record.with_timing("configure", PhaseTiming(iso(ctx.now)))

    ctx.update("configuration_started", begun, {"settings": sorted(changes)})
    return {"cluster": plan.target_cluster_id, "changed": sorted(changes)}


def _upgrade(ctx: StepContext) -> Verdict:
    """Upgrade the engine in place, once: where the version is there already, or has been asked for, nothing is done."""
    request, plan = ctx.record.wanted, ctx.record.planned
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    pending = (cluster.get("PendingModifiedValues") or {}).get("EngineVersion")
    needed = plan.engine_version not in (cluster["EngineVersion"], pending) and "upgrade" not in ctx.record.timings
    if needed:
        aurora.modify(plan.target_cluster_id, upgrade_parameters(request, plan))

    def begun(record: Record) -> Record:
        return record if "upgrade" in record.timings else record.with_timing("upgrade", PhaseTiming(iso(ctx.now)))

    versions = {"from": cluster["EngineVersion"], "to": plan.engine_version}
    ctx.update("upgrade_started" if needed else "upgrade_not_needed", begun, versions)
    return {"cluster": plan.target_cluster_id, "upgraded": needed}
