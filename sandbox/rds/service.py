"""The emulated RDS: Amazon Aurora as AWS documents it, in virtual time, on real servers where there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError, Call, NotEmulated, Principal
from sandbox.rds import ports
from sandbox.rds.clusters import Clusters
from sandbox.rds.copies import Copies
from sandbox.rds.endpoints import Servers
from sandbox.rds.events import MESSAGES
from sandbox.rds.features import Features
from sandbox.rds.groups import ParameterGroups, SubnetGroups
from sandbox.rds.instances import Instances
from sandbox.rds.kit import Kit
from sandbox.rds.modify import Modifications
from sandbox.rds.offers import Offers
from sandbox.rds.passwords import ManagedPasswords
from sandbox.rds.point_in_time import PointInTime
from sandbox.rds.requests import check_required
from sandbox.rds.restore import Restores
from sandbox.rds.snapshots import Snapshots
from sandbox.rds.store import AVAILABLE, Cluster, Encryption, Instance, Resource, Snapshot
from sandbox.rds.timings import Timings

if TYPE_CHECKING:
    from sandbox.clock import VirtualClock
    from sandbox.rds.events import Event


# Where time flows: a mark each virtual second, but not more often than the machine bears.
_MARK_VIRTUAL_SECONDS, _MARK_REAL_SECONDS = 1.0, 0.02


class RdsService:
    """Amazon RDS for Aurora (a :class:`sandbox.core.Service`).

    The neighbours are parameters: by default moto's KMS, Secrets Manager and EC2, no data plane (all behaves the same,
    only that no database answers), and an authorizer that allows everything.
    """

    name = "rds"

    def __init__(
        self,
        clock: VirtualClock,
        *,
        timings: Timings | None = None,
        data_plane: ports.DataPlane | None = None,
        keys: ports.Keys | None = None,
        secrets: ports.Secrets | None = None,
        network: ports.Network | None = None,
        authorize_as_caller: ports.Authorize | None = None,
    ) -> None:
        self.kit = Kit(
            clock=clock,
            timings=timings or Timings(),
            keys=ports.MotoKeys() if keys is None else keys,
            secrets=ports.MotoSecrets() if secrets is None else secrets,
            network=ports.MotoNetwork() if network is None else network,
            authorize=authorize_as_caller or ports.allow_everything,
            data_plane=data_plane if data_plane is not None and data_plane.enabled else None,
        )
        servers, passwords = Servers(self.kit), ManagedPasswords(self.kit)
        subnet_groups = SubnetGroups(self.kit)
        cluster_groups, groups = ParameterGroups(self.kit, "DBCluster"), ParameterGroups(self.kit, "DB")
        self._snapshots = Snapshots(self.kit, servers)
        self._clusters = Clusters(
            self.kit,
            servers=servers,
            subnet_groups=subnet_groups,
            parameter_groups=cluster_groups,
            passwords=passwords,
            snapshots=self._snapshots,
        )
        self._modifications = Modifications(
            self.kit, servers=servers, clusters=self._clusters, instance_groups=groups, passwords=passwords
        )
        restores = Restores(self.kit, servers=servers, clusters=self._clusters, snapshots=self._snapshots)
        copies = Copies(self.kit, servers=servers, snapshots=self._snapshots)
        instances = Instances(
            self.kit, servers=servers, clusters=self._clusters, parameter_groups=groups, passwords=passwords
        )
        features = Features(self.kit, servers=servers, clusters=self._clusters)
        point_in_time = PointInTime(self.kit, servers=servers, clusters=self._clusters)
        offers = Offers(self.kit, cluster_groups, groups)
        self._operations: dict[str, Callable[[Call], dict[str, Any]]] = {
            **self._clusters.operations,
            **self._modifications.operations,
            **restores.operations,
            **instances.operations,
            **features.operations,
            **point_in_time.operations,
            **self._snapshots.operations,
            **copies.operations,
            **subnet_groups.operations,
            **cluster_groups.operations,
            **groups.operations,
            **offers.operations,
        }
        if self.kit.data_plane is not None:
            self._follow_time(clock, self.kit.data_plane)

    @staticmethod
    def _follow_time(clock: VirtualClock, plane: ports.DataPlane) -> None:
        """Tell the data plane where its logs are at which virtual time: before each jump, or often enough."""
        if clock.scale is None:
            clock.before_jump.append(plane.mark)
            return
        period = max(_MARK_VIRTUAL_SECONDS, _MARK_REAL_SECONDS * clock.scale)

        def tick() -> None:
            plane.mark(clock.now())
            clock.call_later(period, tick, background=True)

        clock.call_later(period, tick, background=True)

    @property
    def timings(self) -> Timings:
        """How long things take; may be changed at any time, for what begins afterwards."""
        return self.kit.timings

    def handle(self, call: Call) -> Mapping[str, Any]:
        """Answer one call."""
        operation = self._operations.get(call.operation)
        if operation is None:
            raise NotEmulated(f"rds:{call.operation}")
        check_required(call.operation, call.params)
        with self.kit.clock.busy():
            return operation(call)

    # ---- for the authorizer, for Application Auto Scaling and for EventBridge

    def check_scalable_target(self, call: Call) -> None:
        """Refuse readers that scale where there is no cluster (Application Auto Scaling: ``cluster:<identifier>``)."""
        params = call.params
        if params["ServiceNamespace"] != "rds":
            return
        if params["ScalableDimension"] != "rds:cluster:ReadReplicaCount":
            raise AwsError("ValidationException", "Unsupported service namespace, resource type or scalable dimension")
        kind, _, name = params["ResourceId"].partition(":")
        least, most = params.get("MinCapacity"), params.get("MaxCapacity")
        if (
            least is not None
            and most is not None
            and not 0 <= least <= most <= self.kit.quotas["ReadReplicasPerMaster"]
        ):
            raise AwsError(
                "ValidationException", "The capacity must be from 0 to 15, the minimum not above the maximum."
            )
        with self.kit.lock:
            if kind != "cluster" or self._clusters.find(self.kit.region(call), name) is None:
                raise AwsError("ValidationException", f"DB cluster doesn't exist: {params['ResourceId']}")

    def resource_tags(self, arn: str) -> dict[str, str] | None:
        """Return a resource's tags (for aws:ResourceTag and rds:*-tag); None when there is no such resource."""
        with self.kit.lock:
            resource = self.kit.store.by_arn(arn)
            return None if resource is None else dict(resource.tags)

    def on_event(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` with each RDS event, as EventBridge would get it; it must not call back into RDS."""
        self.kit.events.listeners.append(listener)

    # ---- for ``ctl`` and for tests: what AWS does by itself, or what happens to it

    def take_automated_snapshot(self, account: str, region: str, cluster_id: str) -> str:
        """Take the daily automated snapshot now; return its ARN."""
        with self.kit.clock.busy(), self.kit.lock:
            cluster = self._cluster(account, region, cluster_id)
            return self._snapshots.take_automated(cluster, self.kit.clock.now()).arn

    def take_backup_snapshot(self, account: str, region: str, cluster_id: str, job: str) -> str:
        """Take a snapshot as AWS Backup does, ``awsbackup:job-…``; return its ARN."""
        with self.kit.clock.busy(), self.kit.lock:
            cluster = self._cluster(account, region, cluster_id)
            return self._snapshots.take(cluster, f"awsbackup:job-{job.lower()}", "awsbackup", {}).arn

    def run_maintenance(self, account: str, region: str, cluster_id: str, principal: Principal) -> None:
        """Let the maintenance window come: apply what was modified without ApplyImmediately."""
        params = {"DBClusterIdentifier": cluster_id, "ApplyImmediately": True}
        self.handle(Call("rds", "ModifyDBCluster", region, account, principal, params))

    def set_volume_size(self, account: str, region: str, cluster_id: str, size_gb: int) -> None:
        """Say how large a cluster's volume is: durations depend on it."""
        with self.kit.lock:
            self._cluster(account, region, cluster_id).size_gb = size_gb

    def set_encryption(self, arn: str, kind: str, key: str | None = None) -> None:
        """Make a cluster or snapshot one of an older day: ``none``, or under another key than today's default."""
        with self.kit.lock:
            resource = self.kit.store.by_arn(arn)
            if not isinstance(resource, Cluster | Snapshot):
                raise KeyError(arn)
            resource.encryption = Encryption(kind, key)

    def set_quota(self, name: str, most: int, account: str | None = None, region: str | None = None) -> None:
        """Allow more or less of something: everywhere, or only in one account and region.

        ``name`` is one that DescribeAccountAttributes tells ("ManualClusterSnapshots"), or one of the limits that it
        does not (:data:`sandbox.rds.kit.UNTOLD`).
        """
        with self.kit.lock:
            if name not in self.kit.quotas or (account is None) != (region is None):
                raise ValueError(
                    f"no quota {name!r}, or an account without a region; there are {list(self.kit.quotas)}"
                )
            if account is not None and region is not None:
                self.kit.local_quotas[account, region, name] = most
            else:
                self.kit.quotas[name] = most

    def retire_version(self, engine: str, version: str) -> None:
        """Take a version off the list of what is offered."""
        with self.kit.lock:
            self.kit.catalogue.retire(engine, version)

    def fail_resource(self, arn_or_id: str, status: str, event_message: str) -> None:
        """Let a resource end in ``status`` when it would become available next, with an event that says why."""
        with self.kit.lock:
            self.kit.injections.failures[arn_or_id] = (status, event_message)

    def fail_upgrade(self, arn_or_id: str, event_message: str) -> None:
        """Let a cluster's next version upgrade fail: it stays available, at its old version."""
        with self.kit.lock:
            self.kit.injections.failed_upgrades[arn_or_id] = event_message

    def lag_version(self, instance_arn_or_id: str, version: str | None) -> None:
        """Let an instance show another version than its cluster, as one that did not follow an upgrade; None ends."""
        with self.kit.lock:
            for instance in self._named(instance_arn_or_id):
                if isinstance(instance, Instance):
                    instance.engine_version = version

    def need_reboot(self, instance_arn_or_id: str) -> None:
        """Let an instance's parameter groups, its cluster's and its own, wait for a reboot."""
        with self.kit.lock:
            for instance in self._named(instance_arn_or_id):
                if isinstance(instance, Instance):
                    instance.cluster_parameters = instance.instance_parameters = "pending-reboot"

    def alter(self, arn_or_id: str, **members: Any) -> None:
        """Let a cluster or an instance have other settings than it was given, by the names that a describe shows."""
        with self.kit.lock:
            for resource in self._named(arn_or_id):
                if isinstance(resource, Cluster | Instance):
                    resource.settings.update(members)

    def fail_role(self, role_arn: str, event_message: str) -> None:
        """Let the next association of an IAM role fail: the role becomes INVALID, an event says why."""
        with self.kit.lock:
            self.kit.injections.failed_roles[role_arn] = event_message

    def emit_event(
        self, arn_or_id: str, message: str | None = None, *, event_id: str = "", category: str = "failure"
    ) -> None:
        """Emit an event about a resource, whose status does not change: several failures show nowhere else.

        A documented ``event_id`` has its own text and category if no ``message`` is given.
        """
        with self.kit.lock:
            found = self._named(arn_or_id)
            if not found:
                raise KeyError(arn_or_id)
            if message is None:
                category, message = MESSAGES[event_id]
            for resource in found:
                self.kit.events.emit_text(resource, event_id, message, category)

    def share_cluster(self, cluster_arn: str, account: str) -> None:
        """Share a cluster as AWS RAM does, for clones. What is a clone of another account's can't be shared again."""
        with self.kit.lock:
            cluster = self.kit.store.by_arn(cluster_arn)
            if not isinstance(cluster, Cluster):
                raise KeyError(cluster_arn)
            if cluster.foreign_source is not None:
                raise ValueError(f"{cluster_arn} is a clone of another account's cluster and can't be shared")
            cluster.shared_with.add(account)

    def unshare_cluster(self, cluster_arn: str, account: str) -> None:
        """End :meth:`share_cluster`."""
        with self.kit.lock:
            cluster = self.kit.store.by_arn(cluster_arn)
            if not isinstance(cluster, Cluster):
                raise KeyError(cluster_arn)
            cluster.shared_with.discard(account)

    def hold_status(self, arn_or_id: str, status: str) -> None:
        """Show ``status`` instead of ``available``: now, or from when the resource would become available."""
        with self.kit.lock:
            for resource in self._named(arn_or_id):
                if resource.status == AVAILABLE:
                    resource.status, resource.held = status, lambda: None
                    return
            self.kit.injections.holds[arn_or_id] = status

    def release_status(self, arn_or_id: str) -> None:
        """End :meth:`hold_status`: the resource becomes available."""
        with self.kit.lock:
            self.kit.injections.holds.pop(arn_or_id, None)
            for resource in self._named(arn_or_id):
                if resource.held is not None:
                    finish, resource.held = resource.held, None
                    resource.status = AVAILABLE
                    finish()

    def hide_new_resources(self, reads: int) -> None:
        """Let the first ``reads`` reads by name of each new resource miss it, as AWS may right after a create."""
        with self.kit.lock:
            self.kit.injections.hidden_reads = reads

    def _named(self, arn_or_id: str) -> list[Resource]:
        return [
            resource
            for region in self.kit.store
            for resource in region.resources()
            if arn_or_id in (resource.arn, resource.identifier)
        ]

    def _cluster(self, account: str, region: str, cluster_id: str) -> Cluster:
        return self._clusters.get(self.kit.store.region(account, region), cluster_id)
