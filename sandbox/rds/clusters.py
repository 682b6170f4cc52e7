"""DB clusters: describe, create, delete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.core import NotEmulated
from sandbox.rds.catalogue import DEFAULT_PORT, ENGINES, STANDARD_SUPPORT_ENDS
from sandbox.rds.endpoints import custom_address, reader_address, writer_address
from sandbox.rds.errors import fault, invalid_combination, invalid_value
from sandbox.rds.kit import TRANSIENT
from sandbox.rds.requests import check_password, filtered, identifier, only, page, tags
from sandbox.rds.settings import (
    NO_EXTENDED_SUPPORT,
    check_cluster,
    check_network_type,
    check_together,
    drawn_window,
)
from sandbox.rds.store import AVAILABLE, CREATING, DELETING, AutomatedBackup, Cluster, Encryption, Region

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.groups import ParameterGroups, SubnetGroups
    from sandbox.rds.kit import Kit
    from sandbox.rds.passwords import ManagedPasswords
    from sandbox.rds.snapshots import Snapshots

# Members of a request that a cluster just keeps and shows: request member → member of DBCluster.
KEPT = {
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "BacktrackWindow": "BacktrackWindow",
    "BackupRetentionPeriod": "BackupRetentionPeriod",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "DatabaseInsightsMode": "DatabaseInsightsMode",
    "DatabaseName": "DatabaseName",
    "DeletionProtection": "DeletionProtection",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "EngineLifecycleSupport": "EngineLifecycleSupport",
    "MonitoringInterval": "MonitoringInterval",
    "MonitoringRoleArn": "MonitoringRoleArn",
    "NetworkType": "NetworkType",
    "PerformanceInsightsKMSKeyId": "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "PreferredBackupWindow": "PreferredBackupWindow",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "PubliclyAccessible": "PubliclyAccessible",
    "ServerlessV2ScalingConfiguration": "ServerlessV2ScalingConfiguration",
    "StorageType": "StorageType",
}
DEFAULTS: Mapping[str, Any] = {
    "AutoMinorVersionUpgrade": True,
    "BackupRetentionPeriod": 1,
    "CopyTagsToSnapshot": False,
    "DatabaseInsightsMode": "standard",
    "DeletionProtection": False,
    "EnabledCloudwatchLogsExports": [],
    # Silently in paid Extended Support, once the major is old (BC:RestoreDBClusterFromSnapshot.EngineLifecycleSupport).
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "IAMDatabaseAuthenticationEnabled": False,
    "NetworkType": "IPV4",
    "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
    "StorageType": "aurora",
}
_CREATE = {
    *KEPT,
    *("AvailabilityZones", "DBClusterIdentifier", "DBClusterParameterGroupName", "DBSubnetGroupName", "Engine"),
    "EnableHttpEndpoint",
    *("EngineMode", "EngineVersion", "KmsKeyId", "ManageMasterUserPassword", "MasterUserPassword", "MasterUsername"),
    *("MasterUserSecretKmsKeyId", "Port", "StorageEncrypted", "Tags", "VpcSecurityGroupIds"),
}
_RESERVED_USERS = {"rdsadmin", "rds_superuser", "rdsrepladmin", "rdsproxyadmin", "admin1", "user", "public"}


class Clusters:
    """Clusters, without Restore and Modify, which have modules of their own."""

    def __init__(
        self,
        kit: Kit,
        *,
        servers: Servers,
        subnet_groups: SubnetGroups,
        parameter_groups: ParameterGroups,
        passwords: ManagedPasswords,
        snapshots: Snapshots,
    ) -> None:
        self.kit = kit
        self.servers = servers
        self.subnet_groups = subnet_groups
        self.parameter_groups = parameter_groups
        self.passwords = passwords
        self.snapshots = snapshots
        self.operations = {
            "DescribeDBClusters": self.describe,
            "CreateDBCluster": self.create,
            "DeleteDBCluster": self.delete,
        }

    # ---- DescribeDBClusters

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeDBClusters: by id or ARN, by filters, in pages; with IncludeShared also what others share."""
        with self.kit.lock:
            region, params = self.kit.region(call), call.params
            clusters = sorted(region.clusters.values(), key=lambda cluster: cluster.identifier)
            shared = self._shared_with(call) if params.get("IncludeShared") else []
            clusters += shared
            if wanted := params.get("DBClusterIdentifier"):
                cluster = next((one for one in shared if one.arn == wanted), None)
                cluster = cluster or self.kit.seen(self.find(region, wanted))
                if cluster is None:
                    raise not_found(wanted)
                clusters = [cluster]
            known = {
                "db-cluster-id": lambda cluster: (cluster.identifier, cluster.arn),
                "db-cluster-resource-id": lambda cluster: cluster.resource_id,
                "engine": lambda cluster: cluster.engine,
                "domain": lambda _: (),
                "clone-group-id": lambda cluster: cluster.clone_group or (),
            }
            found = filtered(clusters, params, known)
            return page([self.shown(cluster) for cluster in found], "DBClusters", params)

    def _shared_with(self, call: Call) -> list[Cluster]:
        """What other accounts share by AWS RAM in this very region."""
        found = [
            cluster
            for region in self.kit.store
            if region.place.region == call.region
            for cluster in region.clusters.values()
            if call.account in cluster.shared_with
        ]
        return sorted(found, key=lambda cluster: cluster.arn)

    @staticmethod
    def find(region: Region, wanted: str) -> Cluster | None:
        """Return the cluster with this identifier or ARN."""
        if wanted.startswith("arn:"):
            return next((cluster for cluster in region.clusters.values() if cluster.arn == wanted), None)
        return region.clusters.get(wanted.lower())

    def get(self, region: Region, wanted: str) -> Cluster:
        """Return the cluster or refuse."""
        cluster = self.find(region, wanted)
        if cluster is None:
            raise not_found(wanted)
        return cluster

    def shown(self, cluster: Cluster) -> dict[str, Any]:
        """Return the botocore DBCluster."""
        settings = dict(cluster.settings)
        if settings.get("StorageType") == "aurora":
            del settings["StorageType"]  # returned only when it is aurora-iopt1 (BC:DBCluster.StorageType)
        zones = cluster.subnet_group.zones[:3]
        used_zones = {instance.zone for instance in cluster.instances}
        shown: dict[str, Any] = {
            **settings,
            **cluster.encryption.describe(),
            "DBClusterIdentifier": cluster.identifier,
            "DBClusterArn": cluster.arn,
            "DbClusterResourceId": cluster.resource_id,
            "Status": cluster.status,
            "Engine": cluster.engine,
            "EngineMode": "provisioned",
            "EngineVersion": cluster.engine_version,
            "AllocatedStorage": 1,  # of a volume that grows by itself this tells nothing; snapshots show the size
            "AvailabilityZones": zones,
            "ClusterCreateTime": cluster.created,
            "MultiAZ": len(used_zones) > 1,
            "Endpoint": writer_address(cluster),
            "ReaderEndpoint": reader_address(cluster),
            "Port": cluster.endpoint_port or cluster.port,
            "HostedZoneId": "Z29XKXDKYMONMX",
            "MasterUsername": cluster.master_username,
            "DBClusterParameterGroup": cluster.parameter_group,
            "DBSubnetGroup": cluster.subnet_group.identifier,
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": group, "Status": "active"} for group in cluster.security_groups
            ],
            "DBClusterMembers": [
                {
                    "DBInstanceIdentifier": instance.identifier,
                    "IsClusterWriter": instance.writer,
                    "DBClusterParameterGroupStatus": instance.cluster_parameters,
                    "PromotionTier": instance.promotion_tier,
                }
                for instance in cluster.instances
            ],
            "AssociatedRoles": [role.describe() for role in cluster.roles],
            "DomainMemberships": [],
            "ReadReplicaIdentifiers": [],
            "DBClusterOptionGroupMemberships": [],
            "HttpEndpointEnabled": cluster.data_api,
            "CrossAccountClone": cluster.foreign_source is not None,
            "ActivityStreamStatus": "stopped",
            "TagList": cluster.tag_list,
        }
        if cluster.custom_endpoints:
            shown["CustomEndpoints"] = [custom_address(endpoint) for endpoint in cluster.custom_endpoints]
        if cluster.clone_group is not None:
            shown["CloneGroupId"] = cluster.clone_group
        if cluster.pending:
            shown["PendingModifiedValues"] = dict(cluster.pending)
        if cluster.secret is not None:
            secret = cluster.secret
            shown["MasterUserSecret"] = {
                "SecretArn": secret.arn,
                "SecretStatus": secret.status,
                "KmsKeyId": secret.key,
            }
        if (window := self.restorable(cluster)) is not None:
            shown["EarliestRestorableTime"], shown["LatestRestorableTime"] = window
        return shown

    def restorable(self, cluster: Cluster) -> tuple[datetime, datetime] | None:
        """Return the earliest and the latest time that a cluster can be restored to; None while there is none."""
        since = cluster.restorable_since
        if since is None:
            return None
        now = self.kit.clock.now()
        earliest = max(since, now - timedelta(days=cluster.settings["BackupRetentionPeriod"]))
        return earliest, max(earliest, now - timedelta(seconds=self.kit.timings.restorable_lag))

    # ---- CreateDBCluster

    def create(self, call: Call) -> dict[str, Any]:
        """CreateDBCluster."""
        params = call.params
        only(params, call.operation, _CREATE)
        name = identifier(params["DBClusterIdentifier"], "DBClusterIdentifier")
        version = self.version(params["Engine"], params.get("EngineVersion"))
        user = self._master_user(version, params.get("MasterUsername"))
        self.check_settings(version, params)
        secret = self.passwords.plan(call, params) if params.get("ManageMasterUserPassword") else None
        password = params.get("MasterUserPassword")
        if secret is None and not password:
            raise invalid_value("The parameter MasterUserPassword must be provided and must not be blank.")
        if password:
            check_password(version.engine, password)
        if params.get("EnableHttpEndpoint"):
            # BC: "you must have a DB instance" is said of EnableHttpEndpoint; at a create it waits for the first one.
            check_data_api(version, call.region)
        if key := params.get("KmsKeyId"):
            if params.get("StorageEncrypted") is False:
                raise invalid_combination("KmsKeyId cannot be specified without StorageEncrypted.")
            encryption = Encryption("sse-kms", self.kit.usable_key(call, key).arn)
        else:
            encryption = self.kit.default_encryption(call, asked=bool(params.get("StorageEncrypted")))
        self.kit.service_linked_role(call)
        with self.kit.lock:
            cluster = self.add(call, name, version, user, encryption, params)
            if secret is not None:
                password = self.passwords.create(cluster, secret)
            cluster.master_password = password
            cluster.data_api = bool(params.get("EnableHttpEndpoint"))
            work = self.servers.create_volume(cluster, params.get("DatabaseName"))

            def done() -> None:
                cluster.restorable_since = self.kit.clock.now()
                self.kit.events.emit(cluster, "RDS-EVENT-0170")

            self.kit.walk(cluster, [(CREATING, self.kit.timings.cluster_create)], done, work=work)
            return {"DBCluster": self.shown(cluster)}

    def add(
        self,
        call: Call,
        name: str,
        version: Version,
        user: str,
        encryption: Encryption,
        params: Mapping[str, Any],
        *,
        inherited: Mapping[str, Any] | None = None,
    ) -> Cluster:
        """Enter a new cluster, created or restored. Call with the lock held."""
        region = self.kit.region(call)
        if name in region.clusters:
            raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        most = self.kit.quota(region.place, "DBClusters")
        if len(region.clusters) >= most:
            raise fault("DBClusterQuotaExceededFault", f"Cannot create more than {most} DB clusters")
        group = self.subnet_groups.resolve(call, params.get("DBSubnetGroupName"))
        parameter_group = self.parameter_groups.resolve(call, params.get("DBClusterParameterGroupName"), version)
        security_groups = self.subnet_groups.security_groups(call, params.get("VpcSecurityGroupIds"), group.vpc)
        check_network_type(group, params.get("NetworkType"))
        given = {shown: params[member] for member, shown in KEPT.items() if params.get(member) is not None}
        settings = {**DEFAULTS, **{k: v for k, v in (inherited or {}).items() if k in DEFAULTS}, **given}
        # BC: drawn by lot, and so that it "must not conflict with the preferred maintenance window".
        settings.setdefault("PreferredBackupWindow", drawn_window(name, settings["PreferredMaintenanceWindow"]))
        complete(settings)
        check_together(settings)
        now = self.kit.clock.now()
        cluster = Cluster(
            place=region.place,
            identifier=name,
            created=now,
            tags=tags(params),
            versions=[(now, version.name)],
            resource_id=self.kit.store.resource_id("cluster", region.place.arn("cluster", name)),
            engine=version.engine,
            engine_version=version.name,
            port=params.get("Port") or (inherited or {}).get("Port") or DEFAULT_PORT[version.engine],
            master_username=user,
            encryption=encryption,
            subnet_group=group,
            parameter_group=parameter_group,
            security_groups=security_groups,
            settings=settings,
        )
        region.clusters[name] = cluster
        self.kit.hide(cluster)
        return cluster

    def version(self, engine: str, name: str | None) -> Version:
        """Return the version asked for, or the engine's default one in the Region."""
        if engine not in ENGINES:
            if engine in ("mysql", "postgres", "neptune", "docdb"):
                raise NotEmulated(f"rds with engine {engine}")
            raise invalid_value("Invalid DB engine")
        catalogue = self.kit.catalogue
        if not name:
            return catalogue.default(engine)
        majors = {version.major for version in catalogue if version.engine == engine}
        version = catalogue.default(engine, name) if name in majors else catalogue.offered(engine, name)
        if version is None:
            raise invalid_combination(f"Cannot find version {name} for {engine}")
        return version

    @staticmethod
    def check_settings(version: Version, params: Mapping[str, Any]) -> None:
        """Check values that Create, Restore and Modify share."""
        check_cluster(version, params)

    def in_support(self, version: Version, params: Mapping[str, Any]) -> Version:
        """Return the version that a restore really ends with.

        Whoever turns Extended Support off gets a later major when the one asked for is past its standard support
        (BC:RestoreDBClusterFromSnapshot.EngineLifecycleSupport): the lowest that still has it.
        """
        if params.get("EngineLifecycleSupport") != NO_EXTENDED_SUPPORT:
            return version
        now = self.kit.clock.now()
        for target in (version, *self.kit.catalogue.targets(version)):
            if STANDARD_SUPPORT_ENDS[target.engine, target.major] >= now:
                return target
        return version

    @staticmethod
    def _master_user(version: Version, user: str | None) -> str:
        if not user:
            raise invalid_value("The parameter MasterUsername must be provided and must not be blank.")
        longest = 16 if version.engine == "aurora-mysql" else 63
        if len(user) > longest or not user[0].isalpha() or not user.replace("_", "").isalnum():
            raise invalid_value(f"The parameter MasterUsername is not a valid identifier: {user}")
        reserved = _RESERVED_USERS | ({"admin"} if version.engine == "aurora-postgresql" else set())
        if user.lower() in reserved:
            raise invalid_value(f"MasterUsername {user} cannot be used as it is a reserved word used by the engine")
        return user

    # ---- DeleteDBCluster

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteDBCluster: its members must be deleting, protection off, and a final snapshot named or skipped."""
        params = call.params
        only(
            params,
            call.operation,
            {"DBClusterIdentifier", "SkipFinalSnapshot", "FinalDBSnapshotIdentifier", "DeleteAutomatedBackups"},
        )
        final = params.get("FinalDBSnapshotIdentifier")
        if params.get("SkipFinalSnapshot") and final:
            raise invalid_combination(
                "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified."
            )
        if not params.get("SkipFinalSnapshot") and not final:
            raise invalid_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
        if final:
            self._may_take_final_snapshot(call, final)
        with self.kit.lock:
            region = self.kit.region(call)
            cluster = self.get(region, params["DBClusterIdentifier"])
            self._check_deletable(cluster, final)
            if final:
                self.snapshots.take(cluster, identifier(final, "FinalDBSnapshotIdentifier", 255), "manual", {})
            retained = params.get("DeleteAutomatedBackups") is False
            if not retained:
                self.snapshots.drop_automated(cluster)
            self._remove(region, cluster, retained=retained)
            return {"DBCluster": self.shown(cluster)}

    def _may_take_final_snapshot(self, call: Call, final: str) -> None:
        """Since February 2025 a final snapshot needs rds:CreateDBClusterSnapshot of the caller (AWS notice)."""
        with self.kit.lock:
            place = self.kit.region(call).place
            cluster = self.get(self.kit.region(call), call.params["DBClusterIdentifier"])
        for arn in (cluster.arn, place.arn("cluster-snapshot", final.lower())):
            self.kit.as_caller(call, "rds:CreateDBClusterSnapshot", arn)

    @staticmethod
    def _check_deletable(cluster: Cluster, final: str | None) -> None:
        if cluster.settings["DeletionProtection"]:
            raise invalid_combination(
                "Cannot delete protected Cluster, please disable deletion protection and try again."
            )
        if any(instance.status != DELETING for instance in cluster.instances):
            raise fault(
                "InvalidDBClusterStateFault",
                "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
            )
        if cluster.status in TRANSIENT or (final and cluster.status != AVAILABLE):
            raise not_available(cluster)

    def _remove(self, region: Region, cluster: Cluster, *, retained: bool) -> None:
        window = self.restorable(cluster) if retained else None

        def done() -> None:
            if cluster.instances:  # the last members are on their way: look again
                self.kit.walk(cluster, [(DELETING, 5)], done, final=None)
                return
            self.passwords.delete(cluster)
            self.kit.events.emit(cluster, "RDS-EVENT-0171")
            region.clusters.pop(cluster.identifier, None)
            for endpoint in cluster.custom_endpoints:
                region.cluster_endpoints.pop(endpoint.identifier, None)
            if window is not None:
                self._retain(region, cluster, window[1])
            else:
                self.servers.delete_volume(cluster.volume)

        cluster.changing = False
        self.kit.walk(cluster, [(DELETING, self.kit.timings.cluster_delete)], done, final=None)

    def _retain(self, region: Region, cluster: Cluster, latest: datetime) -> None:
        """Keep the automated backups of a deleted cluster for its retention period (Aurora.Managing.Backups)."""
        backup = AutomatedBackup(
            place=region.place,
            identifier=f"ab-{cluster.volume.removeprefix('cluster-')}",
            created=self.kit.clock.now(),
            status="retained",
            tags=dict(cluster.tags),
            cluster=cluster,
            latest=latest,
        )
        region.automated_backups[cluster.resource_id] = backup
        expires = backup.created + timedelta(days=cluster.settings["BackupRetentionPeriod"])
        self.kit.clock.call_at(expires, lambda: self.drop_backup(backup), background=True)

    def drop_backup(self, backup: AutomatedBackup) -> None:
        """Forget a retained backup, with the volume that it kept."""
        with self.kit.lock:
            region = self.kit.store.region(backup.place.account, backup.place.region)
            if region.automated_backups.get(backup.cluster.resource_id) is backup:
                del region.automated_backups[backup.cluster.resource_id]
                self.servers.delete_volume(backup.cluster.volume)


def not_found(wanted: str) -> Exception:
    """Return the error for a cluster that is not there."""
    return fault("DBClusterNotFoundFault", f"DBCluster {wanted} not found.")


def not_available(cluster: Cluster) -> Exception:
    """Return the error for a cluster that is busy or broken."""
    return fault(
        "InvalidDBClusterStateFault",
        f"DbCluster {cluster.identifier} is not currently in the available state (it is {cluster.status}).",
    )


# The Data API is not everywhere (Data API regions page).
_WITHOUT_DATA_API = ("ap-south-2", "ap-southeast-4", "ca-west-1", "eu-central-2")


def check_data_api(version: Version, region: str) -> None:
    """Refuse a Data API where AWS has none."""
    if region in _WITHOUT_DATA_API or region.startswith(("cn-", "us-gov-")):
        raise invalid_combination(f"The RDS Data API isn't available in {region}.")
    if not version.data_api:
        raise invalid_combination(f"The RDS Data API isn't supported for {version.engine} {version.name}.")


def complete(settings: dict[str, Any]) -> None:
    """Fill in what AWS fills in (BC): the retention of insights, the pause of a cluster that scales to zero."""
    if settings.get("PerformanceInsightsEnabled"):
        settings.setdefault("PerformanceInsightsRetentionPeriod", 7)
    scaling = settings.get("ServerlessV2ScalingConfiguration")
    if scaling and scaling.get("MinCapacity") == 0 and "SecondsUntilAutoPause" not in scaling:
        settings["ServerlessV2ScalingConfiguration"] = {**scaling, "SecondsUntilAutoPause": 300}
