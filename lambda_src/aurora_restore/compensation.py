"""What a failure leaves behind: cleaned up before the writer was available, kept after it.

Works from the recorded intents, since a crash between a create call and its save leaves nothing else, and deletes only
what bears the operation's tag. Copies and shares of snapshots go in either case, unless the request keeps copies. Like
an Observe, one call does what can be done now and says whether to come again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore import names
from aurora_restore.copying import COPY, SHARE, Copying
from aurora_restore.engine.aurora import Aurora
from aurora_restore.engine.autoscaling import Autoscaling
from aurora_restore.errors import ResourceBusy, RestoreError, Throttled, translate, wire_code
from aurora_restore.model import Record, Resource, ResourceState
from aurora_restore.readiness import Described, normal_status

INSTANCE: Final = "db-instance"
CLUSTER: Final = "db-cluster"
SCALABLE_TARGET: Final = "scalable-target"

# What RDS calls the status and the resource id of each kind.
_FIELDS: Final = {INSTANCE: ("DBInstanceStatus", "DbiResourceId"), CLUSTER: ("Status", "DbClusterResourceId")}

APPEARS_WITHIN: Final = 60.0
"""Seconds after the failure in which RDS may still come to show what a step has just made, or was about to make."""


def keeps(record: Record) -> bool:
    """A failure after the writer was available leaves a database that someone can look at, and go on with."""
    return record.ready("writer")


@dataclass
class Sweep:
    """What one pass over the operation's resources found and did."""

    resources: list[Resource] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def add(self, resource: Resource, state: ResourceState, *, pending: str | None = None) -> None:
        """Note a resource's new state."""
        self.resources.append(replace(resource, state=state))
        if pending:
            self.pending.append(f"{_name(resource)}: {pending}")

    def stick(self, resource: Resource, why: str) -> None:
        """Note that a resource cannot be deleted, and why."""
        self.resources.append(resource)
        self.stuck.append(f"{_name(resource)}: {why}")


def _name(resource: Resource) -> str:
    name = f"{resource.kind} {resource.identifier}"
    return f"{name} in {resource.account}, {resource.region}" if resource.kind in {COPY, SHARE} else name


def sweep(
    aurora: Aurora, autoscaling: Callable[[], Autoscaling], copying: Copying, record: Record, *, elapsed: float
) -> Sweep:
    """One pass, ``elapsed`` seconds after the failure, over everything that the operation still answers for."""
    found = Sweep()
    early = elapsed < APPEARS_WITHIN
    if not keeps(record):
        _sweep_autoscaling(found, autoscaling, record)
        _sweep_cluster(found, aurora, record, early=early)
    _sweep_copies(found, copying, record, early=early)
    return found


def _sweep_autoscaling(found: Sweep, autoscaling: Callable[[], Autoscaling], record: Record) -> None:
    """First, so that nothing adds readers to a cluster that goes; a target does not go with its cluster."""
    for resource in _of_kind(record, SCALABLE_TARGET):
        try:
            autoscaling().remove(resource.identifier.removeprefix("cluster:"))
        except (ClientError, BotoCoreError) as error:
            ours = translate(error, "application-autoscaling")
            if ours.retryable:
                found.add(resource, resource.state, pending=ours.cause)
            else:
                found.stick(resource, ours.cause)
        else:
            found.add(resource, ResourceState.DELETED)


def _sweep_cluster(found: Sweep, aurora: Aurora, record: Record, *, early: bool) -> None:
    """Instances first, then the cluster when all of them are going."""
    stuck = len(found.stuck)
    for resource in _of_kind(record, INSTANCE):
        _remove(found, record, resource, aurora.instance(resource.identifier), aurora, early=early)
    going = {ResourceState.DELETED, ResourceState.DELETING, ResourceState.FOREIGN}
    instances = [resource for resource in found.resources if resource.kind == INSTANCE]
    blocked = any(resource.state not in going for resource in instances)
    for resource in _of_kind(record, CLUSTER):
        if not blocked:
            _remove(found, record, resource, aurora.cluster(resource.identifier), aurora, early=early)
        elif len(found.stuck) > stuck:
            found.stick(resource, "it still has instances")
        else:
            found.add(resource, resource.state, pending="waits for its instances")


def _sweep_copies(found: Sweep, copying: Copying, record: Record, *, early: bool) -> None:
    """The last one made first, since each is made of the one before. An account out of reach holds no other one up."""
    keep = record.wanted.keep_copies_on_failure if record.request else False
    for resource in reversed(_of_kind(record, COPY, SHARE)):
        if resource.state is ResourceState.KEPT:
            continue
        try:
            removal = copying.take_away(resource, keep=keep, early=early)
        except (RestoreError, ClientError, BotoCoreError) as error:
            ours = error if isinstance(error, RestoreError) else translate(error, "rds")
            if ours.retryable:
                found.add(resource, resource.state, pending=ours.cause)
            else:
                found.stick(resource, ours.cause)
        else:
            found.add(resource, removal.state, pending=removal.pending)


def _of_kind(record: Record, *kinds: str) -> list[Resource]:
    return [resource for resource in record.resources if resource.kind in kinds and resource.state.ours]


def _remove(
    found: Sweep, record: Record, resource: Resource, described: Described | None, aurora: Aurora, *, early: bool
) -> None:
    status_field, id_field = _FIELDS[resource.kind]
    if described is None:
        # A describe right after a create may not find it yet; what was being deleted is gone.
        if early and resource.state is not ResourceState.DELETING:
            found.add(resource, resource.state, pending="may still appear")
        else:
            found.add(resource, ResourceState.DELETED)
        return
    tagged = names.bears_tags(described.get("TagList"), deployment=record.deployment, operation_id=resource.tag)
    if not tagged or resource.resource_id not in (None, described.get(id_field)):
        found.add(resource, ResourceState.FOREIGN)
        return
    status = normal_status(described.get(status_field))
    if status == "deleting":
        found.add(resource, ResourceState.DELETING, pending="is being deleted")
        return
    try:
        if resource.kind == INSTANCE:
            aurora.delete_instance(resource.identifier)
        else:
            aurora.delete_cluster(resource.identifier)
    except ClientError as error:
        ours = translate(error, "rds")
        if wire_code(error) in {"DBInstanceNotFound", "DBClusterNotFound"}:
            found.add(resource, ResourceState.DELETED)
        elif isinstance(ours, ResourceBusy):
            found.add(resource, resource.state, pending=f"cannot be deleted while it is {status}")
        elif isinstance(ours, Throttled):
            raise ours from error
        else:
            found.stick(resource, ours.cause)
    else:
        found.add(resource, ResourceState.DELETING, pending="is being deleted")


def with_states(record: Record, resources: list[Resource]) -> Record:
    """The record with the resources' new states."""
    for resource in resources:
        record = record.with_resource(resource)
    return record


def kept(record: Record) -> Record:
    """The record of a failure that keeps what was made; copies and shares were only needed to make it."""
    return with_states(
        record,
        [
            replace(item, state=ResourceState.KEPT)
            for item in record.resources
            if item.state.ours and item.kind not in {COPY, SHARE}
        ],
    )


def report(
    policy: str, started_at: str, *, outcome: str | None = None, left: list[str] | None = None
) -> Mapping[str, Any]:
    """What the record says of the compensation."""
    return {"policy": policy, "started_at": started_at, "outcome": outcome or "running", "left": left or []}
