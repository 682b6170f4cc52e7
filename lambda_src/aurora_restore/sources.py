"""The source accounts that the deployment knows: what the module's ``source_accounts`` says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aurora_restore.errors import ConfigurationInvalid
from aurora_restore.model import SourceRole

_ACCOUNT: Final = re.compile(r"[0-9]{12}")


@dataclass(frozen=True)
class SourceAccount:
    """What the deployment may use in a source account (modules/source-account puts it out)."""

    role: SourceRole
    share_kms_key_arns: Mapping[str, str] = field(default_factory=dict)
    """By region: a customer key there that both accounts may use."""


def parse(text: object) -> dict[str, SourceAccount]:
    """By account id, from the JSON text that the workflow carries; raise ConfigurationInvalid when it is malformed."""
    try:
        data = json.loads(str(text)) if text else {}
    except ValueError:
        data = None
    if not isinstance(data, Mapping):
        raise _malformed("it is not a JSON object")
    return {str(account): _account(str(account), entry) for account, entry in data.items()}


def _account(account: str, entry: object) -> SourceAccount:
    if not _ACCOUNT.fullmatch(account):
        raise _malformed(f"{account!r} is not an account id of twelve digits")
    if not isinstance(entry, Mapping):
        raise _malformed(f"{account} is not an object")
    role_arn, external_id = entry.get("role_arn"), entry.get("external_id")
    if not (isinstance(role_arn, str) and isinstance(external_id, str) and role_arn and external_id):
        raise _malformed(f"{account} has no role_arn or no external_id")
    keys = entry.get("share_kms_key_arns") or {}
    if not (
        isinstance(keys, Mapping) and all(isinstance(arn, str) and arn.startswith("arn:") for arn in keys.values())
    ):
        raise _malformed(f"share_kms_key_arns of {account} is not a map from region to key ARN")
    return SourceAccount(
        role=SourceRole(account=account, role_arn=role_arn, external_id=external_id),
        share_kms_key_arns={str(region): arn for region, arn in keys.items()},
    )


def _malformed(why: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        f"The deployment's source_accounts cannot be read: {why}",
        field="source_accounts",
        remedy="Correct source_accounts, best by using the output of modules/source-account as it is, and apply again.",
    )
