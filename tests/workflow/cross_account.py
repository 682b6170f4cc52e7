"""examples/cross-account in the sandbox: a pipeline in one account, the snapshots in another account and region."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import samples
from sandbox.principals import ADMIN_SECRET, admin_key
from sandbox.server import Sandbox
from sandbox.terraform import TerraformRoot
from tests.workflow.support import Deployment

ROOT = Path(__file__).resolve().parents[2]

# Accounts of these tests alone: here, what is left over is theirs.
ACCOUNT, REGION = "333344445555", "eu-west-1"
SOURCE_ACCOUNT, SOURCE_REGION = "444455556666", "eu-central-1"
EXTERNAL_ID = "6d1c7f0e-3b0a-4c55-9f0e-2a8f5b7c9d10"


@dataclass
class CrossAccount(Deployment):
    """The module and the source account's part, applied from examples/cross-account."""

    account: str = ACCOUNT
    source_account: str = SOURCE_ACCOUNT

    def client(self, service: str) -> Any:
        """A client of the deployment's account and region, as its administrator."""
        return self.sandbox.client(service, self.account, REGION)

    def source_client(self, service: str, region: str = SOURCE_REGION) -> Any:
        """A client of the source account, as its administrator."""
        return self.sandbox.client(service, self.source_account, region)

    @property
    def source_role_arn(self) -> str:
        """The role in the source account that the pipeline takes on."""
        return str(self.outputs["source_account"][self.source_account]["role_arn"])

    @property
    def share_key_arn(self) -> str:
        """The source account's key to share under, in the deployment's region."""
        return str(self.outputs["source_account"][self.source_account]["share_kms_key_arns"][REGION])


def environment(
    sandbox: Sandbox, folder: Path, account: str = ACCOUNT, source_account: str = SOURCE_ACCOUNT
) -> dict[str, str]:
    """What a person would have: a profile for each account, and no credentials in the environment."""
    credentials = configparser.ConfigParser()
    for profile, owner in {"restores": account, "production": source_account}.items():
        credentials[profile] = {"aws_access_key_id": admin_key(owner), "aws_secret_access_key": ADMIN_SECRET}
    file = folder / "credentials"
    with file.open("w") as opened:
        credentials.write(opened)
    (folder / "config").touch()
    kept = {name: value for name, value in sandbox.env(account, REGION).items() if "ACCESS_KEY" not in name}
    return {**kept, "AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(folder / "config")}


def variables(sandbox: Sandbox, network: samples.Network, source_kms_key_arns: dict[str, str]) -> dict[str, Any]:
    """What examples/cross-account needs to be applied in the sandbox."""
    return {
        "region": REGION,
        "profile": "restores",
        "source_region": SOURCE_REGION,
        "source_profile": "production",
        "external_id": EXTERNAL_ID,
        "source_kms_key_arns": source_kms_key_arns,
        "subnet_ids": network.subnet_ids[:2],
        "lambda_security_group_ids": [network.security_group_id],
        "cluster_security_group_ids": [network.security_group_id],
        "table_deletion_protection": False,
        "db_subnet_group_name": network.db_subnet_group_name,
        "extra_ca_pem": sandbox.ca_pem,
    }


def make_key(sandbox: Sandbox, account: str, region: str) -> str:
    """A customer key as an administrator makes it, with the default policy; returns its ARN."""
    return str(sandbox.client("kms", account, region).create_key()["KeyMetadata"]["Arn"])


def deploy(
    sandbox: Sandbox, folder: Path, account: str = ACCOUNT, source_account: str = SOURCE_ACCOUNT
) -> CrossAccount:
    """Apply the example; ``folder`` takes profiles, variables and state."""
    network = samples.make_network(sandbox.client("ec2", account, REGION), sandbox.client("rds", account, REGION))
    existing = {"orders": make_key(sandbox, source_account, SOURCE_REGION)}
    root = TerraformRoot(
        ROOT / "examples/cross-account",
        folder / "work",
        environment(sandbox, folder, account, source_account),
        variables(sandbox, network, existing),
    )
    return CrossAccount(sandbox, root, root.apply(), network, account=account, source_account=source_account)
