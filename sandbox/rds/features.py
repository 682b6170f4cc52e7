"""What a cluster can have beside its settings: IAM roles, the Data API, custom endpoints; and a rest when stopped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandbox.rds.clusters import check_data_api, not_available
from sandbox.rds.endpoints import custom_address, reader_address, writer_address
from sandbox.rds.errors import fault, invalid_combination, invalid_value
from sandbox.rds.requests import filtered, identifier, only, page, tags
from sandbox.rds.store import AVAILABLE, CREATING, DELETING, Cluster, CustomEndpoint, Role

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.clusters import Clusters
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.kit import Kit

STOPPED = "stopped"
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")


class Features:
    """See the module's description."""

    def __init__(self, kit: Kit, *, servers: Servers, clusters: Clusters) -> None:
        self.kit = kit
        self.servers = servers
        self.clusters = clusters
        self.operations = {
            "AddRoleToDBCluster": self.add_role,
            "RemoveRoleFromDBCluster": self.remove_role,
            "EnableHttpEndpoint": self.enable_data_api,
            "DisableHttpEndpoint": self.disable_data_api,
            "CreateDBClusterEndpoint": self.create_endpoint,
            "DescribeDBClusterEndpoints": self.describe_endpoints,
            "ModifyDBClusterEndpoint": self.modify_endpoint,
            "DeleteDBClusterEndpoint": self.delete_endpoint,
            "StopDBCluster": self.stop,
            "StartDBCluster": self.start,
        }

    def _available(self, call: Call) -> Cluster:
        cluster = self.clusters.get(self.kit.region(call), call.params["DBClusterIdentifier"])
        if cluster.status != AVAILABLE:
            raise not_available(cluster)
        return cluster

    # ---- IAM roles

    def add_role(self, call: Call) -> dict[str, Any]:
        """AddRoleToDBCluster: five at most; Aurora PostgreSQL wants the feature's name, and one role per feature."""
        arn, feature = call.params["RoleArn"], call.params.get("FeatureName") or ""
        with self.kit.lock:
            cluster = self._available(call)
            if not _ROLE_ARN.fullmatch(arn) or arn.split(":")[4] != call.account:
                raise invalid_value("IAM role ARN value is invalid or does not include the required permissions")
            version = self.kit.catalogue.known(cluster.engine, cluster.engine_version)
            assert version is not None, "a cluster has a version that the catalogue knows"
            if feature not in (version.features or ("",)):
                allowed = ", ".join(version.features) or "none"
                raise invalid_value(
                    f"Invalid feature name {feature or '(empty)'} for {cluster.engine} {version.name}. Valid: {allowed}"
                )
            if any(role.arn == arn and role.feature == feature for role in cluster.roles) or (
                feature and any(role.feature == feature for role in cluster.roles)
            ):
                raise fault(
                    "DBClusterRoleAlreadyExistsFault",
                    f"A role is already associated with the DB cluster {cluster.identifier} (feature {feature!r}).",
                )
            if len(cluster.roles) >= self.kit.quotas["DBClusterRoles"]:
                raise fault(
                    "DBClusterRoleQuotaExceededFault",
                    f"The DB cluster has {self.kit.quotas['DBClusterRoles']} IAM roles, which is the most.",
                )
            role = Role(arn, feature)
            cluster.roles.append(role)

            def associated() -> None:
                with self.kit.lock:
                    if message := self.kit.injections.failed_roles.pop(arn, None):
                        role.status = "INVALID"
                        self.kit.events.emit_text(cluster, "", message, "failure")
                    else:
                        role.status = "ACTIVE"

            self.kit.clock.call_later(self.kit.timings.role, associated)
            return {}

    def remove_role(self, call: Call) -> dict[str, Any]:
        """RemoveRoleFromDBCluster."""
        arn, feature = call.params["RoleArn"], call.params.get("FeatureName") or ""
        with self.kit.lock:
            cluster = self._available(call)
            found = next((one for one in cluster.roles if (one.arn, one.feature) == (arn, feature)), None)
            if found is None:
                raise fault(
                    "DBClusterRoleNotFoundFault", f"{arn} isn't associated with the DB cluster {cluster.identifier}."
                )
            cluster.roles.remove(found)
            return {}

    # ---- Data API

    def enable_data_api(self, call: Call) -> dict[str, Any]:
        """EnableHttpEndpoint: where the version has it, and when the cluster has an instance."""
        with self.kit.lock:
            cluster = self._by_arn(call)
            version = self.kit.catalogue.known(cluster.engine, cluster.engine_version)
            assert version is not None, "a cluster has a version that the catalogue knows"
            check_data_api(version, call.region)
            if cluster.writer is None or cluster.writer.status != AVAILABLE:
                raise fault(
                    "InvalidResourceStateFault", f"The DB cluster {cluster.identifier} has no available DB instance."
                )
            return self._switch_data_api(cluster, on=True)

    def disable_data_api(self, call: Call) -> dict[str, Any]:
        """DisableHttpEndpoint."""
        with self.kit.lock:
            return self._switch_data_api(self._by_arn(call), on=False)

    def _by_arn(self, call: Call) -> Cluster:
        arn = call.params["ResourceArn"]
        cluster = self.clusters.find(self.kit.region(call), arn) if arn.startswith("arn:") else None
        if cluster is None:
            raise fault("ResourceNotFoundFault", f"DBCluster {arn} not found.")
        if cluster.status != AVAILABLE:
            raise fault("InvalidResourceStateFault", f"The DB cluster {cluster.identifier} is {cluster.status}.")
        return cluster

    def _switch_data_api(self, cluster: Cluster, *, on: bool) -> dict[str, Any]:
        def switched() -> None:
            with self.kit.lock:
                cluster.data_api = on

        self.kit.clock.call_later(self.kit.timings.data_api, switched)
        return {"ResourceArn": cluster.arn, "HttpEndpointEnabled": on}

    # ---- custom endpoints

    def create_endpoint(self, call: Call) -> dict[str, Any]:
        """CreateDBClusterEndpoint: READER or ANY, static members or excluded ones, five per cluster."""
        params = call.params
        name = identifier(params["DBClusterEndpointIdentifier"], "DBClusterEndpointIdentifier")
        kind = params["EndpointType"]
        if kind not in ("READER", "ANY"):
            raise invalid_value(f"Invalid endpoint type: {kind}. Valid values: READER, ANY.")
        with self.kit.lock:
            region, cluster = self.kit.region(call), self._available(call)
            if name in region.cluster_endpoints:
                raise fault("DBClusterEndpointAlreadyExistsFault", f"DB cluster endpoint {name} already exists.")
            if len(cluster.custom_endpoints) >= self.kit.quotas["CustomEndpointsPerDBCluster"]:
                raise fault("DBClusterEndpointQuotaExceededFault", "The DB cluster has the most custom endpoints.")
            static, excluded = self._members(cluster, params)
            endpoint = CustomEndpoint(
                place=region.place,
                identifier=name,
                created=self.kit.clock.now(),
                tags=tags(params),
                resource_id=self.kit.store.resource_id("cluster-endpoint", region.place.arn("cluster-endpoint", name)),
                cluster=cluster,
                custom_type=kind,
                static=static,
                excluded=excluded,
            )
            region.cluster_endpoints[name] = endpoint
            cluster.custom_endpoints.append(endpoint)
            work = self.servers.open_custom(endpoint) if cluster.instances else None
            self.kit.walk(endpoint, [(CREATING, self.kit.timings.custom_endpoint)], lambda: None, work=work)
            return _shown(endpoint)

    @staticmethod
    def _members(cluster: Cluster, params: Any) -> tuple[list[str], list[str]]:
        static, excluded = list(params.get("StaticMembers") or ()), list(params.get("ExcludedMembers") or ())
        if static and excluded:
            raise invalid_combination("StaticMembers and ExcludedMembers can't be specified together.")
        known = {instance.identifier for instance in cluster.instances}
        for member in (*static, *excluded):
            if member.lower() not in known:
                raise fault("DBInstanceNotFoundFault", f"DBInstance {member} not found in the DB cluster.")
        return [member.lower() for member in static], [member.lower() for member in excluded]

    def describe_endpoints(self, call: Call) -> dict[str, Any]:
        """DescribeDBClusterEndpoints: the custom ones and each cluster's own two."""
        params = call.params
        with self.kit.lock:
            region = self.kit.region(call)
            if wanted := params.get("DBClusterIdentifier"):
                clusters = [self.clusters.get(region, wanted)]
            else:
                clusters = sorted(region.clusters.values(), key=lambda one: one.identifier)
            shown = [one for cluster in clusters for one in _endpoints_of(cluster)]
            if name := params.get("DBClusterEndpointIdentifier"):
                shown = [one for one in shown if one.get("DBClusterEndpointIdentifier") == name.lower()]
                if not shown:
                    raise fault("DBClusterEndpointNotFoundFault", f"DB cluster endpoint {name} not found.")
            known = {
                "db-cluster-endpoint-type": lambda one: one["EndpointType"].lower(),
                "db-cluster-endpoint-custom-type": lambda one: one.get("CustomEndpointType", "").lower(),
                "db-cluster-endpoint-id": lambda one: one.get("DBClusterEndpointIdentifier"),
                "db-cluster-endpoint-status": lambda one: one["Status"],
            }
            return page(filtered(shown, params, known), "DBClusterEndpoints", params)

    def modify_endpoint(self, call: Call) -> dict[str, Any]:
        """ModifyDBClusterEndpoint."""
        with self.kit.lock:
            endpoint = self._endpoint(call)
            static, excluded = self._members(endpoint.cluster, call.params)
            endpoint.custom_type = call.params.get("EndpointType") or endpoint.custom_type
            if static or excluded:
                endpoint.static, endpoint.excluded = static, excluded
            return _shown(endpoint)

    def delete_endpoint(self, call: Call) -> dict[str, Any]:
        """DeleteDBClusterEndpoint."""
        with self.kit.lock:
            endpoint, region = self._endpoint(call), self.kit.region(call)

            def done() -> None:
                region.cluster_endpoints.pop(endpoint.identifier, None)
                if endpoint in endpoint.cluster.custom_endpoints:
                    endpoint.cluster.custom_endpoints.remove(endpoint)

            work = self.servers.close_custom(endpoint) if endpoint.address else None
            phases = [(DELETING, self.kit.timings.custom_endpoint)]
            self.kit.walk(endpoint, phases, done, work=work, final=None)
            return _shown(endpoint)

    def _endpoint(self, call: Call) -> CustomEndpoint:
        name = call.params["DBClusterEndpointIdentifier"]
        endpoint = self.kit.region(call).cluster_endpoints.get(name.lower())
        if endpoint is None:
            raise fault("DBClusterEndpointNotFoundFault", f"DB cluster endpoint {name} not found.")
        if endpoint.status != AVAILABLE:
            raise fault("InvalidDBClusterEndpointStateFault", f"{name} is {endpoint.status}.")
        return endpoint

    # ---- stop and start

    def stop(self, call: Call) -> dict[str, Any]:
        """StopDBCluster: with all its instances."""
        only(call.params, call.operation, {"DBClusterIdentifier"})
        with self.kit.lock:
            cluster = self._available(call)
            if any(instance.status != AVAILABLE for instance in cluster.instances):
                raise fault("InvalidDBClusterStateFault", f"DbCluster {cluster.identifier} has a busy DB instance.")
            seconds = self.kit.timings.stop
            for instance in cluster.instances:
                self.kit.walk(instance, [("stopping", seconds)], lambda: None, final=STOPPED)
            work = self.servers.stop(cluster) if cluster.instances else None
            emit = self.kit.events.emit
            self.kit.walk(
                cluster, [("stopping", seconds)], lambda: emit(cluster, "RDS-EVENT-0150"), work=work, final=STOPPED
            )
            return {"DBCluster": self.clusters.shown(cluster)}

    def start(self, call: Call) -> dict[str, Any]:
        """StartDBCluster: only a stopped one."""
        with self.kit.lock:
            cluster = self.clusters.get(self.kit.region(call), call.params["DBClusterIdentifier"])
            if cluster.status != STOPPED:
                raise fault(
                    "InvalidDBClusterStateFault",
                    f"DbCluster {cluster.identifier} is in {cluster.status} state but expected it to be stopped.",
                )
            seconds = self.kit.timings.start
            for instance in cluster.instances:
                self.kit.walk(instance, [("starting", seconds)], lambda: None)
            work = self.servers.start(cluster) if cluster.instances else None
            emit = self.kit.events.emit
            self.kit.walk(cluster, [("starting", seconds)], lambda: emit(cluster, "RDS-EVENT-0151"), work=work)
            return {"DBCluster": self.clusters.shown(cluster)}


def _shown(endpoint: CustomEndpoint) -> dict[str, Any]:
    return {
        "DBClusterEndpointIdentifier": endpoint.identifier,
        "DBClusterEndpointArn": endpoint.arn,
        "DBClusterEndpointResourceIdentifier": endpoint.resource_id,
        "DBClusterIdentifier": endpoint.cluster.identifier,
        "Endpoint": custom_address(endpoint),
        "Status": endpoint.status,
        "EndpointType": "CUSTOM",
        "CustomEndpointType": endpoint.custom_type,
        "StaticMembers": list(endpoint.static),
        "ExcludedMembers": list(endpoint.excluded),
    }


def _endpoints_of(cluster: Cluster) -> list[dict[str, Any]]:
    # The built-in endpoints stay "creating" until the first instance (aws-facts 3.2).
    status = AVAILABLE if any(instance.status == AVAILABLE for instance in cluster.instances) else CREATING
    own = [
        {"DBClusterIdentifier": cluster.identifier, "Endpoint": address, "Status": status, "EndpointType": kind}
        for kind, address in (("WRITER", writer_address(cluster)), ("READER", reader_address(cluster)))
    ]
    return own + [_shown(endpoint) for endpoint in cluster.custom_endpoints]
