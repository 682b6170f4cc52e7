"""ConfigureCluster: the master password into an RDS-managed secret, and what a restore cannot set."""

from __future__ import annotations

from aurora_restore.engine.aurora import Aurora, configure_parameters, restore_parameters, wanted_settings
from aurora_restore.model import PhaseTiming, Record, iso
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Modify the cluster where it differs; a second try finds nothing left to do."""
    request, plan = ctx.record.wanted, ctx.record.planned
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    wanted = wanted_settings(request, plan, ctx.tags)
    changes = configure_parameters(wanted, cluster, secret_key=ctx.settings.kms_key_arn)
    if "ManageMasterUserPassword" in changes:  # the first try: later ones would only repeat these
        changes |= aurora.left_for_modify(restore_parameters(request, plan, ctx.tags))
    if changes:
        aurora.modify(plan.target_cluster_id, changes)

    def begun(record: Record) -> Record:
        return record if "configure" in record.timings else record.with_timing("configure", PhaseTiming(iso(ctx.now)))

    ctx.update("configuration_started", begun, {"settings": sorted(changes)})
    return {"cluster": plan.target_cluster_id, "changed": sorted(changes)}
