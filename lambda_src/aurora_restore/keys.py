"""KMS keys as far as RDS is concerned: what they are, and whether a snapshot or cluster can be under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aurora_restore.model import KeyKind
from aurora_restore.readiness import Described

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient


@dataclass(frozen=True)
class Key:
    """A key as kms:DescribeKey shows it."""

    arn: str
    account: str
    region: str
    customer_managed: bool
    problem: str | None = None
    """Why RDS cannot use it, if it cannot."""

    def local_to(self, account: str, region: str) -> bool:
        """It is of this account and region; a replica of a multi-Region key is one of its own region."""
        return (self.account, self.region) == (account, region)


def describe(kms: KMSClient, key_id: str) -> Key:
    """The key behind an ARN, an id or an alias."""
    return key_of(kms.describe_key(KeyId=key_id)["KeyMetadata"])


def key_of(metadata: Mapping[str, Any]) -> Key:
    """From what DescribeKey answers."""
    arn = str(metadata["Arn"])
    return Key(
        arn=arn,
        account=arn.split(":")[4],
        region=arn.split(":")[3],
        customer_managed=metadata.get("KeyManager") == "CUSTOMER",
        problem=_problem(metadata),
    )


def _problem(metadata: Mapping[str, Any]) -> str | None:
    """RDS takes enabled symmetric encryption keys only (AUG: Encrypting Amazon Aurora resources)."""
    state = str(metadata.get("KeyState", ""))
    if state == "PendingDeletion":
        when = metadata.get("DeletionDate")
        return f"is pending deletion{f' on {when:%Y-%m-%d}' if when else ''}"
    if state != "Enabled":
        return f"is not enabled (its state is {state})"
    usage = metadata.get("KeyUsage", "ENCRYPT_DECRYPT")
    if usage != "ENCRYPT_DECRYPT":
        return f"is not for encryption (its usage is {usage})"
    spec = metadata.get("KeySpec") or metadata.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    return None if spec == "SYMMETRIC_DEFAULT" else f"is not symmetric (its spec is {spec})"


def encryption_of(snapshot: Described) -> KeyKind | None:
    """How a snapshot is encrypted; None if it is under a KMS key, of which only DescribeKey tells the kind.

    StorageEncryptionType decides where it is shown. An older SDK drops it: then encrypted without a KmsKeyId means a
    key that AWS owns (AUG: Encrypting Amazon Aurora resources).
    """
    shown = str(snapshot.get("StorageEncryptionType") or "")
    if shown == "none" or (not shown and not snapshot.get("StorageEncrypted")):
        return KeyKind.NONE
    return KeyKind.AWS_OWNED if shown == "sse-rds" or not snapshot.get("KmsKeyId") else None
