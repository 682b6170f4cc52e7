"""The main job, for both engines: what comes back, who may do what with it, and what is written down about it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sandbox import samples
from tests.workflow.support import Deployment, Execution, assert_audited

USERS = [
    {"name": "shop_app", "access": "read_write", "databases": [samples.DATABASE]},
    {"name": "shop_reports", "access": "read_only", "databases": [samples.DATABASE]},
]
CHECKS = [
    {"name": "products", "database": samples.DATABASE, "sql": "SELECT COUNT(*) FROM products", "equals": 6},
    {"name": "orders", "database": samples.DATABASE, "sql": "SELECT COUNT(*) FROM orders", "at_least": 20},
]
STATES = [
    "WrapRequest", "TakeTurn", "SnapshotCheck", "PlanOnly?", "CopiesNeeded?",
    "RestoreCluster", "ObserveCluster", "ConfigureCluster", "ObserveConfiguration",
    "CreateWriter", "ObserveWriter", "UpgradeNeeded?", "CreateReaders", "ObserveReaders", "Completion?",
    "CheckSettings", "DatabasePhase?", "SetupDbUsers",
    "VerifyRestore", "Cleanup", "NotifySuccess", "RestoreSucceeded",
]  # fmt: skip


def succeeded(execution: Execution) -> dict[str, Any]:
    """The record of a restore that must have gone well."""
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert execution.record is not None
    assert execution.record["status"] == "SUCCEEDED"
    assert not execution.record.get("warnings")
    assert_audited(execution)
    return execution.record


def request_for(source: samples.Source, target: str, **more: Any) -> dict[str, Any]:
    """A request for the source's snapshot by name."""
    return {"snapshot_identifier": f"{source.cluster_id}-snapshot", "target_cluster_id": target, **more}


def test_rows_from_before_the_snapshot_are_back_and_later_ones_are_not(
    deployment: Deployment, source: samples.Source, target: str
) -> None:
    execution = deployment.run(
        request_for(source, target, users=USERS, checks=CHECKS, readers=1, tags={"Team": "shop"})
    )

    record = succeeded(execution)
    reports = deployment.login(target, "shop_reports", source.engine)
    assert [int(str(v)) for v in reports.execute("SELECT COUNT(*), MAX(id) FROM orders")[0]] == [20, 20]
    assert reports.execute("SELECT name FROM products WHERE id = 5") == [("Harbour Blend",)]
    reports.close()
    original = source.connect(deployment.sandbox.ca_pem)
    assert int(str(original.execute("SELECT COUNT(*) FROM orders")[0][0])) == 21
    original.close()

    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["EngineVersion"] == samples.ENGINE_VERSIONS[source.engine]
    assert cluster["StorageEncrypted"]
    assert len(cluster["DBClusterMembers"]) == 2
    assert [m["IsClusterWriter"] for m in cluster["DBClusterMembers"]].count(True) == 1
    assert cluster["MasterUserSecret"]["SecretStatus"] == "active"
    tags = {t["Key"]: t["Value"] for t in cluster["TagList"]}
    assert tags["aurora-restore:operation-id"] == execution.operation_id
    assert tags["aurora-restore:managed-by"]
    assert tags["Team"] == "shop"

    visited = [s for s in execution.states if not s.startswith(("Decide", "Wait")) or s == "WrapRequest"]
    assert list(dict.fromkeys(visited)) == STATES
    assert {r["kind"] for r in record["resources"]} >= {"db-cluster", "db-instance"}
    assert len(execution.messages) == 1
    assert "SUCCEEDED" in execution.messages[0]["message"]


def test_the_output_is_what_a_caller_needs(deployment: Deployment, mysql_source: samples.Source, target: str) -> None:
    execution = deployment.run(request_for(mysql_source, target, users=USERS[:1], checks=CHECKS, requested_by="me"))

    record = succeeded(execution)
    output, cluster = execution.output, deployment.cluster(target)
    assert cluster is not None
    secret_arn = _secret_arn(deployment, target)
    told = {name: output[name] for name in ("operation_id", "status", "target_cluster_id", "warnings", "execution_arn")}
    assert told == {
        "operation_id": execution.operation_id,
        "status": "SUCCEEDED",
        "target_cluster_id": target,
        "warnings": [],
        "execution_arn": execution.arn,
    }
    described = {
        "arn": cluster["DBClusterArn"],
        "endpoint": cluster["Endpoint"],
        "reader_endpoint": cluster["ReaderEndpoint"],
        "port": cluster["Port"],
        "engine_version": cluster["EngineVersion"],
        "master_secret_arn": cluster["MasterUserSecret"]["SecretArn"],
    }
    assert {name: output["cluster"][name] for name in described} == described
    assert [(user["name"], user["secret_arn"]) for user in output["users"]] == [("shop_app", secret_arn)]
    assert [(check["name"], check["actual"], check["passed"]) for check in output["checks"]] == [
        ("products", "6", True),
        ("orders", "20", True),
    ]
    assert (output["started_at"], output["finished_at"]) == (record["started_at"], record["finished_at"])
    assert deployment.secret(target, "shop_app")["password"] not in json.dumps(output)
    assert not {"request", "defaults_json", "wait", "turn"} & output.keys()


def test_users_can_do_exactly_what_was_granted(deployment: Deployment, source: samples.Source, target: str) -> None:
    succeeded(deployment.run(request_for(source, target, users=USERS)))

    app = deployment.login(target, "shop_app", source.engine)
    app.execute("INSERT INTO orders VALUES (21, 2, 1, 1, '2026-11-23')")
    app.execute("UPDATE orders SET quantity = 2 WHERE id = 21")
    app.execute("DELETE FROM orders WHERE id = 21")
    for forbidden in ("DROP TABLE orders", "CREATE TABLE mine (id INTEGER)", "CREATE USER someone"):
        with pytest.raises(Exception, match=r"(?i)denied|permission|must be owner|privilege"):
            app.execute(forbidden)
    app.close()
    reports = deployment.login(target, "shop_reports", source.engine)
    assert reports.execute("SELECT 1 FROM customers WHERE id = 1")
    for forbidden in (
        "INSERT INTO products VALUES (9, 'x', 'y', 1)",
        "UPDATE orders SET quantity = 0",
        "DELETE FROM orders",
    ):
        with pytest.raises(Exception, match=r"(?i)denied|permission"):
            reports.execute(forbidden)
    reports.close()
    secret = deployment.secret(target, "shop_app")
    assert set(secret) >= {"engine", "host", "port", "username", "password", "dbname", "dbClusterIdentifier"}
    with pytest.raises(Exception, match=r"(?i)denied|no encryption"):
        _connect_without_tls(source.engine, secret)


def _connect_without_tls(engine: str, secret: dict[str, Any]) -> None:
    if engine == "aurora-mysql":
        import pymysql

        pymysql.connect(
            host=secret["host"], port=secret["port"], user=secret["username"], password=secret["password"],
            ssl_disabled=True,
        )  # fmt: skip
    else:
        import pg8000.dbapi

        pg8000.dbapi.connect(
            user=secret["username"], password=secret["password"], host=secret["host"], port=secret["port"],
            database=samples.DATABASE, ssl_context=False,
        )  # fmt: skip


def test_from_inside_the_vpc_three_services_are_called(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    """What the subnets of the database functions need a route to; KMS is called by these services, not by functions."""
    before = deployment.sandbox.recorder.recorded
    succeeded(deployment.run(request_for(mysql_source, target, users=USERS, checks=CHECKS)))
    for step in ("setup_db_users", "verify_restore"):
        role = deployment.outputs["role_arns"][step].rpartition("/")[2]
        calls = deployment.sandbox.recorder.calls(principal=role, since=before)
        assert {call.service for call in calls} == {"rds", "dynamodb", "secretsmanager"}, step


def test_by_cluster_and_utc_date_the_newest_available_snapshot_is_taken(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    rds = deployment.client("rds")
    newest = samples.take_snapshot(rds, mysql_source.cluster_id, f"{mysql_source.cluster_id}-later")
    created = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=newest)["DBClusterSnapshots"][0]
    day = created["SnapshotCreateTime"].strftime("%Y-%m-%d")

    execution = deployment.run(
        {"source_cluster_id": mysql_source.cluster_id, "snapshot_date": day, "target_cluster_id": target}
    )

    assert succeeded(execution)["plan"]["snapshot_arn"] == newest
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{mysql_source.cluster_id}-later")


def test_an_automated_snapshot_is_restored_by_its_name(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    name = deployment.sandbox.take_automated_snapshot(mysql_source.cluster_id).split(":cluster-snapshot:")[1]
    deployment.sandbox.clock.advance(600)
    execution = deployment.run({"snapshot_identifier": name, "target_cluster_id": target})
    assert succeeded(execution)["plan"]["snapshot_identifier"] == name


def test_serverless_cluster(deployment: Deployment, mysql_source: samples.Source, target: str) -> None:
    scaling = {"min_capacity": 0.5, "max_capacity": 4}
    request = request_for(mysql_source, target, db_instance_class="db.serverless", serverless_v2_scaling=scaling)
    succeeded(deployment.run(request))
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["ServerlessV2ScalingConfiguration"]["MaxCapacity"] == 4


def test_a_nightly_refresh_keeps_the_secret_and_changes_the_password(
    deployment: Deployment, postgresql_source: samples.Source, target: str
) -> None:
    request = request_for(postgresql_source, target, users=USERS[:1])
    succeeded(deployment.run(request))
    before = deployment.secret(target, "shop_app")
    arn = _secret_arn(deployment, target)
    deployment.delete_cluster(target)
    deployment.sandbox.clock.advance(3600)
    # Somebody tidied up too eagerly: the secret is scheduled for deletion.
    deployment.client("secretsmanager").delete_secret(SecretId=arn, RecoveryWindowInDays=7)

    succeeded(deployment.run(request))

    after = deployment.secret(target, "shop_app")
    assert _secret_arn(deployment, target) == arn
    assert after["password"] != before["password"]
    deployment.login(target, "shop_app", postgresql_source.engine).close()


def _secret_arn(deployment: Deployment, target: str) -> str:
    pages = deployment.client("secretsmanager").get_paginator("list_secrets").paginate()
    return next(s["ARN"] for page in pages for s in page["SecretList"] if s["Name"].endswith(f"/{target}/shop_app"))


def test_deletion_protection_goes_on_last(deployment: Deployment, mysql_source: samples.Source, target: str) -> None:
    succeeded(deployment.run(request_for(mysql_source, target, deletion_protection=True)))
    cluster = deployment.cluster(target)
    assert cluster is not None
    assert cluster["DeletionProtection"]
    calls = [
        c
        for c in deployment.sandbox.recorder.calls()
        if c.service == "rds"
        and target in str(c.params.get("DBClusterIdentifier"))
        and "DeletionProtection" in c.params
    ]
    ours = [c for c in calls if "assumed-role" in c.principal]
    assert [c.params["DeletionProtection"] for c in ours] == [False, True]


def test_every_log_line_of_every_function_carries_the_operation_id(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    execution = deployment.run(request_for(mysql_source, target, operation_id=f"log-{target}"))
    succeeded(execution)
    seen = set()
    for function, arn in deployment.outputs["function_arns"].items():
        group = "/aws/lambda/" + re.sub(r":\d+$", "", arn).rsplit(":", 1)[1]
        for line in deployment.sandbox.logs(group):
            if f"log-{target}" not in line or not line.lstrip().startswith("{"):
                continue
            seen.add(function)
            assert json.loads(line).get("operation_id") == f"log-{target}" or "_aws" in json.loads(line)
    assert seen >= {"snapshot_check", "restore_snapshot", "configure_cluster", "create_instances", "cleanup"}


def test_the_duration_metric_is_written_with_bounded_dimensions(
    deployment: Deployment, mysql_source: samples.Source, target: str
) -> None:
    succeeded(deployment.run(request_for(mysql_source, target)))
    durations = [m for m in deployment.sandbox.metrics() if m["name"] == "AuroraRestoreDuration"]
    assert durations
    assert all(m["namespace"] == "AuroraRestore" and m["value"] > 0 for m in durations)
    assert target not in str([m["dimensions"] for m in durations])
