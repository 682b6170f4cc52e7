"""A source worth restoring, made through the public AWS APIs alone: the demo and the workflow tests start from it."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from types_boto3_ec2.client import EC2Client
    from types_boto3_rds.client import RDSClient

Engine = Literal["aurora-mysql", "aurora-postgresql"]
DATABASE = "roastery"
MASTER_USERNAME = "harbour_admin"
ENGINE_VERSIONS: dict[Engine, str] = {"aurora-mysql": "8.0.mysql_aurora.3.08.2", "aurora-postgresql": "15.10"}
ROASTERY_SQL = Path(__file__).parent / "roastery.sql"
SUBNET_GROUP = "sandbox-databases"


class Rows(Protocol):
    """An open connection as the samples use it."""

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        """Run one statement and return its rows (none for a statement without a result)."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Connection:
    def __init__(self, raw: object) -> None:
        self._raw = raw

    def execute(self, sql: str) -> list[tuple[object, ...]]:
        cursor = self._raw.cursor()  # type: ignore[attr-defined]
        try:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            cursor.close()

    def close(self) -> None:
        self._raw.close()  # type: ignore[attr-defined]


def connect(engine: str, host: str, port: int, username: str, password: str, ca_pem: str, database: str | None) -> Rows:
    """A stock client's connection: TLS, the server's name verified against its certificate, autocommit."""
    context = ssl.create_default_context(cadata=ca_pem)
    if engine in {"aurora-mysql", "mysql"}:
        import pymysql

        return _Connection(
            pymysql.connect(
                host=host, port=port, user=username, password=password, database=database, ssl=context, autocommit=True
            )
        )
    import pg8000.dbapi

    raw = pg8000.dbapi.connect(
        user=username, password=password, host=host, port=port, database=database or "postgres", ssl_context=context
    )
    raw.autocommit = True
    return _Connection(raw)


@dataclass(frozen=True)
class Network:
    """What a restored cluster needs of a VPC."""

    vpc_id: str
    subnet_ids: list[str]
    security_group_id: str
    db_subnet_group_name: str


def make_network(ec2: EC2Client, rds: RDSClient) -> Network:
    """The account's default VPC with a DB subnet group over its subnets; the same answer when called again."""
    vpc_id = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc_id]}]
    subnet_ids = sorted(s["SubnetId"] for s in ec2.describe_subnets(Filters=of_vpc)["Subnets"])  # type: ignore[arg-type]
    groups = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]  # type: ignore[arg-type]
    with contextlib.suppress(rds.exceptions.DBSubnetGroupAlreadyExistsFault):
        rds.create_db_subnet_group(
            DBSubnetGroupName=SUBNET_GROUP, DBSubnetGroupDescription="sandbox databases", SubnetIds=subnet_ids
        )
    return Network(vpc_id, subnet_ids, groups[0]["GroupId"], SUBNET_GROUP)


@dataclass(frozen=True)
class Source:
    """A living cluster with data in it, and its master's password."""

    cluster_id: str
    engine: Engine
    host: str
    port: int
    password: str

    def connect(self, ca_pem: str, database: str | None = DATABASE) -> Rows:
        """A connection as the master user."""
        return connect(self.engine, self.host, self.port, MASTER_USERNAME, self.password, ca_pem, database)


def wait_until_available(rds: RDSClient, cluster_id: str, *, poll_seconds: float = 0.05) -> None:
    """Wait for a cluster and its instances, in real time (the sandbox's clock goes its own way)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        cluster = rds.describe_db_clusters(DBClusterIdentifier=cluster_id)["DBClusters"][0]
        members = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [cluster_id]}])["DBInstances"]
        if cluster["Status"] == "available" and all(m["DBInstanceStatus"] == "available" for m in members):
            return
        time.sleep(poll_seconds)
    raise TimeoutError(f"{cluster_id} did not become available")


def make_source(
    rds: RDSClient, network: Network, engine: Engine, cluster_id: str, ca_pem: str, *, statements: Sequence[str] = ()
) -> Source:
    """Create a cluster with one writer and load the roastery's shop into it."""
    password = secrets.token_urlsafe(18)
    rds.create_db_cluster(
        DBClusterIdentifier=cluster_id,
        Engine=engine,
        EngineVersion=ENGINE_VERSIONS[engine],
        MasterUsername=MASTER_USERNAME,
        MasterUserPassword=password,
        DatabaseName=DATABASE,
        DBSubnetGroupName=network.db_subnet_group_name,
        VpcSecurityGroupIds=[network.security_group_id],
        StorageEncrypted=True,
    )
    wait_until_available(rds, cluster_id)
    rds.create_db_instance(
        DBInstanceIdentifier=f"{cluster_id}-1",
        DBClusterIdentifier=cluster_id,
        Engine=engine,
        DBInstanceClass="db.r6g.large",
    )
    wait_until_available(rds, cluster_id)
    cluster = rds.describe_db_clusters(DBClusterIdentifier=cluster_id)["DBClusters"][0]
    source = Source(cluster_id, engine, cluster["Endpoint"], cluster["Port"], password)
    connection = source.connect(ca_pem)
    try:
        script = "\n".join(line for line in ROASTERY_SQL.read_text().splitlines() if not line.startswith("--"))
        for statement in [*filter(None, map(str.strip, script.split(";"))), *statements]:
            connection.execute(statement)
    finally:
        connection.close()
    return source


def take_snapshot(rds: RDSClient, cluster_id: str, snapshot_id: str) -> str:
    """A manual snapshot, waited for; returns its ARN."""
    rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=snapshot_id, DBClusterIdentifier=cluster_id)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        snapshot = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot_id)["DBClusterSnapshots"][0]
        if snapshot["Status"] == "available":
            return snapshot["DBClusterSnapshotArn"]
        time.sleep(0.05)
    raise TimeoutError(f"{snapshot_id} did not become available")
