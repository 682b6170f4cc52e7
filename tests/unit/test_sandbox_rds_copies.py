"""Copies of snapshots over accounts and regions, and what is shared. Each rule cites aws-facts by its section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.rds_harness import ACCOUNT as SOURCE
from tests.unit.rds_harness import OTHER_ACCOUNT as TARGET
from tests.unit.rds_harness import REGION, Plane, World, key_arn, refused
from tests.unit.rds_harness import world as make_world

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = "us-east-1"
NEW = "8.0.mysql_aurora.3.08.2"
INACCESSIBLE = r"The source snapshot KMS key \[{}\] does not exist, is not enabled or you do not have permissions"


@pytest.fixture
def world() -> Iterator[World]:
    with make_world() as made:
        yield made


def cluster(world: World, key: str = "own", **params: Any) -> None:
    world.cluster(StorageEncrypted=True, KmsKeyId=key_arn(key), **params)


def shared(world: World) -> str:
    """A snapshot of the source account under a customer key, shared with the target account; its ARN."""
    cluster(world)
    arn: str = world.snapshot()["DBClusterSnapshotArn"]
    world.share("snap", TARGET)
    return arn


def copy(
    world: World, source: str, target: str = "copy", account: str = TARGET, region: str = REGION, **params: Any
) -> Any:
    names = {"SourceDBClusterSnapshotIdentifier": source, "TargetDBClusterSnapshotIdentifier": target}
    return world.call("CopyDBClusterSnapshot", account, region, **names, **params)["DBClusterSnapshot"]


def shown(world: World, name: str = "copy", account: str = TARGET, region: str = REGION) -> dict[str, Any]:
    answer = world.call("DescribeDBClusterSnapshots", account, region, DBClusterSnapshotIdentifier=name)
    return dict(answer["DBClusterSnapshots"][0])


def found(world: World, account: str = TARGET, region: str = REGION, **params: Any) -> set[str]:
    answer = world.call("DescribeDBClusterSnapshots", account, region, **params)
    return {snapshot["DBClusterSnapshotIdentifier"] for snapshot in answer["DBClusterSnapshots"]}


def delete(world: World, name: str, account: str = SOURCE, region: str = REGION) -> None:
    world.call("DeleteDBClusterSnapshot", account, region, DBClusterSnapshotIdentifier=name)


def failures(world: World, account: str = TARGET, region: str = REGION) -> list[str]:
    answer = world.call("DescribeEvents", account, region, EventCategories=["failure"], Duration=1440)
    return [event["Message"] for event in answer["Events"]]


def unshare(world: World, name: str = "snap") -> None:
    world.call(
        "ModifyDBClusterSnapshotAttribute",
        DBClusterSnapshotIdentifier=name,
        AttributeName="restore",
        ValuesToRemove=[TARGET],
    )


# ---- where to, and under which key


def test_one_copy_crosses_account_and_region_2_2(world: World) -> None:
    """aws-facts 2.2: in one step since September 2025, called in the destination; the copy is manual and its own."""
    arn = shared(world)
    key = world.keys.add("local", TARGET, FAR)
    begun = copy(world, arn, region=FAR, KmsKeyId=key)
    assert (begun["Status"], begun["PercentProgress"]) == ("copying", 0)
    world.after(world.rds.timings.copy(1, same_region=False) + 1)
    done = shown(world, region=FAR)
    assert (done["Status"], done["PercentProgress"], done["SnapshotType"]) == ("available", 100, "manual")
    assert done["DBClusterSnapshotArn"] == f"arn:aws:rds:{FAR}:{TARGET}:cluster-snapshot:copy"
    assert (done["SourceDBClusterSnapshotArn"], done["KmsKeyId"]) == (arn, key)
    assert (done["DBClusterIdentifier"], done["DBClusterSnapshotIdentifier"]) == ("source", "copy")
    assert found(world) == found(world, SOURCE, FAR) == set()


def test_one_copy_crosses_the_account_alone_2_2(world: World) -> None:
    """aws-facts 2.2: the shared snapshot's region, the target's account."""
    arn = shared(world)
    copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))
    world.after(world.rds.timings.copy(1, same_region=True) + 1)
    assert shown(world)["Status"] == "available"


def test_what_is_not_shared_is_not_there_1(world: World) -> None:
    """aws-facts 1: automated snapshots and AWS Backup's cannot be shared, so that nobody else ever copies them."""
    cluster(world)
    arns = [
        world.snapshot()["DBClusterSnapshotArn"],
        world.rds.take_automated_snapshot(SOURCE, REGION, "source"),
        world.rds.take_backup_snapshot(SOURCE, REGION, "source", "7f2c"),
    ]
    world.after(200)
    for arn in arns:
        with refused("DBClusterSnapshotNotFoundFault"):
            copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))


@pytest.mark.parametrize("kind", ["automated", "backup"])
def test_the_owner_copies_automated_and_backup_ones_into_any_region_1(world: World, kind: str) -> None:
    """aws-facts 1: the copy is manual, so that it can be shared."""
    cluster(world)
    if kind == "automated":
        arn = world.rds.take_automated_snapshot(SOURCE, REGION, "source")
    else:
        arn = world.rds.take_backup_snapshot(SOURCE, REGION, "source", "7f2c")
    world.after(200)
    copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=world.keys.add("share", SOURCE, FAR))
    world.after(world.rds.timings.copy(1, same_region=False) + 1)
    assert shown(world, account=SOURCE, region=FAR)["SnapshotType"] == "manual"


def test_a_shared_snapshot_is_copied_by_its_arn_only_1(world: World) -> None:
    """aws-facts 1: "must use full ARN"."""
    shared(world)
    with refused("DBClusterSnapshotNotFoundFault"):
        copy(world, "snap", KmsKeyId=world.keys.add("local", TARGET, REGION))


@pytest.mark.parametrize(("account", "region"), [(TARGET, REGION), (TARGET, FAR), (SOURCE, FAR)])
def test_an_encrypted_copy_from_elsewhere_needs_a_key_2_2(world: World, account: str, region: str) -> None:
    """aws-facts 2.2: KmsKeyId is mandatory when encrypted and cross-region or shared from another account."""
    arn = shared(world)
    with refused("InvalidParameterCombination", "KmsKeyId is required"):
        copy(world, arn, account=account, region=region)


def test_an_encrypted_copy_at_home_keeps_its_key_unless_told_2_2(world: World) -> None:
    """aws-facts 2.2: KmsKeyId is optional in the same account and region."""
    cluster(world)
    world.snapshot()
    assert copy(world, "snap", "same", SOURCE)["KmsKeyId"] == key_arn("own")
    assert copy(world, "snap", "other", SOURCE, KmsKeyId=key_arn("second"))["KmsKeyId"] == key_arn("second")


def test_an_unencrypted_snapshot_stays_so_and_takes_no_key_2_1(world: World) -> None:
    """aws-facts 2.1: "you can't encrypt an unencrypted DB cluster snapshot when you copy it": not elsewhere either."""
    cluster(world)
    arn = world.snapshot()["DBClusterSnapshotArn"]
    world.rds.set_encryption(arn, "none")
    world.share("snap", TARGET)
    with refused("InvalidParameterCombination", "can't encrypt an unencrypted"):
        copy(world, arn, region=FAR, KmsKeyId=world.keys.add("local", TARGET, FAR))
    assert copy(world, arn, region=FAR)["StorageEncryptionType"] == "none"
    world.share("snap", "all")
    assert copy(world, arn, account="777788889999")["StorageEncrypted"] is False


@pytest.mark.parametrize(
    "name", ["rds:source-2026-11-01", "awsbackup:job-7f2c", "9lives", "two--hyphens", "end-", "a" * 64]
)
def test_names_that_a_copy_cannot_have_1(world: World, name: str) -> None:
    """aws-facts 1: 1-63 letters, digits, hyphens; a letter first; neither two hyphens nor one at the end; no colons."""
    arn = shared(world)
    with refused("InvalidParameterValue", "not a valid identifier"):
        copy(world, arn, name, KmsKeyId=world.keys.add("local", TARGET, REGION))


@pytest.mark.parametrize("key", ["of the source's region", "disabled", "of nobody"])
def test_the_copy_s_key_must_be_usable_in_the_destination_2_2(world: World, key: str) -> None:
    """aws-facts 2.2: a key valid in the destination region; 2.4: one code and text for all that is wrong with it."""
    arn = shared(world)
    keys = {
        "of the source's region": world.keys.add("near", TARGET, REGION),
        "disabled": world.keys.add("off", TARGET, FAR),
        "of nobody": key_arn("none", TARGET, FAR),
    }
    world.keys.disable(keys["disabled"])
    with refused("KMSKeyNotAccessibleFault"):
        copy(world, arn, region=FAR, KmsKeyId=keys[key])


def test_a_disabled_source_key_is_refused_in_aws_words_2_4(world: World) -> None:
    """aws-facts 2.4: "The source snapshot KMS key [arn] does not exist, is not enabled or …"."""
    arn = shared(world)
    world.keys.disable(key_arn("own"))
    with refused("KMSKeyNotAccessibleFault", INACCESSIBLE.format(key_arn("own"))):
        copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))


FOREIGN = ("DescribeKey", "Decrypt", "CreateGrant", "ReEncryptFrom", "GenerateDataKeyWithoutPlaintext")


@pytest.mark.parametrize("action", FOREIGN)
def test_every_permission_on_a_foreign_source_key_counts_2_4(world: World, action: str) -> None:
    """aws-facts 2.4, source key → target role: all five, asked for through RDS in the caller's name."""
    arn = shared(world)
    local = world.keys.add("local", TARGET, REGION)
    world.denied.add(f"kms:{action}")
    with refused("KMSKeyNotAccessibleFault", INACCESSIBLE.format(key_arn("own"))):
        copy(world, arn, KmsKeyId=local)
    world.denied.clear()
    copy(world, arn, KmsKeyId=local)


def test_the_owner_of_a_key_needs_but_grant_and_description_2_4(world: World) -> None:
    """aws-facts 2.4: "To create a resource with a CMK the caller needs only kms:CreateGrant + kms:DescribeKey"."""
    cluster(world)
    world.snapshot()
    world.asked.clear()
    copy(world, "snap", account=SOURCE, KmsKeyId=key_arn("second"))
    assert {(action, key) for action, key, _ in world.asked} == {
        (f"kms:{action}", key_arn(key)) for action in ("CreateGrant", "DescribeKey") for key in ("own", "second")
    }
    grants = [context for action, _, context in world.asked if action == "kms:CreateGrant"]
    assert all(context["kms:GrantIsForAWSResource"] == "true" for context in grants)


@pytest.mark.parametrize("region", [REGION, FAR])
def test_the_source_key_must_be_open_through_both_regions_2_4(world: World, region: str) -> None:
    """aws-facts 2.4: which region kms:ViaService names in a cross-region copy is not known: allow both."""
    arn = shared(world)
    local = world.keys.add("local", TARGET, FAR)
    world.denied.add(("kms:Decrypt", f"rds.{region}.amazonaws.com"))
    with refused("KMSKeyNotAccessibleFault", INACCESSIBLE.format(key_arn("own"))):
        copy(world, arn, region=FAR, KmsKeyId=local)


def test_the_copy_s_key_is_asked_for_through_its_own_region_2_4(world: World) -> None:
    arn = shared(world)
    local = world.keys.add("local", TARGET, FAR)
    copy(world, arn, region=FAR, KmsKeyId=local)
    assert {context["kms:ViaService"] for _, key, context in world.asked if key == local} == {
        f"rds.{FAR}.amazonaws.com"
    }


def test_default_keys_open_within_their_account_and_region_only_2_1(world: World) -> None:
    """aws-facts 2.1, 2.2: aws/rds is a dead end for others; its owner copies from it, and into it, without asking."""
    world.cluster(StorageEncrypted=True, KmsKeyId="alias/aws/rds")
    arn = world.snapshot()["DBClusterSnapshotArn"]
    far_default = world.keys.add("alias/aws/rds", SOURCE, FAR, aws_managed=True)
    world.denied.update(f"kms:{action}" for action in FOREIGN)
    assert copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=far_default)["KmsKeyId"] == far_default
    world.denied.clear()
    world.rds.kit.store.region(SOURCE, REGION).snapshots["snap"].shared_with.add(TARGET)  # AWS does not get this far
    with refused("KMSKeyNotAccessibleFault", "aws-rds"):
        copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))


def test_an_aws_owned_key_needs_another_one_across_regions_2_1(world: World) -> None:
    """aws-facts 2.1: sse-rds is encrypted, too: a copy elsewhere needs a KmsKeyId, one at home does not."""
    world.cluster()
    arn = world.snapshot()["DBClusterSnapshotArn"]
    assert copy(world, arn, "home", SOURCE)["StorageEncryptionType"] == "sse-rds"
    with refused("InvalidParameterCombination", "KmsKeyId is required"):
        copy(world, arn, account=SOURCE, region=FAR)
    share_key = world.keys.add("share", SOURCE, FAR)
    assert copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=share_key)["StorageEncryptionType"] == "sse-kms"


def test_tags_are_inherited_only_on_request_and_from_oneself_2_2(world: World) -> None:
    """aws-facts 2.2: "CopyTags=False by default; when Tags are given, don't rely on inherited ones"."""
    cluster(world)
    arn = world.snapshot(Tags=[{"Key": "team", "Value": "a"}])["DBClusterSnapshotArn"]
    world.share("snap", TARGET)
    own = [{"Key": "mine", "Value": "b"}]
    assert copy(world, arn, "none", SOURCE)["TagList"] == []
    assert copy(world, arn, "both", SOURCE, CopyTags=True, Tags=own)["TagList"] == own
    assert copy(world, arn, "inherited", SOURCE, CopyTags=True)["TagList"] == [{"Key": "team", "Value": "a"}]
    assert copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION), CopyTags=True)["TagList"] == []


def test_china_is_an_island_2_2(world: World) -> None:
    """aws-facts 2.2: no copies to or from Beijing and Ningxia, nor across partitions."""
    arn = shared(world)
    with refused("InvalidParameterValue", "China"):
        copy(world, arn, account=SOURCE, region="cn-north-1", KmsKeyId=world.keys.add("c", SOURCE, "cn-north-1"))


def test_a_source_that_is_not_available_is_refused_2_2(world: World) -> None:
    arn = shared(world)
    world.rds.hold_status(arn, "copying")
    with refused("InvalidDBClusterSnapshotStateFault", "not in the available state"):
        copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))


# ---- how many, how long


def test_the_sixth_copy_from_other_regions_is_refused_2_2(world: World) -> None:
    """aws-facts 2.2: five in flight per destination region and account; those within the region do not count."""
    arn = shared(world)
    local, far = world.keys.add("local", TARGET, FAR), world.keys.add("share", SOURCE, FAR)
    near = copy(world, arn, "near", region=FAR, KmsKeyId=local)["DBClusterSnapshotArn"]
    world.after(1000)
    for number in range(5):
        copy(world, near, f"near-{number}", region=FAR)
        copy(world, arn, f"copy-{number}", region=FAR, KmsKeyId=local)
    with refused("SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions"):
        copy(world, arn, "copy-5", region=FAR, KmsKeyId=local)
    copy(world, arn, "elsewhere", region="eu-north-1", KmsKeyId=world.keys.add("north", TARGET, "eu-north-1"))
    copy(world, arn, "other-account", SOURCE, FAR, KmsKeyId=far)
    delete(world, "copy-0", TARGET, FAR)
    copy(world, arn, "copy-5", region=FAR, KmsKeyId=local)


def test_a_limit_of_copies_can_be_lowered_in_one_place(world: World) -> None:
    arn = shared(world)
    local, far = world.keys.add("local", TARGET, FAR), world.keys.add("share", SOURCE, FAR)
    world.rds.set_quota("CrossRegionClusterSnapshotCopies", 0, TARGET, FAR)
    with refused("SnapshotQuotaExceeded", "more than 0"):
        copy(world, arn, region=FAR, KmsKeyId=local)
    copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=far)
    with pytest.raises(ValueError, match="no quota 'Copies'"):
        world.rds.set_quota("Copies", 0)


def test_copies_of_one_source_wait_for_each_other_without_progress_2_2(world: World) -> None:
    """aws-facts 2.2: "queued serially … with no progress shown (PercentProgress 0)"."""
    arn = shared(world)
    world.rds.set_volume_size(SOURCE, REGION, "source", 1000)
    other = world.snapshot("large")["DBClusterSnapshotArn"]
    world.after(1000)
    world.share("large", TARGET)
    local = world.keys.add("local", TARGET, FAR)
    one = world.rds.timings.copy(1000, same_region=False)
    for name in ("first", "second"):
        copy(world, other, name, region=FAR, KmsKeyId=local)
    copy(world, arn, "another-source", region=FAR, KmsKeyId=local)
    world.after(one / 2)
    assert shown(world, "another-source", region=FAR)["Status"] == "available"
    progress = {name: shown(world, name, region=FAR) for name in ("first", "second")}
    assert {name: (one["Status"], one["PercentProgress"]) for name, one in progress.items()} == {
        "first": ("copying", 50),
        "second": ("copying", 0),
    }
    world.after(one)
    assert [shown(world, name, region=FAR)["PercentProgress"] for name in ("first", "second")] == [100, 50]
    world.after(one)
    assert shown(world, "second", region=FAR)["Status"] == "available"


def test_a_copy_takes_time_by_its_size_and_distance_2_2(world: World) -> None:
    """aws-facts 2.2: each copy is a full copy; "hours are normal"."""
    timings = world.rds.timings
    assert timings.copy(5000, same_region=False) > timings.copy(5000, same_region=True) > 3600
    cluster(world)
    world.rds.set_volume_size(SOURCE, REGION, "source", 5000)
    arn = world.snapshot()["DBClusterSnapshotArn"]
    world.after(5000)
    copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=world.keys.add("share", SOURCE, FAR))
    world.after(timings.copy(5000, same_region=True))
    assert shown(world, account=SOURCE, region=FAR)["Status"] == "copying"
    world.after(timings.copy(5000, same_region=False) - timings.copy(5000, same_region=True) + 1)
    assert shown(world, account=SOURCE, region=FAR)["Status"] == "available"


def test_the_101st_manual_snapshot_is_refused_where_the_copy_goes_7(world: World) -> None:
    """aws-facts 7: 100 manual cluster snapshots per account and region; used and max come from the attributes."""
    arn = shared(world)
    key = world.keys.add("near", TARGET, REGION)
    for number in range(100):
        copy(world, arn, f"copy-{number}", KmsKeyId=key)
    with refused("SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots"):
        copy(world, arn, "copy-100", KmsKeyId=key)

    def used(account: str, region: str = REGION) -> tuple[int, int]:
        quotas = world.call("DescribeAccountAttributes", account, region)["AccountQuotas"]
        [one] = [quota for quota in quotas if quota["AccountQuotaName"] == "ManualClusterSnapshots"]
        return one["Used"], one["Max"]

    assert (used(TARGET), used(SOURCE), used(TARGET, FAR)) == ((100, 100), (1, 100), (0, 100))
    world.rds.set_quota("ManualClusterSnapshots", 7, TARGET, REGION)
    assert (used(TARGET), used(SOURCE)) == ((100, 7), (1, 100))


def test_attributes_do_not_tell_how_many_copies_may_be_in_flight_7(world: World) -> None:
    names = {quota["AccountQuotaName"] for quota in world.call("DescribeAccountAttributes")["AccountQuotas"]}
    assert {"ManualClusterSnapshots", "DBClusters", "DBInstances"} <= names
    assert not any("Copies" in name for name in names)


# ---- the grants of RDS, and what is lost in mid-copy


def begin_far_copy(world: World) -> str:
    arn = shared(world)
    copy(world, arn, region=FAR, KmsKeyId=world.keys.add("local", TARGET, FAR))
    world.after(1)
    return arn


def test_rds_grants_itself_both_keys_for_the_time_of_the_copy_2_4(world: World) -> None:
    begin_far_copy(world)
    assert sorted(world.keys.grants.values()) == sorted([key_arn("own"), key_arn("local", TARGET, FAR)])
    world.after(1000)
    assert world.keys.grants == {}
    assert (shown(world, region=FAR)["Status"], failures(world, region=FAR)) == ("available", [])


@pytest.mark.parametrize("whose", ["source", "copy"])
def test_a_revoked_grant_fails_the_copy_2_4(world: World, whose: str) -> None:
    begin_far_copy(world)
    key = key_arn("own") if whose == "source" else key_arn("local", TARGET, FAR)
    [grant] = [grant for grant, of in world.keys.grants.items() if of == key]
    world.keys.retire(key, grant)
    world.after(1000)
    failed = shown(world, region=FAR)
    assert (failed["Status"], failed["PercentProgress"]) == ("failed", 0)
    [message] = failures(world, region=FAR)
    assert f"KMS key [{key}] does not exist" in message
    assert world.keys.grants == {}, "the other grant is retired"


def test_a_key_that_is_disabled_fails_the_copy_2_4(world: World) -> None:
    begin_far_copy(world)
    world.keys.disable(key_arn("own"))
    world.after(1000)
    assert shown(world, region=FAR)["Status"] == "failed"


def test_a_source_that_is_deleted_fails_the_copy_2_2(world: World) -> None:
    """aws-facts 2.2: "Deleting the source before the target is available may fail the copy"."""
    arn = begin_far_copy(world)
    delete(world, "snap")
    world.after(1000)
    assert shown(world, region=FAR)["Status"] == "failed"
    assert failures(world, region=FAR) == [f"The source snapshot {arn} was deleted before the copy was complete."]


def test_a_source_that_is_no_longer_shared_fails_the_copy_2_2(world: World) -> None:
    begin_far_copy(world)
    unshare(world)
    world.after(1000)
    assert shown(world, region=FAR)["Status"] == "failed"
    assert "no longer shared" in failures(world, region=FAR)[0]


def test_a_failed_copy_can_be_deleted_and_those_behind_it_go_on_2_2(world: World) -> None:
    arn = begin_far_copy(world)
    copy(world, arn, "next", region=FAR, KmsKeyId=key_arn("local", TARGET, FAR))
    [grant] = [grant for grant in world.keys.grants if grant.startswith("grant-0-")]
    world.keys.retire(key_arn("own"), grant)
    world.after(1000)
    assert (shown(world, region=FAR)["Status"], shown(world, "next", region=FAR)["Status"]) == ("failed", "available")
    delete(world, "copy", TARGET, FAR)
    world.after(60)
    assert found(world, region=FAR) == {"next"}


def test_deleting_the_copy_cancels_it_2_2(world: World) -> None:
    """aws-facts 2.2: "Cancel a copy = DeleteDBClusterSnapshot on the target while copying": also one in the queue."""
    arn = begin_far_copy(world)
    for name in ("second", "third"):
        copy(world, arn, name, region=FAR, KmsKeyId=key_arn("local", TARGET, FAR))
    for name in ("copy", "second"):
        delete(world, name, TARGET, FAR)
    world.after(60)
    assert found(world, region=FAR) == {"third"}
    assert len(world.keys.grants) == 2
    assert shown(world, "third", region=FAR)["PercentProgress"] > 0, "it was its turn at once"
    world.after(1000)
    assert (world.keys.grants, failures(world, region=FAR)) == ({}, [])


def test_a_test_can_let_a_copy_fail_or_hold_it(world: World) -> None:
    arn = shared(world)
    local = world.keys.add("local", TARGET, FAR)
    target = f"arn:aws:rds:{FAR}:{TARGET}:cluster-snapshot:"
    world.rds.fail_resource(f"{target}bad", "failed", "Copy failed.")
    world.rds.hold_status(f"{target}held", "copying")
    for name in ("bad", "held"):
        copy(world, arn, name, region=FAR, KmsKeyId=local)
    world.after(1000)
    assert [shown(world, name, region=FAR)["Status"] for name in ("bad", "held")] == ["failed", "copying"]
    assert world.keys.grants != {}
    world.rds.release_status(f"{target}held")
    assert shown(world, "held", region=FAR)["Status"] == "available"
    assert world.keys.grants == {}


def test_a_copy_s_volume_is_made_when_its_turn_comes_and_goes_with_it() -> None:
    plane = Plane()
    with make_world(plane=plane) as world:
        arn = begin_far_copy(world)
        copy(world, arn, "second", region=FAR, KmsKeyId=key_arn("local", TARGET, FAR))
        assert [done[0] for done in plane.done].count("copy_volume") == 2, "the snapshot's own, and the first copy's"
        world.after(1000)
        [first, second] = [done[2] for done in plane.done if done[0] == "copy_volume"][1:]
        for name in ("copy", "second"):
            delete(world, name, TARGET, FAR)
        world.after(60)
        assert plane.done[-2:] == [("delete_volume", first), ("delete_volume", second)]


# ---- sharing, beside test_sandbox_rds_snapshots


def test_a_share_that_is_withdrawn_takes_the_snapshot_away_1(world: World) -> None:
    """aws-facts 1: a shared snapshot is there for others as long as its owner shares it, and has it."""
    arn = shared(world)
    assert found(world, SnapshotType="shared") == {arn}
    unshare(world)
    assert found(world, SnapshotType="shared") == found(world, IncludeShared=True) == set()
    with refused("DBClusterSnapshotNotFoundFault"):
        copy(world, arn, KmsKeyId=world.keys.add("local", TARGET, REGION))
    world.share("snap", TARGET)
    delete(world, "snap")
    assert found(world, SnapshotType="shared") == set()


def test_only_the_owner_shares_or_looks_at_the_shares_1(world: World) -> None:
    """aws-facts 1, shared-in: "no (owner only)"."""
    arn = shared(world)
    with refused("DBClusterSnapshotNotFoundFault"):
        world.call("DescribeDBClusterSnapshotAttributes", TARGET, DBClusterSnapshotIdentifier=arn)
    with refused("DBClusterSnapshotNotFoundFault"):
        world.call(
            "ModifyDBClusterSnapshotAttribute",
            TARGET,
            DBClusterSnapshotIdentifier=arn,
            AttributeName="restore",
            ValuesToAdd=["777788889999"],
        )
    with refused("DBClusterSnapshotNotFoundFault"):
        delete(world, arn, TARGET)


def test_a_copy_can_be_shared_once_it_is_available_1(world: World) -> None:
    cluster(world)
    world.snapshot()
    copy(world, "snap", account=SOURCE)
    with refused("InvalidDBClusterSnapshotStateFault", "not available"):
        world.share("copy", TARGET)
    world.after(1000)
    world.share("copy", TARGET)


def test_the_twenty_first_account_is_refused_1(world: World) -> None:
    """aws-facts 1: max 20 accounts, SharedSnapshotQuotaExceeded; one may go as another comes."""
    cluster(world)
    world.snapshot()
    world.share("snap", *(f"{number:012}" for number in range(20)))
    with refused("SharedSnapshotQuotaExceeded"):
        world.share("snap", TARGET)
    world.call(
        "ModifyDBClusterSnapshotAttribute",
        DBClusterSnapshotIdentifier="snap",
        AttributeName="restore",
        ValuesToAdd=[TARGET],
        ValuesToRemove=["000000000000"],
    )


@pytest.mark.parametrize("kind", ["awsbackup", "nonsense"])
def test_types_that_the_describe_does_not_know_1(world: World, kind: str) -> None:
    """aws-facts 1: SnapshotType awsbackup is documented for DB snapshots only and "does not apply to Aurora"."""
    with refused("InvalidParameterValue", f"Invalid snapshot type: {kind}"):
        found(world, SnapshotType=kind)


def test_aws_backup_s_snapshots_are_found_without_a_type_1(world: World) -> None:
    """aws-facts 1: they show as awsbackup (observed), neither as automated nor as manual; by name they need no type."""
    cluster(world)
    arn = world.rds.take_backup_snapshot(SOURCE, REGION, "source", "7f2c")
    world.after(200)
    assert found(world, SOURCE, DBClusterIdentifier="source") == {"awsbackup:job-7f2c"}
    assert found(world, SOURCE, SnapshotType="manual") == found(world, SOURCE, SnapshotType="automated") == set()
    assert shown(world, arn, SOURCE)["SnapshotType"] == shown(world, "awsbackup:job-7f2c", SOURCE)["SnapshotType"]


# ---- restoring what another account shares


def restore(world: World, snapshot: str, **params: Any) -> Any:
    given = {"DBClusterIdentifier": "target", "Engine": "aurora-mysql", "EngineVersion": NEW}
    answer = world.call("RestoreDBClusterFromSnapshot", TARGET, SnapshotIdentifier=snapshot, **given, **params)
    return answer["DBCluster"]


def test_a_shared_encrypted_snapshot_is_restored_directly_under_a_local_key_2_3(world: World) -> None:
    """aws-facts 2.3: Aurora: allowed directly, in the same region; a local KmsKeyId makes the cluster independent."""
    arn = shared(world)
    local = world.keys.add("local", TARGET, REGION)
    assert restore(world, arn, KmsKeyId=local)["KmsKeyId"] == local


@pytest.mark.parametrize("action", FOREIGN)
def test_a_direct_restore_needs_the_owner_s_key_whatever_key_is_given_2_4(world: World, action: str) -> None:
    arn = shared(world)
    local = world.keys.add("local", TARGET, REGION)
    world.denied.add(f"kms:{action}")
    with refused("KMSKeyNotAccessibleFault", INACCESSIBLE.format(key_arn("own"))):
        restore(world, arn, KmsKeyId=local)


def test_a_direct_restore_needs_the_arn_and_the_share_1(world: World) -> None:
    """aws-facts 1: "must use full ARN"."""
    arn = shared(world)
    with refused("DBClusterSnapshotNotFoundFault"):
        restore(world, "snap")
    unshare(world)
    with refused("DBClusterSnapshotNotFoundFault"):
        restore(world, arn)
    copied = copy(world, arn, account=SOURCE, region=FAR, KmsKeyId=world.keys.add("share", SOURCE, FAR))
    world.after(1000)
    world.call(
        "ModifyDBClusterSnapshotAttribute",
        SOURCE,
        FAR,
        DBClusterSnapshotIdentifier="copy",
        AttributeName="restore",
        ValuesToAdd=[TARGET],
    )
    with refused("DBClusterSnapshotNotFoundFault"):  # aws-facts 2.3: restore to another region: copy first
        restore(world, copied["DBClusterSnapshotArn"])


def test_what_an_older_day_left_can_be_made(world: World) -> None:
    """aws-facts 2.1: unencrypted clusters of before 2026-02-18 stay so, as do their snapshots and copies."""
    world.cluster()
    world.rds.set_encryption(f"arn:aws:rds:{REGION}:{SOURCE}:cluster:source", "none")
    arn = world.rds.take_automated_snapshot(SOURCE, REGION, "source")
    world.after(200)
    assert copy(world, arn, account=SOURCE, region=FAR)["StorageEncrypted"] is False
