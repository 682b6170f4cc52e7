"""Fixtures of the package's unit tests: credentials that reach nothing, and tables in moto."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import hypothesis
import pytest
from moto import mock_aws

import sandbox.moto_support  # noqa: F401  # moto as the sandbox mends it
from tests.unit.core_support import REGION, settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# A slow machine is not a wrong answer.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """moto in the place of AWS."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield


@pytest.fixture
def tables(aws: None) -> DynamoDBClient:
    """The state and audit tables, empty."""
    client = boto3.client("dynamodb", region_name=REGION)
    for table, keys in (
        (settings().state_table, ["operation_id"]),
        (settings().audit_table, ["operation_id", "event_id"]),
    ):
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
            KeySchema=[
                {"AttributeName": name, "KeyType": kind}  # type: ignore[typeddict-item]
                for name, kind in zip(keys, ["HASH", "RANGE"], strict=False)
            ],
        )
    return client
