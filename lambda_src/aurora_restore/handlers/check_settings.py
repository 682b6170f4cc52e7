"""CheckSettings: compares the restored cluster with what was asked for, field by field."""

from __future__ import annotations

from collections.abc import Iterator

from aurora_restore import living, readiness
from aurora_restore.engine import settings_table
from aurora_restore.engine.aurora import Aurora, wanted_of_instance, wanted_settings
from aurora_restore.engine.autoscaling import Autoscaling
from aurora_restore.engine.settings_table import Difference, Shown
from aurora_restore.errors import ConfigurationDrift
from aurora_restore.readiness import Described
from aurora_restore.runtime import StepContext, Verdict, step


@step()
def handler(ctx: StepContext) -> Verdict:
    """Record every difference; fail if one of them matters, and warn of the others."""
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    drift = _drift(ctx, aurora, cluster)
    report = [one.to_mapping() for one in drift]
    grave = [one.told for one in drift if one.matters]
    ctx.update(
        "settings_drifted" if grave else "settings_checked",
        lambda record: record.with_result("drift", report).with_warnings(
            *(one.told for one in drift if not one.matters), *_of_the_secret(cluster)
        ),
        {"drift": report},
    )
    if grave:
        raise ConfigurationDrift(
            f"{len(grave)} settings are not as asked for: {'; '.join(grave)}", details={"drift": report}
        )
    return {"differences": len(drift)}


def _of_the_secret(cluster: Described) -> Iterator[str]:
    if readiness.managed_secret_status(cluster) == readiness.IMPAIRED:
        yield (
            f"The master user's secret {cluster['MasterUserSecret']['SecretArn']} is impaired: RDS cannot rotate it "
            "until its policy and its key let RDS in again"
        )


def _drift(ctx: StepContext, aurora: Aurora, cluster: Described) -> list[Difference]:
    request, plan, tags = ctx.record.wanted, ctx.record.planned, ctx.tags
    name = plan.target_cluster_id
    instances = aurora.instances(name)
    shown = living.document(
        cluster,
        [instance.identifier for instance in plan.instances],
        # What was not asked for is not looked up.
        endpoints=aurora.custom_endpoints(name) if request.custom_endpoints else (),
        autoscaling=Autoscaling(ctx.aws.autoscaling).described(name) if request.reader_autoscaling else None,
    )
    known = aurora.shown_members("DescribeDBClusters", "DBClusters") | living.OWN_MEMBERS
    drift = list(settings_table.cluster_differences(wanted_settings(request, plan, tags), Shown(name, shown, known)))
    known = aurora.shown_members("DescribeDBInstances", "DBInstances")
    for instance in plan.instances:
        described = Shown(instance.identifier, instances.get(instance.identifier, {}), known)
        drift += settings_table.instance_differences(wanted_of_instance(request, plan, instance, tags), described)
    return drift
