"""Cluster snapshots: the parameters of a copy, what AWS's refusals of one mean, and the calls.

A copy is made in the region it goes to (BC:CopyDBClusterSnapshot), by the account it is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import names
from aurora_restore.errors import (
    CopyNameConflict,
    CopyStartFailed,
    DirectCopyRefused,
    RestoreError,
    ShareFailed,
    translate,
    wire_code,
)
from aurora_restore.model import PlannedCopy
from aurora_restore.readiness import Described

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

ALREADY_EXISTS: Final = "DBClusterSnapshotAlreadyExists"
NOT_FOUND: Final = "DBClusterSnapshotNotFound"

# How AWS refuses what it does not offer at all. Which code it has for a copy in one step where that is not offered is
# nowhere documented.
_NOT_OFFERED: Final = frozenset(
    {"InvalidParameter", "InvalidParameterCombination", "InvalidParameterValue", "UnsupportedOperation"}
)
# As for DB snapshots, whose text is documented; for cluster snapshots neither code nor text is (aws-facts, 13.3).
_LIMIT_REACHED: Final = re.compile(r"cannot copy more than \d+ snapshots across", re.IGNORECASE)
_NOT_SUPPORTED: Final = re.compile(r"not (currently )?supported|n't support", re.IGNORECASE)


def copy_parameters(copy: PlannedCopy, tags: Mapping[str, str]) -> dict[str, Any]:
    """For CopyDBClusterSnapshot."""
    parameters: dict[str, Any] = {
        "SourceDBClusterSnapshotIdentifier": copy.source_arn,
        "TargetDBClusterSnapshotIdentifier": copy.identifier,
        # The source's tags may be another operation's.
        "CopyTags": False,
        "Tags": names.tag_list(tags),
    }
    if copy.kms_key_id:
        parameters["KmsKeyId"] = copy.kms_key_id
    _, partition, _, source_region, *_ = copy.source_arn.split(":")
    if copy.cross_region and partition == "aws-us-gov":
        # The SDK makes a PreSignedUrl of it, which means something between GovCloud regions only
        # (BC:CopyDBClusterSnapshot PreSignedUrl).
        parameters["SourceRegion"] = source_region
    return parameters


def limit_reached(error: ClientError) -> bool:
    """AWS has as many copies from other regions in flight as it takes; whoever made them."""
    return bool(_LIMIT_REACHED.search(str(error.response.get("Error", {}).get("Message", ""))))


def refusal(error: ClientError, copy: PlannedCopy) -> RestoreError:
    """What it means that RDS refused the copy."""
    ours = translate(error, "rds")
    message = str(ours.details.get("aws_message", ""))
    not_offered = wire_code(error) in _NOT_OFFERED or _NOT_SUPPORTED.search(message)
    if copy.single_step and isinstance(ours, CopyStartFailed) and not_offered:
        return DirectCopyRefused(ours.cause, details=ours.details)
    return ours


def refuse_foreign(copy: PlannedCopy, snapshot: Described, deployment: str) -> None:
    """Refuse a snapshot that has the copy's name, but was not made by this deployment.

    What it was copied from is not looked at: the name stands for the snapshot at the beginning of the way, and another
    way to the same copy leads over other snapshots.
    """
    if not names.bears_tags(snapshot.get("TagList"), deployment=deployment):
        raise CopyNameConflict(
            f"The snapshot {copy.identifier} in account {copy.account}, {copy.region}, does not bear this "
            f"deployment's tag {names.MANAGED_BY_TAG}"
        )


class Snapshots:
    """Cluster snapshots of one account and region, through its RDS client."""

    def __init__(self, rds: RDSClient) -> None:
        self._rds = rds

    def find(self, identifier: str) -> Described | None:
        """The manual snapshot as RDS describes it, or None."""
        try:
            found = self._rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=identifier)
        except ClientError as error:
            if wire_code(error) == NOT_FOUND:
                return None
            raise
        return next(iter(found["DBClusterSnapshots"]), None)

    def copy(self, parameters: Mapping[str, Any]) -> Described:
        """Begin a copy."""
        return self._rds.copy_db_cluster_snapshot(**parameters)["DBClusterSnapshot"]

    def delete(self, identifier: str) -> bool:
        """Delete a snapshot, or cancel the copy that makes it; False when there is none."""
        try:
            self._rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)
        except ClientError as error:
            if wire_code(error) == NOT_FOUND:
                return False
            raise
        return True

    def shared_with(self, identifier: str) -> frozenset[str]:
        """The accounts that the snapshot is shared with; "all" if with everybody."""
        result = self._rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=identifier)[
            "DBClusterSnapshotAttributesResult"
        ]
        return frozenset(
            value
            for attribute in result["DBClusterSnapshotAttributes"]
            if attribute["AttributeName"] == "restore"
            for value in attribute["AttributeValues"]
        )

    def share(self, identifier: str, account: str) -> None:
        """Let an account restore and copy the snapshot."""
        self._rds.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=identifier, AttributeName="restore", ValuesToAdd=[_account(account)]
        )

    def withdraw(self, identifier: str, account: str) -> None:
        """End the share; nothing happens where there is none."""
        try:
            self._rds.modify_db_cluster_snapshot_attribute(
                DBClusterSnapshotIdentifier=identifier, AttributeName="restore", ValuesToRemove=[_account(account)]
            )
        except ClientError as error:
            if wire_code(error) != NOT_FOUND:
                raise


def _account(account: str) -> str:
    # "all" would make the snapshot public, and no IAM condition can refuse it (aws-facts, 12).
    if not re.fullmatch(r"\d{12}", account, re.ASCII):
        raise ShareFailed(f"A snapshot is shared with accounts only, never with {account!r}")
    return account
