"""One sandbox with the applied module for all workflow tests: operations are told apart by their targets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import samples
from sandbox.server import Sandbox
from sandbox.terraform import TerraformRoot
from tests.workflow import cross_account as example
from tests.workflow.support import ACCOUNT, ON_CALL, REGION, Deployment
from tests.workflow.world import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        # Shorter than on AWS, so that there is less to look at: what happens, and in which order, stays the same.
        running.rds.timings.restore_base = 60
        running.rds.timings.instance_create = 60
        running.rds.timings.instance_delete = 30
        yield running


@pytest.fixture(scope="session")
def network(sandbox: Sandbox) -> samples.Network:
    return samples.make_network(sandbox.client("ec2", ACCOUNT, REGION), sandbox.client("rds", ACCOUNT, REGION))


def simple_variables(sandbox: Sandbox, network: samples.Network) -> dict[str, Any]:
    """What examples/simple needs to be applied in the sandbox."""
    return {
        "region": REGION,
        "subnet_ids": network.subnet_ids[:2],
        "lambda_security_group_ids": [network.security_group_id],
        "cluster_security_group_ids": [network.security_group_id],
        "table_deletion_protection": False,
        "db_subnet_group_name": network.db_subnet_group_name,
        "extra_ca_pem": sandbox.ca_pem,
        "passable_role_arns": [f"arn:aws:iam::{ACCOUNT}:role/database-*"],
        "on_call_email": ON_CALL,
    }


@pytest.fixture(scope="session")
def deployment(sandbox: Sandbox, network: samples.Network, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    root = TerraformRoot(
        ROOT / "examples/simple",
        tmp_path_factory.mktemp("simple"),
        sandbox.env(ACCOUNT, REGION),
        simple_variables(sandbox, network),
    )
    return Deployment(sandbox, root, root.apply(), network)


def _source(deployment: Deployment, engine: samples.Engine) -> samples.Source:
    """A living source with a snapshot `<cluster>-snapshot`, and one more order that the snapshot cannot know."""
    rds = deployment.client("rds")
    name = f"source-{engine.removeprefix('aurora-')}"
    source = samples.make_source(rds, deployment.network, engine, name, deployment.sandbox.ca_pem)
    samples.take_snapshot(rds, name, f"{name}-snapshot")
    connection = source.connect(deployment.sandbox.ca_pem)
    connection.execute("INSERT INTO orders VALUES (21, 3, 5, 99, '2026-11-23')")
    connection.close()
    return source


@pytest.fixture(scope="session")
def mysql_source(deployment: Deployment) -> samples.Source:
    return _source(deployment, "aurora-mysql")


@pytest.fixture(scope="session")
def postgresql_source(deployment: Deployment) -> samples.Source:
    return _source(deployment, "aurora-postgresql")


@pytest.fixture(params=["aurora-mysql", "aurora-postgresql"])
def source(request: pytest.FixtureRequest) -> samples.Source:
    """Each engine's source in turn."""
    fixture = str(request.param).removeprefix("aurora-") + "_source"
    found: samples.Source = request.getfixturevalue(fixture)
    return found


@pytest.fixture(scope="session")
def cross_account(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> example.CrossAccount:
    """examples/cross-account, applied."""
    return example.deploy(sandbox, tmp_path_factory.mktemp("cross-account"))


@pytest.fixture(scope="session")
def world(sandbox: Sandbox, cross_account: example.CrossAccount) -> World:
    """Sources of every kind in both accounts and regions; the pipeline may use the keys that the example names."""
    [existing] = cross_account.root.variables["source_kms_key_arns"].values()
    keys = {
        (example.SOURCE_ACCOUNT, example.SOURCE_REGION): existing,
        (example.SOURCE_ACCOUNT, example.REGION): cross_account.share_key_arn,
    }
    return World(sandbox, keys)


@pytest.fixture
def copy_target(cross_account: example.CrossAccount) -> Iterator[str]:
    """A free name in the account of `cross_account`; what was restored under it is deleted afterwards."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    yield name
    cross_account.delete_cluster(name)


@pytest.fixture
def target(deployment: Deployment) -> Iterator[str]:
    """A free name for a restored cluster, which is deleted afterwards."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    yield name
    deployment.delete_cluster(name)


@pytest.fixture(autouse=True)
def _no_faults_left(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.faults.clear()
