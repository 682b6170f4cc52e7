from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurora_restore.identity import OPERATION_ID, operation_id_of


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
