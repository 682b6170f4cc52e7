"""The source account's part: applied with the pipeline in one go, trusted by nobody else, and gone after a destroy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sandbox import samples
from sandbox.server import Sandbox
from tests.workflow import cross_account
from tests.workflow.cross_account import (
    EXTERNAL_ID,
    REGION,
    SOURCE_REGION,
    CrossAccount,
)

# Not those of the example that other tests share: what is applied here has the same names.
ACCOUNT, SOURCE_ACCOUNT = "555566667777", "666677778888"
MANAGED_BY = "aurora-restore:managed-by"
OURS = [{"Key": MANAGED_BY, "Value": "aurora-restore"}]
ACCESS_STEPS = {"check_copy_status", "cleanup", "compensate", "copy_snapshot", "snapshot_check"}
KEY_STEPS = {"copy_snapshot", "create_instances", "restore_snapshot", "snapshot_check"}
GRANTED = (
    *("CreateGrant", "Decrypt", "DescribeKey"),
    *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom"),
)


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> CrossAccount:
    return cross_account.deploy(sandbox, tmp_path_factory.mktemp("cross-account"), ACCOUNT, SOURCE_ACCOUNT)


def as_role(sandbox: Sandbox, role_arn: str, service: str, region: str = REGION) -> Any:
    """A client with a session of the role, as a Lambda function has one."""
    key, secret, token = sandbox.principals.issue(role_arn, "test")
    name: Any = service
    return boto3.Session(key, secret, token, region).client(name, endpoint_url=sandbox.url)


def as_source_role(deployment: CrossAccount, step: str, service: str, region: str = REGION) -> Any:
    """A client of the source account, by its role, as the step's function gets one."""
    sts = as_role(deployment.sandbox, deployment.outputs["role_arns"][step], "sts")
    got = sts.assume_role(RoleArn=deployment.source_role_arn, RoleSessionName="test", ExternalId=EXTERNAL_ID)
    credentials = got["Credentials"]
    session = boto3.Session(
        credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], region
    )
    name: Any = service
    return session.client(name, endpoint_url=deployment.sandbox.url)


def refusal(call: Any, **arguments: Any) -> str:
    """The code with which AWS refuses a call."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


def test_a_second_plan_is_empty(deployment: CrossAccount) -> None:
    empty, printed = deployment.root.plan()
    assert empty, printed


def test_the_output_is_an_entry_of_the_pipelines_source_accounts(deployment: CrossAccount) -> None:
    assert deployment.outputs["source_account"] == {
        SOURCE_ACCOUNT: {
            "role_arn": f"arn:aws:iam::{SOURCE_ACCOUNT}:role/aurora-restore-snapshot-source",
            "external_id": EXTERNAL_ID,
            "share_kms_key_arns": {REGION: deployment.share_key_arn},
        }
    }
    assert deployment.share_key_arn.startswith(f"arn:aws:kms:{REGION}:{SOURCE_ACCOUNT}:key/")


def test_the_pipelines_roles_alone_take_on_the_source_role(deployment: CrossAccount) -> None:
    wanted = {"RoleArn": deployment.source_role_arn, "RoleSessionName": "test"}
    for step, role_arn in deployment.outputs["role_arns"].items():
        sts = as_role(deployment.sandbox, role_arn, "sts")
        if step not in ACCESS_STEPS:
            assert refusal(sts.assume_role, **wanted, ExternalId=EXTERNAL_ID) == "AccessDenied", step
            continue
        assumed = sts.assume_role(**wanted, ExternalId=EXTERNAL_ID)["AssumedRoleUser"]["Arn"]
        assert assumed.startswith(f"arn:aws:sts::{SOURCE_ACCOUNT}:assumed-role/")
        assert refusal(sts.assume_role, **wanted) == "AccessDenied", step
        assert refusal(sts.assume_role, **wanted, ExternalId=EXTERNAL_ID[:-1]) == "AccessDenied", step


def test_a_stranger_does_not_take_it_on_whatever_its_own_account_allows(deployment: CrossAccount) -> None:
    iam = deployment.client("iam")
    anybody = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    stranger = iam.create_role(RoleName="stranger", AssumeRolePolicyDocument=json.dumps({"Statement": [anybody]}))
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="stranger", PolicyName="all", PolicyDocument=json.dumps(everything))
    try:
        sts = as_role(deployment.sandbox, stranger["Role"]["Arn"], "sts")
        wanted = {"RoleArn": deployment.source_role_arn, "RoleSessionName": "test", "ExternalId": EXTERNAL_ID}
        assert refusal(sts.assume_role, **wanted) == "AccessDenied"
        assert refusal(deployment.client("sts").assume_role, **wanted) == "AccessDenied"  # nor its administrator
    finally:
        iam.delete_role_policy(RoleName="stranger", PolicyName="all")
        iam.delete_role(RoleName="stranger")


def test_grants_on_an_existing_key_are_for_the_roles_that_use_keys(deployment: CrossAccount) -> None:
    (key,) = deployment.root.variables["source_kms_key_arns"].values()
    grants = deployment.source_client("kms").list_grants(KeyId=key)["Grants"]
    assert {g["GranteePrincipal"] for g in grants} == {deployment.outputs["role_arns"][step] for step in KEY_STEPS}
    assert {tuple(sorted(g["Operations"])) for g in grants} == {GRANTED}


def test_keys_show_themselves_to_those_who_plan_with_them(deployment: CrossAccount) -> None:
    """Across accounts both sides have to allow it; the preflight asks directly, as itself and as the source role."""
    (existing,) = deployment.root.variables["source_kms_key_arns"].values()
    unknown = cross_account.make_key(deployment.sandbox, SOURCE_ACCOUNT, REGION)
    roles = deployment.outputs["role_arns"]
    for region, key in ((REGION, deployment.share_key_arn), (SOURCE_REGION, existing)):
        kms = as_role(deployment.sandbox, roles["snapshot_check"], "kms", region)
        assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "CUSTOMER"
        assert as_source_role(deployment, "snapshot_check", "kms", region).describe_key(KeyId=key)
        assert refusal(as_role(deployment.sandbox, roles["cleanup"], "kms", region).describe_key, KeyId=key) == (
            "AccessDeniedException"
        )
    kms = as_role(deployment.sandbox, roles["snapshot_check"], "kms")
    assert refusal(kms.describe_key, KeyId=unknown) == "AccessDeniedException"
    # To use a key is RDS's business: the functions' own code gets nothing decrypted.
    for step in KEY_STEPS:
        kms = as_role(deployment.sandbox, roles[step], "kms")
        assert refusal(kms.generate_data_key, KeyId=deployment.share_key_arn, KeySpec="AES_256") == (
            "AccessDeniedException"
        )


@pytest.fixture
def automated(deployment: CrossAccount) -> Iterator[str]:
    """The ARN of an automated snapshot under the source account's default key, in its region."""
    ec2, rds = deployment.source_client("ec2"), deployment.source_client("rds")
    network = samples.make_network(ec2, rds)
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-mysql",
        EngineVersion=samples.ENGINE_VERSIONS["aurora-mysql"],
        MasterUsername=samples.MASTER_USERNAME,
        MasterUserPassword="correct-horse-battery",
        DBSubnetGroupName=network.db_subnet_group_name,
        StorageEncrypted=True,
        KmsKeyId="alias/aws/rds",
    )
    samples.wait_until_available(rds, "orders")
    taken = deployment.sandbox.take_automated_snapshot("orders", SOURCE_ACCOUNT, SOURCE_REGION)
    deployment.sandbox.clock.advance(600)  # until it is available
    yield taken
    rds.delete_db_cluster(DBClusterIdentifier="orders", SkipFinalSnapshot=True)


def test_an_automated_snapshot_under_the_default_key_comes_over_with_these_rights(
    deployment: CrossAccount, automated: str
) -> None:
    """The shortest way: copied straight into the target's region under the key there, shared, restored directly."""
    source = as_source_role(deployment, "copy_snapshot", "rds")
    copy = {
        "SourceDBClusterSnapshotIdentifier": automated,
        "TargetDBClusterSnapshotIdentifier": "arp-orders",
        "KmsKeyId": deployment.share_key_arn,
    }
    assert refusal(source.copy_db_cluster_snapshot, **copy) == "AccessDenied"
    foreign = [{"Key": MANAGED_BY, "Value": "another-deployment"}]
    assert refusal(source.copy_db_cluster_snapshot, **copy, Tags=foreign) == "AccessDenied"
    made = source.copy_db_cluster_snapshot(**copy, Tags=OURS)["DBClusterSnapshot"]["DBClusterSnapshotArn"]
    waiter = deployment.source_client("rds", REGION).get_waiter("db_cluster_snapshot_available")
    waiter.wait(DBClusterSnapshotIdentifier="arp-orders", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    source.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier="arp-orders", AttributeName="restore", ValuesToAdd=[ACCOUNT]
    )

    roles = deployment.outputs["role_arns"]
    restore = {
        "DBClusterIdentifier": "orders-restored",
        "SnapshotIdentifier": made,
        "Engine": "aurora-mysql",
        "DBSubnetGroupName": deployment.network.db_subnet_group_name,
        "KmsKeyId": deployment.outputs["kms_key_arn"],
    }
    rds = as_role(deployment.sandbox, roles["restore_snapshot"], "rds")
    assert refusal(rds.restore_db_cluster_from_snapshot, **restore) == "AccessDenied"
    cluster = rds.restore_db_cluster_from_snapshot(**restore, Tags=OURS)["DBCluster"]
    assert cluster["KmsKeyId"] == deployment.outputs["kms_key_arn"]

    # Only what bears the tag is deleted, on either side.
    theirs = deployment.source_client("rds").copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=automated, TargetDBClusterSnapshotIdentifier="theirs"
    )["DBClusterSnapshot"]["DBClusterSnapshotIdentifier"]
    cleaner = as_source_role(deployment, "cleanup", "rds", SOURCE_REGION)
    assert refusal(cleaner.delete_db_cluster_snapshot, DBClusterSnapshotIdentifier=theirs) == "AccessDenied"
    as_source_role(deployment, "cleanup", "rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="arp-orders")
    samples.wait_until_available(deployment.client("rds"), "orders-restored")
    deployment.delete_cluster("orders-restored")


def test_destroy_leaves_nothing(deployment: CrossAccount) -> None:
    """The last of this file: it ends the deployment's life."""
    (existing,) = deployment.root.variables["source_kms_key_arns"].values()
    key = deployment.share_key_arn

    deployment.root.destroy()

    assert deployment.source_client("iam").list_roles()["Roles"] == []
    assert deployment.source_client("kms").list_grants(KeyId=existing)["Grants"] == []
    assert deployment.source_client("kms", REGION).describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == (
        "PendingDeletion"
    )
    assert deployment.client("iam").list_roles()["Roles"] == []
    assert deployment.client("stepfunctions").list_state_machines()["stateMachines"] == []
