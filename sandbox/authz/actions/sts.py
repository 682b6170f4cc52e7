"""AWS STS: "Actions, resources, and condition keys for AWS Security Token Service"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.authz.decisions import AuthorizationNotModelled
from sandbox.authz.needs import Need, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.authz.needs import Mapper
    from sandbox.authz.sources import Sources
    from sandbox.core import Call


def _assume_role(call: Call, _sources: Sources) -> list[Need]:
    """The role's trust policy decides together with the caller's own policies."""
    params = call.params
    # Each of these would change what the session may do later, which no principal of the sandbox carries.
    for member in ("Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SourceIdentity"):
        if params.get(member):
            raise AuthorizationNotModelled(f"sts:AssumeRole with {member}")
    context = {
        "sts:ExternalId": text(params.get("ExternalId")),
        "sts:RoleSessionName": params["RoleSessionName"],
        "sts:SourceIdentity": None,
        "sts:TransitiveTagKeys": None,
    }
    return [Need("sts:AssumeRole", (params["RoleArn"],), context)]


def _nothing(_call: Call, _sources: Sources) -> list[Need]:
    """Answered to everybody, even against an explicit deny (API_GetCallerIdentity)."""
    return []


OPERATIONS: Mapping[str, Mapper] = {"AssumeRole": _assume_role, "GetCallerIdentity": _nothing}
