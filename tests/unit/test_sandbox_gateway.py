"""The front door: callers, protocols, refusals, faults and the record of it all."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.core import AwsError, Call, Principal
from sandbox.faults import Fault, Faults
from sandbox.principals import Registry, admin_key
from sandbox.recorder import Recorder, is_emf
from sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNT, OTHER = "111122223333", "444455556666"
TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"sts:AssumeRole"}]}'


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(data_plane=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    running.recorder.clear()
    yield running
    running.faults.clear()


def client(sandbox: Sandbox, service: str, key: str, secret: str = "sandbox", token: str | None = None) -> Any:
    name: Any = service
    return boto3.Session(key, secret, token, "eu-west-1").client(name, endpoint_url=sandbox.url)


def refusal(action: Callable[[], Any]) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        action()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def role(sandbox: Sandbox, name: str, trusted: str = ACCOUNT, policy: str | None = None) -> str:
    iam = sandbox.client("iam")
    try:
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST % trusted)["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        arn = iam.get_role(RoleName=name)["Role"]["Arn"]
    if policy is not None:
        iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=policy)
    return arn


# ---- callers


def test_an_administrator_of_any_account_needs_no_set_up(sandbox: Sandbox) -> None:
    for account in (ACCOUNT, OTHER, "999988887777"):
        identity = sandbox.client("sts", account).get_caller_identity()
        assert identity["Account"] == account
        assert identity["Arn"] == f"arn:aws:iam::{account}:root"


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("rds", "describe_db_clusters", "InvalidClientTokenId"),
        ("dynamodb", "list_tables", "UnrecognizedClientException"),
        ("stepfunctions", "list_state_machines", "UnrecognizedClientException"),
        ("lambda", "list_functions", "UnrecognizedClientException"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
    ],
)
def test_an_unknown_key_is_refused_in_the_words_of_the_service(
    sandbox: Sandbox, service: str, operation: str, code: str
) -> None:
    stranger = client(sandbox, service, "AKIAIOSFODNN7EXAMPLE")
    assert refusal(getattr(stranger, operation)) == (code, 403)


def test_a_region_that_does_not_exist_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ClientError, match=r"is it 'eu-west-1'"):
        sandbox.client("rds", region="eu-wst-1").describe_db_clusters()


def test_an_unsigned_request_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(sandbox.url)
    assert caught.value.code == 403
    assert b"MissingAuthenticationToken" in caught.value.read()


def test_accounts_and_regions_are_apart(sandbox: Sandbox) -> None:
    names = {}
    for account in (ACCOUNT, OTHER):
        for region in ("eu-west-1", "us-east-2"):
            arn = sandbox.client("sns", account, region).create_topic(Name="apart")["TopicArn"]
            names[account, region] = arn
            assert arn == f"arn:aws:sns:{region}:{account}:apart"
    for (account, region), arn in names.items():
        topics = sandbox.client("sns", account, region).list_topics()["Topics"]
        assert [topic["TopicArn"] for topic in topics] == [arn]


def test_iam_is_per_account(sandbox: Sandbox) -> None:
    role(sandbox, "only-here")
    assert refusal(lambda: sandbox.client("iam", OTHER).get_role(RoleName="only-here")) == ("NoSuchEntity", 404)


def test_an_assumed_role_is_who_it_says(sandbox: Sandbox) -> None:
    arn = role(sandbox, "assumed", OTHER)
    answer = sandbox.client("sts", OTHER).assume_role(RoleArn=arn, RoleSessionName="me")
    given = answer["Credentials"]
    assert given["Expiration"] > datetime.now(UTC) + timedelta(minutes=59)
    session = client(
        sandbox, "sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    ).get_caller_identity()
    assert session["Account"] == ACCOUNT
    assert session["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/assumed/me" == answer["AssumedRoleUser"]["Arn"]
    assert session["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    stolen = client(sandbox, "sts", given["AccessKeyId"], given["SecretAccessKey"], "another token")
    assert refusal(stolen.get_caller_identity)[0] == "InvalidClientTokenId"


def test_a_role_must_trust_even_an_administrator(sandbox: Sandbox) -> None:
    arn = role(sandbox, "trusts-nobody-else", ACCOUNT)
    sts = sandbox.client("sts", OTHER)
    assert refusal(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me")) == ("AccessDenied", 403)
    missing = f"arn:aws:iam::{ACCOUNT}:role/missing"
    assert refusal(lambda: sts.assume_role(RoleArn=missing, RoleSessionName="me")) == ("AccessDenied", 403)


def test_what_sts_does_not_emulate_is_said(sandbox: Sandbox) -> None:
    arn = role(sandbox, "with-policy", ACCOUNT)
    sts = sandbox.client("sts")
    assert refusal(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me", Policy="{}"))[1] == 501
    assert refusal(sts.get_session_token) == ("NotEmulated", 501)


def test_a_role_may_do_what_its_policy_allows(sandbox: Sandbox) -> None:
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"rds:DescribeDBClusters","Resource":"*"}}'
    key, secret, token = sandbox.principals.issue(role(sandbox, "lister", policy=policy), "session")
    rds = client(sandbox, "rds", key, secret, token)
    assert rds.describe_db_clusters()["DBClusters"] == []
    assert refusal(lambda: rds.delete_db_cluster(DBClusterIdentifier="no")) == ("AccessDenied", 403)
    denied = sandbox.recorder.calls("rds", "DeleteDBCluster", principal="lister", errors=True)
    assert [call.account for call in denied] == [ACCOUNT]


# ---- what is not emulated


@pytest.mark.parametrize(
    ("service", "operation"),
    [("ecs", "list_clusters"), ("docdb-elastic", "list_clusters"), ("iam", "generate_service_last_accessed_details")],
)
def test_what_is_not_emulated_says_so(sandbox: Sandbox, service: str, operation: str) -> None:
    arguments = {"Arn": f"arn:aws:iam::{ACCOUNT}:role/x"} if service == "iam" else {}
    assert refusal(lambda: getattr(sandbox.client(service), operation)(**arguments)) == ("NotEmulated", 501)


def test_rds_and_states_answer_for_themselves(sandbox: Sandbox) -> None:
    assert sandbox.client("rds").describe_db_clusters()["DBClusters"] == []
    assert sandbox.client("stepfunctions").list_state_machines()["stateMachines"] == []
    missing = sandbox.client("rds").describe_db_clusters
    assert refusal(lambda: missing(DBClusterIdentifier="missing")) == ("DBClusterNotFoundFault", 404)


# ---- S3, the protocol with most ways to ask


def test_s3_by_path_with_odd_keys_and_presigned_urls(sandbox: Sandbox) -> None:
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket="gateway-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    body = b"\x00\xff" * 50_000
    for key in ("plain", "a/b c+d/ü.zip", "a%2Fb"):
        s3.put_object(Bucket="gateway-bucket", Key=key, Body=body, Metadata={"my_key": "v"})
        answer = s3.get_object(Bucket="gateway-bucket", Key=key)
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"my_key": "v"}
        assert s3.head_object(Bucket="gateway-bucket", Key=key)["ContentLength"] == len(body)
    assert {found["Key"] for found in s3.list_objects_v2(Bucket="gateway-bucket")["Contents"]} >= {"plain", "a%2Fb"}
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "gateway-bucket", "Key": "a/b c+d/ü.zip"})
    with urllib.request.urlopen(url) as response:
        assert response.read() == body
    put = sandbox.recorder.calls("s3", "PutObject")[0]
    assert put.params["Bucket"] == "gateway-bucket"
    assert put.params["Body"] == f"<{len(body)} bytes>"


# ---- faults


def call(operation: str, *, service: str = "rds", role_name: str | None = None, **params: str) -> Call:
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role_name}/f"
    return Call(service, operation, "eu-west-1", ACCOUNT, Principal(ACCOUNT, arn, role_name, "f"), params)


def test_a_fault_hits_the_call_it_means_and_only_so_often() -> None:
    faults = Faults()
    faults.add(Fault("rds", "Create*", principal="restorer", error="Throttling", after=1, times=2))
    hits = [faults.match(call("CreateDBInstance", role_name="restorer")) is not None for _ in range(5)]
    assert hits == [False, True, True, False, False]
    assert faults.match(call("CreateDBInstance", role_name="other")) is None
    assert faults.match(call("DeleteDBInstance", role_name="restorer")) is None
    assert faults.rules()[0]["matched"] == 5
    assert faults.remove(1)
    assert not faults.remove(1)
    assert faults.rules() == []


def test_a_fault_may_look_at_parameters_and_last_for_ever() -> None:
    faults = Faults()
    faults.add(Fault("rds", "*", error="X", times=None, params={"DBClusterIdentifier": "a*"}))
    assert all(faults.match(call("ModifyDBCluster", DBClusterIdentifier="abc")) for _ in range(10))
    assert faults.match(call("ModifyDBCluster", DBClusterIdentifier="b")) is None
    assert faults.match(call("ModifyDBCluster")) is None


def test_a_fault_of_a_function_is_for_its_invocations() -> None:
    faults = Faults()
    faults.add(Fault(function="d-verify-*", effect="timeout"))
    assert faults.match(call("CreateDBInstance")) is None
    assert faults.match_invocation("d-cleanup") is None
    rule = faults.match_invocation("d-verify-restore")
    assert rule is not None
    assert rule.effect == "timeout"
    assert faults.match_invocation("d-verify-restore") is None


def test_a_denied_function_is_refused_everything() -> None:
    faults = Faults()
    faults.add(Fault(function="f", effect="deny", times=None))
    assert faults.match_invocation("f") is None
    assert faults.match(call("DescribeDBClusters", role_name="r")) is not None
    admin = Call("rds", "DescribeDBClusters", "eu-west-1", ACCOUNT, Principal(ACCOUNT, "root", admin=True), {})
    assert faults.match(admin) is None


@pytest.mark.parametrize("wrong", [{}, {"function": "f"}, {"effect": "raise"}])
def test_a_senseless_fault_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a fault of"):
        Fault(**wrong)


def test_an_injected_error_reaches_the_client_and_nothing_happens(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sns", "CreateTopic", error="Boom", status=503, times=None))
    sns = sandbox.client("sns")
    sns.meta.config.retries = {"total_max_attempts": 1}
    code, status = refusal(lambda: sns.create_topic(Name="faulty"))
    assert (code, status) == ("Boom", 503)
    assert "faulty" not in str(sns.list_topics()["Topics"])
    assert sandbox.recorder.calls("sns", "CreateTopic")[0].error == "Boom"


def test_a_done_fault_happens_and_hides_it(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sns", "CreateTopic", error="Lost", done=True))
    sns = sandbox.client("sns")
    assert refusal(lambda: sns.create_topic(Name="half-done"))[0] == "Lost"
    assert "half-done" in str(sns.list_topics()["Topics"])


def test_a_delay_takes_virtual_time(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("sns", "ListTopics", delay_seconds=3600))
    before = sandbox.clock.now()
    sandbox.client("sns").list_topics()
    assert sandbox.clock.now() - before == timedelta(hours=1)


def test_a_limit_lets_calls_through_at_its_rate_and_is_off_unless_asked_for() -> None:
    faults, now = Faults(), datetime(2026, 1, 1, tzinfo=UTC)
    refusals = set()

    def admitted(seconds: float, calls: int, call: Call) -> int:
        done = 0
        for _ in range(calls):
            try:
                faults.admit(call, now + timedelta(seconds=seconds))
            except AwsError as error:
                refusals.add((error.code, error.message, error.status))
            else:
                done += 1
        return done

    principal = Principal(ACCOUNT, "arn:aws:iam::111122223333:root", admin=True)
    describe, elsewhere, other = (
        Call(service, "Describe", region, ACCOUNT, principal, {})
        for service, region in (("rds", "eu-west-1"), ("rds", "eu-west-2"), ("sns", "eu-west-1"))
    )
    assert admitted(0, 50, describe) == 50
    faults.limit("rds", rate=2, burst=5)
    assert admitted(0, 50, describe) == 5
    assert admitted(1.5, 50, describe) == 3
    assert admitted(1000, 50, describe) == 5
    assert admitted(1000, 50, elsewhere) == 5
    assert admitted(1000, 50, other) == 50
    faults.clear()
    assert admitted(1000, 50, describe) == 50
    assert refusals == {("Throttling", "Rate exceeded", 400)}
    with pytest.raises(ValueError, match="burst"):
        faults.limit("rds", rate=2, burst=0)


def test_a_throttled_client_hears_rate_exceeded(sandbox: Sandbox) -> None:
    sandbox.faults.limit("rds", rate=0.001, burst=1)
    rds = client(sandbox, "rds", admin_key(ACCOUNT))
    rds.describe_db_clusters()
    assert sandbox.recorder.calls()[-1].error is None
    name: Any = "rds"
    impatient: Any = boto3.Session(admin_key(ACCOUNT), "sandbox", None, "eu-west-1").client(
        name, endpoint_url=sandbox.url, config=Config(retries={"total_max_attempts": 1})
    )
    assert refusal(impatient.describe_db_clusters) == ("Throttling", 400)
    assert sandbox.recorder.calls()[-1].error == "Throttling"


def test_a_denied_session_hears_access_denied(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(function="denied", effect="deny", times=None))
    key, secret, token = sandbox.principals.issue(role(sandbox, "any"), "denied")
    assert refusal(client(sandbox, "sts", key, secret, token).get_caller_identity) == ("AccessDenied", 403)
    assert refusal(client(sandbox, "dynamodb", key, secret, token).list_tables)[0] == "AccessDeniedException"


# ---- keys and records


def test_keys_of_sessions_are_as_unique_as_their_sessions() -> None:
    registry = Registry()
    first, second = (registry.issue(f"arn:aws:iam::{ACCOUNT}:role/path/r", "s") for _ in range(2))
    assert first[0] != second[0]
    assert registry.lookup(*first[::2]).role_name == "r"
    with pytest.raises(AwsError):
        registry.lookup(first[0], second[2])
    with pytest.raises(AwsError):
        registry.issue("arn:aws:iam::1:user/u", "s")
    with pytest.raises(ValueError, match="twelve digits"):
        admin_key("123")


def test_the_calls_since_a_number_are_the_same_when_older_ones_have_fallen_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandbox.recorder._KEPT", 3)
    recorder = Recorder(lambda: datetime(2026, 1, 1, tzinfo=UTC))

    def record(*operations: str) -> None:
        for operation in operations:
            recorder.record(Call("rds", operation, "eu-west-1", ACCOUNT, Principal(ACCOUNT, "arn:aws:iam::1:root"), {}))

    record("Before", "Before", "Before")
    before = recorder.recorded
    record("First", "Second")
    assert recorder.recorded == 5
    assert [call.operation for call in recorder.calls(since=before)] == ["First", "Second"]
    assert [call.operation for call in recorder.calls()] == ["Before", "First", "Second"]
    assert len(recorder.calls(since=1)) == 3
    assert recorder.calls(since=recorder.recorded) == []


def test_emf_documents_become_metrics() -> None:
    recorder = Recorder(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    document = {
        "_aws": {
            "Timestamp": 0,
            "CloudWatchMetrics": [
                {
                    "Namespace": "AuroraRestore",
                    "Dimensions": [["service", "phase"], ["service"]],
                    "Metrics": [{"Name": "Duration", "Unit": "Seconds"}, {"Name": "Count"}],
                }
            ],
        },
        "service": "s",
        "phase": "p",
        "Duration": [1.5, 2],
        "Count": 1,
        "operation_id": "o",
    }
    assert is_emf(document)
    assert not is_emf({"_aws": 1})
    assert not is_emf("text")
    found = recorder.add_metrics(ACCOUNT, "eu-west-1", document)
    assert [(m.name, m.value, dict(m.dimensions)) for m in found] == [
        ("Duration", 1.5, {"service": "s", "phase": "p"}),
        ("Duration", 2.0, {"service": "s", "phase": "p"}),
        ("Duration", 1.5, {"service": "s"}),
        ("Duration", 2.0, {"service": "s"}),
        ("Count", 1.0, {"service": "s", "phase": "p"}),
        ("Count", 1.0, {"service": "s"}),
    ]
    assert found[0].properties == {"operation_id": "o"}
    assert recorder.metrics() == found
