"""A cluster's endpoints and its server: what the data plane runs for a cluster, and the names that AWS would show."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sandbox.dataplane.model import EndpointKey

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime

    from sandbox.rds.kit import Kit
    from sandbox.rds.ports import DataPlane
    from sandbox.rds.store import Cluster, CustomEndpoint, Instance


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


def custom_address(endpoint: CustomEndpoint) -> str:
    """The address of a custom endpoint: it does not embed the cluster's name."""
    return endpoint.address or f"{endpoint.identifier}.cluster-custom-{_zone(endpoint.cluster)}"


def _custom_key(endpoint: CustomEndpoint) -> EndpointKey:
    return EndpointKey(endpoint.place.account, endpoint.place.region, endpoint.identifier, "custom")


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

    def restore_volume(self, source: str, target: str, instant: datetime) -> Future[None] | None:
        """Make a volume that is what another was at a virtual time."""
        return self.kit.run(lambda plane: plane.restore_volume(source, target, instant), source, target)

    def stop(self, cluster: Cluster) -> Future[None] | None:
        """Stop the cluster's server; its endpoints stay, and lead nowhere."""
        return self.kit.run(lambda plane: plane.stop(cluster.volume), cluster.volume)

    def start(self, cluster: Cluster) -> Future[None] | None:
        """Start the cluster's server again."""
        version = cluster.engine_version
        return self.kit.run(lambda plane: plane.start(cluster.volume, version), cluster.volume)

    def open_custom(self, endpoint: CustomEndpoint) -> Future[None] | None:
        """Open a custom endpoint: which member answers is of no matter here, they share the server."""
        cluster = endpoint.cluster

        def work(plane: DataPlane) -> None:
            opened = plane.open_endpoint(_custom_key(endpoint), cluster.volume, cluster.port)
            with self.kit.lock:
                endpoint.address = opened.address

        return self.kit.run(work, cluster.volume)

    def close_custom(self, endpoint: CustomEndpoint) -> Future[None] | None:
        """Close a custom endpoint."""
        endpoint.address = None
        return self.kit.run(lambda plane: plane.close_endpoint(_custom_key(endpoint)), endpoint.cluster.volume)

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
            keys += [_custom_key(endpoint) for endpoint in cluster.custom_endpoints]

        def work(plane: DataPlane) -> None:
            for key in keys:
                plane.close_endpoint(key)
            if last:
                plane.stop(cluster.volume)

        if last:
            cluster.address = cluster.reader_address = cluster.endpoint_port = None
            for endpoint in cluster.custom_endpoints:
                endpoint.address = None
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
