"""The authorizer's rules, each as AWS documents it, against policies in moto's backends."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.iam.models import iam_backends

from sandbox.authz import AccessDenied, AuthorizationNotModelled, Authorizer, Evaluator
from sandbox.core import AwsError, Call, Principal
from tests.unit.authz_harness import ACCOUNT, DEPLOYMENT, OTHER, REGION, World, allow, arn, deny, document, tags

CLUSTER = arn("rds", "cluster:restored")


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    made = Evaluator()
    yield made
    made.close()


@pytest.fixture
def world(evaluator: Evaluator) -> Iterator[World]:
    with mock_aws():
        yield World(evaluator)


# Identity policies and the permissions boundary


def test_an_identity_policy_allows(world: World) -> None:
    role = world.role(allow("rds:ModifyDBCluster", arn("rds", "cluster:rest*")))
    world.call(role, "rds:ModifyDBCluster", DBClusterIdentifier="Restored")
    assert [statement.policy for statement in world.last.matched] == ["worker/inline"]


def test_an_attached_managed_policy_allows_in_its_default_version(world: World) -> None:
    iam = boto3.client("iam")
    role = world.role()
    policy = iam.create_policy(PolicyName="managed", PolicyDocument=document(allow("rds:DescribeEvents")))["Policy"][
        "Arn"
    ]
    iam.attach_role_policy(RoleName="worker", PolicyArn=policy)
    world.call(role, "rds:DescribeEvents")
    iam.create_policy_version(
        PolicyArn=policy, PolicyDocument=document(allow("rds:DescribeDBClusters")), SetAsDefault=True
    )
    world.denied(role, "rds:DescribeEvents")


def test_a_refusal_says_what_aws_says_and_the_decision_says_more(world: World) -> None:
    role = world.role(
        allow("rds:DeleteDBCluster", StringEquals={"aws:ResourceTag/aurora-restore:managed-by": "D"}),
        allow("rds:DeleteDBCluster", arn("rds", "cluster:another")),
    )
    world.rds_tags[CLUSTER] = {"aurora-restore:managed-by": "E"}
    error = world.denied(role, "rds:DeleteDBCluster", DBClusterIdentifier="restored", SkipFinalSnapshot=True)
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == (
        f"User: {role.arn} is not authorized to perform: rds:DeleteDBCluster on resource: {CLUSTER} "
        "because no identity-based policy allows the rds:DeleteDBCluster action"
    )
    assert isinstance(error, AccessDenied)
    by_tag, by_name = error.decision.failed
    assert (by_tag.failed_conditions[0].expected, by_tag.failed_conditions[0].actual) == (("D",), "E")
    assert by_name.resource_match is False
    assert "the request has 'E'" in error.decision.explain()
    assert "it is about other resources" in error.decision.explain()


def test_an_explicit_deny_outweighs_an_allow(world: World) -> None:
    role = world.role(allow("rds:*"), deny("rds:DeleteDBCluster"))
    error = world.denied(role, "rds:DeleteDBCluster", DBClusterIdentifier="restored")
    assert error.message.endswith("with an explicit deny in an identity-based policy")
    assert world.last.matched[0].role == "denies"


def test_a_boundary_limits_what_policies_allow(world: World) -> None:
    boundary = document(allow("rds:Describe*"), deny("rds:DescribeEvents"))
    role = world.role(allow("rds:*"), boundary=boundary)
    world.call(role, "rds:DescribeDBClusters")
    error = world.denied(role, "rds:DeleteDBInstance", DBInstanceIdentifier="one")
    assert error.message.endswith("because no permissions boundary allows the rds:DeleteDBInstance action")
    error = world.denied(role, "rds:DescribeEvents")
    assert error.message.endswith("with an explicit deny in a permissions boundary")


def test_a_boundary_allows_nothing_by_itself(world: World) -> None:
    error = world.denied(world.role(boundary=document(allow("*"))), "rds:DescribeEvents")
    assert error.message.endswith("because no identity-based policy allows the rds:DescribeEvents action")
    assert "on resource" not in error.message


def test_an_unspecific_describe_needs_the_whole_kind(world: World) -> None:
    role = world.role(allow("rds:DescribeDBClusters", arn("rds", "cluster:prefix-*")))
    world.call(role, "rds:DescribeDBClusters", DBClusterIdentifier="prefix-one")
    error = world.denied(role, "rds:DescribeDBClusters")
    assert f"on resource: {arn('rds', 'cluster:*')} " in error.message


def test_a_deleted_role_leaves_invalid_credentials(world: World) -> None:
    role = world.role(allow("*"))
    boto3.client("iam").delete_role_policy(RoleName="worker", PolicyName="inline")
    boto3.client("iam").delete_role(RoleName="worker")
    assert world.denied(role, "rds:DescribeEvents").code == "InvalidClientTokenId"


def test_an_administrator_is_not_asked(world: World) -> None:
    admin = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", admin=True)
    world.call(admin, "rds:DeleteDBCluster", DBClusterIdentifier="restored")
    world.authorizer.check_action(admin, "kms:Decrypt", "no-such-key", {}, REGION)
    assert not world.authorizer.decisions


# RDS: required resources, tags on create and on delete

RESTORE = {"DBClusterIdentifier": "restored", "SnapshotIdentifier": "snap", "Engine": "aurora-mysql"}


def test_a_restore_needs_every_resource_that_the_reference_requires(world: World) -> None:
    kinds = [
        "cluster:restored",
        "cluster-pg:*",
        "og:default:aurora-mysql-8-0",
        "subgrp:default",
        "cluster-snapshot:snap",
    ]
    params = {**RESTORE, "EngineVersion": "8.0.mysql_aurora.3.08.0"}
    world.call(
        world.role(allow("rds:Restore*", [arn("rds", kind) for kind in kinds])),
        "rds:RestoreDBClusterFromSnapshot",
        **params,
    )
    asked = [decision.resource for decision in world.authorizer.decisions]
    assert arn("rds", "cluster-pg:default.aurora-mysql8.0") in asked
    for number, kind in enumerate(kinds):
        others = [arn("rds", other) for other in kinds if other != kind]
        role = world.role(allow("rds:Restore*", others), name=f"without-{number}")
        error = world.denied(role, "rds:RestoreDBClusterFromSnapshot", **params)
        assert arn("rds", kind).rstrip("*") in error.message


def test_a_shared_snapshot_is_asked_about_under_its_own_arn(world: World) -> None:
    snapshot = f"arn:aws:rds:{REGION}:{OTHER}:cluster-snapshot:rds:src-2026-01-01-03-00"
    own = allow("rds:*", f"arn:aws:rds:*:{ACCOUNT}:*")
    params = {**RESTORE, "SnapshotIdentifier": snapshot}
    world.call(world.role(own, allow("rds:*", snapshot)), "rds:RestoreDBClusterFromSnapshot", **params)
    error = world.denied(world.role(own, name="own-only"), "rds:RestoreDBClusterFromSnapshot", **params)
    assert snapshot in error.message


def test_tags_on_a_create_are_a_condition_and_a_permission(world: World) -> None:
    conditioned = allow("rds:CreateDBInstance", StringEquals={"aws:RequestTag/aurora-restore:managed-by": "D"})
    tagging = allow("rds:AddTagsToResource", Bool={"rds:TagsFromRequest": "true"})
    instance = {"DBInstanceIdentifier": "one", "DBInstanceClass": "db.r6g.large", "Engine": "aurora-mysql"}
    both = world.role(conditioned, tagging)
    world.call(both, "rds:CreateDBInstance", **instance, Tags=tags(DEPLOYMENT))
    world.denied(both, "rds:CreateDBInstance", **instance, Tags=tags({"aurora-restore:managed-by": "E"}))
    world.denied(both, "rds:CreateDBInstance", **instance)
    error = world.denied(
        world.role(conditioned, name="untagging"), "rds:CreateDBInstance", **instance, Tags=tags(DEPLOYMENT)
    )
    assert "rds:AddTagsToResource" in error.message


def test_a_scalable_target_that_is_registered_with_tags_needs_the_permission_to_tag(world: World) -> None:
    scaling = {"application-autoscaling:service-namespace": "rds"}
    target = {"ServiceNamespace": "rds", "ResourceId": "cluster:c", "ScalableDimension": "rds:cluster:ReadReplicaCount"}
    register = allow("application-autoscaling:RegisterScalableTarget", StringEquals=scaling)
    alone = world.role(register, name="scaling")
    operation = "application-autoscaling:RegisterScalableTarget"
    world.call(alone, operation, **target)
    denied = world.denied(alone, operation, **target, Tags={"team": "shop"})
    assert "application-autoscaling:TagResource" in denied.message
    # The namespace is no condition key of TagResource: a statement with it never allows it.
    both = allow("application-autoscaling:*", StringEquals=scaling)
    world.denied(world.role(both, name="all-of-rds"), operation, **target, Tags={"team": "shop"})
    tag = allow("application-autoscaling:TagResource", StringEquals={"aws:RequestTag/team": "shop"})
    world.call(world.role(register, tag, name="tagging"), operation, **target, Tags={"team": "shop"})


def test_tag_keys_and_the_service_s_own_names_of_tags(world: World) -> None:
    role = world.role(
        allow(
            "rds:*",
            **{
                "ForAllValues:StringEquals": {"aws:TagKeys": ["aurora-restore:managed-by", "team"]},
                "StringEqualsIfExists": {"rds:req-tag/team": "data"},
            },
        )
    )
    create = {"DBClusterIdentifier": "restored", "DBClusterSnapshotIdentifier": "snap"}
    world.call(role, "rds:CreateDBClusterSnapshot", **create, Tags=tags({**DEPLOYMENT, "team": "data"}))
    world.denied(role, "rds:CreateDBClusterSnapshot", **create, Tags=tags({**DEPLOYMENT, "more": "x"}))
    world.denied(role, "rds:CreateDBClusterSnapshot", **create, Tags=tags({**DEPLOYMENT, "team": "web"}))


@pytest.mark.parametrize(
    "key", ["aws:ResourceTag/aurora-restore:managed-by", "rds:cluster-tag/aurora-restore:managed-by"]
)
def test_a_delete_goes_by_the_tags_of_what_is_there(world: World, key: str) -> None:
    role = world.role(allow("rds:DeleteDBCluster", StringEquals={key: "D"}))
    delete = {"DBClusterIdentifier": "restored", "SkipFinalSnapshot": True}
    world.denied(role, "rds:DeleteDBCluster", **delete)
    world.rds_tags[CLUSTER] = dict(DEPLOYMENT)
    world.call(role, "rds:DeleteDBCluster", **delete)


def test_snapshots_are_deleted_and_shared_by_their_tags(world: World) -> None:
    """aws-facts 11: aws:ResourceTag and rds:cluster-snapshot-tag on existing snapshots."""
    ours = {"StringEquals": {"aws:ResourceTag/aurora-restore:managed-by": "D"}}
    by_kind = {"StringEquals": {"rds:cluster-snapshot-tag/aurora-restore:managed-by": "D"}}
    role = world.role(
        allow("rds:DeleteDBClusterSnapshot", **ours), allow("rds:ModifyDBClusterSnapshotAttribute", **by_kind)
    )
    world.rds_tags |= {arn("rds", "cluster-snapshot:copy"): DEPLOYMENT, arn("rds", "cluster-snapshot:theirs"): {}}
    for operation in ("DeleteDBClusterSnapshot", "ModifyDBClusterSnapshotAttribute"):
        world.call(role, f"rds:{operation}", DBClusterSnapshotIdentifier="copy")
        world.denied(role, f"rds:{operation}", DBClusterSnapshotIdentifier="theirs")


def test_a_final_snapshot_is_a_create_too(world: World) -> None:
    role = world.role(allow("rds:DeleteDBCluster"))
    world.call(role, "rds:DeleteDBCluster", DBClusterIdentifier="restored", SkipFinalSnapshot=True)
    error = world.denied(role, "rds:DeleteDBCluster", DBClusterIdentifier="restored", FinalDBSnapshotIdentifier="last")
    assert "rds:CreateDBClusterSnapshot" in error.message


def test_a_copy_needs_source_and_target_and_another_region_s_leave(world: World) -> None:
    source = f"arn:aws:rds:us-east-1:{OTHER}:cluster-snapshot:shared"
    copy = {"SourceDBClusterSnapshotIdentifier": source, "TargetDBClusterSnapshotIdentifier": "mine"}
    both = allow("rds:CopyDBClusterSnapshot", [source, arn("rds", "cluster-snapshot:mine")])
    world.call(world.role(both, allow("rds:CrossRegionCommunication")), "rds:CopyDBClusterSnapshot", **copy)
    assert "CrossRegion" in world.denied(world.role(both, name="near"), "rds:CopyDBClusterSnapshot", **copy).message
    own = world.role(allow("rds:*", f"arn:aws:rds:*:{ACCOUNT}:*"), name="own")
    assert source in world.denied(own, "rds:CopyDBClusterSnapshot", **copy).message


def test_the_managed_password_is_a_condition(world: World) -> None:
    role = world.role(allow("rds:ModifyDBCluster", Bool={"rds:ManageMasterUserPassword": "true"}))
    world.call(role, "rds:ModifyDBCluster", DBClusterIdentifier="restored", ManageMasterUserPassword=True)
    world.denied(role, "rds:ModifyDBCluster", DBClusterIdentifier="restored", Port=3307)


def test_passing_a_role_is_a_permission(world: World) -> None:
    monitoring = f"arn:aws:iam::{ACCOUNT}:role/monitoring"
    passing = allow("iam:PassRole", monitoring, StringEquals={"iam:PassedToService": "monitoring.rds.amazonaws.com"})
    modify = {"DBClusterIdentifier": "restored", "MonitoringRoleArn": monitoring}
    world.call(world.role(allow("rds:*"), passing), "rds:ModifyDBCluster", **modify)
    assert (
        "iam:PassRole"
        in world.denied(world.role(allow("rds:*"), name="no-pass"), "rds:ModifyDBCluster", **modify).message
    )


# DynamoDB


def make_table(name: str = "Audit", **more: Any) -> None:
    boto3.client("dynamodb", REGION).create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("operation_id", "event_id")],
        KeySchema=[
            {"AttributeName": "operation_id", "KeyType": "HASH"},
            {"AttributeName": "event_id", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )


def item(operation_id: str) -> dict[str, dict[str, str]]:
    return {"operation_id": {"S": operation_id}, "event_id": {"S": "1"}}


def test_leading_keys_of_items_and_queries(world: World) -> None:
    make_table()
    mine = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["op-*"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    role = world.role(allow("dynamodb:*", arn("dynamodb", "table/Audit"), **mine))
    world.call(role, "dynamodb:PutItem", TableName="Audit", Item=item("op-1"))
    world.denied(role, "dynamodb:PutItem", TableName="Audit", Item=item("lock#x"))
    world.call(role, "dynamodb:GetItem", TableName="Audit", Key=item("op-1"))
    world.denied(role, "dynamodb:DeleteItem", TableName="Audit", Key=item("lock#x"))
    query = {
        "TableName": "Audit",
        "KeyConditionExpression": "#i = :i AND event_id > :e",
        "ExpressionAttributeNames": {"#i": "operation_id"},
    }
    world.call(role, "dynamodb:Query", **query, ExpressionAttributeValues={":i": {"S": "op-1"}, ":e": {"S": "0"}})
    error = world.denied(
        role, "dynamodb:Query", **query, ExpressionAttributeValues={":i": {"S": "x"}, ":e": {"S": "0"}}
    )
    assert (error.code, error.status) == ("AccessDeniedException", 400)


def test_leading_keys_of_every_way_to_write(world: World) -> None:
    """aws-facts 11: what a step may write is told by the key's prefix, in a transaction, too."""
    make_table()
    mine = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["lane#*"]}, "Null": {"dynamodb:LeadingKeys": "false"}}
    role = world.role(allow("dynamodb:*", arn("dynamodb", "table/Audit"), **mine))

    def writes(key: str) -> list[tuple[str, dict[str, Any]]]:
        keyed = {"TableName": "Audit", "Key": item(key)}
        put = {"TableName": "Audit", "Item": item(key)}
        single = [("UpdateItem", keyed), ("DeleteItem", keyed), ("PutItem", put)]
        together = [{kind: keyed} for kind in ("Update", "Delete", "ConditionCheck")] + [{"Put": put}]
        return single + [("TransactWriteItems", {"TransactItems": [one]}) for one in together]

    for operation, params in writes("lane#1"):
        world.call(role, f"dynamodb:{operation}", **params)
    for operation, params in writes("op-1"):
        world.denied(role, f"dynamodb:{operation}", **params)


def test_a_transaction_needs_what_its_items_need(world: World) -> None:
    make_table("State")
    make_table("Audit")
    role = world.role(
        allow("dynamodb:UpdateItem", arn("dynamodb", "table/State")),
        allow("dynamodb:PutItem", arn("dynamodb", "table/Audit")),
    )
    update = {"Update": {"TableName": "State", "Key": item("op-1"), "UpdateExpression": "SET a = :a"}}
    put = {"Put": {"TableName": "Audit", "Item": item("op-1")}}
    world.call(role, "dynamodb:TransactWriteItems", TransactItems=[update, put])
    assert {decision.action for decision in world.authorizer.decisions} == {"dynamodb:UpdateItem", "dynamodb:PutItem"}
    for kind, action in (("Delete", "DeleteItem"), ("ConditionCheck", "ConditionCheckItem")):
        more = {kind: {"TableName": "Audit", "Key": item("op-1")}}
        error = world.denied(role, "dynamodb:TransactWriteItems", TransactItems=[update, put, more])
        assert f"dynamodb:{action}" in error.message


def test_a_table_with_a_customer_key_needs_decrypt_through_dynamodb(world: World) -> None:
    key = world.key()
    make_table(SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key.arn})
    table = allow("dynamodb:PutItem")
    via = {"StringEquals": {"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}}
    world.call(
        world.role(table, allow("kms:Decrypt", key.arn, **via)), "dynamodb:PutItem", TableName="Audit", Item=item("a")
    )
    error = world.denied(world.role(table, name="keyless"), "dynamodb:PutItem", TableName="Audit", Item=item("a"))
    assert error.code == "AccessDeniedException"
    assert error.message.startswith("KMS key access denied error: ")
    assert "kms:Decrypt" in error.message
    assert "DynamoDB encryption at rest" in world.last.source


def test_a_table_with_the_managed_key_needs_no_key_permission(world: World) -> None:
    make_table(SSESpecification={"Enabled": True, "SSEType": "KMS"})
    world.call(world.role(allow("dynamodb:PutItem")), "dynamodb:PutItem", TableName="Audit", Item=item("a"))


# KMS


def own_account(account: str = ACCOUNT) -> dict[str, Any]:
    return {**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}


def test_iam_policies_count_only_where_the_key_policy_delegates(world: World) -> None:
    role = world.role(allow("kms:*"))
    world.call(role, "kms:DescribeKey", KeyId=world.key(own_account()).id)
    closed = world.key({**own_account(OTHER)})
    error = world.denied(role, "kms:DescribeKey", KeyId=closed.arn)
    assert (error.code, error.status) == ("AccessDeniedException", 400)
    assert error.message.endswith("because no resource-based policy allows the kms:DescribeKey action")


def test_a_key_policy_can_name_the_role_alone(world: World) -> None:
    role = world.role(path="/pipeline/")
    named = {**allow("kms:Encrypt"), "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/pipeline/worker"}}
    world.call(role, "kms:Encrypt", KeyId=world.key(named).id, Plaintext=b"x")
    world.denied(role, "kms:DescribeKey", KeyId=world.key(named).id)


def test_a_deny_in_the_key_policy(world: World) -> None:
    key = world.key(own_account(), {**deny("kms:Decrypt"), "Principal": "*"})
    error = world.denied(world.role(allow("kms:*")), "kms:Decrypt", KeyId=key.arn, CiphertextBlob=b"x")
    assert error.message.endswith("with an explicit deny in a resource-based policy")


def test_another_account_s_key_needs_both_sides(world: World) -> None:
    trusting = world.key(own_account(OTHER), own_account(ACCOUNT), account=OTHER)
    closed = world.key(own_account(OTHER), account=OTHER)
    willing, idle = world.role(allow("kms:*"), name="willing"), world.role(allow("rds:*"), name="idle")
    world.call(willing, "kms:DescribeKey", KeyId=trusting.arn)
    assert "identity-based" in world.denied(idle, "kms:DescribeKey", KeyId=trusting.arn).message
    assert "resource-based" in world.denied(willing, "kms:DescribeKey", KeyId=closed.arn).message


def test_a_grant_allows_its_operations_within_its_constraints(world: World) -> None:
    key = world.key()
    role = world.role()
    key.add_grant(
        "g", f"arn:aws:iam::{ACCOUNT}:role/worker", ["Decrypt"], {"EncryptionContextSubset": {"table": "t"}}, ""
    )
    blob = key.id.encode() + b"rest"
    world.call(role, "kms:Decrypt", CiphertextBlob=blob, EncryptionContext={"table": "t", "more": "m"})
    roles = {statement.statement[:5]: statement.role for statement in world.last.matched}
    assert roles == {"Enabl": "delegates", "Grant": "allows"}
    world.denied(role, "kms:Decrypt", CiphertextBlob=blob, EncryptionContext={"table": "u"})
    world.denied(role, "kms:DescribeKey", KeyId=key.id)


def test_a_grant_says_who_may_retire_it(world: World) -> None:
    """aws-facts 2.4: "adds RetireGrant": the retiring principal, whose account must agree if it is another one."""
    key = world.key()
    grantee, retirer = world.role(name="grantee"), world.role(name="retirer")
    far = world.role(allow("kms:RetireGrant", key.arn), account=OTHER, name="far")
    lacking = world.role(account=OTHER, name="lacking")
    for role in ("retirer", "far", "lacking"):
        account = ACCOUNT if role == "retirer" else OTHER
        principal = f"arn:aws:iam::{account}:role/{role}"
        key.add_grant("g", f"arn:aws:iam::{ACCOUNT}:role/grantee", ["Decrypt"], None, principal)
    for who in (retirer, far):
        world.call(who, "kms:RetireGrant", KeyId=key.arn, GrantId="g")
    for who in (grantee, lacking):
        world.denied(who, "kms:RetireGrant", KeyId=key.arn, GrantId="g")
    with pytest.raises(AuthorizationNotModelled, match="grant token"):
        world.call(retirer, "kms:RetireGrant", GrantToken="t")


def test_a_grant_to_a_service_lets_no_role_in(world: World) -> None:
    key = world.key()
    service = f"rds.{REGION}.amazonaws.com"
    key.add_grant("g", service, ["DescribeKey", "RetireGrant"], None, service)
    world.denied(world.role(), "kms:DescribeKey", KeyId=key.arn)


def test_a_default_key_opens_through_its_service_only(world: World) -> None:
    """ "AWS managed keys": for all principals of the account through the service; metadata for the account."""
    role = world.role(allow("kms:DescribeKey"))
    world.call(role, "kms:DescribeKey", KeyId="alias/aws/rds")
    key = world.last.resource
    world.denied(world.role(name="nobody"), "kms:DescribeKey", KeyId="alias/aws/rds")
    world.denied(world.role(allow("kms:*"), name="power"), "kms:Decrypt", KeyId=key, CiphertextBlob=b"x")
    world.authorizer.check_action(world.session("nobody"), "kms:Decrypt", key, {}, REGION, via="rds")
    world.denied(world.role(allow("kms:*"), account=OTHER), "kms:DescribeKey", KeyId=key)


def test_an_administrator_is_asked_about_another_account_s_key(world: World) -> None:
    admin = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", admin=True)
    closed = world.key(account=OTHER)
    error = world.denied(admin, "kms:DescribeKey", KeyId=closed.arn)
    assert error.message.endswith("because no resource-based policy allows the kms:DescribeKey action")
    with pytest.raises(AccessDenied):
        world.authorizer.check_action(admin, "kms:Decrypt", closed.arn, {}, REGION, via="rds")
    through = {"kms:CallerAccount": ACCOUNT, "kms:ViaService": f"rds.{REGION}.amazonaws.com"}
    opened = {**allow("kms:*", StringEquals=through), "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    trusting = world.key(own_account(OTHER), opened, account=OTHER)
    world.authorizer.check_action(admin, "kms:Decrypt", trusting.arn, {}, REGION, via="rds")
    world.denied(admin, "kms:DescribeKey", KeyId=trusting.arn)


def test_grants_for_aws_resources_only(world: World) -> None:
    key = world.key()
    role = world.role(allow(["kms:CreateGrant", "kms:Decrypt"], key.arn, Bool={"kms:GrantIsForAWSResource": "true"}))
    grant = {"GranteePrincipal": role.arn, "Operations": ["Decrypt"]}
    world.denied(role, "kms:CreateGrant", KeyId=key.arn, **grant)
    context = {"kms:GrantIsForAWSResource": "true"}
    world.authorizer.check_action(role, "kms:CreateGrant", key.arn, context, REGION, via="rds")
    # The key exists for grants alone: beside other actions it never matches, whatever a caller sends.
    with pytest.raises(AccessDenied):
        world.authorizer.check_action(role, "kms:Decrypt", key.arn, context, REGION, via="rds")


def test_a_service_that_acts_for_the_caller(world: World) -> None:
    key = world.key()
    via = {"StringEquals": {"kms:ViaService": f"rds.{REGION}.amazonaws.com", "kms:CallerAccount": ACCOUNT}}
    role = world.role(allow("kms:DescribeKey", key.arn, **via))
    world.authorizer.check_action(role, "kms:DescribeKey", key.id, {}, REGION, via="rds")
    with pytest.raises(AccessDenied):
        world.authorizer.check_action(role, "kms:DescribeKey", key.id, {}, REGION, via="secretsmanager")
    world.denied(role, "kms:DescribeKey", KeyId=key.id)
    with pytest.raises(AwsError, match="NotFoundException"):
        world.authorizer.check_action(role, "kms:DescribeKey", arn("kms", "key/none"), {}, REGION, via="rds")


def test_conditions_on_the_key_itself(world: World) -> None:
    key = world.key()
    boto3.client("kms", REGION).create_alias(AliasName="alias/pipeline", TargetKeyId=key.id)
    by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/pipeline"}}
    role = world.role(allow("kms:DescribeKey", **by_alias, StringEquals={"kms:KeySpec": "SYMMETRIC_DEFAULT"}))
    world.call(role, "kms:DescribeKey", KeyId="alias/pipeline")
    world.denied(role, "kms:DescribeKey", KeyId=world.key().id)


# SNS, SQS, S3, Secrets Manager


def test_a_topic_with_a_customer_key_needs_the_key_through_sns(world: World) -> None:
    key = world.key()
    topic = boto3.client("sns", REGION).create_topic(Name="t", Attributes={"KmsMasterKeyId": key.id})["TopicArn"]
    publish = allow("sns:Publish", topic)
    via = {
        "StringEquals": {
            "kms:ViaService": f"sns.{REGION}.amazonaws.com",
            "kms:EncryptionContext:aws:sns:topicArn": topic,
        }
    }
    world.call(
        world.role(publish, allow(["kms:GenerateDataKey*", "kms:Decrypt"], key.arn, **via)),
        "sns:Publish",
        TopicArn=topic,
    )
    half = world.role(publish, allow("kms:GenerateDataKey*", key.arn, **via), name="half")
    error = world.denied(half, "sns:Publish", TopicArn=topic, Message="m")
    assert (error.code, error.status) == ("KMSAccessDenied", 400)
    assert "kms:Decrypt" in error.message
    assert world.denied(world.role(name="nothing"), "sns:Publish", TopicArn=topic).code == "AuthorizationError"


def test_a_topic_policy_allows_and_denies(world: World) -> None:
    sns = boto3.client("sns", REGION)
    topic = sns.create_topic(Name="t")["TopicArn"]
    role = world.role()
    world.denied(role, "sns:Publish", TopicArn=topic)  # SNS's default policy is for services that name their owner
    named = {**allow("sns:Publish", topic), "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/worker"}}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(named))
    world.call(role, "sns:Publish", TopicArn=topic)
    insecure = {**deny("sns:*", topic, Bool={"aws:SecureTransport": "false"}), "Principal": "*"}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document(named, insecure))
    world.call(role, "sns:Publish", TopicArn=topic)


def test_a_queue_policy_of_another_account_s_queue(world: World) -> None:
    sqs = boto3.client("sqs", REGION)
    trusting = {**allow("sqs:SendMessage", arn("sqs", "q")), "Principal": {"AWS": OTHER}}
    url = sqs.create_queue(QueueName="q", Attributes={"Policy": document(trusting)})["QueueUrl"]
    world.call(world.role(allow("sqs:*"), account=OTHER), "sqs:SendMessage", QueueUrl=url)
    world.denied(world.role(allow("sqs:*"), account=OTHER, name="r"), "sqs:ReceiveMessage", QueueUrl=url)


def test_a_bucket_policy_and_the_key_of_the_bucket(world: World) -> None:
    key = world.key()
    s3 = boto3.client("s3", REGION)
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key.arn}}
    s3.put_bucket_encryption(Bucket="bucket", ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    role = world.role(allow("s3:*"), allow("kms:Decrypt", key.arn, **via))
    world.call(role, "s3:GetObject", Bucket="bucket", Key="k")
    assert "kms:GenerateDataKey" in world.denied(role, "s3:PutObject", Bucket="bucket", Key="n").message
    closed = {**deny("s3:GetObject", "arn:aws:s3:::bucket/*"), "Principal": "*"}
    s3.put_bucket_policy(Bucket="bucket", Policy=document(closed))
    assert (
        "explicit deny in a resource-based policy"
        in world.denied(role, "s3:GetObject", Bucket="bucket", Key="k").message
    )


def test_a_secret_is_asked_about_with_its_suffix(world: World) -> None:
    role = world.role(
        allow("secretsmanager:CreateSecret", arn("secretsmanager", "secret:aurora-restore/D/*")),
        allow("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:exact-??????")),
        allow("secretsmanager:DescribeSecret", arn("secretsmanager", "secret:exact")),
    )
    world.call(role, "secretsmanager:CreateSecret", Name="aurora-restore/D/t/user")
    world.denied(role, "secretsmanager:CreateSecret", Name="other")
    world.call(role, "secretsmanager:GetSecretValue", SecretId="exact")
    boto3.client("secretsmanager", REGION).create_secret(Name="exact", SecretString="s")
    world.call(role, "secretsmanager:GetSecretValue", SecretId="exact")
    world.denied(role, "secretsmanager:DescribeSecret", SecretId="exact")


def test_tags_of_secrets_on_create_and_after(world: World) -> None:
    role = world.role(
        allow(
            ["secretsmanager:CreateSecret", "secretsmanager:TagResource"],
            StringEquals={"aws:RequestTag/aurora-restore:managed-by": "D"},
        ),
        allow(
            "secretsmanager:PutSecretValue", StringEquals={"secretsmanager:ResourceTag/aurora-restore:managed-by": "D"}
        ),
    )
    world.call(role, "secretsmanager:CreateSecret", Name="s", Tags=tags(DEPLOYMENT))
    assert [decision.action for decision in world.authorizer.decisions][-1] == "secretsmanager:TagResource"
    world.denied(role, "secretsmanager:CreateSecret", Name="s")
    client = boto3.client("secretsmanager", REGION)
    client.create_secret(Name="ours", SecretString="s", Tags=tags(DEPLOYMENT))
    client.create_secret(Name="theirs", SecretString="s")
    world.call(role, "secretsmanager:PutSecretValue", SecretId="ours", SecretString="t")
    world.denied(role, "secretsmanager:PutSecretValue", SecretId="theirs", SecretString="t")


def test_a_secret_with_a_customer_key_needs_the_key_through_secrets_manager(world: World) -> None:
    key = world.key()
    boto3.client("secretsmanager", REGION).create_secret(Name="s", SecretString="s", KmsKeyId=key.arn)
    via = {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}
    reader = world.role(allow("secretsmanager:*"), allow("kms:Decrypt", key.arn, **via), name="reader")
    world.call(reader, "secretsmanager:GetSecretValue", SecretId="s")
    error = world.denied(reader, "secretsmanager:PutSecretValue", SecretId="s", SecretString="t")
    assert error.message.startswith("Access to KMS is not allowed")
    assert "kms:GenerateDataKey" in error.message
    assert "kms:" in world.denied(reader, "secretsmanager:CreateSecret", Name="n", KmsKeyId=key.arn).message


def test_a_key_that_is_gone_is_not_passed_over(world: World) -> None:
    role = world.role(allow("*"))
    boto3.client("secretsmanager", REGION).create_secret(Name="s", SecretString="s", KmsKeyId=arn("kms", "key/gone"))
    assert world.denied(role, "secretsmanager:GetSecretValue", SecretId="s").code == "KMS.NotFoundException"


def test_a_secret_s_own_policy(world: World) -> None:
    client = boto3.client("secretsmanager", REGION)
    secret = client.create_secret(Name="s", SecretString="s")["ARN"]
    others = {**deny("secretsmanager:GetSecretValue"), "Principal": "*"}
    others["Condition"] = {"StringNotEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/worker"}}
    client.put_resource_policy(SecretId=secret, ResourcePolicy=document(others))
    world.call(world.role(allow("secretsmanager:*")), "secretsmanager:GetSecretValue", SecretId="s")
    intruder = world.role(allow("secretsmanager:*"), name="intruder")
    world.denied(intruder, "secretsmanager:GetSecretValue", SecretId="s")


# Lambda and trust


def test_a_version_of_a_function_is_a_resource_of_its_own(world: World) -> None:
    role = world.role(allow("lambda:InvokeFunction", arn("lambda", "function:step:7")), name="machine")
    world.call(role, "lambda:Invoke", FunctionName=arn("lambda", "function:step:7"))
    world.call(role, "lambda:Invoke", FunctionName="step", Qualifier="7")
    world.denied(role, "lambda:Invoke", FunctionName="step")
    world.authorizer.check_action(role, "lambda:InvokeFunction", arn("lambda", "function:step:7"), {}, REGION)
    with pytest.raises(AccessDenied):
        world.authorizer.check_action(role, "lambda:InvokeFunction", arn("lambda", "function:step:8"), {}, REGION)


def make_function(role: str) -> Any:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("m.py", "def handler(event, context): ...")
    client = boto3.client("lambda", REGION)
    client.create_function(
        FunctionName="step",
        Runtime="python3.13",
        Role=f"arn:aws:iam::{ACCOUNT}:role/{role}",
        Handler="m.handler",
        Code={"ZipFile": code.getvalue()},
    )
    return client


def test_a_function_s_policy_lets_another_account_in(world: World) -> None:
    world.role(name="function")
    client = make_function("function")
    caller = world.role(allow("lambda:InvokeFunction"), account=OTHER)
    function = arn("lambda", "function:step")
    world.denied(caller, "lambda:Invoke", FunctionName=function)
    client.add_permission(FunctionName="step", StatementId="s", Action="lambda:InvokeFunction", Principal=OTHER)
    world.call(caller, "lambda:Invoke", FunctionName=function)


def test_assuming_a_role_needs_its_trust_and_the_external_id(world: World) -> None:
    worker = world.role(allow("sts:AssumeRole", f"arn:aws:iam::{OTHER}:role/source"))
    trust = {
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/worker"},
        "Condition": {"StringEquals": {"sts:ExternalId": "sesame"}},
    }
    world.role(name="source", account=OTHER, trust=trust)
    assume = {"RoleArn": f"arn:aws:iam::{OTHER}:role/source", "RoleSessionName": "s"}
    world.call(worker, "sts:AssumeRole", **assume, ExternalId="sesame")
    error = world.denied(worker, "sts:AssumeRole", **assume)
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert (
        error.message
        == f"User: {worker.arn} is not authorized to perform: sts:AssumeRole on resource: {assume['RoleArn']}"
    )
    world.denied(worker, "sts:AssumeRole", **assume, ExternalId="wrong")
    world.denied(world.role(allow("sts:AssumeRole"), name="else"), "sts:AssumeRole", **assume, ExternalId="sesame")
    idle = world.role(name="idle")
    world.denied(idle, "sts:AssumeRole", **assume, ExternalId="sesame")


def test_within_the_account_a_trust_that_names_the_role_is_enough(world: World) -> None:
    worker = world.role()
    world.role(name="next", trust={"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/worker"}})
    world.role(name="root", trust={"Principal": {"AWS": ACCOUNT}})
    world.call(worker, "sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/next", RoleSessionName="s")
    world.denied(worker, "sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/root", RoleSessionName="s")


def test_an_administrator_too_needs_the_trust_of_a_role(world: World) -> None:
    admin = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", admin=True)
    world.role(name="open", trust={"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}})
    world.role(name="closed")
    world.call(admin, "sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/open", RoleSessionName="s")
    world.denied(admin, "sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/closed", RoleSessionName="s")
    world.denied(admin, "sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="s")


def test_a_session_that_would_be_narrowed_is_not_modelled(world: World) -> None:
    worker = world.role(allow("sts:*"))
    with pytest.raises(AuthorizationNotModelled, match="Tags"):
        world.call(
            worker, "sts:AssumeRole", RoleArn="arn:aws:iam::1:role/x", RoleSessionName="s", Tags=tags(DEPLOYMENT)
        )


def test_everybody_may_ask_who_they_are(world: World) -> None:
    world.call(world.role(deny("*")), "sts:GetCallerIdentity")


def test_a_service_may_take_on_a_role_for_its_own_resource(world: World) -> None:
    machine = arn("states", "stateMachine:D")
    trust = {
        "Principal": {"Service": "states.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": machine}},
    }
    world.role(name="machine", trust=trust)
    role_arn = f"arn:aws:iam::{ACCOUNT}:role/machine"
    world.authorizer.check_service("states.amazonaws.com", role_arn, machine)
    for service, source in (
        ("lambda.amazonaws.com", machine),
        ("states.amazonaws.com", arn("states", "stateMachine:E")),
        ("states.amazonaws.com", arn("states", "stateMachine:D", OTHER)),
    ):
        with pytest.raises(AccessDenied):
            world.authorizer.check_service(service, role_arn, source)


def test_task_tokens_belong_to_no_resource(world: World) -> None:
    """The reference lists no resource types for SendTask…: only "*" allows them."""
    world.call(world.role(allow("states:SendTaskSuccess")), "states:SendTaskSuccess", taskToken="t", output="{}")
    by_name = world.role(allow("states:*", arn("states", "stateMachine:D")), name="by-name")
    for operation in ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"):
        world.denied(by_name, f"states:{operation}", taskToken="t")


# Conditions about the caller


def test_conditions_about_the_caller(world: World) -> None:
    conditions = {
        "ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/pipeline/*"},
        "StringEquals": {
            "aws:PrincipalTag/team": "data",
            "aws:RequestedRegion": REGION,
            "aws:PrincipalAccount": ACCOUNT,
        },
        "Bool": {"aws:SecureTransport": "true"},
        "Null": {"aws:PrincipalOrgID": "true"},
    }
    statement = allow("rds:DescribeEvents", **conditions)
    world.call(world.role(statement, path="/pipeline/", role_tags={"team": "data"}), "rds:DescribeEvents")
    world.denied(world.role(statement, path="/pipeline/", role_tags={"team": "web"}, name="web"), "rds:DescribeEvents")
    world.denied(world.role(statement, role_tags={"team": "data"}, name="elsewhere"), "rds:DescribeEvents")


def test_policy_variables(world: World) -> None:
    role = world.role(
        allow("rds:DescribeDBClusters", arn("rds", "cluster:${aws:PrincipalTag/team}-*")), role_tags={"team": "data"}
    )
    world.call(role, "rds:DescribeDBClusters", DBClusterIdentifier="data-one")
    world.denied(role, "rds:DescribeDBClusters", DBClusterIdentifier="web-one")


# What is not understood fails loudly


def rewrite(name: str, text: str) -> None:
    """Put a policy where moto's own checks would refuse it."""
    worker = next(iter(iam_backends[ACCOUNT]["aws"].roles.values()))
    worker.policies[name] = text


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ({"StringEquals": {"rds:NoSuchKey": "x"}}, "rds:NoSuchKey does not exist"),
        ({"StringEquals": {"aws:ResourceTags/team": "x"}}, "aws:ResourceTags/team does not exist"),
        ({"StringMatches": {"aws:PrincipalArn": "x"}}, "StringMatches does not exist"),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "does not fill aws:SourceIp"),
        ({"StringEquals": {"rds:Vpc": "true"}}, "does not fill rds:Vpc"),
        ({"StringLike": {"rds:cluster-tag/a": "${aws:SourceVpce}"}}, "does not fill aws:SourceVpce"),
    ],
)
def test_an_unknown_or_unfilled_key_or_operator_is_an_error(
    world: World, condition: dict[str, Any], complaint: str
) -> None:
    role = world.role(allow("rds:*"))
    rewrite("inline", document(allow("rds:*"), allow("rds:DeleteDBInstance", **condition)))
    with pytest.raises(AuthorizationNotModelled, match=complaint) as raised:
        world.call(role, "rds:DeleteDBInstance", DBInstanceIdentifier="one")
    assert (raised.value.code, raised.value.status) == ("AuthorizationNotModelled", 501)


def test_an_unfilled_key_elsewhere_in_the_policy_does_not_matter(world: World) -> None:
    role = world.role(allow("rds:*"), allow("s3:*", IpAddress={"aws:SourceIp": "10.0.0.0/8"}))
    world.call(role, "rds:DescribeEvents")
    far = world.role(allow("rds:*"), allow("rds:*", "arn:aws:rds:*:1:*", IpAddress={"aws:SourceIp": "::1"}), name="far")
    world.call(far, "rds:DeleteDBInstance", DBInstanceIdentifier="one")


def test_resource_tags_that_nobody_provides_are_an_error(world: World, evaluator: Evaluator) -> None:
    role = world.role(allow("rds:*", StringEquals={"aws:ResourceTag/a": "b"}))
    call = Call("rds", "DeleteDBInstance", REGION, ACCOUNT, role, {"DBInstanceIdentifier": "one"})
    with pytest.raises(AuthorizationNotModelled, match="does not fill aws:ResourceTag/a"):
        Authorizer(evaluator=evaluator).check(call)


def test_a_malformed_policy_is_an_error(world: World) -> None:
    role = world.role(allow("rds:*"))
    rewrite("inline", '{"Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}')
    with pytest.raises(AuthorizationNotModelled, match="worker/inline"):
        world.call(role, "rds:DescribeEvents")


def test_an_operation_without_a_rule_is_an_error(world: World) -> None:
    with pytest.raises(AuthorizationNotModelled, match="rds:CreateGlobalCluster"):
        world.call(world.role(allow("*")), "rds:CreateGlobalCluster")


def test_every_decision_is_observed(evaluator: Evaluator) -> None:
    seen = []
    with mock_aws():
        world = World(evaluator)
        role = world.role(allow("rds:DescribeEvents"))
        authorizer = Authorizer(evaluator=evaluator, observe=seen.append)
        authorizer.check(Call("rds", "DescribeEvents", REGION, ACCOUNT, role, {}))
        with pytest.raises(AccessDenied):
            authorizer.check(Call("rds", "DescribeAccountAttributes", REGION, ACCOUNT, role, {}))
    assert [decision.allowed for decision in seen] == [True, False]
    assert authorizer.denials == seen[1:]


def test_lambda_s_own_use_of_a_role_is_not_the_function_s(world: World) -> None:
    function = arn("lambda", "function:step")
    network = ["ec2:CreateNetworkInterface", "ec2:DescribeSubnets"]
    role = world.role(allow(network), deny(network, ArnEquals={"lambda:SourceFunctionArn": function}), name="function")
    make_function("function")
    world.authorizer.check_action(role, "ec2:CreateNetworkInterface", "*", {}, REGION)
    world.call(role, "ec2:DescribeSubnets")
    code = World.session("function", session="step-0123456789abcdef")
    error = world.denied(code, "ec2:DescribeSubnets")
    assert error.code == "UnauthorizedOperation"
    assert error.message.endswith("with an explicit deny in an identity-based policy")
