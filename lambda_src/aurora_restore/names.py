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
    return _fitting(cluster_id, f"-{ordinal}")


def endpoint_identifier(endpoint_id: str, source_id: str, target_id: str) -> str:
    """A custom endpoint of the cluster ``source_id`` as it is called at the cluster ``target_id``.

    ``orders-reports`` of ``orders`` becomes ``<target>-reports``, any other name ``<target>-<name>``.
    """
    own = endpoint_id.lower().removeprefix(f"{source_id.lower()}-")
    return _fitting(target_id.lower(), f"-{own}"[: MAX_IDENTIFIER - 16].rstrip("-"))


def _fitting(stem: str, suffix: str) -> str:
    """Both together as an identifier: where it would be too long the stem is cut, and a hash of it keeps it unique."""
    if len(stem) + len(suffix) <= MAX_IDENTIFIER:
        return stem + suffix
    digest = hashlib.sha256(stem.encode()).hexdigest()[:8]
    cut = stem[: MAX_IDENTIFIER - len(suffix) - len(digest) - 1].rstrip("-")
    return f"{cut}-{digest}{suffix}"


def copy_identifier(
    *,
    deployment: str,
    home: str,
    cluster_id: str,
    snapshot_arn: str,
    created_at: str,
    account: str,
    region: str,
    kms_key_id: str | None,
    operation_id: str | None = None,
) -> str:
    """A copy of a snapshot: ``arp-<cluster>-<16 hex digits>``; the digits stand for all that makes it the copy it is.

    So a second operation that needs the same copy finds it. The snapshot's time belongs to it, since a snapshot may be
    deleted and taken again under its name; an ``operation_id`` makes it the copy of that operation alone. ``home`` is
    where the deployment is: another one of its name, with a state table of its own, may copy to the same place.
    """
    facts = (deployment, home, snapshot_arn, created_at, account, region, kms_key_id or "", operation_id or "")
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    room = MAX_IDENTIFIER - len("arp--") - len(digest)
    stem = re.sub(r"[^a-z0-9]+", "-", cluster_id.lower())[:room].strip("-")
    return f"arp-{stem}-{digest}" if stem else f"arp-{digest}"


def is_copy_identifier(name: str) -> bool:
    """The name is one that `copy_identifier` makes."""
    return re.fullmatch(r"arp-(?:[a-z0-9-]+-)?[0-9a-f]{16}", name) is not None


def snapshot_name(identifier: str) -> str:
    """The name in a snapshot's ARN (``rds:…`` and ``awsbackup:…`` have colons of their own), or the name itself."""
    return identifier.split(":", 6)[6] if identifier.startswith("arn:") else identifier


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
