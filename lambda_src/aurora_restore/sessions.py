"""The one place that makes AWS clients: one session, lazy and kept clients, standard retries."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from aurora_restore import __version__

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_rds import RDSClient
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sns import SNSClient

CONFIG: Final = Config(
    # Standard mode knows all of AWS's throttling codes and backs off with jitter; what is left is the workflow's.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=30,
    user_agent_extra=f"aurora-restore-pipeline/{__version__}",
)


class Sessions:
    """Clients of the function's own account and region; each is made when it is first asked for, then kept."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._session = boto3.session.Session(region_name=region)

    @cached_property
    def rds(self) -> RDSClient:
        """Amazon RDS."""
        return self._session.client("rds", config=CONFIG)

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Amazon DynamoDB."""
        return self._session.client("dynamodb", config=CONFIG)

    @cached_property
    def sns(self) -> SNSClient:
        """Amazon SNS."""
        return self._session.client("sns", config=CONFIG)

    @cached_property
    def secretsmanager(self) -> SecretsManagerClient:
        """AWS Secrets Manager."""
        return self._session.client("secretsmanager", config=CONFIG)
