"""Operations that tell what there is to use: versions, classes, certificates, quotas; and tags and maintenance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sandbox.rds.catalogue import CERTIFICATE_AUTHORITIES, CERTIFICATES_VALID, Version, describe_major
from sandbox.rds.errors import fault, invalid_combination, invalid_value
from sandbox.rds.kit import QUOTAS
from sandbox.rds.requests import check_filters, filtered, page, tag_map
from sandbox.rds.store import Region, Resource

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.groups import ParameterGroups
    from sandbox.rds.kit import Kit


class Offers:
    """See the module's description."""

    def __init__(self, kit: Kit, cluster_groups: ParameterGroups, groups: ParameterGroups) -> None:
        self.kit = kit
        self.cluster_groups = cluster_groups
        self.groups = groups
        self.operations = {
            "DescribeDBEngineVersions": self.engine_versions,
            "DescribeDBMajorEngineVersions": self.major_versions,
            "DescribeOrderableDBInstanceOptions": self.orderable,
            "DescribeAccountAttributes": self.account_attributes,
            "DescribeCertificates": self.certificates,
            "DescribeEvents": self.events,
            "DescribePendingMaintenanceActions": self.pending_maintenance,
            "DescribeGlobalClusters": self.global_clusters,
            "AddTagsToResource": self.add_tags,
            "RemoveTagsFromResource": self.remove_tags,
            "ListTagsForResource": self.list_tags,
        }

    def engine_versions(self, call: Call) -> dict[str, Any]:
        """DescribeDBEngineVersions: offered versions; retired ones only with IncludeAll."""
        params = call.params
        with self.kit.lock:
            found = [version for version in self._versions(call) if params.get("IncludeAll") or not version.retired]
            if wanted := params.get("EngineVersion"):
                found = [version for version in found if wanted in (version.name, version.major)]
            if family := params.get("DBParameterGroupFamily"):
                found = [version for version in found if version.family == family]
            if params.get("DefaultOnly"):
                found = [version for version in found if self._is_default(version, params.get("EngineVersion"))]
            known = {
                "db-parameter-group-family": lambda one: one.family,
                "engine": lambda one: one.engine,
                "engine-mode": lambda _: "provisioned",
                "engine-version": lambda one: one.name,
                "status": lambda one: "deprecated" if one.retired else "available",
            }
            place, catalogue = self.kit.region(call).place, self.kit.catalogue
            shown = [
                version.describe(place.partition, place.region, catalogue.targets(version))
                for version in filtered(found, params, known)
            ]
            return page(shown, "DBEngineVersions", params)

    def major_versions(self, call: Call) -> dict[str, Any]:
        """DescribeDBMajorEngineVersions: the majors of an engine with their support periods."""
        wanted = call.params.get("MajorEngineVersion")
        majors = sorted({(version.engine, version.major) for version in self._versions(call)})
        shown = [describe_major(engine, major) for engine, major in majors if wanted in (None, major)]
        return page(shown, "DBMajorEngineVersions", call.params)

    def _is_default(self, version: Version, wanted: str | None) -> bool:
        major = version.major if wanted == version.major else None
        return version == self.kit.catalogue.default(version.engine, major)

    def _versions(self, call: Call) -> list[Version]:
        """All versions, or those of the engine that is asked for; an unknown engine has none."""
        engine = call.params.get("Engine")
        versions = [version for version in self.kit.catalogue if engine in (None, "", version.engine)]
        return sorted(versions, key=lambda version: (version.engine, version.order))

    def orderable(self, call: Call) -> dict[str, Any]:
        """DescribeOrderableDBInstanceOptions."""
        with self.kit.lock:
            check_filters(call.params, {})
            if call.params.get("EngineVersion") and not call.params.get("Engine"):
                raise invalid_combination("Engine is required with EngineVersion.")
            return page(list(self._options(call)), "OrderableDBInstanceOptions", call.params)

    def _options(self, call: Call) -> Iterator[dict[str, Any]]:
        params = call.params
        zones = [{"Name": f"{call.region}{letter}"} for letter in "abc"]
        for version in self._versions(call):
            if version.retired or params.get("EngineVersion") not in (None, "", version.name, version.major):
                continue
            for name in version.classes():
                if params.get("DBInstanceClass") not in (None, "", name):
                    continue
                for storage in ("aurora", "aurora-iopt1"):
                    yield {
                        "Engine": version.engine,
                        "EngineVersion": version.name,
                        "DBInstanceClass": name,
                        "LicenseModel": (
                            "general-public-license" if version.engine == "aurora-mysql" else "postgresql-license"
                        ),
                        "AvailabilityZones": zones,
                        "MultiAZCapable": False,
                        "ReadReplicaCapable": False,
                        "Vpc": True,
                        "SupportsStorageEncryption": True,
                        "StorageType": storage,
                        "SupportsIops": False,
                        "SupportsEnhancedMonitoring": True,
                        "SupportsIAMDatabaseAuthentication": True,
                        "SupportsPerformanceInsights": True,
                        "AvailableProcessorFeatures": [],
                        "SupportedEngineModes": ["provisioned"],
                        "SupportsGlobalDatabases": True,
                        "SupportsClusters": True,
                        "SupportedNetworkTypes": ["IPV4"],
                        "SupportsHttpEndpoint": version.data_api,
                    }

    def account_attributes(self, call: Call) -> dict[str, Any]:
        """DescribeAccountAttributes: what is used of what may be used."""
        with self.kit.lock:
            region = self.kit.region(call)
            used = {
                "DBInstances": len(region.instances),
                "DBClusters": len(region.clusters),
                "ManualClusterSnapshots": sum(one.snapshot_type == "manual" for one in region.snapshots.values()),
                "DBClusterParameterGroups": self.cluster_groups.own(region),
                "DBParameterGroups": self.groups.own(region),
                "DBSubnetGroups": len(region.subnet_groups),
                "SubnetsPerDBSubnetGroup": max((len(one.subnets) for one in region.subnet_groups.values()), default=0),
            }
            return {
                "AccountQuotas": [
                    {"AccountQuotaName": name, "Used": used.get(name, 0), "Max": self.kit.quota(region.place, name)}
                    for name in QUOTAS
                ]
            }

    def certificates(self, call: Call) -> dict[str, Any]:
        """DescribeCertificates."""
        check_filters(call.params, {})
        wanted = call.params.get("CertificateIdentifier")
        if wanted and wanted not in CERTIFICATE_AUTHORITIES:
            raise fault("CertificateNotFoundFault", f"Certificate not found: {wanted}")
        partition, (valid_from, valid_till) = self.kit.region(call).place.partition, CERTIFICATES_VALID
        shown = [
            {
                "CertificateIdentifier": name,
                "CertificateType": "CA",
                "Thumbprint": hashlib.sha256(f"{call.region}/{name}".encode()).hexdigest()[:40],
                "ValidFrom": valid_from,
                "ValidTill": valid_till,
                "CertificateArn": f"arn:{partition}:rds:{call.region}::cert:{name}",
                "CustomerOverride": False,
            }
            for name in CERTIFICATE_AUTHORITIES
            if wanted in (None, "", name)
        ]
        return {"DefaultCertificateForNewLaunches": "rds-ca-rsa2048-g1", **page(shown, "Certificates", call.params)}

    def events(self, call: Call) -> dict[str, Any]:
        """DescribeEvents."""
        with self.kit.lock:
            return self.kit.events.describe(self.kit.region(call).place, call.params)

    def pending_maintenance(self, call: Call) -> dict[str, Any]:  # noqa: ARG002
        """DescribePendingMaintenanceActions: none; the sandbox has no maintenance of its own."""
        return {"PendingMaintenanceActions": []}

    def global_clusters(self, call: Call) -> dict[str, Any]:
        """DescribeGlobalClusters: there are none, since none can be created."""
        if wanted := call.params.get("GlobalClusterIdentifier"):
            raise fault("GlobalClusterNotFoundFault", f"Global cluster {wanted} not found.")
        return {"GlobalClusters": []}

    # ---- tags

    def add_tags(self, call: Call) -> dict[str, Any]:
        """AddTagsToResource."""
        with self.kit.lock:
            resource = self._tagged(call)
            resource.tags = {**resource.tags, **tag_map(call.params["Tags"])}
            if len(resource.tags) > 50:
                raise invalid_value("The resource has more than 50 tags.")
            return {}

    def remove_tags(self, call: Call) -> dict[str, Any]:
        """RemoveTagsFromResource."""
        with self.kit.lock:
            resource = self._tagged(call)
            resource.tags = {key: value for key, value in resource.tags.items() if key not in call.params["TagKeys"]}
            return {}

    def list_tags(self, call: Call) -> dict[str, Any]:
        """ListTagsForResource."""
        with self.kit.lock:
            return {"TagList": self._tagged(call).tag_list}

    def _tagged(self, call: Call) -> Resource:
        region: Region = self.kit.region(call)
        self.cluster_groups.groups(region)
        self.groups.groups(region)
        arn = call.params["ResourceName"]
        resource = self.kit.store.by_arn(arn)
        if resource is not None and resource.place == region.place:
            return resource
        kind = arn.split(":")[5] if arn.count(":") >= 6 else ""
        missing = {
            "cluster": "DBClusterNotFoundFault",
            "db": "DBInstanceNotFoundFault",
            "cluster-snapshot": "DBClusterSnapshotNotFoundFault",
        }.get(kind)
        if missing is None:
            raise invalid_value(f"The specified resource name does not match an RDS resource in this region: {arn}")
        raise fault(missing, f"{arn} not found.")
