"""The facts that a plan rests on, gathered with read-only calls, before anything is created.

Each look-up stands alone: what AWS denies or does not find becomes a finding, and the rest goes on, so that a person
learns everything at once. Only throttling ends it, since the workflow tries the step again then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from aurora_restore import keys, names, routing, selection, source_cluster
from aurora_restore.engine import aurora, versions
from aurora_restore.engine.autoscaling import Autoscaling
from aurora_restore.engine.routes import SnapshotKey
from aurora_restore.engine.versions import VersionWay
from aurora_restore.errors import (
    AccessDenied,
    InvalidParameter,
    RestoreError,
    SnapshotKeyUnusable,
    TargetKeyInvalid,
    translate,
    wire_code,
)
from aurora_restore.facts import Facts, Place, Quota, SourceFacts
from aurora_restore.keys import Key
from aurora_restore.model import CopyRoute, KeyKind, PlannedCopy, Request, SourceKind, SourceRole
from aurora_restore.readiness import Described, normal_status
from aurora_restore.settings import Settings
from aurora_restore.sources import SourceAccount

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_rds import RDSClient

    from aurora_restore.sessions import Clients, Sessions

Found = TypeVar("Found")

SOURCE_FIELDS: Final = frozenset(
    {
        "snapshot_identifier",
        "snapshot_date",
        "snapshot_selector",
        "restore_to_time",
        "clone",
        "source_cluster_id",
        "source_cluster_resource_id",
        "source_region",
        "source_account_id",
    }
)
"""Fields that say what is restored: when one of them is wrong, looking for it makes no sense."""


@dataclass
class _Looks:
    """Look-ups that fail alone."""

    findings: list[RestoreError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    def at(self, name: str, look: Callable[[], Found], default: Found, *, field: str | None = None) -> Found:
        """What ``look`` returns; if it fails a finding, and ``default``."""
        try:
            return look()
        except (ClientError, BotoCoreError, RestoreError) as error:
            self.findings.append(_finding(error, field))
            self.unknown.add(name)
            return default


def _finding(error: ClientError | BotoCoreError | RestoreError, field: str | None = None) -> RestoreError:
    """Our error for what a look-up met; what a retry of the whole step helps is raised."""
    ours = error if isinstance(error, RestoreError) else translate(error)
    if ours.retryable:
        raise ours from error
    ours.field = ours.field or field
    return ours


@dataclass(frozen=True)
class _Source:
    """Who can look at the snapshot's account."""

    account: str
    region: str
    role: SourceRole | None
    by_role: Clients | None
    """None without a role."""


def gather(
    own: Sessions,
    clients: Callable[[SourceRole | None], Clients],
    request: Request,
    accounts: Mapping[str, SourceAccount],
    settings: Settings,
    now: datetime,
    *,
    problems: Iterable[RestoreError] = (),
) -> Facts:
    """Look everything up. ``problems`` is what is wrong with the request itself, as far as that is known."""
    looks = _Looks()
    source: SourceFacts | None = None
    if not any((problem.field or "").partition(".")[0] in SOURCE_FIELDS for problem in problems):
        if request.source_kind is SourceKind.SNAPSHOT:
            source = _snapshot(looks, own, clients, request, accounts, settings, now)
        else:
            source = _cluster(looks, own, request, settings)
    request = source_cluster.filled(request, source)
    facts = _target(looks, own.rds, own.ec2, request, source)
    looks.warnings += _left_scaling(own, request)
    key = _target_key(looks, own, request, source, settings)

    route: CopyRoute | None = None
    fallback: CopyRoute | None = None
    places: tuple[Place, ...] = ()
    fallback_places: tuple[Place, ...] = ()
    at_fallback = _Looks()
    if source and source.cluster:
        route = CopyRoute()
    elif source and source.key and source.described.get("SnapshotCreateTime"):
        try:
            # Whether there is a way does not hang on which key it is; a key that will not do is a finding of its own.
            route, fallback = routing.routes(request, source, key.arn if key else settings.kms_key_arn, settings)
        except RestoreError as error:
            looks.findings.append(_finding(error))
        else:
            by_role = clients(source.role) if source.role else own
            _share_keys(looks, own, by_role, source, route)
            places = tuple(_places(looks, own, by_role, route))
            if fallback:
                _share_keys(at_fallback, own, by_role, source, fallback)
                fallback_places = tuple(_places(at_fallback, own, by_role, fallback))
    return replace(
        facts,
        source=source,
        target_key=key,
        route=route,
        places=places,
        fallback_route=fallback,
        fallback_places=fallback_places,
        fallback_findings=tuple(at_fallback.findings),
        unknown=frozenset(looks.unknown),
        findings=tuple(looks.findings),
        warnings=tuple(looks.warnings),
    )


# --- the snapshot and its key ---------------------------------------------------------------------------------------


def _snapshot(
    looks: _Looks,
    own: Sessions,
    clients: Callable[[SourceRole | None], Clients],
    request: Request,
    accounts: Mapping[str, SourceAccount],
    settings: Settings,
    now: datetime,
) -> SourceFacts | None:
    account, region = request.source_account_id or settings.account, request.source_region
    known = accounts.get(account) if account != settings.account else None
    by_role = looks.at("source_role", lambda: clients(known.role), None, field="source_account_id") if known else None
    if known and by_role is None:
        return None

    asks_for_shared = request.snapshot_selector is not None and request.snapshot_selector.type == "shared"
    view = selection.View(
        rds=(by_role or own).rds_in(region) if not asks_for_shared else own.rds_in(region),
        partition=settings.partition,
        account=account,
        region=region,
        owner=account == settings.account or (by_role is not None and not asks_for_shared),
    )
    found = looks.at(
        "snapshot",
        lambda: _found(view, request, now, settings),
        selection.Selection(),
        field=next(
            (name for name in ("snapshot_identifier", "snapshot_date", "snapshot_selector") if getattr(request, name)),
            None,
        ),
    )
    looks.findings += found.findings
    looks.warnings += found.warnings
    if found.snapshot is None:
        return None

    snapshot = SourceFacts(
        described=found.snapshot,
        account=account,
        region=region,
        kind=selection.kind_of(found.snapshot),
        role=known.role if known else None,
        share_keys=known.share_kms_key_arns if known else {},
    )
    # With a role no share that is there counts: another operation may have made it, and withdraw it. PrepareCopies
    # joins that one, makes one of its own, or finds a person's.
    shared = by_role is None and not view.owner
    key, kms_key = _snapshot_key(looks, own, by_role, snapshot, settings)
    return replace(snapshot, shared=shared, key=key, kms_key=kms_key)


def _cluster(looks: _Looks, own: Sessions, request: Request, settings: Settings) -> SourceFacts | None:
    source = looks.at(
        "source_cluster",
        lambda: source_cluster.find(own.rds, request, settings),
        None,
        field="source_cluster_id" if request.source_cluster_id else "source_cluster_resource_id",
    )
    if source is None:
        return None
    key, kms_key = _snapshot_key(looks, own, None, source, settings)
    return replace(source, key=key, kms_key=kms_key)


def _found(view: selection.View, request: Request, now: datetime, settings: Settings) -> selection.Selection:
    try:
        return selection.find(view, request, now)
    except EndpointConnectionError as error:
        if view.region == settings.region:
            raise
        raise InvalidParameter(
            f"RDS does not answer in {view.region}: it is not a region, or the function's VPC has no way to it",
            field="source_region",
        ) from error


def _snapshot_key(
    looks: _Looks, own: Sessions, by_role: Clients | None, snapshot: SourceFacts, settings: Settings
) -> tuple[SnapshotKey | None, Key | None]:
    """What the snapshot is encrypted under, who may use it, and the KMS key if it is under one.

    RDS acts as the caller: who may not even describe the key cannot copy or restore what is under it.
    """
    kind = keys.encryption_of(snapshot.described)
    if kind is not None:
        return SnapshotKey(kind, usable_by_target=snapshot.account == settings.account), None

    key_id = str(snapshot.described["KmsKeyId"])
    denied: list[str] = []

    def seen_by(who: str, clients: Clients) -> Key | None:
        try:
            return keys.describe(clients.kms_in(snapshot.region), key_id)
        except (ClientError, BotoCoreError) as error:
            denied.append(f"{who}: {_finding(error).cause}")
            return None

    target = seen_by(f"the deployment's role in account {settings.account}", own)
    source = seen_by(str(snapshot.role.role_arn), by_role) if by_role and snapshot.role else None
    key = source or target
    if key is None:
        looks.findings.append(
            SnapshotKeyUnusable(
                f"The {snapshot.what}'s key {key_id} cannot be used: {' '.join(denied)}", field=snapshot.field
            )
        )
        return None, None
    if key.problem:
        looks.findings.append(
            SnapshotKeyUnusable(f"The {snapshot.what}'s key {key.arn} {key.problem}", field=snapshot.field)
        )
        return None, key
    kind = KeyKind.CUSTOMER if key.customer_managed else KeyKind.AWS_MANAGED
    return (
        SnapshotKey(kind, key.arn, usable_by_source=source is not None, usable_by_target=target is not None),
        key,
    )


def _share_keys(looks: _Looks, own: Sessions, by_role: Clients, snapshot: SourceFacts, route: CopyRoute) -> None:
    """The keys of copies in the source's account: its role makes them, and the deployment reads what is under them."""
    given = {(copy.kms_key_id, copy.region) for copy in route.copies if copy.by_source_account and copy.kms_key_id}
    for key_id, region in sorted((str(key_id), region) for key_id, region in given):
        for who, clients in (
            (snapshot.role.role_arn if snapshot.role else "", by_role),
            ("the deployment's role", own),
        ):
            try:
                problem = keys.describe(clients.kms_in(region), key_id).problem
            except (ClientError, BotoCoreError) as error:
                problem = f"cannot be used by {who}: {_finding(error).cause}"
            if problem:
                looks.findings.append(
                    SnapshotKeyUnusable(
                        f"The share key {key_id} of account {snapshot.account} {problem}", field="source_accounts"
                    )
                )
                break


# --- the target's key -----------------------------------------------------------------------------------------------


def _target_key(
    looks: _Looks, own: Sessions, request: Request, snapshot: SourceFacts | None, settings: Settings
) -> Key | None:
    """The key that is asked for, the snapshot's own if that is a local customer key, or the deployment's."""
    have = snapshot.kms_key if snapshot else None
    keeps = have is not None and have.customer_managed and have.local_to(settings.account, settings.region)
    if request.kms_key_id is None and have is not None and keeps and not have.problem:
        return have
    wanted = request.kms_key_id or settings.kms_key_arn
    what = f"kms_key_id {wanted}" if request.kms_key_id else f"The deployment's key {wanted}"
    arn = wanted.split(":")
    region = arn[3] if arn[0] == "arn" and len(arn) > 3 else settings.region
    if region != settings.region:
        looks.findings.append(
            TargetKeyInvalid(
                f"{what} is of region {region}; the cluster is restored in {settings.region}", field="kms_key_id"
            )
        )
        return None
    try:
        key = keys.describe(own.kms, wanted)
    except ClientError as error:
        looks.findings.append(_absent_key(error, f"{what} does not exist in {settings.region}"))
        return None
    problem = key.problem
    if not problem and request.require_local_customer_key:
        if key.account != settings.account:
            problem = f"is of account {key.account}, not of this one, {settings.account}"
        elif not key.customer_managed:
            problem = "is managed by AWS, not by a customer: what is under it can never be shared"
    if problem:
        looks.findings.append(TargetKeyInvalid(f"{what} {problem}", field="kms_key_id"))
        return None
    return key


def _absent_key(error: ClientError, absent: str) -> RestoreError:
    """What may describe its own keys only is denied those that are not there, too."""
    if wire_code(error) in {"NotFoundException", "InvalidArnException"}:
        return TargetKeyInvalid(absent, field="kms_key_id")
    ours = _finding(error, "kms_key_id")
    if not isinstance(ours, AccessDenied):
        return ours
    return TargetKeyInvalid(
        f"{absent}, or may not be described: {ours.cause}",
        field="kms_key_id",
        remedy="Correct kms_key_id; if the key is there, let its policy and the function's role allow kms:DescribeKey.",
    )


# --- where copies are made ------------------------------------------------------------------------------------------


def _places(looks: _Looks, own: Sessions, by_role: Clients, route: CopyRoute) -> Iterable[Place]:
    """One per account and region, in the order of the copies."""
    for account, region in dict.fromkeys((copy.account, copy.region) for copy in route.copies):
        copies = [copy for copy in route.copies if (copy.account, copy.region) == (account, region)]
        yield _place(looks, (by_role if copies[0].by_source_account else own).rds_in(region), copies)


def _place(looks: _Looks, rds: RDSClient, copies: Sequence[PlannedCopy]) -> Place:
    account, region = copies[0].account, copies[0].region
    none: dict[str, Quota] = {}
    nothing: list[Described] = []
    quotas = looks.at(f"quotas of {account}/{region}", lambda: _quotas(rds), none)
    manual = looks.at(f"snapshots of {account}/{region}", lambda: _manual(rds), nothing)
    return Place(
        account=account,
        region=region,
        quota=quotas.get("ManualClusterSnapshots"),
        in_flight=sum(_comes_from_elsewhere(one, region) for one in manual),
        there=_named(manual, copies),
    )


def _quotas(rds: RDSClient) -> dict[str, Quota]:
    return {
        str(quota["AccountQuotaName"]): Quota(int(quota["Used"]), int(quota["Max"]))
        for quota in rds.describe_account_attributes()["AccountQuotas"]
    }


def _manual(rds: RDSClient) -> list[Described]:
    pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
    return [snapshot for page in pages for snapshot in page["DBClusterSnapshots"]]


def _comes_from_elsewhere(snapshot: Described, region: str) -> bool:
    source = str(snapshot.get("SourceDBClusterSnapshotArn") or "")
    copying = normal_status(snapshot.get("Status")) in {"copying", "creating"}
    return copying and source.startswith("arn:") and source.split(":")[3] != region


def _named(snapshots: Sequence[Described], copies: Sequence[PlannedCopy]) -> dict[str, Described]:
    wanted = {copy.identifier for copy in copies}
    found = {names.snapshot_name(str(one.get("DBClusterSnapshotIdentifier"))): one for one in snapshots}
    return {name: one for name, one in found.items() if name in wanted}


# --- what the target needs ------------------------------------------------------------------------------------------


def _target(looks: _Looks, rds: RDSClient, ec2: EC2Client, request: Request, snapshot: SourceFacts | None) -> Facts:
    wanted = [names.instance_identifier(request.target_cluster_id, n + 1) for n in range(len(request.topology))]
    facts = Facts(
        subnet_group=looks.at("subnet_group", lambda: _subnet_group(rds, request), None, field="db_subnet_group_name"),
        security_groups=looks.at(
            "security_groups",
            lambda: _security_groups(ec2, request.vpc_security_group_ids),
            {},
            field="vpc_security_group_ids",
        ),
        cluster_parameter_group=looks.at(
            "db_cluster_parameter_group_name",
            lambda: _cluster_parameter_group(rds, request.db_cluster_parameter_group_name),
            None,
            field="db_cluster_parameter_group_name",
        ),
        instance_parameter_groups=looks.at(
            "db_parameter_group_name",
            lambda: _instance_parameter_groups(rds, request),
            {},
            field="db_parameter_group_name",
        ),
        target=looks.at(
            "target", lambda: aurora.Aurora(rds).cluster(request.target_cluster_id), None, field="target_cluster_id"
        ),
        taken_instances=looks.at("instances", lambda: _taken(rds, wanted), (), field="target_cluster_id"),
        taken_endpoints=looks.at(
            "custom_endpoints", lambda: _taken_endpoints(rds, request), {}, field="custom_endpoints"
        ),
        quotas=looks.at("quotas", lambda: _quotas(rds), {}),
    )
    if snapshot is None or str(snapshot.described["Engine"]) not in aurora.ENGINES:
        return facts
    engine = str(snapshot.described["Engine"])
    by_restore = snapshot.cluster is None
    have = str(snapshot.described["EngineVersion"])
    facts, way = _way(looks, rds, facts, request, engine, have, by_restore=by_restore)
    lifecycles: dict[str, Sequence[Mapping[str, Any]]] = {}
    orderable: dict[str, Mapping[str, frozenset[str]]] = {}
    for version in dict.fromkeys((way.target, way.at_restore)):
        lifecycles[version] = looks.at(
            "lifecycles", partial(_lifecycles, rds, engine, version), (), field="engine_version"
        )
        if facts.offered:
            orderable[version] = looks.at(
                "classes", partial(_offers, rds, engine, version, request.classes), {}, field="db_instance_class"
            )
    return replace(facts, lifecycles=lifecycles, orderable=orderable)


def _way(
    looks: _Looks, rds: RDSClient, facts: Facts, request: Request, engine: str, have: str, *, by_restore: bool
) -> tuple[Facts, VersionWay]:
    """The way of the engine version, with what RDS says of its stations."""
    asked = request.engine_version

    def offered(version: str) -> Described | None:
        return looks.at("offered", lambda: _offered(rds, engine, version), None, field="engine_version")

    def upgrades(version: str) -> Mapping[str, bool]:
        return looks.at("offered", lambda: _upgrades(rds, engine, version), {}, field="engine_version")

    there = offered(have)
    targets = upgrades(have) if there is None or asked not in (None, have) else {}
    way = versions.way(engine, have, asked, offered=there is not None, upgrades=targets, by_restore=by_restore)
    return (
        replace(
            facts,
            way=way,
            offered=there if way.target == have else offered(way.target),
            upgrades=targets,
            upgrades_at_restore=upgrades(way.at_restore) if way.at_restore not in (way.have, way.target) else {},
        ),
        way,
    )


def _offered(rds: RDSClient, engine: str, version: str) -> Described | None:
    found = rds.describe_db_engine_versions(Engine=engine, EngineVersion=version)["DBEngineVersions"]
    return found[0] if found else None


def _upgrades(rds: RDSClient, engine: str, version: str) -> dict[str, bool]:
    # The snapshot's version may be retired, hence IncludeAll.
    found = rds.describe_db_engine_versions(Engine=engine, EngineVersion=version, IncludeAll=True)["DBEngineVersions"]
    targets = found[0].get("ValidUpgradeTarget", ()) if found else ()
    return {target["EngineVersion"]: bool(target.get("IsMajorVersionUpgrade")) for target in targets}


def _lifecycles(rds: RDSClient, engine: str, version: str) -> Sequence[Mapping[str, Any]]:
    """Support periods; none when the SDK or RDS does not know them."""
    if not hasattr(rds, "describe_db_major_engine_versions"):
        return ()
    found = _or_none(
        lambda: rds.describe_db_major_engine_versions(Engine=engine, MajorEngineVersion=aurora.family_version(version))[
            "DBMajorEngineVersions"
        ][0],
        "InvalidParameterValue",
        "InvalidParameterCombination",
    )
    return (found or {}).get("SupportedEngineLifecycles") or ()


def _offers(rds: RDSClient, engine: str, version: str, wanted: Sequence[str]) -> dict[str, frozenset[str]]:
    """Of the wanted classes, or of all if one of those is not offered."""
    found: dict[str, frozenset[str]] = {}
    for one in wanted:
        found |= _classes(rds, engine, version, one)
    return found if all(one in found for one in wanted) else _classes(rds, engine, version, None)


def _classes(rds: RDSClient, engine: str, version: str, wanted: str | None) -> dict[str, frozenset[str]]:
    """Zones by class."""
    which: dict[str, Any] = {"DBInstanceClass": wanted} if wanted else {}
    pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(
        Engine=engine, EngineVersion=version, Vpc=True, **which
    )
    found: dict[str, frozenset[str]] = {}
    for page in pages:
        for option in page["OrderableDBInstanceOptions"]:
            zones = frozenset(str(zone.get("Name")) for zone in option.get("AvailabilityZones") or ())
            name = str(option["DBInstanceClass"])
            found[name] = found.get(name, frozenset()) | zones
    return found


def _subnet_group(rds: RDSClient, request: Request) -> Described | None:
    return _or_none(
        lambda: rds.describe_db_subnet_groups(DBSubnetGroupName=request.db_subnet_group_name)["DBSubnetGroups"][0],
        "DBSubnetGroupNotFound",
    )


def _security_groups(ec2: EC2Client, wanted: Sequence[str]) -> dict[str, str]:
    """By a filter: named directly, one that does not exist would hide the others."""
    pages = ec2.get_paginator("describe_security_groups").paginate(
        Filters=[{"Name": "group-id", "Values": list(wanted)}]
    )
    return {str(group["GroupId"]): str(group.get("VpcId", "")) for page in pages for group in page["SecurityGroups"]}


def _cluster_parameter_group(rds: RDSClient, name: str | None) -> Described | None:
    if name is None:
        return None
    return _or_none(
        lambda: rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)["DBClusterParameterGroups"][
            0
        ],
        "DBParameterGroupNotFound",
        "DBClusterParameterGroupNotFound",
    )


def _instance_parameter_groups(rds: RDSClient, request: Request) -> dict[str, Described | None]:
    asked = (request.db_parameter_group_name, *(spec.db_parameter_group_name for spec in request.topology))
    return {name: _instance_parameter_group(rds, name) for name in dict.fromkeys(asked) if name is not None}


def _instance_parameter_group(rds: RDSClient, name: str) -> Described | None:
    return _or_none(
        lambda: rds.describe_db_parameter_groups(DBParameterGroupName=name)["DBParameterGroups"][0],
        "DBParameterGroupNotFound",
    )


def _taken(rds: RDSClient, identifiers: Sequence[str]) -> tuple[str, ...]:
    """Instance names are shared with RDS, Neptune and DocumentDB, within account and region."""
    pages = rds.get_paginator("describe_db_instances").paginate(
        Filters=[{"Name": "db-instance-id", "Values": list(identifiers)}]
    )
    found = {instance["DBInstanceIdentifier"] for page in pages for instance in page["DBInstances"]}
    return tuple(identifier for identifier in identifiers if identifier in found)


def _taken_endpoints(rds: RDSClient, request: Request) -> dict[str, str]:
    """Names of custom endpoints are unique within account and region (RDS API: CreateDBClusterEndpoint)."""
    wanted = [endpoint.db_cluster_endpoint_identifier.lower() for endpoint in request.custom_endpoints]
    if not wanted:
        return {}
    pages = rds.get_paginator("describe_db_cluster_endpoints").paginate(
        Filters=[{"Name": "db-cluster-endpoint-id", "Values": wanted}]
    )
    return {
        str(endpoint["DBClusterEndpointIdentifier"]): str(endpoint["DBClusterIdentifier"])
        for page in pages
        for endpoint in page["DBClusterEndpoints"]
    }


def _left_scaling(own: Sessions, request: Request) -> Iterator[str]:
    """A scalable target outlives its cluster, and scales the next one of the name. The look refuses no restore."""
    try:
        left = None if request.reader_autoscaling else Autoscaling(own.autoscaling).target(request.target_cluster_id)
    except (ClientError, BotoCoreError):
        return
    if left:
        yield (
            f"Application Auto Scaling has {request.target_cluster_id} registered, from an earlier cluster of that "
            f"name: it will keep {left['MinCapacity']} to {left['MaxCapacity']} readers in the new one. Deregister it "
            "(aws application-autoscaling deregister-scalable-target), or ask for reader_autoscaling."
        )


def _or_none(look: Callable[[], Any], *codes: str) -> Described | None:
    try:
        found: Described = look()
    except ClientError as error:
        if wire_code(error) in codes:
            return None
        raise
    except IndexError:
        return None
    return found
