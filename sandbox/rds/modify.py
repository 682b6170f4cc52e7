"""ModifyDBCluster: what changes at once, what waits for ApplyImmediately, and how the cluster looks meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from sandbox.rds.clusters import KEPT, complete, not_available
from sandbox.rds.errors import fault, invalid_combination
from sandbox.rds.requests import check_password, identifier, only
from sandbox.rds.settings import check_network_type, check_together
from sandbox.rds.store import AVAILABLE, Cluster

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.clusters import Clusters
    from sandbox.rds.endpoints import Servers
    from sandbox.rds.groups import ParameterGroups
    from sandbox.rds.kit import Kit, Phase
    from sandbox.rds.passwords import ManagedPasswords, SecretPlan

# Kept members that Modify takes too (not: DatabaseName, PubliclyAccessible, the Create-only log export list).
_KEPT = {
    *(
        "AutoMinorVersionUpgrade",
        "BacktrackWindow",
        "BackupRetentionPeriod",
        "CopyTagsToSnapshot",
        "DatabaseInsightsMode",
    ),
    *("DeletionProtection", "EnablePerformanceInsights", "EngineLifecycleSupport", "MonitoringInterval"),
    *("MonitoringRoleArn", "NetworkType", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
    *("PreferredBackupWindow", "PreferredMaintenanceWindow", "ServerlessV2ScalingConfiguration", "StorageType"),
}
# Changes that wait for the maintenance window unless ApplyImmediately is set. BC says that a password is applied at
# once in any case; Terraform met passwords that were queued silently (TF#3220): the sandbox takes the harder reading.
_DEFERRED = {
    *("EnableIAMDatabaseAuthentication", "EngineVersion", "ManageMasterUserPassword", "MasterUserPassword"),
    *("NewDBClusterIdentifier", "Port"),
}
_MODIFY = {
    *_KEPT,
    *_DEFERRED,
    *("AllowMajorVersionUpgrade", "ApplyImmediately", "CloudwatchLogsExportConfiguration", "DBClusterIdentifier"),
    *("DBClusterParameterGroupName", "DBInstanceParameterGroupName", "MasterUserSecretKmsKeyId"),
    *("RotateMasterUserPassword", "VpcSecurityGroupIds"),
}


# What a cluster's instances take over.
OF_INSTANCES = {
    *("EnablePerformanceInsights", "MonitoringInterval", "MonitoringRoleArn"),
    *("PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
}


class Modifications:
    """See the module's description."""

    def __init__(
        self,
        kit: Kit,
        *,
        servers: Servers,
        clusters: Clusters,
        instance_groups: ParameterGroups,
        passwords: ManagedPasswords,
    ) -> None:
        self.kit = kit
        self.servers = servers
        self.clusters = clusters
        self.instance_groups = instance_groups
        self.passwords = passwords
        self.operations = {"ModifyDBCluster": self.modify}

    def modify(self, call: Call) -> dict[str, Any]:
        """ModifyDBCluster."""
        params = call.params
        only(params, call.operation, _MODIFY)
        secret = self._secret_plan(call)
        with self.kit.lock:
            cluster = self.clusters.get(self.kit.region(call), params["DBClusterIdentifier"])
            if cluster.status != AVAILABLE or cluster.changing:
                raise not_available(cluster)
            version = self.kit.catalogue.known(cluster.engine, cluster.engine_version)
            assert version is not None, "a cluster has a version that the catalogue knows"
            self.clusters.check_settings(version, params)
            now = _with_deferred(cluster, params)
            if params.get("ApplyImmediately"):
                cluster.deferred.clear()
            else:
                self._queue(cluster, {name: now.pop(name) for name in _DEFERRED & now.keys()})
            change = _Change(self, call, cluster, version, now, secret)
            change.check()
            change.begin()
            return {"DBCluster": self.clusters.shown(cluster)}

    def _secret_plan(self, call: Call) -> SecretPlan | None:
        """Check permissions for a managed secret before anything else; not under the lock."""
        params = call.params
        if params.get("RotateMasterUserPassword") and not params.get("ApplyImmediately"):
            raise invalid_combination("RotateMasterUserPassword needs ApplyImmediately.")
        with self.kit.lock:
            cluster = self.clusters.get(self.kit.region(call), params["DBClusterIdentifier"])
            asked, managed = _with_deferred(cluster, params), cluster.secret is not None
        if managed or not asked.get("ManageMasterUserPassword"):
            return None
        return self.passwords.plan(call, asked)

    @staticmethod
    def _queue(cluster: Cluster, deferred: Mapping[str, Any]) -> None:
        """Keep changes as pending. No maintenance window comes by itself: see RdsService.run_maintenance."""
        shown = {
            "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
            "NewDBClusterIdentifier": "DBClusterIdentifier",
        }
        for name, value in deferred.items():
            cluster.deferred[name] = value
            if name in ("MasterUserPassword", "ManageMasterUserPassword"):
                cluster.pending["MasterUserPassword"] = "****"
            elif name != "Port":
                cluster.pending[shown.get(name, name)] = value


class _Change:
    """One accepted set of changes to one cluster."""

    def __init__(
        self,
        owner: Modifications,
        call: Call,
        cluster: Cluster,
        version: Version,
        params: Mapping[str, Any],
        secret: SecretPlan | None,
    ) -> None:
        self.kit, self.servers = owner.kit, owner.servers
        self.clusters, self.passwords = owner.clusters, owner.passwords
        self.instance_groups = owner.instance_groups
        self.instance_group: str | None = None
        self.call, self.cluster, self.version, self.params, self.secret = call, cluster, version, params, secret
        self.region = self.kit.region(call)
        self.new_name: str | None = None
        self.new_version: Version | None = None
        self.parameter_group: str | None = None
        self.security_groups: list[str] | None = None

    def check(self) -> None:
        """Refuse what AWS refuses, before anything is changed."""
        params, cluster = self.params, self.cluster
        if password := params.get("MasterUserPassword"):
            if cluster.secret is not None and params.get("ManageMasterUserPassword") is not False:
                raise invalid_combination(
                    "You can't specify MasterUserPassword for a DB cluster whose password Secrets Manager manages."
                )
            check_password(cluster.engine, password)
        if params.get("ManageMasterUserPassword") is False and cluster.secret and not password:
            raise invalid_combination("MasterUserPassword is required when ManageMasterUserPassword is turned off.")
        if params.get("RotateMasterUserPassword") and cluster.secret is None:
            raise invalid_combination("The DB cluster's master user password isn't managed in AWS Secrets Manager.")
        if name := params.get("NewDBClusterIdentifier"):
            self.new_name = identifier(name, "NewDBClusterIdentifier")
            if cluster.shared_with:
                raise fault(
                    "InvalidDBClusterStateFault", f"DbCluster {cluster.identifier} is shared and can't be renamed."
                )
            if self.new_name in self.region.clusters:
                raise fault("DBClusterAlreadyExistsFault", "DB Cluster already exists")
        self._check_version()
        if group := params.get("DBClusterParameterGroupName"):
            target = self.new_version or self.version
            self.parameter_group = self.clusters.parameter_groups.resolve(self.call, group, target)
        self._check_groups()
        self._check_settings()
        if groups := params.get("VpcSecurityGroupIds"):
            vpc = cluster.subnet_group.vpc
            self.security_groups = self.clusters.subnet_groups.security_groups(self.call, groups, vpc)
        exports = params.get("CloudwatchLogsExportConfiguration") or {}
        self.clusters.check_settings(self.version, {"EnableCloudwatchLogsExports": exports.get("EnableLogTypes")})

    def _check_settings(self) -> None:
        """What is set must fit what stays."""
        params, cluster = self.params, self.cluster
        check_network_type(cluster.subnet_group, params.get("NetworkType"))
        if params.get("BacktrackWindow") and "BacktrackWindow" not in cluster.settings:
            # AUG "Backtracking": only for a cluster that was created or restored with it.
            raise invalid_combination("Backtrack isn't enabled for the DB cluster and can't be turned on now.")
        settings = {**cluster.settings, **self._given()}
        complete(settings)
        check_together(settings)

    def _check_groups(self) -> None:
        """A major upgrade leaves default groups for the new default ones; custom ones must be named anew."""
        name, target = self.params.get("DBInstanceParameterGroupName"), self.new_version
        major = target is not None and target.major != self.version.major
        if name and not (major and self.params.get("AllowMajorVersionUpgrade")):
            # BC: "valid only when upgrading to a new major version", with AllowMajorVersionUpgrade.
            raise invalid_combination(
                "The DBInstanceParameterGroupName parameter is only valid in combination with the "
                "AllowMajorVersionUpgrade parameter."
            )
        if target is None or not major:
            return
        if name:
            self.instance_group = self.instance_groups.resolve(self.call, name, target)
        current = [] if self.parameter_group else [("cluster", self.cluster.parameter_group)]
        if not name:
            current += [("instance", instance.parameter_group) for instance in self.cluster.instances]
        for what, group in current:
            if not group.startswith("default."):
                raise invalid_combination(
                    f"The current DB {what} parameter group {group} is custom. You must explicitly specify a new DB "
                    f"{what} parameter group, either default or custom, for the engine version upgrade."
                )

    def _given(self) -> dict[str, Any]:
        return {KEPT[name]: self.params[name] for name in _KEPT & self.params.keys()}

    def _check_version(self) -> None:
        wanted = self.params.get("EngineVersion")
        if not wanted or wanted == self.cluster.engine_version:
            return
        if self.cluster.writer is None or self.cluster.writer.status != AVAILABLE:
            raise fault(
                "InvalidDBClusterStateFault",
                "Cannot modify engine version without a healthy primary instance in DB cluster",
            )
        target = self.kit.catalogue.offered(self.cluster.engine, wanted)
        if target is None:
            raise invalid_combination(f"Cannot find version {wanted} for {self.cluster.engine}")
        if target.order < self.version.order:
            raise invalid_combination(f"Cannot upgrade {self.cluster.engine} from {self.version.name} to {wanted}")
        if target.major != self.version.major and not self.params.get("AllowMajorVersionUpgrade"):
            raise invalid_combination(
                "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
            )
        self.new_version = target

    def begin(self) -> None:
        """Start to change. The status still says ``available`` for a moment: a read too early is stale."""
        timings, cluster, params = self.kit.timings, self.cluster, self.params
        cluster.settings.update(self._given())
        complete(cluster.settings)
        self._hand_down()
        if self.security_groups is not None:
            cluster.security_groups = self.security_groups
        phases: list[Phase] = [(AVAILABLE, timings.modify_lag)]
        if self._is_more_than_a_rename():
            phases.append(("modifying", timings.modify))
        work = self._begin_password(phases)
        if params.get("EnableIAMDatabaseAuthentication") is not None:
            cluster.pending["IAMDatabaseAuthenticationEnabled"] = params["EnableIAMDatabaseAuthentication"]
            phases.append(("configuring-iam-database-auth", timings.instance_configure))
        if self.new_version is not None:
            cluster.pending["EngineVersion"] = self.new_version.name
            self.kit.events.emit(cluster, "RDS-EVENT-0177")
            phases.append(("upgrading", timings.upgrade))
            for instance in cluster.instances:
                self.kit.walk(instance, [*phases[:-1], ("upgrading", timings.upgrade)], lambda: None)
        if self.new_name is not None:
            cluster.pending["DBClusterIdentifier"] = self.new_name
            phases.append(("renaming", timings.rename))
        cluster.changing = True
        self.kit.walk(cluster, phases, self._done, work=work)

    def _hand_down(self) -> None:
        """Insights and monitoring that are set for a cluster hold for each of its instances (BC:ModifyDBCluster)."""
        names = {KEPT[name] for name in OF_INSTANCES & self.params.keys()}
        for instance in self.cluster.instances if names else ():
            instance.settings.update({name: self.cluster.settings[name] for name in names})
            complete(instance.settings)

    def _is_more_than_a_rename(self) -> bool:
        return bool(set(self.params) - {"DBClusterIdentifier", "ApplyImmediately", "NewDBClusterIdentifier"})

    def _begin_password(self, phases: list[Phase]) -> Future[None] | None:
        """Set a new password, if there is one: given, generated for a new managed secret, or rotated."""
        params, password = self.params, self.params.get("MasterUserPassword")
        if self.secret is not None and params.get("ManageMasterUserPassword"):
            password = self.passwords.create(self.cluster, self.secret)
        elif params.get("RotateMasterUserPassword"):
            password = self.passwords.rotate(self.cluster)
        elif params.get("ManageMasterUserPassword") is False:
            self.passwords.delete(self.cluster)
        if not password:
            return None
        self.cluster.pending["MasterUserPassword"] = "****"
        phases.append(("resetting-master-credentials", self.kit.timings.reset_credentials))
        return self.servers.set_password(self.cluster, password)

    def _done(self) -> None:
        cluster, params = self.cluster, self.params
        cluster.changing = False
        if cluster.pending.get("MasterUserPassword") and not _waits(
            cluster, "MasterUserPassword", "ManageMasterUserPassword"
        ):
            del cluster.pending["MasterUserPassword"]
            self.kit.events.emit(cluster, "RDS-EVENT-0016")
            self.passwords.settle(cluster)
        if params.get("EnableIAMDatabaseAuthentication") is not None:
            cluster.settings["IAMDatabaseAuthenticationEnabled"] = params["EnableIAMDatabaseAuthentication"]
            cluster.pending.pop("IAMDatabaseAuthenticationEnabled", None)
        if exports := params.get("CloudwatchLogsExportConfiguration"):
            types = set(cluster.settings["EnabledCloudwatchLogsExports"]) | set(exports.get("EnableLogTypes") or ())
            cluster.settings["EnabledCloudwatchLogsExports"] = sorted(types - set(exports.get("DisableLogTypes") or ()))
        if self.new_version is None and self.parameter_group not in (None, cluster.parameter_group):
            assert self.parameter_group is not None
            self._set_group(self.parameter_group)
        if self.new_version is not None:
            self._upgraded(self.new_version)
        reopen = params.get("Port") not in (None, cluster.port)
        if reopen:
            cluster.port = params["Port"]
        self._move(reopen=reopen)

    def _set_group(self, group: str) -> None:
        """Change the group: unlike one that is named at restore it waits for a reboot."""
        self.cluster.parameter_group = group
        for instance in self.cluster.instances:
            instance.cluster_parameters = "pending-reboot"

    def _upgraded(self, version: Version) -> None:
        cluster = self.cluster
        cluster.pending.pop("EngineVersion", None)
        if message := self.kit.injections.take(self.kit.injections.failed_upgrades, cluster):
            self.kit.events.emit_text(cluster, "RDS-EVENT-0174", message, "maintenance")
            return
        if version.major == self.version.major:
            if self.parameter_group not in (None, cluster.parameter_group):
                self._set_group(str(self.parameter_group))
            self.kit.events.emit(cluster, "RDS-EVENT-0173", version.name)
        else:
            # The upgrade restarts the engine: new groups are in force after it.
            cluster.parameter_group = self.parameter_group or f"default.{version.family}"
            for instance in cluster.instances:
                instance.parameter_group = self.instance_group or f"default.{version.family}"
                instance.cluster_parameters = instance.instance_parameters = "in-sync"
            self.kit.events.emit(cluster, "RDS-EVENT-0176")
        cluster.engine_version = version.name
        cluster.versions.append((self.kit.clock.now(), version.name))

    def _move(self, *, reopen: bool) -> None:
        """Rename, last of all: the old name is gone with the next read, and the endpoints move."""
        cluster, keys = self.cluster, self.servers.keys(self.cluster)
        if self.new_name is not None:
            cluster.pending.pop("DBClusterIdentifier", None)
            old = cluster.identifier
            del self.region.clusters[old]
            cluster.identifier = self.new_name
            self.region.clusters[self.new_name] = cluster
            self.kit.events.emit(cluster, "RDS-EVENT-0172", old, self.new_name)
        elif not reopen:
            return
        if not cluster.instances:
            return
        cluster.address = cluster.reader_address = cluster.endpoint_port = None
        for instance in cluster.instances:
            instance.address = instance.port = None
        work = self.servers.reopen(cluster, keys)
        if work is not None:
            # Available only when the new endpoints answer.
            nothing: Callable[[], None] = lambda: None  # noqa: E731
            self.kit.walk(cluster, [("renaming" if self.new_name else "modifying", 0)], nothing, work=work)


def _with_deferred(cluster: Cluster, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for; ApplyImmediately also applies what was queued before (AUG Aurora.Modifying)."""
    queued = cluster.deferred if params.get("ApplyImmediately") else {}
    return {**queued, **{name: value for name, value in params.items() if value is not None}}


def _waits(cluster: Cluster, *names: str) -> bool:
    return any(name in cluster.deferred for name in names)
