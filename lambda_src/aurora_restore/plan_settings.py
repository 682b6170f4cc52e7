"""What the restored cluster and its instances are set to, setting by setting, and who said so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aurora_restore import names
from aurora_restore.engine import aurora, settings_table
from aurora_restore.engine.settings_table import Call, Setting
from aurora_restore.model import InstanceSpec, Plan, PlannedInstance, Request

SOURCE: Final = "source"
PIPELINE: Final = "pipeline"
DEPLOYMENT: Final = "deployment"
"""The module's ``tags``."""
RDS: Final = "RDS"
OFF: Final = "off"

_LEFT_OUT: Final[Mapping[str, tuple[str, str]]] = {
    "port": (SOURCE, "as the source's"),
    "network_type": (RDS, "IPV4"),
    "availability_zones": (RDS, "chosen among the subnet group's"),
    "kms_key_id": (RDS, "a key that AWS owns"),
    "db_cluster_parameter_group_name": (RDS, "the engine's default group"),
    "db_parameter_group_name": (RDS, "the engine's default group"),
    "enable_iam_database_authentication": (SOURCE, "as the source's"),
    "backup_retention_period": (SOURCE, "as the source's"),
    "preferred_backup_window": (RDS, "one that RDS chooses"),
    "preferred_maintenance_window": (RDS, "one that RDS chooses"),
    "auto_minor_version_upgrade": (RDS, "true"),
    "ca_certificate_identifier": (RDS, "the account's default CA"),
}
"""Who decides what is in no call, and how; a setting that is not here is off then, or hangs on one that is."""


@dataclass(frozen=True)
class Told:
    """A setting of the plan."""

    field: str
    value: Any
    """In the request's terms; None where no call gives it, and its origin decides."""
    origin: str
    lines: tuple[str, ...]
    """For a person: the value, or what is known of it; `OFF` for what is neither given nor there by itself."""

    @property
    def off(self) -> bool:
        """It is neither given nor there by itself."""
        return self.lines == (OFF,)

    @property
    def label(self) -> str:
        """For a person, too: tags have theirs in the line."""
        return self.field.partition(".")[0]


def settings(plan: Plan, request: Request, tags: Mapping[str, str]) -> list[Told]:
    """All of them, in the order of the table of settings; ``tags`` are those of all that the operation makes."""
    return [*_instances(plan), *_settings(plan, request), *_tags(plan, request, tags)]


def _instances(plan: Plan) -> Iterator[Told]:
    value = [_instance(instance) for instance in plan.instances]
    origin = plan.origins.get("instances") or plan.origins.get("readers") or PIPELINE
    yield Told("instances", value, origin, tuple(_instance_words(instance) for instance in plan.instances))


def _instance_words(instance: PlannedInstance) -> str:
    own = {"promotion_tier": instance.promotion_tier, **instance.settings}
    return f"{instance.identifier} ({instance.role}): {instance.instance_class}, {_words(own)}"


def _instance(instance: PlannedInstance) -> dict[str, Any]:
    return {
        "identifier": instance.identifier,
        "role": instance.role,
        "db_instance_class": instance.instance_class,
        "promotion_tier": instance.promotion_tier,
        **instance.settings,
    }


def _settings(plan: Plan, request: Request) -> Iterator[Told]:
    wanted = aurora.wanted_settings(request, plan, {})
    for setting in settings_table.SETTINGS:
        if setting.field == "tags" or not _of_all(setting, request):
            continue
        value = wanted.get(setting.field)
        if value not in (None, (), [], {}):
            yield Told(setting.field, value, _origin(plan, setting.field), (_words(value),))
        else:
            origin, told = _LEFT_OUT.get(setting.field, (RDS, OFF))
            yield Told(setting.field, None, origin, (told,))


def _of_all(setting: Setting, request: Request) -> bool:
    """It is the cluster's, or that of an instance which has none of its own; the others' are told with them."""
    if setting.field in {"promotion_tier", "availability_zone"}:
        return False
    entries = request.instances or (InstanceSpec(),)
    return setting.calls != (Call.CREATE,) or any(getattr(entry, setting.field) is None for entry in entries)


def _origin(plan: Plan, field: str) -> str:
    """Of a value that a call gives."""
    if origin := plan.origins.get(field):
        return origin
    if field == "kms_key_id":
        return SOURCE if plan.kms_key_id == plan.snapshot_kms_key_id else PIPELINE
    of_the_source = {"port", "storage_type", "enable_iam_database_authentication", "preferred_backup_window"}
    of_its_writer = {"db_instance_class", "serverless_v2_scaling"}
    return SOURCE if field in of_the_source | of_its_writer else PIPELINE


def _tags(plan: Plan, request: Request, tags: Mapping[str, str]) -> Iterator[Told]:
    for key, value in sorted(tags.items()):
        if key == names.OPERATION_TAG:
            continue  # the plan's: the restore has its own
        field = "cost_tags" if key in request.cost_tags else "tags" if key in request.tags else None
        if key == names.MANAGED_BY_TAG:
            origin: str = PIPELINE
        else:
            origin = plan.origins.get(field, PIPELINE) if field else DEPLOYMENT
        yield Told(f"tags.{key}", value, origin, (f"{key} = {value}",))


def _words(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
        case list() | tuple():
            return ("; " if any(isinstance(part, Mapping) for part in value) else ", ").join(map(_words, value))
        case _:
            return str(value)
