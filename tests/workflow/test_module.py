"""The life of an applied module: two instances in one root, whose builder's folder is gone after every apply.

All tests share one root, as a platform team's lives for years. Each changes it, applies, and leaves it applied,
so that they do not depend on each other; only the last one ends it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import samples
from sandbox.server import Sandbox
from sandbox.terraform import TerraformError, TerraformRoot
from tests.workflow.support import REGION, Deployment, Execution, assert_audited, assert_failed

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "222233334444"  # of these tests alone: here, what is left over is theirs
SNAPSHOT = "ledger-snapshot"
# For what concerns one instance: an apply of both takes twice as long and shows no more.
ONLY = '-target=module.aurora_restore["{}"]'
MODULE_FILES = (
    "*.tf",
    "statemachine.asl.json",
    "scripts/package.py",
    "lambda_src/**/*",
    "tests/workflow/module_root/*",
)


class Instance(Deployment):
    """One instance of the module, in these tests' account."""

    def client(self, service: str) -> Any:
        return self.sandbox.client(service, ACCOUNT, REGION)

    def functions(self) -> dict[str, dict[str, Any]]:
        """The configuration of each published function that the state machine names, by step."""
        get = self.client("lambda").get_function_configuration
        return {step: get(FunctionName=arn) for step, arn in self.outputs["function_arns"].items()}

    def code(self) -> str:
        """The hash of the one zip that all functions run."""
        (found,) = {function["CodeSha256"] for function in self.functions().values()}
        return str(found)


class Platform:
    """A root module with two instances, each apply of which runs on a fresh machine: no build folder outlives it."""

    def __init__(self, sandbox: Sandbox, network: samples.Network, folder: Path) -> None:
        self.sandbox, self.network = sandbox, network
        self.module = folder / "module"
        self.builds = folder / "builds"
        files = {path for pattern in MODULE_FILES for path in ROOT.glob(pattern) if path.is_file()}
        for path in files:
            if path.name[0] != "." and "__pycache__" not in path.parts:
                target = self.module / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        self.outputs: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {
            "blue": {"name": "shop", "environment": "blue", "database": {"extra_ca_pem": sandbox.ca_pem}},
            "green": {"name": "restore-without-databases", "tables": "Green"},
        }
        variables = {
            "deployments": self.deployments,
            "vpc_config": {"subnet_ids": network.subnet_ids[:2], "security_group_ids": [network.security_group_id]},
            "db_subnet_group_name": network.db_subnet_group_name,
            "package_builder": {"python": sys.executable, "build_dir": str(self.builds)},
        }
        self.root = TerraformRoot(
            self.module / "tests/workflow/module_root", folder / "work", sandbox.env(ACCOUNT, REGION), variables
        )

    def apply(self, *arguments: str) -> None:
        """Apply; whatever became of it, the machine that ran it is gone afterwards."""
        try:
            self.outputs = self.root.apply(*arguments)["deployments"]
        finally:
            shutil.rmtree(self.builds, ignore_errors=True)

    def __getitem__(self, key: str) -> Instance:
        return Instance(self.sandbox, self.root, self.outputs[key], self.network)

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the module."""
        text = (self.module / file).read_text()
        assert text.count(old) == 1, (file, old)
        (self.module / file).write_text(text.replace(old, new))

    def restore(self, key: str, target: str, **more: Any) -> Execution:
        """Restore the snapshot with one of the instances."""
        return self[key].run({"snapshot_identifier": SNAPSHOT, "target_cluster_id": target, **more})


@pytest.fixture(scope="module")
def platform(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    network = samples.make_network(sandbox.client("ec2", ACCOUNT, REGION), sandbox.client("rds", ACCOUNT, REGION))
    applied = Platform(sandbox, network, tmp_path_factory.mktemp("platform"))
    applied.apply()
    return applied


@pytest.fixture(scope="module")
def snapshot(platform: Platform) -> str:
    """A snapshot of a MySQL cluster, which is not there any more."""
    rds = platform.sandbox.client("rds", ACCOUNT, REGION)
    samples.make_source(rds, platform.network, "aurora-mysql", "ledger", platform.sandbox.ca_pem)
    samples.take_snapshot(rds, "ledger", SNAPSHOT)
    platform["blue"].delete_cluster("ledger")
    return SNAPSHOT


@pytest.fixture
def target(platform: Platform, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a restored cluster, which is deleted afterwards."""
    name = f"t-{hashlib.sha256(request.node.name.encode()).hexdigest()[:10]}"
    yield name
    platform["blue"].delete_cluster(name)


def assert_works(instance: Instance) -> Execution:
    """The shortest way through the deployment: claim, refuse, compensate, record, notify."""
    execution = instance.run({"target_cluster_id": "never-made", "snapshot_identifier": "no-such-snapshot"})
    assert_failed(execution, "ARP-SNAP-CHECK-001")
    return execution


def test_instances_in_one_root_are_strangers_to_each_other(platform: Platform) -> None:
    blue, green = platform["blue"], platform["green"]
    assert blue.code() == green.code()
    for name in (
        "state_machine_arn",
        "state_table_name",
        "audit_table_name",
        "topic_arn",
        "kms_key_arn",
        "secret_prefix",
    ):
        assert blue.outputs[name] != green.outputs[name]
    for name in ("function_arns", "role_arns", "log_group_names"):
        assert not set(blue.outputs[name].values()) & set(green.outputs[name].values())
    assert blue.outputs["package"]["bucket"] != green.outputs["package"]["bucket"]
    assert blue.outputs["state_table_name"] == "AuroraRestoreState-blue"
    assert green.outputs["audit_table_name"] == "GreenAudit"

    in_blue = assert_works(blue)
    assert green.record(in_blue.operation_id) is None
    assert green.trail(in_blue.operation_id) == []
    assert {m["topic_arn"] for m in in_blue.messages} == {blue.outputs["topic_arn"]}
    assert_works(green)


def test_a_second_apply_changes_nothing_and_builds_nothing(platform: Platform) -> None:
    empty, printed = platform.root.plan()
    assert empty, printed
    before = platform.sandbox.recorder.recorded
    assert platform.root.apply()["deployments"] == platform.outputs
    assert not platform.builds.exists()
    reads = ("Describe", "Get", "Head", "List", "Validate")
    calls = platform.sandbox.recorder.calls(since=before)
    assert [call.action for call in calls if not call.operation.startswith(reads)] == []


def test_the_hash_that_terraform_plans_with_is_the_one_that_the_build_computes(platform: Platform) -> None:
    # The build refuses a hash that is not its own: here, what the functions run is what was uploaded under that name.
    package = platform["blue"].outputs["package"]
    assert package["key"] == f"lambda/{package['source_hash']}.zip"
    zip_ = platform.sandbox.client("s3", ACCOUNT, REGION).get_object(Bucket=package["bucket"], Key=package["key"])
    assert base64.b64encode(hashlib.sha256(zip_["Body"].read()).digest()).decode() == platform["blue"].code()


def test_a_rename_makes_new_functions_and_keeps_the_records(platform: Platform) -> None:
    before = platform["blue"]
    code, execution = before.code(), assert_works(before)
    old_names = {function["FunctionName"] for function in before.functions().values()}

    platform.deployments["blue"]["name"] = "bazaar"
    platform.apply(ONLY.format("blue"))

    blue = platform["blue"]
    assert blue.code() == code
    names = {function["FunctionName"] for function in blue.client("lambda").list_functions()["Functions"]}
    assert {function["FunctionName"] for function in blue.functions().values()} <= names
    assert not names & old_names
    assert assert_works(blue).arn.split(":")[6] == "bazaar-blue"
    assert blue.record(execution.operation_id) == execution.record


def test_architecture_changes_and_a_lost_function_comes_back(platform: Platform) -> None:
    before = platform["green"]
    code, functions = before.code(), before.functions()
    before.client("lambda").delete_function(FunctionName=functions["sns_notification"]["FunctionName"])
    platform.deployments["green"]["lambda"] = {"architecture": "x86_64"}

    platform.apply(ONLY.format("green"))

    green = platform["green"]
    assert green.code() == code
    assert set(green.functions()) == set(functions)
    assert {tuple(f["Architectures"]) for f in green.functions().values()} == {("x86_64",)}
    assert {tuple(f["Architectures"]) for f in platform["blue"].functions().values()} == {("arm64",)}
    assert_works(green)


def test_a_new_release_during_a_restore_even_when_its_build_gets_lost(
    platform: Platform, snapshot: str, target: str
) -> None:
    sandbox, old = platform.sandbox, platform["blue"]
    code = old.code()
    sandbox.rds.hold_status(target, "creating")
    running = old.start({"snapshot_identifier": snapshot, "target_cluster_id": target, "operation_id": "on-the-road"})
    deadline = time.monotonic() + 60
    while "WaitStateEntered" not in (came_by := [event["type"] for event in old.history(running)]):
        assert time.monotonic() < deadline, came_by
        time.sleep(0.02)

    # The clock stands still: applies take minutes, not the days that virtual time would make of them.
    with sandbox.clock.busy():
        module = "lambda_src/aurora_restore"
        platform.edit(
            f"{module}/__init__.py", '__version__: Final = "0.1.0"', '__version__: Final = "0.2.0"\nprint("0.2.0")'
        )
        platform.edit("main.tf", "\n  steps = {", '\n  steps = {\n    take_stock = { description = "Takes stock" }')
        platform.edit("policies.tf", "\n  step_statements = {", "\n  step_statements = {\n    take_stock = []")
        handler = "from aurora_restore import __version__\n\n\ndef handler(event, context):\n    return __version__\n"
        (platform.module / f"{module}/handlers/take_stock.py").write_text(handler)

        # The machine dies after the build and before the upload.
        address = 'module.aurora_restore["blue"].terraform_data.package'
        platform.apply(f"-target={address}")
        with pytest.raises(TerraformError) as refusal:
            platform.apply()
        said = " ".join(str(refusal.value).replace("│", " ").split())
        assert "The Lambda zip is neither in the bucket nor on this machine" in said
        assert "terraform apply -replace='ADDRESS.terraform_data.package[0]'" in said
        assert old.code() == code
        platform.apply(f"-replace={address}[0]")

    new = platform["blue"]
    assert new.code() == platform["green"].code() != code
    sandbox.rds.release_status(target)
    finished = new.wait(running, "on-the-road")
    assert finished.status == "SUCCEEDED", finished.cause
    loaded = versions(new, finished)
    assert {"verify_restore", "cleanup", "sns_notification"} <= set(loaded), "steps that ran after the apply"
    assert set(loaded.values()) == {"old"}
    assert_audited(finished)

    assert set(versions(new, assert_works(new)).values()) == {"new"}
    answer = new.client("lambda").invoke(FunctionName=new.outputs["function_arns"]["take_stock"], Payload=b"{}")
    assert json.load(answer["Payload"]) == "0.2.0"


def versions(instance: Instance, execution: Execution) -> dict[str, str]:
    """Which code the functions of an execution ran, by step: the new one prints its version when it is loaded."""
    streams: dict[tuple[str, str], list[str]] = {}
    for event in instance.sandbox.log_events(account=ACCOUNT, region=REGION):
        streams.setdefault((event["group"], event["stream"]), []).append(event["message"].strip())
    steps = {group: step for step, group in instance.outputs["log_group_names"].items()}
    return {
        steps[group]: "new" if "0.2.0" in lines else "old"
        for (group, _), lines in streams.items()
        if steps.get(group, "state_machine") != "state_machine" and execution.operation_id in "".join(lines)
    }


def test_a_prebuilt_zip_from_a_file_then_from_a_bucket(platform: Platform, tmp_path: Path) -> None:
    s3 = platform.sandbox.client("s3", ACCOUNT, REGION)
    green = platform["green"]
    own = green.outputs["package"]
    prebuilt = tmp_path / "pipeline.zip"
    prebuilt.write_bytes(s3.get_object(Bucket=own["bucket"], Key=own["key"])["Body"].read())
    with zipfile.ZipFile(prebuilt, "a") as archive:
        archive.writestr("BUILT-BY", "the air-gapped site's own pipeline\n")
    expected = base64.b64encode(hashlib.sha256(prebuilt.read_bytes()).digest()).decode()

    platform.deployments["green"]["lambda_package"] = {"filename": str(prebuilt)}
    platform.apply(ONLY.format("green"))
    assert not platform.builds.exists()
    assert platform["green"].code() == expected != green.code()
    assert_works(platform["green"])

    with zipfile.ZipFile(prebuilt, "a") as archive:
        archive.writestr("SIGNED-BY", "somebody\n")
    expected = base64.b64encode(hashlib.sha256(prebuilt.read_bytes()).digest()).decode()
    s3.create_bucket(Bucket="artefacts-of-the-site", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.upload_file(str(prebuilt), "artefacts-of-the-site", "arp/1.zip")
    prebuilt.unlink()
    platform.deployments["green"]["lambda_package"] = {"s3_bucket": "artefacts-of-the-site", "s3_key": "arp/1.zip"}
    platform.apply(ONLY.format("green"))
    assert platform["green"].code() == expected
    assert own["bucket"] not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert_works(platform["green"])
    empty, printed = platform.root.plan()
    assert empty, printed

    # The module goes on, and the zip does not: the very first call says so.
    functions = platform["green"].client("lambda")
    name = platform["green"].functions()["snapshot_check"]["FunctionName"]
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**environment, "ARP_SOURCE_HASH": "f" * 12}}
    )
    payload = {"step": "TakeTurn", "now": "2026-11-26T00:00:00.000Z", "execution": {"id": "arn", "name": "n"}}
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(payload))
    told = json.load(answer["Payload"])
    assert told["errorType"] == "ConfigurationInvalid"
    assert "Build the zip of lambda_package again" in told["errorMessage"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})


def test_without_the_database_phase_a_restore_looks_at_the_control_plane_alone(
    platform: Platform, snapshot: str, target: str
) -> None:
    green = platform["green"]
    assert "setup_db_users" not in green.functions()
    assert not any(function.get("VpcConfig", {}).get("SubnetIds") for function in green.functions().values())

    execution = platform.restore("green", target, readers=1)

    assert execution.status == "SUCCEEDED", execution.cause
    assert_audited(execution)
    assert "VerifyRestore" in execution.states
    assert "SetupDbUsers" not in execution.states
    cluster = green.cluster(target)
    assert cluster is not None
    assert len(cluster["DBClusterMembers"]) == 2
    secret = cluster["MasterUserSecret"]
    assert secret["SecretStatus"] == "active"
    assert secret["KmsKeyId"] == green.outputs["kms_key_arn"]
    value = green.client("secretsmanager").get_secret_value(SecretId=secret["SecretArn"])["SecretString"]
    login = (cluster["Endpoint"], cluster["Port"], samples.MASTER_USERNAME, json.loads(value)["password"])
    samples.connect("aurora-mysql", *login, platform.sandbox.ca_pem, samples.DATABASE).close()


@pytest.mark.parametrize(
    "asked",
    [
        {"users": [{"name": "app", "access": "read_only", "databases": ["roastery"]}]},
        {"checks": [{"name": "orders", "database": "roastery", "sql": "SELECT 1", "equals": 1}]},
    ],
)
def test_without_the_database_phase_users_and_checks_are_refused(
    platform: Platform, snapshot: str, target: str, asked: dict[str, Any]
) -> None:
    execution = platform.restore("green", target, **asked)
    assert_failed(execution, "ARP-GENERAL-013")
    assert "database = null" in str(execution.cause)
    assert platform["green"].cluster(target) is None


def test_destroy_leaves_nothing(platform: Platform) -> None:
    """The last of this file: it ends the root's life."""
    client = platform["blue"].client
    keys = {platform[key].outputs["kms_key_arn"] for key in platform.deployments}
    buckets = {platform[key].outputs["package"]["bucket"] for key in platform.deployments} - {"artefacts-of-the-site"}
    assert client("lambda").list_functions()["Functions"]

    platform.root.destroy()

    assert client("lambda").list_functions()["Functions"] == []
    assert client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert client("dynamodb").list_tables()["TableNames"] == []
    assert client("logs").describe_log_groups()["logGroups"] == []
    assert client("sns").list_topics()["Topics"] == []
    assert client("iam").list_roles()["Roles"] == []
    assert not buckets & {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]}
    assert {client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] for key in keys} == {"PendingDeletion"}
    aliases = {alias["AliasName"] for alias in client("kms").list_aliases()["Aliases"]}
    assert {alias for alias in aliases if not alias.startswith("alias/aws/")} == set()
