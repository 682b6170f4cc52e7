"""What there is in one account and region, for ``ctl list``: asked of the AWS APIs themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Row = dict[str, Any]


def take_inventory(client: Callable[[str], Any]) -> dict[str, list[Row]]:
    """Return rows by heading; ``client`` makes a boto3 client of the account and region for a service."""
    rds, states, ec2 = client("rds"), client("stepfunctions"), client("ec2")
    return {
        "clusters": [
            _row(cluster, id="DBClusterIdentifier", status="Status", engine="Engine", version="EngineVersion")
            | {"endpoint": f"{cluster.get('Endpoint', '')}:{cluster.get('Port', '')}"}
            for cluster in rds.describe_db_clusters()["DBClusters"]
        ],
        "instances": [
            _row(
                instance,
                id="DBInstanceIdentifier",
                cluster="DBClusterIdentifier",
                status="DBInstanceStatus",
                instance_class="DBInstanceClass",
            )
            | {"endpoint": _address(instance.get("Endpoint", {}))}
            for instance in rds.describe_db_instances()["DBInstances"]
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
            for snapshot in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        ],
        "executions": [
            _row(execution, name="name", status="status", started="startDate", arn="executionArn")
            for machine in states.list_state_machines()["stateMachines"]
            for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        ],
        "functions": [
            _row(function, name="FunctionName", runtime="Runtime", handler="Handler", state="State")
            for function in client("lambda").list_functions()["Functions"]
        ],
        "network": [
            *(_row(vpc, vpc="VpcId", cidr="CidrBlock", default="IsDefault") for vpc in ec2.describe_vpcs()["Vpcs"]),
            *(
                _row(subnet, subnet="SubnetId", vpc="VpcId", zone="AvailabilityZone")
                for subnet in ec2.describe_subnets()["Subnets"]
            ),
            *(
                _row(group, security_group="GroupId", vpc="VpcId", name="GroupName")
                for group in ec2.describe_security_groups()["SecurityGroups"]
            ),
        ],
    }


def _row(found: Mapping[str, Any], **columns: str) -> Row:
    return {column: found.get(member, "") for column, member in columns.items()}


def _address(endpoint: Mapping[str, Any]) -> str:
    return f"{endpoint.get('Address', '')}:{endpoint.get('Port', '')}"
