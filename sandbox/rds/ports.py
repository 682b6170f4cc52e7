"""What RDS needs of the rest of the sandbox, as narrow interfaces, and the adapters to moto's backends."""

# ruff: noqa: D102  the protocols' methods say it by their names

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sandbox.core import Principal
    from sandbox.dataplane.model import EndpointKey


@dataclass(frozen=True)
class KeyFacts:
    """What RDS asks KMS about a key; ``enabled`` is one that it can use: symmetric, and in the state Enabled."""

    arn: str
    enabled: bool
    aws_managed: bool


@dataclass(frozen=True)
class SubnetFacts:
    """A subnet: its VPC and availability zone."""

    subnet: str
    vpc: str
    zone: str
    ipv6: bool = False


class Endpoint(Protocol):
    """Where a client connects."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...


class DataPlane(Protocol):
    """The real servers (sandbox.dataplane)."""

    @property
    def enabled(self) -> bool: ...
    def create_volume(
        self, volume_id: str, engine: Any, master_username: str, master_password: str, database: str | None
    ) -> None: ...
    def copy_volume(self, source_id: str, target_id: str) -> None: ...
    def restore_volume(self, source_id: str, target_id: str, instant: datetime) -> None: ...
    def mark(self, instant: datetime) -> None: ...
    def delete_volume(self, volume_id: str) -> None: ...
    def start(self, volume_id: str, engine_version: str) -> None: ...
    def stop(self, volume_id: str) -> None: ...
    def set_master_password(self, volume_id: str, username: str, password: str) -> None: ...
    def open_endpoint(self, key: EndpointKey, volume_id: str, port: int) -> Endpoint: ...
    def close_endpoint(self, key: EndpointKey) -> None: ...


class Authorize(Protocol):
    """Ask, as the caller (FAS), for an action of another service; raises AwsError when the caller may not."""

    def __call__(
        self, principal: Principal, action: str, resource: str, context: Mapping[str, str], region: str
    ) -> None: ...


class Keys(Protocol):
    """KMS: ``find`` takes a key's id, ARN or alias, seen from an account and region; a grant is one of RDS's own."""

    def find(self, account: str, region: str, key: str) -> KeyFacts | None: ...
    def grant(self, key_arn: str, name: str) -> str: ...
    def is_granted(self, key_arn: str, grant: str) -> bool: ...
    def retire(self, key_arn: str, grant: str) -> None: ...


class Secrets(Protocol):
    """Secrets Manager, for the secrets that RDS owns."""

    def create(
        self,
        account: str,
        region: str,
        name: str,
        value: str,
        description: str,
        key: str | None,
        tags: Mapping[str, str],
    ) -> tuple[str, str]: ...
    def put(self, account: str, region: str, arn: str, value: str) -> None: ...
    def delete(self, account: str, region: str, arn: str) -> None: ...


class Network(Protocol):
    """EC2: subnets, default VPC, security groups."""

    def subnets(self, account: str, region: str, subnet_ids: list[str]) -> list[SubnetFacts]: ...
    def default_subnets(self, account: str, region: str) -> list[SubnetFacts]: ...
    def default_security_group(self, account: str, region: str, vpc: str) -> str | None: ...
    def security_group_vpc(self, account: str, region: str, group: str) -> str | None: ...


def allow_everything(
    principal: Principal,
    action: str,
    resource: str,
    context: Mapping[str, str],
    region: str,
) -> None:
    """Stand in for the authorizer where IAM is not the subject."""


# What RDS lets itself be granted: to read and to write a volume, and to pass that on to the storage beneath.
_GRANTED = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom")


class MotoKeys:
    """KMS as moto has it."""

    def find(self, account: str, region: str, key: str) -> KeyFacts | None:
        """Look in the account and region that the ARN names, else in those given."""
        found = self._key(account, region, key)
        if found is None:
            return None
        managed = any(alias.startswith("alias/aws/") for alias in found.aliases)
        # Aurora takes no asymmetric keys (AUG-KEYS).
        enabled = found.key_state == "Enabled" and found.key_spec == "SYMMETRIC_DEFAULT"
        return KeyFacts(arn=found.arn, enabled=enabled, aws_managed=managed)

    def grant(self, key_arn: str, name: str) -> str:
        """Grant RDS the use of a key; return the grant's id."""
        from sandbox.moto_support import LOCK

        service = f"rds.{key_arn.split(':')[3]}.amazonaws.com"
        with LOCK:
            made = self._key("", "", key_arn).add_grant(name, service, [*_GRANTED, "RetireGrant"], None, service)
        return str(made.id)

    def is_granted(self, key_arn: str, grant: str) -> bool:
        """Tell whether the grant is still there."""
        found = self._key("", "", key_arn)
        return found is not None and grant in found.grants

    def retire(self, key_arn: str, grant: str) -> None:
        """End a grant; harmless when somebody else has."""
        from sandbox.moto_support import LOCK

        with LOCK:
            if (found := self._key("", "", key_arn)) is not None:
                found.retire_grant(grant)

    @staticmethod
    def _key(account: str, region: str, key: str) -> Any:
        from moto.kms.models import kms_backends

        parts = key.split(":", 5)
        if len(parts) > 5 and parts[0] == "arn":
            region, account = parts[3], parts[4]
            key = parts[5].removeprefix("key/")
        backend = kms_backends[account][region]
        key_id = backend.get_key_id_from_alias(key) if key.startswith("alias/") else key
        return backend.keys.get(key_id) if key_id else None


class MotoSecrets:
    """Secrets Manager as moto has it."""

    def create(
        self,
        account: str,
        region: str,
        name: str,
        value: str,
        description: str,
        key: str | None,
        tags: Mapping[str, str],
    ) -> tuple[str, str]:
        """Make the secret; return its ARN and the ARN of its key."""
        secret = self._backend(account, region).create_managed_secret(
            service_name="rds",
            secret_id=name,
            secret_string=value,
            description=description,
            tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            kms_key_id=key,
        )
        facts = MotoKeys().find(account, region, key or "alias/aws/secretsmanager")
        return secret.arn, facts.arn if facts else str(secret.kms_key_id)

    def put(self, account: str, region: str, arn: str, value: str) -> None:
        """Store a new current version."""
        from uuid import uuid4

        self._backend(account, region).put_secret_value(arn, value, "", str(uuid4()), ["AWSCURRENT"])

    def delete(self, account: str, region: str, arn: str) -> None:
        """Delete at once, as RDS does with its own."""
        self._backend(account, region).delete_secret(arn, None, True)

    @staticmethod
    def _backend(account: str, region: str) -> Any:
        from moto.secretsmanager.models import secretsmanager_backends

        return secretsmanager_backends[account][region]


class MotoNetwork:
    """EC2 as moto has it."""

    def subnets(self, account: str, region: str, subnet_ids: list[str]) -> list[SubnetFacts]:
        """Return those of the subnets that exist."""
        return [facts for facts in self._all(account, region) if facts.subnet in subnet_ids]

    def default_subnets(self, account: str, region: str) -> list[SubnetFacts]:
        """Return the subnets of the default VPC."""
        vpc = self._backend(account, region).get_default_vpc()
        return [facts for facts in self._all(account, region) if vpc is not None and facts.vpc == vpc.id]

    def default_security_group(self, account: str, region: str, vpc: str) -> str | None:
        """Return the VPC's default security group."""
        group = self._backend(account, region).get_default_security_group(vpc)
        return None if group is None else str(group.id)

    def security_group_vpc(self, account: str, region: str, group: str) -> str | None:
        """Return the VPC of a security group, None when there is no such group."""
        found = self._backend(account, region).get_security_group_from_id(group)
        return None if found is None else str(found.vpc_id)

    def _all(self, account: str, region: str) -> list[SubnetFacts]:
        return [
            SubnetFacts(
                subnet=subnet.id,
                vpc=subnet.vpc_id,
                zone=subnet.availability_zone,
                ipv6=bool(subnet.ipv6_cidr_block_associations),
            )
            for subnet in self._backend(account, region).describe_subnets()
        ]

    @staticmethod
    def _backend(account: str, region: str) -> Any:
        from moto.ec2.models import ec2_backends

        return ec2_backends[account][region]
