"""From what is known of a snapshot to the copies that bring it to where it is restored, with names and times. Pure."""

from __future__ import annotations

from aurora_restore import names, waits
from aurora_restore.engine.routes import Goal, Rights, Route, SourceSnapshot, find_route
from aurora_restore.errors import NoCopyRoute
from aurora_restore.facts import SourceFacts
from aurora_restore.model import CopyRoute, PlannedCopy, Request, iso
from aurora_restore.settings import Settings


def routes(
    request: Request, source: SourceFacts, kms_key_id: str, settings: Settings
) -> tuple[CopyRoute, CopyRoute | None]:
    """The way to take, and the one to take when AWS refuses its single-step copy; raises NoCopyRoute.

    ``kms_key_id`` is the key of the copies that the deployment makes in its own region.
    """
    if source.key is None:
        raise ValueError("a route needs to know the snapshot's key")
    snapshot = SourceSnapshot(
        account=source.account, region=source.region, kind=source.kind, key=source.key, shared=source.shared
    )
    ours = source.role is not None
    rights = Rights(copy=ours, share=ours, share_keys=source.share_keys)

    def found(*, single_step: bool) -> CopyRoute:
        goal = Goal(settings.account, settings.region, kms_key_id, single_step)
        return _planned(find_route(snapshot, rights, goal), request, source, settings)

    route = found(single_step=request.copy_strategy != "two_hop")
    fallback = None
    if request.copy_strategy == "auto" and any(copy.single_step for copy in route.copies):
        try:
            fallback = found(single_step=False)
        except NoCopyRoute:
            fallback = None
    return route, fallback


def _planned(route: Route, request: Request, source: SourceFacts, settings: Settings) -> CopyRoute:
    copies: list[PlannedCopy] = []
    size = int(source.described.get("AllocatedStorage") or 0)
    source_arn = source.arn
    for ordinal, hop in enumerate(route.hops, 1):
        identifier = names.copy_identifier(
            deployment=settings.deployment,
            home=f"{settings.account} {settings.region}",
            cluster_id=str(source.described.get("DBClusterIdentifier", "")),
            snapshot_arn=source.arn,
            created_at=iso(source.described["SnapshotCreateTime"]),
            account=hop.account,
            region=hop.region,
            kms_key_id=hop.kms_key_id,
            operation_id=None if request.reuse_copies else request.operation_id,
        )
        arn = f"arn:{settings.partition}:rds:{hop.region}:{hop.account}:cluster-snapshot:{identifier}"
        copies.append(
            PlannedCopy(
                ordinal=ordinal,
                source_arn=source_arn,
                arn=arn,
                identifier=identifier,
                account=hop.account,
                region=hop.region,
                reason=hop.reason,
                kms_key_id=hop.kms_key_id,
                by_source_account=hop.by_source_account,
                cross_region=hop.cross_region,
                cross_account=hop.cross_account,
                share=hop.share,
                size_gib=size,
                expected_seconds=waits.copy_seconds(size, cross_region=hop.cross_region),
            )
        )
        source_arn = arn
    return CopyRoute(share_snapshot=route.share_snapshot, copies=tuple(copies))
