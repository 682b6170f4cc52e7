"""The master user's password: given by the caller, or kept by RDS in Secrets Manager."""

from __future__ import annotations

import json
import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError
from sandbox.rds.errors import invalid_combination, key_not_accessible
from sandbox.rds.store import MasterSecret

if TYPE_CHECKING:
    from sandbox.core import Call
    from sandbox.rds.kit import Kit
    from sandbox.rds.store import Cluster

_ALPHABET = string.ascii_letters + string.digits + "!#$%&()*+,-.:;<=>?[]^_{|}~"


def generate() -> str:
    """Return a password that both engines take."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(32))


@dataclass(frozen=True)
class SecretPlan:
    """A managed secret that the caller may have made for a cluster; made when the request is accepted."""

    key: str | None
    name: str


class ManagedPasswords:
    """The ``rds!cluster-…`` secrets."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def plan(self, call: Call, params: Mapping[str, Any]) -> SecretPlan:
        """Check that the caller may have a secret made (AUG rds-secrets-manager); not under the lock.

        Needed: secretsmanager:CreateSecret and TagResource, kms:DescribeKey, and for a customer key also CreateGrant,
        Decrypt and GenerateDataKey, the last two through Secrets Manager.
        """
        if params.get("MasterUserPassword"):
            raise invalid_combination("You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.")
        name = f"rds!cluster-{uuid.uuid4()}"
        partition = self.kit.region(call).place.partition
        arn = f"arn:{partition}:secretsmanager:{call.region}:{call.account}:secret:{name}-??????"
        key = params.get("MasterUserSecretKmsKeyId")
        if key:
            facts = self.kit.usable_key(call, key)
            via = f"secretsmanager.{call.region}.amazonaws.com"
            for action in () if facts.aws_managed else ("kms:Decrypt", "kms:GenerateDataKey"):
                try:
                    self.kit.as_caller(call, action, facts.arn, **{"kms:ViaService": via})
                except AwsError as error:
                    raise key_not_accessible(key) from error
            key = facts.arn
        for action in ("secretsmanager:CreateSecret", "secretsmanager:TagResource"):
            self.kit.as_caller(call, action, arn, **{"secretsmanager:Name": name})
        return SecretPlan(key, name)

    def create(self, cluster: Cluster, plan: SecretPlan) -> str:
        """Make the secret with a fresh password, which is returned."""
        password = generate()
        tags = {"aws:rds:primaryDBClusterArn": cluster.arn}
        place = cluster.place
        arn, key = self.kit.secrets.create(
            place.account,
            place.region,
            plan.name,
            self._value(cluster, password),
            f"Secret associated with primary RDS DB cluster: {cluster.arn}",
            plan.key,
            tags,
        )
        # "creating" until an instance exists: whoever waits for "active" before the first instance waits for ever.
        cluster.secret = MasterSecret(arn, key)
        return password

    def rotate(self, cluster: Cluster) -> str:
        """Put a fresh password into the secret; return it."""
        if cluster.secret is None:
            raise invalid_combination("The DB cluster's master user password isn't managed in AWS Secrets Manager.")
        facts = self.kit.keys.find(cluster.place.account, cluster.place.region, cluster.secret.key)
        if facts is not None and not facts.enabled:
            raise key_not_accessible(cluster.secret.key)
        password = generate()
        place = cluster.place
        self.kit.secrets.put(place.account, place.region, cluster.secret.arn, self._value(cluster, password))
        cluster.secret.status = "rotating"
        return password

    def settle(self, cluster: Cluster) -> None:
        """Let the secret become active if it can: some instance must be up."""
        if cluster.secret is not None and any(instance.status == "available" for instance in cluster.instances):
            cluster.secret.status = "active"

    def delete(self, cluster: Cluster) -> None:
        """Delete the secret, as RDS does with the cluster or when management ends."""
        if cluster.secret is not None:
            self.kit.secrets.delete(cluster.place.account, cluster.place.region, cluster.secret.arn)
            cluster.secret = None

    @staticmethod
    def _value(cluster: Cluster, password: str) -> str:
        """A managed secret holds these two members only (rotation samples: no host, no port)."""
        return json.dumps({"username": cluster.master_username, "password": password})
