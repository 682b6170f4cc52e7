"""Whether what is planned fits what the accounts may have, as DescribeAccountAttributes tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aurora_restore.errors import QuotaExceeded, RestoreError, SnapshotQuotaExceeded
from aurora_restore.facts import Facts, Quota
from aurora_restore.model import Request
from aurora_restore.settings import Settings

_TOLD: Final = (("DBClusters", "DB clusters"), ("DBInstances", "DB instances"))


def refusals(request: Request, facts: Facts, settings: Settings) -> Iterator[RestoreError]:
    """What would be too many; a quota that RDS does not tell is left to it."""
    needed = {"DBClusters": 1, "DBInstances": len(request.topology)}
    for name, told in _TOLD:
        if problem := _problem(facts.quotas.get(name), needed[name], told):
            yield QuotaExceeded(f"Account {settings.account} {problem} in {settings.region}", field="target_cluster_id")
    for place in facts.places:
        new = [
            copy
            for copy in facts.copies
            if (copy.account, copy.region) == (place.account, place.region) and facts.existing(copy) is None
        ]
        if problem := _problem(place.quota, len(new), "manual cluster snapshots"):
            yield SnapshotQuotaExceeded(f"Account {place.account} {problem} in {place.region}")


def _problem(quota: Quota | None, needed: int, told: str) -> str | None:
    if quota is None or not needed or quota.used + needed <= quota.most:
        return None
    return f"has {quota.used} of {quota.most} {told} and would need {needed} more"
