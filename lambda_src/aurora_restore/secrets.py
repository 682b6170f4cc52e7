"""The secrets of database users in Secrets Manager, one per target and user, under a name that stays the same.

The order is that of AWS's own rotation functions: the new version is written as AWSPENDING, the database is changed,
and only then the version becomes AWSCURRENT. So an application never reads a password that does not work yet, and a
restore that fails leaves it the one that still works. The version's id is derived from the operation: a retry after a
crash anywhere in between finds the version that was written, applies the same password again and goes on. Nothing is
ever guessed or generated twice.
"""

from __future__ import annotations

import json
import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore.errors import MasterCredentialsUnavailable, UserSecretFailed, translate
from aurora_restore.names import MANAGED_BY_TAG, tag_list

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_secretsmanager.type_defs import DescribeSecretResponseTypeDef

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"

# RDS refuses / " @ and the space in passwords, and MySQL's may have 41 characters at most (BC:ModifyDBCluster). These
# marks are the ones that also need no escaping in a URL, a shell or SQL.
_MARKS: Final = "-._~"
_ALPHABET: Final = string.ascii_letters + string.digits + _MARKS
_LENGTH: Final = 32

_VERSIONS: Final = uuid.UUID("5d1f2a4e-64a0-4c53-9c0b-0f5d1b0b6a55")
"""Namespace of the version ids; any constant will do, but it must never change."""


@dataclass(frozen=True)
class Credentials:
    """A name and its password, which is not part of its ``repr``."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class DatabaseUser:
    """What the secret of a user tells besides the password (Secrets Manager, structure of database secrets)."""

    username: str
    engine: str
    host: str
    port: int
    database: str
    cluster_identifier: str

    def document(self, password: str) -> str:
        """The secret's text, in the form that rotation functions and drivers of AWS read."""
        return json.dumps(
            {
                "engine": "postgres" if self.engine == "aurora-postgresql" else "mysql",
                "host": self.host,
                "port": self.port,
                "username": self.username,
                "password": password,
                "dbname": self.database,
                "dbClusterIdentifier": self.cluster_identifier,
            }
        )


@dataclass(frozen=True)
class PendingSecret:
    """A version that is written, and not yet the one that applications read."""

    name: str
    arn: str
    version_id: str
    password: str = field(repr=False)


def generate_password() -> str:
    """A new password of about 190 bits, with every kind of character that a password policy may ask for.

    Python's ``secrets`` rather than GetRandomPassword: the same source of randomness, no call and no permission.
    """
    while True:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, _MARKS)
        if all(any(character in kind for character in password) for kind in kinds):
            return password


def version_id(operation_id: str, name: str) -> str:
    """The id of the version that an operation writes: the same on every try (BC:PutSecretValue, ClientRequestToken)."""
    return str(uuid.uuid5(_VERSIONS, f"{operation_id}\n{name}"))


class Secrets:
    """The deployment's secrets of database users, and the reading of the master user's."""

    def __init__(self, client: SecretsManagerClient, *, kms_key_arn: str, deployment: str) -> None:
        self._client = client
        self._kms_key_arn = kms_key_arn
        self._deployment = deployment

    def master(self, arn: str) -> Credentials:
        """The master user's name and password from the secret that RDS manages (it holds nothing else)."""
        try:
            document = self._read(SecretId=arn)
            return Credentials(document["username"], document["password"])
        except ClientError as error:
            ours = translate(error, "secretsmanager")
            if ours.retryable:
                raise ours from None
            raise MasterCredentialsUnavailable(
                f"The master user's secret cannot be read: {ours.cause}", details={"secret_arn": arn}
            ) from None
        except (KeyError, TypeError, ValueError):
            # Nothing of the content may be told, not even where it is malformed.
            raise MasterCredentialsUnavailable(
                "The master user's secret holds no username and password", details={"secret_arn": arn}
            ) from None

    def current(self, name: str) -> Credentials:
        """What an application reads."""
        try:
            document = self._read(SecretId=name, VersionStage=CURRENT)
            return Credentials(document["username"], document["password"])
        except ClientError as error:
            raise self._failed(name, "cannot be read", error) from None
        except (KeyError, TypeError, ValueError):
            raise UserSecretFailed(f"The secret {name} holds no username and password") from None

    def exists(self, name: str) -> bool:
        """There is a secret of that name which is this deployment's; a foreign one is an error."""
        return self._ours(name) is not None

    def prepare(self, name: str, user: DatabaseUser, operation_id: str, tags: Mapping[str, str]) -> PendingSecret:
        """Write the operation's version as AWSPENDING, or find it written by an earlier try."""
        try:
            found = self._ours(name)
            if found is None:
                arn = self._create(name, user, tags)
                versions: Mapping[str, Any] = {}
            else:
                arn, versions = found["ARN"], found.get("VersionIdsToStages", {})
                if found.get("DeletedDate") is not None:
                    # Somebody deleted it; within the recovery window the name is taken and nothing can be written.
                    self._client.restore_secret(SecretId=arn)
            version = version_id(operation_id, name)
            if version in versions:
                password = str(self._read(SecretId=arn, VersionId=version)["password"])
                return PendingSecret(name, arn, version, password)
            if found is not None:
                self._tag(arn, tags)
            password = generate_password()
            self._client.put_secret_value(
                SecretId=arn,
                ClientRequestToken=version,
                SecretString=user.document(password),
                VersionStages=[PENDING],
            )
            return PendingSecret(name, arn, version, password)
        except ClientError as error:
            raise self._failed(name, "cannot be written", error) from None

    def promote(self, pending: PendingSecret) -> None:
        """Make the version the one that applications read; the one before stays readable as AWSPREVIOUS."""
        try:
            stages = self._client.describe_secret(SecretId=pending.arn).get("VersionIdsToStages", {})
            current = next((version for version, labels in stages.items() if CURRENT in labels), None)
            if current == pending.version_id:
                return  # the first version of a secret is current from the start (BC:PutSecretValue), or a retry
            moved = {"RemoveFromVersionId": current} if current else {}
            self._client.update_secret_version_stage(
                SecretId=pending.arn, VersionStage=CURRENT, MoveToVersionId=pending.version_id, **moved
            )
        except ClientError as error:
            raise self._failed(pending.name, "cannot be updated", error) from None

    def _read(self, **which: str) -> Mapping[str, Any]:
        document = json.loads(self._client.get_secret_value(**which)["SecretString"])
        if not isinstance(document, dict):
            raise TypeError
        return document

    def _ours(self, name: str) -> DescribeSecretResponseTypeDef | None:
        """The secret's description if it exists and bears the deployment's tag, None if there is none."""
        try:
            found = self._client.describe_secret(SecretId=name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise self._failed(name, "cannot be described", error) from None
        owners = [tag.get("Value") for tag in found.get("Tags", []) if tag.get("Key") == MANAGED_BY_TAG]
        if owners != [self._deployment]:
            raise UserSecretFailed(
                f"A secret {name} exists which this deployment did not make: "
                f"it has no tag {MANAGED_BY_TAG} = {self._deployment}",
                remedy="Delete or rename that secret, or choose another user name.",
                details={"secret": name},
            )
        return found

    def _create(self, name: str, user: DatabaseUser, tags: Mapping[str, str]) -> str:
        # Without a value at first: creating and writing a version stay two steps, each of which can be repeated.
        return self._client.create_secret(
            Name=name,
            Description=f"Database user {user.username} of the cluster {user.cluster_identifier}",
            KmsKeyId=self._kms_key_arn,
            Tags=tag_list(tags),
        )["ARN"]

    def _tag(self, arn: str, tags: Mapping[str, str]) -> None:
        self._client.tag_resource(SecretId=arn, Tags=tag_list(tags))

    def _failed(self, name: str, what: str, error: ClientError) -> Exception:
        """Throttling keeps its class, which is retried; anything else is the secret's error."""
        ours = translate(error, "secretsmanager")
        if ours.retryable:
            return ours
        return UserSecretFailed(f"The secret {name} {what}: {ours.cause}", details=ours.details)
