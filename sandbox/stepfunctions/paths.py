"""JSONPath as Step Functions reads it: definite paths give one value or fail, indefinite ones give a list."""

from __future__ import annotations

import copy
import json
import re
from functools import lru_cache
from typing import Any, Final

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.ext.parser import parse as parse_jsonpath

from sandbox.stepfunctions.errors import RESULT_PATH_MATCH_FAILURE, StatesError

Step = str | int

_STEP: Final = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*)      # .name, letters of any script
      | \[\s*'(?P<single>[^']*)'\s*\]  # ['any name']
      | \[\s*"(?P<double>[^"]*)"\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]     # [3]""",
    re.VERBOSE,
)


class PathNotFoundError(Exception):
    """A definite path leads nowhere in this document."""


class InvalidPathError(ValueError):
    """The text is no path."""


@lru_cache(maxsize=4096)
def definite_steps(path: str) -> tuple[Step, ...] | None:
    """Return the keys and indices of a reference path (from ``$``), or None when the path can match several values."""
    if not path.startswith("$"):
        raise InvalidPathError(path)
    steps: list[Step] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            return None
        index = match["index"]
        steps.append(int(index) if index is not None else match["name"] or match["single"] or match["double"] or "")
        position = match.end()
    return tuple(steps)


@lru_cache(maxsize=4096)
def _compiled(path: str) -> Any:
    try:
        return parse_jsonpath(path)
    except (JSONPathError, AttributeError) as error:  # the library's own lexer stumbles with AttributeError
        raise InvalidPathError(path) from error


def check(path: str) -> None:
    """Raise InvalidPathError unless the text is a JSONPath (of the input, or with ``$$`` of the context object)."""
    path = path[1:] if path.startswith("$$") else path
    if definite_steps(path) is None:
        _compiled(path)


def is_reference(path: str) -> bool:
    """Tell whether the path names exactly one place, as ResultPath and its like demand."""
    try:
        return definite_steps(path) is not None
    except InvalidPathError:
        return False


def find(path: str, document: Any) -> Any:
    """Return what the path (starting with one ``$``) selects in the document."""
    steps = definite_steps(path)
    if steps is None:
        return [match.value for match in _compiled(path).find(document)]
    value = document
    for step in steps:
        if isinstance(step, str):
            found = isinstance(value, dict) and step in value
        else:
            found = isinstance(value, list) and -len(value) <= step < len(value)
        if not found:
            raise PathNotFoundError(path)
        value = value[step]
    return value


def evaluate(path: str, document: Any, context: Any) -> Any:
    """Return what the path selects: in the context object when it begins with ``$$``, else in the document."""
    if not path.startswith("$$"):
        return find(path, document)
    try:
        return find(path[1:], context)
    except PathNotFoundError as error:
        raise PathNotFoundError(path) from error


def assign(path: str, document: Any, value: Any) -> Any:
    """Return a copy of the document with the value at the reference path, as ResultPath does."""
    steps = definite_steps(path)
    if steps is None:
        raise InvalidPathError(path)
    if not steps:
        return value
    result = copy.copy(document)
    node: Any = result
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        fits = isinstance(node, dict) if isinstance(step, str) else isinstance(node, list) and 0 <= step < len(node)
        if not fits:
            raise StatesError(
                RESULT_PATH_MATCH_FAILURE, f"Unable to apply ResultPath '{path}' to input '{compact(document)}'"
            )
        if last:
            node[step] = value
        else:
            child = node.get(step, {}) if isinstance(node, dict) else node[step]
            node[step] = copy.copy(child)
            node = node[step]
    return result


def compact(value: Any) -> str:
    """Return JSON without blanks, as Step Functions writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
