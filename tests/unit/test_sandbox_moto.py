"""What the sandbox mends of moto, and what it relies on moto for, as AWS documents it."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox import moto_support
from sandbox.recorder import Metric
from sandbox.server import Sandbox
from tests.unit.core_support import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/function"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(data_plane=False) as sandbox:
        sandbox.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument=TRUST)
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="moto-code", CreateBucketConfiguration={"LocationConstraint": REGION})
        for key in ("one.zip", "two.zip"):
            s3.put_object(Bucket="moto-code", Key=key, Body=package(key))
        yield sandbox


def package(text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", text)
    return content.getvalue()


def refusal(action: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        action()
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def create_function(sandbox: Sandbox, name: str, **more: Any) -> dict[str, Any]:
    arguments = {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Role": ROLE,
        "Handler": "app.handler",
        "Code": {"S3Bucket": "moto-code", "S3Key": "one.zip"},
        **more,
    }
    made: dict[str, Any] = sandbox.client("lambda").create_function(**arguments)
    return made


# ---- S3


def test_a_bucket_policy_with_a_condition_does_not_deny_everything(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="tls-only", CreateBucketConfiguration={"LocationConstraint": REGION})
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket="tls-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    s3.put_object(Bucket="tls-only", Key="k", Body=b"x")
    assert s3.get_object(Bucket="tls-only", Key="k")["Body"].read() == b"x"


# ---- Lambda


def test_every_setting_of_a_function_is_given_back(sandbox: Sandbox) -> None:
    ec2 = sandbox.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    allow = {"Effect": "Allow", "Action": "ec2:CreateNetworkInterface", "Resource": "*"}
    sandbox.client("iam").put_role_policy(
        RoleName="function",
        PolicyName="vpc",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow}),
    )
    target = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead-letters"
    made = create_function(
        sandbox,
        "settings",
        DeadLetterConfig={"TargetArn": target},
        LoggingConfig={"LogFormat": "JSON"},
        VpcConfig={"SubnetIds": [subnet["SubnetId"]], "SecurityGroupIds": ["sg-1"]},
    )
    assert made["DeadLetterConfig"] == {"TargetArn": target}
    assert made["LoggingConfig"] == {"LogFormat": "JSON", "LogGroup": "/aws/lambda/settings"}
    assert made["VpcConfig"]["VpcId"] == subnet["VpcId"]
    functions = sandbox.client("lambda")
    changed = functions.update_function_configuration(
        FunctionName="settings",
        DeadLetterConfig={"TargetArn": target + "-2"},
        TracingConfig={"Mode": "Active"},
        EphemeralStorage={"Size": 1024},
        KMSKeyArn=f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k",
    )
    assert changed["DeadLetterConfig"] == {"TargetArn": target + "-2"}
    assert changed["TracingConfig"] == {"Mode": "Active"}
    assert changed["EphemeralStorage"] == {"Size": 1024}
    assert changed["KMSKeyArn"].endswith("key/k")
    sandbox.client("iam").delete_role_policy(RoleName="function", PolicyName="vpc")


def test_published_versions_do_not_change_any_more(sandbox: Sandbox) -> None:
    functions = sandbox.client("lambda")
    first = create_function(
        sandbox, "versions", Publish=True, Architectures=["arm64"], Environment={"Variables": {"A": "1"}}
    )
    assert first["Version"] == "1"
    functions.update_function_configuration(FunctionName="versions", Environment={"Variables": {"A": "2"}})
    assert functions.publish_version(FunctionName="versions")["Version"] == "2"
    assert functions.publish_version(FunctionName="versions")["Version"] == "2"
    third = functions.update_function_code(
        FunctionName="versions", S3Bucket="moto-code", S3Key="two.zip", Architectures=["x86_64"], Publish=True
    )
    assert (third["Version"], third["Architectures"]) == ("3", ["x86_64"])
    seen = {
        version: functions.get_function_configuration(FunctionName="versions", Qualifier=version) for version in "123"
    }
    assert [seen[v]["Environment"]["Variables"]["A"] for v in "123"] == ["1", "2", "2"]
    assert [seen[v]["Architectures"] for v in "123"] == [["arm64"], ["arm64"], ["x86_64"]]
    assert seen["1"]["CodeSha256"] == seen["2"]["CodeSha256"] != seen["3"]["CodeSha256"]
    listed = functions.list_versions_by_function(FunctionName="versions")["Versions"]
    assert [found["Version"] for found in listed] == ["$LATEST", "1", "2", "3"]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ({"Code": {"S3Bucket": "moto-code", "S3Key": "none"}}, "InvalidParameterValueException", "NoSuchKey"),
        ({"Code": {"S3Bucket": "no-such-bucket", "S3Key": "k"}}, "InvalidParameterValueException", "NoSuchBucket"),
        ({"Environment": {"Variables": {"A": "x" * 4096}}}, "InvalidParameterValueException", "4KB limit"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "reserved keys"),
        ({"Timeout": 901}, "ValidationException", "at 'timeout'"),
        ({"MemorySize": 10_241}, "ValidationException", "at 'memorySize'"),
        ({"Role": f"arn:aws:iam::{ACCOUNT}:role/none"}, "InvalidParameterValueException", "cannot be assumed"),
        (
            {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
            "InvalidParameterValueException",
            "CreateNetworkInterface",
        ),
    ],
)
def test_lambda_refuses_what_aws_refuses(sandbox: Sandbox, more: dict[str, Any], code: str, message: str) -> None:
    found, said = refusal(lambda: create_function(sandbox, "refused", **more))
    assert found == code
    assert message in said


def test_code_must_be_in_a_bucket_of_the_region(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3", region="us-east-2")
    s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    s3.put_object(Bucket="elsewhere", Key="one.zip", Body=package(""))
    code = {"S3Bucket": "elsewhere", "S3Key": "one.zip"}
    assert "PermanentRedirect" in refusal(lambda: create_function(sandbox, "refused", Code=code))[1]


# ---- Secrets Manager


def test_a_secret_that_is_scheduled_for_deletion_must_be_restored_first(sandbox: Sandbox) -> None:
    secrets = sandbox.client("secretsmanager")
    arn = secrets.create_secret(Name="scheduled/user", SecretString="one")["ARN"]
    secrets.delete_secret(SecretId="scheduled/user", RecoveryWindowInDays=7)
    assert "DeletedDate" in secrets.describe_secret(SecretId=arn)
    actions: list[Callable[[], Any]] = [
        lambda: secrets.create_secret(Name="scheduled/user", SecretString="two"),
        lambda: secrets.put_secret_value(SecretId="scheduled/user", SecretString="two"),
        lambda: secrets.put_secret_value(SecretId=arn, SecretString="two"),
        lambda: secrets.tag_resource(SecretId=arn, Tags=[{"Key": "k", "Value": "v"}]),
        lambda: secrets.get_secret_value(SecretId=arn),
    ]
    assert {refusal(action)[0] for action in actions} == {"InvalidRequestException"}
    secrets.restore_secret(SecretId="scheduled/user")
    secrets.put_secret_value(SecretId="scheduled/user", SecretString="two")
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "two"
    assert (
        refusal(lambda: secrets.create_secret(Name="scheduled/user", SecretString="x"))[0] == "ResourceExistsException"
    )


# ---- DynamoDB


@pytest.fixture(scope="module")
def table(sandbox: Sandbox) -> Any:
    return sandbox.resource("dynamodb").create_table(
        TableName="moto-table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
    )


def transact(sandbox: Sandbox, version: int, event: str) -> Any:
    values = {":new": {"N": str(version + 1)}, ":old": {"N": str(version)}}
    return sandbox.client("dynamodb").transact_write_items(
        TransactItems=[
            {
                "Update": {
                    "TableName": "moto-table",
                    "Key": {"id": {"S": "record"}},
                    "UpdateExpression": "SET version = :new",
                    "ConditionExpression": "version = :old",
                    "ExpressionAttributeValues": values,
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            },
            {
                "Put": {
                    "TableName": "moto-table",
                    "Item": {"id": {"S": event}},
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            },
        ]
    )


def test_a_transaction_happens_whole_or_not_at_all_and_says_why(sandbox: Sandbox, table: Any) -> None:
    table.put_item(Item={"id": "record", "version": 1})
    transact(sandbox, 1, "event-1")
    with pytest.raises(ClientError) as stale:
        transact(sandbox, 1, "event-2")
    assert stale.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons: Any = stale.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ConditionalCheckFailed", "None"]
    assert reasons[0]["Item"]["version"] == {"N": "2"}
    with pytest.raises(ClientError) as double:
        transact(sandbox, 2, "event-1")
    reasons = double.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert table.get_item(Key={"id": "record"})["Item"]["version"] == 2
    assert "Item" not in table.get_item(Key={"id": "event-2"})


def test_a_protected_table_is_not_deleted(sandbox: Sandbox, table: Any) -> None:
    assert refusal(table.delete)[0] == "ValidationException"


# ---- SNS, KMS


@pytest.mark.parametrize("subject", ["x" * 101, "two\nlines", "naïve"])
def test_sns_refuses_subjects_that_aws_refuses(sandbox: Sandbox, subject: str) -> None:
    sns = sandbox.client("sns")
    topic = sns.create_topic(Name="subjects")["TopicArn"]
    assert refusal(lambda: sns.publish(TopicArn=topic, Subject=subject, Message="m"))[0] == "InvalidParameter"


def test_messages_can_be_read_back(sandbox: Sandbox) -> None:
    sns = sandbox.client("sns", OTHER)
    topic = sns.create_topic(Name="read-back")["TopicArn"]
    attributes = {"outcome": {"DataType": "String", "StringValue": "SUCCEEDED"}}
    sns.publish(TopicArn=topic, Subject="s", Message="m", MessageAttributes=attributes)
    message = sandbox.messages()[-1]
    assert (message["account"], message["topic_arn"], message["subject"], message["message"]) == (
        OTHER,
        topic,
        "s",
        "m",
    )
    assert message["attributes"] == attributes


def key_policy(*accounts: str, **more: Any) -> str:
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    statement = {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": "kms:*", "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_another_account_s_key_is_found_by_its_arn_where_its_policy_says_so(sandbox: Sandbox) -> None:
    """aws-facts 2.4: even an administrator is a stranger to another account's key."""
    kms = sandbox.client("kms")
    opened = kms.create_key(Policy=key_policy(ACCOUNT, OTHER))["KeyMetadata"]["Arn"]
    closed = kms.create_key()["KeyMetadata"]["Arn"]
    stranger = sandbox.client("kms", OTHER)
    assert stranger.describe_key(KeyId=opened)["KeyMetadata"]["AWSAccountId"] == ACCOUNT
    for arn in (closed, f"{closed[:-12]}000000000000"):
        assert refusal(lambda arn=arn: stranger.describe_key(KeyId=arn))[0] == "AccessDeniedException"
    elsewhere = sandbox.client("kms", OTHER, "us-east-2")
    assert refusal(lambda: elsewhere.describe_key(KeyId=opened))[0] == "NotFoundException"
    assert refusal(lambda: kms.describe_key(KeyId=f"{closed[:-12]}000000000000"))[0] == "NotFoundException"


def test_the_default_key_is_aws_s(sandbox: Sandbox) -> None:
    """aws-facts 2.4: "KeyManager=='AWS' ⇒ not shareable"; the key comes with the first use of its alias."""
    default = sandbox.client("kms", region="eu-west-2").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    facts = ("KeyManager", "KeyState", "KeyUsage", "KeySpec")
    assert [default[name] for name in facts] == ["AWS", "Enabled", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"]
    made = sandbox.client("kms").create_key()["KeyMetadata"]
    assert [made[name] for name in facts] == ["CUSTOMER", "Enabled", "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT"]
    policy = json.loads(
        sandbox.client("kms", region="eu-west-2").get_key_policy(KeyId=default["Arn"], PolicyName="default")["Policy"]
    )
    through = {"kms:CallerAccount": ACCOUNT, "kms:ViaService": "rds.eu-west-2.amazonaws.com"}
    assert policy["Statement"][0]["Condition"] == {"StringEquals": through}


def test_the_states_of_a_key_by_its_arn(sandbox: Sandbox) -> None:
    """KMS: a disabled key and one that waits for its deletion are described, and neither used nor granted."""
    kms = sandbox.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=arn)
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Disabled"
    grant = {"KeyId": arn, "GranteePrincipal": ROLE, "Operations": ["Decrypt"]}
    assert refusal(lambda: kms.encrypt(KeyId=arn, Plaintext=b"x"))[0] == "DisabledException"
    assert refusal(lambda: kms.create_grant(**grant))[0] == "DisabledException"
    kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert refusal(lambda: kms.create_grant(**grant))[0] == "KMSInvalidStateException"
    kms.cancel_key_deletion(KeyId=arn)
    kms.enable_key(KeyId=arn)
    kms.create_grant(**grant)


def test_grants_as_terraform_makes_and_reads_them(sandbox: Sandbox) -> None:
    """terraform-provider-aws 5.100, aws_kms_grant: CreateGrant, ListGrants, and RevokeGrant or RetireGrant."""
    kms = sandbox.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    made = kms.create_grant(
        KeyId=arn, Name="n", GranteePrincipal=ROLE, RetiringPrincipal=ROLE, Operations=["Decrypt", "DescribeKey"]
    )
    [listed] = kms.list_grants(KeyId=arn)["Grants"]
    assert listed == {
        "KeyId": arn,
        "GrantId": made["GrantId"],
        "Name": "n",
        "GranteePrincipal": ROLE,
        "RetiringPrincipal": ROLE,
        "IssuingAccount": f"arn:aws:iam::{ACCOUNT}:root",
        "Operations": ["Decrypt", "DescribeKey"],
    }
    second = kms.create_grant(KeyId=arn, GranteePrincipal=ROLE, Operations=["Decrypt"])["GrantId"]
    kms.revoke_grant(KeyId=arn, GrantId=made["GrantId"])
    assert [grant["GrantId"] for grant in kms.list_grants(KeyId=arn)["Grants"]] == [second]
    kms.retire_grant(KeyId=arn, GrantId=second)
    assert kms.list_grants(KeyId=arn)["Grants"] == []
    gone = f"{arn[:-12]}000000000000"
    assert refusal(lambda: kms.list_grants(KeyId=gone))[0] == "NotFoundException"


def test_whom_a_policy_names_must_exist(sandbox: Sandbox) -> None:
    """IAM and KMS refuse a policy, and KMS a grant, that names a role which is not there."""
    kms, iam = sandbox.client("kms"), sandbox.client("iam")
    nobody = f"arn:aws:iam::{OTHER}:role/nobody"
    missing = key_policy(ACCOUNT, Principal={"AWS": [f"arn:aws:iam::{ACCOUNT}:root", nobody]})
    trust = json.dumps({"Statement": {"Effect": "Allow", "Principal": {"AWS": nobody}, "Action": "sts:AssumeRole"}})
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    actions: list[Callable[[], Any]] = [
        lambda: kms.create_key(Policy=missing),
        lambda: kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=missing),
        lambda: kms.create_grant(KeyId=arn, GranteePrincipal=nobody, Operations=["Decrypt"]),
        lambda: iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=trust),
    ]
    assert [refusal(action)[0] for action in actions] == [
        "MalformedPolicyDocumentException",
        "MalformedPolicyDocumentException",
        "InvalidArnException",
        "MalformedPolicyDocument",
    ]
    sandbox.client("iam", OTHER).create_role(RoleName="nobody", AssumeRolePolicyDocument=TRUST)
    for action in actions:
        action()


# ---- logs and metrics


def test_log_lines_of_any_time_can_be_written_and_read(sandbox: Sandbox) -> None:
    far = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000)
    moto_support.put_log_events(ACCOUNT, REGION, "/aws/lambda/x", "stream", [(far, "two"), (far - 1, "one")])
    moto_support.put_log_events(ACCOUNT, REGION, "/not/there", "stream", [(far, "x")], create_group=False)
    assert sandbox.logs("/aws/lambda/x") == ["one", "two"]
    assert sandbox.logs("/not/there") == []
    assert sandbox.logs("/aws/lambda/x", OTHER) == []
    found = sandbox.client("logs").filter_log_events(logGroupName="/aws/lambda/x", filterPattern="two")["events"]
    assert [event["message"] for event in found] == ["two"]


def test_metrics_are_in_cloudwatch(sandbox: Sandbox) -> None:
    when = datetime(2030, 1, 1, tzinfo=UTC)
    for value in (1.0, 3.0):
        metric = Metric(when, ACCOUNT, REGION, "AuroraRestore", "Duration", "Seconds", value, {"phase": "p"})
        moto_support.put_metrics([metric])
    cloudwatch = sandbox.client("cloudwatch")
    listed = cloudwatch.list_metrics(Namespace="AuroraRestore")["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {"Duration"}
    points = cloudwatch.get_metric_statistics(
        Namespace="AuroraRestore",
        MetricName="Duration",
        Dimensions=[{"Name": "phase", "Value": "p"}],
        StartTime=when,
        EndTime=datetime(2030, 1, 1, 0, 5, tzinfo=UTC),
        Period=300,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert [(point["Sum"], point["SampleCount"]) for point in points] == [(4.0, 2.0)]


# ---- Application Auto Scaling, for an Aurora cluster's readers


def test_readers_scale_where_there_is_a_cluster(sandbox: Sandbox) -> None:
    """Application Auto Scaling User Guide, "Amazon Aurora": ``cluster:<identifier>``, ReadReplicaCount, 0 to 15."""
    scaling, rds = sandbox.client("application-autoscaling"), sandbox.client("rds")
    target = {
        "ServiceNamespace": "rds",
        "ResourceId": "cluster:shop",
        "ScalableDimension": "rds:cluster:ReadReplicaCount",
    }
    register = {**target, "MinCapacity": 1, "MaxCapacity": 4}
    code, message = refusal(lambda: scaling.register_scalable_target(**register))
    assert (code, "cluster:shop" in message) == ("ValidationException", True)
    rds.create_db_cluster(
        DBClusterIdentifier="shop", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="correct-horse-9"
    )
    code, _ = refusal(lambda: scaling.register_scalable_target(**{**register, "MaxCapacity": 16}))
    assert code == "ValidationException"
    scaling.register_scalable_target(**register)
    tracking = {
        "TargetValue": 60.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
        "ScaleInCooldown": 300,
    }
    scaling.put_scaling_policy(
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
        **target,
    )
    [found] = scaling.describe_scalable_targets(ServiceNamespace="rds", ResourceIds=["cluster:shop"])["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 4)
    [policy] = scaling.describe_scaling_policies(ServiceNamespace="rds", ResourceId="cluster:shop")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"] == tracking
    scaling.delete_scaling_policy(PolicyName="cpu", **target)
    scaling.deregister_scalable_target(**target)
    assert scaling.describe_scalable_targets(ServiceNamespace="rds")["ScalableTargets"] == []


def test_the_wire_takes_what_restores_and_features_need(sandbox: Sandbox) -> None:
    """Times, lists and unmodelled codes survive the query protocol."""
    rds = sandbox.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier="wire", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="correct-horse-9"
    )
    rds.get_waiter("db_cluster_available").wait(
        DBClusterIdentifier="wire", WaiterConfig={"Delay": 0, "MaxAttempts": 1000}
    )
    code, _ = refusal(
        lambda: rds.restore_db_cluster_to_point_in_time(
            DBClusterIdentifier="back",
            SourceDBClusterIdentifier="wire",
            RestoreToTime=datetime(2020, 1, 1, tzinfo=UTC),
        )
    )
    assert code == "InvalidParameterValue"
    back = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier="back", SourceDBClusterIdentifier="wire", UseLatestRestorableTime=True
    )["DBCluster"]
    assert back["Status"] == "creating"
    backups = rds.describe_db_cluster_automated_backups(DBClusterIdentifier="wire")["DBClusterAutomatedBackups"]
    assert backups[0]["RestoreWindow"]["LatestTime"].tzinfo is not None
    rds.add_role_to_db_cluster(DBClusterIdentifier="wire", RoleArn=ROLE)
    [cluster] = rds.describe_db_clusters(DBClusterIdentifier="wire")["DBClusters"]
    assert cluster["AssociatedRoles"][0]["RoleArn"] == ROLE
    code, _ = refusal(lambda: rds.enable_http_endpoint(ResourceArn=cluster["DBClusterArn"]))
    assert code == "InvalidResourceStateFault"
    endpoint = rds.create_db_cluster_endpoint(
        DBClusterIdentifier="wire", DBClusterEndpointIdentifier="reports", EndpointType="READER"
    )
    assert endpoint["CustomEndpointType"] == "READER"
    assert len(rds.describe_db_cluster_endpoints(DBClusterIdentifier="wire")["DBClusterEndpoints"]) == 3


# ---- DynamoDB's tables


def test_a_transaction_that_fails_leaves_everything_as_it_was(tables: DynamoDBClient) -> None:
    state, audit = settings().state_table, settings().audit_table
    there = {"operation_id": {"S": "there"}, "n": {"N": "1"}, "list": {"L": [{"S": "a"}]}}
    event = {"operation_id": {"S": "there"}, "event_id": {"S": "1"}, "text": {"S": "old"}}
    tables.put_item(TableName=state, Item=there)
    tables.put_item(TableName=audit, Item=event)
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        tables.transact_write_items(
            TransactItems=[
                {
                    "Update": {
                        "TableName": state,
                        "Key": {"operation_id": {"S": "there"}},
                        "UpdateExpression": "SET n = :two, #l[0] = :two",
                        "ExpressionAttributeNames": {"#l": "list"},
                        "ExpressionAttributeValues": {":two": {"N": "2"}},
                    }
                },
                {"Put": {"TableName": state, "Item": {"operation_id": {"S": "new"}}}},
                {"Delete": {"TableName": audit, "Key": {name: event[name] for name in ("operation_id", "event_id")}}},
                {
                    "Update": {
                        "TableName": audit,
                        "Key": {"operation_id": {"S": "there"}, "event_id": {"S": "2"}},
                        "UpdateExpression": "SET #t = :t",
                        "ExpressionAttributeNames": {"#t": "text"},
                        "ExpressionAttributeValues": {":t": {"S": "new"}},
                        "ConditionExpression": "attribute_exists(event_id)",
                    }
                },
            ]
        )
    assert tables.scan(TableName=state)["Items"] == [there]
    assert tables.scan(TableName=audit)["Items"] == [event]


def test_an_item_is_read_as_it_was_written(tables: DynamoDBClient) -> None:
    values: dict[str, AttributeValueTypeDef] = {
        "string": {"S": ""},
        "number": {"N": "1.5"},
        "yes": {"BOOL": True},
        "none": {"NULL": True},
        "bytes": {"B": b"\x00\xff"},
        "names": {"SS": ["a", "b"]},
        "empty": {"M": {}},
        "nested": {"M": {"list": {"L": [{"M": {"bytes": {"B": b"\x01"}}}, {"N": "2"}, {"L": []}]}}},
    }
    table = settings().state_table
    tables.put_item(TableName=table, Item={"operation_id": {"S": "op"}, **values})
    read = tables.get_item(TableName=table, Key={"operation_id": {"S": "op"}})["Item"]
    assert {name: value for name, value in read.items() if name != "operation_id"} == values
