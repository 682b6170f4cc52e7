"""Every operation that has a rule is asked about in words that the Service Authorization Reference knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from sandbox.authz import Evaluator
from sandbox.authz.actions import OPERATIONS
from tests.unit.authz_harness import ACCOUNT, DEPLOYMENT, REGION, World, allow, arn, tags

CLUSTER = {"DBClusterIdentifier": "c"}
INSTANCE = {"DBInstanceIdentifier": "i"}
SNAPSHOT = {"DBClusterSnapshotIdentifier": "s"}
TAGS = {"Tags": tags(DEPLOYMENT)}
ITEM = {"id": {"S": "1"}}
TABLE = {"TableName": "T"}
QUEUE = {"QueueUrl": f"http://localhost/{ACCOUNT}/q"}
LOGS = {"logGroupName": "/aws/lambda/D-step", "logStreamName": "2026/01/01/[$LATEST]x"}
EXECUTION = {"executionArn": arn("states", "execution:D:e")}
KEY = {"KeyId": "alias/made"}
SCALABLE = {
    "ServiceNamespace": "rds",
    "ResourceId": "cluster:c",
    "ScalableDimension": "rds:cluster:ReadReplicaCount",
}
SCALING = ("DeleteScalingPolicy", "DeregisterScalableTarget", "PutScalingPolicy", "RegisterScalableTarget")
ENDPOINT = {"DBClusterEndpointIdentifier": "e"}

# What a call of the operation looks like; operations that are not listed are called without parameters.
SAMPLES: dict[str, dict[str, Any]] = {
    **{f"application-autoscaling:{operation}": SCALABLE for operation in SCALING},
    "cloudwatch:PutMetricData": {"Namespace": "AuroraRestore"},
    "dynamodb:BatchGetItem": {"RequestItems": {"T": {"Keys": [ITEM]}}},
    "dynamodb:BatchWriteItem": {
        "RequestItems": {"T": [{"PutRequest": {"Item": ITEM}}, {"DeleteRequest": {"Key": ITEM}}]}
    },
    "dynamodb:DeleteItem": {**TABLE, "Key": ITEM},
    "dynamodb:DescribeTable": TABLE,
    "dynamodb:DescribeTimeToLive": TABLE,
    "dynamodb:GetItem": {**TABLE, "Key": ITEM, "ProjectionExpression": "id"},
    "dynamodb:PutItem": {**TABLE, "Item": ITEM},
    "dynamodb:Query": {**TABLE, "KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "1"}}},
    "dynamodb:Scan": TABLE,
    "dynamodb:TransactGetItems": {"TransactItems": [{"Get": {**TABLE, "Key": ITEM}}]},
    "dynamodb:TransactWriteItems": {"TransactItems": [{"Put": {**TABLE, "Item": ITEM}}]},
    "dynamodb:UpdateItem": {**TABLE, "Key": ITEM},
    "events:PutEvents": {"Entries": [{"Source": "aurora-restore", "DetailType": "d", "Detail": "{}"}]},
    "kms:CreateGrant": {**KEY, "GranteePrincipal": "arn:aws:iam::1:role/r", "Operations": ["Decrypt"]},
    "kms:Decrypt": {**KEY, "CiphertextBlob": b"x", "EncryptionContext": {"a": "b"}},
    "kms:DescribeKey": KEY,
    "kms:Encrypt": {**KEY, "Plaintext": b"x"},
    "kms:GenerateDataKey": {**KEY, "EncryptionContext": {"a": "b"}},
    "kms:GenerateDataKeyWithoutPlaintext": KEY,
    "kms:GetKeyPolicy": KEY,
    "kms:GetKeyRotationStatus": KEY,
    "kms:ListGrants": KEY,
    "kms:ListResourceTags": KEY,
    "kms:RetireGrant": KEY,
    "kms:RevokeGrant": KEY,
    "lambda:GetFunction": {"FunctionName": "D-step"},
    "lambda:GetFunctionConfiguration": {"FunctionName": f"{ACCOUNT}:function:D-step"},
    "lambda:Invoke": {"FunctionName": "D-step", "Qualifier": "1"},
    "logs:CreateLogGroup": {"logGroupName": "/aws/lambda/D-step"},
    "logs:CreateLogStream": LOGS,
    "logs:DescribeLogStreams": {"logGroupName": "/aws/lambda/D-step"},
    "logs:GetLogEvents": LOGS,
    "logs:PutLogEvents": {**LOGS, "logEvents": []},
    "rds:AddRoleToDBCluster": {**CLUSTER, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/import", "FeatureName": "s3Import"},
    "rds:AddTagsToResource": {"ResourceName": arn("rds", "cluster:c"), **TAGS},
    "rds:CopyDBClusterSnapshot": {
        "SourceDBClusterSnapshotIdentifier": "arn:aws:rds:us-east-1:1:cluster-snapshot:awsbackup:job-1",
        "TargetDBClusterSnapshotIdentifier": "s",
        **TAGS,
    },
    "rds:CreateDBCluster": {**CLUSTER, "Engine": "aurora-postgresql", "EngineVersion": "16.4", **TAGS},
    "rds:CreateDBClusterEndpoint": {**CLUSTER, **ENDPOINT, "EndpointType": "ANY", **TAGS},
    "rds:CreateDBClusterSnapshot": {**CLUSTER, **SNAPSHOT, **TAGS},
    "rds:CreateDBInstance": {
        **INSTANCE,
        **CLUSTER,
        "DBInstanceClass": "db.serverless",
        "Engine": "aurora-mysql",
        **TAGS,
    },
    "rds:DeleteDBCluster": {**CLUSTER, "FinalDBSnapshotIdentifier": "s"},
    "rds:DeleteDBClusterAutomatedBackup": {"DbClusterResourceId": "cluster-1"},
    "rds:DeleteDBClusterEndpoint": ENDPOINT,
    "rds:DeleteDBClusterSnapshot": SNAPSHOT,
    "rds:DeleteDBInstance": INSTANCE,
    "rds:DescribeDBClusterSnapshots": CLUSTER,
    "rds:DisableHttpEndpoint": {"ResourceArn": arn("rds", "cluster:c")},
    "rds:EnableHttpEndpoint": {"ResourceArn": arn("rds", "cluster:c")},
    "rds:FailoverDBCluster": CLUSTER,
    "rds:ListTagsForResource": {"ResourceName": arn("rds", "cluster-snapshot:rds:c-2026-01-01-03-00")},
    "rds:ModifyDBCluster": {**CLUSTER, "DBClusterParameterGroupName": "g", "ManageMasterUserPassword": True},
    "rds:ModifyDBClusterEndpoint": ENDPOINT,
    "rds:ModifyDBClusterSnapshotAttribute": SNAPSHOT,
    "rds:ModifyDBInstance": {**INSTANCE, "DBParameterGroupName": "g"},
    "rds:RebootDBInstance": INSTANCE,
    "rds:RemoveTagsFromResource": {"ResourceName": arn("rds", "db:i"), "TagKeys": ["a"]},
    "rds:RemoveRoleFromDBCluster": {**CLUSTER, "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/import"},
    "rds:RestoreDBClusterToPointInTime": {**CLUSTER, "SourceDBClusterIdentifier": "s", "KmsKeyId": "alias/made"},
    "rds:RestoreDBClusterFromSnapshot": {**CLUSTER, "SnapshotIdentifier": "s", "Engine": "aurora-postgresql", **TAGS},
    "rds:StartDBCluster": CLUSTER,
    "rds:StopDBCluster": CLUSTER,
    "s3:DeleteObject": {"Bucket": "bucket", "Key": "k", "VersionId": "v"},
    "s3:GetObject": {"Bucket": "bucket", "Key": "lambda/x.zip"},
    "s3:HeadBucket": {"Bucket": "bucket"},
    "s3:HeadObject": {"Bucket": "bucket", "Key": "k", "VersionId": "v"},
    "s3:ListObjects": {"Bucket": "bucket"},
    "s3:ListObjectsV2": {"Bucket": "bucket", "Prefix": "p"},
    "s3:PutObject": {
        "Bucket": "bucket",
        "Key": "k",
        "ACL": "private",
        "Tagging": "a=b",
        "ServerSideEncryption": "AES256",
    },
    "secretsmanager:CreateSecret": {"Name": "aurora-restore/D/t/u", "KmsKeyId": "alias/made", **TAGS},
    "sns:GetTopicAttributes": {"TopicArn": arn("sns", "t")},
    "sns:ListSubscriptionsByTopic": {"TopicArn": arn("sns", "t")},
    "sns:ListTagsForResource": {"ResourceArn": arn("sns", "t")},
    "sns:Publish": {"TopicArn": arn("sns", "t")},
    "sqs:GetQueueUrl": {"QueueName": "q"},
    "states:DescribeExecution": EXECUTION,
    "states:GetExecutionHistory": EXECUTION,
    "states:StartExecution": {"stateMachineArn": arn("states", "stateMachine:D:1")},
    "states:StopExecution": EXECUTION,
    "sts:AssumeRole": {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/target", "RoleSessionName": "s", "ExternalId": "e"},
}
for _operation in ("DescribeSecret", "DeleteSecret", "GetResourcePolicy", "GetSecretValue", "ListSecretVersionIds"):
    SAMPLES[f"secretsmanager:{_operation}"] = {"SecretId": "made"}
for _operation in (
    "UpdateSecretVersionStage",
    "PutSecretValue",
    "RestoreSecret",
    "TagResource",
    "UntagResource",
    "UpdateSecret",
):
    SAMPLES[f"secretsmanager:{_operation}"] = {
        "SecretId": "made",
        "KmsKeyId": "alias/made",
        "SecretString": "s",
        **TAGS,
    }
for _operation in OPERATIONS["sqs"]:
    SAMPLES.setdefault(f"sqs:{_operation}", QUEUE)

MAPPED = [f"{service}:{operation}" for service, operations in OPERATIONS.items() for operation in operations]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    evaluator = Evaluator()
    with mock_aws():
        world = World(evaluator)
        boto3.client("dynamodb", REGION).create_table(
            TableName="T",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("kms", REGION).create_alias(AliasName="alias/made", TargetKeyId=world.key().id)
        boto3.client("secretsmanager", REGION).create_secret(Name="made", SecretString="s")
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        world.role(name="target", trust={"Principal": {"AWS": ACCOUNT}})
        world.role(allow("*"), name="powerful")
        world.role(name="powerless")
        yield world
    evaluator.close()


@pytest.mark.parametrize("operation", MAPPED)
def test_an_operation_is_allowed_by_everything_and_by_nothing_less(world: World, operation: str) -> None:
    params = SAMPLES.get(operation, {})
    world.call(World.session("powerful"), operation, **params)
    if operation != "sts:GetCallerIdentity":
        error = world.denied(World.session("powerless"), operation, **params)
        assert error.code in {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}


def test_every_sample_is_of_an_operation_that_has_a_rule() -> None:
    assert set(SAMPLES) <= set(MAPPED)
