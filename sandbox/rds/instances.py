"""DB instances as members of Aurora clusters: create, describe, modify, reboot, delete, fail over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.core import NotEmulated
from sandbox.rds.catalogue import CERTIFICATE_AUTHORITIES, CERTIFICATES_VALID, DEFAULT_CERTIFICATE_AUTHORITY
from sandbox.rds.clusters import KEPT, complete, not_available
from sandbox.rds.endpoints import instance_address
from sandbox.rds.errors import fault, invalid_combination
from sandbox.rds.groups import describe_subnet_group
from sandbox.rds.modify import OF_INSTANCES
from sandbox.rds.requests import filtered, identifier, only, page, tags
from sandbox.rds.settings import check_instance, check_monitoring_role
from sandbox.rds.store import AVAILABLE, CREATING, DELETING, Cluster, Instance, Region

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.clusters import Clusters
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.groups import ParameterGroups
    from sandbox.rds.kit import Kit, Phase
    from sandbox.rds.passwords import ManagedPasswords

# Request members that an instance keeps and shows: request member → member of DBInstance.
_KEPT = {
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "CACertificateIdentifier": "CACertificateIdentifier",
    "CopyTagsToSnapshot": "CopyTagsToSnapshot",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "MonitoringInterval": "MonitoringInterval",
    "MonitoringRoleArn": "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId": "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod": "PerformanceInsightsRetentionPeriod",
    "PreferredMaintenanceWindow": "PreferredMaintenanceWindow",
    "PubliclyAccessible": "PubliclyAccessible",
}
_DEFAULTS = {
    "AutoMinorVersionUpgrade": True,
    "CACertificateIdentifier": DEFAULT_CERTIFICATE_AUTHORITY,
    "CopyTagsToSnapshot": False,
    "MonitoringInterval": 0,
    "PerformanceInsightsEnabled": False,
    "PubliclyAccessible": False,
}
# Belongs to the cluster, and is refused for a member (BC:CreateDBInstance).
_CLUSTER_LEVEL = {
    "AllocatedStorage": "allocated storage",
    "BackupRetentionPeriod": "backup retention period",
    "DBName": "database name",
    "DeletionProtection": "deletion protection",
    "EnableIAMDatabaseAuthentication": "IAM database authentication",
    "EnableCloudwatchLogsExports": "CloudWatch Logs exports",
    "KmsKeyId": "KMS key",
    "ManageMasterUserPassword": "master user password",
    "MasterUserPassword": "master user password",
    "MasterUserSecretKmsKeyId": "master user secret",
    "MasterUsername": "master user name",
    "Port": "database endpoint port number",
    "PreferredBackupWindow": "backup window",
    "StorageEncrypted": "encryption",
    "StorageType": "storage type",
    "VpcSecurityGroupIds": "vpc security group",
}
_CREATE = {
    *_KEPT,
    *("AvailabilityZone", "DBClusterIdentifier", "DBInstanceClass", "DBInstanceIdentifier", "DBParameterGroupName"),
    *("DBSubnetGroupName", "DatabaseInsightsMode", "Engine", "EngineVersion", "LicenseModel", "MultiAZ"),
    *("NetworkType", "PromotionTier", "Tags"),
}
_MODIFY = {
    *_KEPT,
    *("ApplyImmediately", "CertificateRotationRestart", "DBInstanceClass", "DBInstanceIdentifier"),
    *("DBParameterGroupName", "NewDBInstanceIdentifier", "PromotionTier"),
}


class Instances:
    """See the module's description."""

    def __init__(
        self,
        kit: Kit,
        *,
        servers: Servers,
        clusters: Clusters,
        parameter_groups: ParameterGroups,
        passwords: ManagedPasswords,
    ) -> None:
        self.kit = kit
        self.servers = servers
        self.clusters = clusters
        self.parameter_groups = parameter_groups
        self.passwords = passwords
        self.operations = {
            "CreateDBInstance": self.create,
            "DescribeDBInstances": self.describe,
            "ModifyDBInstance": self.modify,
            "RebootDBInstance": self.reboot,
            "DeleteDBInstance": self.delete,
        }

    # ---- DescribeDBInstances

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeDBInstances."""
        with self.kit.lock:
            region, params = self.kit.region(call), call.params
            instances = sorted(region.instances.values(), key=lambda instance: instance.identifier)
            if wanted := params.get("DBInstanceIdentifier"):
                instance = self.kit.seen(self._find(region, wanted))
                if instance is None:
                    raise _not_found(wanted)
                instances = [instance]
            known = {
                "db-cluster-id": lambda one: (one.cluster.identifier, one.cluster.arn),
                "db-instance-id": lambda one: (one.identifier, one.arn),
                "dbi-resource-id": lambda one: one.resource_id,
                "engine": lambda one: one.cluster.engine,
                "domain": lambda _: (),
            }
            return page([self.shown(one) for one in filtered(instances, params, known)], "DBInstances", params)

    def shown(self, instance: Instance) -> dict[str, Any]:
        """Return the botocore DBInstance."""
        cluster = instance.cluster
        settings = cluster.settings
        shown: dict[str, Any] = {
            "PreferredMaintenanceWindow": settings["PreferredMaintenanceWindow"],
            **instance.settings,
            **cluster.encryption.describe(),
            "DBInstanceIdentifier": instance.identifier,
            "DBInstanceArn": instance.arn,
            "DbiResourceId": instance.resource_id,
            "DBInstanceClass": instance.instance_class,
            "DBInstanceStatus": instance.status,
            "DBClusterIdentifier": cluster.identifier,
            "Engine": cluster.engine,
            "EngineVersion": instance.engine_version or cluster.engine_version,
            "MasterUsername": cluster.master_username,
            "AllocatedStorage": 1,
            "StorageType": settings["StorageType"],
            "InstanceCreateTime": instance.created,
            "AvailabilityZone": instance.zone,
            "MultiAZ": False,
            "DbInstancePort": 0,
            "BackupRetentionPeriod": settings["BackupRetentionPeriod"],
            "PreferredBackupWindow": settings["PreferredBackupWindow"],
            "IAMDatabaseAuthenticationEnabled": settings["IAMDatabaseAuthenticationEnabled"],
            "DatabaseInsightsMode": settings["DatabaseInsightsMode"],
            "DeletionProtection": settings["DeletionProtection"],
            "NetworkType": settings["NetworkType"],
            "EngineLifecycleSupport": settings["EngineLifecycleSupport"],
            "EnabledCloudwatchLogsExports": settings["EnabledCloudwatchLogsExports"],
            "LicenseModel": "general-public-license" if cluster.engine == "aurora-mysql" else "postgresql-license",
            "PromotionTier": instance.promotion_tier,
            "DBSecurityGroups": [],
            "VpcSecurityGroups": [
                {"VpcSecurityGroupId": group, "Status": "active"} for group in cluster.security_groups
            ],
            "DBParameterGroups": [
                {
                    "DBParameterGroupName": instance.parameter_group,
                    "ParameterApplyStatus": instance.instance_parameters,
                }
            ],
            "DBSubnetGroup": {
                key: value
                for key, value in describe_subnet_group(cluster.subnet_group).items()
                if key not in ("DBSubnetGroupArn", "SupportedNetworkTypes")
            },
            "PendingModifiedValues": dict(instance.pending),
            "ReadReplicaDBInstanceIdentifiers": [],
            "OptionGroupMemberships": [],
            "DomainMemberships": [],
            "AssociatedRoles": [],
            "CertificateDetails": {
                "CAIdentifier": instance.settings["CACertificateIdentifier"],
                "ValidTill": CERTIFICATES_VALID[1],
            },
            "TagList": instance.tag_list,
        }
        if instance.settings.get("MonitoringInterval"):
            place = instance.place
            shown["EnhancedMonitoringResourceArn"] = (
                f"arn:{place.partition}:logs:{place.region}:{place.account}:log-group:RDSOSMetrics:log-stream:"
                f"{instance.resource_id}"
            )
        if instance.status != CREATING:
            shown["Endpoint"] = {
                "Address": instance_address(instance),
                "Port": instance.port or cluster.port,
                "HostedZoneId": "Z29XKXDKYMONMX",
            }
        return shown

    @staticmethod
    def _find(region: Region, wanted: str) -> Instance | None:
        if wanted.startswith("arn:"):
            return next((one for one in region.instances.values() if one.arn == wanted), None)
        return region.instances.get(wanted.lower())

    def get(self, region: Region, wanted: str) -> Instance:
        """Return the instance or refuse."""
        instance = self._find(region, wanted)
        if instance is None:
            raise _not_found(wanted)
        return instance

    # ---- CreateDBInstance

    def create(self, call: Call) -> dict[str, Any]:
        """CreateDBInstance: only in an available cluster; the first one is the writer."""
        params = call.params
        if not params.get("DBClusterIdentifier"):
            raise NotEmulated("rds:CreateDBInstance outside an Aurora cluster")
        for member, what in _CLUSTER_LEVEL.items():
            if params.get(member) is not None:
                raise invalid_combination(
                    f"The requested DB Instance will be a member of a DB Cluster. Set {what} for the DB Cluster."
                )
        only(params, call.operation, _CREATE)
        check_instance(params)
        name = identifier(params["DBInstanceIdentifier"], "DBInstanceIdentifier")
        if params.get("MonitoringInterval"):
            self._may_monitor(call)
        with self.kit.lock:
            region = self.kit.region(call)
            cluster = self.clusters.get(region, params["DBClusterIdentifier"])
            version = self._check(region, cluster, name, call)
            group = self.parameter_groups.resolve(call, params.get("DBParameterGroupName"), version)
            writer = cluster.writer is None
            instance = Instance(
                place=region.place,
                identifier=name,
                created=self.kit.clock.now(),
                tags=tags(params),
                resource_id=self.kit.store.resource_id("db", region.place.arn("db", name)),
                instance_class=params["DBInstanceClass"],
                cluster=cluster,
                zone=self._zone(cluster, params.get("AvailabilityZone")),
                writer=writer,
                promotion_tier=1 if params.get("PromotionTier") is None else params["PromotionTier"],
                parameter_group=group,
                settings=_settings(cluster, params),
            )
            region.instances[name] = instance
            cluster.instances.append(instance)
            self.kit.hide(instance)
            if writer:
                work = self.servers.start_writer(cluster, instance)
            else:
                work = self.servers.open_instance(cluster, instance)
            self.kit.walk(instance, self._phases(instance), lambda: self._created(instance), work=work)
            return {"DBInstance": self.shown(instance)}

    def _may_monitor(self, call: Call) -> None:
        role = call.params.get("MonitoringRoleArn")
        if not role:
            raise invalid_combination(
                "A MonitoringRoleARN value is required if you specify a MonitoringInterval other than 0."
            )
        self.kit.as_caller(call, "iam:PassRole", role, **{"iam:PassedToService": "monitoring.rds.amazonaws.com"})

    def _check(self, region: Region, cluster: Cluster, name: str, call: Call) -> Version:
        params = call.params
        if name in region.instances:
            raise fault("DBInstanceAlreadyExistsFault", "DB instance already exists")
        if len(region.instances) >= self.kit.quota(region.place, "DBInstances"):
            raise fault(
                "InstanceQuotaExceededFault", "The request would exceed the number of DB instances you may have."
            )
        if cluster.status != AVAILABLE:
            # "You can create DB instances only after … the DB cluster is available" (BC:RestoreDBClusterFromSnapshot).
            raise not_available(cluster)
        if params["Engine"] != cluster.engine:
            raise invalid_combination(
                f"The engine name requested for your DB instance ({params['Engine']}) doesn't match the engine name of "
                f"your DB cluster ({cluster.engine})."
            )
        if params.get("EngineVersion") not in (None, cluster.engine_version):
            raise invalid_combination(
                f"The engine version that you requested for your DB instance ({params['EngineVersion']}) does not "
                f"match the engine version of your DB cluster ({cluster.engine_version})."
            )
        if params.get("DBSubnetGroupName") not in (None, cluster.subnet_group.identifier):
            raise invalid_combination("The DB subnet group of a DB instance must be the one of its DB cluster.")
        for member in ("DatabaseInsightsMode", "NetworkType"):
            if params.get(member) not in (None, cluster.settings[member]):
                raise invalid_combination(
                    f"The requested DB Instance will be a member of a DB Cluster. Set {member} for the DB Cluster, "
                    f"where it is {cluster.settings[member]}."
                )
        version = self.kit.catalogue.known(cluster.engine, cluster.upgrade_to or cluster.engine_version)
        assert version is not None, "a cluster has a version that the catalogue knows"
        _check_certificate(version, params.get("CACertificateIdentifier"))
        self._check_class(cluster, version, params["DBInstanceClass"])
        return version

    @staticmethod
    def _check_class(cluster: Cluster, version: Version, wanted: str) -> None:
        if wanted not in version.classes():
            license_model = "general-public-license" if cluster.engine == "aurora-mysql" else "postgresql-license"
            raise invalid_combination(
                "RDS does not support creating a DB instance with the following combination: "
                f"DBInstanceClass={wanted}, Engine={cluster.engine}, EngineVersion={version.name}, "
                f"LicenseModel={license_model}. For supported combinations of instance class and database engine "
                "version, see the documentation."
            )
        if wanted == "db.serverless" and "ServerlessV2ScalingConfiguration" not in cluster.settings:
            raise fault(
                "InvalidDBClusterStateFault",
                "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 "
                "DB instance.",
            )

    @staticmethod
    def _zone(cluster: Cluster, wanted: str | None) -> str:
        zones = cluster.subnet_group.zones
        if wanted is None:
            return zones[len(cluster.instances) % len(zones)]
        if wanted not in zones:
            raise invalid_combination(f"The DB subnet group of the DB cluster has no subnet in {wanted}.")
        return wanted

    def _phases(self, instance: Instance) -> list[Phase]:
        """Creating, then what has to be configured on a fresh instance, one after the other (AUG-STATUS)."""
        timings, settings = self.kit.timings, instance.cluster.settings
        phases = [(CREATING, timings.instance_create + (timings.upgrade if instance.cluster.upgrade_to else 0))]
        if settings["EnabledCloudwatchLogsExports"]:
            phases.append(("configuring-log-exports", timings.instance_configure))
        if settings["IAMDatabaseAuthenticationEnabled"]:
            phases.append(("configuring-iam-database-auth", timings.instance_configure))
        if instance.settings["MonitoringInterval"]:
            phases.append(("configuring-enhanced-monitoring", timings.instance_configure))
        return phases

    def _created(self, instance: Instance) -> None:
        cluster = instance.cluster
        self.kit.events.emit(instance, "RDS-EVENT-0005")
        if instance.writer and cluster.upgrade_to:
            self._upgrade(cluster, cluster.upgrade_to)
        self.passwords.settle(cluster)

    def _upgrade(self, cluster: Cluster, target: str) -> None:
        """Upgrade a restored Aurora MySQL 2: if the prechecks fail, the cluster stays as it was, and available."""
        cluster.upgrade_to = None
        if message := self.kit.injections.take(self.kit.injections.failed_upgrades, cluster):
            self.kit.events.emit_text(cluster, "RDS-EVENT-0174", message, "maintenance")
            return
        cluster.engine_version = target
        cluster.versions.append((self.kit.clock.now(), target))
        self.kit.events.emit(cluster, "RDS-EVENT-0176")

    # ---- ModifyDBInstance, RebootDBInstance

    def modify(self, call: Call) -> dict[str, Any]:
        """ModifyDBInstance: class, parameter group, tier, monitoring, name."""
        params = call.params
        only(params, call.operation, _MODIFY)
        check_instance(params)
        if params.get("MonitoringInterval"):
            self._may_monitor(call)
        with self.kit.lock:
            region = self.kit.region(call)
            instance = self.get(region, params["DBInstanceIdentifier"])
            self._must_be_available(instance)
            cluster, timings = instance.cluster, self.kit.timings
            version = self.kit.catalogue.known(cluster.engine, cluster.engine_version)
            assert version is not None, "a cluster has a version that the catalogue knows"
            group = self.parameter_groups.resolve(
                call, params.get("DBParameterGroupName") or instance.parameter_group, version
            )
            wanted_class, new_name = params.get("DBInstanceClass"), params.get("NewDBInstanceIdentifier")
            _check_certificate(version, params.get("CACertificateIdentifier"))
            if wanted_class:
                self._check_class(cluster, version, wanted_class)
            if new_name:
                new_name = identifier(new_name, "NewDBInstanceIdentifier")
                if new_name in region.instances:
                    raise fault("DBInstanceAlreadyExistsFault", "DB instance already exists")
            pending = {"DBInstanceClass": wanted_class, "DBInstanceIdentifier": new_name}
            instance.pending.update({name: value for name, value in pending.items() if value})
            instance.settings.update(_given(params))
            complete(instance.settings)
            if params.get("PromotionTier") is not None:
                instance.promotion_tier = params["PromotionTier"]
            if group != instance.parameter_group:
                instance.parameter_group, instance.instance_parameters = group, "pending-reboot"
            phases: list[Phase] = [(AVAILABLE, timings.modify_lag)]
            immediate = bool(params.get("ApplyImmediately"))
            if (wanted_class and immediate) or _given(params):
                phases.append(("modifying", timings.instance_modify))
            if new_name and immediate:
                phases += [("renaming", timings.rename), ("rebooting", timings.reboot)]
            self.kit.walk(instance, phases, lambda: self._modified(region, instance, immediate=immediate))
            return {"DBInstance": self.shown(instance)}

    def _modified(self, region: Region, instance: Instance, *, immediate: bool) -> None:
        if not immediate:
            return
        if wanted_class := instance.pending.pop("DBInstanceClass", None):
            instance.instance_class = wanted_class
            self.kit.events.emit(instance, "RDS-EVENT-0014")
        if new_name := instance.pending.pop("DBInstanceIdentifier", None):
            keys = self.servers.keys(instance.cluster)
            del region.instances[instance.identifier]
            instance.identifier = new_name
            region.instances[new_name] = instance
            self.servers.reopen(instance.cluster, keys)

    def reboot(self, call: Call) -> dict[str, Any]:
        """RebootDBInstance: what waited for a reboot is in sync afterwards."""
        with self.kit.lock:
            instance = self.get(self.kit.region(call), call.params["DBInstanceIdentifier"])
            self._must_be_available(instance)
            if call.params.get("ForceFailover"):
                raise invalid_combination("ForceFailover can't be specified for a member of an Aurora DB cluster.")

            def done() -> None:
                instance.cluster_parameters = instance.instance_parameters = "in-sync"
                self.kit.events.emit(instance, "RDS-EVENT-0006")

            work = self.servers.restart(instance.cluster) if instance.writer else None
            self.kit.walk(instance, [("rebooting", self.kit.timings.reboot)], done, work=work)
            return {"DBInstance": self.shown(instance)}

    @staticmethod
    def _must_be_available(instance: Instance) -> None:
        if instance.status != AVAILABLE:
            raise fault(
                "InvalidDBInstanceStateFault",
                f"Database instance {instance.identifier} is not in available state (it is {instance.status}).",
            )

    # ---- DeleteDBInstance

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteDBInstance: also in a cluster with deletion protection; a member has no final snapshot of its own."""
        params = call.params
        with self.kit.lock:
            region = self.kit.region(call)
            instance = self.get(region, params["DBInstanceIdentifier"])
            if params.get("FinalDBSnapshotIdentifier"):
                raise invalid_combination(
                    "FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance."
                )
            if instance.status == DELETING:
                raise fault("InvalidDBInstanceStateFault", f"Instance {instance.identifier} is already being deleted.")
            cluster = instance.cluster
            staying = [one for one in cluster.instances if one.status != DELETING and one is not instance]
            if instance.writer and staying:
                self._fail_over(instance, staying)

            def done() -> None:
                cluster.instances.remove(instance)
                region.instances.pop(instance.identifier, None)
                self.servers.close_instance(cluster, instance, last=not cluster.instances)
                self.kit.events.emit(instance, "RDS-EVENT-0003")

            self.kit.walk(instance, [(DELETING, self.kit.timings.instance_delete)], done, final=None)
            return {"DBInstance": self.shown(instance)}

    def _fail_over(self, writer: Instance, staying: list[Instance]) -> None:
        """The reader of the lowest tier becomes the writer."""
        heir = min(staying, key=lambda one: (one.promotion_tier, one.created))
        writer.writer, heir.writer = False, True
        self.kit.events.emit(writer.cluster, "RDS-EVENT-0071", heir.identifier)


def _given(params: Any) -> dict[str, Any]:
    return {shown: params[member] for member, shown in _KEPT.items() if params.get(member) is not None}


def _settings(cluster: Cluster, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new instance's settings: its own, then its cluster's, then the defaults."""
    inherited = {KEPT[name]: cluster.settings[KEPT[name]] for name in OF_INSTANCES if KEPT[name] in cluster.settings}
    settings = {**_DEFAULTS, **inherited, **_given(params)}
    complete(settings)
    check_monitoring_role(settings)
    return settings


def _check_certificate(version: Version, wanted: str | None) -> None:
    if wanted is None:
        return
    if wanted not in CERTIFICATE_AUTHORITIES:
        raise fault("CertificateNotFoundFault", f"Certificate not found: {wanted}")
    if wanted not in version.certificate_authorities:
        raise invalid_combination(
            f"The CA certificate {wanted} isn't supported for {version.engine} {version.name}. Supported: "
            f"{', '.join(version.certificate_authorities)}."
        )


def _not_found(wanted: str) -> Exception:
    return fault("DBInstanceNotFoundFault", f"DBInstance {wanted} not found.")
