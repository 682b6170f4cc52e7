"""Reading and really validating a state machine definition.

Codes are those of the API reference, "ValidateStateMachineDefinitionDiagnostic". What AWS accepts and the sandbox
cannot run is refused as NotEmulated at the same moment, so that nothing is found missing in the middle of an execution.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sandbox.core import NotEmulated
from sandbox.stepfunctions import choice, paths, templates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_SECONDS: Final = 99_999_999
_MAX_NAME: Final = 80
_SCHEMA: Final = "SCHEMA_VALIDATION_FAILED"
_TARGET: Final = "MISSING_TRANSITION_TARGET"

LAMBDA_INVOKE: Final = re.compile(r"arn:[a-z-]+:states:::lambda:invoke(\.waitForTaskToken)?")
FUNCTION_ARN: Final = re.compile(r"arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?")
UPDATE_ITEM_CALLBACK: Final = re.compile(r"arn:[a-z-]+:states:::aws-sdk:dynamodb:updateItem\.waitForTaskToken")
_ANY_RESOURCE: Final = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:\d*:.+")


@dataclass(frozen=True)
class Diagnostic:
    """One finding of the validation."""

    severity: Literal["ERROR", "WARNING"]
    code: str
    message: str
    location: str

    def shape(self) -> dict[str, str]:
        """Return the API's shape."""
        return dict(vars(self))


# ---- what a field may hold: each check returns what is wrong, or None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be a boolean"


def _true(value: Any) -> str | None:
    return None if value is True else "must be true"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _list(value: Any) -> str | None:
    return None if isinstance(value, list) and value else "must be a non-empty array"


def _anything(_: Any) -> str | None:
    return None


def _whole(low: int, high: int = MAX_SECONDS) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if fits else f"must be an integer between {low} and {high}"

    return check


def _rate(value: Any) -> str | None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 1
    return None if fits else "must be a number of at least 1.0"


def _path(value: Any) -> str | None:
    fits = isinstance(value, str) and value.startswith("$") and templates.check_expression(value)
    return None if fits else "must be a JSONPath"


def _path_or_null(value: Any) -> str | None:
    return None if value is None else _path(value)


def _reference(value: Any) -> str | None:
    fits = isinstance(value, str) and not value.startswith("$$") and paths.is_reference(value)
    return None if fits else "must be a Reference Path"


def _reference_or_null(value: Any) -> str | None:
    return None if value is None else _reference(value)


def _expression(value: Any) -> str | None:
    return None if templates.check_expression(value) else "must be a JSONPath or an intrinsic function"


def _timestamp(value: Any) -> str | None:
    return None if choice.parse_timestamp(value) else "must be an RFC 3339 timestamp"


def _jitter(value: Any) -> str | None:
    return None if value in {"FULL", "NONE"} else "must be FULL or NONE"


Fields = dict[str, "Callable[[Any], str | None]"]

_COMMON: Final[Fields] = {"Type": _text, "Comment": _text, "QueryLanguage": _text, "Assign": _object}
_ARROW: Final[Fields] = {"Next": _text, "End": _true}
_IN_OUT: Final[Fields] = {"InputPath": _path_or_null, "OutputPath": _path_or_null}
_RESULT: Final[Fields] = {"ResultPath": _reference_or_null, "Parameters": _anything}
_ERRORS: Final[Fields] = {"ResultSelector": _object, "Retry": _list, "Catch": _list}

_STATE_FIELDS: Final[dict[str, Fields]] = {
    "Pass": {**_ARROW, **_IN_OUT, **_RESULT, "Result": _anything},
    "Task": {
        **_ARROW, **_IN_OUT, **_RESULT, **_ERRORS, "Resource": _text, "Credentials": _object,
        "TimeoutSeconds": _whole(1), "TimeoutSecondsPath": _path,
        "HeartbeatSeconds": _whole(1), "HeartbeatSecondsPath": _path,
    },
    "Choice": {**_IN_OUT, "Choices": _list, "Default": _text},
    "Wait": {
        **_ARROW, **_IN_OUT, "Seconds": _whole(0), "SecondsPath": _path,
        "Timestamp": _timestamp, "TimestampPath": _path,
    },
    "Succeed": {**_IN_OUT},
    "Fail": {"Error": _text, "Cause": _text, "ErrorPath": _expression, "CausePath": _expression},
    "Parallel": {**_ARROW, **_IN_OUT, **_RESULT, **_ERRORS, "Branches": _list},
    "Map": {
        **_ARROW, **_IN_OUT, **_RESULT, **_ERRORS, "ItemProcessor": _object, "Iterator": _object, "ItemsPath": _path,
        "ItemSelector": _object, "MaxConcurrency": _whole(0), "MaxConcurrencyPath": _path, "Label": _text,
        "ItemReader": _object, "ItemBatcher": _object, "ResultWriter": _object,
        "ToleratedFailureCount": _whole(0), "ToleratedFailureCountPath": _path,
        "ToleratedFailurePercentage": _whole(0, 100), "ToleratedFailurePercentagePath": _path,
    },
}  # fmt: skip
_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "Task": ("Resource",), "Choice": ("Choices",), "Parallel": ("Branches",),
}  # fmt: skip
_EXCLUSIVE: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Task": (("TimeoutSeconds", "TimeoutSecondsPath"), ("HeartbeatSeconds", "HeartbeatSecondsPath")),
    "Fail": (("Error", "ErrorPath"), ("Cause", "CausePath")),
    "Map": (("ItemProcessor", "Iterator"), ("ItemSelector", "Parameters"), ("MaxConcurrency", "MaxConcurrencyPath")),
}
_DISTRIBUTED_ONLY: Final = frozenset(
    {"ItemReader", "ItemBatcher", "ResultWriter", "Label"}
    | {f"ToleratedFailure{what}{path}" for what in ("Count", "Percentage") for path in ("", "Path")}
)
_MACHINE: Final[Fields] = {
    "StartAt": _text, "States": _object, "Comment": _text, "Version": _text, "QueryLanguage": _text,
    "TimeoutSeconds": _whole(1),
}  # fmt: skip
_BRANCH: Final[Fields] = {
    "StartAt": _text, "States": _object, "Comment": _text, "QueryLanguage": _text, "ProcessorConfig": _object,
}  # fmt: skip
_RETRIER: Final[Fields] = {
    "ErrorEquals": _list, "IntervalSeconds": _whole(1), "MaxAttempts": _whole(0), "BackoffRate": _rate,
    "MaxDelaySeconds": _whole(1, 31_622_400), "JitterStrategy": _jitter, "Comment": _text,
}  # fmt: skip
_CATCHER: Final[Fields] = {
    "ErrorEquals": _list, "Next": _text, "ResultPath": _reference_or_null, "Comment": _text, "Assign": _object,
}  # fmt: skip
_INVOKE: Final[Fields] = dict.fromkeys(
    (
        f"{name}{suffix}"
        for name in ("FunctionName", "Payload", "InvocationType", "ClientContext", "LogType", "Qualifier")
        for suffix in ("", ".$")
    ),
    _anything,
)


def parse(definition: str) -> dict[str, Any]:
    """Return the definition as an object; it must have been validated."""
    machine: dict[str, Any] = json.loads(definition)
    return machine


def validate(definition: str) -> list[Diagnostic]:
    """Return everything that is wrong with the definition, errors first."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [Diagnostic("ERROR", "INVALID_JSON_DESCRIPTION", f"The definition is not JSON: {error}", "")]
    if not isinstance(machine, dict):
        return [Diagnostic("ERROR", _SCHEMA, "The definition must be an object", "")]
    findings = list(_Validator().machine(machine))
    return sorted(findings, key=lambda finding: finding.severity != "ERROR")


def refuse_what_is_not_emulated(machine: Mapping[str, Any], location: str = "") -> None:
    """Raise NotEmulated for what AWS would run and the sandbox cannot."""
    if machine.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise NotEmulated("the JSONata query language", "Write the state machine in JSONPath.")
    for name, state in machine["States"].items():
        where = f"{location}/States/{name}"
        if state.get("QueryLanguage", "JSONPath") != "JSONPath":
            raise NotEmulated(f"the JSONata query language ({where})", "Write the state in JSONPath.")
        if "Assign" in state or any("Assign" in catcher for catcher in state.get("Catch", [])):
            raise NotEmulated(f"workflow variables, 'Assign' ({where})", "Carry the value in the state's output.")
        if state["Type"] == "Task":
            _refuse_task(state, where)
        for position, branch in enumerate(state.get("Branches", [])):
            refuse_what_is_not_emulated(branch, f"{where}/Branches/{position}")
        processor = state.get("ItemProcessor") or state.get("Iterator")
        if processor:
            distributed = processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE"
            if distributed or _DISTRIBUTED_ONLY & state.keys():
                raise NotEmulated(f"a Distributed Map ({where})", "Use an inline Map.")
            refuse_what_is_not_emulated(processor, f"{where}/ItemProcessor")


def _refuse_task(state: Mapping[str, Any], where: str) -> None:
    if "Credentials" in state:
        raise NotEmulated(f"a task's own 'Credentials' ({where})", "Let the function assume the role.")
    resource = state["Resource"]
    if not any(known.fullmatch(resource) for known in (LAMBDA_INVOKE, FUNCTION_ARN, UPDATE_ITEM_CALLBACK)):
        raise NotEmulated(f"the task resource {resource} ({where})", "Use lambda:invoke or a function's ARN.")


class _Validator:
    """Walks over a definition; state names are unique in the whole of it."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def machine(self, machine: Mapping[str, Any]) -> Iterator[Diagnostic]:
        yield from self._fields(machine, _MACHINE, ("StartAt", "States"), "")
        yield from self._states(machine, "")

    @staticmethod
    def _error(location: str, message: str, code: str = _SCHEMA) -> Diagnostic:
        return Diagnostic("ERROR", code, message, location)

    def _fields(self, value: Any, fields: Fields, required: tuple[str, ...], location: str) -> Iterator[Diagnostic]:
        if not isinstance(value, dict):
            yield self._error(location, "Value must be an object")
            return
        for name in required:
            if name not in value:
                yield self._error(location, f"The field '{name}' is required but was missing")
        for name, content in value.items():
            if name not in fields:
                yield self._error(f"{location}/{name}", f"Field '{name}' is not supported")
            elif (wrong := fields[name](content)) is not None:
                yield self._error(f"{location}/{name}", f"The value of '{name}' {wrong}")

    def _states(self, machine: Mapping[str, Any], location: str) -> Iterator[Diagnostic]:
        states = machine.get("States")
        if not isinstance(states, dict):
            return
        if not states:
            yield self._error(f"{location}/States", "There must be at least one state")
            return
        start = machine.get("StartAt")
        if isinstance(start, str) and start not in states:
            yield self._error(f"{location}/StartAt", f"Missing 'StartAt' target: {start}", _TARGET)
        targets: dict[str, set[str]] = {}
        for name, state in states.items():
            where = f"{location}/States/{name}"
            yield from self._name(name, where)
            yield from self._state(state, where)
            targets[name] = set()
            for field, target in _transitions(state):
                targets[name].add(target)
                if target not in states:
                    yield self._error(f"{where}/{field}", f"Missing '{field.split('/')[-1]}' target: {target}", _TARGET)
        if isinstance(start, str) and start in states:
            yield from self._reachable(start, targets, location)
        if not any(isinstance(state, dict) and _is_terminal(state) for state in states.values()):
            yield self._error(f"{location}/States", "No terminal state: nothing ends the workflow", "MISSING_END_STATE")

    def _name(self, name: str, where: str) -> Iterator[Diagnostic]:
        if not 1 <= len(name) <= _MAX_NAME:
            yield self._error(where, f"A state's name must have 1 to {_MAX_NAME} characters", "INVALID_STATE_NAME")
        if name in self._names:
            yield self._error(where, f"The state name '{name}' appears more than once", "DUPLICATE_STATE_NAME")
        self._names.add(name)

    def _reachable(self, start: str, targets: Mapping[str, set[str]], location: str) -> Iterator[Diagnostic]:
        seen, todo = {start}, [start]
        while todo:
            for target in targets.get(todo.pop(), set()) - seen:
                seen.add(target)
                todo.append(target)
        for name in targets:
            if name not in seen:
                yield self._error(f"{location}/States/{name}", f'State "{name}" is not reachable.', _TARGET)

    def _state(self, state: Any, where: str) -> Iterator[Diagnostic]:
        kind = state.get("Type") if isinstance(state, dict) else None
        if not isinstance(state, dict) or kind not in _STATE_FIELDS:
            yield self._error(where, f"A state must be an object with a Type of {', '.join(_STATE_FIELDS)}")
            return
        fields = _STATE_FIELDS[kind]
        yield from self._fields(state, {**_COMMON, **fields}, _REQUIRED.get(kind, ()), where)
        if "Next" in fields and ("Next" in state) == ("End" in state):
            yield self._error(where, "A state must have exactly one of 'Next' and 'End'")
        for first, second in _EXCLUSIVE.get(kind, ()):
            if first in state and second in state:
                yield self._error(where, f"A state must have only one of '{first}' and '{second}'")
        for field in ("Parameters", "ResultSelector", "ItemSelector"):
            if field in fields and field in state:
                yield from self._template(state[field], f"{where}/{field}")
        yield from self._retry(state.get("Retry"), where)
        yield from self._catch(state.get("Catch"), where)
        match kind:
            case "Task":
                yield from self._task(state, where)
            case "Choice":
                yield from self._choice(state, where)
            case "Wait":
                if len({"Seconds", "SecondsPath", "Timestamp", "TimestampPath"} & state.keys()) != 1:
                    yield self._error(
                        where, "A Wait state must have exactly one of Seconds, SecondsPath, Timestamp, TimestampPath"
                    )
            case "Parallel":
                for position, branch in enumerate(_items(state.get("Branches"))):
                    yield from self._branch(branch, f"{where}/Branches/{position}")
            case "Map":
                field = "Iterator" if "Iterator" in state else "ItemProcessor"
                yield from self._branch(state.get(field), f"{where}/{field}")
            case "Pass" if isinstance(state.get("Result"), dict) and any(key.endswith(".$") for key in state["Result"]):
                yield Diagnostic(
                    "WARNING",
                    "PASS_RESULT_IS_STATIC",
                    "A path in the Result of a Pass state is not evaluated: use Parameters",
                    f"{where}/Result",
                )

    def _branch(self, branch: Any, where: str) -> Iterator[Diagnostic]:
        yield from self._fields(branch, _BRANCH, ("StartAt", "States"), where)
        if isinstance(branch, dict):
            yield from self._states(branch, where)

    def _template(self, value: Any, where: str) -> Iterator[Diagnostic]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key.endswith(".$"):
                    if not templates.check_expression(inner):
                        yield self._error(
                            f"{where}/{key}",
                            f"The value for the field '{key}' must be a valid JSONPath or a valid "
                            "intrinsic function call",
                        )
                    continue
                if isinstance(inner, str) and inner.startswith(("$.", "$$.", "States.")):
                    yield Diagnostic(
                        "WARNING",
                        "NO_DOLLAR",
                        f"The field '{key}' looks like a path or function, but its name does not end in '.$'",
                        f"{where}/{key}",
                    )
                yield from self._template(inner, f"{where}/{key}")
        elif isinstance(value, list):
            for position, inner in enumerate(value):
                yield from self._template(inner, f"{where}/{position}")

    def _error_equals(self, handler: Any, last: bool, where: str) -> Iterator[Diagnostic]:
        names = handler.get("ErrorEquals") if isinstance(handler, dict) else None
        if not isinstance(names, list):
            return
        if not all(isinstance(name, str) for name in names):
            yield self._error(f"{where}/ErrorEquals", "Error names must be strings")
        elif "States.ALL" in names and (len(names) > 1 or not last):
            yield self._error(f"{where}/ErrorEquals", "States.ALL must appear alone, and in the last handler")

    def _retry(self, retriers: Any, where: str) -> Iterator[Diagnostic]:
        for position, retrier in enumerate(_items(retriers)):
            at = f"{where}/Retry/{position}"
            yield from self._fields(retrier, _RETRIER, ("ErrorEquals",), at)
            yield from self._error_equals(retrier, position == len(retriers) - 1, at)
            if isinstance(retrier, dict) and "MaxDelaySeconds" in retrier:
                interval, cap = retrier.get("IntervalSeconds", 1), retrier["MaxDelaySeconds"]
                if isinstance(interval, int) and isinstance(cap, int) and cap <= interval:
                    yield self._error(f"{at}/MaxDelaySeconds", "MaxDelaySeconds must be greater than IntervalSeconds")

    def _catch(self, catchers: Any, where: str) -> Iterator[Diagnostic]:
        for position, catcher in enumerate(_items(catchers)):
            at = f"{where}/Catch/{position}"
            yield from self._fields(catcher, _CATCHER, ("ErrorEquals", "Next"), at)
            yield from self._error_equals(catcher, position == len(catchers) - 1, at)

    def _task(self, state: Mapping[str, Any], where: str) -> Iterator[Diagnostic]:
        resource = state.get("Resource")
        if isinstance(resource, str) and not _ANY_RESOURCE.fullmatch(resource):
            yield self._error(f"{where}/Resource", f"Invalid resource: {resource}", "INVALID_RESOURCE")
        timeout, heartbeat = state.get("TimeoutSeconds", MAX_SECONDS), state.get("HeartbeatSeconds")
        if isinstance(heartbeat, int) and isinstance(timeout, int) and heartbeat >= timeout:
            yield self._error(f"{where}/HeartbeatSeconds", "HeartbeatSeconds must be smaller than TimeoutSeconds")
        if isinstance(resource, str) and LAMBDA_INVOKE.fullmatch(resource):
            parameters = state.get("Parameters", {})
            yield from self._fields(parameters, _INVOKE, (), f"{where}/Parameters")
            if not {"FunctionName", "FunctionName.$"} & set(parameters):
                yield self._error(f"{where}/Parameters", "The field 'FunctionName' is required but was missing")

    def _choice(self, state: Mapping[str, Any], where: str) -> Iterator[Diagnostic]:
        for position, rule in enumerate(_items(state.get("Choices"))):
            at = f"{where}/Choices/{position}"
            if isinstance(rule, dict) and not isinstance(rule.get("Next"), str):
                yield self._error(at, "The field 'Next' is required but was missing")
            yield from self._rule(rule, at, {"Next", "Comment"})

    def _rule(self, rule: Any, at: str, also: set[str]) -> Iterator[Diagnostic]:
        if not isinstance(rule, dict):
            yield self._error(at, "A rule must be an object")
            return
        given = rule.keys() - also - {"Assign", "Variable"}
        if len(given) != 1 or not given <= choice.OPERATORS | {"And", "Or", "Not"}:
            yield self._error(
                at, f"A rule must have exactly one known operator, not {', '.join(sorted(given)) or 'none'}"
            )
            return
        name = next(iter(given))
        expected = rule[name]
        if name in {"And", "Or"}:
            if wrong := _list(expected):
                yield self._error(f"{at}/{name}", f"The value of '{name}' {wrong}")
            for position, inner in enumerate(_items(expected)):
                yield from self._rule(inner, f"{at}/{name}/{position}", set())
        elif name == "Not":
            yield from self._rule(expected, f"{at}/{name}", set())
        else:
            if wrong := _path(rule.get("Variable")):
                yield self._error(f"{at}/Variable", f"The value of 'Variable' {wrong}")
            if wrong := _operand(name)(expected):
                yield self._error(f"{at}/{name}", f"The value of '{name}' {wrong}")


def _operand(name: str) -> Callable[[Any], str | None]:
    if name.startswith("Is"):
        return _flag
    if name.endswith("Path"):
        return _path
    if name.startswith("Numeric"):
        return lambda value: None if type(value) in {int, float} else "must be a number"
    if name.startswith("Boolean"):
        return _flag
    return _timestamp if name.startswith("Timestamp") else _text


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _transitions(state: Any) -> Iterator[tuple[str, str]]:
    """Every (field, target) by which the state leads on."""
    if not isinstance(state, dict):
        return
    for field in ("Next", "Default"):
        if isinstance(state.get(field), str):
            yield field, state[field]
    for field in ("Choices", "Catch"):
        for position, item in enumerate(_items(state.get(field))):
            if isinstance(item, dict) and isinstance(item.get("Next"), str):
                yield f"{field}/{position}/Next", item["Next"]


def _is_terminal(state: Mapping[str, Any]) -> bool:
    return state.get("End") is True or state.get("Type") in {"Succeed", "Fail"}
