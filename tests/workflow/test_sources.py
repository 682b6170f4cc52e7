"""Points in time and clones, and which engine version a cluster gets, on real servers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox import samples
from tests.workflow.support import Deployment, Execution, assert_audited, assert_failed
from tests.workflow.world import World

MARKS = [{"name": "marks_reader", "access": "read_only", "databases": [samples.DATABASE]}]
MYSQL_2, MYSQL_3 = "5.7.mysql_aurora.2.12.5", "8.0.mysql_aurora.3.08.2"


def succeeded(execution: Execution) -> dict[str, Any]:
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.record is not None
    assert execution.record["status"] == "SUCCEEDED"
    assert_audited(execution)
    return execution.record


def planned(deployment: Deployment, request: dict[str, Any]) -> dict[str, Any]:
    """What mode "plan" puts out; nothing may have been made."""
    execution = deployment.run({**request, "mode": "plan"})
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert deployment.cluster(request["target_cluster_id"]) is None
    described = deployment.client("stepfunctions").describe_execution(executionArn=execution.arn)
    return dict(json.loads(described["output"]))


def refused(deployment: Deployment, request: dict[str, Any], code: str) -> str:
    """The cause of a refusal, which comes in both modes before anything is made."""
    for mode in ("plan", "restore"):
        execution = deployment.run({**request, "mode": mode})
        assert_failed(execution, code)
        assert deployment.cluster(request["target_cluster_id"]) is None
    assert execution.record is not None
    return str(execution.record["error"]["cause"])


def calls(deployment: Deployment, operation: str, target: str) -> list[dict[str, Any]]:
    found = deployment.sandbox.recorder.calls(operation=operation)
    return [dict(call.params) for call in found if call.params.get("DBClusterIdentifier") == target]


def utc(moment: datetime) -> str:
    return moment.isoformat()


# --- points in time and clones, on real servers -----------------------------------------------------------------------


class Marked:
    """A living cluster in which a row was written at each of three seconds."""

    def __init__(self, deployment: Deployment, engine: samples.Engine) -> None:
        self.deployment = deployment
        self.name = f"marked-{uuid.uuid4().hex[:8]}"
        self.source = samples.make_source(
            deployment.client("rds"), deployment.network, engine, self.name, deployment.sandbox.ca_pem
        )
        clock = deployment.sandbox.clock
        connection = self.source.connect(deployment.sandbox.ca_pem)
        connection.execute("CREATE TABLE marks (id INT PRIMARY KEY)")
        self.times: list[datetime] = []
        for number in range(3):
            clock.advance(10)
            connection.execute(f"INSERT INTO marks VALUES ({number})")
            self.times.append(clock.now())
            clock.advance(10)
        clock.advance(900)
        connection.execute("DELETE FROM marks")
        connection.close()
        clock.advance(30)

    @property
    def described(self) -> dict[str, Any]:
        found = self.deployment.cluster(self.name)
        assert found is not None
        return found

    def restored(self, target: str, **request: Any) -> tuple[list[int], dict[str, Any], Execution]:
        """The marks that came back, the cluster, and the execution."""
        execution = self.deployment.run({"target_cluster_id": target, "users": MARKS, **request})
        record = succeeded(execution)
        assert record["plan"]["route"] == {"copies": [], "share_snapshot": False}
        assert not {"PrepareCopies", "CopySnapshots"} & set(execution.states)
        reader = self.deployment.login(target, "marks_reader", self.source.engine)
        rows = [int(str(row[0])) for row in reader.execute("SELECT id FROM marks ORDER BY id")]
        reader.close()
        cluster = self.deployment.cluster(target)
        assert cluster is not None
        return rows, cluster, execution


@pytest.fixture(scope="module", params=["aurora-mysql", "aurora-postgresql"])
def marked(request: pytest.FixtureRequest, deployment: Deployment) -> Marked:
    return Marked(deployment, request.param)


def test_the_rows_of_the_asked_second_come_back(deployment: Deployment, marked: Marked, target: str) -> None:
    asked = {"source_cluster_id": marked.name, "restore_to_time": utc(marked.times[1] + timedelta(seconds=1))}
    report = planned(deployment, {"target_cluster_id": target, **asked})
    assert report["source"]["kind"] == "point_in_time"
    assert report["source"]["cluster_arn"] == marked.described["DBClusterArn"]
    assert any(item["name"] == "volume while it is being created" for item in report["costs"])

    rows, cluster, execution = marked.restored(target, **asked, tags={"Team": "shop"})
    assert rows == [0, 1]
    assert cluster["EngineVersion"] == marked.described["EngineVersion"]
    assert cluster["Port"] == marked.described["Port"]
    assert {tag["Key"] for tag in cluster["TagList"]} >= {"aurora-restore:operation-id", "Team"}
    [call] = calls(deployment, "RestoreDBClusterToPointInTime", target)
    assert call["RestoreType"] == "full-copy"
    assert call["VpcSecurityGroupIds"] == [deployment.network.security_group_id]
    assert f"at {execution.record['plan']['source_cluster']['restore_to']}" in execution.messages[0]["message"]


def test_the_latest_time_is_before_what_has_just_been_done(deployment: Deployment, marked: Marked, target: str) -> None:
    asked = {"source_cluster_id": marked.name, "restore_to_time": "latest"}
    connection = marked.source.connect(deployment.sandbox.ca_pem)
    connection.execute("INSERT INTO marks VALUES (77)")
    deployment.sandbox.clock.advance(600)
    connection.execute("INSERT INTO marks VALUES (78)")
    rows, _, _ = marked.restored(target, **asked)
    connection.execute("DELETE FROM marks")
    connection.close()
    assert 77 in rows
    assert 78 not in rows


def test_a_clone_has_the_rows_of_now_and_the_class_of_its_source(
    deployment: Deployment, marked: Marked, target: str
) -> None:
    connection = marked.source.connect(deployment.sandbox.ca_pem)
    connection.execute("INSERT INTO marks VALUES (99)")
    asked = {"source_cluster_id": marked.described["DBClusterArn"], "clone": True, "db_instance_class": None}
    assert planned(deployment, {"target_cluster_id": target, **asked})["source"]["kind"] == "clone"
    rows, cluster, execution = marked.restored(target, **asked)
    assert 99 in rows
    assert cluster["CloneGroupId"] == marked.described["CloneGroupId"]
    assert execution.record is not None
    assert execution.record["request"]["db_instance_class"] == "db.r6g.large"
    connection.execute("DELETE FROM marks")
    connection.close()


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_time_outside_of_the_window_is_refused(
    deployment: Deployment, marked: Marked, target: str, side: str
) -> None:
    earliest = marked.described["EarliestRestorableTime"]
    # The latest that can be restored is some minutes ago, and moves.
    outside = {
        "before": earliest - timedelta(seconds=1),
        "after": deployment.sandbox.clock.now() - timedelta(seconds=1),
    }[side]
    asked = {"source_cluster_id": marked.name, "target_cluster_id": target, "restore_to_time": utc(outside)}
    cause = refused(deployment, asked, "ARP-SNAP-CHECK-012")
    assert earliest.isoformat(timespec="seconds").removesuffix("+00:00") in cause, "the window is told"


def test_what_is_no_source_is_refused(deployment: Deployment, marked: Marked, target: str) -> None:
    named = {"source_cluster_id": marked.name, "target_cluster_id": target}
    for more, code in (
        ({"restore_to_time": "latest", "source_region": "us-east-1"}, "ARP-GENERAL-013"),
        ({"restore_to_time": "latest", "source_account_id": "999988887777"}, "ARP-GENERAL-013"),
        ({"clone": True, "source_cluster_id": "nowhere"}, "ARP-SNAP-CHECK-011"),
        ({"restore_to_time": "latest", "source_cluster_resource_id": "cluster-NOWHERE"}, "ARP-SNAP-CHECK-011"),
        ({"restore_to_time": "latest", "engine_version": "1.1"}, "ARP-RESTORE-010"),
    ):
        refused(deployment, {**named, **more}, code)
    both = deployment.run({**named, "restore_to_time": "latest", "snapshot_identifier": "orders"})
    assert_failed(both, "ARP-GENERAL-013")


def test_a_deleted_cluster_with_retained_backups_comes_back(
    deployment: Deployment, marked: Marked, target: str
) -> None:
    """The last test of the cluster."""
    resource, port = marked.described["DbClusterResourceId"], marked.described["Port"]
    rds = deployment.client("rds")
    rds.delete_db_instance(DBInstanceIdentifier=f"{marked.name}-1", SkipFinalSnapshot=True)
    rds.delete_db_cluster(DBClusterIdentifier=marked.name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    deployment.sandbox.clock.advance(3600)

    moment = utc(marked.times[2] + timedelta(seconds=1))
    by_name = {"source_cluster_id": marked.name, "target_cluster_id": target, "restore_to_time": moment}
    assert resource in refused(deployment, by_name, "ARP-SNAP-CHECK-011"), "the one that is retained is told"
    asked = {"source_cluster_resource_id": resource, "restore_to_time": moment}
    cause = refused(deployment, {"target_cluster_id": target, **asked, "db_instance_class": None}, "ARP-GENERAL-001")
    assert "no writer" in cause
    assert planned(deployment, {"target_cluster_id": target, **asked})["source"]["deleted"]
    rows, cluster, _ = marked.restored(target, **asked)
    assert rows == [0, 1, 2]
    assert cluster["Port"] == port


def test_a_clone_of_another_accounts_cluster(cross_account: Deployment, world: World, copy_target: str) -> None:
    account, region = "444455556666", "eu-west-1"
    source = world.cluster(account, region, "customer")
    rds = world.client("rds", account, region)
    asked = {
        "source_cluster_id": source, "source_account_id": account, "clone": True, "target_cluster_id": copy_target,
        "db_instance_class": "db.r6g.large",
    }  # fmt: skip
    execution = cross_account.run(asked)
    assert_failed(execution, "ARP-SNAP-CHECK-011")
    assert "RAM" in str(execution.cause)

    rds.create_db_instance(
        DBInstanceIdentifier=f"{source}-1", DBClusterIdentifier=source, Engine="aurora-mysql",
        DBInstanceClass="db.r6g.large",
    )  # fmt: skip
    samples.wait_until_available(rds, source)
    cross_account.sandbox.rds.share_cluster(f"arn:aws:rds:{region}:{account}:cluster:{source}", _account(cross_account))
    succeeded(cross_account.run(asked))
    clone = cross_account.cluster(copy_target)
    assert clone is not None
    assert clone["CrossAccountClone"]
    assert clone["KmsKeyId"].split(":")[4] == _account(cross_account)
    again = cross_account.run({**asked, "target_cluster_id": f"{copy_target}-2"})
    assert_failed(again, "ARP-SNAP-CHECK-013")
    assert "has a clone of it already" in str(again.cause)


def _account(deployment: Deployment) -> str:
    return str(deployment.client("sts").get_caller_identity()["Account"])


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_snapshot(deployment: Deployment) -> Iterator[Any]:
    """Makes snapshots of clusters of other versions than the samples'; each cluster has had a writer."""
    made: list[str] = []

    def make(engine: str, version: str, **parameters: Any) -> str:
        rds = deployment.client("rds")
        name = f"old-{uuid.uuid4().hex[:8]}"
        made.append(name)
        rds.create_db_cluster(
            DBClusterIdentifier=name, Engine=engine, EngineVersion=version, MasterUsername=samples.MASTER_USERNAME,
            MasterUserPassword=uuid.uuid4().hex, DBSubnetGroupName=deployment.network.db_subnet_group_name,
            StorageEncrypted=True, **parameters,
        )  # fmt: skip
        samples.wait_until_available(rds, name)
        samples.take_snapshot(rds, name, f"{name}-snapshot")
        return f"{name}-snapshot"

    yield make
    for name in made:
        deployment.delete_cluster(name)


def versions(deployment: Deployment, target: str) -> set[str]:
    """Of the cluster and its instances."""
    cluster = deployment.cluster(target)
    assert cluster is not None
    wanted = [{"Name": "db-cluster-id", "Values": [target]}]
    instances = deployment.client("rds").describe_db_instances(Filters=wanted)["DBInstances"]
    assert instances
    return {cluster["EngineVersion"], *(instance["EngineVersion"] for instance in instances)}


def test_a_version_that_is_not_offered_any_more_is_restored_as_the_next_one(
    deployment: Deployment, old_snapshot: Any, target: str
) -> None:
    asked = {"snapshot_identifier": old_snapshot("aurora-postgresql", "16.8"), "target_cluster_id": target}
    deployment.sandbox.rds.retire_version("aurora-postgresql", "16.8")
    report = planned(deployment, asked)
    assert report["engine_version"] == "16.9"
    assert any("does not offer" in warning and "16.9" in warning for warning in report["warnings"])
    execution = deployment.run(asked)
    succeeded(execution)
    assert versions(deployment, target) == {"16.9"}
    assert any("16.9" in warning for warning in (execution.record or {})["warnings"])
    assert "UpgradeEngine" not in execution.states


def test_a_newer_minor_version(deployment: Deployment, old_snapshot: Any, target: str) -> None:
    snapshot = old_snapshot("aurora-mysql", "8.0.mysql_aurora.3.04.1")
    succeeded(deployment.run({"snapshot_identifier": snapshot, "target_cluster_id": target, "engine_version": MYSQL_3}))
    assert versions(deployment, target) == {MYSQL_3}


def test_an_older_version_is_refused(deployment: Deployment, postgresql_source: samples.Source, target: str) -> None:
    asked = {"snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target}
    for older in ("15.8", "14.18"):
        cause = refused(
            deployment, {**asked, "engine_version": older, "allow_major_version_upgrade": True}, "ARP-RESTORE-010"
        )
        assert "never at an older one" in cause


def test_a_major_version_is_refused_unless_allowed(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    asked = {
        "snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target,
        "engine_version": "16.11",
    }  # fmt: skip
    assert "16.11" in refused(deployment, asked, "ARP-RESTORE-012")


def test_postgresql_goes_to_another_major_version_in_place(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    rds = deployment.client("rds")
    groups = {"db_cluster_parameter_group_name": f"{target}-c", "db_parameter_group_name": f"{target}-i"}
    family = {"DBParameterGroupFamily": "aurora-postgresql16", "Description": "orders"}
    rds.create_db_cluster_parameter_group(DBClusterParameterGroupName=f"{target}-c", **family)
    rds.create_db_parameter_group(DBParameterGroupName=f"{target}-i", **family)
    asked = {
        "snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target, "readers": 1,
        "engine_version": "16.11", "allow_major_version_upgrade": True, **groups,
    }  # fmt: skip
    report = planned(deployment, asked)
    steps = [step["name"] for step in report["steps"]]
    assert steps.index("CreateWriter") < steps.index("UpgradeEngine") < steps.index("CreateReaders")
    execution = deployment.run(asked)
    succeeded(execution)
    assert "UpgradeEngine" in execution.states
    assert versions(deployment, target) == {"16.11"}
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["DBClusterParameterGroup"] == f"{target}-c"
    wanted = [{"Name": "db-cluster-id", "Values": [target]}]
    for instance in rds.describe_db_instances(Filters=wanted)["DBInstances"]:
        assert [group["DBParameterGroupName"] for group in instance["DBParameterGroups"]] == [f"{target}-i"]
    [restore] = calls(deployment, "RestoreDBClusterFromSnapshot", target)
    assert restore["EngineVersion"] == samples.ENGINE_VERSIONS["aurora-postgresql"]
    [upgrade] = [call for call in calls(deployment, "ModifyDBCluster", target) if "EngineVersion" in call]
    assert (upgrade["AllowMajorVersionUpgrade"], upgrade["ApplyImmediately"]) == (True, True)


def test_parameters_that_come_with_an_upgrade_in_place_are_rebooted_into_effect(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    fake, upgraded = deployment.sandbox.rds, []

    def on_event(event: Any) -> None:
        if not upgraded and (event.source, event.event_id) == (target, MAJOR_UPGRADE_DONE):
            upgraded.append(target)
            fake.need_reboot(f"{target}-1")

    fake.on_event(on_event)
    execution = deployment.run(
        {
            "snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target,
            "engine_version": "16.11", "allow_major_version_upgrade": True, "readers": 1,
        }
    )  # fmt: skip
    record = succeeded(execution)
    assert upgraded
    assert execution.states.index("RebootWriter") < execution.states.index("CreateReaders")
    assert execution.states.count("CreateWriter") == 1
    assert record["results"]["reboots"].keys() == {f"{target}-1"}
    assert versions(deployment, target) == {"16.11"}


def test_mysql_2_becomes_3_with_its_writer(deployment: Deployment, old_snapshot: Any, target: str) -> None:
    asked = {
        "snapshot_identifier": old_snapshot("aurora-mysql", MYSQL_2), "target_cluster_id": target,
        "engine_version": MYSQL_3, "allow_major_version_upgrade": True,
    }  # fmt: skip
    report = planned(deployment, asked)
    assert any("lower_case_table_names" in warning for warning in report["warnings"])
    execution = deployment.run(asked)
    succeeded(execution)
    assert versions(deployment, target) == {MYSQL_3}
    assert "UpgradeEngine" not in execution.states


MAJOR_UPGRADE_DONE = "RDS-EVENT-0176"
MESSAGE = "Database cluster is in a state that cannot be upgraded: prechecks failed"


def test_a_failed_major_upgrade_of_mysql_is_not_taken_for_a_restore(
    deployment: Deployment, old_snapshot: Any, target: str
) -> None:
    """The cluster ends available, at 5.7: only its version and an event tell."""
    deployment.sandbox.rds.fail_upgrade(target, MESSAGE)
    execution = deployment.run(
        {
            "snapshot_identifier": old_snapshot("aurora-mysql", MYSQL_2), "target_cluster_id": target,
            "engine_version": MYSQL_3, "allow_major_version_upgrade": True,
        }
    )  # fmt: skip
    assert_failed(execution, "ARP-VERIFY-002")
    cause = str(execution.record and execution.record["error"]["cause"])
    assert MYSQL_2 in cause
    assert MESSAGE in cause
    assert "SetupDbUsers" not in execution.states
    kept = deployment.cluster(target)
    assert kept is not None, "the writer's log tells why"
    assert kept["Status"] == "available"


def test_a_failed_major_upgrade_of_postgresql(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    deployment.sandbox.rds.fail_upgrade(target, "Unable to perform a major version upgrade")
    execution = deployment.run(
        {
            "snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target,
            "engine_version": "16.11", "allow_major_version_upgrade": True, "readers": 1,
        }
    )  # fmt: skip
    assert_failed(execution, "ARP-VERIFY-002")
    assert "Unable to perform a major version upgrade" in str(execution.cause)
    assert "CreateReaders" not in execution.states


def test_a_point_in_time_of_before_an_upgrade_has_the_version_of_then(deployment: Deployment, target: str) -> None:
    rds, clock, name = deployment.client("rds"), deployment.sandbox.clock, f"then-{uuid.uuid4().hex[:8]}"
    samples.make_source(rds, deployment.network, "aurora-postgresql", name, deployment.sandbox.ca_pem)
    clock.advance(60)
    before = clock.now()
    clock.advance(600)
    rds.modify_db_cluster(DBClusterIdentifier=name, EngineVersion="15.13", ApplyImmediately=True)
    clock.advance(1200)
    samples.wait_until_available(rds, name)
    assert versions(deployment, name) == {"15.13"}
    asked = {"source_cluster_id": name, "restore_to_time": utc(before), "target_cluster_id": target}
    execution = deployment.run(asked)
    record = succeeded(execution)
    assert versions(deployment, target) == {"15.10"}
    assert any("ran engine version 15.10" in warning for warning in record["warnings"])

    upgraded = f"{target}-up"
    succeeded(deployment.run({**asked, "target_cluster_id": upgraded, "engine_version": "15.13"}))
    assert versions(deployment, upgraded) == {"15.13"}
    deployment.delete_cluster(upgraded)
    deployment.delete_cluster(name)


def test_a_failure_that_no_status_shows_ends_the_restore(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    arn = deployment.start(
        {"snapshot_identifier": f"{postgresql_source.cluster_id}-snapshot", "target_cluster_id": target}
    )
    said = False
    while not said:
        try:
            deployment.sandbox.rds.emit_event(f"{target}-1", "Amazon RDS can't access the KMS encryption key for it.")
            said = True
        except KeyError:
            status = deployment.client("stepfunctions").describe_execution(executionArn=arn)["status"]
            assert status == "RUNNING"
    execution = deployment.wait(arn)
    assert_failed(execution, "ARP-RESTORE-STATUS-001")
    assert "no status shows" in str(execution.cause)
