"""The secrets of database users: one stable name, one version per operation, and order that survives crashes."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from aurora_restore.errors import MasterCredentialsUnavailable, Throttled, UserSecretFailed
from aurora_restore.names import operation_tags
from aurora_restore.secrets import Credentials, DatabaseUser, Secrets, generate_password, version_id
from tests.unit.core_support import KEY_ARN, REGION, refused

NAME = "aurora-restore/restore/orders-staging/app"
USER = DatabaseUser("app", "aurora-mysql", "orders.cluster-x.rds.amazonaws.com", 3306, "shop", "orders-staging")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name=REGION)


@pytest.fixture
def secrets(client: Any) -> Secrets:
    return Secrets(client, kms_key_arn=KEY_ARN, deployment="restore")


def tags(operation_id: str) -> dict[str, str]:
    return operation_tags(deployment="restore", operation_id=operation_id, tags={"team": "shop"})


def stages(client: Any) -> dict[str, list[str]]:
    """Labels by version; without AWSPREVIOUS, which moto attaches at other moments than AWS."""
    found = client.describe_secret(SecretId=NAME)["VersionIdsToStages"]
    return {version: sorted(set(labels) - {"AWSPREVIOUS"}) for version, labels in found.items()}


def value(client: Any, stage: str = "AWSCURRENT") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(client.get_secret_value(SecretId=NAME, VersionStage=stage)["SecretString"])
    return document


def test_passwords_fit_every_rule_of_rds() -> None:
    passwords = {generate_password() for _ in range(500)}
    assert len(passwords) == 500
    for password in passwords:
        assert len(password) == 32
        assert not set(password) & set("/\"@' \\%$`&:")
        assert password.isascii()
        assert password.isprintable()
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
            assert set(password) & set(kind)


def test_secret_has_the_standard_form_key_and_tags(client: Any, secrets: Secrets) -> None:
    pending = secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    secrets.promote(pending)
    assert value(client) == {
        "engine": "mysql",
        "host": "orders.cluster-x.rds.amazonaws.com",
        "port": 3306,
        "username": "app",
        "password": pending.password,
        "dbname": "shop",
        "dbClusterIdentifier": "orders-staging",
    }
    found = client.describe_secret(SecretId=NAME)
    assert found["KmsKeyId"] == KEY_ARN
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == tags("op-1")
    assert secrets.current(NAME) == Credentials("app", pending.password)
    assert json.loads(DatabaseUser("a", "aurora-postgresql", "h", 1, "d", "c").document("p"))["engine"] == "postgres"


def test_next_night_writes_a_new_version_into_the_same_secret(client: Any, secrets: Secrets) -> None:
    first = secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    secrets.promote(first)
    second = secrets.prepare(NAME, USER, "op-2", tags("op-2"))
    assert second.arn == first.arn
    assert second.password != first.password
    # Until the database has the new password, applications read the old one.
    assert value(client)["password"] == first.password
    assert value(client, "AWSPENDING")["password"] == second.password
    secrets.promote(second)
    assert value(client)["password"] == second.password
    assert value(client, "AWSPREVIOUS")["password"] == first.password
    labels = {tag["Key"]: tag["Value"] for tag in client.describe_secret(SecretId=NAME)["Tags"]}
    assert labels["aurora-restore:operation-id"] == "op-2"


@pytest.mark.parametrize("promoted", [False, True])
def test_retry_finds_the_same_version_and_password(client: Any, secrets: Secrets, promoted: bool) -> None:
    secrets.promote(secrets.prepare(NAME, USER, "op-0", tags("op-0")))
    first = secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    if promoted:
        secrets.promote(first)
    again = secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    assert again == first
    secrets.promote(again)
    assert value(client)["password"] == first.password
    assert set(stages(client)) == {version_id("op-0", NAME), version_id("op-1", NAME)}


def test_crash_between_creating_the_secret_and_writing_it_heals(client: Any, secrets: Secrets) -> None:
    client.create_secret(Name=NAME, Tags=[{"Key": key, "Value": text} for key, text in tags("op-1").items()])
    pending = secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    secrets.promote(pending)
    assert value(client)["password"] == pending.password


def test_deleted_secret_is_restored_first(client: Any, secrets: Secrets) -> None:
    secrets.promote(secrets.prepare(NAME, USER, "op-1", tags("op-1")))
    client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    pending = secrets.prepare(NAME, USER, "op-2", tags("op-2"))
    secrets.promote(pending)
    assert "DeletedDate" not in client.describe_secret(SecretId=NAME)
    assert value(client)["password"] == pending.password


@pytest.mark.parametrize("foreign", [[], [{"Key": "aurora-restore:managed-by", "Value": "another"}]])
@pytest.mark.parametrize("deleted", [False, True])
def test_foreign_secret_is_refused_and_not_touched(
    client: Any, secrets: Secrets, foreign: list[dict[str, str]], deleted: bool
) -> None:
    client.create_secret(Name=NAME, SecretString="theirs", Tags=foreign)
    if deleted:
        client.delete_secret(SecretId=NAME, RecoveryWindowInDays=7)
    before = client.describe_secret(SecretId=NAME)
    for attempt in (lambda: secrets.exists(NAME), lambda: secrets.prepare(NAME, USER, "op-1", tags("op-1"))):
        with pytest.raises(UserSecretFailed, match="did not make") as caught:
            attempt()
        assert caught.value.code == "ARP-DBUSER-004"
    after = client.describe_secret(SecretId=NAME)
    assert {key: after.get(key) for key in ("Tags", "DeletedDate", "VersionIdsToStages")} == {
        key: before.get(key) for key in ("Tags", "DeletedDate", "VersionIdsToStages")
    }


def test_exists_tells(secrets: Secrets) -> None:
    assert not secrets.exists(NAME)
    secrets.prepare(NAME, USER, "op-1", tags("op-1"))
    assert secrets.exists(NAME)


def test_master_secret_is_read(client: Any, secrets: Secrets) -> None:
    arn = client.create_secret(Name="rds!cluster-1", SecretString='{"username": "admin", "password": "pa55"}')["ARN"]
    master = secrets.master(arn)
    assert master == Credentials("admin", "pa55")
    assert "pa55" not in repr(master)


@pytest.mark.parametrize("text", ["pa55", '"pa55"', '{"username": "pa55"}', "[1]"])
def test_malformed_master_secret_is_told_without_its_content(client: Any, secrets: Secrets, text: str) -> None:
    arn = client.create_secret(Name="rds!cluster-1", SecretString=text)["ARN"]
    with pytest.raises(MasterCredentialsUnavailable) as caught:
        secrets.master(arn)
    assert caught.value.code == "ARP-DBUSER-002"
    assert "pa55" not in str(caught.value)
    assert "pa55" not in str(caught.value.details)


class Refusing:
    """A client every call of which is answered with one error."""

    def __init__(self, error: ClientError) -> None:
        self._error = error

    def __getattr__(self, _name: str) -> Any:
        def call(**_parameters: Any) -> None:
            raise self._error

        return call


def test_denied_and_throttled_calls_have_their_own_errors() -> None:
    denied = Secrets(Refusing(refused("AccessDeniedException", "not you")), kms_key_arn="k", deployment="d")  # type: ignore[arg-type]
    with pytest.raises(MasterCredentialsUnavailable, match="not you"):
        denied.master("arn")
    with pytest.raises(UserSecretFailed, match="not you"):
        denied.prepare(NAME, USER, "op-1", {})
    busy = Secrets(Refusing(refused("ThrottlingException")), kms_key_arn="k", deployment="d")  # type: ignore[arg-type]
    for attempt in (lambda: busy.master("arn"), lambda: busy.prepare(NAME, USER, "op-1", {})):
        with pytest.raises(Throttled):
            attempt()
