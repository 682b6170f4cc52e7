"""DB subnet groups, DB cluster parameter groups and DB parameter groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError
from sandbox.rds.errors import fault, invalid_combination, invalid_value
from sandbox.rds.requests import check_filters, identifier, only, page, tags
from sandbox.rds.store import AVAILABLE, Instance, ParameterGroup, Region, SubnetGroup

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.catalogue import Version
    from sandbox.rds.kit import Kit
    from sandbox.rds.ports import SubnetFacts

# Parameters of which a change waits for a reboot. The sandbox knows no list of all parameters and takes every name;
# these are the static ones that people set most (Aurora User Guide, parameter reference of both engines).
STATIC_PARAMETERS = frozenset(
    {
        "binlog_format",
        "character_set_server",
        "character-set-client-handshake",
        "default_password_lifetime",
        "lower_case_table_names",
        "performance_schema",
        "rds.logical_replication",
        "shared_preload_libraries",
        "max_connections",
        "max_replication_slots",
        "max_wal_senders",
        "max_worker_processes",
        "shared_buffers",
        "time_zone_names",
        "track_activity_query_size",
    }
)


class SubnetGroups:
    """DB subnet groups."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.operations = {
            "CreateDBSubnetGroup": self.create,
            "DescribeDBSubnetGroups": self.describe,
            "ModifyDBSubnetGroup": self.modify,
            "DeleteDBSubnetGroup": self.delete,
        }

    def resolve(self, call: Call, name: str | None) -> SubnetGroup:
        """Return the named group; without a name the default one, which RDS makes of the default VPC when needed."""
        region = self.kit.region(call)
        wanted = (name or "default").lower()
        group = region.subnet_groups.get(wanted)
        if group is None and wanted == "default":
            subnets = self.kit.network.default_subnets(call.account, call.region)
            if not subnets:
                raise AwsError(
                    "DefaultVpcDoesNotExist",
                    "No default VPC exists in this account and Region; name a DB subnet group.",
                )
            group = self._add(region, wanted, "default", subnets, {})
        if group is None:
            raise fault("DBSubnetGroupNotFoundFault", f"DB subnet group '{wanted}' does not exist.")
        return group

    def security_groups(self, call: Call, wanted: list[str] | None, vpc: str) -> list[str]:
        """Return the security groups to use: those asked for, in the right VPC, or the VPC's default one."""
        if not wanted:
            default = self.kit.network.default_security_group(call.account, call.region, vpc)
            return [default] if default else []
        for group in wanted:
            found = self.kit.network.security_group_vpc(call.account, call.region, group)
            if found is None:
                raise invalid_value(f"Invalid security group , groupId= {group}, groupName=.")
            if found != vpc:
                raise invalid_combination(
                    "The DB instance and EC2 security group are in different VPCs. "
                    f"The DB instance is in {vpc} and the EC2 security group is in {found}"
                )
        return list(wanted)

    def create(self, call: Call) -> dict[str, Any]:
        """CreateDBSubnetGroup."""
        with self.kit.lock:
            region, params = self.kit.region(call), call.params
            name = params["DBSubnetGroupName"].lower()
            if (
                name == "default"
                or not name.replace("-", "").replace("_", "").replace(".", "").replace(" ", "").isalnum()
            ):
                raise invalid_value(f"The parameter DBSubnetGroupName is not a valid name: {name}")
            if name in region.subnet_groups:
                raise fault("DBSubnetGroupAlreadyExistsFault", f"The DB subnet group '{name}' already exists.")
            if len(region.subnet_groups) >= self.kit.quota(region.place, "DBSubnetGroups"):
                raise fault(
                    "DBSubnetGroupQuotaExceededFault", "The request would exceed the number of DB subnet groups."
                )
            subnets = self._subnets(call, params["SubnetIds"])
            group = self._add(region, name, params["DBSubnetGroupDescription"], subnets, tags(params))
            return {"DBSubnetGroup": describe_subnet_group(group)}

    def describe(self, call: Call) -> dict[str, Any]:
        """DescribeDBSubnetGroups."""
        with self.kit.lock:
            check_filters(call.params, {})
            groups = self.kit.region(call).subnet_groups
            if name := call.params.get("DBSubnetGroupName"):
                if name.lower() != "default" and name.lower() not in groups:
                    raise fault("DBSubnetGroupNotFoundFault", f"DBSubnetGroup {name.lower()} not found.")
                return {"DBSubnetGroups": [describe_subnet_group(self.resolve(call, name))]}
            return page([describe_subnet_group(groups[name]) for name in sorted(groups)], "DBSubnetGroups", call.params)

    def modify(self, call: Call) -> dict[str, Any]:
        """ModifyDBSubnetGroup."""
        with self.kit.lock:
            group = self.resolve(call, call.params["DBSubnetGroupName"])
            subnets = self._subnets(call, call.params["SubnetIds"])
            if subnets[0].vpc != group.vpc:
                raise fault("InvalidSubnet", "The new subnets are not in the DB subnet group's VPC.")
            group.subnets = {facts.subnet: facts.zone for facts in subnets}
            group.network_types = _network_types(subnets)
            group.description = call.params.get("DBSubnetGroupDescription") or group.description
            return {"DBSubnetGroup": describe_subnet_group(group)}

    def delete(self, call: Call) -> dict[str, Any]:
        """DeleteDBSubnetGroup."""
        with self.kit.lock:
            group, region = self.resolve(call, call.params["DBSubnetGroupName"]), self.kit.region(call)
            user = next((cluster for cluster in region.clusters.values() if cluster.subnet_group is group), None)
            if user is not None:
                raise fault(
                    "InvalidDBSubnetGroupStateFault",
                    f"Cannot delete the subnet group '{group.identifier}' because at least one database cluster: "
                    f"{user.identifier} is still using it.",
                )
            del region.subnet_groups[group.identifier]
            return {}

    def _subnets(self, call: Call, wanted: list[str]) -> list[SubnetFacts]:
        found = self.kit.network.subnets(call.account, call.region, wanted)
        missing = sorted(set(wanted) - {facts.subnet for facts in found})
        if missing:
            raise fault("InvalidSubnet", f"Some input subnets in :[{', '.join(missing)}] are invalid.")
        if len({facts.vpc for facts in found}) > 1:
            raise fault("InvalidSubnet", "The subnets are not all in the same VPC.")
        zones = sorted({facts.zone for facts in found})
        if len(zones) < 2:
            raise fault(
                "DBSubnetGroupDoesNotCoverEnoughAZs",
                "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. "
                f"Current AZ coverage: {', '.join(zones)}. Add subnets to cover at least 2 AZs.",
            )
        return found

    def _add(
        self, region: Region, name: str, description: str, subnets: list[SubnetFacts], own_tags: dict[str, str]
    ) -> SubnetGroup:
        group = SubnetGroup(
            place=region.place,
            identifier=name,
            created=self.kit.clock.now(),
            tags=own_tags,
            status=AVAILABLE,
            description=description,
            vpc=subnets[0].vpc,
            subnets={facts.subnet: facts.zone for facts in subnets},
            network_types=_network_types(subnets),
        )
        region.subnet_groups[name] = group
        return group


def _network_types(subnets: list[SubnetFacts]) -> tuple[str, ...]:
    return ("IPV4", "DUAL") if all(facts.ipv6 for facts in subnets) else ("IPV4",)


def describe_subnet_group(group: SubnetGroup) -> dict[str, Any]:
    """Return the botocore DBSubnetGroup."""
    return {
        "DBSubnetGroupName": group.identifier,
        "DBSubnetGroupDescription": group.description,
        "VpcId": group.vpc,
        "SubnetGroupStatus": "Complete",
        "Subnets": [
            {
                "SubnetIdentifier": subnet,
                "SubnetAvailabilityZone": {"Name": zone},
                "SubnetOutpost": {},
                "SubnetStatus": "Active",
            }
            for subnet, zone in sorted(group.subnets.items())
        ],
        "DBSubnetGroupArn": group.arn,
        "SupportedNetworkTypes": list(group.network_types),
    }


class ParameterGroups:
    """Parameter groups of one kind: ``DBCluster`` or ``DB`` (an instance's), which differ only in their names."""

    def __init__(self, kit: Kit, prefix: str) -> None:
        self.kit = kit
        self.name_member = f"{prefix}ParameterGroupName"
        self.shape = f"{prefix}ParameterGroup"
        self.kind = "cluster-pg" if prefix == "DBCluster" else "pg"
        self.refers_to_none = f"{prefix}ParameterGroupNotFoundFault"
        self.operations = {
            f"Create{prefix}ParameterGroup": self.create,
            f"Describe{prefix}ParameterGroups": self.describe,
            f"Modify{prefix}ParameterGroup": self.modify,
            f"Reset{prefix}ParameterGroup": self.reset,
            f"Delete{prefix}ParameterGroup": self.delete,
            f"Describe{prefix}Parameters": self.describe_parameters,
        }

    def groups(self, region: Region) -> dict[str, ParameterGroup]:
        """Return the region's groups of this kind; the ``default.*`` ones are always there."""
        groups = region.cluster_parameter_groups if self.kind == "cluster-pg" else region.parameter_groups
        for family in self.kit.catalogue.families() if not groups else ():
            name = f"default.{family}"
            groups[name] = self._group(region, name, family, f"Default parameter group for {family}", {})
        return groups

    def resolve(self, call: Call, name: str | None, version: Version) -> str:
        """Return the name of the group to use: the one asked for if its family fits, else the engine's default."""
        if not name:
            return f"default.{version.family}"
        group = self.get(self.kit.region(call), name, self.refers_to_none)
        if group.family != version.family:
            raise invalid_combination(
                f"The Parameter Group {group.identifier} with DBParameterGroupFamily {group.family} cannot be used for "
                f"this instance. Please use a Parameter Group with DBParameterGroupFamily {version.family}"
            )
        return group.identifier

    def get(self, region: Region, name: str, fault_name: str = "DBParameterGroupNotFoundFault") -> ParameterGroup:
        """Return a group or refuse; the operations on groups have one fault for both kinds (botocore's model)."""
        group = self.groups(region).get(name.lower())
        if group is None:
            raise fault(fault_name, f"{self.shape} not found: {name.lower()}")
        return group

    def create(self, call: Call) -> dict[str, Any]:
        """Create…ParameterGroup."""
        with self.kit.lock:
            region, params = self.kit.region(call), call.params
            groups = self.groups(region)
            name = identifier(params[self.name_member], self.name_member, 255)
            family = params["DBParameterGroupFamily"]
            if family not in self.kit.catalogue.families():
                raise invalid_value(f"ParameterGroupFamily {family} is not a valid parameter group family")
            if name in groups:
                raise fault("DBParameterGroupAlreadyExistsFault", f"Parameter group {name} already exists")
            if self.own(region) >= self.kit.quota(region.place, f"{self.shape}s"):
                raise fault(
                    "DBParameterGroupQuotaExceededFault", "The request would exceed the number of parameter groups."
                )
            groups[name] = self._group(region, name, family, params["Description"], tags(params))
            return {self.shape: self._describe(groups[name])}

    def own(self, region: Region) -> int:
        """Return how many groups count against the quota."""
        return sum(not name.startswith("default.") for name in self.groups(region))

    def describe(self, call: Call) -> dict[str, Any]:
        """Describe…ParameterGroups."""
        with self.kit.lock:
            check_filters(call.params, {})
            region = self.kit.region(call)
            if name := call.params.get(self.name_member):
                return {f"{self.shape}s": [self._describe(self.get(region, name))]}
            groups = self.groups(region)
            return page([self._describe(groups[name]) for name in sorted(groups)], f"{self.shape}s", call.params)

    def modify(self, call: Call) -> dict[str, Any]:
        """Modify…ParameterGroup: 20 parameters at most; a static one needs ApplyMethod pending-reboot."""
        with self.kit.lock:
            group = self._changeable(call)
            parameters = call.params["Parameters"]
            if len(parameters) > 20:
                raise invalid_value("A maximum of 20 parameters can be modified in a single request.")
            for parameter in parameters:
                name, method = parameter["ParameterName"], parameter.get("ApplyMethod", "pending-reboot")
                if name in STATIC_PARAMETERS and method == "immediate":
                    raise invalid_combination("cannot use immediate apply method for static parameter")
                group.parameters[name] = {"ParameterValue": parameter.get("ParameterValue", ""), "ApplyMethod": method}
            self._changed(call, group, {parameter["ParameterName"]: parameter for parameter in parameters})
            return {self.name_member: group.identifier}

    def reset(self, call: Call) -> dict[str, Any]:
        """Reset…ParameterGroup."""
        with self.kit.lock:
            group = self._changeable(call)
            named = [parameter["ParameterName"] for parameter in call.params.get("Parameters") or ()]
            if not named and not call.params.get("ResetAllParameters"):
                raise invalid_combination("Either ResetAllParameters or Parameters must be specified.")
            gone = {
                name: group.parameters.pop(name) for name in named or list(group.parameters) if name in group.parameters
            }
            self._changed(call, group, gone)
            return {self.name_member: group.identifier}

    def delete(self, call: Call) -> dict[str, Any]:
        """Delete…ParameterGroup."""
        with self.kit.lock:
            region = self.kit.region(call)
            group = self._changeable(call)
            users = region.clusters if self.kind == "cluster-pg" else region.instances
            if any(user.parameter_group == group.identifier for user in users.values()):
                raise fault(
                    "InvalidDBParameterGroupStateFault",
                    "One or more database instances are still members of this parameter group "
                    f"{group.identifier}, so the group cannot be deleted",
                )
            del self.groups(region)[group.identifier]
            return {}

    def describe_parameters(self, call: Call) -> dict[str, Any]:
        """Describe…Parameters: those that somebody set; the engine's own defaults are not emulated."""
        with self.kit.lock:
            only(call.params, call.operation, {self.name_member, "Source", "MaxRecords", "Marker"})
            group = self.get(self.kit.region(call), call.params[self.name_member])
            shown = [
                {
                    "ParameterName": name,
                    "Source": "user",
                    "ApplyType": "static" if name in STATIC_PARAMETERS else "dynamic",
                    "DataType": "string",
                    "IsModifiable": True,
                    **value,
                }
                for name, value in sorted(group.parameters.items())
                if call.params.get("Source") in (None, "user")
            ]
            return page(shown, "Parameters", call.params)

    def _changeable(self, call: Call) -> ParameterGroup:
        group = self.get(self.kit.region(call), call.params[self.name_member])
        if group.identifier.startswith("default."):
            raise fault(
                "InvalidDBParameterGroupStateFault", "The default parameter groups cannot be changed or deleted."
            )
        return group

    def _changed(self, call: Call, group: ParameterGroup, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        """A static parameter waits for a reboot of each instance that uses the group; others are applied soon."""
        waiting = any(
            name in STATIC_PARAMETERS or parameter.get("ApplyMethod") == "pending-reboot"
            for name, parameter in parameters.items()
        )
        for instance in self.kit.region(call).instances.values():
            user = instance if self.kind == "pg" else instance.cluster
            if user.parameter_group == group.identifier:
                self.apply(instance, reboot=waiting)

    def apply(self, instance: Instance, *, reboot: bool) -> None:
        """Apply a change of a group: wait for a reboot, or (an instance's group only) show "applying" for a while.

        Call with the lock held.
        """
        if self.kind == "cluster-pg":
            instance.cluster_parameters = "pending-reboot" if reboot else instance.cluster_parameters
            return
        if reboot:
            instance.instance_parameters = "pending-reboot"
        if instance.instance_parameters != "in-sync":
            return
        instance.instance_parameters = "applying"

        def applied() -> None:
            with self.kit.lock:
                if instance.instance_parameters == "applying":
                    instance.instance_parameters = "in-sync"

        self.kit.clock.call_later(self.kit.timings.parameter_apply, applied)

    def _group(
        self, region: Region, name: str, family: str, description: str, own_tags: dict[str, str]
    ) -> ParameterGroup:
        return ParameterGroup(
            place=region.place,
            identifier=name,
            created=self.kit.clock.now(),
            status=AVAILABLE,
            tags=own_tags,
            kind=self.kind,
            family=family,
            description=description,
        )

    def _describe(self, group: ParameterGroup) -> dict[str, Any]:
        return {
            self.name_member: group.identifier,
            "DBParameterGroupFamily": group.family,
            "Description": group.description,
            f"{self.shape}Arn": group.arn,
        }
