"""What settings of a request must go together, beyond what a schema says. Pure.

`problems` looks at the request alone, `refusals` at what the engine version and the subnet group offer. Sources: the
parameters' descriptions in the RDS API reference (BC), and the Aurora User Guide where one is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from aurora_restore import names, windows
from aurora_restore.engine import aurora
from aurora_restore.errors import (
    ConflictingFields,
    InvalidParameter,
    MissingParameter,
    RestoreError,
)
from aurora_restore.facts import Facts
from aurora_restore.model import Request, SourceKind
from aurora_restore.readiness import Described
from aurora_restore.settings import Settings

ADVANCED_RETENTION: Final = 465
"""Days that Performance Insights must keep its data for the advanced mode of Database Insights."""

SERVERLESS: Final = "db.serverless"


def problems(request: Request, settings: Settings) -> Iterator[RestoreError]:
    """What is wrong with the settings of the request by themselves."""
    yield from _topology(request)
    yield from _scaling(request)
    yield from _monitoring(request)
    yield from _insights(request)
    yield from _windows(request)
    yield from _roles(request, settings)
    yield from _endpoints(request)
    yield from _autoscaling(request)
    for key in sorted(request.tags.keys() & request.cost_tags.keys()):
        if request.tags[key] != request.cost_tags[key]:
            yield ConflictingFields(f"tags and cost_tags have different values of {key!r}", field="cost_tags")


# --- the request alone ------------------------------------------------------------------------------------------------


def _topology(request: Request) -> Iterator[RestoreError]:
    if request.instances and request.readers:
        yield ConflictingFields(
            "Both readers and instances are given; the list of instances says how many there are",
            field="readers",
            remedy="Keep one of them, and set a default that is in the way to null.",
        )
    if request.source_kind is not SourceKind.SNAPSHOT:
        return  # the class of the source's writer is the default
    if not request.instances and request.db_instance_class is None:
        yield MissingParameter("db_instance_class is missing", field="db_instance_class")
    for ordinal, spec in enumerate(request.instances):
        if spec.db_instance_class is None and request.db_instance_class is None:
            yield MissingParameter(
                f"instances.{ordinal} has no db_instance_class, and there is none for all instances",
                field=f"instances.{ordinal}.db_instance_class",
            )


def _scaling(request: Request) -> Iterator[RestoreError]:
    scaling = request.serverless_v2_scaling
    if SERVERLESS in request.classes and scaling is None:
        # RDS refuses a db.serverless instance in a cluster without a range (AUG: Requirements for Serverless v2).
        yield MissingParameter(
            "db_instance_class is db.serverless, but serverless_v2_scaling is missing", field="serverless_v2_scaling"
        )
    if scaling is None:
        return
    if scaling.min_capacity > scaling.max_capacity:
        yield InvalidParameter(
            f"serverless_v2_scaling has a min_capacity of {scaling.min_capacity:g} above its max_capacity of "
            f"{scaling.max_capacity:g}",
            field="serverless_v2_scaling",
        )
    if scaling.seconds_until_auto_pause is not None and scaling.min_capacity > 0:
        yield ConflictingFields(
            "serverless_v2_scaling has seconds_until_auto_pause, but a cluster with a min_capacity of "
            f"{scaling.min_capacity:g} never pauses",
            field="serverless_v2_scaling",
            remedy="Set min_capacity to 0, or leave seconds_until_auto_pause out.",
        )


def _monitoring(request: Request) -> Iterator[RestoreError]:
    common = (request.monitoring_interval, request.monitoring_role_arn)
    yield from _monitored("", *common)
    for ordinal, spec in enumerate(request.instances):
        own = (spec.monitoring_interval, spec.monitoring_role_arn)
        if own != (None, None):
            interval, role = (mine if mine is not None else theirs for mine, theirs in zip(own, common, strict=True))
            # An instance that is not monitored does not get the role that the others have.
            yield from _monitored(f"instances.{ordinal}.", interval, role if interval or own[1] else None)


def _monitored(prefix: str, interval: Any, role: Any) -> Iterator[RestoreError]:
    if interval and role is None:
        yield MissingParameter(
            f"{prefix}monitoring_interval is {interval}, but monitoring_role_arn is missing",
            field=f"{prefix}monitoring_role_arn",
        )
    if role is not None and not interval:
        yield MissingParameter(
            f"{prefix}monitoring_role_arn is given, but monitoring_interval is "
            f"{'missing' if interval is None else interval}",
            field=f"{prefix}monitoring_interval",
        )


def _insights(request: Request) -> Iterator[RestoreError]:
    if not request.enable_performance_insights:
        for field in ("performance_insights_kms_key_id", "performance_insights_retention_period"):
            if getattr(request, field) is not None:
                yield ConflictingFields(
                    f"{field} is given, but enable_performance_insights is not true",
                    field=field,
                    remedy=f"Set enable_performance_insights to true, or leave {field} out.",
                )
    if request.database_insights_mode != "advanced":
        return
    if not request.enable_performance_insights:
        yield ConflictingFields(
            "database_insights_mode is advanced, but enable_performance_insights is not true",
            field="database_insights_mode",
            remedy="Set enable_performance_insights to true, or the mode to standard.",
        )
    if (days := request.performance_insights_retention_period) != ADVANCED_RETENTION:
        told = "missing" if days is None else days
        yield ConflictingFields(
            f"database_insights_mode is advanced, which needs a performance_insights_retention_period of "
            f"{ADVANCED_RETENTION}, but that is {told}",
            field="performance_insights_retention_period",
            remedy=f"Set performance_insights_retention_period to {ADVANCED_RETENTION}, or the mode to standard.",
        )


def _windows(request: Request) -> Iterator[RestoreError]:
    backup = request.preferred_backup_window
    if backup and windows.length(backup) < windows.SHORTEST:
        yield InvalidParameter(
            f"preferred_backup_window {backup} is shorter than {windows.SHORTEST} minutes",
            field="preferred_backup_window",
        )
    for field, window in _maintenance_windows(request).items():
        if not windows.SHORTEST <= windows.length(window) <= windows.LONGEST_MAINTENANCE:
            yield InvalidParameter(
                f"{field} {window} is not between {windows.SHORTEST} minutes and 23 hours 30 minutes long: the daily "
                "backup needs half an hour beside it",
                field=field,
            )
        elif backup and windows.overlap(backup, window):
            yield ConflictingFields(
                f"{field} {window} overlaps with preferred_backup_window {backup}",
                field=field,
                remedy="Choose windows that do not overlap.",
            )


def _maintenance_windows(request: Request) -> dict[str, str]:
    """Those that are asked for, by field."""
    asked = {"preferred_maintenance_window": request.preferred_maintenance_window}
    asked |= {
        f"instances.{ordinal}.preferred_maintenance_window": spec.preferred_maintenance_window
        for ordinal, spec in enumerate(request.instances)
    }
    return {field: window for field, window in asked.items() if window}


def backup_window(request: Request, source: Described) -> str | None:
    """The asked backup window, else the source's, unless a maintenance window is asked for that it would hit."""
    kept: str | None = source.get("PreferredBackupWindow") or None
    if request.preferred_backup_window or kept is None:
        return request.preferred_backup_window
    hit = any(windows.overlap(kept, window) for window in _maintenance_windows(request).values())
    return None if hit else kept


def _roles(request: Request, settings: Settings) -> Iterator[RestoreError]:
    features = [role.feature_name for role in request.associated_roles]
    for feature in sorted({one for one in features if one and features.count(one) > 1}):
        yield InvalidParameter(f"associated_roles has two roles for {feature}; RDS takes one", field="associated_roles")
    asked = {("associated_roles", role.role_arn) for role in request.associated_roles}
    asked |= {("monitoring_role_arn", arn) for arn in _monitoring_roles(request)}
    for field, arn in sorted(asked):
        if arn.split(":")[4] != settings.account:
            yield InvalidParameter(
                f"{arn} is a role of another account than the cluster's, {settings.account}", field=field
            )
        elif settings.passable_role_arns is not None and not any(
            fnmatchcase(arn, allowed) for allowed in settings.passable_role_arns
        ):
            told = ", ".join(settings.passable_role_arns) or "none"
            yield InvalidParameter(
                f"The deployment may not hand the role {arn} to RDS; allowed: {told}",
                field=field,
                remedy="Name one of the allowed roles, or add this one to the module's passable_role_arns.",
            )


def _monitoring_roles(request: Request) -> set[str]:
    found = {request.monitoring_role_arn, *(spec.monitoring_role_arn for spec in request.instances)}
    return {arn for arn in found if arn}


def _endpoints(request: Request) -> Iterator[RestoreError]:
    seen: set[str] = set()
    count = len(request.topology)
    for ordinal, endpoint in enumerate(request.custom_endpoints):
        field, name = f"custom_endpoints.{ordinal}", endpoint.db_cluster_endpoint_identifier
        if problem := names.identifier_problem(name):
            yield InvalidParameter(
                f"{name!r} is not an endpoint's identifier: {problem}. Allowed: {names.IDENTIFIER_RULES}",
                field=f"{field}.db_cluster_endpoint_identifier",
            )
        if name.lower() in seen:
            yield InvalidParameter(f"custom_endpoints has {name!r} twice", field=field)
        seen.add(name.lower())
        if endpoint.static_members and endpoint.excluded_members:
            yield ConflictingFields(
                f"{field} has both static_members and excluded_members; RDS takes one of them", field=field
            )
        for kind, members in (
            ("static_members", endpoint.static_members),
            ("excluded_members", endpoint.excluded_members),
        ):
            if beyond := [str(member) for member in members if member > count]:
                yield InvalidParameter(
                    f"{field}.{kind} names the instance{'s' if len(beyond) > 1 else ''} {', '.join(beyond)}, but the "
                    f"cluster has {count}",
                    field=f"{field}.{kind}",
                )


def _autoscaling(request: Request) -> Iterator[RestoreError]:
    scaling, readers = request.reader_autoscaling, len(request.topology) - 1
    if scaling is None:
        return
    if scaling.min_capacity > scaling.max_capacity:
        yield InvalidParameter(
            f"reader_autoscaling has a min_capacity of {scaling.min_capacity} above its max_capacity of "
            f"{scaling.max_capacity}",
            field="reader_autoscaling",
        )
    elif not scaling.min_capacity <= readers <= scaling.max_capacity:
        # Readers that Application Auto Scaling adds at once would be nobody's while the cluster is not yet verified.
        yield ConflictingFields(
            f"reader_autoscaling allows {scaling.min_capacity} to {scaling.max_capacity} readers, but the cluster is "
            f"restored with {readers}",
            field="reader_autoscaling",
            remedy="Let readers (or instances) lie between min_capacity and max_capacity.",
        )


# --- what is offered --------------------------------------------------------------------------------------------------

# Where EnableHttpEndpoint works (Aurora User Guide: "Supported Regions and Aurora DB engines for RDS Data API"), by
# major version; a major after these is taken to have it, one before them not.
_DATA_API: Final[Mapping[str, tuple[int, ...]]] = {
    "13": (13, 11),
    "14": (14, 8),
    "15": (15, 3),
    "16": (16, 1),
    "17": (17, 4),
    "18": (18, 3),
    "8.0": (3, 7),
}
_PARTITIONS_WITHOUT_DATA_API: Final = ("aws-cn", "aws-us-gov")


def refusals(
    request: Request, facts: Facts, snapshot: Described, version: str, settings: Settings
) -> Iterator[RestoreError]:
    """What the engine version or the subnet group does not offer; what RDS does not tell is left to it."""
    engine, offered = str(snapshot["Engine"]), facts.offered or {}
    if request.backtrack_window and engine != "aurora-mysql":
        yield InvalidParameter(
            f"backtrack_window is {request.backtrack_window}, but {engine} has no backtrack", field="backtrack_window"
        )
    if request.enable_http_endpoint:
        yield from _data_api(engine, version, settings)
    yield from _certificates(request, offered.get("SupportedCACertificateIdentifiers"), version)
    yield from _features(request, engine, offered, version)
    yield from _range(request, offered, version)
    types = (facts.subnet_group or {}).get("SupportedNetworkTypes")
    if request.network_type and types and request.network_type not in types:
        yield InvalidParameter(
            f"network_type is {request.network_type}, but the subnet group {request.db_subnet_group_name} supports "
            f"{', '.join(types)}",
            field="network_type",
        )


def _data_api(engine: str, version: str, settings: Settings) -> Iterator[RestoreError]:
    if settings.partition in _PARTITIONS_WITHOUT_DATA_API:
        yield InvalidParameter(f"The partition {settings.partition} has no RDS Data API", field="enable_http_endpoint")
        return
    family, mysql = aurora.family_version(version), engine == "aurora-mysql"
    known = {major: least for major, least in _DATA_API.items() if (major == "8.0") == mysql}
    if family in known:
        old = aurora.version_key(version)[:2] < known[family]
    else:
        old = aurora.version_key(family) < min(aurora.version_key(major) for major in known)
    if old:
        first = ", ".join(".".join(map(str, least)) for least in known.values())
        yield InvalidParameter(
            f"{engine} {version} has no RDS Data API; the first versions with it are {first}",
            field="enable_http_endpoint",
        )


def _certificates(request: Request, offered: Any, version: str) -> Iterator[RestoreError]:
    asked = {"ca_certificate_identifier": request.ca_certificate_identifier}
    asked |= {
        f"instances.{ordinal}.ca_certificate_identifier": spec.ca_certificate_identifier
        for ordinal, spec in enumerate(request.instances)
    }
    for field, name in asked.items():
        if name and offered and name not in offered:
            yield InvalidParameter(f"{version} has no CA {name}; allowed: {', '.join(offered)}", field=field)


def _features(request: Request, engine: str, offered: Described, version: str) -> Iterator[RestoreError]:
    known = offered.get("SupportedFeatureNames")
    for ordinal, role in enumerate(request.associated_roles):
        field = f"associated_roles.{ordinal}.feature_name"
        if engine == "aurora-mysql" and role.feature_name:
            yield InvalidParameter("A role of an Aurora MySQL cluster has no feature_name", field=field)
        elif engine == "aurora-postgresql" and role.feature_name is None:
            yield MissingParameter(
                f"A role of an Aurora PostgreSQL cluster needs a feature_name; allowed: {', '.join(known or ())}",
                field=field,
            )
        elif role.feature_name and known and role.feature_name not in known:
            yield InvalidParameter(
                f"{version} has no feature {role.feature_name}; allowed: {', '.join(known)}", field=field
            )


def _range(request: Request, offered: Described, version: str) -> Iterator[RestoreError]:
    scaling, supported = request.serverless_v2_scaling, offered.get("ServerlessV2FeaturesSupport")
    if scaling is None or not supported:
        return
    least, most = supported.get("MinCapacity"), supported.get("MaxCapacity")
    if (least is not None and scaling.min_capacity < least) or (most is not None and scaling.max_capacity > most):
        allowed = "{} to {}".format(*("any" if bound is None else f"{bound:g}" for bound in (least, most)))
        yield InvalidParameter(
            f"serverless_v2_scaling is {scaling.min_capacity:g} to {scaling.max_capacity:g}, but {version} allows "
            f"{allowed}",
            field="serverless_v2_scaling",
        )
