"""What RDS describes, judged: READY, PENDING or FAILED. Pure; every rule about statuses is in this file.

Sources: Aurora User Guide "Viewing DB cluster status" and "Viewing DB instance status"; the rules beyond the status
are those of AWS's own CloudFormation handlers for AWS::RDS::DBCluster and AWS::RDS::DBInstance, because "available"
alone does not mean done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

Described = Mapping[str, Any]


class State(StrEnum):
    """The judgement."""

    READY = "READY"
    PENDING = "PENDING"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Readiness:
    """A judgement, with what it rests on."""

    state: State
    status: str
    detail: str = ""
    percent: int | None = None
    unknown: bool = False
    """The status is not one that AWS documents: waited for, and logged loudly."""
    reboots: tuple[str, ...] = ()
    """Instances that only a reboot brings further: parameters of theirs are ``pending-reboot``."""


CLUSTER_TRANSIENT: Final = frozenset(
    {
        "creating",
        "migrating",
        "preparing-data-migration",
        "backing-up",
        "modifying",
        "upgrading",
        "renaming",
        "resetting-master-credentials",
        "update-iam-db-auth",
        "configuring-iam-database-auth",
        "configuring-enhanced-monitoring",
        "rebooting",
        "maintenance",
        "starting",
        "failing-over",
        "promoting",
        "backtracking",
        "storage-optimization",
        "scaling-compute",
        "scaling-storage",
    }
)
CLUSTER_TERMINAL: Final = frozenset(
    {
        "cloning-failed",
        "migration-failed",
        "inaccessible-encryption-credentials",
        # RDS gives seven days to mend the key; for a restore that is a failure all the same.
        "inaccessible-encryption-credentials-recoverable",
        "upgrade-failed",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-restore",
        "restore-failed",
        "failed",
        "deleting",
        "deleted",
        "stopping",
        "stopped",  # needs StartDBCluster; nobody but a person stops a cluster that is being restored
    }
)
INSTANCE_USABLE: Final = frozenset(
    {
        "available",
        "storage-optimization",
        "storage-initialization",
        "backing-up",
        "configuring-enhanced-monitoring",
        "configuring-iam-database-auth",
        "configuring-log-exports",
        "configuring-associated-roles",
    }
)
INSTANCE_TRANSIENT: Final = frozenset(
    {
        "creating",
        "modifying",
        "rebooting",
        "renaming",
        "upgrading",
        "maintenance",
        "starting",
        "resetting-master-credentials",
        "moving-to-vpc",
        "converting-to-vpc",
        "storage-config-upgrade",
        "delete-precheck",
    }
)
INSTANCE_TERMINAL: Final = frozenset(
    {
        "failed",
        "restore-error",
        "incompatible-create",
        "incompatible-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "insufficient-capacity",
        "modify-failed",
        "upgrade-failed",
        "storage-full",
        "deleting",
        "deleted",
        "stopping",
        "stopped",
    }
)

# BC:DBClusterSnapshot documents creating, copying and available; its waiters take the others for failures.
SNAPSHOT_TRANSIENT: Final = frozenset({"creating", "copying", "pending"})
SNAPSHOT_TERMINAL: Final = frozenset(
    {"failed", "incompatible-restore", "incompatible-parameters", "inaccessible-encryption-credentials"}
)
SNAPSHOT_GOING: Final = frozenset({"deleting", "deleted"})

NOT_FOUND: Final = "not-found"

# Pending values that CloudFormation's cluster handler waits for; others (a backup retention period) do no harm.
_CLUSTER_PENDING: Final = (
    "MasterUserPassword",
    "IAMDatabaseAuthenticationEnabled",
    "EngineVersion",
    "StorageType",
    "AllocatedStorage",
    "Iops",
)


def normal_status(status: object) -> str:
    """RDS writes some statuses in capitals or with underscores."""
    return str(status or "").strip().lower().replace("_", "-")


FAILURE_EVENTS: Final = (
    # of clusters
    "database cluster is in a state that cannot be upgraded",
    "unable to upgrade db cluster",
    "unable to perform a major version upgrade",
    "amazon rds can't access the kms encryption key",
    "isn't able to associate the iam role",
    "failed to join",
    "cluster failover failed",
    "cluster reboot failed",
    # of instances
    "insufficient instance capacity",
    "the db engine version upgrade failed",
    "you can't create the db instance",
    "instance is in a state that cannot be upgraded",
)
"""Parts of messages, in small letters, that tell of failures after which RDS describes everything as well.

They are those that AWS's CloudFormation handlers for AWS::RDS::DBCluster and AWS::RDS::DBInstance look for.
"""

UPGRADE_SHOWS_WITHIN: Final = 300
"""Seconds after its call in which an upgrade may not show yet in what RDS describes."""


def silent_failures(messages: Iterable[str]) -> list[str]:
    """The messages that tell of a failure which no status shows."""
    return [message for message in messages if any(part in message.lower() for part in FAILURE_EVENTS)]


def version_problems(planned: str, cluster: Described, instances: Mapping[str, Described]) -> list[str]:
    """Where the engine's version is not the planned one, on the cluster or on its writer.

    Both are looked at: an upgrade on restore runs when the writer is created, and when it fails the cluster ends
    ``available`` at the old version (AuroraUserGuide, AuroraMySQL.mysql80-upgrade-procedure).
    """
    identifier = cluster.get("DBClusterIdentifier", "?")
    members = cluster.get("DBClusterMembers") or ()
    writers = sorted(member["DBInstanceIdentifier"] for member in members if member.get("IsClusterWriter"))
    versions = {f"the cluster {identifier}": cluster.get("EngineVersion")}
    versions |= {f"the writer {writer}": instances.get(writer, {}).get("EngineVersion") for writer in writers}
    problems = [f"{who} has engine version {version}" for who, version in versions.items() if version != planned]
    return [f"{problem}, planned is {planned}" for problem in problems] + (
        [] if writers else [f"the cluster {identifier} has no writer"]
    )


def upgraded(judged: Readiness, problems: Sequence[str], elapsed: float) -> Readiness:
    """Phase "upgrade": what is good but of the old version may only be what was before the upgrade began."""
    if judged.state is not State.READY or not problems or elapsed >= UPGRADE_SHOWS_WITHIN:
        return judged
    return _pending(judged, "; ".join(problems))


def required_reads(phase: str, *, change_seen: bool) -> int:
    """How many good reads in a row a phase needs.

    The first "available" after a Modify may still be the one from before it (CloudFormation probes, Terraform waits
    30 seconds), unless a look before has seen the change under way (``change_seen``). After an upgrade the old version
    may be shown for a while with every status; a resource that has just been created has no past.
    """
    return 2 if phase == "upgrade" or (phase == "configure" and not change_seen) else 1


def cluster_restored(cluster: Described | None, *, seen: bool = False) -> Readiness:
    """Phase "cluster": the volume is there. Instances, endpoints and the secret come later."""
    return _cluster_status(cluster, seen=seen)


IMPAIRED: Final = "impaired"
"""Such a secret can be used to log in, but is not rotated before somebody mends its access or its key
(BC:MasterUserSecret): waiting would not help."""


def managed_secret_status(cluster: Described) -> str:
    """Status of the master user's secret; empty where RDS manages none."""
    return normal_status((cluster.get("MasterUserSecret") or {}).get("SecretStatus"))


def cluster_configured(cluster: Described | None, *, seen: bool = True) -> Readiness:
    """Phase "configure", and part of the later ones: settled after a Modify."""
    judged = _cluster_status(cluster, seen=seen)
    if cluster is None or judged.state is not State.READY:
        return judged
    pending = _pending_values(cluster.get("PendingModifiedValues"), _CLUSTER_PENDING)
    if pending:
        return _pending(judged, f"waits for pending values: {', '.join(pending)}")
    # A managed secret does not become active before there is an instance: waiting for it earlier would never end.
    if cluster.get("DBClusterMembers"):
        status = managed_secret_status(cluster)
        if status not in {"active", IMPAIRED}:
            return _pending(judged, f"waits for the master user's secret, which is {status or 'not there yet'}")
    return judged


def snapshot_copied(snapshot: Described | None, *, seen: bool = False) -> Readiness:
    """A snapshot copy. At 0 % it waits for others of the same source, and is not stuck (AUG-COPY)."""
    if snapshot is None:
        return _absent("copy", seen=seen)
    status = normal_status(snapshot.get("Status"))
    name = snapshot.get("DBClusterSnapshotIdentifier", "")
    percent = _percent(snapshot.get("PercentProgress"))
    terminal = SNAPSHOT_TERMINAL | SNAPSHOT_GOING
    return _by_status(name, status, frozenset({"available"}), SNAPSHOT_TRANSIENT, terminal, percent)


def in_flight(snapshot: Described | None) -> bool:
    """The snapshot is a copy that is still being made, and counts towards the limit of those."""
    return snapshot is not None and normal_status(snapshot.get("Status")) in SNAPSHOT_TRANSIENT


def copy_failed(snapshot: Described) -> bool:
    """The snapshot is of no use, and will not come to be."""
    return normal_status(snapshot.get("Status")) in SNAPSHOT_TERMINAL


def under_way(statuses: Mapping[str, str | None]) -> Readiness | None:
    """PENDING when each resource has a status known to pass by itself; None when any has another, or there is none."""
    found = {name: status for name, status in statuses.items() if status is not None}
    if not found or len(found) < len(statuses):
        return None
    return Readiness(State.PENDING, next(iter(found.values())), "; ".join(f"{n} is {s}" for n, s in found.items()))


def cluster_completed(cluster: Described | None, endpoints: Sequence[Described], *, data_api: bool) -> Readiness:
    """Phase "complete": roles are active, custom endpoints are available, the Data API is on if it is to be."""
    judged = cluster_configured(cluster)
    if cluster is None or judged.state is not State.READY:
        return judged
    for role in cluster.get("AssociatedRoles") or ():
        status = normal_status(role.get("Status"))
        told = f"the role {role.get('RoleArn')} is {status}"
        if status == "invalid":
            return Readiness(State.FAILED, judged.status, f"{told}: RDS cannot take it on")
        if status != "active":
            return _pending(judged, told)
    for endpoint in endpoints:
        status = normal_status(endpoint.get("Status"))
        if status != "available":
            return _pending(judged, f"the custom endpoint {endpoint.get('DBClusterEndpointIdentifier')} is {status}")
    if data_api and not cluster.get("HttpEndpointEnabled"):
        return _pending(judged, "the Data API is not on yet")
    return judged


def instance_ready(instance: Described | None, cluster: Described | None, *, seen: bool = False) -> Readiness:
    """One instance, with what its cluster says of it."""
    if instance is None:
        return _absent("instance", seen=seen)
    name = instance.get("DBInstanceIdentifier", "")
    status = normal_status(instance.get("DBInstanceStatus"))
    judged = _by_status(name, status, INSTANCE_USABLE, INSTANCE_TRANSIENT, INSTANCE_TERMINAL, None)
    if judged.state is not State.READY:
        return judged
    pending = _pending_values(instance.get("PendingModifiedValues"), None)
    if pending:
        return _pending(judged, f"{name} waits for pending values: {', '.join(pending)}")
    for group in instance.get("DBParameterGroups") or ():
        waits = _parameters_pending(judged, name, group.get("DBParameterGroupName"), group.get("ParameterApplyStatus"))
        if waits:
            return waits
    for group in instance.get("VpcSecurityGroups") or ():
        if normal_status(group.get("Status")) != "active":
            return _pending(judged, f"{name} waits for security group {group.get('VpcSecurityGroupId')}")
    member = _member(cluster, name)
    if member is None:
        return _pending(judged, f"{name} is not yet a member of its cluster")
    of_cluster = member.get("DBClusterParameterGroupStatus")
    return _parameters_pending(judged, name, "the cluster parameter group", of_cluster) or judged


def writer_ready(instance: Described | None, cluster: Described | None, *, seen: bool = False) -> Readiness:
    """Phase "writer": the instance is ready, is the cluster's writer, and the cluster has settled with it."""
    judged = instance_ready(instance, cluster, seen=seen)
    if instance is None or judged.state is not State.READY:
        return judged
    settled = cluster_configured(cluster)
    if settled.state is not State.READY:
        return settled
    member = _member(cluster, instance.get("DBInstanceIdentifier", ""))
    if member is not None and not member.get("IsClusterWriter"):
        return _pending(judged, "the cluster does not call the instance its writer yet")
    return judged


def all_ready(judgements: Sequence[Readiness]) -> Readiness:
    """Phase "readers": the worst of them; none at all is ready."""
    for state in (State.FAILED, State.PENDING):
        found = [judged for judged in judgements if judged.state is state]
        found.sort(key=lambda judged: judged.status != NOT_FOUND)  # one that is not visible must not pass for seen
        if found:
            detail = "; ".join(judged.detail or judged.status for judged in found)
            return Readiness(
                state,
                found[0].status,
                detail,
                unknown=any(judged.unknown for judged in found),
                reboots=tuple(name for judged in found for name in judged.reboots),
            )
    return judgements[0] if judgements else Readiness(State.READY, "none", "there are no readers to wait for")


def _cluster_status(cluster: Described | None, *, seen: bool) -> Readiness:
    if cluster is None:
        return _absent("cluster", seen=seen)
    status = normal_status(cluster.get("Status"))
    name = cluster.get("DBClusterIdentifier", "")
    percent = _percent(cluster.get("PercentProgress"))
    return _by_status(name, status, frozenset({"available"}), CLUSTER_TRANSIENT, CLUSTER_TERMINAL, percent)


def _by_status(
    name: str,
    status: str,
    usable: frozenset[str],
    transient: frozenset[str],
    terminal: frozenset[str],
    percent: int | None,
) -> Readiness:
    if status in usable:
        return Readiness(State.READY, status, f"{name} is {status}", percent)
    if status in terminal:
        return Readiness(State.FAILED, status, f"{name} is {status}", percent)
    if status in transient:
        return Readiness(State.PENDING, status, f"{name} is {status}", percent)
    # A new status must not break a restore (it broke Terraform twice): wait for it, up to the deadline.
    return Readiness(State.PENDING, status, f"{name} has the unknown status {status!r}", percent, unknown=True)


def _absent(kind: str, *, seen: bool) -> Readiness:
    # Right after a create RDS may not find what it has just made.
    if seen:
        return Readiness(State.FAILED, NOT_FOUND, f"the {kind} was there and is gone")
    return Readiness(State.PENDING, NOT_FOUND, f"the {kind} is not visible yet")


def _pending(judged: Readiness, detail: str) -> Readiness:
    return Readiness(State.PENDING, judged.status, detail, judged.percent)


def _pending_values(values: Mapping[str, Any] | None, names: Iterable[str] | None) -> list[str]:
    held = {name for name, value in (values or {}).items() if value not in (None, "", {}, [])}
    return sorted(held if names is None else held & set(names))


def _parameters_pending(judged: Readiness, instance: str, group: object, status: object) -> Readiness | None:
    normal = normal_status(status)
    if normal in {"in-sync", ""}:
        return None
    if normal == "pending-reboot":
        told = f"{instance} needs a reboot to apply {group} (pending-reboot)"
        return replace(_pending(judged, told), reboots=(instance,))
    return _pending(judged, f"{instance} waits for {group}, which is {normal}")


def _member(cluster: Described | None, name: str) -> Described | None:
    members = (cluster or {}).get("DBClusterMembers") or ()
    return next((member for member in members if member.get("DBInstanceIdentifier") == name), None)


def _percent(value: object) -> int | None:
    try:
        return max(0, min(100, int(str(value))))
    except ValueError:
        return None
