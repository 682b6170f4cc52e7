"""Which snapshot is meant: the rules on lists, and the looks in a fake RDS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import errors, names, selection
from aurora_restore.model import SnapshotKind, SnapshotSelector
from aurora_restore.selection import Rule, Selection
from tests.unit.core_support import ACCOUNT, NOW, REGION, SOURCE_ACCOUNT, snapshot

PIPELINES = names.tag_list(names.operation_tags(deployment="arp", operation_id="op", tags={}))
RULE = Rule(account=ACCOUNT, region=REGION, cluster="orders", said_by="snapshot_selector")


def rule(**selector: Any) -> Rule:
    return replace(RULE, selector=SnapshotSelector(**selector))


def choose(found: Sequence[dict[str, Any]], by: Rule = RULE, *, living: str | None = None) -> Selection:
    return selection.choose(found, by, NOW, living=lambda: living)


def chosen(found: Sequence[dict[str, Any]], by: Rule = RULE, *, living: str | None = None) -> str:
    made = choose(found, by, living=living)
    assert made.snapshot is not None
    return str(made.snapshot["DBClusterSnapshotIdentifier"])


def problem(found: Sequence[dict[str, Any]], by: Rule = RULE, *, living: str | None = None) -> errors.RestoreError:
    [finding] = choose(found, by, living=living).findings
    return finding


def aged(name: str, hours: float, **changes: Any) -> dict[str, Any]:
    return snapshot(name, SnapshotCreateTime=NOW - timedelta(hours=hours), **changes)


some = st.builds(
    lambda n, hours, kind, status, cluster, tag: aged(
        f"s{n}",
        hours,
        SnapshotType=kind,
        Status=status,
        DBClusterIdentifier=cluster,
        TagList=[{"Key": "verified", "Value": tag}],
    ),
    st.integers(0, 999),
    st.integers(0, 200),
    st.sampled_from(["automated", "manual", "awsbackup"]),
    st.sampled_from(["available", "creating", "copying"]),
    st.sampled_from(["orders", "invoices"]),
    st.sampled_from(["yes", "no"]),
)
rules = st.builds(
    lambda kind, hours, tags: rule(type=kind, max_age_hours=hours, tags=tags),
    st.sampled_from(["any", "automated", "manual", "awsbackup"]),
    st.sampled_from([None, 24, 100]),
    st.sampled_from([{}, {"verified": "yes"}]),
)


@given(st.lists(some, max_size=12, unique_by=lambda one: one["DBClusterSnapshotArn"]), rules, st.randoms())
def test_the_order_of_the_list_does_not_matter_and_what_is_chosen_is_the_newest_that_fits(
    found: list[dict[str, Any]], by: Rule, random: Any
) -> None:
    made = choose(found, by)
    shuffled = random.sample(found, len(found))
    again = choose(shuffled, by)
    assert again.snapshot == made.snapshot
    assert [type(one) for one in again.findings] == [type(one) for one in made.findings]
    fit = [one for one in found if by.fits(one) and one["Status"] == "available"]
    if not fit:
        assert made.snapshot is None
        assert len(made.findings) == 1
        return
    assert made.snapshot in fit
    assert all(made.snapshot["SnapshotCreateTime"] >= one["SnapshotCreateTime"] for one in fit)
    too_old = by.selector.max_age_hours and made.snapshot["SnapshotCreateTime"] < NOW - timedelta(
        hours=by.selector.max_age_hours
    )
    assert [type(one) for one in made.findings] == ([errors.SnapshotTooOld] if too_old else [])


def test_kinds() -> None:
    found = [
        aged("rds:orders-1", 3),
        aged("manual", 2),
        aged("awsbackup:job-1", 1, SnapshotType="manual"),
        aged("by-field", 4, SnapshotType="awsbackup"),
    ]
    assert chosen(found) == "awsbackup:job-1"
    assert chosen(found, rule(type="automated")) == "rds:orders-1"
    assert chosen(found, rule(type="manual")) == "manual"
    assert chosen(found, rule(type="awsbackup")) == "awsbackup:job-1"
    assert selection.kind_of(found[3]) is SnapshotKind.AWSBACKUP
    assert selection.kind_of({"SnapshotType": "shared"}) is SnapshotKind.MANUAL


def test_tags() -> None:
    found = [aged("new", 1), aged("checked", 5, TagList=[{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}])]
    assert chosen(found, rule(tags={"a": "b"})) == "checked"
    error = problem(found, rule(tags={"a": "x"}))
    assert type(error) is errors.SnapshotNotFound
    assert "tags a=x" in error.cause
    assert "new (" in error.cause


def test_too_old() -> None:
    error = problem([aged("s", 30)], rule(max_age_hours=26))
    assert (type(error), error.field) == (errors.SnapshotTooOld, "snapshot_selector")
    assert "1 d 6 h old; max_age_hours is 26" in error.cause
    assert not choose([aged("s", 26)], rule(max_age_hours=26)).findings


def test_an_old_newest_one_deserves_a_word() -> None:
    assert choose([aged("s", 47)]).warnings == ()
    [warning] = choose([aged("s", 72)]).warnings
    assert "3 d old" in warning
    assert choose([aged("s", 72)], rule(max_age_hours=100)).warnings == ()


def test_none_is_available_yet() -> None:
    error = problem([aged("s", 1, Status="creating", PercentProgress=40)])
    assert type(error) is errors.SnapshotNotAvailable
    assert "s (2026-11-23T08:00:00.000Z, 1 h old, creating 40 %)" in error.cause


def test_of_many_that_are_not_available_the_newest_are_told() -> None:
    unborn = {**aged("unborn", 0, Status="creating"), "SnapshotCreateTime": None}
    error = problem([aged(f"s{hours}", hours, Status="creating") for hours in (7, 3, 6, 1, 5, 2)] + [unborn])
    told = [word.removeprefix("s") for word in error.cause.split() if word[0] == "s" and word[1:].isdigit()]
    assert told == ["1", "2", "3", "5", "6"]


def test_none_at_all_lists_others() -> None:
    error = problem([aged("other", 1, DBClusterIdentifier="invoices")])
    assert "no snapshot of orders in account 123456789012, eu-west-1. The newest" in error.cause
    assert "at all: other (" in error.cause
    assert "No snapshot is there at all" in problem([]).cause


def test_where_a_cluster_without_snapshots_may_have_them() -> None:
    words = "source_region, if it is in another region than eu-west-1"
    assert words in problem([]).advice
    assert words in problem([aged("other", 1, DBClusterIdentifier="invoices")]).advice
    assert words not in problem([aged("other", 1)], rule(type="awsbackup")).advice


def test_a_misspelt_cluster_is_likened_to_those_with_snapshots() -> None:
    found = [aged("a", 1, DBClusterIdentifier="invoices"), *(aged(f"b{n}", n) for n in (1, 2))]
    assert "did you mean orders?" in problem(found, replace(RULE, cluster="ordesr")).cause
    assert "did you mean" not in problem(found, replace(RULE, cluster="far")).cause
    for known in (rule(type="awsbackup"), replace(RULE, resource_id="cluster-OTHER")):
        assert "did you mean" not in problem(found, known).cause


def test_the_pipelines_own_copies_do_not_count() -> None:
    """Their time is when they were copied: the newest copy may hold the oldest data."""
    own = names.copy_identifier(
        deployment="arp",
        home=f"{ACCOUNT} eu-west-1",
        cluster_id="orders",
        snapshot_arn="arn",
        created_at="2026-11-22T09:00:00.000Z",
        account=ACCOUNT,
        region="eu-central-1",
        kms_key_id=None,
    )
    source = "arn:aws:rds:us-east-1:1:cluster-snapshot:x"
    assert chosen([aged(own, 0, TagList=PIPELINES, SourceDBClusterSnapshotArn=source), aged("real", 5)]) == "real"


@pytest.mark.parametrize("name", ["rds:orders-2026-11-23-03-00", "orders-before-release", "awsbackup:job-1"])
def test_the_snapshots_of_a_restored_cluster_inherit_its_tags_and_count(name: str) -> None:
    inherited = aged(name, 1, TagList=PIPELINES)
    assert chosen([inherited, aged("older", 5)]) == name
    by_day = Rule(account=ACCOUNT, region=REGION, cluster="orders", said_by="snapshot_date", day=date(2026, 11, 23))
    assert chosen([inherited], by_day) == name


def test_another_copy_counts_but_its_time_is_not_its_datas() -> None:
    copy = aged("dr", 1, SourceDBClusterSnapshotArn="arn:aws:rds:us-east-1:1:cluster-snapshot:x")
    [warning] = choose([copy]).warnings
    assert "when it was copied" in warning


# --- one name, several clusters -------------------------------------------------------------------------------------

TWO = [aged("old", 9, DbClusterResourceId="cluster-A"), aged("new", 1, DbClusterResourceId="cluster-B")]


def test_the_living_cluster_wins_with_a_warning() -> None:
    made = choose(TWO, living="cluster-A")
    assert made.snapshot is TWO[0]
    [warning] = made.warnings
    assert "cluster-A" in warning
    assert "cluster-B" in warning


@pytest.mark.parametrize(("living", "words"), [(None, "none has it now"), ("cluster-C", "cluster-C) has none")])
def test_no_living_cluster_is_ambiguous(living: str | None, words: str) -> None:
    error = problem(TWO, living=living)
    assert (type(error), error.field) == (errors.SnapshotAmbiguous, "source_cluster_resource_id")
    assert words in error.cause
    for told in ("cluster-A: old (", "cluster-B: new ("):
        assert told in error.cause


def test_a_resource_id_decides() -> None:
    by = Rule(account=ACCOUNT, region=REGION, cluster="orders", said_by="x", resource_id="cluster-A")
    assert chosen(TWO, by) == "old"


@pytest.mark.parametrize("others", [[], [aged("first", 0, Status="creating", DbClusterResourceId="cluster-B")]])
def test_a_deleted_clusters_snapshot_is_not_taken_for_its_namesakes(others: list[dict[str, Any]]) -> None:
    """Created again, the cluster has no snapshot yet, or its first one is still being made."""
    error = problem([TWO[0], *others], living="cluster-B")
    assert (type(error), error.field) == (errors.SnapshotAmbiguous, "source_cluster_resource_id")
    assert "cluster-B) has none" in error.cause
    assert "cluster-A: old (" in error.cause
    assert error.details["resource_ids"] == ["cluster-A"]


@pytest.mark.parametrize("living", [None, "cluster-A"])
def test_the_only_clusters_snapshot_is_taken_without_a_word(living: str | None) -> None:
    """It lives, was deleted, or is another account's, where nobody can tell."""
    made = choose([TWO[0]], living=living)
    assert (made.snapshot, made.findings, made.warnings) == (TWO[0], (), ())


def test_who_lives_is_not_asked_where_it_does_not_matter() -> None:
    def never() -> str | None:
        raise AssertionError("asked")

    by = Rule(account=ACCOUNT, region=REGION, cluster="orders", said_by="x", resource_id="cluster-A")
    assert selection.choose(TWO, by, NOW, living=never).snapshot
    assert selection.choose([], RULE, NOW, living=never).findings


def test_other_accounts_and_other_days_do_not_fit() -> None:
    foreign = aged("foreign", 1, account=SOURCE_ACCOUNT)
    assert chosen([foreign, aged("own", 5)]) == "own"
    by_day = Rule(account=ACCOUNT, region=REGION, cluster="orders", said_by="snapshot_date", day=date(2026, 11, 22))
    assert chosen([aged("s", 10), aged("t", 0)], by_day) == "s"
