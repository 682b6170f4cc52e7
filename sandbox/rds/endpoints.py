"""A cluster's endpoints and its server: what the data plane runs for a cluster, and the names that AWS would show."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sandbox.dataplane.model import EndpointKey

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sandbox.rds.kit import Kit
    from sandbox.rds.ports import DataPlane
    from sandbox.rds.store import Cluster, Instance


def _zone(cluster: Cluster) -> str:
    """The part of AWS's endpoint names that is the same for an account in a region."""
    place = cluster.place
    suffix = "amazonaws.com.cn" if place.partition == "aws-cn" else "amazonaws.com"
    digest = hashlib.sha256(f"{place.account}/{place.region}".encode()).hexdigest()
    return f"c{digest[:11]}.{place.region}.rds.{suffix}"


def writer_address(cluster: Cluster) -> str:
    """The address of the cluster endpoint; until a server runs, the name that AWS would give."""
    return cluster.address or f"{cluster.identifier}.cluster-{_zone(cluster)}"


def reader_address(cluster: Cluster) -> str:
    """The address of the reader endpoint."""
    return cluster.reader_address or f"{cluster.identifier}.cluster-ro-{_zone(cluster)}"


def instance_address(instance: Instance) -> str:
    """The address of an instance."""
    return instance.address or f"{instance.identifier}.{_zone(instance.cluster)}"


def _key(cluster: Cluster, role: str) -> EndpointKey:
    return EndpointKey(cluster.place.account, cluster.place.region, cluster.identifier, role)


def _instance_key(cluster: Cluster, instance: Instance) -> EndpointKey:
    return _key(cluster, f"db:{instance.identifier}")  # an instance may be called "writer", too


class Servers:
    """What happens on real servers when the control plane changes something. Call with the lock held."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def create_volume(self, cluster: Cluster, database: str | None) -> Future[None] | None:
        """Make an empty volume."""
        password = cluster.master_password or ""

        def work(plane: DataPlane) -> None:
            plane.create_volume(cluster.volume, cluster.engine, cluster.master_username, password, database)

        return self.kit.run(work, cluster.volume)

    def copy_volume(self, source: str, target: str) -> Future[None] | None:
        """Copy a volume: a snapshot, a restore, a copy of a snapshot."""
        return self.kit.run(lambda plane: plane.copy_volume(source, target), source, target)

    def delete_volume(self, volume: str) -> Future[None] | None:
        """Delete a volume; its server, if any, was stopped by its last instance."""
        return self.kit.run(lambda plane: plane.delete_volume(volume), volume)

    def start_writer(self, cluster: Cluster, instance: Instance) -> Future[None] | None:
        """Start the cluster's server and open the endpoints."""
        version = cluster.engine_version

        def work(plane: DataPlane) -> None:
            plane.start(cluster.volume, version)
            self._open(plane, cluster, instance, with_cluster=True)

        return self.kit.run(work, cluster.volume)

    def open_instance(self, cluster: Cluster, instance: Instance) -> Future[None] | None:
        """Open the endpoint of one more instance: all of a cluster's instances share the volume, hence the server."""
        return self.kit.run(lambda plane: self._open(plane, cluster, instance, with_cluster=False), cluster.volume)

    def close_instance(self, cluster: Cluster, instance: Instance, *, last: bool) -> Future[None] | None:
        """Close an instance's endpoint; with the last instance the server stops."""
        keys = [_instance_key(cluster, instance)]
        if last:
            keys += [_key(cluster, "writer"), _key(cluster, "reader")]

        def work(plane: DataPlane) -> None:
            for key in keys:
                plane.close_endpoint(key)
            if last:
                plane.stop(cluster.volume)

        if last:
            cluster.address = cluster.reader_address = cluster.endpoint_port = None
        return self.kit.run(work, cluster.volume)

    def set_password(self, cluster: Cluster, password: str) -> Future[None] | None:
        """Set the master password; where no server runs, the data plane does it when one starts, as on AWS."""
        cluster.master_password = password

        def work(plane: DataPlane) -> None:
            plane.set_master_password(cluster.volume, cluster.master_username, password)

        return self.kit.run(work, cluster.volume)

    def restart(self, cluster: Cluster) -> Future[None] | None:
        """Restart the cluster's server."""
        version = cluster.engine_version

        def work(plane: DataPlane) -> None:
            plane.stop(cluster.volume)
            plane.start(cluster.volume, version)

        return self.kit.run(work, cluster.volume)

    def reopen(self, cluster: Cluster, old_keys: list[EndpointKey]) -> Future[None] | None:
        """Move the endpoints after a rename: the old names end, the new ones begin."""

        def work(plane: DataPlane) -> None:
            for key in old_keys:
                plane.close_endpoint(key)
            for instance in list(cluster.instances):
                self._open(plane, cluster, instance, with_cluster=instance.writer)

        return self.kit.run(work, cluster.volume)

    def keys(self, cluster: Cluster) -> list[EndpointKey]:
        """Return the keys of all endpoints that a cluster has open."""
        own = [_key(cluster, role) for role in ("writer", "reader")] if cluster.instances else []
        return own + [_instance_key(cluster, instance) for instance in cluster.instances]

    def _open(self, plane: DataPlane, cluster: Cluster, instance: Instance, *, with_cluster: bool) -> None:
        own = plane.open_endpoint(_instance_key(cluster, instance), cluster.volume, cluster.port)
        writer = reader = None
        if with_cluster:
            writer = plane.open_endpoint(_key(cluster, "writer"), cluster.volume, cluster.port)
            reader = plane.open_endpoint(_key(cluster, "reader"), cluster.volume, cluster.port)
        with self.kit.lock:
            instance.address, instance.port = own.address, own.port
            if writer is not None and reader is not None:
                cluster.address, cluster.endpoint_port = writer.address, writer.port
                cluster.reader_address = reader.address
