"""What the preflight finds out about snapshots from elsewhere, their keys, shares, ways and room."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aurora_restore import contract, costs, durations, errors, keys, planner, preflight, sources
from aurora_restore.model import KeyKind, Plan, SnapshotKind
from aurora_restore.names import MANAGED_BY_TAG, snapshot_name
from tests.unit.core_support import (
    ACCOUNT,
    KEY_ARN,
    NOW,
    REGION,
    SHARE_KEY_ARN,
    SNAPSHOT_KEY_ARN,
    SOURCE_ACCOUNT,
    SOURCE_KEY_ARN,
    SOURCE_REGION,
    FakeAws,
    FakeRds,
    key,
    refused,
    request,
    settings,
    snapshot,
    source_accounts,
    subnet_group,
    two_accounts,
)


def plan(aws: FakeAws, accounts: dict[str, Any] | None = None, **changes: Any) -> Plan:
    given = settings()
    parsed = contract.parse(request(**changes), defaults={}, operation_id="op", settings=given, now=NOW)
    assert parsed.request is not None
    facts = preflight.gather(
        aws,  # type: ignore[arg-type]
        aws.clients,  # type: ignore[arg-type]
        parsed.request,
        sources.parse(json.dumps(accounts or {})),
        given,
        NOW,
        problems=parsed.problems,
    )
    return planner.plan(parsed.request, facts, given, NOW, problems=parsed.problems)


def findings(aws: FakeAws, accounts: dict[str, Any] | None = None, **changes: Any) -> list[tuple[str, str, str]]:
    """Error, field and cause of each finding."""
    with pytest.raises(errors.RestoreError) as caught:
        plan(aws, accounts, **changes)
    error = caught.value
    all_of_them = error.details.get("findings") or [errors.finding_of(error)]
    return [(item["error"], item["field"], item["cause"]) for item in all_of_them]


def finding(aws: FakeAws, accounts: dict[str, Any] | None = None, **changes: Any) -> tuple[str, str, str]:
    [only] = findings(aws, accounts, **changes)
    return only


def elsewhere(name: str = "orders-manual", **changes: Any) -> dict[str, Any]:
    return snapshot(name, account=SOURCE_ACCOUNT, region=SOURCE_REGION, **{"KmsKeyId": SOURCE_KEY_ARN, **changes})


FROM_THERE = {"source_account_id": SOURCE_ACCOUNT, "source_region": SOURCE_REGION}


def customer_key(aws: FakeAws, *, usable_by_target: bool = True) -> FakeAws:
    """The source's key is a customer key, which both accounts may use."""
    for kms in (aws.kms, aws.others[SOURCE_ACCOUNT].kms):
        kms.keys[SOURCE_KEY_ARN] = key(SOURCE_KEY_ARN)
    if usable_by_target:
        aws.kms.denied.discard(SOURCE_KEY_ARN)
    return aws


# --- ways -----------------------------------------------------------------------------------------------------------


def test_an_automated_snapshot_under_the_default_key_takes_one_copy() -> None:
    aws = two_accounts(elsewhere("rds:orders-2026-11-22-03-07"))
    made = plan(aws, source_accounts(), snapshot_identifier="rds:orders-2026-11-22-03-07", **FROM_THERE)
    [copy] = made.copies
    assert (copy.account, copy.region, copy.kms_key_id, copy.share) == (SOURCE_ACCOUNT, REGION, SHARE_KEY_ARN, True)
    assert (copy.by_source_account, copy.cross_region, copy.cross_account) == (True, True, False)
    assert copy.source_arn == made.snapshot_arn
    assert copy.arn == f"arn:aws:rds:{REGION}:{SOURCE_ACCOUNT}:cluster-snapshot:{copy.identifier}"
    assert made.snapshot_to_restore == copy.arn
    assert made.snapshot_kind is SnapshotKind.AUTOMATED
    assert made.snapshot_key_kind is KeyKind.AWS_MANAGED
    assert made.kms_key_id == KEY_ARN
    assert made.source_role is not None
    assert made.source_role.account == SOURCE_ACCOUNT
    assert made.expected_seconds["copy-1"] == copy.expected_seconds > 0
    assert made.fallback_route is None
    assert Plan.from_mapping(json.loads(json.dumps(made.to_mapping()))) == made
    assert all(name.startswith("describe_") for name, _ in aws.calls)


def test_a_single_step_copy_has_a_fallback_and_strategies_choose() -> None:
    aws = customer_key(two_accounts(elsewhere()))
    made = plan(aws, source_accounts(share_kms_key_arns={}), **FROM_THERE)
    [copy] = made.copies
    assert copy.single_step
    assert copy.kms_key_id == KEY_ARN
    assert made.route.share_snapshot
    assert made.fallback_route is not None
    assert len(made.fallback_route.copies) == 2
    assert made.fallback_route.copies[1].source_arn == made.fallback_route.copies[0].arn
    assert made.steps[0].name == "PrepareCopies"

    direct = plan(aws, source_accounts(share_kms_key_arns={}), copy_strategy="direct", **FROM_THERE)
    assert (direct.route, direct.fallback_route) == (made.route, None)
    two = plan(aws, source_accounts(share_kms_key_arns={}), copy_strategy="two_hop", **FROM_THERE)
    assert (two.route, two.fallback_route) == (made.fallback_route, None)


def test_a_fallback_that_could_not_be_taken_is_left_out_with_a_warning() -> None:
    """It is no reason to refuse: AWS may well do the copy in one step."""
    aws, accounts = customer_key(two_accounts(elsewhere())), source_accounts(share_kms_key_arns={})
    good = plan(aws, accounts, **FROM_THERE)
    assert good.fallback_route is not None
    first = good.fallback_route.copies[0]
    there = aws.rds_in(first.region) if first.account == ACCOUNT else aws.others[SOURCE_ACCOUNT].rds_in(first.region)

    theirs = snapshot(first.identifier, account=first.account, region=first.region)
    there.snapshots.append(theirs)
    taken = plan(aws, accounts, **FROM_THERE)
    assert (taken.route, taken.fallback_route) == (good.route, None)
    [warning] = [one for one in taken.warnings if one not in good.warnings]
    assert warning == (
        "Should AWS refuse the copy in one step, the way in two cannot be taken: Account "
        f"{first.account} has a snapshot {first.identifier} in {first.region}, which this deployment has not made."
    )
    there.snapshots.remove(theirs)

    there.manual_snapshots = 0
    full = plan(aws, accounts, **FROM_THERE)
    assert (full.route, full.fallback_route) == (good.route, None)
    assert any("has 0 of 0 manual cluster snapshots" in warning for warning in full.warnings)
    there.manual_snapshots = 100

    there.errors["describe_account_attributes"] = [refused("AccessDenied", "not there")]
    denied = plan(aws, accounts, **FROM_THERE)
    assert (denied.route, denied.fallback_route) == (good.route, None)
    assert any("not there" in warning for warning in denied.warnings)


def test_a_share_that_is_there_already_is_joined_since_another_operation_may_have_made_it() -> None:
    aws = customer_key(two_accounts(elsewhere()))
    before = plan(aws, source_accounts(), **FROM_THERE).route
    aws.others[SOURCE_ACCOUNT].rds_in(SOURCE_REGION).shares["orders-manual"] = [ACCOUNT]
    assert before.share_snapshot
    assert plan(aws, source_accounts(), **FROM_THERE).route == before


def test_a_snapshot_of_another_region_takes_one_copy_and_one_at_hand_none() -> None:
    aws = FakeAws()
    aws.rds_in(SOURCE_REGION).snapshots = [snapshot(region=SOURCE_REGION, KmsKeyId=None)]
    made = plan(aws, source_region=SOURCE_REGION)
    [copy] = made.copies
    assert (copy.account, copy.region, copy.by_source_account) == (ACCOUNT, REGION, False)
    assert made.source_role is None
    assert plan(aws).copies == ()


def test_a_reusable_copy_is_named_alike_and_another_is_not() -> None:
    aws = two_accounts(elsewhere())
    first = plan(aws, source_accounts(), **FROM_THERE).copies[0]
    assert plan(aws, source_accounts(), **FROM_THERE).copies[0].identifier == first.identifier
    own = plan(aws, source_accounts(), reuse_copies=False, **FROM_THERE).copies[0]
    assert own.identifier != first.identifier
    aws.others[SOURCE_ACCOUNT].rds_in(SOURCE_REGION).snapshots = [elsewhere(SnapshotCreateTime=NOW)]
    assert plan(aws, source_accounts(), **FROM_THERE).copies[0].identifier != first.identifier


def test_no_way_names_the_change() -> None:
    aws = two_accounts(elsewhere())
    error, _, cause = finding(aws, source_accounts(share_kms_key_arns={}), **FROM_THERE)
    assert error == "NoCopyRoute"
    assert "share_kms_key_arns" in cause


# --- who looks ------------------------------------------------------------------------------------------------------


def test_a_shared_snapshot_needs_no_role() -> None:
    aws = FakeAws()
    shared = snapshot(account=SOURCE_ACCOUNT, KmsKeyId=SHARE_KEY_ARN)
    aws.rds.snapshots = [shared]
    aws.kms.keys[SHARE_KEY_ARN] = key(SHARE_KEY_ARN)
    made = plan(aws, snapshot_identifier=shared["DBClusterSnapshotArn"])
    assert (made.copies, made.route.share_snapshot) == ((), False)
    assert made.kms_key_id == KEY_ARN
    assert made.snapshot_identifier == "orders-manual"
    by_name = plan(aws, source_account_id=SOURCE_ACCOUNT)
    assert by_name.snapshot_arn == made.snapshot_arn
    rule = {"snapshot_identifier": None, "source_cluster_id": "orders", "source_account_id": SOURCE_ACCOUNT}
    assert plan(aws, **rule, snapshot_selector={"type": "shared"}).snapshot_arn == made.snapshot_arn
    assert plan(aws, **rule, snapshot_date="2026-11-22").snapshot_arn == made.snapshot_arn


def test_type_shared_looks_as_the_deployment_although_there_is_a_role() -> None:
    aws = customer_key(two_accounts(elsewhere("not-shared")))
    aws.rds_in(SOURCE_REGION).snapshots = [elsewhere("given")]
    made = plan(
        aws,
        source_accounts(),
        snapshot_identifier=None,
        source_cluster_id="orders",
        snapshot_selector={"type": "shared"},
        **FROM_THERE,
    )
    assert snapshot_name(made.snapshot_arn) == "given"
    assert made.route.share_snapshot  # what it finds shared may be another operation's


def test_what_nobody_shares_is_said_with_what_is() -> None:
    aws = FakeAws()
    aws.rds.snapshots = [
        snapshot("another", account=SOURCE_ACCOUNT, KmsKeyId=None),
        snapshot("strangers", account="999999999999"),
        snapshot("own"),
    ]
    error, field, cause = finding(aws, source_account_id=SOURCE_ACCOUNT)
    assert (error, field) == ("SourceAccountUnknown", "snapshot_identifier")
    assert "another (" in cause
    assert "strangers" not in cause
    assert "own (" not in cause


def test_a_role_that_cannot_be_taken_on_is_one_finding_of_several() -> None:
    aws = two_accounts(elsewhere())
    aws.others.clear()
    found = findings(aws, source_accounts(), db_parameter_group_name="nowhere", **FROM_THERE)
    assert [error for error, _, _ in found] == ["AssumeRoleFailed", "ParameterGroupInvalid"]


def test_everything_that_is_denied_is_told() -> None:
    aws = FakeAws()
    for operation in ("describe_db_cluster_snapshots", "describe_db_subnet_groups", "describe_account_attributes"):
        aws.rds.errors[operation] = [refused("AccessDenied", f"not {operation}")]
    aws.ec2.error = refused("UnauthorizedOperation", "not ec2")
    found = findings(aws)
    assert [error for error, _, _ in found] == ["AccessDenied"] * 4
    assert [field for _, field, _ in found] == [
        "snapshot_identifier", "db_subnet_group_name", "vpc_security_group_ids", None,
    ]  # fmt: skip


def test_throttling_ends_the_look_for_a_retry() -> None:
    aws = FakeAws(FakeRds(errors={"describe_db_subnet_groups": [refused("Throttling")]}))
    with pytest.raises(errors.Throttled) as caught:
        plan(aws, db_parameter_group_name="nowhere")
    assert "findings" not in caught.value.details


def test_a_wrong_way_to_say_which_snapshot_is_not_looked_for() -> None:
    aws = FakeAws()
    found = findings(aws, snapshot_identifier="arn:aws:s3:x", db_parameter_group_name="nowhere")
    assert [error for error, _, _ in found] == ["InvalidParameter", "ParameterGroupInvalid"]
    assert not aws.rds.made("describe_db_cluster_snapshots")


def test_a_deleted_clusters_snapshots_show_without_its_name() -> None:
    """RDS lists by cluster only those of one that exists."""
    aws = FakeAws()
    aws.rds.errors["describe_db_cluster_snapshots"] = [refused("DBClusterNotFoundFault")]
    made = plan(aws, snapshot_identifier=None, source_cluster_id="Orders", snapshot_selector={})
    assert made.snapshot_identifier == "orders-manual"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"StorageEncryptionType": "none", "StorageEncrypted": False}, KeyKind.NONE),
        ({"StorageEncrypted": False}, KeyKind.NONE),
        ({"StorageEncryptionType": "sse-rds", "StorageEncrypted": True}, KeyKind.AWS_OWNED),
        ({"StorageEncryptionType": "sse-rds", "StorageEncrypted": True, "KmsKeyId": "k"}, KeyKind.AWS_OWNED),
        # A model of before February 2026 drops the type.
        ({"StorageEncrypted": True}, KeyKind.AWS_OWNED),
        ({"StorageEncrypted": True, "KmsKeyId": "k"}, None),
        ({"StorageEncryptionType": "sse-kms", "StorageEncrypted": True, "KmsKeyId": "k"}, None),
    ],
)
def test_how_a_snapshot_is_encrypted(members: dict[str, Any], kind: KeyKind | None) -> None:
    assert keys.encryption_of(members) is kind


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"KeyState": "Disabled"}, "not enabled"),
        ({"KeyState": "PendingDeletion", "DeletionDate": NOW}, "pending deletion on 2026-11-23"),
        ({"KeyState": "PendingImport"}, "PendingImport"),
        ({"KeyUsage": "SIGN_VERIFY"}, "not for encryption"),
        ({"KeySpec": "RSA_2048"}, "not symmetric"),
    ],
)
def test_keys_that_rds_cannot_use(changes: dict[str, Any], words: str) -> None:
    aws = FakeAws()
    aws.kms.keys[SNAPSHOT_KEY_ARN] |= changes
    error, field, cause = finding(aws)
    assert (error, field) == ("SnapshotKeyUnusable", "snapshot_identifier")
    assert words in cause
    aws.kms.keys[KEY_ARN] |= changes
    aws.kms.keys[SNAPSHOT_KEY_ARN] = key(SNAPSHOT_KEY_ARN)
    error, field, cause = finding(aws, kms_key_id=KEY_ARN)
    assert (error, field) == ("TargetKeyInvalid", "kms_key_id")
    assert words in cause


def test_a_key_that_nobody_may_describe_names_who_may_not() -> None:
    aws = customer_key(two_accounts(elsewhere()))
    aws.kms.denied.add(SOURCE_KEY_ARN)
    aws.others[SOURCE_ACCOUNT].kms.denied.add(SOURCE_KEY_ARN)
    error, _, cause = finding(aws, source_accounts(), **FROM_THERE)
    assert error == "SnapshotKeyUnusable"
    assert source_accounts()[SOURCE_ACCOUNT]["role_arn"] in cause
    assert f"role in account {ACCOUNT}" in cause


def test_a_key_that_only_the_source_may_use_leads_over_its_share_key() -> None:
    aws = customer_key(two_accounts(elsewhere()), usable_by_target=False)
    [copy] = plan(aws, source_accounts(), **FROM_THERE).copies
    assert (copy.by_source_account, copy.kms_key_id) == (True, SHARE_KEY_ARN)


def test_a_share_key_has_to_be_usable_by_both() -> None:
    aws = two_accounts(elsewhere())
    aws.kms.denied.add(SHARE_KEY_ARN)
    error, field, cause = finding(aws, source_accounts(), **FROM_THERE)
    assert (error, field) == ("SnapshotKeyUnusable", "source_accounts")
    assert "the deployment's role" in cause
    aws.others[SOURCE_ACCOUNT].kms.keys[SHARE_KEY_ARN] |= {"KeyState": "Disabled"}
    assert "not enabled" in finding(aws, source_accounts(), **FROM_THERE)[2]


@pytest.mark.parametrize(
    ("kms_key_id", "words"),
    [
        ("alias/missing", "does not exist"),
        ("alias/aws/rds", "managed by AWS"),
        (f"arn:aws:kms:us-east-1:{ACCOUNT}:key/x", "of region us-east-1"),
        (SHARE_KEY_ARN, "of account 210987654321"),
    ],
)
def test_target_keys_that_will_not_do(kms_key_id: str, words: str) -> None:
    aws = FakeAws()
    default = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/default"
    aws.kms.keys |= {SHARE_KEY_ARN: key(SHARE_KEY_ARN), default: key(default, KeyManager="AWS")}
    aws.kms.aliases["alias/aws/rds"] = default
    error, field, cause = finding(aws, kms_key_id=kms_key_id)
    assert (error, field) == ("TargetKeyInvalid", "kms_key_id")
    assert words in cause
    if "does not exist" not in words and "region" not in words:
        made = plan(aws, kms_key_id=kms_key_id, require_local_customer_key=False)
        assert made.kms_key_id in (SHARE_KEY_ARN, default)
        assert made.warnings


def test_an_alias_becomes_the_keys_arn() -> None:
    aws = FakeAws()
    aws.kms.aliases["alias/staging"] = KEY_ARN
    made = plan(aws, kms_key_id="alias/staging")
    assert (made.kms_key_id, made.warnings) == (KEY_ARN, ())


@pytest.mark.parametrize("kms_key_id", [KEY_ARN, "banana", "11111111-2222-3333-4444-000000000000"])
def test_a_target_key_that_may_not_be_described_may_also_not_exist(kms_key_id: str) -> None:
    aws = FakeAws()
    aws.kms.denied.add(kms_key_id)
    error = finding(aws, kms_key_id=kms_key_id)
    assert error[:2] == ("TargetKeyInvalid", "kms_key_id")
    assert error[2].startswith(
        f"kms_key_id {kms_key_id} does not exist in {REGION}, or may not be described: DescribeKey"
    )
    with pytest.raises(errors.TargetKeyInvalid, match="let its policy and the function's role allow kms:DescribeKey"):
        plan(aws, kms_key_id=kms_key_id)


def test_the_deployments_key_that_may_not_be_described() -> None:
    aws = FakeAws(FakeRds(snapshots=[snapshot(KmsKeyId=None)]))
    aws.kms.denied.add(KEY_ARN)
    assert finding(aws)[2].startswith(f"The deployment's key {KEY_ARN} does not exist in {REGION}, or may not be")


def test_what_only_begins_like_an_arn_of_a_key() -> None:
    assert "does not exist" in finding(FakeAws(), kms_key_id="arn:x")[2]


def test_which_key_without_being_asked() -> None:
    """The snapshot's own only if it is a local customer key; else the deployment's, and the plan says so."""
    default = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/default"
    foreign = snapshot("foreign", account=SOURCE_ACCOUNT, KmsKeyId=SHARE_KEY_ARN)
    aws = FakeAws(
        FakeRds(
            snapshots=[
                snapshot("own"),
                snapshot("default", KmsKeyId=default),
                snapshot("owned", KmsKeyId=None),
                snapshot("plain", KmsKeyId=None, StorageEncrypted=False),
                foreign,
            ]
        )
    )
    aws.kms.keys |= {default: key(default, KeyManager="AWS"), SHARE_KEY_ARN: key(SHARE_KEY_ARN)}
    for name, local, kept in (
        ("own", SNAPSHOT_KEY_ARN, SNAPSHOT_KEY_ARN),
        ("default", KEY_ARN, default),
        ("owned", KEY_ARN, None),
        ("plain", KEY_ARN, KEY_ARN),
        (foreign["DBClusterSnapshotArn"], KEY_ARN, SHARE_KEY_ARN),
    ):
        made = plan(aws, snapshot_identifier=name)
        assert made.kms_key_id == local, name
        assert made.warnings == ()
        restored = next(step for step in made.steps if step.name == "RestoreCluster")
        assert bool(restored.reason) is (name != "own"), name
        assert plan(aws, snapshot_identifier=name, require_local_customer_key=False).kms_key_id == kept, name


def test_a_copy_cannot_keep_the_snapshots_key() -> None:
    aws = two_accounts(elsewhere())
    made = plan(aws, source_accounts(), require_local_customer_key=False, **FROM_THERE)
    assert made.kms_key_id == KEY_ARN


# --- room -----------------------------------------------------------------------------------------------------------


def test_the_101st_manual_snapshot() -> None:
    aws = two_accounts(elsewhere())
    full = aws.others[SOURCE_ACCOUNT].rds_in(REGION)
    full.snapshots = [snapshot(f"s{n}", account=SOURCE_ACCOUNT) for n in range(100)]
    error, _, cause = finding(aws, source_accounts(), **FROM_THERE)
    assert error == "SnapshotQuotaExceeded"
    assert (
        f"Account {SOURCE_ACCOUNT} has 100 of 100 manual cluster snapshots and would need 1 more in {REGION}" in cause
    )


def there_already(aws: FakeAws, **changes: Any) -> FakeRds:
    [copy] = plan(aws, source_accounts(), **FROM_THERE).copies
    place = aws.others[SOURCE_ACCOUNT].rds_in(REGION)
    place.snapshots = [snapshot(copy.identifier, account=SOURCE_ACCOUNT, **changes)]
    return place


def test_a_copy_that_is_there_needs_no_room_no_time_and_no_money() -> None:
    aws = two_accounts(elsewhere())
    there_already(aws, TagList=[{"Key": MANAGED_BY_TAG, "Value": "restore"}]).manual_snapshots = 1
    made = plan(aws, source_accounts(), **FROM_THERE)
    assert made.expected_seconds["copy-1"] == 0
    assert "is there already (available)" in made.steps[0].action
    assert [item.name for item in made.costs] == ["instances, per hour"]


def test_anothers_snapshot_under_the_copys_name() -> None:
    aws = two_accounts(elsewhere())
    there_already(aws, TagList=[{"Key": MANAGED_BY_TAG, "Value": "another"}])
    assert finding(aws, source_accounts(), **FROM_THERE)[:2] == ("CopyNameConflict", "reuse_copies")


def test_a_copy_that_has_failed_is_no_copy_to_use_again() -> None:
    aws = two_accounts(elsewhere())
    there_already(aws, TagList=[{"Key": MANAGED_BY_TAG, "Value": "restore"}], Status="failed")
    error, field, cause = finding(aws, source_accounts(), **FROM_THERE)
    assert (error, field) == ("CopyFailed", "reuse_copies")
    assert "is failed" in cause


def test_copies_in_flight_are_a_warning() -> None:
    aws = two_accounts(elsewhere())
    place = aws.others[SOURCE_ACCOUNT].rds_in(REGION)

    def in_flight(n: int, source_region: str) -> dict[str, Any]:
        source = f"arn:aws:rds:{source_region}:{SOURCE_ACCOUNT}:cluster-snapshot:x"
        return snapshot(f"c{n}", account=SOURCE_ACCOUNT, Status="copying", SourceDBClusterSnapshotArn=source)

    place.snapshots = [in_flight(n, SOURCE_REGION) for n in range(4)] + [in_flight(9, REGION)]
    calm = plan(aws, source_accounts(), **FROM_THERE)
    assert not any("in flight" in warning for warning in calm.warnings)
    place.snapshots.append(in_flight(4, SOURCE_REGION))
    made = plan(aws, source_accounts(), **FROM_THERE)
    assert any("5 copies into eu-west-1" in warning for warning in made.warnings)
    assert "when it is its turn" in made.steps[0].action


@pytest.mark.parametrize(
    ("quotas", "readers", "count"),
    [
        ({"DBClusters": (39, 40), "DBInstances": (37, 40)}, 2, 0),
        ({"DBClusters": (40, 40), "DBInstances": (38, 40)}, 2, 2),
        ({"DBInstances": (40, 40)}, 0, 1),
        ({}, 15, 0),
    ],
)
def test_quotas_of_the_target(quotas: dict[str, tuple[int, int]], readers: int, count: int) -> None:
    aws = FakeAws(FakeRds(quotas=quotas))
    found = findings(aws, readers=readers) if count else []
    assert [error for error, _, _ in found] == ["QuotaExceeded"] * count
    if not count:
        assert plan(aws, readers=readers)


# --- the target -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "error", "words"),
    [
        (subnet_group("databases", SubnetGroupStatus="Creating"), "SubnetGroupInvalid", "not complete"),
        (subnet_group("databases", zones="a"), "SubnetGroupInvalid", "2 are needed"),
        (subnet_group("databases", zones="de"), "InstanceClassUnavailable", "covers eu-west-1d, eu-west-1e"),
        (subnet_group("databases", VpcId="vpc-9"), "SecurityGroupInvalid", "is in vpc-9"),
    ],
)
def test_subnet_groups_that_will_not_do(group: dict[str, Any], error: str, words: str) -> None:
    found = finding(FakeAws(FakeRds(subnet_groups={"databases": group})))
    assert found[0] == error
    assert words in found[2]


def test_one_zone_in_common_is_enough() -> None:
    assert plan(FakeAws(FakeRds(subnet_groups={"databases": subnet_group("databases", zones="cd")})))


def test_a_security_group_that_is_not_there() -> None:
    found = finding(FakeAws(), vpc_security_group_ids=["sg-0123456789abcdef0", "sg-9"])
    assert found[:2] == ("SecurityGroupInvalid", "vpc_security_group_ids")
    assert found[2] == "There is no security group sg-9."


def test_a_target_that_this_very_operation_has_made_is_free() -> None:
    own = {
        "TagList": [{"Key": MANAGED_BY_TAG, "Value": "restore"}, {"Key": "aurora-restore:operation-id", "Value": "op"}]
    }
    assert plan(FakeAws(FakeRds(clusters={"orders-staging": own})))


def test_an_automated_snapshot_that_is_about_to_expire() -> None:
    def warnings(days: int) -> tuple[str, ...]:
        aws = FakeAws(FakeRds(snapshots=[snapshot("rds:s", BackupRetentionPeriod=days)]))
        return plan(aws, snapshot_identifier="rds:s").warnings

    assert warnings(7) == ()
    [warning] = warnings(1)
    assert "retention period" in warning


# --- sources, costs, durations --------------------------------------------------------------------------------------


def test_source_accounts() -> None:
    known = sources.parse(json.dumps(source_accounts()))
    assert known[SOURCE_ACCOUNT].role.account == SOURCE_ACCOUNT
    assert known[SOURCE_ACCOUNT].share_kms_key_arns == {REGION: SHARE_KEY_ARN}
    assert sources.parse(None) == sources.parse("{}") == {}
    assert sources.parse(json.dumps(source_accounts(share_kms_key_arns=None)))[SOURCE_ACCOUNT].share_kms_key_arns == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"1": {}}',
        json.dumps({SOURCE_ACCOUNT: "x"}),
        json.dumps(source_accounts(role_arn=None)),
        json.dumps(source_accounts(external_id="")),
        json.dumps(source_accounts(share_kms_key_arns=["x"])),
        json.dumps(source_accounts(share_kms_key_arns={"eu-west-1": "alias/x"})),
    ],
)
def test_malformed_source_accounts(text: str) -> None:
    with pytest.raises(errors.ConfigurationInvalid) as caught:
        sources.parse(text)
    assert caught.value.field == "source_accounts"
    assert "an-external-id" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("db.r6g.large", 0.26),
        ("db.r6g.2xlarge", 1.04),
        ("db.r5.24xlarge", 13.92),
        ("db.t4g.medium", 0.073),
        ("db.x9.large", None),
        ("db.serverless", None),
    ],
)
def test_prices(name: str, price: float | None) -> None:
    found = costs.class_per_hour(name)
    assert found == (None if price is None else pytest.approx(price))


def test_costs_of_a_kept_copy_of_serverless_and_of_what_is_unknown() -> None:
    aws = two_accounts(elsewhere(AllocatedStorage=1000))
    made = plan(
        aws,
        source_accounts(),
        keep_copies=True,
        db_instance_class="db.serverless",
        serverless_v2_scaling={"min_capacity": 0.5, "max_capacity": 4},
        readers=1,
        storage_type="aurora-iopt1",
        **FROM_THERE,
    )
    transfer, storage, instances = made.costs
    assert (transfer.usd, storage.usd, instances.usd) == (20.0, 21.0, 0.156)
    assert "per month" in storage.name
    assert "$1.25 at the highest" in instances.basis
    aws = FakeAws(FakeRds(classes=("db.x9.large",)))
    [unknown] = plan(aws, db_instance_class="db.x9.large").costs
    assert unknown.usd is None
    assert "not known" in unknown.basis


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (45, "45 s"), (60, "1 min"), (3590, "1 h"), (7500, "2 h 5 min"), (86400, "1 d"), (273600, "3 d 4 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert durations.told(seconds) == words
