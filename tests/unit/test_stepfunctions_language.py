"""The Amazon States Language: paths, templates, intrinsic functions, choice rules."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stepfunctions import choice, intrinsics, paths, templates
from sandbox.stepfunctions.errors import StatesError, matches
from sandbox.stepfunctions.intrinsics import Scope

DOCUMENT = {
    "a": {"b": [1, 2, {"c": "x"}], "with-dash": 1, "dotted.key": 2, "été": 3},
    "list": [{"n": 1, "k": "x"}, {"n": 2, "k": "y"}],
    "nothing": None,
    "text": "a,b;c",
    "numbers": [3, 1, 2],
}
CONTEXT = {"Execution": {"Id": "arn"}, "State": {"Name": "S"}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
keys = st.text(st.characters(codec="utf-8", exclude_characters="'\""), min_size=1, max_size=6)


def scope(document: Any = DOCUMENT) -> Scope:
    return Scope(document, CONTEXT, random.Random(7))


def evaluate(expression: str, document: Any = DOCUMENT) -> Any:
    return templates.lookup(expression, scope(document), "x.$")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.a.b[0]", 1),
        ("$.a.b[-1].c", "x"),
        ("$['a']['dotted.key']", 2),
        ('$["a"].with-dash', 1),
        ("$.a.été", 3),
        ("$.nothing", None),
        ("$.list[*].n", [1, 2]),
        ("$.list[?(@.k == 'y')].n", [2]),
        ("$.list[?(@.k == 'z')].n", []),
        ("$..c", ["x"]),
        ("$.numbers[0:2]", [3, 1]),
        ("$$.Execution.Id", "arn"),
        ("$$", CONTEXT),
    ],
)
def test_paths(path: str, value: Any) -> None:
    paths.check(path)
    assert evaluate(path) == value


@pytest.mark.parametrize("path", ["$.missing", "$.a.b[3]", "$.text.x", "$.a[0]", "$.list.n"])
def test_a_definite_path_that_leads_nowhere_ends_the_execution(path: str) -> None:
    with pytest.raises(StatesError) as failure:
        evaluate(path)
    assert failure.value.error == "States.Runtime"
    assert f"The JSONPath '{path}' specified for the field 'x.$' could not be found in the input" in str(failure.value)


def test_a_context_path_that_leads_nowhere_names_the_context() -> None:
    with pytest.raises(StatesError, match=r"'\$\$\.Task\.Token' .* could not be found in the Context Object"):
        evaluate("States.Format('{}', $$.Task.Token)")


@pytest.mark.parametrize("path", ["", "a.b", "$.", "$[", "$.a[", "$..", "$.a b"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(paths.InvalidPathError):
        paths.check(path)


@given(json_values, st.lists(keys, min_size=1, max_size=4), json_values)
def test_assign_then_find_gives_the_value_and_leaves_the_document_alone(raw: Any, steps: list[str], value: Any) -> None:
    document = {"kept": raw}
    before = json.dumps(document)
    path = "$" + "".join(f"['{step}']" for step in steps)
    try:
        changed = paths.assign(path, document, value)
    except StatesError as error:
        assert error.error == "States.ResultPathMatchFailure"  # noqa: PT017
    else:
        assert paths.find(path, changed) == value
        if steps[0] != "kept":
            assert changed["kept"] == raw
    assert json.dumps(document) == before


def test_templates() -> None:
    template = {"fixed": [1, {"deep.$": "$.a.b[0]"}], "id.$": "$$.Execution.Id", "f.$": "States.ArrayLength($.numbers)"}
    assert templates.fill(template, scope()) == {"fixed": [1, {"deep": 1}], "id": "arn", "f": 3}


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("States.Format('{} is {}', $.a.b[0], $.nothing)", "1 is null"),
        (r"States.Format('\{\} it\'s {} \\', true)", "{} it's true \\"),
        ("States.Format($.text)", "a,b;c"),
        ("States.StringToJson('{\"a\": [1]}')", {"a": [1]}),
        ("States.JsonToString($.numbers)", "[3,1,2]"),
        ("States.Array('a', 1, null, true, $.numbers, States.UUID())", None),
        ("States.Array()", []),
        ("States.ArrayPartition($.numbers, 2)", [[3, 1], [2]]),
        ("States.ArrayContains($.list, $.list[0])", True),
        ("States.ArrayContains($.numbers, 9)", False),
        ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayGetItem($.numbers, 1)", 1),
        ("States.ArrayLength($.list)", 2),
        ("States.ArrayUnique(States.Array(2, 1, 2, 'x', 1))", [2, 1, "x"]),
        ("States.Base64Encode('äb')", "w6Ri"),
        ("States.Base64Decode('w6Ri')", "äb"),
        ("States.Hash('abc', 'SHA-1')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("States.JsonMerge($.list[0], $.list[1], false)", {"n": 2, "k": "y"}),
        ("States.MathAdd(111, -1)", 110),
        ("States.MathAdd(1.5, 1)", 3),
        ("States.StringSplit($.text, ',;')", ["a", "b", "c"]),
        ("States.ArrayGetItem(States.StringSplit('a/b', '/'), States.MathAdd(0, 1))", "b"),
        ("States.Format('{}', $.list[?(@.k == 'x,)')])", None),
    ],
)
def test_intrinsic_functions(call: str, value: Any) -> None:
    if value is None:
        intrinsics.parse(call)  # only that it is read
    else:
        assert evaluate(call) == value


@pytest.mark.parametrize(
    "call",
    [
        "States.Format('{}')",
        "States.Format('{}', $.a)",
        "States.StringToJson('{')",
        "States.ArrayPartition($.numbers, 0)",
        "States.ArrayRange(1, 10000, 1)",
        "States.ArrayGetItem($.numbers, 3)",
        "States.ArrayLength($.text)",
        "States.Base64Decode('?')",
        "States.Hash('a', 'CRC')",
        "States.JsonMerge($.a, $.a, true)",
        "States.MathAdd('1', 2)",
        "States.MathRandom(2, 1)",
        "States.StringSplit(1, ',')",
    ],
)
def test_intrinsic_functions_fail_as_intrinsic_failures(call: str) -> None:
    with pytest.raises(StatesError) as failure:
        evaluate(call)
    assert failure.value.error == "States.IntrinsicFailure"


@pytest.mark.parametrize(
    "text",
    [
        "States.Nope()",
        "States.UUID(",
        "States.UUID(1)",
        "States.Format('a",
        "States.MathAdd(1)",
        "States.Array(,)",
        "States.UUID() x",
    ],
)
def test_what_is_no_intrinsic_function(text: str) -> None:
    assert not templates.check_expression(text)


def test_random_functions_follow_the_seed() -> None:
    calls = ["States.UUID()", "States.MathRandom(1, 1000)"]
    assert [evaluate(call) for call in calls] == [evaluate(call) for call in calls]
    assert evaluate("States.MathRandom(1, 1000, 5)") == evaluate("States.MathRandom(1, 1000, 5)")


@given(st.text(max_size=30))
def test_base64_and_format_give_back_what_they_got(text: str) -> None:
    document = {"t": text}
    assert evaluate("States.Base64Decode(States.Base64Encode($.t))", document) == text
    assert evaluate("States.Format('{}', $.t)", document) == text
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("{", "\\{").replace("}", "\\}")
    assert evaluate(f"States.Format('{escaped}')", document) == text


@pytest.mark.parametrize(
    ("rule", "value", "result"),
    [
        ({"StringEquals": "a"}, "a", True),
        ({"StringEquals": "a"}, 1, False),
        ({"StringLessThan": "b"}, "a", True),
        ({"StringGreaterThanEquals": "b"}, "a", False),
        ({"StringMatches": "log-*.txt"}, "log-1.txt", True),
        ({"StringMatches": r"a\*b"}, "a*b", True),
        ({"StringMatches": r"a\*b"}, "axb", False),
        ({"NumericEquals": 1}, 1.0, True),
        ({"NumericEquals": 1}, True, False),
        ({"NumericGreaterThan": 1}, 2, True),
        ({"NumericLessThanEquals": 1}, "1", False),
        ({"BooleanEquals": False}, False, True),
        ({"TimestampEquals": "2026-01-01T00:00:00Z"}, "2026-01-01T01:00:00+01:00", True),
        ({"TimestampLessThan": "2026-01-01T00:00:00Z"}, "2025-12-31T23:59:59.999Z", True),
        ({"TimestampGreaterThan": "2026-01-01T00:00:00Z"}, "yesterday", False),
        ({"IsNull": True}, None, True),
        ({"IsNull": False}, 1, True),
        ({"IsNumeric": True}, True, False),
        ({"IsString": True}, "x", True),
        ({"IsBoolean": True}, "x", False),
        ({"IsTimestamp": True}, "2026-01-01", False),
        ({"IsPresent": True}, None, True),
        ({"NumericEqualsPath": "$.other"}, 5, True),
        ({"StringEqualsPath": "$$.State.Name"}, "S", True),
    ],
)
def test_choice_rules(rule: dict[str, Any], value: Any, result: bool) -> None:
    at = scope({"v": value, "other": 5})
    assert choice.holds({"Variable": "$.v", **rule}, at) is result
    assert choice.holds({"Not": {"Variable": "$.v", **rule}}, at) is not result
    assert choice.holds({"And": [{"Variable": "$.v", **rule}, {"Variable": "$.v", "IsPresent": True}]}, at) is result
    assert choice.holds({"Or": [{"Variable": "$.x", "IsPresent": True}, {"Variable": "$.v", **rule}]}, at) is result


def test_a_choice_variable_that_does_not_exist_ends_the_execution() -> None:
    with pytest.raises(StatesError, match="condition path references an invalid value"):
        choice.holds({"Variable": "$.x", "IsNull": True}, scope({}))
    assert choice.holds({"Variable": "$.x", "IsPresent": False}, scope({}))


@pytest.mark.parametrize(
    ("listed", "error", "result"),
    [
        (["States.ALL"], "Boom", True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", False),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", True),
        (["States.Runtime"], "States.Runtime", False),
        (["States.TaskFailed"], "Lambda.Unknown", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.TaskFailed"], "States.Runtime", False),
        (["A", "B"], "B", True),
        (["A"], "B", False),
    ],
)
def test_which_errors_are_handled(listed: list[str], error: str, result: bool) -> None:
    assert matches(listed, error) is result
