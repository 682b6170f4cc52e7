from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore import contract
from aurora_restore.identity import OPERATION_ID, TARGET_FIELDS, mode_of, operation_id_of, target_of
from aurora_restore.names import identifier_problem


@pytest.mark.parametrize(
    ("request_", "name", "expected"),
    [
        ({"operation_id": "nightly-1"}, "run", "nightly-1"),
        ({"operation_id": "lock#1"}, "run", "run"),
        ({"operation_id": 7}, "run", "run"),
        ({"operation_id": "x\n"}, "run", "run"),
        ({}, "run", "run"),
        (None, "run", "run"),
        (["operation_id"], "run", "run"),
    ],
)
def test_the_requests_id_if_valid_else_the_executions_name(request_: Any, name: str, expected: str) -> None:
    assert operation_id_of(request_, {"name": name}) == expected


@given(st.text(max_size=80))
def test_any_name_gives_a_legal_id(name: str) -> None:
    assert OPERATION_ID.fullmatch(operation_id_of({}, {"name": name}))


def test_names_that_are_made_fit_stay_apart() -> None:
    assert operation_id_of({}, {"name": "a b"}) != operation_id_of({}, {"name": "a/b"})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"target_cluster_id": "Shop"}, "shop"),
        ({"new_db_cluster_identifier": "shop"}, "shop"),
        ({"target_cluster_id": "shop\nSubject: x"}, ""),
        ({"target_cluster_id": "http://evil.example"}, ""),
        ({"target_cluster_id": ["shop"]}, ""),
        ({}, ""),
        ("shop", ""),
        (None, ""),
    ],
)
def test_the_target_of_a_request_that_was_not_accepted(request_: Any, expected: str) -> None:
    assert target_of(request_) == expected


@given(st.dictionaries(st.sampled_from([*TARGET_FIELDS, "mode"]), st.text() | st.integers() | st.none()) | st.text())
def test_nothing_but_a_valid_name_is_told_of_any_request(request_: Any) -> None:
    assert target_of(request_) == "" or identifier_problem(target_of(request_)) is None
    assert mode_of(request_) in {"plan", "restore"}


def test_the_targets_field_and_aliases_are_the_contracts() -> None:
    assert [TARGET_FIELDS[0], *(a for a, name in contract.aliases().items() if name == TARGET_FIELDS[0])] == [
        *TARGET_FIELDS
    ]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [({"mode": "plan"}, "plan"), ({"mode": "PLAN!"}, "restore"), ({"mode": ["plan"]}, "restore"), (None, "restore")],
)
def test_the_mode_of_a_request_that_was_not_accepted(request_: Any, expected: str) -> None:
    assert mode_of(request_) == expected
