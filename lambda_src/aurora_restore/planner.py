"""From facts to a plan, or to the reasons why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from aurora_restore import names, waits
from aurora_restore.database.users import reserved
from aurora_restore.engine import aurora
from aurora_restore.errors import (
    EngineDowngrade,
    EngineVersionNotOffered,
    ExtendedSupportRequired,
    InstanceClassUnavailable,
    InvalidParameter,
    MajorUpgradeRefused,
    ParameterGroupInvalid,
    RestoreError,
    SourceAccountUnknown,
    SubnetGroupInvalid,
    TargetExists,
    UserAlreadyExists,
    together,
)
from aurora_restore.model import Plan, PlannedInstance, PlanStep, Request, iso
from aurora_restore.preflight import Facts, wanted_version
from aurora_restore.settings import Settings

_SHOWN: Final = 20


def plan(request: Request, facts: Facts, settings: Settings, now: datetime) -> Plan:
    """The plan; raises one error that names all findings when there is no legal one."""
    problems = list(refusals(request, facts, settings, now))
    if problems:
        raise together(problems)

    snapshot = facts.snapshot
    arn = str(snapshot["DBClusterSnapshotArn"])
    size = int(snapshot.get("AllocatedStorage") or 0)
    expected = waits.expected_by_size(size)
    instances = tuple(_instances(request))
    return Plan(
        engine=str(snapshot["Engine"]),
        engine_version=wanted_version(request, snapshot),
        snapshot_arn=arn,
        snapshot_identifier=str(snapshot["DBClusterSnapshotIdentifier"]),
        snapshot_created_at=iso(snapshot["SnapshotCreateTime"]),
        snapshot_engine_version=str(snapshot["EngineVersion"]),
        snapshot_size_gib=size,
        source_cluster_id=str(snapshot.get("DBClusterIdentifier", "")),
        master_username=str(snapshot.get("MasterUsername", "")),
        target_account=settings.account,
        target_region=settings.region,
        target_cluster_id=request.target_cluster_id,
        # An unencrypted source would come back under a key that AWS owns; the deployment's own is at hand.
        kms_key_id=request.kms_key_id or (None if snapshot.get("StorageEncrypted") else settings.kms_key_arn),
        storage_type=request.storage_type or str(snapshot.get("StorageType") or "aurora"),
        port=request.port or snapshot.get("Port"),
        iam_authentication=_first(
            request.enable_iam_database_authentication, snapshot.get("IAMDatabaseAuthenticationEnabled")
        ),
        engine_lifecycle_support=request.engine_lifecycle_support or aurora.NO_EXTENDED_SUPPORT,
        database_phase=settings.database_enabled,
        instances=instances,
        expected_seconds=expected,
        warnings=tuple(_warnings(request, facts)),
        steps=tuple(_steps(request, facts, instances, expected, settings)),
    )


# --- refusals -------------------------------------------------------------------------------------------------------


def refusals(request: Request, facts: Facts, settings: Settings, now: datetime) -> Iterator[RestoreError]:
    """Everything that stands against the restore."""
    arn = str(facts.snapshot.get("DBClusterSnapshotArn", ""))
    if arn.split(":")[3:5] != [settings.region, settings.account]:
        yield SourceAccountUnknown(f"{arn} is not of this deployment's region and account", field="snapshot_identifier")
    yield from _target_refusals(request, facts)
    yield from _version_refusals(request, facts, now)
    yield from _class_refusals(request, facts)
    yield from _group_refusals(request, facts)
    yield from _log_refusals(request, facts)
    for user in request.users:
        if why := reserved(str(facts.snapshot["Engine"]), user.name, str(facts.snapshot.get("MasterUsername", ""))):
            yield UserAlreadyExists(f"The user {user.name} cannot be set up: {why}", field="users")


def _target_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    if facts.target is not None:
        yield TargetExists(
            f"A cluster named {request.target_cluster_id} exists (status {facts.target.get('Status')})",
            field="target_cluster_id",
        )
    if facts.taken_instances:
        yield TargetExists(
            f"Instances with the names that the new cluster's would have exist: {', '.join(facts.taken_instances)}",
            field="target_cluster_id",
        )


def _version_refusals(request: Request, facts: Facts, now: datetime) -> Iterator[RestoreError]:
    have = str(facts.snapshot["EngineVersion"])
    want = wanted_version(request, facts.snapshot)
    engine = facts.snapshot["Engine"]
    minor = sorted((version for version, is_major in facts.upgrades.items() if not is_major), key=aurora.version_key)
    offers = f"it can be upgraded to {', '.join(minor[:_SHOWN])}" if minor else "no minor upgrade of it is offered"

    if not aurora.version_key(want):
        yield InvalidParameter(f"engine_version {want!r} is not a version, such as {have}", field="engine_version")
        return
    if want != have and aurora.version_key(want) < aurora.version_key(have):
        yield EngineDowngrade(f"engine_version {want} is older than the snapshot's, {have}", field="engine_version")
        return
    if aurora.major(want) != aurora.major(have):
        yield MajorUpgradeRefused(
            f"engine_version {want} is another major version than the snapshot's, {have}; {offers}",
            field="engine_version",
        )
        return
    if facts.offered is None:
        yield EngineVersionNotOffered(
            f"{engine} {want} is not offered in this region; the snapshot has {have}, and {offers}",
            field="engine_version",
        )
        return
    if want != have and facts.upgrades.get(want) is not False:
        yield EngineVersionNotOffered(
            f"The snapshot's version {have} cannot be upgraded to {want}; {offers}", field="engine_version"
        )
        return
    if (ended := support_ended(facts, now)) and request.engine_lifecycle_support != aurora.EXTENDED_SUPPORT:
        yield ExtendedSupportRequired(
            f"Standard support of {engine} {aurora.family_version(want)} ended on {ended.date().isoformat()}: RDS "
            "would charge for Extended Support, or upgrade the major version during the restore",
            field="engine_lifecycle_support",
        )


def support_ended(facts: Facts, now: datetime) -> datetime | None:
    """When the standard support of the version ended, or None if it has not."""
    for period in facts.lifecycles:
        end = period.get("LifecycleSupportEndDate")
        if period.get("LifecycleSupportName") == "open-source-rds-standard-support" and end and end < now:
            ended: datetime = end
            return ended
    return None


def _class_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    if facts.offered is not None and not facts.class_offered:
        more = f" and {len(facts.classes) - _SHOWN} more" if len(facts.classes) > _SHOWN else ""
        yield InstanceClassUnavailable(
            f"{request.db_instance_class} is not offered for {facts.snapshot['Engine']} "
            f"{wanted_version(request, facts.snapshot)}; offered: "
            f"{', '.join(facts.classes[:_SHOWN]) or 'none'}{more}",
            field="db_instance_class",
        )


def _group_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    if facts.subnet_group is None:
        yield SubnetGroupInvalid(
            f"There is no DB subnet group {request.db_subnet_group_name!r}", field="db_subnet_group_name"
        )
    groups = (
        ("db_cluster_parameter_group_name", request.db_cluster_parameter_group_name, facts.cluster_parameter_group),
        ("db_parameter_group_name", request.db_parameter_group_name, facts.instance_parameter_group),
    )
    wanted = (facts.offered or {}).get("DBParameterGroupFamily")
    for field, name, group in groups:
        if name is None:
            continue
        if group is None:
            yield ParameterGroupInvalid(f"There is no parameter group {name!r}", field=field)
        elif wanted and group.get("DBParameterGroupFamily") != wanted:
            yield ParameterGroupInvalid(
                f"Parameter group {name!r} is of family {group.get('DBParameterGroupFamily')}; "
                f"the engine version needs {wanted}",
                field=field,
            )


def _log_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    exportable = (facts.offered or {}).get("ExportableLogTypes")
    unknown = [name for name in request.enable_cloudwatch_logs_exports if exportable and name not in exportable]
    if unknown:
        yield InvalidParameter(
            f"The engine version cannot export {', '.join(unknown)}; allowed: {', '.join(exportable or ())}",
            field="enable_cloudwatch_logs_exports",
        )


# --- what is in the plan --------------------------------------------------------------------------------------------


def _instances(request: Request) -> Iterator[PlannedInstance]:
    for ordinal in range(1, request.readers + 2):
        yield PlannedInstance(
            identifier=names.instance_identifier(request.target_cluster_id, ordinal),
            role="writer" if ordinal == 1 else "reader",
            instance_class=request.db_instance_class,
            promotion_tier=min(ordinal - 1, 15),
        )


def _warnings(request: Request, facts: Facts) -> Iterator[str]:
    if not facts.snapshot.get("StorageEncrypted") and not request.kms_key_id:
        yield "The snapshot is not encrypted; the restored cluster is, under the deployment's key."
    if request.engine_lifecycle_support == aurora.EXTENDED_SUPPORT:
        yield "The cluster may be charged for RDS Extended Support."


def _steps(
    request: Request,
    facts: Facts,
    instances: tuple[PlannedInstance, ...],
    expected: Mapping[str, int],
    settings: Settings,
) -> Iterator[PlanStep]:
    writer, *readers = instances
    snapshot = facts.snapshot
    version = wanted_version(request, snapshot)
    protection = "switch deletion protection on" if request.deletion_protection else "nothing is left to tidy up"
    yield PlanStep("CopySnapshots", "no copy is needed: the snapshot is in the same account and region")
    yield PlanStep(
        "RestoreCluster",
        f"restore {snapshot['DBClusterSnapshotIdentifier']} as {request.target_cluster_id}, "
        f"{snapshot['Engine']} {version}",
        expected["cluster"],
    )
    yield PlanStep(
        "ConfigureCluster",
        "master password into an RDS-managed secret, and what a restore cannot set",
        expected["configure"],
    )
    yield PlanStep("CreateWriter", f"{writer.identifier} ({writer.instance_class})", expected["writer"])
    if readers:
        listed = ", ".join(reader.identifier for reader in readers)
        yield PlanStep("CreateReaders", f"{listed} ({writer.instance_class})", expected["readers"])
    if settings.database_enabled:
        users = ", ".join(user.name for user in request.users) or "no users asked for"
        yield PlanStep("SetupDbUsers", f"over TLS: {users}")
        yield PlanStep("VerifyRestore", f"connects, version as planned, {len(request.checks)} checks of the request")
    else:
        yield PlanStep("VerifyRestore", "version as planned (the deployment has no database phase)")
    yield PlanStep("Cleanup", protection)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
