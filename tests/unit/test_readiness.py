"""Every status that AWS documents for clusters and instances, and the rules beyond the status."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import readiness
from aurora_restore.readiness import State

# Aurora User Guide, "Viewing DB cluster status".
CLUSTER_STATUSES = {
    State.READY: ["available"],
    State.PENDING: [
        "backing-up", "backtracking", "creating", "configuring-enhanced-monitoring", "configuring-iam-database-auth",
        "failing-over", "maintenance", "migrating", "modifying", "preparing-data-migration", "promoting", "rebooting",
        "renaming", "resetting-master-credentials", "scaling-compute", "scaling-storage", "starting",
        "storage-optimization", "update-iam-db-auth", "upgrading",
    ],
    State.FAILED: [
        "cloning-failed", "deleting", "deleted", "failed", "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable", "incompatible-network", "incompatible-parameters",
        "incompatible-restore", "migration-failed", "restore-failed", "stopped", "stopping", "upgrade-failed",
    ],
}  # fmt: skip
# Aurora User Guide, "Viewing DB instance status".
INSTANCE_STATUSES = {
    State.READY: [
        "available", "backing-up", "configuring-associated-roles", "configuring-enhanced-monitoring",
        "configuring-iam-database-auth", "configuring-log-exports", "storage-initialization", "storage-optimization",
    ],
    State.PENDING: [
        "converting-to-vpc", "creating", "delete-precheck", "maintenance", "modifying", "moving-to-vpc", "rebooting",
        "renaming", "resetting-master-credentials", "starting", "storage-config-upgrade", "upgrading",
    ],
    State.FAILED: [
        "deleting", "deleted", "failed", "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable", "incompatible-create", "incompatible-credentials",
        "incompatible-network", "incompatible-option-group", "incompatible-parameters", "incompatible-restore",
        "insufficient-capacity", "modify-failed", "restore-error", "stopped", "stopping", "storage-full",
        "upgrade-failed",
    ],
}  # fmt: skip


def table(statuses: dict[State, list[str]]) -> list[tuple[str, State]]:
    return [(status, state) for state, names in statuses.items() for status in names]


def cluster(status: str = "available", **changes: Any) -> dict[str, Any]:
    return {
        "DBClusterIdentifier": "c",
        "Status": status,
        "DBClusterMembers": [
            {"DBInstanceIdentifier": "c-1", "IsClusterWriter": True, "DBClusterParameterGroupStatus": "in-sync"}
        ],
        "MasterUserSecret": {"SecretArn": "arn", "SecretStatus": "active"},
        **changes,
    }


def instance(status: str = "available", **changes: Any) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": "c-1",
        "DBInstanceStatus": status,
        "PendingModifiedValues": {},
        "DBParameterGroups": [{"DBParameterGroupName": "p", "ParameterApplyStatus": "in-sync"}],
        "VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1", "Status": "active"}],
        **changes,
    }


@pytest.mark.parametrize(("status", "state"), table(CLUSTER_STATUSES))
def test_cluster_status(status: str, state: State) -> None:
    for spelled in (status, status.upper(), status.replace("-", "_")):
        judged = readiness.cluster_restored(cluster(spelled))
        assert (judged.state, judged.unknown) == (state, False)


@pytest.mark.parametrize(("status", "state"), table(INSTANCE_STATUSES))
def test_instance_status(status: str, state: State) -> None:
    judged = readiness.writer_ready(instance(status), cluster())
    assert (judged.state, judged.unknown) == (state, False)


@given(st.text(min_size=1, alphabet="abcdefghijklmnopqrstuvwxyz-"))
def test_an_unknown_status_waits_loudly(status: str) -> None:
    if status in {known for known, _ in table(CLUSTER_STATUSES) + table(INSTANCE_STATUSES)}:
        return
    for judged in (
        readiness.cluster_restored(cluster(status)),
        readiness.cluster_configured(cluster(status)),
        readiness.instance_ready(instance(status), cluster()),
    ):
        assert (judged.state, judged.unknown) == (State.PENDING, True)


@pytest.mark.parametrize("judge", [readiness.cluster_restored, readiness.cluster_configured])
def test_an_absent_cluster(judge: Any) -> None:
    assert judge(None, seen=False).state is State.PENDING
    assert judge(None, seen=True).state is State.FAILED


def test_an_absent_instance() -> None:
    assert readiness.instance_ready(None, cluster()).state is State.PENDING
    assert readiness.writer_ready(None, cluster(), seen=True).state is State.FAILED


@pytest.mark.parametrize(
    ("pending", "state"),
    [
        ({"MasterUserPassword": "****"}, State.PENDING),
        ({"IAMDatabaseAuthenticationEnabled": True}, State.PENDING),
        ({"EngineVersion": "17.4"}, State.PENDING),
        ({"StorageType": "aurora-iopt1"}, State.PENDING),
        ({"AllocatedStorage": 1}, State.PENDING),
        ({"Iops": 1}, State.PENDING),
        ({"BackupRetentionPeriod": 3}, State.READY),
        ({"MasterUserPassword": None}, State.READY),
        ({}, State.READY),
        (None, State.READY),
    ],
)
def test_pending_values_of_the_cluster(pending: Any, state: State) -> None:
    assert readiness.cluster_configured(cluster(PendingModifiedValues=pending)).state is state


@pytest.mark.parametrize("status", ["creating", "rotating", ""])
def test_the_managed_secret_counts_only_with_members(status: str) -> None:
    secret = {"SecretArn": "arn", "SecretStatus": status}
    assert readiness.cluster_configured(cluster(MasterUserSecret=secret)).state is State.PENDING
    assert readiness.writer_ready(instance(), cluster(MasterUserSecret=secret)).state is State.PENDING
    assert readiness.writer_ready(instance(), cluster(MasterUserSecret=None)).state is State.PENDING
    # Without an instance a secret never becomes active: to wait for it would be for ever.
    assert readiness.cluster_configured(cluster(MasterUserSecret=secret, DBClusterMembers=[])).state is State.READY


def test_an_impaired_secret_is_not_waited_for() -> None:
    """It can be used to log in, and only somebody's hand mends it."""
    secret = {"SecretArn": "arn", "SecretStatus": "impaired"}
    assert readiness.writer_ready(instance(), cluster(MasterUserSecret=secret)).state is State.READY


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"PendingModifiedValues": {"DBInstanceClass": "db.r8g.xlarge"}}, "DBInstanceClass"),
        ({"DBParameterGroups": [{"DBParameterGroupName": "p", "ParameterApplyStatus": "applying"}]}, "applying"),
        ({"DBParameterGroups": [{"DBParameterGroupName": "p", "ParameterApplyStatus": "pending-reboot"}]}, "reboot"),
        ({"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-1", "Status": "adding"}]}, "sg-1"),
    ],
)
def test_an_available_instance_is_not_always_done(changes: dict[str, Any], word: str) -> None:
    judged = readiness.instance_ready(instance(**changes), cluster())
    assert judged.state is State.PENDING
    assert word in judged.detail


def member(**changes: Any) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": "c-1",
        "IsClusterWriter": True,
        "DBClusterParameterGroupStatus": "in-sync",
        **changes,
    }


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ([], "member"),
        ([member(DBClusterParameterGroupStatus="pending-reboot")], "pending-reboot"),
        ([member(DBClusterParameterGroupStatus="applying")], "applying"),
        ([member(IsClusterWriter=False)], "writer"),
    ],
)
def test_the_cluster_has_a_say_on_its_writer(members: list[Any], word: str) -> None:
    judged = readiness.writer_ready(instance(), cluster(DBClusterMembers=members))
    assert judged.state is State.PENDING
    assert word in judged.detail


def test_a_failed_or_busy_cluster_holds_its_writer() -> None:
    assert readiness.writer_ready(instance(), cluster("modifying")).state is State.PENDING
    assert readiness.writer_ready(instance(), cluster("failed")).state is State.FAILED


def test_readers_are_as_ready_as_the_worst() -> None:
    ready = readiness.Readiness(State.READY, "available", "a")
    pending = readiness.Readiness(State.PENDING, "creating", "b")
    absent = readiness.Readiness(State.PENDING, readiness.NOT_FOUND, "c")
    failed = readiness.Readiness(State.FAILED, "failed", "d")
    assert readiness.all_ready([]).state is State.READY
    assert readiness.all_ready([ready, ready]).state is State.READY
    assert readiness.all_ready([ready, pending]).state is State.PENDING
    assert readiness.all_ready([ready, pending, failed]).state is State.FAILED
    # One that is not visible yet must not be taken for seen because another one is.
    assert readiness.all_ready([pending, absent]).status == readiness.NOT_FOUND


def test_percent_is_read_when_there_is_one() -> None:
    assert readiness.cluster_restored(cluster("creating", PercentProgress="42")).percent == 42
    assert readiness.cluster_restored(cluster("creating", PercentProgress="")).percent is None
    assert readiness.cluster_restored(cluster("creating")).percent is None


@pytest.mark.parametrize(
    ("planned", "running", "writer", "words"),
    [
        ("16.8", "16.8", "16.8", []),
        ("16.8", "16.6", "16.8", ["the cluster c has engine version 16.6, planned is 16.8"]),
        ("16.8", "16.8", "16.6", ["the writer c-1 has engine version 16.6, planned is 16.8"]),
        ("16.8", "16.8", None, ["the writer c-1 has engine version None, planned is 16.8"]),
    ],
)
def test_the_version_is_that_of_the_cluster_and_of_its_writer(
    planned: str, running: str, writer: str | None, words: list[str]
) -> None:
    instances = {"c-1": instance(EngineVersion=writer)} if writer else {}
    assert readiness.version_problems(planned, cluster(EngineVersion=running), instances) == words


def test_a_cluster_without_a_writer_has_no_version_to_rely_on() -> None:
    shown = cluster(EngineVersion="16.8", DBClusterMembers=[member(IsClusterWriter=False)])
    assert readiness.version_problems("16.8", shown, {}) == ["the cluster c has no writer"]


def test_an_upgrade_may_not_show_at_once() -> None:
    good = readiness.Readiness(State.READY, "available", "c is available")
    early, late = readiness.UPGRADE_SHOWS_WITHIN - 1, readiness.UPGRADE_SHOWS_WITHIN
    assert readiness.upgraded(good, [], 0).state is State.READY
    assert readiness.upgraded(good, ["old"], early).state is State.PENDING
    assert readiness.upgraded(good, ["old"], late).state is State.READY, "and then the version itself is judged"
    failed = readiness.Readiness(State.FAILED, "upgrade-failed")
    assert readiness.upgraded(failed, ["old"], 0) is failed


# Event messages as they are in the Aurora User Guide, and in CloudFormation's handlers.
@pytest.mark.parametrize(
    ("message", "fails"),
    [
        ("Database cluster is in a state that cannot be upgraded: prechecks failed", True),
        ("Unable to upgrade DB cluster: extension is not supported", True),
        ("Unable to perform a major version upgrade", True),
        ("Amazon RDS can't access the KMS encryption key for database cluster c.", True),
        ("Amazon RDS isn't able to associate the IAM role arn:aws:iam::1:role/r", True),
        ("Failed to join a host to a domain", True),
        ("Cluster failover failed, check the state of your cluster instances", True),
        ("Cluster reboot failed", True),
        ("We are unable to create it: insufficient instance capacity", True),
        ("The DB engine version upgrade failed", True),
        ("You can't create the DB instance because of incompatible resources", True),
        ("The instance is in a state that cannot be upgraded", True),
        ("DB cluster created", False),
        ("Database cluster engine version upgrade started.", False),
        ("Reset master credentials", False),
        ("Completed failover to DB instance: c-1", False),
    ],
)
def test_failures_that_only_events_tell(message: str, fails: bool) -> None:
    assert readiness.silent_failures(["Binlog", message]) == ([message] if fails else [])


# --- copies of snapshots ----------------------------------------------------------------------------------------------


def a_copy(status: str, percent: object = 0) -> dict[str, object]:
    return {"DBClusterSnapshotIdentifier": "arp-orders-1", "Status": status, "PercentProgress": percent}


@pytest.mark.parametrize(
    ("status", "state", "flies"),
    [
        ("available", readiness.State.READY, False),
        ("copying", readiness.State.PENDING, True),
        ("creating", readiness.State.PENDING, True),
        ("failed", readiness.State.FAILED, False),
        ("incompatible-restore", readiness.State.FAILED, False),
        ("incompatible_parameters", readiness.State.FAILED, False),
        ("deleting", readiness.State.FAILED, False),
        ("deleted", readiness.State.FAILED, False),
    ],
)
def test_a_copy_by_its_status(status: str, state: readiness.State, flies: bool) -> None:
    judged = readiness.snapshot_copied(a_copy(status), seen=True)
    assert (judged.state, judged.unknown) == (state, False)
    assert readiness.in_flight(a_copy(status)) is flies


def test_a_copy_shows_its_progress_and_none_while_it_queues() -> None:
    assert readiness.snapshot_copied(a_copy("copying")).percent == 0
    assert readiness.snapshot_copied(a_copy("copying", 41)).percent == 41


def test_a_copy_of_an_unknown_status_is_waited_for_loudly() -> None:
    judged = readiness.snapshot_copied(a_copy("transmogrifying"))
    assert (judged.state, judged.unknown) == (readiness.State.PENDING, True)


def test_a_copy_that_is_gone() -> None:
    assert readiness.snapshot_copied(None, seen=False).state is readiness.State.PENDING
    assert readiness.snapshot_copied(None, seen=True).state is readiness.State.FAILED
    assert not readiness.in_flight(None)
