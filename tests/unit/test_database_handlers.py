"""SetupDbUsers and VerifyRestore as Lambda calls them: real servers, moto's tables and secrets, a described cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from aurora_restore import runtime
from aurora_restore.database.connection import LoginError
from aurora_restore.errors import (
    MasterCredentialsUnavailable,
    ResourceVanished,
    RestoreError,
    Throttled,
    TransientDatabaseError,
    UserCreationFailed,
    UserLoginFailed,
    UserSecretFailed,
    VersionMismatch,
)
from aurora_restore.handlers import setup_db_users, verify_restore
from aurora_restore.model import Plan, PlannedInstance, Record, Request, Resource, ResourceState, iso
from aurora_restore.settings import Settings
from aurora_restore.state import StateStore
from tests.unit.core_support import ACCOUNT, EXECUTION_ARN, KEY_ARN, NOW, REGION, FakeRds, refused, settings
from tests.unit.database_servers import MASTER_PASSWORD, Server, mariadb, postgresql

KINDS = {"aurora-mysql": mariadb, "aurora-postgresql": postgresql}
TARGET = "orders-staging"
VERSION = "16.6"
APP = {"name": "app", "access": "read_write", "databases": ["shop", "stock"]}
READER = {"name": "reader", "access": "read_only", "databases": ["shop"]}
COUNT = {"name": "orders", "database": "shop", "sql": "SELECT COUNT(*) FROM orders", "equals": 1}


@pytest.fixture(scope="module", params=sorted(KINDS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with KINDS[request.param]() as running:
        with running.connector.session(running.master.to("shop")) as session:
            session.execute("CREATE TABLE orders (id int)")
            session.execute("INSERT INTO orders VALUES (1)")
        yield running


@dataclass
class World:
    """An operation whose cluster is there, and the functions that act on it."""

    server: Server
    settings: Settings
    rds: FakeRds
    secrets: Any
    store: StateStore
    operation_id: str = "op-1"

    def start(self, operation_id: str = "op-1", **request: Any) -> World:
        """A record as it stands when the readers are ready."""
        self.operation_id = operation_id
        wanted = Request.from_mapping(
            {
                "operation_id": operation_id,
                "target_cluster_id": TARGET,
                "target_region": REGION,
                "source_region": REGION,
                "db_instance_class": "db.r8g.large",
                "db_subnet_group_name": "databases",
                "tags": {"team": "shop"},
                **request,
            }
        )
        plan = Plan(
            engine=self.server.engine,
            engine_version=VERSION,
            snapshot_arn="arn:aws:rds:eu-west-1:111122223333:cluster-snapshot:orders",
            snapshot_identifier="orders",
            snapshot_created_at=iso(NOW),
            snapshot_engine_version=VERSION,
            snapshot_size_gib=1,
            source_cluster_id="orders",
            master_username=self.server.master.username,
            target_account=ACCOUNT,
            target_region=REGION,
            target_cluster_id=TARGET,
            storage_type="aurora",
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            database_phase=self.settings.database_enabled,
            instances=(PlannedInstance(f"{TARGET}-1", "writer", "db.r8g.large", 0),),
        )
        cluster = Resource(
            "db-cluster", TARGET, REGION, ACCOUNT, operation_id, ResourceState.CREATED, resource_id="cluster-RIGHT"
        )
        record = Record(
            operation_id, EXECUTION_ARN, iso(NOW), request=wanted, plan=plan, resources=(cluster,), deployment="restore"
        )
        self.store.claim(record, at=NOW, step="SnapshotCheck", event="accepted", details={})
        return self

    def call(self, handler: runtime.Handler, name: str) -> dict[str, Any]:
        event = {
            "operation_id": self.operation_id,
            "execution_arn": EXECUTION_ARN,
            "now": "2026-11-23T09:10:00Z",
            "step": name,
        }
        context = SimpleNamespace(
            function_name="f", memory_limit_in_mb=256, invoked_function_arn="arn", aws_request_id="request"
        )
        return handler(event, context)

    def set_up(self) -> dict[str, Any]:
        return self.call(setup_db_users.handler, "SetupDbUsers")

    def verify(self) -> dict[str, Any]:
        return self.call(verify_restore.handler, "VerifyRestore")

    @property
    def record(self) -> Record:
        return self.store.load(self.operation_id, EXECUTION_ARN)

    def secret(self, user: str) -> dict[str, Any]:
        name = f"aurora-restore/restore/{TARGET}/{user}"
        # AWS answers with AWSCURRENT by default; moto with the version that was first written as such.
        text = self.secrets.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["SecretString"]
        document: dict[str, Any] = json.loads(text)
        return document

    def log_in(self, user: str, password: str, database: str = "shop") -> None:
        with self.server.connector.session(self.server.login(user, password, database)) as session:
            session.query("SELECT * FROM orders" if database == "shop" else "SELECT 1")

    def everything_written(self) -> str:
        trail = self.store.trail(self.operation_id, EXECUTION_ARN)
        return json.dumps([self.record.to_mapping(), trail])


@pytest.fixture
def world(server: Server, tables: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    configured = settings(extra_ca_pem=server.ca_pem, db_connect_timeout=5)
    secrets = boto3.client("secretsmanager", region_name=REGION)
    master = secrets.create_secret(
        Name="rds!cluster-1",
        SecretString=json.dumps({"username": server.master.username, "password": MASTER_PASSWORD}),
    )
    rds = FakeRds()
    rds.clusters[TARGET] = {
        "DBClusterIdentifier": TARGET,
        "DbClusterResourceId": "cluster-RIGHT",
        "EngineVersion": VERSION,
        "Endpoint": "localhost",
        "Port": server.port,
        "MasterUserSecret": {"SecretArn": master["ARN"], "SecretStatus": "active"},
        "DBClusterMembers": [{"DBInstanceIdentifier": f"{TARGET}-1", "IsClusterWriter": True}],
    }
    rds.instances[f"{TARGET}-1"] = {
        "DBInstanceIdentifier": f"{TARGET}-1",
        "DBClusterIdentifier": TARGET,
        "EngineVersion": VERSION,
    }
    aws = SimpleNamespace(rds=rds, dynamodb=tables, secretsmanager=secrets)
    made = World(server, configured, rds, secrets, StateStore(tables, configured))
    monkeypatch.setattr(runtime, "settings", lambda: made.settings)
    monkeypatch.setattr(runtime, "sessions", lambda: aws)
    return made


# --- SetupDbUsers ---------------------------------------------------------------------------------------------------


def test_users_are_set_up_and_verified(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.start(users=[APP, READER], checks=[COUNT])
    assert world.set_up() == {"operation_id": "op-1", "step": "SetupDbUsers", "users": ["app", "reader"]}
    secret = world.secret("app")
    assert secret == {
        "engine": "mysql" if world.server.engine == "aurora-mysql" else "postgres",
        "host": "localhost",
        "port": world.server.port,
        "username": "app",
        "password": secret["password"],
        "dbname": "shop",
        "dbClusterIdentifier": TARGET,
    }
    world.log_in("app", secret["password"], "stock")
    described = world.secrets.describe_secret(SecretId=f"aurora-restore/restore/{TARGET}/app")
    assert described["KmsKeyId"] == KEY_ARN
    assert {tag["Key"]: tag["Value"] for tag in described["Tags"]} == {
        "team": "shop",
        "aurora-restore:operation-id": "op-1",
        "aurora-restore:managed-by": "restore",
    }
    kept = world.record.resource("secret", f"aurora-restore/restore/{TARGET}/app")
    assert kept is not None
    assert (kept.state, kept.arn) == (ResourceState.CREATED, described["ARN"])

    assert world.verify() == {
        "operation_id": "op-1",
        "step": "VerifyRestore",
        "engine_version": VERSION,
        "checks": 1,
        "users": 2,
    }
    report = world.record.results["verification"]
    assert report["checks"][0]["passed"] is True
    assert report["problems"] == []
    events = [event["event"] for event in world.store.trail("op-1", EXECUTION_ARN)]
    assert events == [
        "accepted",
        "step_started",
        *["secret_intended", "secret_created"] * 2,
        "users_ready",
        "step_finished",
        "step_started",
        "verified",
        "step_finished",
    ]

    written = world.everything_written() + "".join(capsys.readouterr())
    for password in (secret["password"], world.secret("reader")["password"], MASTER_PASSWORD):
        assert password not in written


def test_next_night_rotates_and_reuses_the_secret(world: World) -> None:
    world.start("night-1", users=[READER]).set_up()
    first = world.secret("reader")["password"]
    world.start("night-2", users=[READER]).set_up()
    second = world.secret("reader")["password"]
    assert first != second
    world.log_in("reader", second)
    with pytest.raises(LoginError):
        world.log_in("reader", first)
    # A secret that was there before is not the operation's to delete.
    assert world.record.resource("secret", f"aurora-restore/restore/{TARGET}/reader") is None
    world.verify()


@pytest.mark.parametrize("call", ["create_secret", "put_secret_value", "update_secret_version_stage"])
@pytest.mark.parametrize("after", [False, True])
def test_crash_at_any_write_heals_on_retry(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    world.start("night-0", users=[READER]).set_up()
    user = {"name": "reader" if call != "create_secret" else "fresh", "access": "read_only", "databases": ["shop"]}
    world.start("night-1", users=[user])
    real = getattr(world.secrets, call)

    def crash(**parameters: Any) -> None:
        if after:
            real(**parameters)
        raise refused("InternalServiceError", status=500)

    with monkeypatch.context() as broken:
        broken.setattr(world.secrets, call, crash)
        with pytest.raises(Throttled):
            world.set_up()
    world.set_up()
    name = str(user["name"])
    world.log_in(name, world.secret(name)["password"])
    versions = world.secrets.list_secret_version_ids(SecretId=f"aurora-restore/restore/{TARGET}/{name}")["Versions"]
    assert len(versions) == (1 if name == "fresh" else 2)


def test_failure_in_the_database_leaves_the_working_password_current(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("night-0", users=[READER]).set_up()
    before = world.secret("reader")
    world.start("night-1", users=[READER])

    def refuse(*_: object) -> None:
        raise UserCreationFailed("the database is in a bad mood")

    monkeypatch.setattr(setup_db_users, "ensure_user", refuse)
    with pytest.raises(UserCreationFailed):
        world.set_up()
    assert world.secret("reader") == before
    world.log_in("reader", before["password"])


def test_bad_users_are_refused_before_any_secret_is_made(world: World) -> None:
    world.start(users=[READER, {"name": "app", "access": "read_only", "databases": ["nowhere"]}])
    with pytest.raises(UserCreationFailed, match="no database nowhere"):
        world.set_up()
    assert [secret["Name"] for secret in world.secrets.list_secrets()["SecretList"]] == ["rds!cluster-1"]
    assert world.record.last_error is not None
    assert world.record.last_error.code == "ARP-DBUSER-003"


def test_foreign_secret_stops_the_step(world: World) -> None:
    world.secrets.create_secret(Name=f"aurora-restore/restore/{TARGET}/reader", SecretString="theirs")
    world.start(users=[READER])
    with pytest.raises(UserSecretFailed, match="did not make"):
        world.set_up()


def test_without_users_nothing_is_touched(world: World) -> None:
    world.start()
    assert world.set_up()["users"] == []
    assert world.rds.calls == []


def test_unusual_clusters(world: World) -> None:
    world.start(users=[READER])
    cluster = world.rds.clusters[TARGET]
    cases: list[tuple[dict[str, Any], type[RestoreError]]] = [
        ({"MasterUserSecret": None}, MasterCredentialsUnavailable),
        ({"MasterUserSecret": {"SecretArn": "arn:aws:secretsmanager:gone"}}, MasterCredentialsUnavailable),
        ({"Endpoint": None}, TransientDatabaseError),
        ({"Port": 1}, TransientDatabaseError),
        ({"DbClusterResourceId": "cluster-ANOTHER"}, ResourceVanished),
    ]
    for change, error in cases:
        world.rds.clusters[TARGET] = {**cluster, **change}
        with pytest.raises(error):
            world.set_up()
    del world.rds.clusters[TARGET]
    with pytest.raises(ResourceVanished):
        world.set_up()


def test_wrong_master_password_is_told_without_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    arn = world.rds.clusters[TARGET]["MasterUserSecret"]["SecretArn"]
    document = json.dumps({"username": world.server.master.username, "password": "Outdated.1"})
    world.secrets.put_secret_value(SecretId=arn, SecretString=document)
    world.start(users=[READER])
    with pytest.raises(MasterCredentialsUnavailable):
        world.set_up()
    assert "Outdated.1" not in world.everything_written() + "".join(capsys.readouterr())


# --- VerifyRestore --------------------------------------------------------------------------------------------------


def test_everything_that_is_wrong_is_reported_together(world: World) -> None:
    world.start(users=[READER], checks=[{**COUNT, "equals": 7}, {**COUNT, "name": "broken", "sql": "SELECT nothing"}])
    world.set_up()
    world.rds.clusters[TARGET]["EngineVersion"] = "16.4"
    secret = {**world.secret("reader"), "password": "Changed-meanwhile.1"}
    world.secrets.put_secret_value(SecretId=f"aurora-restore/restore/{TARGET}/reader", SecretString=json.dumps(secret))
    with pytest.raises(VersionMismatch) as caught:
        world.verify()
    assert "4 things" in caught.value.cause
    codes = [problem["code"] for problem in caught.value.details["problems"]]
    assert codes == ["ARP-VERIFY-002", "ARP-VERIFY-004", "ARP-VERIFY-001", "ARP-VERIFY-003"]
    report = world.record.results["verification"]
    assert len(report["problems"]) == 4
    assert [check["passed"] for check in report["checks"]] == [False, False]
    assert "verification_failed" in [event["event"] for event in world.store.trail("op-1", EXECUTION_ARN)]
    assert "Changed-meanwhile" not in world.everything_written()


def test_missing_user_secret_is_a_problem(world: World) -> None:
    world.start(users=[READER])
    with pytest.raises(UserSecretFailed, match="cannot be read"):
        world.verify()


def test_user_that_was_never_set_up_cannot_log_in(world: World) -> None:
    world.start(users=[{"name": "ghost", "access": "read_only", "databases": ["shop"]}])
    world.secrets.create_secret(
        Name=f"aurora-restore/restore/{TARGET}/ghost", SecretString='{"username": "ghost", "password": "Boo.1"}'
    )
    with pytest.raises(UserLoginFailed, match="ghost"):
        world.verify()


def test_without_the_database_phase_only_rds_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.settings = replace(world.settings, database_enabled=False)
    world.start()

    def never(*_: object) -> None:
        raise AssertionError("the database must not be touched")

    monkeypatch.setattr(verify_restore, "open_access", never)
    assert world.verify()["engine_version"] == VERSION
    world.rds.instances[f"{TARGET}-1"]["EngineVersion"] = "16.4"
    with pytest.raises(VersionMismatch, match=r"the writer orders-staging-1 has engine version 16\.4"):
        world.verify()
