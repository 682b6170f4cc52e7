"""Paths and payload templates of a state, with the error texts of Step Functions."""

from __future__ import annotations

from typing import Any

from sandbox.stepfunctions import intrinsics, paths
from sandbox.stepfunctions.errors import runtime_error


def lookup(path: str, scope: intrinsics.Scope, field: str) -> Any:
    """Evaluate a path or an intrinsic function given in the named field of a state."""
    try:
        if path.startswith("States."):
            return intrinsics.parse(path).evaluate(scope)
        return paths.evaluate(path, scope.document, scope.context)
    except paths.PathNotFoundError as error:
        missing = str(error)
        where = f"the input '{paths.compact(scope.document)}'"
        if missing.startswith("$$"):
            where = f"the Context Object '{paths.compact(scope.context)}'"
        raise runtime_error(
            f"The JSONPath '{missing}' specified for the field '{field}' could not be found in {where}"
        ) from error


def fill(template: Any, scope: intrinsics.Scope) -> Any:
    """Return the template with every ``"name.$"`` replaced by what its path or function gives, as ``"name"``."""
    if isinstance(template, dict):
        return {
            key.removesuffix(".$"): (lookup(value, scope, key) if key.endswith(".$") else fill(value, scope))
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [fill(item, scope) for item in template]
    return template


def check_expression(text: Any) -> bool:
    """Tell whether the text is a path or an intrinsic function call."""
    if not isinstance(text, str):
        return False
    try:
        if text.startswith("States."):
            intrinsics.parse(text)
        else:
            paths.check(text)
    except (intrinsics.InvalidIntrinsicError, paths.InvalidPathError):
        return False
    return True
