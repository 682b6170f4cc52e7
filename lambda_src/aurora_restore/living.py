"""A living cluster with all that belongs to it: what `copy_settings_from` takes, and what the drift report looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore import keys, names
from aurora_restore.engine import settings_table
from aurora_restore.engine.aurora import Aurora
from aurora_restore.engine.autoscaling import AUTOSCALED, Autoscaling
from aurora_restore.errors import InvalidParameter, RestoreError, translate
from aurora_restore.readiness import Described

if TYPE_CHECKING:
    from aurora_restore.sessions import Sessions
    from aurora_restore.settings import Settings

_FIELD: Final = "copy_settings_from"
_ENDPOINTS, _AUTOSCALING = "CustomEndpointsByOrdinal", "ReaderAutoscaling"
OWN_MEMBERS: Final = frozenset({_ENDPOINTS, _AUTOSCALING})
"""What `document` adds to a cluster as RDS describes it."""


def document(
    cluster: Described,
    instances: Sequence[str],
    *,
    endpoints: Sequence[Described] = (),
    autoscaling: Mapping[str, Any] | None = None,
) -> Described:
    """A cluster as described, with what other calls show of it, in the request's terms: see `settings_table`.

    Custom endpoints name their members by place among ``instances``; one that is not among them is left out.
    """
    return {
        **cluster,
        _ENDPOINTS: [_endpoint(one, instances) for one in endpoints],
        _AUTOSCALING: dict(autoscaling) if autoscaling else None,
    }


def _endpoint(described: Described, instances: Sequence[str]) -> dict[str, Any]:
    def places(members: Sequence[str]) -> list[int]:
        return sorted(instances.index(member) + 1 for member in members if member in instances)

    return {
        "db_cluster_endpoint_identifier": described["DBClusterEndpointIdentifier"],
        "endpoint_type": described["CustomEndpointType"],
        "static_members": places(described.get("StaticMembers") or ()),
        "excluded_members": places(described.get("ExcludedMembers") or ()),
    }


# --- copy_settings_from -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Copied:
    """What was taken of a living cluster, as a layer of the request."""

    cluster: str | None = None
    engine: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a person should know of how it was taken."""
    problems: tuple[RestoreError, ...] = ()


NOTHING_COPIED: Final = Copied()

_NOT_COPIED: Final = {
    "The local write forwarding": "LocalWriteForwardingStatus",
    "The global write forwarding": "GlobalWriteForwardingStatus",
    "The Active Directory membership": "DomainMemberships",
}
"""What a cluster can have and no request ask for, by the member that shows it."""


def copy(aws: Sessions, name: str, target: str, settings: Settings) -> Copied:
    """The settings of the living cluster ``name``, for a cluster that is to be called ``target``; read-only."""
    try:
        return _copy(aws, name, target, settings)
    except (ClientError, BotoCoreError) as error:
        ours = translate(error)
        if ours.retryable:
            raise ours from error
        ours.field = _FIELD
        return Copied(name, problems=(ours,))


def _copy(aws: Sessions, name: str, target: str, settings: Settings) -> Copied:
    aurora = Aurora(aws.rds)
    cluster = aurora.cluster(name)
    if cluster is None:
        problem = InvalidParameter(
            f"copy_settings_from is {name!r}, but account {settings.account} has no such cluster in {settings.region}",
            field=_FIELD,
            remedy="Name a living cluster of the deployment's account and region, or leave copy_settings_from out.",
        )
        return Copied(name, problems=(problem,))

    autoscaling = Autoscaling(aws.autoscaling).described(name)
    notes: list[str] = []
    if autoscaling and "predefined_metric_type" not in autoscaling:
        notes.append(f"The autoscaling of {name} follows no predefined metric of readers, and was not copied.")
        autoscaling = None
    instances = _ordered(cluster, aurora.instances(name), least=(autoscaling or {}).get("min_capacity", 0))
    left_out = len(cluster.get("DBClusterMembers") or ()) - len(instances)
    if left_out:
        notes.append(f"{left_out} readers that autoscaling has added to {name} were not copied.")

    members = [str(instance["DBInstanceIdentifier"]) for instance in instances]
    endpoints = aurora.custom_endpoints(name)
    empty = [one for one in endpoints if one.get("StaticMembers") and not set(one["StaticMembers"]) & set(members)]
    notes += [
        f"The custom endpoint {one['DBClusterEndpointIdentifier']} has no member that is copied." for one in empty
    ]
    shown = document(
        cluster, members, endpoints=[one for one in endpoints if one not in empty], autoscaling=autoscaling
    )
    fields = settings_table.copied(shown, instances)
    if named := fields.get("custom_endpoints"):
        fields["custom_endpoints"] = [_renamed(one, name, target) for one in named]
        renamed = ", ".join(one["db_cluster_endpoint_identifier"] for one in fields["custom_endpoints"])
        notes.append(f"Custom endpoints are unique in account and region; those of {name} are made as {renamed}.")
    notes += [
        f"{what} of {name} was not copied: switch it on afterwards."
        for what, member in _NOT_COPIED.items()
        if cluster.get(member) not in (None, [], "disabled", "disabling", "unknown")
    ]
    if (key := fields.get("kms_key_id")) and (why_not := _not_to_be_copied(aws, key)):
        del fields["kms_key_id"]
        notes.append(f"The key of {name} was not copied: {why_not}.")
    return Copied(name, str(cluster["Engine"]), fields, tuple(notes))


def _ordered(cluster: Described, instances: Mapping[str, Described], *, least: int) -> list[Described]:
    """The writer, then readers by name; those that autoscaling has added only as far as ``least`` readers need them."""
    members = cluster.get("DBClusterMembers") or ()
    writers = [str(one["DBInstanceIdentifier"]) for one in members if one.get("IsClusterWriter")]
    readers = sorted(name for name in instances if name not in writers)
    lasting = [name for name in readers if not name.startswith(AUTOSCALED)]
    added = [name for name in readers if name.startswith(AUTOSCALED)][: max(0, least - len(lasting))]
    return [instances[name] for name in (*writers, *lasting, *added) if name in instances]


def _renamed(endpoint: Mapping[str, Any], source: str, target: str) -> dict[str, Any]:
    name = str(endpoint["db_cluster_endpoint_identifier"])
    return {**endpoint, "db_cluster_endpoint_identifier": names.endpoint_identifier(name, source, target)}


def _not_to_be_copied(aws: Sessions, key: str) -> str | None:
    """Why a restore is not to be under the key; None where it can be."""
    try:
        return None if keys.describe(aws.kms, key).customer_managed else "AWS manages it"
    except ClientError as error:
        ours = translate(error, "kms")
        if ours.retryable:
            raise ours from error
        return f"it cannot even be described ({ours.cause})"
