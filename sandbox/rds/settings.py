"""Rules for the settings of clusters and instances that several operations take.

Sources: botocore's documentation of the request members, Aurora User Guide (AUG). Where AWS's text is not known, the
code is AWS's and the text says the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from sandbox.rds.errors import fault, invalid_combination, invalid_value

if TYPE_CHECKING:
    from sandbox.rds.catalogue import Version
    from sandbox.rds.store import SubnetGroup

MONITORING_INTERVALS = (0, 1, 5, 10, 15, 30, 60)
# BC:PerformanceInsightsRetentionPeriod: 7, month * 31 for 1 to 23 months, 731 (days). 465 is 15 months.
RETENTION_OF_INSIGHTS = (7, *(month * 31 for month in range(1, 24)), 731)
ADVANCED_INSIGHTS_DAYS = 465
MOST_BACKTRACK_SECONDS = 259_200
EXTENDED_SUPPORT = "open-source-rds-extended-support"
NO_EXTENDED_SUPPORT = "open-source-rds-extended-support-disabled"
_SHORTEST_WINDOW = 30  # minutes
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
_TIME = r"([01]\d|2[0-3]):([0-5]\d)"
_BACKUP_WINDOW = re.compile(f"{_TIME}-{_TIME}")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MAINTENANCE_WINDOW = re.compile(f"({'|'.join(_DAYS)}):{_TIME}-({'|'.join(_DAYS)}):{_TIME}", re.IGNORECASE)


def check_cluster(version: Version, params: Mapping[str, Any]) -> None:
    """Check values of a cluster that Create, the restores and Modify share."""
    if params.get("EngineMode") not in (None, "provisioned"):
        # New Serverless v1 clusters have not been possible since January 2025.
        raise invalid_combination(f"The engine mode {params['EngineMode']} you requested is currently unavailable.")
    for member, check in _CHECKS.items():
        if params.get(member) is not None:
            check(version, params[member])


def check_together(settings: Mapping[str, Any]) -> None:
    """Check what must fit together, once the cluster's settings are as they will be (by their output names)."""
    check_windows(settings.get("PreferredBackupWindow"), settings.get("PreferredMaintenanceWindow"))
    check_monitoring_role(settings)
    if settings.get("DatabaseInsightsMode") == "advanced" and (
        not settings.get("PerformanceInsightsEnabled")
        or settings.get("PerformanceInsightsRetentionPeriod") != ADVANCED_INSIGHTS_DAYS
    ):
        raise invalid_combination(
            "To use the advanced mode of Database Insights, enable Performance Insights and set "
            f"PerformanceInsightsRetentionPeriod to {ADVANCED_INSIGHTS_DAYS}."
        )


def check_monitoring_role(settings: Mapping[str, Any]) -> None:
    """Enhanced monitoring needs a role."""
    if settings.get("MonitoringInterval") and not settings.get("MonitoringRoleArn"):
        raise invalid_combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval other than 0."
        )


def check_network_type(group: SubnetGroup, wanted: str | None) -> None:
    """DUAL needs subnets that all have IPv6 addresses (AUG "Working with a DB cluster in a VPC")."""
    if wanted is not None and wanted not in group.network_types:
        raise fault(
            "NetworkTypeNotSupported",
            f"The network type {wanted} isn't supported by the DB subnet group {group.identifier}, which supports "
            f"{', '.join(group.network_types)}.",
        )


def check_instance(params: Mapping[str, Any]) -> None:
    """Check values of an instance that Create and Modify share."""
    _check_interval(None, params.get("MonitoringInterval") or 0)
    if (days := params.get("PerformanceInsightsRetentionPeriod")) is not None:
        _check_insights_retention(None, days)
    if window := params.get("PreferredMaintenanceWindow"):
        maintenance_minutes(window)
    if (tier := params.get("PromotionTier")) is not None and not 0 <= tier <= 15:
        raise invalid_value(f"Invalid promotion tier: {tier}. Must be between 0 and 15.")


def check_windows(backup: str | None, maintenance: str | None) -> None:
    """The two windows must not overlap (BC:PreferredBackupWindow)."""
    if backup and maintenance and _overlap(backup, maintenance):
        raise invalid_combination("The backup window and maintenance window must not overlap.")


def _overlap(backup: str, maintenance: str) -> bool:
    backup_begin, backup_length = backup_minutes(backup)
    begin, length = maintenance_minutes(maintenance)
    daily = [day * _DAY + backup_begin for day in range(-1, 8)]
    return any(each < begin + length and begin < each + backup_length for each in daily)


def drawn_window(name: str, maintenance: str) -> str:
    """Return the backup window that a cluster of this name gets when none is asked for: 30 minutes of the eight hours
    from 22:00 (AUG: "Backup window", eu-west-1), clear of the maintenance window; the lot is the name's hash."""
    lot = crc32(name.encode()) % 16
    slots = [_half_hour(22 * 60 + 30 * slot) for slot in (*range(lot, 16), *range(lot))]
    return next((window for window in slots if not _overlap(window, maintenance)), slots[0])


def _half_hour(begin: int) -> str:
    return "-".join(f"{minute // 60 % 24:02}:{minute % 60:02}" for minute in (begin, begin + 30))


def backup_minutes(window: str) -> tuple[int, int]:
    """Return a backup window's begin and length in minutes; refuse what is none."""
    match = _BACKUP_WINDOW.fullmatch(window)
    if match is None:
        raise invalid_value(f"Invalid backup window format: {window}. Should be specified as a range hh24:mi-hh24:mi.")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    return _span(window, hour * 60 + minute, end_hour * 60 + end_minute, _DAY)


def maintenance_minutes(window: str) -> tuple[int, int]:
    """Return a maintenance window's begin in the week and length in minutes; refuse what is none."""
    match = _MAINTENANCE_WINDOW.fullmatch(window)
    if match is None:
        raise invalid_value(
            f"Invalid maintenance window format: {window}. Should be specified as a range ddd:hh24:mi-ddd:hh24:mi."
        )
    day, hour, minute, end_day, end_hour, end_minute = match.groups()
    begin = _DAYS.index(day.lower()) * _DAY + int(hour) * 60 + int(minute)
    end = _DAYS.index(end_day.lower()) * _DAY + int(end_hour) * 60 + int(end_minute)
    return _span(window, begin, end, _WEEK)


def _span(window: str, begin: int, end: int, circle: int) -> tuple[int, int]:
    length = (end - begin) % circle
    if length < _SHORTEST_WINDOW:
        raise invalid_value(f"The window {window} must be at least {_SHORTEST_WINDOW} minutes.")
    if circle == _WEEK and length > _DAY:
        raise invalid_value(f"The window {window} must be less than 24 hours.")
    return begin, length


def _check_retention(_: Version, days: int) -> None:
    if not 1 <= days <= 35:
        raise invalid_value(f"Invalid backup retention period: {days}. Must be between 1 and 35.")


def _check_port(_: Version, port: int) -> None:
    if not 1150 <= port <= 65535:
        raise invalid_value(f"Invalid value {port} for Port. Must be >= 1150 and <= 65535.")


def _check_storage(_: Version, kind: str) -> None:
    if kind not in ("aurora", "aurora-iopt1"):
        raise invalid_combination(f"Invalid storage type: {kind}")


def _check_logs(version: Version, types: list[str]) -> None:
    unknown = sorted(set(types) - set(version.log_types))
    if unknown:
        raise invalid_combination(
            f"You cannot use the log types '{', '.join(unknown)}' with engine version {version.engine} "
            f"{version.name}. For supported log types, see the documentation."
        )


def _check_scaling(version: Version, scaling: Mapping[str, Any]) -> None:
    least, most = scaling.get("MinCapacity"), scaling.get("MaxCapacity")
    if version.serverless is None:
        raise invalid_combination(f"The engine version {version.name} doesn't support Aurora Serverless v2.")
    if least is None or most is None:
        raise invalid_combination("Serverless v2 scaling needs both MinCapacity and MaxCapacity.")
    lowest, highest = version.serverless
    if not lowest <= least <= most <= highest or most < 1 or any(value * 2 % 1 for value in (least, most)):
        raise invalid_combination(
            f"Serverless v2 capacity {least} - {most} isn't valid: use steps of 0.5 from {lowest} to {highest} ACUs."
        )
    pause = scaling.get("SecondsUntilAutoPause")
    if pause is None:
        return
    if least > 0:
        raise invalid_combination("SecondsUntilAutoPause can only be set when MinCapacity is 0.")
    if not 300 <= pause <= 86_400:
        raise invalid_value(f"Invalid value {pause} for SecondsUntilAutoPause. Must be between 300 and 86400.")


def _check_backtrack(version: Version, seconds: int) -> None:
    if version.engine != "aurora-mysql":
        raise invalid_combination(f"Backtrack isn't supported for the {version.engine} engine.")
    if not 0 <= seconds <= MOST_BACKTRACK_SECONDS:
        raise invalid_value(f"Invalid value {seconds} for BacktrackWindow. Must be from 0 to {MOST_BACKTRACK_SECONDS}.")


def _check_interval(_: Version | None, seconds: int) -> None:
    if seconds not in MONITORING_INTERVALS:
        raise invalid_value(
            f"Invalid monitoring interval: {seconds}. Valid values: {', '.join(map(str, MONITORING_INTERVALS))}."
        )


def _check_insights_retention(_: Version | None, days: int) -> None:
    if days not in RETENTION_OF_INSIGHTS:
        raise invalid_value(f"Invalid Performance Insights retention period: {days}. Use 7, 31 per month, or 731.")


def _one_of(member: str, *allowed: str) -> Callable[[Version, str], None]:
    def check(_: Version, value: str) -> None:
        if value not in allowed:
            raise invalid_value(f"Invalid value {value} for {member}. Valid values: {', '.join(allowed)}.")

    return check


_CHECKS: Mapping[str, Callable[[Version, Any], None]] = {
    "BacktrackWindow": _check_backtrack,
    "BackupRetentionPeriod": _check_retention,
    "DatabaseInsightsMode": _one_of("DatabaseInsightsMode", "standard", "advanced"),
    "EnableCloudwatchLogsExports": _check_logs,
    "EngineLifecycleSupport": _one_of("EngineLifecycleSupport", EXTENDED_SUPPORT, NO_EXTENDED_SUPPORT),
    "MonitoringInterval": _check_interval,
    "NetworkType": _one_of("NetworkType", "IPV4", "DUAL"),
    "PerformanceInsightsRetentionPeriod": _check_insights_retention,
    "Port": _check_port,
    "PreferredBackupWindow": lambda _, window: _ignore(backup_minutes(window)),
    "PreferredMaintenanceWindow": lambda _, window: _ignore(maintenance_minutes(window)),
    "ServerlessV2ScalingConfiguration": _check_scaling,
    "StorageType": _check_storage,
}


def _ignore(_: object) -> None:
    """Only the check matters."""
