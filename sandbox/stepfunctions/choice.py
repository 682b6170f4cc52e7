"""Choice rules: every comparison operator of the JSONPath Amazon States Language.

A comparison whose value is not of the operator's type does not match; a ``Variable`` that does not exist ends the
execution, unless the operator is IsPresent. Source: Developer Guide, "Choice workflow state".
"""

from __future__ import annotations

import operator
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sandbox.stepfunctions import paths
from sandbox.stepfunctions.errors import runtime_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.stepfunctions.intrinsics import Scope

_RELATIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def parse_timestamp(value: Any) -> datetime | None:
    """Return an RFC 3339 timestamp (capital T and Z), or None when the value is none."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_TYPES: Final[dict[str, Callable[[Any], Any]]] = {
    "String": _string,
    "Numeric": _number,
    "Boolean": _boolean,
    "Timestamp": parse_timestamp,
}
_TESTS: Final[dict[str, Callable[[Any], bool]]] = {
    "IsNull": lambda value: value is None,
    "IsString": lambda value: isinstance(value, str),
    "IsNumeric": lambda value: _number(value) is not None,
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: parse_timestamp(value) is not None,
}

# operator name → (what both values are read as, how they compare, whether the right one is a path)
_COMPARISONS: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], bool], bool]]] = {
    f"{kind}{relation}{suffix}": (read, compare, bool(suffix))
    for kind, read in _TYPES.items()
    for relation, compare in _RELATIONS.items()
    for suffix in ("", "Path")
    if kind != "Boolean" or relation == "Equals"
}

OPERATORS: Final = frozenset(_COMPARISONS) | frozenset(_TESTS) | {"StringMatches", "IsPresent"}


@lru_cache(maxsize=512)
def _wildcards(pattern: str) -> re.Pattern[str]:
    """``*`` stands for any characters; ``\\*`` and ``\\\\`` for themselves."""
    parts = re.split(r"(\\.|\*)", pattern, flags=re.DOTALL)
    return re.compile(
        "".join(".*" if part == "*" else re.escape(part.removeprefix("\\")) for part in parts),
        re.DOTALL,
    )


def _value(path: str, scope: Scope) -> Any:
    try:
        return paths.evaluate(path, scope.document, scope.context)
    except paths.PathNotFoundError as error:
        raise runtime_error(
            f"Invalid path '{path}': The choice state's condition path references an invalid value."
        ) from error


def _is_present(path: str, scope: Scope) -> bool:
    try:
        paths.evaluate(path, scope.document, scope.context)
    except paths.PathNotFoundError:
        return False
    return True


def holds(rule: Mapping[str, Any], scope: Scope) -> bool:
    """Evaluate one rule, nested ones included."""
    if "And" in rule:
        return all(holds(inner, scope) for inner in rule["And"])
    if "Or" in rule:
        return any(holds(inner, scope) for inner in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], scope)
    name = next(key for key in rule if key in OPERATORS)
    expected, variable = rule[name], rule["Variable"]
    if name == "IsPresent":
        return _is_present(variable, scope) is expected
    actual = _value(variable, scope)
    if name in _TESTS:
        return _TESTS[name](actual) is expected
    if name == "StringMatches":
        return isinstance(actual, str) and _wildcards(expected).fullmatch(actual) is not None
    read, compare, by_path = _COMPARISONS[name]
    left, right = read(actual), read(_value(expected, scope) if by_path else expected)
    return left is not None and right is not None and compare(left, right)
