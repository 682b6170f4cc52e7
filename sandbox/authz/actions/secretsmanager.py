"""AWS Secrets Manager: "Actions, resources, and condition keys for AWS Secrets Manager".

The keys that it uses in the caller's name: "Secret encryption and decryption in AWS Secrets Manager, permissions for
the KMS key".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.needs import Need, anywhere, arn, key_use, request_tags, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.authz.needs import Context, Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call

_SOURCE = "Secrets Manager user guide: permissions for the KMS key"


def _secret(call: Call, sources: Sources, secret_id: str) -> tuple[str, str | None]:
    """Name the secret and its key."""
    found = sources.secret(secret_id, call.region, call.account)
    return found or (secret_id if secret_id.startswith("arn:") else _new_arn(call, secret_id), None)


def _new_arn(call: Call, name: str) -> str:
    """Name a secret that does not exist: AWS asks about it with some random suffix already (its AccessDenied shows)."""
    return arn(call, "secretsmanager", f"secret:{name}-aBcDeF")


def _create(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    resource, key_id = _new_arn(call, params["Name"]), params.get("KmsKeyId")
    context: Context = {
        **request_tags(params.get("Tags")),
        "secretsmanager:Name": params["Name"],
        "secretsmanager:Description": text(params.get("Description")),
        "secretsmanager:KmsKeyId": text(key_id),
        "secretsmanager:KmsKeyArn": text(key_id) if str(key_id).startswith("arn:") else None,
        "secretsmanager:ForceOverwriteReplicaSecret": text(params.get("ForceOverwriteReplicaSecret")),
        "secretsmanager:AddReplicaRegions": [r["Region"] for r in params.get("AddReplicaRegions", [])] or None,
    }
    needs = [Need("secretsmanager:CreateSecret", (resource,), context)]
    if params.get("Tags"):
        needs.append(Need("secretsmanager:TagResource", (resource,), request_tags(params["Tags"])))
    return needs + _key(call, sources, resource, key_id, ("kms:GenerateDataKey", "kms:Decrypt"))


def _key(call: Call, sources: Sources, secret: str, key_id: str | None, actions: Sequence[str]) -> list[Need]:
    # The second key of the encryption context, SecretVersionId, is not known before the version exists.
    return key_use(call, sources, key_id, actions, {"SecretARN": secret}, _SOURCE)


def _existing(action: str, *key_actions: str, parameters: Mapping[str, str] | None = None) -> Mapper:
    """Map an operation on a secret; ``parameters`` are condition keys that the request fills."""

    def mapper(call: Call, sources: Sources) -> list[Need]:
        params = call.params
        resource, key_id = _secret(call, sources, params["SecretId"])
        context = {f"secretsmanager:{key}": text(params.get(name)) for key, name in (parameters or {}).items()}
        context["secretsmanager:SecretId"] = resource
        tags = request_tags(params.get("Tags"))
        if keys := params.get("TagKeys"):
            tags = {"aws:TagKeys": list(keys)}
        return [
            Need(f"secretsmanager:{action}", (resource,), {**tags, **context}),
            *_key(call, sources, resource, key_id, key_actions),
        ]

    return mapper


def _update(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    resource, key_id = _secret(call, sources, params["SecretId"])
    new_key = params.get("KmsKeyId")
    context: Context = {
        "secretsmanager:SecretId": resource,
        "secretsmanager:Description": text(params.get("Description")),
        "secretsmanager:KmsKeyId": text(new_key),
        "secretsmanager:KmsKeyArn": text(new_key) if str(new_key).startswith("arn:") else None,
    }
    needs = [Need("secretsmanager:UpdateSecret", (resource,), context)]
    if params.get("SecretString") or params.get("SecretBinary"):
        needs += _key(call, sources, resource, key_id, ("kms:GenerateDataKey", "kms:Decrypt"))
    if new_key and new_key != key_id:
        # Secret versions are encrypted again with the new key.
        needs += _key(call, sources, resource, key_id, ("kms:Decrypt",))
        needs += _key(call, sources, resource, new_key, ("kms:GenerateDataKey", "kms:Decrypt", "kms:Encrypt"))
    return needs


OPERATIONS: Mapping[str, Mapper] = {
    "CreateSecret": _create,
    "DeleteSecret": _existing(
        "DeleteSecret",
        parameters={
            "ForceDeleteWithoutRecovery": "ForceDeleteWithoutRecovery",
            "RecoveryWindowInDays": "RecoveryWindowInDays",
        },
    ),
    "DescribeSecret": _existing("DescribeSecret"),
    "GetRandomPassword": anywhere("secretsmanager:GetRandomPassword"),
    "GetResourcePolicy": _existing("GetResourcePolicy"),
    "GetSecretValue": _existing(
        "GetSecretValue", "kms:Decrypt", parameters={"VersionId": "VersionId", "VersionStage": "VersionStage"}
    ),
    "ListSecretVersionIds": _existing("ListSecretVersionIds"),
    "ListSecrets": anywhere("secretsmanager:ListSecrets"),
    "PutSecretValue": _existing("PutSecretValue", "kms:GenerateDataKey", "kms:Decrypt"),
    "RestoreSecret": _existing("RestoreSecret"),
    "TagResource": _existing("TagResource"),
    "UntagResource": _existing("UntagResource"),
    "UpdateSecret": _update,
    "UpdateSecretVersionStage": _existing("UpdateSecretVersionStage", parameters={"VersionStage": "VersionStage"}),
}
