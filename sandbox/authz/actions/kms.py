"""AWS KMS: "Actions, resources, and condition keys for AWS Key Management Service", "AWS KMS condition keys"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.authz.decisions import AuthorizationNotModelled
from sandbox.authz.needs import Need, anywhere, arn, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Context, Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call


def _key(call: Call, sources: Sources, key_id: str) -> tuple[str, Context]:
    """Name the key that an id, alias or ARN means; a key that does not exist is asked about under the id given."""
    key = sources.key(key_id, call.region, call.account)
    if key is not None:
        return key.arn, key.context
    return (key_id if key_id.startswith("arn:") else arn(call, "kms", f"key/{key_id.removeprefix('alias/')}")), {}


def _encryption_context(params: Mapping[str, Any], member: str = "EncryptionContext") -> Context:
    pairs: Mapping[str, str] = params.get(member) or {}
    return {
        "kms:EncryptionContextKeys": list(pairs) or None,
        **{f"kms:EncryptionContext:{name}": value for name, value in pairs.items()},
    }


def _cryptography(params: Mapping[str, Any]) -> Context:
    algorithm = params.get("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
    return {**_encryption_context(params), "kms:EncryptionAlgorithm": algorithm}


def _on_key(action: str, *, cryptographic: bool = False) -> Mapper:
    def mapper(call: Call, sources: Sources) -> list[Need]:
        resource, context = _key(call, sources, call.params["KeyId"])
        if cryptographic:
            context = {**context, **_cryptography(call.params)}
        if action in ("ListGrants", "RevokeGrant"):
            context = {**context, "kms:GrantIsForAWSResource": "false"}
        return [Need(f"kms:{action}", (resource,), context)]

    return mapper


def _decrypt(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    # KMS reads the key from the ciphertext when no KeyId is given. moto's ciphertexts begin with the key's id.
    key_id = params.get("KeyId") or bytes(params["CiphertextBlob"])[:36].decode("ascii", "replace")
    resource, context = _key(call, sources, key_id)
    return [Need("kms:Decrypt", (resource,), {**context, **_cryptography(params)})]


def _create_grant(call: Call, sources: Sources) -> list[Need]:
    params = call.params
    resource, context = _key(call, sources, params["KeyId"])
    constraints = params.get("Constraints") or {}
    kind = next((kind for kind in ("EncryptionContextEquals", "EncryptionContextSubset") if kind in constraints), None)
    grant: Context = {
        **context,
        **(_encryption_context(constraints, kind) if kind else {"kms:EncryptionContextKeys": None}),
        "kms:GrantConstraintType": kind,
        "kms:GrantIsForAWSResource": "false",  # true only for a service that asks in the caller's name
        "kms:GrantOperations": list(params["Operations"]),
        "kms:GranteePrincipal": params["GranteePrincipal"],
        "kms:RetiringPrincipal": text(params.get("RetiringPrincipal")),
    }
    return [Need("kms:CreateGrant", (resource,), grant)]


def _retire_grant(call: Call, sources: Sources) -> list[Need]:
    """Who may retire is first of all the grant's to say ("Retiring and revoking grants"): it counts as key policy."""
    if not call.params.get("KeyId"):
        raise AuthorizationNotModelled("kms:RetireGrant by a grant token alone")
    resource, context = _key(call, sources, call.params["KeyId"])
    return [Need("kms:RetireGrant", (resource,), context)]


_ON_KEY = ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "ListGrants", "ListResourceTags", "RevokeGrant")
_CRYPTOGRAPHIC = ("Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")

OPERATIONS: Mapping[str, Mapper] = {
    **{operation: _on_key(operation) for operation in _ON_KEY},
    **{operation: _on_key(operation, cryptographic=True) for operation in _CRYPTOGRAPHIC},
    "CreateGrant": _create_grant,
    "Decrypt": _decrypt,
    "ListAliases": anywhere("kms:ListAliases"),
    "ListKeys": anywhere("kms:ListKeys"),
    "RetireGrant": _retire_grant,
}
