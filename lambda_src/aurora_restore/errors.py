"""Every error of the pipeline, in one table: its class, code, cause, remedy, and whether a retry helps.

The class name is the error name that the state machine sees; the docstring is the general cause. `TABLE` is what the
troubleshooting guide is generated from. AWS's own errors become ours in `translate`, and what Step Functions hands to
a Catch becomes ours again in `failure_of`.
"""

# ruff: noqa: N818 - the class names are the error names of the state machine, made to be read there.

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError


MAX_CAUSE: Final = 16_000
"""Characters: a cause has to fit into an execution's error, an item and a message, whatever a request holds.

Step Functions takes 32,768 for the cause of a Fail state (API reference: ExecutionFailedEventDetails).
"""

MAX_FINDINGS: Final = 50
MAX_FINDING: Final = 1_500
"""Characters of one finding's cause among several."""


class RestoreError(Exception):
    """Base of all errors that the pipeline raises on purpose."""

    code: ClassVar[str] = ""
    remedy: ClassVar[str] = ""
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        cause: str,
        *,
        field: str | None = None,
        details: Mapping[str, Any] | None = None,
        remedy: str | None = None,
    ) -> None:
        told = cause if cause.endswith((".", "?", "!")) else f"{cause}."
        self.cause = told if len(told) <= MAX_CAUSE else f"{told[: MAX_CAUSE - 3]}..."
        self.field = field
        self.details: dict[str, Any] = dict(details or {})
        self.advice = remedy or self.remedy
        super().__init__(f"{self.code}: {self.cause} Remedy: {self.advice}")


# --- SNAP-CHECK: finding the snapshot -----------------------------------------------------------------------------


class SnapshotNotFound(RestoreError):
    """No snapshot matches the request."""

    code = "ARP-SNAP-CHECK-001"
    remedy = (
        "Name a snapshot that exists, or another snapshot_date (UTC) or snapshot_selector; check source_account_id and "
        "source_region."
    )


class SnapshotNotAvailable(RestoreError):
    """The snapshot exists, but its status is not 'available'."""

    code = "ARP-SNAP-CHECK-002"
    remedy = "Wait until the snapshot is 'available', or name another one."


class SnapshotAccessDenied(RestoreError):
    """The snapshot-check function may not describe snapshots."""

    code = "ARP-SNAP-CHECK-003"
    remedy = (
        "Allow rds:DescribeDBClusterSnapshots to the snapshot-check role: look for a permissions boundary or a service "
        "control policy that takes it away."
    )


class InvalidSnapshotDate(RestoreError):
    """The snapshot date is not a calendar day in the form YYYY-MM-DD, or lies in the future."""

    code = "ARP-SNAP-CHECK-004"
    remedy = "Give snapshot_date as YYYY-MM-DD; the day is a UTC day, today at the latest."


class MissingSource(RestoreError):
    """The request does not say what to restore from."""

    code = "ARP-SNAP-CHECK-005"
    remedy = (
        "Give snapshot_identifier, or source_cluster_id together with snapshot_date, snapshot_selector, "
        "restore_to_time or clone = true."
    )


class SourceAccountUnknown(RestoreError):
    """The snapshot belongs to an account that the deployment does not know, and is not shared with this one."""

    code = "ARP-SNAP-CHECK-006"
    remedy = (
        "Apply modules/source-account in that account and add its output to the module's source_accounts, or have the "
        "snapshot shared with this account."
    )


class UnsupportedSnapshot(RestoreError):
    """The snapshot is not one of an Aurora MySQL or Aurora PostgreSQL cluster."""

    code = "ARP-SNAP-CHECK-007"
    remedy = "Name a cluster snapshot whose engine is aurora-mysql or aurora-postgresql."


class SnapshotAmbiguous(RestoreError):
    """Several clusters have had the source's name, and the request does not say whose snapshots are meant."""

    code = "ARP-SNAP-CHECK-008"
    remedy = "Give source_cluster_resource_id, one of those that the message lists."


class SnapshotTooOld(RestoreError):
    """The newest snapshot that fits is older than snapshot_selector.max_age_hours allows."""

    code = "ARP-SNAP-CHECK-009"
    remedy = "Find out why no newer snapshot was taken, or allow a greater age."


class SnapshotKeyUnusable(RestoreError):
    """The key of the snapshot is disabled, pending deletion, of a kind that RDS cannot use, or may not be used."""

    code = "ARP-SNAP-CHECK-010"
    remedy = (
        "Enable the key (or cancel its deletion), and let its policy allow the role that the message names. A key of "
        "an account that source_accounts does not name also has to be in the module's snapshot_kms_key_arns."
    )


class SourceClusterNotFound(RestoreError):
    """There is no such cluster, nor automated backups of it, in this account and region."""

    code = "ARP-SNAP-CHECK-011"
    remedy = (
        "Name a cluster that exists (source_cluster_id), the resource id of a deleted one whose automated backups were "
        "retained (source_cluster_resource_id), or a snapshot."
    )


class RestoreTimeOutside(RestoreError):
    """The source cannot be restored to the time that is asked for."""

    code = "ARP-SNAP-CHECK-012"
    remedy = 'Give a restore_to_time within the times that the message names, or "latest".'


class SourceNotRestorable(RestoreError):
    """The source cluster cannot be restored to a point in time, or cloned, as it is."""

    code = "ARP-SNAP-CHECK-013"
    remedy = "Make the change that the message names, or restore from a snapshot."


class CloneLimitReached(RestoreError):
    """The source has as many clones as share its volume: RDS would silently make a full copy."""

    code = "ARP-SNAP-CHECK-014"
    remedy = 'Delete clones that are no longer needed, or make a full copy: restore_to_time = "latest".'


# --- SNAP-COPY: bringing the snapshot to where it can be restored --------------------------------------------------


class CopyStartFailed(RestoreError):
    """RDS refused the copy of the snapshot."""

    code = "ARP-SNAP-COPY-001"
    remedy = "Correct what RDS names in its message, and start a new operation."


class NoCopyRoute(RestoreError):
    """There is no permitted way to bring the snapshot into the deployment's account and region."""

    code = "ARP-SNAP-COPY-002"
    remedy = "Make the one change that the message names."


class CopyNameConflict(RestoreError):
    """A snapshot with the copy's name exists, and was not made by this deployment."""

    code = "ARP-SNAP-COPY-003"
    remedy = "Rename or delete that snapshot, or set reuse_copies = false: the copy then gets a name of its own."


class CopyKeyInaccessible(RestoreError):
    """RDS may not use the source snapshot's key or the copy's key."""

    code = "ARP-SNAP-COPY-004"
    remedy = (
        "The step is retried by itself for a short while: changes of a key's policy take time to arrive. If it goes "
        "on, enable the key, and let its policy and the role that copies allow kms:CreateGrant and kms:DescribeKey."
    )
    retryable = True


class CopySourceVanished(RestoreError):
    """The snapshot to copy was there when it was checked, and is gone or not shared any more."""

    code = "ARP-SNAP-COPY-005"
    remedy = "Start again with a snapshot that is kept; automated ones go at the end of their retention period."


class SnapshotQuotaExceeded(RestoreError):
    """The account has as many manual cluster snapshots in the region as its quota allows."""

    code = "ARP-SNAP-COPY-006"
    remedy = "Delete manual snapshots that are no longer needed, or ask AWS Service Quotas for a higher limit."


class DirectCopyRefused(RestoreError):
    """AWS refused the copy to another account and another region in one step."""

    code = "ARP-SNAP-COPY-007"
    remedy = "Use copy_strategy auto or two_hop, which take the way over two copies."


class ShareFailed(RestoreError):
    """The snapshot could not be shared with the deployment's account."""

    code = "ARP-SNAP-COPY-008"
    remedy = "Correct what RDS names in its message; a snapshot can be shared with 20 accounts at most."


# --- COPY-STATUS: waiting for the copy -----------------------------------------------------------------------------


class CopyVanished(RestoreError):
    """The copy is gone, or is another snapshot under the same name."""

    code = "ARP-COPY-STATUS-001"
    remedy = "Find out in CloudTrail who deleted it, and start a new operation."


class CopyFailed(RestoreError):
    """RDS gave the copy up."""

    code = "ARP-COPY-STATUS-002"
    remedy = (
        "Look for a source snapshot that was deleted or a key whose grant was revoked while the copy ran, then start a "
        "new operation."
    )


class CopyTimedOut(RestoreError):
    """The copy, or the wait for its turn, passed its deadline."""

    code = "ARP-COPY-STATUS-003"
    remedy = (
        "Raise the module's deadlines.copy or deadlines.queue if it was only slow; see how many copies are in flight."
    )


# --- RESTORE: what the target needs, and making it ----------------------------------------------------------------


class SnapshotVanished(RestoreError):
    """The snapshot was there when it was checked, but RDS no longer found it when the restore began."""

    code = "ARP-RESTORE-001"
    remedy = "Start again with a snapshot that is kept; automated ones go at the end of their retention period."


class RestoreStartFailed(RestoreError):
    """RDS refused the restore, the modification or the new instance."""

    code = "ARP-RESTORE-002"
    remedy = "Correct what RDS names in its message, and start a new operation."


class SubnetGroupInvalid(RestoreError):
    """The DB subnet group does not exist, or cannot be used."""

    code = "ARP-RESTORE-003"
    remedy = "Name an existing DB subnet group that covers at least two availability zones (db_subnet_group_name)."


class SecurityGroupInvalid(RestoreError):
    """A security group does not exist, or is in another VPC than the subnet group."""

    code = "ARP-RESTORE-004"
    remedy = "Name security groups of the subnet group's VPC (vpc_security_group_ids)."


class ParameterGroupInvalid(RestoreError):
    """A parameter group does not exist, or its family does not fit the engine version."""

    code = "ARP-RESTORE-005"
    remedy = "Name a parameter group of the engine version's family, or leave it out for the engine's default."


class InstanceClassUnavailable(RestoreError):
    """The instance class is not offered for the engine version in this region."""

    code = "ARP-RESTORE-006"
    remedy = "Choose a class that is offered (db_instance_class)."


class QuotaExceeded(RestoreError):
    """A quota of the account is used up."""

    code = "ARP-RESTORE-007"
    remedy = "Delete what is no longer needed, or ask AWS Service Quotas for a higher limit."


class NetworkInvalid(RestoreError):
    """The VPC, its subnets or its zones do not allow the restore."""

    code = "ARP-RESTORE-008"
    remedy = "Check the subnet group's subnets and zones, and that the security groups are of the same VPC."


class TargetExists(RestoreError):
    """The name of the new cluster, or of one of its instances, is taken."""

    code = "ARP-RESTORE-009"
    remedy = "Choose another target_cluster_id; the pipeline never deletes a cluster to make room."


class EngineDowngrade(RestoreError):
    """The requested engine version is older than the source's."""

    code = "ARP-RESTORE-010"
    remedy = "Leave engine_version out for the source's own version, or name a newer one; Aurora cannot go back."


class EngineVersionNotOffered(RestoreError):
    """The engine version is not offered in this region, or the source cannot be upgraded to it."""

    code = "ARP-RESTORE-011"
    remedy = "Name an engine_version that is offered and to which the source's version can be upgraded."


class MajorUpgradeRefused(RestoreError):
    """The requested engine version is another major version, and the request does not allow that upgrade."""

    code = "ARP-RESTORE-012"
    remedy = "Set allow_major_version_upgrade = true if it is meant; or leave engine_version out."


class CapacityInsufficient(RestoreError):
    """AWS has not enough capacity of the class in the zones of the subnet group at the moment."""

    code = "ARP-RESTORE-013"
    remedy = (
        "The step is retried by itself for twenty minutes. If it goes on, try later, or with another "
        "db_instance_class or a subnet group with more zones."
    )
    retryable = True


class EncryptionKeyInaccessible(RestoreError):
    """The KMS key does not exist, is not enabled, or may not be used by the pipeline."""

    code = "ARP-RESTORE-014"
    remedy = (
        "The step is retried by itself for a short while: changes of a key's policy take time to arrive. If it goes "
        "on, enable the key, and let its policy and the function's role allow kms:CreateGrant and kms:DescribeKey."
    )
    retryable = True


class ExtendedSupportRequired(RestoreError):
    """The engine version has left standard support and would be enrolled in paid Extended Support."""

    code = "ARP-RESTORE-015"
    remedy = (
        "Accept the charge with engine_lifecycle_support = open-source-rds-extended-support, "
        "or restore a snapshot of a supported major version."
    )


class TargetKeyInvalid(RestoreError):
    """The key of the restored cluster is missing, disabled, of the wrong kind, or not a local customer-managed key."""

    code = "ARP-RESTORE-016"
    remedy = (
        "Name an enabled, symmetric customer-managed key of this account and region (kms_key_id), or set "
        "require_local_customer_key = false if another key is meant."
    )


# --- RESTORE-STATUS: waiting for it -------------------------------------------------------------------------------


class ClusterFailed(RestoreError):
    """RDS put the cluster into a status from which it does not recover by itself."""

    code = "ARP-RESTORE-STATUS-001"
    remedy = "Read the RDS events in the error's details, correct what they name, and start a new operation."


class InstanceFailed(RestoreError):
    """RDS put an instance into a status from which it does not recover by itself."""

    code = "ARP-RESTORE-STATUS-002"
    remedy = "Read the RDS events in the error's details, correct what they name, and start a new operation."


class ResourceVanished(RestoreError):
    """A resource that the operation made is gone, or is another one under the same name."""

    code = "ARP-RESTORE-STATUS-003"
    remedy = "Find out in CloudTrail who deleted or replaced it, and start a new operation."


# --- DBUSER: the database users -----------------------------------------------------------------------------------


class TransientDatabaseError(RestoreError):
    """The database could not be reached: a network in between, a name not in DNS yet, or a server that starts."""

    code = "ARP-DBUSER-001"
    remedy = (
        "The step is retried by itself. If it goes on: let the cluster's security group admit the function's on the "
        "database port, and check the route between their subnets, the DNS and the cluster's events."
    )
    retryable = True


class MasterCredentialsUnavailable(RestoreError):
    """The master user's secret could not be read, or the database refused it."""

    code = "ARP-DBUSER-002"
    remedy = (
        "The step is retried by itself: a new password takes a while to reach the database. If it goes on, check that "
        "the RDS-managed secret is active and that the function's role may read it."
    )
    retryable = True


class UserCreationFailed(RestoreError):
    """The database refused to create a user or to grant what was asked."""

    code = "ARP-DBUSER-003"
    remedy = "Check the user's name and that the databases exist in the snapshot."


class UserSecretFailed(RestoreError):
    """The secret of a database user could not be read or written."""

    code = "ARP-DBUSER-004"
    remedy = "Check the secret, its key, and the permissions of the setup-db-users role."


class UserAlreadyExists(RestoreError):
    """The user's name is the master user's or a reserved one, or the snapshot's user of that name is a superuser."""

    code = "ARP-DBUSER-005"
    remedy = "Choose another user name."


class CertificateRejected(RestoreError):
    """The database's certificate is not signed by a known authority, names another host, or TLS is not offered."""

    code = "ARP-DBUSER-006"
    remedy = (
        "Refresh the shipped RDS certificates (scripts/refresh_certificates.py) or give the authority's certificate to "
        "the module; a name of one's own in front of the cluster endpoint cannot be verified."
    )


# --- VERIFY: is the restored cluster what it should be --------------------------------------------------------------


class VerificationFailed(RestoreError):
    """A check of the request did not give the expected result."""

    code = "ARP-VERIFY-001"
    remedy = "Compare the check with the data: the snapshot may be older than expected, or the check may be wrong."


class VersionMismatch(RestoreError):
    """The restored cluster does not run the planned engine version."""

    code = "ARP-VERIFY-002"
    remedy = (
        "Read the cluster's events, and after a failed upgrade the writer's log upgrade-prechecks.log or pg_upgrade's; "
        "correct what they name in the source. A failed upgrade cannot be begun again on the restored cluster: delete "
        "it, and start a new operation."
    )


class CheckNotRunnable(RestoreError):
    """A check of the request could not be run."""

    code = "ARP-VERIFY-003"
    remedy = "Correct the check's database or SQL."


class UserLoginFailed(RestoreError):
    """A user that was set up cannot log in with the password in its secret."""

    code = "ARP-VERIFY-004"
    remedy = "Find out who changed the user or its secret since it was set up, and start a new operation."


class ConfigurationDrift(RestoreError):
    """The restored cluster's settings are not what was asked for, in a way that matters."""

    code = "ARP-VERIFY-005"
    remedy = (
        "See in CloudTrail and the cluster's events who or what changed or refused the settings that the message "
        "names; set them, or start a new operation. The cluster was kept."
    )


# --- GENERAL --------------------------------------------------------------------------------------------------------


class MissingParameter(RestoreError):
    """A required field is missing in the request and in the deployment's defaults."""

    code = "ARP-GENERAL-001"
    remedy = "Give the field in the request, or a default for it in the module's 'defaults'."


class InvalidParameter(RestoreError):
    """A field of the request has a value that is not allowed."""

    code = "ARP-GENERAL-002"
    remedy = "Correct the field; the input reference says what it takes."


class ConfigurationInvalid(RestoreError):
    """The function's environment is incomplete or malformed."""

    code = "ARP-GENERAL-003"
    remedy = "Apply the Terraform module again; the environment of the functions is its own."


class StateLoadFailed(RestoreError):
    """The operation's record could not be loaded, or belongs to another execution."""

    code = "ARP-GENERAL-004"
    remedy = "Look up the operation in the state table; start a new operation if its record is gone."


class StateSaveFailed(RestoreError):
    """The operation's record could not be saved."""

    code = "ARP-GENERAL-005"
    remedy = "Check the state and audit tables and their key; then start a new operation."


class OperationTimeout(RestoreError):
    """A phase passed its deadline, or a function its time limit."""

    code = "ARP-GENERAL-006"
    remedy = "Look at what it last saw; raise the phase's deadline in the module's 'deadlines' if it was only slow."


class Throttled(RestoreError):
    """AWS limits the rate of calls, or did not answer."""

    code = "ARP-GENERAL-007"
    remedy = "The step is retried by itself; run fewer operations at once if it goes on."
    retryable = True


class AssumeRoleFailed(RestoreError):
    """The pipeline could not take on its role in the source account."""

    code = "ARP-GENERAL-008"
    remedy = (
        "Check that source_accounts names the role and the external id that modules/source-account put out, and that "
        "its trust policy names this deployment's roles."
    )


class StateStoreUnavailable(RestoreError):
    """DynamoDB refused a call."""

    code = "ARP-GENERAL-009"
    remedy = "Check that the state and audit tables and their key exist and that the function's role may use them."


class InternalError(RestoreError):
    """The pipeline met a state of affairs that it was not made for."""

    code = "ARP-GENERAL-010"
    remedy = "Look up the operation_id in the function's log, and report it."


class UnknownField(RestoreError):
    """The request has a field that does not exist."""

    code = "ARP-GENERAL-011"
    remedy = "Correct the field's name, or leave it out."


class DuplicateOperation(RestoreError):
    """Another execution owns this operation_id."""

    code = "ARP-GENERAL-012"
    remedy = "Choose another operation_id, or leave it out: the execution's name is taken then."


class ConflictingFields(RestoreError):
    """Two fields of the request, or a field and the deployment, contradict each other."""

    code = "ARP-GENERAL-013"
    remedy = "Keep one of them."


class AccessDenied(RestoreError):
    """AWS denied a call to the function's role."""

    code = "ARP-GENERAL-014"
    remedy = "Allow the action that the message names: look at boundaries, service control and key policies too."


class AwsCallFailed(RestoreError):
    """AWS refused a call for a reason of its own."""

    code = "ARP-GENERAL-015"
    remedy = "Correct what the message names, and start a new operation."


class StateConflict(RestoreError):
    """Too many writers changed the operation's record at the same moment."""

    code = "ARP-GENERAL-016"
    remedy = "The step is retried by itself."
    retryable = True


class ResourceBusy(RestoreError):
    """RDS is still busy with the cluster, the instance or the snapshot."""

    code = "ARP-GENERAL-017"
    remedy = "The step is retried by itself; if it goes on, look at the resource's status and events."
    retryable = True


class OperationEnded(RestoreError):
    """The operation has ended already: a try of a step that comes late does nothing."""

    code = "ARP-GENERAL-018"
    remedy = "Nothing is to be done; start a new operation for another restore."


class NotificationFailed(RestoreError):
    """The message could not be published."""

    code = "ARP-NOTIFY-001"
    remedy = "Check the topic, its policy and its key; the state table has the outcome."


class CleanupIncomplete(RestoreError):
    """Something that the operation made could not be deleted, or deletion protection could not be switched on."""

    code = "ARP-CLEANUP-001"
    remedy = "Finish by hand what the message names."


TABLE: Final[tuple[type[RestoreError], ...]] = tuple(RestoreError.__subclasses__())
"""All errors, in the order in which they are defined here."""

BY_NAME: Final[Mapping[str, type[RestoreError]]] = {error.__name__: error for error in TABLE}


# --- AWS's errors become ours ---------------------------------------------------------------------------------------

# Wire codes, which are not the shapes' names (botocore rds service-2.json, "error": {"code"}). The trailing "Fault",
# which some of them have and others have not, is cut off before the look-up.
_BY_WIRE_CODE: Final[Mapping[str, type[RestoreError]]] = {
    "DBClusterSnapshotNotFound": SnapshotVanished,
    "DBSnapshotNotFound": SnapshotVanished,
    "DBSubnetGroupNotFound": SubnetGroupInvalid,
    "DBSubnetGroupDoesNotCoverEnoughAZs": SubnetGroupInvalid,
    "InvalidDBSubnetGroup": SubnetGroupInvalid,
    "InvalidDBSubnetGroupState": SubnetGroupInvalid,
    "DBSecurityGroupNotFound": SecurityGroupInvalid,
    "InvalidSecurityGroup": SecurityGroupInvalid,
    "DBClusterParameterGroupNotFound": ParameterGroupInvalid,
    "DBParameterGroupNotFound": ParameterGroupInvalid,
    "InstanceQuotaExceeded": QuotaExceeded,
    "DBClusterQuotaExceeded": QuotaExceeded,
    "StorageQuotaExceeded": QuotaExceeded,
    "SnapshotQuotaExceeded": QuotaExceeded,
    "DBClusterRoleQuotaExceeded": QuotaExceeded,
    "DBClusterEndpointQuotaExceeded": QuotaExceeded,
    "InvalidVPCNetworkState": NetworkInvalid,
    "InvalidSubnet": NetworkInvalid,
    "DefaultVpcDoesNotExist": NetworkInvalid,
    "NetworkTypeNotSupported": NetworkInvalid,
    "DBClusterAlreadyExists": TargetExists,
    "DBInstanceAlreadyExists": TargetExists,
    "InsufficientDBClusterCapacity": CapacityInsufficient,
    "InsufficientDBInstanceCapacity": CapacityInsufficient,
    "InsufficientStorageClusterCapacity": CapacityInsufficient,
    "KMSKeyNotAccessible": EncryptionKeyInaccessible,
    "DBClusterNotFound": ResourceVanished,
    "DBInstanceNotFound": ResourceVanished,
    "InvalidDBClusterState": ResourceBusy,
    "InvalidDBInstanceState": ResourceBusy,
    "InvalidDBClusterSnapshotState": ResourceBusy,
    "InvalidResourceState": ResourceBusy,  # EnableHttpEndpoint, while the cluster is being changed
    "ConcurrentUpdateException": ResourceBusy,  # Application Auto Scaling
    # A quota for Secrets Manager, KMS and Application Auto Scaling, though botocore takes it for a throttle.
    "LimitExceededException": QuotaExceeded,
    "InvalidRestore": RestoreStartFailed,
    "StorageTypeNotSupported": RestoreStartFailed,
    "StorageTypeNotAvailable": RestoreStartFailed,
    "VpcEncryptionControlViolationException": NetworkInvalid,
    "TransactionConflictException": StateConflict,
}

# What some codes mean to one call: first by code, else the call's own error (where it has one) for everything that is
# not a matter of rate or permission.
_BY_CALL: Final[Mapping[str, tuple[Mapping[str, type[RestoreError]], type[RestoreError] | None]]] = {
    "CopyDBClusterSnapshot": (
        {
            "DBClusterSnapshotNotFound": CopySourceVanished,
            "DBClusterSnapshotAlreadyExists": CopyNameConflict,
            "InvalidDBClusterSnapshotState": ResourceBusy,
            "KMSKeyNotAccessible": CopyKeyInaccessible,
            "SnapshotQuotaExceeded": SnapshotQuotaExceeded,
        },
        CopyStartFailed,
    ),
    "ModifyDBClusterSnapshotAttribute": (
        {"DBClusterSnapshotNotFound": CopySourceVanished, "InvalidDBClusterSnapshotState": ResourceBusy},
        ShareFailed,
    ),
    "RestoreDBClusterToPointInTime": (
        {"DBClusterNotFound": SourceClusterNotFound, "DBClusterAutomatedBackupNotFound": SourceClusterNotFound},
        None,
    ),
}

_THROTTLES: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalServerError",
        "InternalError",
        "InternalServiceError",
    }
)

_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccessDeniedFault",
        "AuthorizationError",
        "AuthorizationErrorException",
        "UnauthorizedOperation",
        "NotAuthorized",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "KMSAccessDeniedException",
        "KMSAccessDenied",
    }
)

# RDS answers many kinds of bad input with one of two codes; the message tells them apart.
_BY_MESSAGE: Final[tuple[tuple[str, type[RestoreError]], ...]] = (
    ("is earlier than the engine version", EngineDowngrade),
    ("restorable time", RestoreTimeOutside),
    ("security group", SecurityGroupInvalid),
    ("subnet group", SubnetGroupInvalid),
    ("parameter group", ParameterGroupInvalid),
    ("parametergroup", ParameterGroupInvalid),
    ("cannot find version", EngineVersionNotOffered),
    ("instance class", InstanceClassUnavailable),
    ("vpc", NetworkInvalid),
)


def wire_code(error: ClientError) -> str:
    """The error code as AWS sent it, without the trailing "Fault" that only some of RDS's codes have."""
    return str(error.response.get("Error", {}).get("Code", "")).removesuffix("Fault")


def translate(error: ClientError | BotoCoreError, service: str = "") -> RestoreError:
    """Our error for AWS's, which stays in the details."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    if not response:
        # No answer at all (connection, time-out) or a call that botocore itself refused: its text may quote the
        # parameters, so only its kind is told.
        kind = type(error).__name__
        if kind in {"ParamValidationError", "UnknownServiceError", "NoRegionError"}:
            return InternalError(f"A call to {service or 'AWS'} was malformed ({kind})")
        if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
            return AccessDenied(f"The function has no credentials for {service or 'AWS'} ({kind})")
        return Throttled(f"{service or 'AWS'} did not answer ({kind})")

    raw = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message", "")).strip()
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    operation = str(getattr(error, "operation_name", ""))
    cause = f"{operation or service or 'AWS'} answered {raw}: {message}" if message else f"{operation} answered {raw}"
    details = {"aws_code": raw, "aws_operation": operation, "aws_message": message}
    return _class_for(raw, message, status, operation)(cause, details=details)


def _class_for(raw: str, message: str, status: int, operation: str) -> type[RestoreError]:
    if raw in _THROTTLES or status in {500, 502, 503, 504}:
        return Throttled
    if raw in _DENIED:
        return SnapshotAccessDenied if operation == "DescribeDBClusterSnapshots" else AccessDenied
    if operation in {"GetItem", "Query", "UpdateItem", "PutItem", "TransactWriteItems"}:
        return StateConflict if raw == "TransactionConflictException" else StateStoreUnavailable
    if operation == "Publish":
        return NotificationFailed
    if operation in _BY_CALL:
        by_code, otherwise = _BY_CALL[operation]
        if ours := by_code.get(raw.removesuffix("Fault"), otherwise):
            return ours
    if known := _BY_WIRE_CODE.get(raw.removesuffix("Fault")):
        return known
    if raw in {"InvalidParameterValue", "InvalidParameterCombination"}:
        text = message.lower()
        return next((error for needle, error in _BY_MESSAGE if needle in text), RestoreStartFailed)
    return AwsCallFailed


def together(problems: Sequence[RestoreError]) -> RestoreError:
    """One error that tells all findings, each with its remedy: a person corrects them all at once.

    It is of the first one's class, and has every finding as plain data in ``details["findings"]``.
    """
    first, *others = problems
    if not others:
        return first
    findings = [finding_of(problem) for problem in problems[:MAX_FINDINGS]]
    told = [f"({n}) {item['code']}: {item['cause']} To do: {item['remedy']}" for n, item in enumerate(findings, 1)]
    left_out = len(problems) - len(findings)
    more = [f"And {left_out} more."] if left_out else []
    cause = " ".join([f"{len(problems)} findings.", *told, *more])
    return type(first)(
        cause,
        field=first.field,
        details={**first.details, "findings": findings},
        remedy="Correct each of the findings; the message names the remedy of each.",
    )


def finding_of(problem: RestoreError) -> dict[str, str | None]:
    """A finding as plain data."""
    cause = problem.cause if len(problem.cause) <= MAX_FINDING else f"{problem.cause[: MAX_FINDING - 3]}..."
    return {
        "code": problem.code,
        "error": type(problem).__name__,
        "cause": cause,
        "remedy": problem.advice,
        "field": problem.field,
    }


# --- what a Catch receives becomes ours again -----------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """An error as it is recorded, reported and put on the execution."""

    error: str
    code: str
    cause: str
    remedy: str
    retryable: bool = False
    step: str | None = None
    field: str | None = None
    details: Mapping[str, Any] = attribute(default_factory=dict)

    @property
    def message(self) -> str:
        """The same text as ``str`` of the error."""
        return f"{self.code}: {self.cause} Remedy: {self.remedy}"

    @classmethod
    def of(cls, error: RestoreError, step: str | None = None) -> Failure:
        """The record of an error that was raised here."""
        return cls(
            error=type(error).__name__,
            code=error.code,
            cause=error.cause,
            remedy=error.advice,
            retryable=error.retryable,
            step=step,
            field=error.field,
            details=error.details,
        )

    def to_mapping(self) -> dict[str, Any]:
        """As plain data, without what is empty."""
        data = {
            "error": self.error,
            "code": self.code,
            "cause": self.cause,
            "remedy": self.remedy,
            "retryable": self.retryable,
            "step": self.step,
            "field": self.field,
            "details": dict(self.details),
        }
        return {key: value for key, value in data.items() if value is not None and value != {}}

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Failure:
        """The inverse of `to_mapping`."""
        return cls(**data)


# A step that ran out of time is not a phase that passed its deadline: no knob of the module's 'deadlines' helps it.
_FUNCTION_TIMED_OUT: Final = (
    "Look up the RequestId in the log group of the step's function (the module's output log_group_names). If it was "
    "only slow, raise the module's lambda.timeout (of setup-db-users and verify-restore: lambda.database_timeout)."
)
_NO_ANSWER: Final = (
    "Look at what the step's function did last in its log group (the module's output log_group_names), and start a new "
    "operation."
)


def failure_caught(errors: Mapping[str, Mapping[str, Any]]) -> Failure:
    """The failure that ended the main road: what its step's Catch has put under the step's name."""
    step, caught = next(iter(errors.items()))
    return failure_of(caught, step)


def failure_of(caught: Mapping[str, Any], step: str | None = None) -> Failure:
    """The failure behind ``{"Error", "Cause"}``, whether the error was ours, Lambda's or the state machine's."""
    name = str(caught.get("Error", "")) or "Unknown"
    message = _error_message(str(caught.get("Cause", "")))

    if known := BY_NAME.get(name):
        # Our own message: "CODE: cause Remedy: remedy". A cause may quote any words of AWS's; no remedy has these.
        told = message.removeprefix(f"{known.code}: ")
        cause, mark, remedy = told.rpartition(" Remedy: ")
        ours = known((cause if mark else told) or (known.__doc__ or name), remedy=remedy if mark else None)
        return Failure.of(ours, step)
    who, said = step or "A step", message or "no further word"
    if name == "Sandbox.Timedout" or "Task timed out" in message:
        return Failure.of(OperationTimeout(f"{who} ran out of time ({name}): {said}", remedy=_FUNCTION_TIMED_OUT), step)
    if name in {"States.Timeout", "States.HeartbeatTimeout"}:
        return Failure.of(OperationTimeout(f"{who} did not answer in time ({name}): {said}", remedy=_NO_ANSWER), step)
    if name.startswith("Lambda.") and "not authorized" in message:
        return Failure.of(AccessDenied(f"The state machine could not invoke a function ({name}): {message}"), step)
    return Failure.of(InternalError(f"{who} ended with {name}: {said}"), step)


def _error_message(cause: str) -> str:
    """Lambda's Cause is JSON with ``errorMessage``; anything else is text."""
    try:
        parsed = json.loads(cause)
    except ValueError:
        return cause
    if isinstance(parsed, dict):
        return str(parsed.get("errorMessage", cause))
    return cause
