"""What there is in one account and region, for ``ctl list``: asked of the AWS APIs themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Row = dict[str, Any]


def take_inventory(client: Callable[[str], Any]) -> dict[str, list[Row]]:
    """Return rows by heading; ``client`` makes a boto3 client of the account and region for a service."""
    rds, states, ec2 = client("rds"), client("stepfunctions"), client("ec2")

    def each(of: Any, operation: str, member: str, **parameters: Any) -> Iterable[Mapping[str, Any]]:
        for page in of.get_paginator(operation).paginate(**parameters):
            yield from page[member]

    return {
        "clusters": [
            _row(cluster, id="DBClusterIdentifier", status="Status", engine="Engine", version="EngineVersion")
            | {"endpoint": _address(cluster.get("Endpoint"), cluster.get("Port"))}
            for cluster in each(rds, "describe_db_clusters", "DBClusters")
        ],
        "instances": [
            _row(
                instance,
                id="DBInstanceIdentifier",
                cluster="DBClusterIdentifier",
                status="DBInstanceStatus",
                instance_class="DBInstanceClass",
            )
            | {"endpoint": _address(*(instance.get("Endpoint", {}).get(part) for part in ("Address", "Port")))}
            for instance in each(rds, "describe_db_instances", "DBInstances")
        ],
        "snapshots": [
            _row(
                snapshot,
                id="DBClusterSnapshotIdentifier",
                cluster="DBClusterIdentifier",
                kind="SnapshotType",
                status="Status",
                created="SnapshotCreateTime",
            )
            for snapshot in each(rds, "describe_db_cluster_snapshots", "DBClusterSnapshots")
        ],
        "executions": [
            _row(execution, name="name", status="status", started="startDate", arn="executionArn")
            for machine in each(states, "list_state_machines", "stateMachines")
            for execution in each(states, "list_executions", "executions", stateMachineArn=machine["stateMachineArn"])
        ],
        "functions": [
            _row(function, name="FunctionName", runtime="Runtime", handler="Handler", state="State")
            for function in each(client("lambda"), "list_functions", "Functions")
        ],
        "network": [
            *(
                _row(vpc, vpc="VpcId", cidr="CidrBlock", default="IsDefault")
                for vpc in each(ec2, "describe_vpcs", "Vpcs")
            ),
            *(
                _row(subnet, subnet="SubnetId", vpc="VpcId", zone="AvailabilityZone")
                for subnet in each(ec2, "describe_subnets", "Subnets")
            ),
            *(
                _row(group, security_group="GroupId", vpc="VpcId", name="GroupName")
                for group in each(ec2, "describe_security_groups", "SecurityGroups")
            ),
            *(
                _row(group, db_subnet_group="DBSubnetGroupName", vpc="VpcId")
                for group in each(rds, "describe_db_subnet_groups", "DBSubnetGroups")
            ),
        ],
    }


def _row(found: Mapping[str, Any], **columns: str) -> Row:
    return {column: found.get(member, "") for column, member in columns.items()}


def _address(host: str | None, port: int | None) -> str:
    return f"{host}:{port}" if host else "none"
