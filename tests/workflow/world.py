"""Sources in two accounts and two regions for the tests of snapshot copies, and what a restore left behind."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from boto3.dynamodb.types import TypeDeserializer

from sandbox import samples
from sandbox.server import Sandbox
from tests.workflow.cross_account import ACCOUNT, REGION, SOURCE_ACCOUNT, SOURCE_REGION
from tests.workflow.support import Deployment, Execution

PLACES = [(account, region) for account in (ACCOUNT, SOURCE_ACCOUNT) for region in (REGION, SOURCE_REGION)]

Kind = Literal["automated", "manual", "awsbackup"]
KeyKind = Literal["customer", "aws-managed", "aws-owned", "none"]
KINDS: tuple[Kind, ...] = ("automated", "manual", "awsbackup")
KEYS: tuple[KeyKind, ...] = ("customer", "aws-managed", "aws-owned", "none")

_deserialize = TypeDeserializer().deserialize


@dataclass
class World:
    """The sandbox's accounts and regions, each with source clusters that are made when first asked for."""

    sandbox: Sandbox
    customer_keys: dict[tuple[str, str], str] = field(default_factory=dict)
    """ARNs by account and region; what is not given is made."""
    _clusters: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def client(self, service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
        """A client of the account's administrator."""
        return self.sandbox.client(service, account, region)

    def customer_key(self, account: str, region: str) -> str:
        """A customer-managed key whose policy leaves the decision to the account's IAM policies."""
        if (account, region) not in self.customer_keys:
            key = self.client("kms", account, region).create_key(Description="databases")["KeyMetadata"]["Arn"]
            self.customer_keys[account, region] = str(key)
        return self.customer_keys[account, region]

    def cluster(self, account: str, region: str, key: KeyKind) -> str:
        """A source cluster without instances; its name."""
        if (account, region, key) in self._clusters:
            return self._clusters[account, region, key]
        rds = self.client("rds", account, region)
        network = samples.make_network(self.client("ec2", account, region), rds)
        name = f"source-{key}-{uuid.uuid4().hex[:6]}"
        keys = {"customer": lambda: self.customer_key(account, region), "aws-managed": lambda: "alias/aws/rds"}
        chosen = {"KmsKeyId": keys[key]()} if key in keys else {}
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-mysql",
            EngineVersion=samples.ENGINE_VERSIONS["aurora-mysql"],
            MasterUsername=samples.MASTER_USERNAME,
            MasterUserPassword=uuid.uuid4().hex,
            DBSubnetGroupName=network.db_subnet_group_name,
            StorageEncrypted=True,
            **chosen,
        )
        samples.wait_until_available(rds, name)
        if key == "none":  # a cluster from before February 2026: today's API makes none that is not encrypted
            self.sandbox.rds.set_encryption(f"arn:aws:rds:{region}:{account}:cluster:{name}", "none")
        self._clusters[account, region, key] = name
        return name

    def snapshot(self, account: str, region: str, kind: Kind, key: KeyKind, size_gb: int = 100) -> str:
        """A new, available snapshot; its ARN."""
        cluster = self.cluster(account, region, key)
        self.sandbox.rds.set_volume_size(account, region, cluster, size_gb)
        if kind == "automated":
            self.sandbox.clock.advance(61)  # their names carry the minute
            arn = self.sandbox.rds.take_automated_snapshot(account, region, cluster)
        elif kind == "awsbackup":
            arn = self.sandbox.rds.take_backup_snapshot(account, region, cluster, str(uuid.uuid4()))
        else:
            name = f"manual-{uuid.uuid4().hex[:10]}"
            return samples.take_snapshot(self.client("rds", account, region), cluster, name)
        self.wait_available(arn)
        return arn

    def described(self, arn: str) -> dict[str, Any] | None:
        """A snapshot as its owner sees it, or None."""
        _, _, _, region, account, _, name = arn.split(":", 6)
        rds = self.client("rds", account, region)
        pages = rds.get_paginator("describe_db_cluster_snapshots").paginate()
        found = [s for page in pages for s in page["DBClusterSnapshots"] if s["DBClusterSnapshotIdentifier"] == name]
        return dict(found[0]) if found else None

    def wait_available(self, arn: str) -> None:
        """Wait, in real time, for a snapshot."""
        deadline = time.monotonic() + 60
        while (self.described(arn) or {}).get("Status") != "available":
            assert time.monotonic() < deadline, self.described(arn)
            time.sleep(0.02)

    def shares(self, arn: str) -> list[str]:
        """The accounts that a snapshot is shared with."""
        _, _, _, region, account, _, name = arn.split(":", 6)
        rds = self.client("rds", account, region)
        answer = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
        attributes = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
        return [value for attribute in attributes for value in attribute["AttributeValues"]]

    def copies(self) -> list[dict[str, Any]]:
        """Every snapshot, anywhere, that bears a deployment's tag."""
        found: list[dict[str, Any]] = []
        for account, region in PLACES:
            pages = self.client("rds", account, region).get_paginator("describe_db_cluster_snapshots").paginate()
            found += [
                {**snapshot, "account": account, "region": region}
                for page in pages
                for snapshot in page["DBClusterSnapshots"]
                if any(tag["Key"] == "aurora-restore:managed-by" for tag in snapshot.get("TagList", ()))
            ]
        return found

    def delete_copies(self, deployment: Deployment) -> None:
        """Delete them all, and what the state table knows of them."""
        for copy in self.copies():
            if copy["Status"] != "deleting":
                rds = self.client("rds", copy["account"], copy["region"])
                rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy["DBClusterSnapshotIdentifier"])
        for key in self.reserved_items(deployment):
            deployment.client("dynamodb").delete_item(
                TableName=deployment.outputs["state_table_name"], Key={"operation_id": {"S": key}}
            )

    def reserved_items(self, deployment: Deployment) -> list[str]:
        """The keys of the state table's items that are no operation's record and still hold somebody or something.

        Items are not deleted: what may go has a time to live, a kept copy's says so, and an empty lane holds nobody.
        """
        pages = (
            deployment.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=deployment.outputs["state_table_name"], ConsistentRead=True)
        )
        items = [{k: _deserialize(v) for k, v in item.items()} for page in pages for item in page["Items"]]
        return sorted(item["operation_id"] for item in items if "#" in item["operation_id"] and _holds(item))

    def assert_nothing_left(self, deployment: Deployment, *sources: str) -> None:
        """No copy, no share, no item of a copy, a share, a lane or a wait."""
        self.sandbox.clock.advance(600)  # deletions take their time
        assert self.copies() == []
        assert [share for arn in sources if self.described(arn) for share in self.shares(arn)] == []
        assert self.reserved_items(deployment) == []


def _holds(item: dict[str, Any]) -> bool:
    """A lane that is held or waited for; a copy or share that is owned, or stays without having been asked to."""
    if item["operation_id"].startswith(("turns#", "listing#", "stats#")):
        return False  # the deployment's own: whose turn it is, what is under way, what was learned
    if item["operation_id"].startswith("lane#"):
        return bool(item.get("holders") or item.get("waiting"))
    return bool(item.get("owners")) or not (item.get("expires_at") or item.get("kept"))


def seconds(deployment: Deployment, execution: Execution) -> float:
    """How long an execution took, in virtual time."""
    described = deployment.client("stepfunctions").describe_execution(executionArn=execution.arn)
    return float((described["stopDate"] - described["startDate"]).total_seconds())
