import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import names

RULE = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")


@given(st.text(alphabet=string.ascii_letters + string.digits + "-_ é:", max_size=70))
def test_identifier_problem_agrees_with_rds_rule(name: str) -> None:
    legal = len(name) <= 63 and RULE.fullmatch(name) is not None
    assert (names.identifier_problem(name) is None) is legal


legal_names = st.from_regex(r"\A[a-z](-?[a-z0-9]){0,61}\Z").filter(lambda name: len(name) <= 63)


@given(legal_names, st.integers(1, 16))
def test_instance_identifiers_are_legal(cluster: str, ordinal: int) -> None:
    identifier = names.instance_identifier(cluster, ordinal)
    assert names.identifier_problem(identifier) is None
    assert identifier.endswith(f"-{ordinal}")


@given(legal_names, st.sets(st.integers(1, 16), min_size=2, max_size=2))
def test_instance_identifiers_differ(cluster: str, ordinals: set[int]) -> None:
    assert len({names.instance_identifier(cluster, ordinal) for ordinal in ordinals}) == 2


def test_long_cluster_names_do_not_share_instances() -> None:
    stem = "a" * 62
    assert names.instance_identifier(stem + "b", 1) != names.instance_identifier(stem + "c", 1)


def test_the_pipelines_own_tags_win() -> None:
    tags = names.operation_tags(
        deployment="restore", operation_id="op", tags={names.MANAGED_BY_TAG: "someone", "team": "x"}
    )
    assert tags == {"team": "x", names.OPERATION_TAG: "op", names.MANAGED_BY_TAG: "restore"}


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        (None, False),
        ([], False),
        ([{"Key": names.OPERATION_TAG, "Value": "op"}], False),
        ([{"Key": names.OPERATION_TAG, "Value": "another"}, {"Key": names.MANAGED_BY_TAG, "Value": "restore"}], False),
        ([{"Key": names.OPERATION_TAG, "Value": "op"}, {"Key": names.MANAGED_BY_TAG, "Value": "another"}], False),
        (names.tag_list(names.operation_tags(deployment="restore", operation_id="op", tags={"x": "y"})), True),
    ],
)
def test_bears_tags(tags: list[dict[str, str]] | None, ours: bool) -> None:
    assert names.bears_tags(tags, deployment="restore", operation_id="op") is ours


def test_bears_the_deployments_tag() -> None:
    tags = names.tag_list(names.operation_tags(deployment="restore", operation_id="another", tags={}))
    assert names.bears_tags(tags, deployment="restore")
    assert not names.bears_tags(tags, deployment="other")
    assert not names.bears_tags(None, deployment="restore")


copy_facts = st.fixed_dictionaries(
    {
        "deployment": st.sampled_from(["restore", "other"]),
        "home": st.sampled_from(["1 a", "1 b", "2 a"]),
        "snapshot_arn": st.sampled_from(["arn:1", "arn:2"]),
        "created_at": st.sampled_from(["2026-11-22", "2026-11-23"]),
        "account": st.sampled_from(["1", "2"]),
        "region": st.sampled_from(["a", "b"]),
        "kms_key_id": st.sampled_from([None, "k", "l"]),
        "operation_id": st.sampled_from([None, "op", "po"]),
    }
)


@given(st.text(max_size=70), copy_facts)
def test_copy_identifiers_are_legal_and_known_again(cluster: str, facts: dict[str, str]) -> None:
    identifier = names.copy_identifier(cluster_id=cluster, **facts)
    assert names.identifier_problem(identifier) is None
    assert identifier == identifier.lower()
    assert names.is_copy_identifier(identifier)


@given(legal_names, copy_facts, copy_facts)
def test_a_copy_has_the_name_of_what_makes_it(cluster: str, one: dict[str, str], other: dict[str, str]) -> None:
    same = names.copy_identifier(cluster_id=cluster, **one) == names.copy_identifier(cluster_id=cluster, **other)
    assert same is (one == other)


def test_a_copy_is_named_after_its_cluster() -> None:
    facts = {"deployment": "d", "home": "h", "snapshot_arn": "a", "created_at": "c", "account": "1", "region": "r"}
    assert names.copy_identifier(cluster_id="Orders", kms_key_id=None, **facts).startswith("arp-orders-")
    assert len(names.copy_identifier(cluster_id="a" * 63, kms_key_id=None, **facts)) == 63
    assert not names.is_copy_identifier("arp-orders-before-migration")


def test_secret_name_is_stable_per_target() -> None:
    assert names.user_secret_name("aurora-restore/d", "orders", "app") == "aurora-restore/d/orders/app"


def test_a_copied_custom_endpoint_is_named_after_its_new_cluster() -> None:
    assert names.endpoint_identifier("orders-reports", "orders", "orders-staging") == "orders-staging-reports"
    assert names.endpoint_identifier("Reports", "orders", "staging") == "staging-reports"
    long = names.endpoint_identifier("x" * 63, "orders", "t" * 63)
    assert names.identifier_problem(long) is None
    assert long != names.endpoint_identifier("x" * 63, "orders", "t" * 62 + "u")


def test_what_the_deployment_has_made_bears_its_tag_whichever_operation_it_was() -> None:
    described = names.tag_list(names.operation_tags(deployment="restore", operation_id="op", tags={}))
    assert names.bears_tags(described, deployment="restore")
    assert names.bears_tags(described, deployment="restore", operation_id="op")
    assert not names.bears_tags(described, deployment="restore", operation_id="other")
    assert not names.bears_tags(described, deployment="other")
    assert not names.bears_tags([{"Key": names.OPERATION_TAG, "Value": "op"}], deployment="restore")
    assert not names.bears_tags(None, deployment="restore")
