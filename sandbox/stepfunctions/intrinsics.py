"""The intrinsic functions ``States.*``.

Source: Developer Guide, "Intrinsics for JSONPath states in Step Functions workflows" (functions, limits, escapes).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sandbox.stepfunctions import paths
from sandbox.stepfunctions.errors import INTRINSIC_FAILURE, StatesError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_MAX_TEXT = 10_000
_MAX_RANGE = 1_000
_NAME: Final = re.compile(r"States\.[A-Za-z0-9]+")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class InvalidIntrinsicError(ValueError):
    """The text is no intrinsic function call."""


@dataclass(frozen=True)
class Scope:
    """What an expression may refer to."""

    document: Any
    context: Any
    random: random.Random


@dataclass(frozen=True)
class _Literal:
    value: Any


@dataclass(frozen=True)
class _Path:
    path: str


@dataclass(frozen=True)
class _Template:
    """A quoted string: ``literal`` between the ``{}`` of States.Format, already unescaped."""

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "{}".join(self.parts)


@dataclass(frozen=True)
class IntrinsicCall:
    """A parsed call; its arguments are evaluated when it is."""

    name: str
    arguments: tuple[IntrinsicCall | _Literal | _Path | _Template, ...]

    def evaluate(self, scope: Scope) -> Any:
        """Return the function's value; StatesError States.IntrinsicFailure when it has none."""
        values = [self._value(argument, scope) for argument in self.arguments]
        try:
            if self.name == "States.Format":
                return _format(self.arguments[0], values)
            if self.name in _RANDOM:
                return _RANDOM[self.name](scope.random, *values)
            return _FUNCTIONS[self.name](*values)
        except (TypeError, ValueError, IndexError, ArithmeticError, AttributeError) as error:
            raise StatesError(INTRINSIC_FAILURE, f"Invalid arguments in {self.name}: {error}") from error

    @staticmethod
    def _value(argument: IntrinsicCall | _Literal | _Path | _Template, scope: Scope) -> Any:
        match argument:
            case IntrinsicCall():
                return argument.evaluate(scope)
            case _Path(path):
                return paths.evaluate(path, scope.document, scope.context)
            case _Template():
                return argument.text
            case _Literal(value):
                return value


class _Parser:
    """A recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def parse(self) -> IntrinsicCall:
        call = self._call()
        self._blanks()
        if self._at != len(self._text):
            raise InvalidIntrinsicError(self._text)
        return call

    def _fail(self) -> InvalidIntrinsicError:
        return InvalidIntrinsicError(self._text)

    def _blanks(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1

    def _take(self, expected: str) -> bool:
        self._blanks()
        if self._text.startswith(expected, self._at):
            self._at += len(expected)
            return True
        return False

    def _call(self) -> IntrinsicCall:
        self._blanks()
        match = _NAME.match(self._text, self._at)
        if match is None or match[0] not in _ARITY:
            raise self._fail()
        self._at = match.end()
        if not self._take("("):
            raise self._fail()
        arguments: list[IntrinsicCall | _Literal | _Path | _Template] = []
        if not self._take(")"):
            arguments.append(self._argument())
            while self._take(","):
                arguments.append(self._argument())
            if not self._take(")"):
                raise self._fail()
        low, high = _ARITY[match[0]]
        if not low <= len(arguments) <= high:
            raise self._fail()
        return IntrinsicCall(match[0], tuple(arguments))

    def _argument(self) -> IntrinsicCall | _Literal | _Path | _Template:
        self._blanks()
        head = self._text[self._at : self._at + 1]
        if head == "'":
            return self._string()
        if head == "$":
            return self._path()
        if head == "S":
            return self._call()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self._take(word):
                return _Literal(value)
        match = _NUMBER.match(self._text, self._at)
        if match is None:
            raise self._fail()
        self._at = match.end()
        return _Literal(json.loads(match[0]))

    def _string(self) -> _Template:
        parts = [""]
        self._at += 1
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise self._fail()
            if char == "'":
                self._at += 1
                return _Template(tuple(parts))
            if char == "\\":
                following = self._text[self._at + 1 : self._at + 2]
                # Only \' \{ \} and \\ are escapes; any other backslash stands for itself.
                parts[-1] += following if following in {"'", "{", "}", "\\"} else char + following
                self._at += 2
            elif self._text.startswith("{}", self._at):
                parts.append("")
                self._at += 2
            else:
                parts[-1] += char
                self._at += 1

    def _path(self) -> _Path:
        """Read up to the comma or bracket that ends the argument; brackets and quotes of the path itself count."""
        start, depth, quote = self._at, 0, ""
        while self._at < len(self._text):
            char = self._text[self._at]
            if quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char in "([":
                depth += 1
            elif char in ")]" and depth:
                depth -= 1
            elif char in ",)":
                break
            self._at += 1
        path = self._text[start : self._at].strip()
        try:
            paths.check(path)
        except paths.InvalidPathError as error:
            raise self._fail() from error
        return _Path(path)


@lru_cache(maxsize=1024)
def parse(text: str) -> IntrinsicCall:
    """Parse an expression such as ``States.Format('{}-{}', $.a, $.b)``."""
    return _Parser(text).parse()


def _format(template: Any, values: list[Any]) -> str:
    # A template that comes from a path is split here; one that was written in the definition knows its own escapes.
    parts = list(template.parts) if isinstance(template, _Template) else _text(values[0]).split("{}")
    arguments = values[1:]
    if len(parts) - 1 != len(arguments):
        raise ValueError(f"the number of {{}} ({len(parts) - 1}) is not the number of values ({len(arguments)})")
    if any(isinstance(value, list | dict) for value in arguments):
        raise ValueError("values must be strings, numbers, booleans or null")
    texts = [value if isinstance(value, str) else paths.compact(value) for value in arguments]
    return parts[0] + "".join(text + part for text, part in zip(texts, parts[1:], strict=True))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is needed")
    return value


def _short(value: Any) -> str:
    if len(_text(value)) > _MAX_TEXT:
        raise ValueError(f"a string of at most {_MAX_TEXT} characters is needed")
    return str(value)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("an array is needed")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is needed")
    return math.floor(value + 0.5)  # "if you specify a non-integer value, it is rounded to the nearest integer"


def _array_partition(array: Any, size: Any) -> list[list[Any]]:
    items, step = _array(array), _whole(size)
    if step <= 0:
        raise ValueError("the chunk size must be positive")
    return [items[start : start + step] for start in range(0, len(items), step)]


def _array_range(first: Any, last: Any, step: Any) -> list[int]:
    start, end, by = _whole(first), _whole(last), _whole(step)
    if by == 0:
        raise ValueError("the step must not be 0")
    values = range(start, end + (1 if by > 0 else -1), by)
    if len(values) > _MAX_RANGE:
        raise ValueError(f"the range has more than {_MAX_RANGE} values")
    return list(values)


def _array_get(array: Any, index: Any) -> Any:
    items, position = _array(array), _whole(index)
    if not 0 <= position < len(items):
        raise IndexError("the index is out of range")
    return items[position]


def _array_unique(array: Any) -> list[Any]:
    unique: dict[str, Any] = {}
    for item in _array(array):
        unique.setdefault(paths.compact(item), item)
    return list(unique.values())


def _array_contains(array: Any, value: Any) -> bool:
    wanted = paths.compact(value)
    return any(paths.compact(item) == wanted for item in _array(array))


def _base64_decode(text: Any) -> str:
    try:
        return base64.b64decode(_short(text), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not Base64 of UTF-8 text") from error


def _hash(data: Any, algorithm: Any) -> str:
    names = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
    if algorithm not in names:
        raise ValueError(f"the algorithm must be one of {', '.join(names)}")
    text = data if isinstance(data, str) else paths.compact(data)
    return hashlib.new(names[algorithm], _short(text).encode(), usedforsecurity=False).hexdigest()


def _json_merge(first: Any, second: Any, deep: Any) -> dict[str, Any]:
    if deep is not False:
        raise ValueError("only the shallow merge (false) is supported")
    if not (isinstance(first, dict) and isinstance(second, dict)):
        raise TypeError("two objects are needed")
    return {**first, **second}


def _math_add(first: Any, second: Any) -> int:
    return _whole(first) + _whole(second)


def _math_random(source: random.Random, start: Any, end: Any, seed: Any = None) -> int:
    low, high = _whole(start), _whole(end)
    if low >= high:
        raise ValueError("the start must be below the end")
    if seed is not None:
        source = type(source)(_whole(seed))
    return source.randrange(low, high)


def _string_split(text: Any, delimiters: Any) -> list[str]:
    # Each character of the second string is a delimiter; empty parts are dropped.
    pattern = "[" + re.escape(_text(delimiters)) + "]"
    return [part for part in re.split(pattern, _text(text)) if part] if delimiters else [_text(text)]


def _uuid(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "States.StringToJson": lambda text: json.loads(_text(text)),
    "States.JsonToString": paths.compact,
    "States.Array": lambda *items: list(items),
    "States.ArrayPartition": _array_partition,
    "States.ArrayContains": _array_contains,
    "States.ArrayRange": _array_range,
    "States.ArrayGetItem": _array_get,
    "States.ArrayLength": lambda array: len(_array(array)),
    "States.ArrayUnique": _array_unique,
    "States.Base64Encode": lambda text: base64.b64encode(_short(text).encode()).decode(),
    "States.Base64Decode": _base64_decode,
    "States.Hash": _hash,
    "States.JsonMerge": _json_merge,
    "States.MathAdd": _math_add,
    "States.StringSplit": _string_split,
}
_RANDOM: Final[dict[str, Callable[..., Any]]] = {"States.MathRandom": _math_random, "States.UUID": _uuid}
_MANY = 1_000
_ARITY: Final[dict[str, tuple[int, int]]] = {
    "States.Format": (1, _MANY), "States.StringToJson": (1, 1), "States.JsonToString": (1, 1),
    "States.Array": (0, _MANY), "States.ArrayPartition": (2, 2), "States.ArrayContains": (2, 2),
    "States.ArrayRange": (3, 3), "States.ArrayGetItem": (2, 2), "States.ArrayLength": (1, 1),
    "States.ArrayUnique": (1, 1), "States.Base64Encode": (1, 1), "States.Base64Decode": (1, 1),
    "States.Hash": (2, 2), "States.JsonMerge": (3, 3), "States.MathRandom": (2, 3), "States.MathAdd": (2, 2),
    "States.StringSplit": (2, 2), "States.UUID": (0, 0),
}  # fmt: skip
