"""Where the policies, keys and tags are: moto's backends of every account, and the RDS emulation's tags.

All reading of moto's internals that authorization needs is here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from moto.awslambda.models import lambda_backends
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox.authz.decisions import AuthorizationNotModelled
from sandbox.core import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.core import Principal


class Arn(NamedTuple):
    """The parts of an ARN; account and region are empty where the service leaves them out."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Split an ARN."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            raise ValueError(f"{text!r} is not an ARN")
        return cls(*parts[1:])


@dataclass(frozen=True)
class Policy:
    """A policy's name, for people, and its JSON text."""

    name: str
    text: str


@dataclass(frozen=True)
class Role:
    """A role with everything that IAM knows of it."""

    arn: str
    unique_id: str
    tags: Mapping[str, str]
    identity: tuple[Policy, ...]
    boundary: tuple[Policy, ...]
    trust: Policy


@dataclass(frozen=True)
class Key:
    """A KMS key: its policy with the grants as statements, and what condition keys can ask about it."""

    arn: str
    policy: Policy
    aws_managed: bool
    tags: Mapping[str, str]
    context: Mapping[str, str | list[str] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A DynamoDB table, as far as permissions depend on it."""

    arn: str
    schema: tuple[Mapping[str, str], ...]
    indexes: Mapping[str, tuple[Mapping[str, str], ...]]
    kms_key: str | None

    def hash_key(self, index: str | None = None) -> str:
        """Return the name of the partition key of the table or of one of its indexes."""
        schema = self.indexes.get(index, self.schema) if index else self.schema
        return next(element["AttributeName"] for element in schema if element["KeyType"] == "HASH")


_NO_TRUST = Policy(
    "no such role",
    '{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "nobody.amazonaws.com"}}}',
)


Tags: TypeAlias = "Callable[[str], Mapping[str, str] | None]"


class Sources:
    """Reads what decides. ``rds_tags`` and ``states_tags`` give the tags of a resource by its ARN.

    Requests run side by side: what is walked through is copied first, lest it grow on the way.
    """

    def __init__(self, rds_tags: Tags | None = None, states_tags: Tags | None = None) -> None:
        self._tags_of = {"rds": rds_tags, "states": states_tags}

    # Identities

    def role_of(self, principal: Principal) -> Role:
        """Return the role of a session; a role that was deleted leaves invalid credentials behind."""
        if principal.role_name is None:
            raise AuthorizationNotModelled(f"{principal.arn} is not a session of a role")
        backend = iam_backends[principal.account][principal.partition]
        for role in list(backend.roles.values()):
            if role.name == principal.role_name:
                return self._role(backend, role)
        raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)

    def role(self, arn: str) -> Role | None:
        """Return a role by its ARN."""
        parts = Arn.parse(arn)
        backend = iam_backends[parts.account][parts.partition]
        return next((self._role(backend, role) for role in list(backend.roles.values()) if role.arn == arn), None)

    def function_of(self, principal: Principal, role: Role) -> str | None:
        """Return the ARN of the function whose code uses these credentials, None for other sessions of the role.

        A function's sessions are named after it, as on AWS; the sandbox appends to the name (sandbox.functions.runner).
        """
        found = [
            latest.function_arn
            for backend in list(lambda_backends[principal.account].values())
            for versions in list(backend._lambdas._functions.values())
            if (latest := versions["latest"]).role == role.arn
            and (principal.session_name or "").startswith(latest.function_name[:40])
        ]
        return max(found, key=len, default=None)

    @staticmethod
    def _role(backend: Any, role: Any) -> Role:
        inline = [Policy(f"{role.name}/{name}", text) for name, text in list(role.policies.items())]
        managed = [Policy(policy.arn, _default_version(policy)) for policy in list(role.managed_policies.values())]
        boundary: tuple[Policy, ...] = ()
        if role.permissions_boundary_arn:
            policy = backend.managed_policies.get(role.permissions_boundary_arn)
            if policy is None:
                # AWS does not let a boundary in use be deleted, and moto does.
                raise AuthorizationNotModelled(f"the boundary {role.permissions_boundary_arn} of {role.arn} is gone")
            boundary = (Policy(policy.arn, _default_version(policy)),)
        return Role(
            arn=role.arn,
            unique_id=role.id,
            tags=_tags(role.tags),
            identity=(*inline, *managed),
            boundary=boundary,
            trust=Policy(f"{role.name}/trust", role.assume_role_policy_document),
        )

    # Resources

    def resource_policy(self, arn: str) -> Policy | None:
        """Return the policy that is attached to the resource itself, None for one without."""
        parts = Arn.parse(arn)
        match parts.service:
            case "kms":
                key = self.key(arn, parts.region, parts.account)
                return key.policy if key else None
            case "sns":
                topic = sns_backends[parts.account][parts.region].topics.get(arn)
                return Policy(f"topic {parts.resource}", topic.policy) if topic else None
            case "sqs":
                queue = sqs_backends[parts.account][parts.region].queues.get(parts.resource)
                return Policy(f"queue {parts.resource}", str(queue.policy)) if queue and queue.policy else None
            case "s3":
                bucket = self._bucket(arn)
                return Policy(f"bucket {bucket.name}", bucket.policy.decode()) if bucket and bucket.policy else None
            case "secretsmanager":
                secret = self._secret(arn)
                text = getattr(secret, "policy", None)  # a replica has none of its own in moto
                return Policy(f"secret {secret.name}", text) if secret and text else None
            case "lambda":
                function = self._function(parts)
                if function is None or not function.policy.statements:
                    return None
                document = function.policy.get_policy()["Policy"]
                return Policy(f"function {parts.resource}", json.dumps(document))
            case "iam":
                role = self.role(arn)
                return role.trust if role else _NO_TRUST  # STS does not tell a missing role from a closed one
        return None

    def resource_account(self, arn: str, caller: str) -> str:
        """Return the account that owns a resource; for "*" and for what names no account, the caller's."""
        if arn == "*":
            return caller
        parts = Arn.parse(arn)
        if parts.service == "s3":
            owner: tuple[str, str] | None = s3_backends.bucket_accounts.get(parts.resource.split("/")[0])
            return owner[1] if owner else caller
        return parts.account or caller

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """Return the tags of a resource, empty for one that does not exist; None where the sandbox cannot know them."""
        if arn == "*" or arn.endswith((":*", "/*")):
            return {}
        parts = Arn.parse(arn)
        account, region = parts.account, parts.region
        match parts.service:
            case "rds" | "states":
                tags_of = self._tags_of[parts.service]
                return None if tags_of is None else tags_of(arn) or {}
            case "kms":
                key = self.key(arn, region, account)
                return key.tags if key else {}
            case "sns":
                topic = sns_backends[account][region].topics.get(arn)
                return dict(topic._tags) if topic else {}
            case "sqs":
                queue = sqs_backends[account][region].queues.get(parts.resource)
                return dict(queue.tags) if queue else {}
            case "secretsmanager":
                secret = self._secret(arn)
                return _tags(secret.tags or []) if secret else {}
            case "lambda":
                function = self._function(parts)
                return dict(function.tags) if function else {}
            case "dynamodb":
                name = parts.resource.split("/")[1]
                table = dynamodb_backends[account][region].tables.get(name)
                return _tags(table.tags) if table else {}
            case "logs":
                group = f"arn:{parts.partition}:logs:{region}:{account}:log-group:{parts.resource.split(':')[1]}"
                return dict(logs_backends[account][region].tagger.get_tag_dict_for_resource(group))
            case "events":
                return dict(events_backends[account][region].tagger.get_tag_dict_for_resource(arn))
            case "s3":
                # Attribute-based access control is off for buckets unless PutBucketAbac turns it on.
                return {}
            case "iam":
                role = self.role(arn)
                return role.tags if role else {}
        return None

    def key(self, key_id: str, region: str, account: str) -> Key | None:
        """Find a key by id, ARN, alias or alias ARN, as KMS takes them."""
        alias = ""
        if key_id.startswith("arn:"):
            parts = Arn.parse(key_id)
            region, account = parts.region, parts.account
            key_id = parts.resource.removeprefix("key/")
        backend = kms_backends[account][region]
        if key_id.startswith("alias/"):
            alias = key_id
            key_id = backend.get_key_id_from_alias(alias) or ""  # an AWS managed key comes with its first use
        key = backend.keys.get(key_id)
        if key is None:
            return None
        document = json.loads(key.policy)
        statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        document["Statement"] = statements + [
            statement for grant in list(key.grants.values()) for statement in _as_statements(grant)
        ]
        context: dict[str, str | list[str] | None] = {
            "kms:KeyOrigin": key.origin,
            "kms:KeySpec": key.key_spec,
            "kms:KeyUsage": key.key_usage,
            "kms:MultiRegion": "true" if key.multi_region else "false",
        }
        if key.aliases:
            context["kms:ResourceAliases"] = sorted(key.aliases)
        if alias:
            context["kms:RequestAlias"] = alias
        return Key(
            arn=key.arn,
            policy=Policy(f"key {key.id}", json.dumps(document)),
            aws_managed=key.key_manager == "AWS" or any(name.startswith("alias/aws/") for name in key.aliases),
            tags=backend.tagger.get_tag_dict_for_resource(key.id),
            context=context,
        )

    def table(self, name_or_arn: str, region: str, account: str) -> Table | None:
        """Find a DynamoDB table by name or ARN."""
        if name_or_arn.startswith("arn:"):
            parts = Arn.parse(name_or_arn)
            region, account, name_or_arn = parts.region, parts.account, parts.resource.split("/")[1]
        table = dynamodb_backends[account][region].tables.get(name_or_arn)
        if table is None:
            return None
        encryption = table.sse_specification or {}
        return Table(
            arn=table.table_arn,
            schema=tuple(table.schema),
            indexes={index.name: tuple(index.schema) for index in (*table.indexes, *table.global_indexes)},
            kms_key=encryption.get("KMSMasterKeyId") if encryption.get("Enabled") else None,
        )

    def secret(self, secret_id: str, region: str, account: str) -> tuple[str, str | None] | None:
        """Find a secret by name, ARN or partial ARN: its full ARN and its key."""
        if secret_id.startswith("arn:"):
            parts = Arn.parse(secret_id)
            region, account = parts.region, parts.account
        secret = secretsmanager_backends[account][region].secrets.get(secret_id)
        return (secret.arn, getattr(secret, "kms_key_id", None)) if secret else None

    def topic_key(self, arn: str) -> str | None:
        """Return the key that encrypts a topic."""
        parts = Arn.parse(arn)
        topic = sns_backends[parts.account][parts.region].topics.get(arn)
        return (topic.kms_master_key_id or None) if topic else None

    def queue_key(self, arn: str) -> str | None:
        """Return the key that encrypts a queue."""
        parts = Arn.parse(arn)
        queue = sqs_backends[parts.account][parts.region].queues.get(parts.resource)
        return getattr(queue, "kms_master_key_id", None) or None

    def bucket_key(self, arn: str) -> str | None:
        """Return the key of a bucket's default encryption."""
        bucket = self._bucket(arn)
        rule = ((bucket.encryption or {}).get("Rule") if bucket else None) or {}
        default = rule.get("ApplyServerSideEncryptionByDefault", {})
        return default.get("KMSMasterKeyID") if default.get("SSEAlgorithm") == "aws:kms" else None

    def object_key(self, arn: str) -> str | None:
        """Return the key that encrypts an S3 object."""
        bucket = self._bucket(arn)
        name = Arn.parse(arn).resource.partition("/")[2]
        stored = bucket.keys.get(name) if bucket else None
        return stored.kms_key_id if stored and stored.encryption == "aws:kms" else None

    @staticmethod
    def _bucket(arn: str) -> Any:
        parts = Arn.parse(arn)
        name = parts.resource.split("/")[0]
        owner = s3_backends.bucket_accounts.get(name)
        return s3_backends[owner[1]][parts.partition].buckets.get(name) if owner else None

    @staticmethod
    def _secret(arn: str) -> Any:
        parts = Arn.parse(arn)
        return secretsmanager_backends[parts.account][parts.region].secrets.get(arn)

    @staticmethod
    def _function(parts: Arn) -> Any:
        _, name, *qualifier = parts.resource.split(":")
        functions = lambda_backends[parts.account][parts.region]._lambdas._functions
        if name not in functions:
            return None
        versions = functions[name]
        if qualifier and qualifier[0] != "$LATEST":
            return next((f for f in versions["versions"] if str(f.version) == qualifier[0]), versions["latest"])
        return versions["latest"]


def _default_version(policy: Any) -> str:
    return next(str(v.document) for v in policy.versions if v.version_id == policy.default_version_id)


def _tags(tags: Any) -> dict[str, str]:
    """Read tags in any of the forms in which moto keeps them."""
    if isinstance(tags, dict):
        return {key: value["Value"] if isinstance(value, dict) else value for key, value in tags.items()}
    return {tag["Key"]: tag["Value"] for tag in tags}


def _as_statements(grant: Any) -> list[dict[str, Any]]:
    """Write a grant as key policy statements: it allows like them, and a deny or a missing permission in the caller's
    own account outweighs it like them ("Grants in AWS KMS")."""
    statement: dict[str, Any] = {
        "Sid": f"Grant{grant.id}",
        "Effect": "Allow",
        "Principal": {"AWS": grant.grantee_principal},
        "Action": [f"kms:{operation}" for operation in grant.operations],
        "Resource": "*",
    }
    constraints = grant.constraints or {}
    exact = constraints.get("EncryptionContextEquals")
    pairs = exact or constraints.get("EncryptionContextSubset") or {}
    conditions: dict[str, Any] = {}
    if pairs:
        conditions["StringEquals"] = {f"kms:EncryptionContext:{key}": value for key, value in pairs.items()}
    if exact:
        conditions["ForAllValues:StringEquals"] = {"kms:EncryptionContextKeys": sorted(exact)}
    if conditions:
        statement["Condition"] = conditions
    if not grant.retiring_principal:
        return [statement]
    retiring = {
        "Sid": f"Retire{grant.id}",
        "Effect": "Allow",
        "Principal": {"AWS": grant.retiring_principal},
        "Action": "kms:RetireGrant",
        "Resource": "*",
    }
    return [statement, retiring]
