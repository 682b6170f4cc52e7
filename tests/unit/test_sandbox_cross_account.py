"""Two accounts and two regions, with IAM and KMS deciding: what copies and restores need, and not less.

The policies here are the least that passes; each rule cites aws-facts by its section.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox.faults import Fault
from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOURCE, TARGET, HERE, FAR = "111122223333", "444455556666", "eu-west-1", "us-east-1"
MANAGED = {"aurora-restore:managed-by": "D"}
TAGS = [{"Key": key, "Value": value} for key, value in MANAGED.items()]
# What the source's key must give another account's role, beside kms:CreateGrant (aws-facts 2.4).
READING = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom")
_numbers = count()


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def using(key: str, actions: Any, *regions: str) -> list[dict[str, Any]]:
    """The use of a key through RDS: grants in a statement of their own, or the condition would shut out the others."""
    via = {"kms:ViaService": [f"rds.{region}.amazonaws.com" for region in regions]}
    grant = {"kms:GrantIsForAWSResource": "true"}
    return [
        allow(list(actions), key, StringEquals=via),
        allow("kms:CreateGrant", key, StringEquals=via, Bool=grant),
    ]


def snapshot_arn(name: str, account: str, region: str) -> str:
    return f"arn:aws:rds:{region}:{account}:cluster-snapshot:{name}"


class Clouds:
    """A sandbox with a source account that has a cluster, and short words for what the tests do."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.source_role = self.role("source", SOURCE)
        self.copier = self.role("copier", TARGET)
        delegated = {**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"}}
        self.delegated = delegated
        self.source_key = self.key(SOURCE, HERE, delegated)
        self.share_key = self.key(SOURCE, FAR, delegated)
        self.local_key = self.key(TARGET, FAR)
        rds = self.rds(SOURCE, HERE)
        rds.create_db_cluster(
            DBClusterIdentifier="shop",
            Engine="aurora-mysql",
            EngineVersion="8.0.mysql_aurora.3.08.2",
            MasterUsername="admin",
            MasterUserPassword="correct-horse",
            StorageEncrypted=True,
            KmsKeyId=self.source_key,
            DBSubnetGroupName=self.subnet_group(SOURCE, HERE),
        )
        sandbox.clock.advance(1000)
        rds.create_db_cluster_snapshot(DBClusterIdentifier="shop", DBClusterSnapshotIdentifier="manual")
        sandbox.clock.advance(1000)
        self.share("manual", SOURCE, HERE)
        self.shared = snapshot_arn("manual", SOURCE, HERE)

    def rds(self, account: str, region: str) -> Any:
        return self.sandbox.client("rds", account, region)

    def kms(self, account: str = SOURCE, region: str = HERE) -> Any:
        return self.sandbox.client("kms", account, region)

    def subnet_group(self, account: str, region: str) -> str:
        subnets = self.sandbox.client("ec2", account, region).describe_subnets()["Subnets"]
        self.rds(account, region).create_db_subnet_group(
            DBSubnetGroupName="databases",
            DBSubnetGroupDescription="d",
            SubnetIds=[subnet["SubnetId"] for subnet in subnets],
        )
        return "databases"

    def key(self, account: str, region: str, *statements: Mapping[str, Any]) -> str:
        policy = {"Policy": document(*statements)} if statements else {}
        arn: str = self.kms(account, region).create_key(**policy)["KeyMetadata"]["Arn"]
        return arn

    def open_key(self, *statements: Mapping[str, Any]) -> None:
        """Give the source's key these statements, beside its account's own."""
        policy = document(self.delegated, *statements)
        self.kms().put_key_policy(KeyId=self.source_key, PolicyName="default", Policy=policy)

    def role(self, name: str, account: str) -> str:
        trust = {**allow("sts:AssumeRole"), "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
        del trust["Resource"]
        made = self.sandbox.client("iam", account).create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        arn: str = made["Role"]["Arn"]
        return arn

    def acting(self, role: str, *statements: Mapping[str, Any], region: str, service: str = "rds") -> Any:
        """A client in a role's session; the role gets these permissions, and no others."""
        account, name = role.split(":")[4], role.rsplit("/", 1)[1]
        policy = {"RoleName": name, "PolicyName": "it", "PolicyDocument": document(*statements)}
        self.sandbox.client("iam", account).put_role_policy(**policy)
        given = self.sandbox.client("sts", account).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
        return self.session(given).client(service, region_name=region, endpoint_url=self.sandbox.url)

    @staticmethod
    def session(credentials: Mapping[str, str]) -> Any:
        return boto3.Session(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], HERE
        )

    def share(self, name: str, account: str, region: str) -> None:
        self.rds(account, region).modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[TARGET]
        )

    def status(self, name: str, account: str = TARGET, region: str = FAR) -> str:
        found = self.rds(account, region).describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)
        return str(found["DBClusterSnapshots"][0]["Status"])

    def grants(self, key: str, account: str = SOURCE, region: str = HERE) -> list[dict[str, Any]]:
        """The grants that RDS made itself."""
        listed = self.kms(account, region).list_grants(KeyId=key)["Grants"]
        return [grant for grant in listed if grant["GranteePrincipal"] == f"rds.{region}.amazonaws.com"]

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Time passes only by advance()."""
        with self.sandbox.clock.busy():
            yield


@pytest.fixture(scope="module")
def clouds() -> Iterator[Clouds]:
    with Sandbox(data_plane=False) as sandbox:
        yield Clouds(sandbox)


def refusal(action: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        action()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def copy(rds: Any, source: str, key: str | None, **more: Any) -> str:
    name = f"copy-{next(_numbers)}"
    given = {"KmsKeyId": key} if key else {}
    names = {"SourceDBClusterSnapshotIdentifier": source, "TargetDBClusterSnapshotIdentifier": name}
    rds.copy_db_cluster_snapshot(**names, **given, Tags=TAGS, **more)
    return name


# ---- the copy by the target's role: what it needs


def copier_policy(clouds: Clouds, *, without: str = "") -> list[dict[str, Any]]:
    """What the target's role needs to copy the source's shared snapshot into its own region, all in one step.

    ``without`` takes away an action, all that is about a resource, or "action on resource".
    """
    target = snapshot_arn("copy-*", TARGET, FAR)
    reading = [action for action in READING if action != without]
    statements = [
        allow("rds:CopyDBClusterSnapshot", target, StringEquals={"aws:RequestTag/aurora-restore:managed-by": "D"}),
        allow("rds:CopyDBClusterSnapshot", f"arn:aws:rds:*:{SOURCE}:cluster-snapshot:*"),
        allow("rds:AddTagsToResource", target, StringEquals={"aws:RequestTag/aurora-restore:managed-by": "D"}),
        allow("rds:CrossRegionCommunication"),
        *using(clouds.source_key, reading, HERE, FAR),
        *using(clouds.local_key, ["kms:DescribeKey"], FAR),
    ]
    return [one for one in statements if without not in (a := one["Action"], r := one["Resource"], f"{a} on {r}")]


def key_statements(clouds: Clouds, *, without: str = "") -> list[dict[str, Any]]:
    """What the source's key must say for that, in its policy."""
    reading = [action for action in READING if action != without]
    statements = using("*", reading, HERE, FAR)
    return [
        {**statement, "Principal": {"AWS": clouds.copier}} for statement in statements if statement["Action"] != without
    ]


def test_the_copy_in_one_step_passes_with_the_least_policies_2_4(clouds: Clouds) -> None:
    """aws-facts 2.2, 2.4, 11: the caller's own policies and the key's, both through RDS in both regions."""
    clouds.open_key(*key_statements(clouds))
    rds = clouds.acting(clouds.copier, *copier_policy(clouds), region=FAR)
    name = copy(rds, clouds.shared, clouds.local_key)
    clouds.sandbox.clock.advance(1000)
    assert clouds.status(name) == "available"
    [made] = clouds.rds(TARGET, FAR).describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name)[
        "DBClusterSnapshots"
    ]
    assert (made["KmsKeyId"], made["TagList"]) == (clouds.local_key, TAGS)


@pytest.mark.parametrize("missing", [*READING, "kms:CreateGrant"])
@pytest.mark.parametrize("side", ["key", "caller"])
def test_both_sides_must_open_the_source_s_key_2_4(clouds: Clouds, side: str, missing: str) -> None:
    """aws-facts 2.4: key policy or grant, and the caller's own policy; refused in AWS's own words."""
    clouds.open_key(*key_statements(clouds, without=missing if side == "key" else ""))
    lacking = f"{missing} on {clouds.source_key}" if missing == "kms:CreateGrant" else missing
    policy = copier_policy(clouds, without=lacking if side == "caller" else "")
    rds = clouds.acting(clouds.copier, *policy, region=FAR)
    key = f"The source snapshot KMS key [{clouds.source_key}]"
    reason = f"{key} does not exist, is not enabled or you do not have permissions to access it."
    assert refusal(lambda: copy(rds, clouds.shared, clouds.local_key)) == ("KMSKeyNotAccessibleFault", reason)


@pytest.mark.parametrize("region", [HERE, FAR])
def test_a_source_key_that_is_open_through_one_region_only_2_4(clouds: Clouds, region: str) -> None:
    """aws-facts 2.4: the kms:ViaService of a cross-region copy is not known: both values must be allowed."""
    opened = [{**one, "Principal": {"AWS": clouds.copier}} for one in using("*", READING, region)]
    clouds.open_key(*opened)
    rds = clouds.acting(clouds.copier, *copier_policy(clouds), region=FAR)
    assert refusal(lambda: copy(rds, clouds.shared, clouds.local_key))[0] == "KMSKeyNotAccessibleFault"


@pytest.mark.parametrize(
    "missing", ["rds:CopyDBClusterSnapshot", "rds:CrossRegionCommunication", "rds:AddTagsToResource"]
)
def test_what_rds_itself_asks_of_the_caller_11(clouds: Clouds, missing: str) -> None:
    """aws-facts 11: source and target ARN, AddTagsToResource with tags, CrossRegionCommunication from elsewhere."""
    clouds.open_key(*key_statements(clouds))
    rds = clouds.acting(clouds.copier, *copier_policy(clouds, without=missing), region=FAR)
    code, message = refusal(lambda: copy(rds, clouds.shared, clouds.local_key))
    assert (code, missing in message) == ("AccessDenied", True)


def test_the_foreign_source_s_arn_must_be_in_the_caller_s_policy_11(clouds: Clouds) -> None:
    """aws-facts 11: "Source snapshot ARN in another account must be allowed in the caller's policy"."""
    clouds.open_key(*key_statements(clouds))
    foreign = f"arn:aws:rds:*:{SOURCE}:cluster-snapshot:*"
    rds = clouds.acting(clouds.copier, *copier_policy(clouds, without=foreign), region=FAR)
    code, message = refusal(lambda: copy(rds, clouds.shared, clouds.local_key))
    assert (code, clouds.shared in message) == ("AccessDenied", True)


def test_a_grant_opens_the_source_s_key_as_its_policy_does_2_4(clouds: Clouds) -> None:
    """aws-facts 2.4: a grant to another account's role, as aws_kms_grant makes it; it works until it is revoked."""
    clouds.open_key()
    rds = clouds.acting(clouds.copier, *copier_policy(clouds), region=FAR)
    assert refusal(lambda: copy(rds, clouds.shared, clouds.local_key))[0] == "KMSKeyNotAccessibleFault"
    operations = [action.removeprefix("kms:") for action in READING] + ["CreateGrant"]
    made = clouds.kms().create_grant(KeyId=clouds.source_key, GranteePrincipal=clouds.copier, Operations=operations)
    copy(rds, clouds.shared, clouds.local_key)
    clouds.sandbox.clock.advance(1000)
    clouds.kms().revoke_grant(KeyId=clouds.source_key, GrantId=made["GrantId"])
    assert refusal(lambda: copy(rds, clouds.shared, clouds.local_key))[0] == "KMSKeyNotAccessibleFault"


def test_a_grant_is_not_enough_for_a_role_whose_own_policies_are_silent_2_4(clouds: Clouds) -> None:
    clouds.open_key()
    operations = [action.removeprefix("kms:") for action in READING] + ["CreateGrant"]
    made = clouds.kms().create_grant(KeyId=clouds.source_key, GranteePrincipal=clouds.copier, Operations=operations)
    silent = [one for one in copier_policy(clouds) if one["Resource"] != clouds.source_key]
    rds = clouds.acting(clouds.copier, *silent, region=FAR)
    assert refusal(lambda: copy(rds, clouds.shared, clouds.local_key))[0] == "KMSKeyNotAccessibleFault"
    clouds.kms().revoke_grant(KeyId=clouds.source_key, GrantId=made["GrantId"])


def test_the_copy_s_own_key_needs_the_caller_s_leave_too_2_4(clouds: Clouds) -> None:
    clouds.open_key(*key_statements(clouds))
    without = [one for one in copier_policy(clouds) if one["Resource"] != clouds.local_key]
    rds = clouds.acting(clouds.copier, *without, region=FAR)
    code, message = refusal(lambda: copy(rds, clouds.shared, clouds.local_key))
    assert (code, clouds.local_key in message) == ("KMSKeyNotAccessibleFault", True)


def test_an_administrator_needs_the_source_key_s_policy_2_4(clouds: Clouds) -> None:
    """aws-facts 2.4: no account gives itself another account's key, its administrator neither."""
    clouds.open_key()
    admin = clouds.rds(TARGET, FAR)
    assert refusal(lambda: copy(admin, clouds.shared, clouds.local_key))[0] == "KMSKeyNotAccessibleFault"
    clouds.open_key({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}})
    copy(admin, clouds.shared, clouds.local_key)
    clouds.sandbox.clock.advance(1000)


# ---- the copy by the source's role, and the restore without any copy of the target's


def test_the_source_s_role_copies_an_automated_snapshot_away_and_shares_it_2_2(clouds: Clouds) -> None:
    """aws-facts 2.2, fewest hops: copied in the source account into the target's region, shared, restored there."""
    automated = clouds.sandbox.take_automated_snapshot("shop", SOURCE, HERE)
    clouds.sandbox.clock.advance(1000)
    target = snapshot_arn("copy-*", SOURCE, FAR)
    ours = {"aws:ResourceTag/aurora-restore:managed-by": "D"}
    statements = [
        allow("rds:CopyDBClusterSnapshot", f"arn:aws:rds:*:{SOURCE}:cluster-snapshot:*"),
        allow("rds:AddTagsToResource", target, StringEquals={"aws:RequestTag/aurora-restore:managed-by": "D"}),
        allow("rds:CrossRegionCommunication"),
        allow("rds:ModifyDBClusterSnapshotAttribute", target, StringEquals=ours),
        allow("rds:DeleteDBClusterSnapshot", target, StringEquals=ours),
        *using(clouds.source_key, ["kms:DescribeKey"], HERE, FAR),
        *using(clouds.share_key, ["kms:DescribeKey"], FAR),
    ]
    rds = clouds.acting(clouds.source_role, *statements, region=FAR)
    name = copy(rds, automated, clouds.share_key)
    clouds.sandbox.clock.advance(1000)
    assert clouds.status(name, SOURCE) == "available"
    share = {"DBClusterSnapshotIdentifier": name, "AttributeName": "restore"}
    rds.modify_db_cluster_snapshot_attribute(**share, ValuesToAdd=[TARGET])
    restore_shared(clouds, snapshot_arn(name, SOURCE, FAR))
    rds.modify_db_cluster_snapshot_attribute(**share, ValuesToRemove=[TARGET])
    clouds.rds(SOURCE, FAR).copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=name, TargetDBClusterSnapshotIdentifier="copy-untagged"
    )
    clouds.sandbox.clock.advance(1000)
    assert (
        refusal(lambda: rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="copy-untagged"))[0]
        == "AccessDenied"
    )
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


def test_a_default_key_opens_to_its_account_without_a_word_and_to_nobody_else_2_1(clouds: Clouds) -> None:
    """aws-facts 2.1, 2.2: under aws/rds nothing is shared; its owner copies it under a key that can be shared."""
    clouds.rds(SOURCE, HERE).create_db_cluster(
        DBClusterIdentifier="legacy",
        Engine="aurora-mysql",
        MasterUsername="admin",
        MasterUserPassword="correct-horse",
        StorageEncrypted=True,
        KmsKeyId="alias/aws/rds",
        DBSubnetGroupName="databases",
    )
    clouds.sandbox.clock.advance(1000)
    backup = clouds.sandbox.take_backup_snapshot("legacy", SOURCE, HERE)
    clouds.rds(SOURCE, HERE).create_db_cluster_snapshot(
        DBClusterIdentifier="legacy", DBClusterSnapshotIdentifier="legacy"
    )
    clouds.sandbox.clock.advance(1000)
    code, message = refusal(lambda: clouds.share("legacy", SOURCE, HERE))
    assert (code, "default service key" in message) == ("InvalidDBClusterSnapshotStateFault", True)
    rds = clouds.acting(
        clouds.source_role, allow("rds:*"), *using(clouds.share_key, ["kms:DescribeKey"], FAR), region=FAR
    )
    for snapshot in (backup, snapshot_arn("legacy", SOURCE, HERE)):
        name = copy(rds, snapshot, clouds.share_key)
        clouds.sandbox.clock.advance(1000)
        clouds.share(name, SOURCE, FAR)


def restore_shared(clouds: Clouds, snapshot: str) -> None:
    """The target's role restores another account's snapshot under a local key; nothing less than this passes."""
    restored = f"arn:aws:rds:{FAR}:{TARGET}:cluster:restored"
    others = [f"arn:aws:rds:{FAR}:{TARGET}:{kind}:*" for kind in ("cluster-pg", "og", "subgrp")]
    foreign = f"arn:aws:rds:{FAR}:{SOURCE}:cluster-snapshot:*"
    base = [
        allow("rds:RestoreDBClusterFromSnapshot", [restored, *others]),
        *using(clouds.local_key, ["kms:DescribeKey"], FAR),
    ]
    reading = using(clouds.share_key, READING, FAR)
    opened = [{**one, "Resource": "*", "Principal": {"AWS": clouds.copier}} for one in reading]
    far = clouds.kms(SOURCE, FAR)
    far.put_key_policy(KeyId=clouds.share_key, PolicyName="default", Policy=document(clouds.delegated, *opened))
    parameters = {
        "DBClusterIdentifier": "restored",
        "SnapshotIdentifier": snapshot,
        "Engine": "aurora-mysql",
        "EngineVersion": "8.0.mysql_aurora.3.08.2",
        "KmsKeyId": clouds.local_key,
        "DBSubnetGroupName": clouds.subnet_group(TARGET, FAR),
    }

    def restore(*more: Mapping[str, Any]) -> Any:
        rds = clouds.acting(clouds.copier, *base, *more, region=FAR)
        return rds.restore_db_cluster_from_snapshot(**parameters)["DBCluster"]

    from_shared = allow("rds:RestoreDBClusterFromSnapshot", foreign)
    assert snapshot in refusal(lambda: restore(*reading))[1]
    assert refusal(lambda: restore(from_shared))[0] == "KMSKeyNotAccessibleFault"
    first = {"iam:AWSServiceName": "rds.amazonaws.com"}  # the account's first database, as everything here
    service_role = f"arn:aws:iam::{TARGET}:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS"
    linking = allow("iam:CreateServiceLinkedRole", service_role, StringEquals=first)
    assert "service linked role" in refusal(lambda: restore(from_shared, *reading))[1]
    assert restore(from_shared, *reading, linking)["KmsKeyId"] == clouds.local_key


def test_the_source_s_own_role_needs_both_regions_on_the_source_key_2_4(clouds: Clouds) -> None:
    statements = [
        allow("rds:*"),
        *using(clouds.source_key, ["kms:DescribeKey"], FAR),
        *using(clouds.share_key, ["kms:DescribeKey"], FAR),
    ]
    rds = clouds.acting(clouds.source_role, *statements, region=FAR)
    assert refusal(lambda: copy(rds, clouds.shared, clouds.share_key))[0] == "KMSKeyNotAccessibleFault"


# ---- RDS's own grants


def begin(clouds: Clouds) -> str:
    clouds.open_key({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}})
    return copy(clouds.rds(TARGET, FAR), clouds.shared, clouds.local_key)


def test_rds_s_grants_show_while_the_copy_runs_and_are_retired_2_4(clouds: Clouds) -> None:
    with clouds.standing_still():
        name = begin(clouds)
        [of_source] = clouds.grants(clouds.source_key)
        [of_copy] = clouds.grants(clouds.local_key, TARGET, FAR)
        assert of_source["Name"] == of_copy["Name"] == snapshot_arn(name, TARGET, FAR)
        assert "Decrypt" in of_source["Operations"]
        # A grant to a service is nobody else's leave.
        rds = clouds.acting(clouds.copier, allow("kms:*"), region=HERE, service="kms")
        clouds.open_key()
        assert refusal(lambda: rds.describe_key(KeyId=clouds.source_key))[0] == "AccessDeniedException"
        clouds.sandbox.clock.advance(1000)
    assert clouds.status(name) == "available"
    assert clouds.grants(clouds.source_key) == clouds.grants(clouds.local_key, TARGET, FAR) == []


def revoke(clouds: Clouds) -> None:
    [grant] = clouds.grants(clouds.source_key)
    clouds.kms().revoke_grant(KeyId=clouds.source_key, GrantId=grant["GrantId"])


def disable(clouds: Clouds) -> None:
    clouds.kms().disable_key(KeyId=clouds.source_key)


def schedule_deletion(clouds: Clouds) -> None:
    clouds.kms().schedule_key_deletion(KeyId=clouds.source_key)


@pytest.mark.parametrize("lose", [revoke, disable, schedule_deletion])
def test_a_copy_that_loses_the_source_s_key_fails_2_4(clouds: Clouds, lose: Callable[[Clouds], None]) -> None:
    with clouds.standing_still():
        name = begin(clouds)
        lose(clouds)
        clouds.sandbox.clock.advance(1000)
        assert clouds.status(name) == "failed"
        [event] = clouds.rds(TARGET, FAR).describe_events(
            SourceIdentifier=name, SourceType="db-cluster-snapshot", Duration=60
        )["Events"]
    assert event["EventCategories"] == ["failure"]
    assert f"KMS key [{clouds.source_key}]" in event["Message"]
    if lose is schedule_deletion:
        clouds.kms().cancel_key_deletion(KeyId=clouds.source_key)
    clouds.kms().enable_key(KeyId=clouds.source_key)
    assert clouds.grants(clouds.source_key) == clouds.grants(clouds.local_key, TARGET, FAR) == []
    clouds.rds(TARGET, FAR).delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)


# ---- a single step that AWS refuses


def test_a_fault_can_refuse_the_single_step_alone(clouds: Clouds) -> None:
    """aws-facts 2.2: "stale text 'same AWS Region only' survives": what a fallback has to cope with."""
    clouds.open_key({**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{TARGET}:root"}})
    fault = Fault(
        service="rds",
        operation="CopyDBClusterSnapshot",
        region=FAR,
        params={"SourceDBClusterSnapshotIdentifier": f"arn:aws:rds:{HERE}:{SOURCE}:*"},
        error="InvalidParameterCombination",
        times=None,
    )
    clouds.sandbox.faults.add(fault)
    admin = clouds.rds(TARGET, FAR)
    for _ in range(2):
        assert refusal(lambda: copy(admin, clouds.shared, clouds.local_key))[0] == "InvalidParameterCombination"
    near = copy(clouds.rds(TARGET, HERE), clouds.shared, clouds.key(TARGET, HERE))
    clouds.sandbox.clock.advance(1000)
    copy(admin, snapshot_arn(near, TARGET, HERE), clouds.local_key)
    clouds.sandbox.faults.clear()


# ---- roles of another account


def trusting(clouds: Clouds, name: str, **condition: Any) -> str:
    trust = {**allow("sts:AssumeRole", **condition), "Principal": {"AWS": clouds.copier}}
    del trust["Resource"]
    iam = clouds.sandbox.client("iam", SOURCE)
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=document(allow("rds:Describe*")))
    return arn


def test_a_session_acts_in_the_account_of_its_role_11(clouds: Clouds) -> None:
    """aws-facts 11: trusted by the role's ARN with an external id; a chained session has an hour at most."""
    role = trusting(clouds, "trusting", StringEquals={"sts:ExternalId": "sesame"})
    sts = clouds.acting(clouds.copier, allow("sts:AssumeRole", role), region=HERE, service="sts")
    given = {"RoleArn": role, "RoleSessionName": "op-1", "ExternalId": "sesame"}
    session = clouds.session(sts.assume_role(**given)["Credentials"])
    rds = session.client("rds", endpoint_url=clouds.sandbox.url)
    found = rds.describe_db_clusters(DBClusterIdentifier="shop")["DBClusters"]
    assert [cluster["DBClusterArn"] for cluster in found] == [f"arn:aws:rds:{HERE}:{SOURCE}:cluster:shop"]
    assert refusal(lambda: rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="manual"))[0] == "AccessDenied"
    identity = session.client("sts", endpoint_url=clouds.sandbox.url).get_caller_identity()
    assert (identity["Account"], identity["Arn"].rsplit(":", 1)[1]) == (SOURCE, "assumed-role/trusting/op-1")
    assert refusal(lambda: sts.assume_role(**{**given, "ExternalId": "other"}))[0] == "AccessDenied"
    code, message = refusal(lambda: sts.assume_role(**given, DurationSeconds=3601))
    assert (code, "1 hour session limit" in message) == ("ValidationError", True)


def test_the_organization_of_the_caller_is_a_condition_11(clouds: Clouds) -> None:
    """aws-facts 11: "aws:PrincipalOrgID"."""
    role = trusting(clouds, "organized", StringEquals={"aws:PrincipalOrgID": "o-sandbox"})
    sts = clouds.acting(clouds.copier, allow("sts:AssumeRole", role), region=HERE, service="sts")
    assert refusal(lambda: sts.assume_role(RoleArn=role, RoleSessionName="s1"))[0] == "AccessDenied"
    clouds.sandbox.join_organization("o-other", SOURCE, TARGET)
    assert refusal(lambda: sts.assume_role(RoleArn=role, RoleSessionName="s1"))[0] == "AccessDenied"
    clouds.sandbox.join_organization("o-sandbox", SOURCE, TARGET)
    sts.assume_role(RoleArn=role, RoleSessionName="s1")
    clouds.sandbox.authorizer.organizations.clear()
