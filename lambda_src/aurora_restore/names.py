"""Every name and tag that the pipeline gives to something, built here and nowhere else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types_boto3_rds.type_defs import TagTypeDef

MAX_IDENTIFIER: Final = 63
OPERATION_TAG: Final = "aurora-restore:operation-id"
MANAGED_BY_TAG: Final = "aurora-restore:managed-by"

IDENTIFIER_RULES: Final = (
    "1 to 63 letters, digits and hyphens, a letter first, no two hyphens in a row, none at the end"
)


def identifier_problem(name: str) -> str | None:
    """What is wrong with a cluster or instance identifier, or None (BC:RestoreDBClusterFromSnapshot)."""
    if not 1 <= len(name) <= MAX_IDENTIFIER:
        return f"it has {len(name)} characters"
    if not re.fullmatch(r"[A-Za-z0-9-]+", name, re.ASCII):
        return "it has a character that is not a letter, digit or hyphen"
    if not name[0].isalpha():
        return "it does not begin with a letter"
    if "--" in name:
        return "it has two hyphens in a row"
    if name.endswith("-"):
        return "it ends with a hyphen"
    return None


def normal_identifier(name: str) -> str:
    """As RDS keeps it: identifiers are stored in lower case."""
    return name.lower()


def instance_identifier(cluster_id: str, ordinal: int) -> str:
    """The n-th instance of a cluster: ``<cluster>-<n>``.

    Not named by role, since a failover exchanges the roles. Where it would be too long the cluster's part is cut and
    a hash of the whole keeps it unique.
    """
    suffix = f"-{ordinal}"
    if len(cluster_id) + len(suffix) <= MAX_IDENTIFIER:
        return cluster_id + suffix
    digest = hashlib.sha256(cluster_id.encode()).hexdigest()[:8]
    stem = cluster_id[: MAX_IDENTIFIER - len(suffix) - len(digest) - 1].rstrip("-")
    return f"{stem}-{digest}{suffix}"


def user_secret_name(prefix: str, cluster_id: str, user: str) -> str:
    """The secret of a database user: stable per target, so that a nightly refresh finds it again."""
    return f"{prefix}/{cluster_id}/{user}"


def operation_tags(*, deployment: str, operation_id: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of everything that an operation makes; the pipeline's own cannot be overridden."""
    return {**tags, OPERATION_TAG: operation_id, MANAGED_BY_TAG: deployment}


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Tags as AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def bears_tags(
    described: Iterable[Mapping[str, Any]] | None, *, deployment: str, operation_id: str | None = None
) -> bool:
    """The resource with this TagList was made by this operation, or by any of the deployment's if none is named.

    Both tags count: another deployment may have an operation of the same id.
    """
    found = {tag.get("Key"): tag.get("Value") for tag in described or ()}
    return operation_id in (None, found.get(OPERATION_TAG)) and found.get(MANAGED_BY_TAG) == deployment
