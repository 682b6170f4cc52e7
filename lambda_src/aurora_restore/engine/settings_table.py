"""The settings of a restored cluster, in one table: how each is asked for, given, read back and judged.

From it come the parameters of the calls, what `copy_settings_from` takes of a living cluster, and the drift report.
A new setting is a new row here, a field of the request's schema, and a field of `model.Request`. Pure.

Sources: botocore's service model (BC) for which call takes what; aws-facts of the Aurora User Guide for what is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jmespath

from aurora_restore import names
from aurora_restore.readiness import Described

Values = Mapping[str, Any]
"""Values of settings in the request's terms, by field."""


class Call(StrEnum):
    """What gives a setting to RDS."""

    RESTORE = "restore"
    """The call that makes the cluster. What the function's SDK does not know there goes into the Modify after it."""
    MODIFY = "modify"
    """ModifyDBCluster, before there is an instance."""
    CREATE = "create"
    """CreateDBInstance."""
    COMPLETE = "complete"
    """A call of its own, when the instances are there."""
    LAST = "last"
    """Cleanup: when everything is verified."""


# --- how values are compared ------------------------------------------------------------------------------------------

Same = Callable[[Any, Any], bool]


def _exact(wanted: Any, found: Any) -> bool:
    return bool(_normal(wanted) == _normal(found))


def _folded(wanted: Any, found: Any) -> bool:
    """Names that RDS keeps in lower case."""
    return str(wanted).lower() == str(found).lower()


def _unordered(wanted: Any, found: Any) -> bool:
    return _sorted(wanted) == _sorted(found)


def _contained(wanted: Any, found: Any) -> bool:
    """All that is asked for is there; RDS, AWS or an organisation may add to it."""
    if isinstance(wanted, Mapping):
        return {**(found or {}), **wanted} == (found or {})
    return set(wanted) <= set(found or ())


def _amount(wanted: Any, found: Any) -> bool:
    """RDS shows nothing where it is 0."""
    return bool((wanted or 0) == (found or 0))


def _switch(wanted: Any, found: Any) -> bool:
    """RDS may leave out one that is off."""
    return bool(wanted) == bool(found)


def _key(wanted: Any, found: Any) -> bool:
    """A key's ARN or its id; RDS shows the ARN."""
    return found is not None and str(found).rpartition("/")[2] == str(wanted).rpartition("/")[2]


def _members_asked_for(wanted: Any, found: Any) -> bool:
    """What is asked of an object; RDS fills in the rest."""
    return _contained(_normal(wanted), _normal(found))


def _normal(value: Any) -> Any:
    """Without what is not set: RDS shows an absent part as null, an empty text or an empty list."""
    if isinstance(value, Mapping):
        return {key: _normal(part) for key, part in value.items() if part not in (None, "", [], ())}
    if isinstance(value, list | tuple):
        return [_normal(part) for part in value]
    return value


def _sorted(value: Any) -> list[str]:
    return sorted(
        json.dumps({k: sorted(v) if isinstance(v, list) else v for k, v in part.items()}, sort_keys=True)
        if isinstance(part, Mapping)
        else str(part)
        for part in _normal(value or ())
    )


# --- how values are written -------------------------------------------------------------------------------------------


def _as_is(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _scaling(value: Any) -> Any:
    members = {"min_capacity": "MinCapacity", "max_capacity": "MaxCapacity"}
    members["seconds_until_auto_pause"] = "SecondsUntilAutoPause"
    return {members[name]: part for name, part in value.items() if part is not None}


def _if_any(value: Any) -> Any:
    return value or None


def _tag_map(tags: Any) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


# --- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One row: a setting of the cluster, of its instances, or of both."""

    field: str
    """Its name in the request."""
    name: str
    """Its name in the calls."""
    calls: tuple[Call, ...]
    cluster: str | None = None
    """JMESPath of it in what DescribeDBClusters shows of the cluster (see `Living.document`)."""
    instance: str | None = None
    """JMESPath of it in what DescribeDBInstances shows of an instance."""
    matters: bool = True
    """A difference fails the verification: it concerns access, data, cost or what applications meet. Where it does
    not (schedules, preferences that RDS may move), it is reported."""
    copied: bool = True
    """`copy_settings_from` takes it."""
    same: Same = _exact
    write: Callable[[Any], Any] = _as_is
    read: Callable[[Any], Any] = _as_is
    group: str | None = None
    """Rows of a group are given to a Modify together or not at all."""

    def shown_by(self, described: Described, path: str | None) -> Any:
        """The value in the request's terms, or None."""
        return self.read(jmespath.search(path, described)) if path else None


_RESTORE, _MODIFY, _CREATE, _COMPLETE = (Call.RESTORE,), (Call.MODIFY,), (Call.CREATE,), (Call.COMPLETE,)
_BOTH: Final = (Call.MODIFY, Call.CREATE)

SETTINGS: Final[tuple[Setting, ...]] = (
    # Where: what is left out at the restore is the engine's or the VPC's default.
    Setting("port", "Port", _RESTORE, "Port"),
    Setting("db_subnet_group_name", "DBSubnetGroupName", _RESTORE, "DBSubnetGroup", same=_folded),
    Setting(
        "vpc_security_group_ids",
        "VpcSecurityGroupIds",
        _RESTORE,
        "VpcSecurityGroups[].VpcSecurityGroupId",
        same=_unordered,
    ),
    Setting("network_type", "NetworkType", _RESTORE, "NetworkType"),
    # RDS adds zones to three, and takes its own where none are named: those say nothing of what somebody wanted.
    Setting(
        "availability_zones",
        "AvailabilityZones",
        _RESTORE,
        "AvailabilityZones",
        matters=False,
        copied=False,
        same=_contained,
    ),
    # Storage and encryption; RDS shows the storage type only when it is not the standard one.
    Setting("kms_key_id", "KmsKeyId", _RESTORE, "KmsKeyId"),
    Setting("storage_type", "StorageType", _RESTORE, "StorageType || 'aurora'"),
    Setting("backtrack_window", "BacktrackWindow", _RESTORE, "BacktrackWindow", same=_amount, read=_if_any),
    # Never copied: paid Extended Support is somebody's own decision, and RDS's default is to enrol.
    Setting("engine_lifecycle_support", "EngineLifecycleSupport", _RESTORE, "EngineLifecycleSupport", copied=False),
    # Parameters. Given at the restore, a cluster group needs no reboot. Default groups are left to RDS.
    Setting(
        "db_cluster_parameter_group_name",
        "DBClusterParameterGroupName",
        _RESTORE,
        "DBClusterParameterGroup",
        same=_folded,
    ),
    Setting(
        "db_parameter_group_name",
        "DBParameterGroupName",
        _CREATE,
        instance="DBParameterGroups[0].DBParameterGroupName",
        same=_folded,
    ),
    # Access and logs.
    Setting(
        "enable_iam_database_authentication",
        "EnableIAMDatabaseAuthentication",
        _RESTORE,
        "IAMDatabaseAuthenticationEnabled",
    ),
    Setting(
        "enable_cloudwatch_logs_exports",
        "EnableCloudwatchLogsExports",
        _RESTORE,
        "EnabledCloudwatchLogsExports",
        same=_unordered,
    ),
    # Capacity; it has to be there before the first db.serverless.
    Setting(
        "serverless_v2_scaling",
        "ServerlessV2ScalingConfiguration",
        _RESTORE,
        "ServerlessV2ScalingConfiguration.{min_capacity: MinCapacity, max_capacity: MaxCapacity, "
        "seconds_until_auto_pause: SecondsUntilAutoPause}",
        same=_members_asked_for,
        write=_scaling,
    ),
    # Backups and upkeep.
    Setting("backup_retention_period", "BackupRetentionPeriod", _RESTORE, "BackupRetentionPeriod"),
    Setting("preferred_backup_window", "PreferredBackupWindow", _RESTORE, "PreferredBackupWindow", matters=False),
    Setting("copy_tags_to_snapshot", "CopyTagsToSnapshot", _RESTORE, "CopyTagsToSnapshot", matters=False),
    Setting(
        "preferred_maintenance_window",
        "PreferredMaintenanceWindow",
        _BOTH,
        "PreferredMaintenanceWindow",
        "PreferredMaintenanceWindow",
        matters=False,
        same=_folded,
    ),
    Setting(
        "auto_minor_version_upgrade",
        "AutoMinorVersionUpgrade",
        _BOTH,
        "AutoMinorVersionUpgrade",
        "AutoMinorVersionUpgrade",
        matters=False,
    ),
    # Insights: the mode is the cluster's, and its change has to come with what it needs (BC:ModifyDBCluster).
    Setting(
        "enable_performance_insights",
        "EnablePerformanceInsights",
        _BOTH,
        "PerformanceInsightsEnabled",
        "PerformanceInsightsEnabled",
        same=_switch,
        group="insights",
    ),
    Setting(
        "performance_insights_kms_key_id",
        "PerformanceInsightsKMSKeyId",
        _BOTH,
        "PerformanceInsightsKMSKeyId",
        "PerformanceInsightsKMSKeyId",
        same=_key,
        group="insights",
    ),
    Setting(
        "performance_insights_retention_period",
        "PerformanceInsightsRetentionPeriod",
        _BOTH,
        "PerformanceInsightsRetentionPeriod",
        "PerformanceInsightsRetentionPeriod",
        group="insights",
    ),
    Setting(
        "database_insights_mode",
        "DatabaseInsightsMode",
        _MODIFY,
        "DatabaseInsightsMode || 'standard'",
        group="insights",
    ),
    # An instance's own. ModifyDBCluster takes these for Multi-AZ clusters only.
    Setting("monitoring_interval", "MonitoringInterval", _CREATE, instance="MonitoringInterval"),
    Setting("monitoring_role_arn", "MonitoringRoleArn", _CREATE, instance="MonitoringRoleArn"),
    Setting("ca_certificate_identifier", "CACertificateIdentifier", _CREATE, instance="CACertificateIdentifier"),
    Setting("db_instance_class", "DBInstanceClass", _CREATE, instance="DBInstanceClass"),
    Setting("promotion_tier", "PromotionTier", _CREATE, instance="PromotionTier", matters=False),
    Setting("availability_zone", "AvailabilityZone", _CREATE, instance="AvailabilityZone"),
    # What a cluster has beside its settings, by calls of their own.
    Setting(
        "associated_roles",
        "AddRoleToDBCluster",
        _COMPLETE,
        "AssociatedRoles[?Status=='ACTIVE'].{role_arn: RoleArn, feature_name: FeatureName}",
        same=_unordered,
    ),
    Setting("enable_http_endpoint", "EnableHttpEndpoint", _COMPLETE, "HttpEndpointEnabled || `false`"),
    Setting("custom_endpoints", "CreateDBClusterEndpoint", _COMPLETE, "CustomEndpointsByOrdinal", same=_unordered),
    Setting("reader_autoscaling", "PutScalingPolicy", _COMPLETE, "ReaderAutoscaling", same=_members_asked_for),
    # Tags of the request, the deployment and the pipeline together; AWS's own (aws:…) are nobody's setting.
    Setting(
        "tags",
        "Tags",
        (Call.RESTORE, Call.CREATE),
        "TagList",
        "TagList",
        copied=False,
        same=_contained,
        write=names.tag_list,
        read=_tag_map,
    ),
    Setting("deletion_protection", "DeletionProtection", (Call.LAST,), "DeletionProtection"),
)

BY_FIELD: Final[Mapping[str, Setting]] = {setting.field: setting for setting in SETTINGS}

OF_AN_INSTANCE: Final = tuple(
    setting.field
    for setting in SETTINGS
    if Call.CREATE in setting.calls and setting.group is None and setting.field != "tags"
)
"""What an entry of the request's ``instances`` may say."""


# --- the parameters of a call -----------------------------------------------------------------------------------------


def parameters(call: Call, wanted: Values) -> dict[str, Any]:
    """The parameters of a call, by AWS's names; what is not wanted is left out."""
    return {
        setting.name: setting.write(wanted[setting.field])
        for setting in SETTINGS
        if call in setting.calls and _is_set(wanted.get(setting.field))
    }


def changes(wanted: Values, cluster: Described) -> dict[str, Any]:
    """The parameters of a Modify: what differs from the cluster as described, with what belongs to it."""
    differing = {
        setting.field: setting
        for setting in SETTINGS
        if Call.MODIFY in setting.calls
        and _is_set(value := wanted.get(setting.field))
        and not setting.same(value, setting.shown_by(cluster, setting.cluster))
    }
    groups = {setting.group for setting in differing.values() if setting.group}
    return parameters(
        Call.MODIFY,
        {
            field: value
            for field, value in wanted.items()
            if field in differing or (field in BY_FIELD and BY_FIELD[field].group in groups)
        },
    )


def _is_set(value: Any) -> bool:
    return value is not None and value not in ((), [], {})


# --- what differs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A setting that is not as it was asked for."""

    resource: str
    field: str
    wanted: Any
    found: Any
    matters: bool

    @property
    def told(self) -> str:
        """For a person."""
        return f"{self.field} of {self.resource} is {_shown(self.found)}, asked for is {_shown(self.wanted)}"

    def to_mapping(self) -> dict[str, Any]:
        """As plain data, for the record."""
        return {
            "resource": self.resource,
            "field": self.field,
            "wanted": _plain(self.wanted),
            "found": _plain(self.found),
            "matters": self.matters,
        }


@dataclass(frozen=True)
class Shown:
    """What a describe shows of a cluster or an instance."""

    name: str
    described: Described
    known: frozenset[str]
    """Members that the function's SDK knows; of another one nothing can be said."""


def cluster_differences(wanted: Values, shown: Shown) -> Iterator[Difference]:
    """What of the cluster differs; what is described is a `living.document`."""
    return _differences(wanted, shown, lambda setting: setting.cluster)


def instance_differences(wanted: Values, shown: Shown) -> Iterator[Difference]:
    """What of an instance differs."""
    return _differences(wanted, shown, lambda setting: setting.instance)


def _differences(wanted: Values, shown: Shown, path_of: Callable[[Setting], str | None]) -> Iterator[Difference]:
    for setting in SETTINGS:
        value, path = wanted.get(setting.field), path_of(setting)
        if path is None or not _is_set(value) or Call.LAST in setting.calls or _member(path) not in shown.known:
            continue
        found = setting.shown_by(shown.described, path)
        if not setting.same(value, found):
            yield Difference(shown.name, setting.field, value, found, setting.matters)


def _member(path: str) -> str:
    """The member that a JMESPath begins with."""
    return re.split(r"\W", path, maxsplit=1)[0]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, default=str)


# --- what is copied ---------------------------------------------------------------------------------------------------


def copied(document: Described, instances: Sequence[Described]) -> dict[str, Any]:
    """The settings of a living cluster in the request's terms; ``instances`` with the writer first.

    What cluster or writer have is the default of all instances; what one of them has differently is its own.
    """
    fields: dict[str, Any] = {}
    for setting in SETTINGS:
        if not setting.copied or setting.field in {"promotion_tier", "availability_zone"}:
            continue
        value = _worth_copying(setting, document, setting.cluster)
        # What instances can have differently is the cluster's where it has it, too: RDS draws each its own window.
        if setting.instance and instances and (value is None or setting.field not in OF_AN_INSTANCE):
            value = _worth_copying(setting, instances[0], setting.instance)
        if value is not None:
            fields[setting.field] = value
    if tags := {key: value for key, value in _tag_map(document.get("TagList")).items() if not _reserved(key)}:
        fields["tags"] = tags
    if not fields.get("enable_performance_insights"):
        fields = {field: value for field, value in fields.items() if not field.startswith("performance_insights_")}
    entries = [_entry(instance, fields) for instance in instances]
    return {**fields, "instances": entries} if entries else fields


def _entry(instance: Described, common: Values) -> dict[str, Any]:
    """What an instance has differently; its zone is left to RDS: another subnet group need not have it."""
    shown = {
        field: _normal(BY_FIELD[field].shown_by(instance, BY_FIELD[field].instance))
        for field in OF_AN_INSTANCE
        if field != "availability_zone"
    }
    return {
        field: value
        for field, value in shown.items()
        if value not in (None, "", common.get(field)) and (field in common or not _is_default_group(field, value))
    }


def _worth_copying(setting: Setting, described: Described, path: str | None) -> Any:
    value = _normal(setting.shown_by(described, path))
    return value if _is_set(value) and value != "" and not _is_default_group(setting.field, value) else None


def _is_default_group(field: str, value: Any) -> bool:
    return field.endswith("parameter_group_name") and str(value).startswith("default.")


def _reserved(key: str) -> bool:
    return key.lower().startswith(("aws:", "aurora-restore:"))
