"""From facts to a plan, or to the reasons why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from aurora_restore import costs, durations, history, names, quotas, setting_rules, source_cluster, waits
from aurora_restore.database.user_names import reserved
from aurora_restore.engine import aurora, settings_table
from aurora_restore.engine.versions import VersionWay
from aurora_restore.errors import (
    CopyFailed,
    CopyNameConflict,
    EngineDowngrade,
    EngineVersionNotOffered,
    ExtendedSupportRequired,
    InstanceClassUnavailable,
    InvalidParameter,
    MajorUpgradeRefused,
    ParameterGroupInvalid,
    RestoreError,
    SecurityGroupInvalid,
    SubnetGroupInvalid,
    TargetExists,
    UnsupportedSnapshot,
    UserAlreadyExists,
    together,
)
from aurora_restore.facts import Facts, SourceFacts
from aurora_restore.living import NOTHING_COPIED, Copied
from aurora_restore.model import (
    CopyRoute,
    KeyKind,
    Origin,
    Plan,
    PlannedCopy,
    PlannedInstance,
    PlanStep,
    Request,
    SnapshotKind,
    iso,
)
from aurora_restore.readiness import Described, copy_failed, normal_status
from aurora_restore.settings import Settings

_SHOWN: Final = 20
_ZONES: Final = 2  # RDS wants a subnet group to cover two (AUG: Working with a DB cluster in a VPC)


def plan(
    request: Request,
    facts: Facts,
    settings: Settings,
    now: datetime,
    *,
    problems: Iterable[RestoreError] = (),
    origins: Mapping[str, Origin] | None = None,
    copied: Copied = NOTHING_COPIED,
    known: history.History = MappingProxyType({}),
) -> Plan:
    """The plan; raises one error that names all findings when there is no legal one.

    ``problems`` are those of the request itself, ``origins`` where its fields come from, ``copied`` what was taken of
    a living cluster, ``known`` what earlier operations taught of durations.
    """
    request = source_cluster.filled(request, facts.source)
    found = [*problems, *facts.findings, *refusals(request, facts, settings, now), *_copied_refusals(facts, copied)]
    if found:
        raise together(found)
    source, way = facts.source, facts.way
    if source is None or source.key is None or facts.route is None or way is None:
        raise ValueError("facts without a source, a key or a route have a finding that says why")

    snapshot = source.described
    engine, size = str(snapshot["Engine"]), int(snapshot.get("AllocatedStorage") or 0)
    route = history.copies_expected(known, facts.route, engine, size)
    fallback, no_fallback = _fallback(request, facts, settings)
    fallback = fallback and history.copies_expected(known, fallback, engine, size)
    facts = replace(facts, route=route, fallback_route=fallback)
    expected = waits.expected_by_size(size, facts.copies)
    expected |= waits.expected_of_source(request.source_kind, expected["cluster"])
    classes = history.classes(engine, size, request.source_kind, major_upgrade=way.major)
    classes |= {copy.phase: history.copy_class(copy, engine, size) for copy in facts.copies}
    expected = history.expectations(known, classes, expected)
    expected |= {copy.phase: 0 for copy in facts.copies if _done(facts, copy)}
    expected |= waits.expected_of_upgrade(expected["writer"], in_place=way.in_place, major=way.major)
    instances = tuple(_instances(request))
    storage_type = request.storage_type or str(snapshot.get("StorageType") or "aurora")
    kms_key_id, key_warnings, key_reason = _key(request, facts, source, settings)
    return Plan(
        engine=engine,
        engine_version=way.target,
        version_at_restore=way.at_restore if way.in_place else None,
        major_upgrade=way.major,
        source_kind=request.source_kind,
        source_cluster=source_cluster.planned(request, source),
        **_snapshot(source),
        snapshot_engine_version=str(snapshot["EngineVersion"]),
        snapshot_size_gib=size,
        source_cluster_id=str(snapshot.get("DBClusterIdentifier", "")),
        master_username=str(snapshot.get("MasterUsername", "")),
        target_account=settings.account,
        target_region=settings.region,
        target_cluster_id=request.target_cluster_id,
        kms_key_id=kms_key_id,
        storage_type=storage_type,
        # Many a snapshot is shown with port 0; the restored cluster has its source's by itself.
        port=request.port or snapshot.get("Port") or None,
        iam_authentication=_first(
            request.enable_iam_database_authentication, snapshot.get("IAMDatabaseAuthenticationEnabled")
        ),
        preferred_backup_window=setting_rules.backup_window(request, snapshot),
        engine_lifecycle_support=request.engine_lifecycle_support or aurora.NO_EXTENDED_SUPPORT,
        database_phase=settings.database_enabled,
        snapshot_account=source.account,
        snapshot_region=source.region,
        snapshot_kind=source.kind,
        snapshot_key_kind=source.key.kind,
        snapshot_kms_key_id=snapshot.get("KmsKeyId"),
        route=route,
        fallback_route=fallback,
        source_role=source.role,
        costs=tuple(costs.expected(request, _to_make(facts), expected, storage_type, size)),
        instances=instances,
        origins=origins or {},
        expected_seconds=expected,
        learned_phases=tuple(phase for phase, name in classes.items() if name in known),
        warnings=(
            *facts.warnings,
            *no_fallback,
            *copied.notes,
            *key_warnings,
            *_version_warnings(way, source),
            *_range_warnings(request, origins or {}),
            *_warnings(request, facts, source, settings, now),
        ),
        steps=tuple(_steps(request, facts, source, way, instances, expected, (kms_key_id, key_reason), settings)),
    )


def _snapshot(source: SourceFacts) -> dict[str, str]:
    """Which snapshot it is; empty for a cluster."""
    if source.cluster:
        return {"snapshot_arn": "", "snapshot_identifier": "", "snapshot_created_at": ""}
    return {
        "snapshot_arn": source.arn,
        "snapshot_identifier": names.snapshot_name(str(source.described["DBClusterSnapshotIdentifier"])),
        "snapshot_created_at": iso(source.described["SnapshotCreateTime"]),
    }


# --- refusals -------------------------------------------------------------------------------------------------------


def refusals(request: Request, facts: Facts, settings: Settings, now: datetime) -> Iterator[RestoreError]:
    """Everything that stands against the restore, as far as it is known."""
    if facts.source:
        yield from _source_refusals(request, facts, facts.source, settings, now)
        yield from source_cluster.refusals(request, facts.source, settings)
        yield from _copy_refusals(facts, settings)
    yield from _target_refusals(request, facts, settings)
    yield from _network_refusals(request, facts)
    yield from _group_refusals(request, facts)
    yield from quotas.refusals(request, facts, settings)


def _copied_refusals(facts: Facts, copied: Copied) -> Iterator[RestoreError]:
    """Settings of one engine do not fit the other."""
    source = facts.source
    engine = source.described["Engine"] if source else None
    if source and copied.engine and engine and copied.engine != engine:
        yield InvalidParameter(
            f"copy_settings_from names {copied.cluster}, which is {copied.engine}; the {source.what} is {engine}",
            field="copy_settings_from",
            remedy=f"Name a cluster of the {source.what}'s engine, or leave copy_settings_from out.",
        )


def _source_refusals(
    request: Request, facts: Facts, source: SourceFacts, settings: Settings, now: datetime
) -> Iterator[RestoreError]:
    """What is wrong with restoring this snapshot or cluster as asked."""
    snapshot = source.described
    engine = str(snapshot["Engine"])
    if engine not in aurora.ENGINES:
        yield UnsupportedSnapshot(f"The {source.what} {source.arn} is of engine {engine}", field=source.field)
        return
    if "offered" not in facts.unknown and facts.way:
        yield from _version_refusals(request, facts, source, facts.way, now)
    yield from _class_refusals(request, facts, engine)
    yield from _log_refusals(request, facts)
    yield from setting_rules.refusals(
        request, facts, snapshot, facts.way.target if facts.way else str(snapshot["EngineVersion"]), settings
    )
    for user in request.users:
        if why := reserved(engine, user.name, str(snapshot.get("MasterUsername", ""))):
            yield UserAlreadyExists(f"The user {user.name} cannot be set up: {why}", field="users")


def _copy_refusals(facts: Facts, settings: Settings) -> Iterator[RestoreError]:
    for copy in facts.copies:
        existing = facts.existing(copy)
        if existing is None:
            continue
        if not names.bears_tags(existing.get("TagList"), deployment=settings.deployment):
            yield CopyNameConflict(
                f"Account {copy.account} has a snapshot {copy.identifier} in {copy.region}, which this deployment has "
                "not made",
                field="reuse_copies",
            )
        elif copy_failed(existing):
            # Kept while it was in flight, or its operation was stopped: nobody else comes to delete it.
            yield CopyFailed(
                f"The copy {copy.identifier} in account {copy.account}, {copy.region}, is {existing.get('Status')}: "
                "an earlier operation has left it",
                field="reuse_copies",
                remedy="Delete that snapshot once no operation runs that needs it, or set reuse_copies = false.",
            )


def _fallback(request: Request, facts: Facts, settings: Settings) -> tuple[CopyRoute | None, list[str]]:
    """The fallback if it could be taken, else why it could not: no reason to refuse what may do without it."""
    if facts.fallback_route is None:
        return None, []
    taken = replace(facts, route=facts.fallback_route, places=facts.fallback_places)
    against = [
        *facts.fallback_findings,
        *_copy_refusals(taken, settings),
        *quotas.refusals(request, taken, settings),
    ]
    if not against:
        return facts.fallback_route, []
    causes = " ".join(problem.cause for problem in against)
    return None, [f"Should AWS refuse the copy in one step, the way in two cannot be taken: {causes}"]


def _target_refusals(request: Request, facts: Facts, settings: Settings) -> Iterator[RestoreError]:
    target = facts.target
    if target is not None and not names.bears_tags(
        target.get("TagList"), deployment=settings.deployment, operation_id=request.operation_id
    ):
        yield TargetExists(
            f"A cluster named {request.target_cluster_id} exists (status {target.get('Status')})",
            field="target_cluster_id",
        )
    if facts.taken_instances:
        yield TargetExists(
            f"Instances with the names that the new cluster's would have exist: {', '.join(facts.taken_instances)}",
            field="target_cluster_id",
        )
    for name, cluster in facts.taken_endpoints.items():
        yield InvalidParameter(
            f"custom_endpoints has {name!r}, but {cluster} has a custom endpoint of that name already; names are "
            "unique within an account and region",
            field="custom_endpoints",
        )


def _version_refusals(
    request: Request, facts: Facts, source: SourceFacts, way: VersionWay, now: datetime
) -> Iterator[RestoreError]:
    have, want, engine, what = way.have, way.target, source.described["Engine"], source.what
    minor = _versions(facts.upgrades, major=False)
    offers = f"it can be upgraded to {', '.join(minor[:_SHOWN])}" if minor else "no minor upgrade of it is offered"

    if not aurora.version_key(want):
        yield InvalidParameter(f"engine_version {want!r} is not a version, such as {have}", field="engine_version")
        return
    if full := _full_versions(want, have, facts.upgrades):
        told = [f"{one} (the {what}'s own)" if one == have else one for one in full[:_SHOWN]]
        yield InvalidParameter(
            f"engine_version {want} is not a full version; there {'are' if len(full) > 1 else 'is'} {', '.join(told)}",
            field="engine_version",
        )
        return
    if aurora.version_key(want) < aurora.version_key(have):
        yield EngineDowngrade(
            f"engine_version {want} is older than the {what}'s, {have}: a cluster can be restored at its source's "
            "version, a newer minor one, or a newer major one with allow_major_version_upgrade, never at an older one",
            field="engine_version",
        )
        return
    if way.major and facts.upgrades.get(want) is not True:
        majors = _versions(facts.upgrades, major=True)
        by = "" if request.allow_major_version_upgrade else ", by allow_major_version_upgrade,"
        yield EngineVersionNotOffered(
            f"The {what}'s version {have} cannot be upgraded to {want}; of other major versions{by} it can be to "
            f"{', '.join(majors[:_SHOWN]) or 'none'}",
            field="engine_version",
        )
        return
    if way.major and not request.allow_major_version_upgrade:
        yield MajorUpgradeRefused(
            f"engine_version {want} is another major version than the {what}'s, {have}; {offers}",
            field="engine_version",
        )
        return
    # A restore to a point in time and a clone take the source's version, offered or not.
    if facts.offered is None and (source.cluster is None or want != have):
        yield EngineVersionNotOffered(
            f"{engine} {want} is not offered in this region; the {what} has {have}, and {offers}",
            field="engine_version",
        )
        return
    if want != have and want not in facts.upgrades:
        yield EngineVersionNotOffered(
            f"The {what}'s version {have} cannot be upgraded to {want}; {offers}", field="engine_version"
        )
        return
    yield from _station_refusals(facts, way)
    for version in dict.fromkeys((way.at_restore, want)):
        ended = support_ended(facts, version, now)
        if ended and request.engine_lifecycle_support != aurora.EXTENDED_SUPPORT:
            yield ExtendedSupportRequired(
                f"Standard support of {engine} {aurora.family_version(version)} ended on {ended.date().isoformat()}: "
                "RDS would charge for Extended Support, or upgrade the major version during the restore",
                field="engine_lifecycle_support",
            )
            return


def _station_refusals(facts: Facts, way: VersionWay) -> Iterator[RestoreError]:
    """The version at which a cluster is restored before a major upgrade has to lead to the one that is wanted."""
    if not way.in_place or way.at_restore == way.have or way.target in facts.upgrades_at_restore:
        return
    majors = _versions(facts.upgrades_at_restore, major=True)
    yield EngineVersionNotOffered(
        f"The snapshot's version {way.have} is not offered any more; restored as {way.at_restore}, it cannot be "
        f"upgraded to {way.target}, but to {', '.join(majors[:_SHOWN]) or 'none'}",
        field="engine_version",
    )


def _full_versions(asked: str, have: str, upgrades: Mapping[str, bool]) -> list[str]:
    """The versions of which only the beginning was asked for."""
    return sorted((one for one in {have, *upgrades} if one.startswith(f"{asked}.")), key=aurora.version_key)


def _versions(upgrades: Mapping[str, bool], *, major: bool) -> list[str]:
    return sorted((version for version, is_major in upgrades.items() if is_major == major), key=aurora.version_key)


def support_ended(facts: Facts, version: str, now: datetime) -> datetime | None:
    """When the standard support of the version ended, or None if it has not."""
    for period in facts.lifecycles.get(version, ()):
        end = period.get("LifecycleSupportEndDate")
        if period.get("LifecycleSupportName") == "open-source-rds-standard-support" and end and end < now:
            ended: datetime = end
            return ended
    return None


def _class_refusals(request: Request, facts: Facts, engine: str) -> Iterator[RestoreError]:
    """The classes have to be offered, and in a zone that the subnet group covers; before an upgrade in place and after.

    What is said of one version is not said again of the other.
    """
    if "classes" in facts.unknown:
        return
    for version, orderable in facts.orderable.items():
        found = list(_class_of_version_refusals(request, facts, f"{engine} {version}", orderable))
        if found:
            yield from found
            return


def _class_of_version_refusals(
    request: Request, facts: Facts, told: str, orderable: Mapping[str, frozenset[str]]
) -> Iterator[RestoreError]:
    covered = _zones(facts.subnet_group)
    for wanted in request.classes:
        if wanted not in orderable:
            offered = sorted(orderable)
            more = f" and {len(offered) - _SHOWN} more" if len(offered) > _SHOWN else ""
            yield InstanceClassUnavailable(
                f"{wanted} is not offered for {told}; offered: {', '.join(offered[:_SHOWN]) or 'none'}{more}",
                field="db_instance_class",
            )
            continue
        offered_in = orderable[wanted]
        if offered_in and covered and not offered_in & covered:
            yield InstanceClassUnavailable(
                f"{wanted} is offered in {', '.join(sorted(offered_in))}, but the subnet group "
                f"{request.db_subnet_group_name} covers {', '.join(sorted(covered))}",
                field="db_instance_class",
                remedy="Choose a class that is offered in a zone of the subnet group, or a subnet group with such a "
                "zone.",
            )
    for ordinal, spec in enumerate(request.topology):
        zone, offered_in = spec.availability_zone, orderable.get(str(spec.db_instance_class), frozenset())
        if zone and ((covered and zone not in covered) or (offered_in and zone not in offered_in)):
            yield InstanceClassUnavailable(
                f"{spec.db_instance_class} cannot be created in {zone}: the class is offered in "
                f"{', '.join(sorted(offered_in)) or 'zones that RDS does not tell'}, the subnet group covers "
                f"{', '.join(sorted(covered)) or 'zones that are not known'}",
                field=f"instances.{ordinal}.availability_zone",
            )


def _zones(subnet_group: Described | None) -> frozenset[str]:
    subnets = (subnet_group or {}).get("Subnets") or ()
    return frozenset(str((subnet.get("SubnetAvailabilityZone") or {}).get("Name")) for subnet in subnets)


def _network_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    name, group = request.db_subnet_group_name, facts.subnet_group
    if group is None:
        if "subnet_group" not in facts.unknown:
            yield SubnetGroupInvalid(f"There is no DB subnet group {name!r}", field="db_subnet_group_name")
    else:
        status = str(group.get("SubnetGroupStatus", ""))
        if normal_status(status) != "complete":
            yield SubnetGroupInvalid(
                f"DB subnet group {name!r} is not complete ({status})", field="db_subnet_group_name"
            )
        zones = _zones(group)
        if len(zones) < _ZONES:
            yield SubnetGroupInvalid(
                f"DB subnet group {name!r} covers {', '.join(sorted(zones)) or 'no zone'} only; {_ZONES} are needed",
                field="db_subnet_group_name",
            )
    if "security_groups" in facts.unknown:
        return
    missing = [one for one in request.vpc_security_group_ids if one not in facts.security_groups]
    if missing:
        yield SecurityGroupInvalid(f"There is no security group {', '.join(missing)}", field="vpc_security_group_ids")
    vpc = str((group or {}).get("VpcId", ""))
    elsewhere = [f"{one} is in {its}" for one, its in sorted(facts.security_groups.items()) if vpc and its != vpc]
    if elsewhere:
        yield SecurityGroupInvalid(
            f"{'; '.join(elsewhere)}, but the subnet group {name!r} is in {vpc}", field="vpc_security_group_ids"
        )


def _group_refusals(request: Request, facts: Facts) -> Iterator[RestoreError]:
    wanted = (facts.offered or {}).get("DBParameterGroupFamily")
    named = [
        ("db_cluster_parameter_group_name", request.db_cluster_parameter_group_name, facts.cluster_parameter_group)
    ]
    named += [("db_parameter_group_name", name, found) for name, found in facts.instance_parameter_groups.items()]
    for field, name, group in named:
        if name is None or field in facts.unknown:
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
    for ordinal, spec in enumerate(request.topology, 1):
        own = {
            field: value
            for field in settings_table.OF_AN_INSTANCE
            if field not in {"db_instance_class", "promotion_tier"} and (value := getattr(spec, field)) is not None
        }
        yield PlannedInstance(
            identifier=names.instance_identifier(request.target_cluster_id, ordinal),
            role="writer" if ordinal == 1 else "reader",
            instance_class=str(spec.db_instance_class),
            promotion_tier=min(ordinal - 1, 15) if spec.promotion_tier is None else spec.promotion_tier,
            settings=own,
        )


def _done(facts: Facts, copy: PlannedCopy) -> bool:
    """The copy is there already."""
    return normal_status((facts.existing(copy) or {}).get("Status")) == "available"


def _to_make(facts: Facts) -> tuple[PlannedCopy, ...]:
    return tuple(copy for copy in facts.copies if facts.existing(copy) is None)


_UNDER: Final[Mapping[KeyKind, str]] = {
    KeyKind.NONE: "is not encrypted",
    KeyKind.AWS_OWNED: "is under a key that AWS owns",
    KeyKind.AWS_MANAGED: "is under the default key aws/rds",
    KeyKind.CUSTOMER: "is under a key of another account or region",
}


def _key(
    request: Request, facts: Facts, source: SourceFacts, settings: Settings
) -> tuple[str | None, list[str], str | None]:
    """The key of the restored cluster, None only for one that AWS owns; warnings about it; why it is this one."""
    kind = source.key.kind if source.key else KeyKind.NONE
    own, key = source.kms_key, facts.target_key
    if key is None:
        raise ValueError("facts without the target's key have a finding that says why")
    if source.cluster and not source.encrypted:
        return None, ["The source cluster is not encrypted: the new cluster is under a key that AWS owns."], None
    if request.kms_key_id is not None:
        if key.account != settings.account:
            return (
                key.arn,
                [f"The key {key.arn} is of account {key.account}: who can take it away takes the data."],
                None,
            )
        if not key.customer_managed:
            return key.arn, [f"The key {key.arn} is managed by AWS: snapshots under it can never be shared."], None
        return key.arn, [], None
    if own is not None and own.arn == key.arn:
        return key.arn, [], None
    foreign_clone = source.cluster is not None and source.account != settings.account  # RDS asks for a key then
    if not request.require_local_customer_key and source.encrypted and not facts.copies and not foreign_clone:
        kept = f"The {source.what} {_UNDER[kind]}, and the restored cluster keeps it."
        return own.arn if own else None, [kept], None
    why = f"The {source.what} {_UNDER[kind]}: the deployment's key is taken; kms_key_id names another one"
    return key.arn, [], why


def _version_warnings(way: VersionWay, source: SourceFacts) -> Iterator[str]:
    if way.substituted:
        yield (
            f"AWS does not offer the {source.what}'s version {way.have} any more: it is restored as {way.at_restore}, "
            "the lowest minor upgrade of it that is offered."
        )
    if not way.major:
        return
    if way.in_place:
        yield (
            f"The major upgrade from {way.at_restore} to {way.target} runs in place when the writer is there, and the "
            "readers come after it. Parameter groups that the request names take effect with it; extensions may need "
            "ALTER EXTENSION ... UPDATE afterwards."
        )
    else:
        yield (
            f"The major upgrade from {way.have} to {way.target} runs when the writer is created. Where its prechecks "
            "fail, the cluster stays at the old version, and the operation fails. If the source uses another "
            "lower_case_table_names than 0, the parameter group of db_cluster_parameter_group_name has to set it: it "
            "cannot be changed later."
        )


def _range_warnings(request: Request, origins: Mapping[str, Origin]) -> Iterator[str]:
    """A range that the request itself gives in vain; what is copied or a default need not fit every restore."""
    given = request.serverless_v2_scaling and origins.get("serverless_v2_scaling", "request") == "request"
    if given and setting_rules.SERVERLESS not in request.classes:
        yield (
            "serverless_v2_scaling is given, but no instance is db.serverless: set db_instance_class to "
            "db.serverless, for all or for an entry of instances, or leave serverless_v2_scaling out."
        )


def _warnings(request: Request, facts: Facts, source: SourceFacts, settings: Settings, now: datetime) -> Iterator[str]:
    if request.engine_lifecycle_support == aurora.EXTENDED_SUPPORT:
        yield "The cluster may be charged for RDS Extended Support."
    yield from _expiry(source, now)
    for place in facts.places:
        if _queues(facts, place.account, place.region, settings):
            yield (
                f"{place.in_flight} copies into {place.region} of account {place.account} are in flight, "
                f"{settings.copy_lanes} may be: the copy will wait for its turn."
            )


def _expiry(source: SourceFacts, now: datetime) -> Iterator[str]:
    """RDS deletes an automated snapshot at the end of the retention period, also from under a copy or a restore."""
    days, created = source.described.get("BackupRetentionPeriod"), source.described.get("SnapshotCreateTime")
    if source.kind is not SnapshotKind.AUTOMATED or not days or not created:
        return
    left = created + timedelta(days=int(days)) - now
    if left < timedelta(days=1):
        yield (
            f"The automated snapshot reaches the end of its retention period of {days} days in "
            f"{durations.told(left.total_seconds())}; RDS deletes it then."
        )


def _queues(facts: Facts, account: str, region: str, settings: Settings) -> bool:
    """A copy into that account and region has to wait for one of those that are in flight."""
    place = next((p for p in facts.places if (p.account, p.region) == (account, region)), None)
    new = [c for c in _to_make(facts) if c.cross_region and (c.account, c.region) == (account, region)]
    return place is not None and bool(new) and place.in_flight >= settings.copy_lanes


# --- the steps, for a person ----------------------------------------------------------------------------------------


def _steps(
    request: Request,
    facts: Facts,
    source: SourceFacts,
    way: VersionWay,
    instances: tuple[PlannedInstance, ...],
    expected: Mapping[str, int],
    key_and_why: tuple[str | None, str | None],
    settings: Settings,
) -> Iterator[PlanStep]:
    writer, *readers = instances
    engine = str(source.described["Engine"])

    def here(
        name: str, action: str, expected_seconds: int, key: str | None = None, reason: str | None = None
    ) -> PlanStep:
        where = {"account": settings.account, "region": settings.region}
        return PlanStep(name, action, expected_seconds, **where, key=key, reason=reason)

    yield from _copy_steps(facts, source, expected, settings)
    yield here(
        "RestoreCluster",
        f"{_restored(request, facts, source)} as {request.target_cluster_id}, {engine} {_at_restore(way)}",
        expected["cluster"],
        *key_and_why,
    )
    yield here(
        "ConfigureCluster",
        "master password into an RDS-managed secret, and what a restore cannot set",
        expected["configure"],
    )
    upgrades = f", which upgrades {way.have} to {way.target}" if way.major and not way.in_place else ""
    yield here("CreateWriter", f"{writer.identifier} ({writer.instance_class}){upgrades}", expected["writer"])
    if way.in_place:
        yield here("UpgradeEngine", f"{engine} {way.at_restore} to {way.target}, in place", expected["upgrade"])
    if readers:
        listed = ", ".join(f"{reader.identifier} ({reader.instance_class})" for reader in readers)
        yield here("CreateReaders", listed, expected["readers"])
    if request.completes:
        yield here("CompleteCluster", "; ".join(_completions(request)), 0)
    if settings.database_enabled:
        users = ", ".join(user.name for user in request.users) or "no users asked for"
        yield PlanStep("SetupDbUsers", f"over TLS: {users}")
        yield PlanStep("VerifyRestore", f"connects, version as planned, {len(request.checks)} checks of the request")
    else:
        yield PlanStep("VerifyRestore", "version as planned (the deployment has no database phase)")
    yield PlanStep("Cleanup", "; ".join(_tidying(request, facts)) or "nothing is left to tidy up")


def _at_restore(way: VersionWay) -> str:
    """The version that the restore gives; a major upgrade within it is told where it runs."""
    minor = way.at_restore != way.have and (way.in_place or not way.major)
    return f"{way.have} to {way.at_restore}" if minor else way.at_restore


def _restored(request: Request, facts: Facts, source: SourceFacts) -> str:
    if source.cluster is None:
        last = facts.copies[-1].identifier if facts.copies else None
        return f"restore {last or names.snapshot_name(str(source.described['DBClusterSnapshotIdentifier']))}"
    name = str(source.described["DBClusterIdentifier"])
    if request.clone:
        return f"clone {name} (copy-on-write)"
    what = f"the retained backups of {name}" if source.cluster.deleted else name
    latest = f"the latest time ({iso(source.cluster.latest)} or later)" if source.cluster.latest else "the latest time"
    return f"restore {what} at {latest if request.restore_to_time == 'latest' else request.restore_to_time}"


def _completions(request: Request) -> Iterator[str]:
    for role in request.associated_roles:
        yield f"role {role.role_arn}{f' for {role.feature_name}' if role.feature_name else ''}"
    if request.enable_http_endpoint:
        yield "Data API"
    for endpoint in request.custom_endpoints:
        yield f"custom endpoint {endpoint.db_cluster_endpoint_identifier}"
    if scaling := request.reader_autoscaling:
        yield f"{scaling.min_capacity} to {scaling.max_capacity} readers by autoscaling"


def _copy_steps(
    facts: Facts, source: SourceFacts, expected: Mapping[str, int], settings: Settings
) -> Iterator[PlanStep]:
    if source.cluster:
        return
    if facts.route is not None and facts.route.share_snapshot:
        yield PlanStep(
            "PrepareCopies",
            f"share the snapshot with account {settings.account}, unless it is shared already",
            account=source.account,
            region=source.region,
            reason=f"It belongs to account {source.account}",
        )
    if not facts.copies:
        where = "in the same account and region" if source.account == settings.account else "shared in this region"
        yield PlanStep("CopySnapshots", f"no copy is needed: the snapshot is {where}")
    for copy in facts.copies:
        existing = facts.existing(copy)
        ordinal = f"copy {copy.ordinal} of {len(facts.copies)}"
        if existing is not None:
            action = f"{ordinal} is there already ({existing.get('Status')}): {copy.identifier}"
        else:
            queued = (
                ", when it is its turn"
                if _queues(facts, copy.account, copy.region, settings) and copy.cross_region
                else ""
            )
            action = f"{ordinal}{queued}: {copy.identifier}"
        if copy.share:
            action += f", shared with account {settings.account}"
        yield PlanStep(
            "CopySnapshots",
            action,
            expected[copy.phase],
            account=copy.account,
            region=copy.region,
            key=copy.kms_key_id,
            reason=copy.reason,
        )


def _tidying(request: Request, facts: Facts) -> Iterator[str]:
    if facts.copies:
        many = "the copies" if len(facts.copies) > 1 else "the copy"
        yield f"{'keep' if request.keep_copies else 'delete'} {many}"
    if facts.route is not None and facts.route.share_snapshot:
        yield "withdraw the share if it was made for this"
    if request.deletion_protection:
        yield "switch deletion protection on"


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
