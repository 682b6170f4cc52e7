"""From a call to the IAM actions that AWS asks for, as the Service Authorization Reference lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.actions import dynamodb, kms, messaging, plain, rds, s3, secretsmanager, sts
from sandbox.authz.decisions import AuthorizationNotModelled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Mapper, Need
    from sandbox.authz.sources import Sources
    from sandbox.core import Call

OPERATIONS: Mapping[str, Mapping[str, Mapper]] = {
    "dynamodb": dynamodb.OPERATIONS,
    "kms": kms.OPERATIONS,
    "rds": rds.OPERATIONS,
    "s3": s3.OPERATIONS,
    "secretsmanager": secretsmanager.OPERATIONS,
    "sts": sts.OPERATIONS,
    **messaging.SERVICES,
    **plain.SERVICES,
}


def needs(call: Call, sources: Sources) -> list[Need]:
    """Return all that must be allowed for the call; an operation that is not mapped here is an error."""
    mapper = OPERATIONS.get(call.service, {}).get(call.operation)
    if mapper is None:
        raise AuthorizationNotModelled(
            f"no rule says which permissions {call.service}:{call.operation} needs (sandbox/authz/actions)."
        )
    return list(mapper(call, sources))
