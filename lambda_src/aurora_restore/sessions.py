"""The one place that makes AWS clients: one session, lazy and kept clients, standard retries."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from aurora_restore import __version__
from aurora_restore.errors import AssumeRoleFailed, translate

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_ec2 import EC2Client
    from types_boto3_kms import KMSClient
    from types_boto3_rds import RDSClient
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sns import SNSClient
    from types_boto3_stepfunctions import SFNClient

    from aurora_restore.engine.autoscaling import ScalingClient
    from aurora_restore.model import SourceRole

CONFIG: Final = Config(
    # Standard mode knows all of AWS's throttling codes and backs off with jitter; what is left is the workflow's.
    retries={"mode": "standard", "total_max_attempts": 6},
    connect_timeout=5,
    read_timeout=30,
    user_agent_extra=f"aurora-restore-pipeline/{__version__}",
)


class Clients:
    """Clients of one account, region by region; each is made when it is first asked for, then kept."""

    def __init__(self, session: boto3.session.Session) -> None:
        self._session = session
        self._rds: dict[str, RDSClient] = {}
        self._kms: dict[str, KMSClient] = {}

    def rds_in(self, region: str) -> RDSClient:
        """Amazon RDS in a region."""
        if region not in self._rds:
            self._rds[region] = self._session.client("rds", region_name=region, config=CONFIG)
        return self._rds[region]

    def kms_in(self, region: str) -> KMSClient:
        """AWS KMS in a region."""
        if region not in self._kms:
            self._kms[region] = self._session.client("kms", region_name=region, config=CONFIG)
        return self._kms[region]


class Sessions(Clients):
    """Clients of the function's own account and region; each is made when it is first asked for, then kept."""

    def __init__(self, region: str) -> None:
        super().__init__(boto3.session.Session(region_name=region))
        self.region = region

    def assume(self, role: SourceRole, operation_id: str) -> Clients:
        """Clients of a source account, by its role.

        Anew for each invocation: a function's role that takes on another one gets an hour at most (IAM user guide:
        role chaining). The session bears the operation's id, for the source account's CloudTrail.
        """
        # By the regional endpoint: the global one is a single point of failure, and its tokens do not work everywhere.
        sts = self._session.client("sts", config=CONFIG)
        name = re.sub(r"[^A-Za-z0-9_=,.@-]", "-", f"aurora-restore-{operation_id}")[:64]
        try:
            answer = sts.assume_role(RoleArn=role.role_arn, RoleSessionName=name, ExternalId=role.external_id)
        except ClientError as error:
            ours = translate(error, "sts")
            if ours.retryable:
                raise ours from error
            raise AssumeRoleFailed(
                f"The role {role.role_arn} in account {role.account} could not be taken on: {ours.cause}",
                field="source_account_id",
                details=ours.details,
            ) from error
        credentials = answer["Credentials"]
        return Clients(
            boto3.session.Session(
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials["SessionToken"],
                region_name=self.region,
            )
        )

    @cached_property
    def rds(self) -> RDSClient:
        """Amazon RDS."""
        return self.rds_in(self.region)

    @cached_property
    def kms(self) -> KMSClient:
        """AWS KMS."""
        return self.kms_in(self.region)

    @cached_property
    def ec2(self) -> EC2Client:
        """Amazon EC2, for security groups."""
        return self._session.client("ec2", config=CONFIG)

    @cached_property
    def autoscaling(self) -> ScalingClient:
        """Application Auto Scaling, for the number of readers."""
        client: ScalingClient = self._session.client("application-autoscaling", config=CONFIG)
        return client

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

    @cached_property
    def stepfunctions(self) -> SFNClient:
        """AWS Step Functions, to wake who waits for a lane."""
        return self._session.client("stepfunctions", config=CONFIG)
