"""The Amazon States Language itself: what each state does with its input, and where it leads.

A branch of an execution is a generator. It computes, and yields a command when it has to wait (for time, for a task,
for branches of its own); the execution resumes it with the result, or throws the error into it. So nothing holds a
thread while it waits, and a branch is cancelled by closing its generator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sandbox.stepfunctions import choice, definition, paths, templates
from sandbox.stepfunctions.errors import (
    DATA_LIMIT_EXCEEDED,
    HEARTBEAT_TIMEOUT,
    NO_CHOICE_MATCHED,
    RUNTIME,
    TIMEOUT,
    StatesError,
    matches,
    runtime_error,
)
from sandbox.stepfunctions.history import with_data
from sandbox.stepfunctions.intrinsics import Scope

if TYPE_CHECKING:
    import random

    from sandbox.stepfunctions.history import History
    from sandbox.stepfunctions.tasks import Integration

# Service quotas: "Maximum input or output size for a task, state, or execution: 262,144 bytes of data as UTF-8".
MAX_PAYLOAD: Final = 262_144
# Developer Guide, Map state: inline mode runs up to 40 concurrent iterations.
_INLINE_CONCURRENCY: Final = 40


@dataclass(frozen=True)
class Sleep:
    """Wait for so many virtual seconds."""

    seconds: float


@dataclass(frozen=True)
class Perform:
    """Do the work on a thread of its own; with a token, its end is when somebody returns the token."""

    work: Callable[[], Any]
    timeout: float
    heartbeat: float | None
    token: str | None
    submitted: Callable[[Any], None]


@dataclass(frozen=True)
class Fork:
    """Run branches together, at most ``limit`` at a time; the result is the list of their outputs."""

    branches: list[Callable[[], Branch]]
    limit: int


Command = Sleep | Perform | Fork
Branch = Generator[Command, Any, Any]
Outcome = tuple[Any, "str | None"]
Step = Generator[Command, Any, Outcome]


@dataclass
class Frame:
    """Where a branch stands. It outlives a failure, so that a redrive continues from the state that failed."""

    states: Mapping[str, Any]
    current: str
    input: Any
    previous: int = 0
    item: Mapping[str, Any] | None = None
    children: list[Frame] | None = None
    done: bool = False
    output: Any = None


@dataclass
class Visit:
    """One stay in one state, over all its attempts."""

    frame: Frame
    name: str
    state: Mapping[str, Any]
    entered: datetime
    entered_event: int = 0
    retries: int = 0
    token: str | None = None
    tries: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """What the interpreter needs of its execution."""

    context: Callable[[], dict[str, Any]]
    history: History
    random: random.Random
    now: Callable[[], datetime]
    new_token: Callable[[], str]
    integration: Callable[[str], Integration]


def timestamp(when: datetime) -> str:
    """Return the time as the context object holds it: RFC 3339, UTC, milliseconds."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Interpreter:
    """Runs frames."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment

    def run(self, frame: Frame) -> Branch:
        """Run the frame to its end and return its output; raises the StatesError that nothing caught."""
        while not frame.done:
            yield from self._state(frame)
        return frame.output

    # ---- one state

    def _state(self, frame: Frame) -> Generator[Command, Any, None]:
        state = frame.states[frame.current]
        visit = Visit(frame, frame.current, state, self._env.now())
        kind = state["Type"]
        self._event(
            frame,
            f"{kind}StateEntered",
            ("stateEntered", {"name": visit.name, **with_data("input", paths.compact(frame.input))}),
        )
        visit.entered_event = frame.previous
        try:
            match kind:
                case "Task":
                    output, target = yield from self._task(visit)
                case "Wait":
                    output, target = yield from self._wait(visit)
                case "Parallel":
                    output, target = yield from self._parallel(visit)
                case "Map":
                    output, target = yield from self._map(visit)
                case "Choice":
                    output, target = self._choice(visit)
                case "Pass":
                    output, target = self._pass(visit)
                case "Succeed":
                    output, target = self._succeed(visit)
                case _:
                    raise self._failure(visit)
            self._limit(output, visit.name)
        except StatesError as error:
            output, target = self._caught(visit, error)
            self._limit(output, visit.name)
        self._event(
            frame,
            f"{kind}StateExited",
            ("stateExited", {"name": visit.name, **with_data("output", paths.compact(output))}),
        )
        frame.children = None
        if target is None:
            frame.done, frame.output = True, output
        else:
            frame.current, frame.input = target, output

    def _caught(self, visit: Visit, error: StatesError) -> tuple[Any, str]:
        for catcher in visit.state.get("Catch", []):
            if matches(catcher["ErrorEquals"], error.error):
                path = catcher.get("ResultPath", "$")
                raw = visit.frame.input
                return (raw if path is None else paths.assign(path, raw, error.output())), catcher["Next"]
        if error.error == RUNTIME and not error.located:
            error.located = True
            error.cause = (
                f"An error occurred while executing the state '{visit.name}' "
                f"(entered at the event id #{visit.entered_event}). {error.cause}"
            )
        raise error

    def _retrying(self, visit: Visit, attempt: Callable[[Visit], Branch]) -> Branch:
        while True:
            try:
                return (yield from attempt(visit))
            except StatesError as error:
                delay = self._retry_delay(visit, error)
                if delay is None:
                    raise
            visit.frame.children = None
            visit.retries += 1
            yield Sleep(delay)

    def _retry_delay(self, visit: Visit, error: StatesError) -> float | None:
        """Return how long the first retrier that matches wants to wait, or None when it has no attempt left."""
        for position, retrier in enumerate(visit.state.get("Retry", [])):
            if not matches(retrier["ErrorEquals"], error.error):
                continue
            used = visit.tries.get(position, 0)
            if used >= retrier.get("MaxAttempts", 3):
                return None
            visit.tries[position] = used + 1
            delay: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** used
            delay = min(delay, retrier.get("MaxDelaySeconds", definition.MAX_SECONDS))
            return self._env.random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
        return None

    # ---- input and output of a state

    def _scope(self, visit: Visit, document: Any) -> Scope:
        context = self._env.context()
        context["State"] = {"Name": visit.name, "EnteredTime": timestamp(visit.entered), "RetryCount": visit.retries}
        if visit.token is not None:
            context["Task"] = {"Token": visit.token}
        if visit.frame.item is not None:
            context["Map"] = {"Item": visit.frame.item}
        return Scope(document, context, self._env.random)

    def _input(self, visit: Visit) -> Any:
        """Apply InputPath."""
        path = visit.state.get("InputPath", "$")
        if path is None:
            return {}
        return templates.lookup(path, self._scope(visit, visit.frame.input), "InputPath")

    def _parameters(self, visit: Visit, effective: Any, field_name: str = "Parameters") -> Any:
        if field_name not in visit.state:
            return effective
        filled = templates.fill(visit.state[field_name], self._scope(visit, effective))
        self._limit(filled, visit.name)
        return filled

    def _result(self, visit: Visit, result: Any) -> Any:
        """Apply ResultSelector."""
        if "ResultSelector" not in visit.state:
            return result
        return templates.fill(visit.state["ResultSelector"], self._scope(visit, result))

    def _output(self, visit: Visit, result: Any) -> Any:
        """Apply ResultPath (to the raw input) and OutputPath."""
        path = visit.state.get("ResultPath", "$")
        raw = visit.frame.input
        combined = raw if path is None else paths.assign(path, raw, result)
        return self._filtered(visit, combined)

    def _filtered(self, visit: Visit, document: Any) -> Any:
        path = visit.state.get("OutputPath", "$")
        if path is None:
            return {}
        return templates.lookup(path, self._scope(visit, document), "OutputPath")

    def _number(self, visit: Visit, document: Any, name: str, default: float | None) -> float | None:
        """Return ``<name>`` or what ``<name>Path`` leads to."""
        if f"{name}Path" not in visit.state:
            value: float | None = visit.state.get(name, default)
            return value
        value = templates.lookup(visit.state[f"{name}Path"], self._scope(visit, document), f"{name}Path")
        # "-Path" values must be integers (JSON knows no difference between 3 and 3.0)
        if type(value) not in {int, float} or value != int(value) or not 0 <= value <= definition.MAX_SECONDS:
            raise runtime_error(
                f"The {name}Path parameter does not reference an integer value: "
                f"{visit.state[f'{name}Path']} == {paths.compact(value)}"
            )
        return value

    @staticmethod
    def _limit(value: Any, name: str) -> None:
        if len(paths.compact(value).encode()) > MAX_PAYLOAD:
            raise StatesError(
                DATA_LIMIT_EXCEEDED,
                f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes "
                "service limit.",
            )

    def _event(self, frame: Frame, kind: str, details: tuple[str, Mapping[str, Any]] | None = None) -> None:
        frame.previous = self._env.history.add(kind, frame.previous, details)

    @staticmethod
    def _next(visit: Visit) -> str | None:
        target: str | None = visit.state.get("Next")
        return target

    # ---- the states, by type; each returns (output, next state or None), those that wait yield their commands before

    def _pass(self, visit: Visit) -> Outcome:
        result = self._parameters(visit, self._input(visit))
        result = visit.state.get("Result", result)
        return self._output(visit, result), self._next(visit)

    def _succeed(self, visit: Visit) -> Outcome:
        return self._filtered(visit, self._input(visit)), None

    def _failure(self, visit: Visit) -> StatesError:
        scope = self._scope(visit, visit.frame.input)

        def text(name: str) -> str | None:
            if f"{name}Path" not in visit.state:
                fixed: str | None = visit.state.get(name)
                return fixed
            value = templates.lookup(visit.state[f"{name}Path"], scope, f"{name}Path")
            if not isinstance(value, str):
                raise runtime_error(
                    f"The {name}Path parameter does not reference a string value: {paths.compact(value)}"
                )
            return value

        return StatesError(text("Error"), text("Cause"))

    def _choice(self, visit: Visit) -> Outcome:
        effective = self._input(visit)
        scope = self._scope(visit, effective)
        for rule in visit.state["Choices"]:
            if choice.holds(rule, scope):
                return self._filtered(visit, effective), rule["Next"]
        if "Default" not in visit.state:
            raise StatesError(NO_CHOICE_MATCHED, f"No choice rule of '{visit.name}' matched its input.")
        return self._filtered(visit, effective), visit.state["Default"]

    def _wait(self, visit: Visit) -> Step:
        effective = self._input(visit)
        moment = visit.state.get("Timestamp")
        if "TimestampPath" in visit.state:
            path = visit.state["TimestampPath"]
            moment = templates.lookup(path, self._scope(visit, effective), "TimestampPath")
            if choice.parse_timestamp(moment) is None:
                raise runtime_error(
                    f"The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time "
                    f"format string: {path} == {paths.compact(moment)}"
                )
        until = choice.parse_timestamp(moment)
        seconds = (
            self._number(visit, effective, "Seconds", 0) if until is None else (until - self._env.now()).total_seconds()
        )
        yield Sleep(max(seconds or 0, 0))
        return self._filtered(visit, effective), self._next(visit)

    def _task(self, visit: Visit) -> Step:
        result = yield from self._retrying(visit, self._attempt_task)
        return result, self._next(visit)

    def _attempt_task(self, visit: Visit) -> Branch:
        integration = self._env.integration(visit.state["Resource"])
        visit.token = self._env.new_token() if integration.callback else None
        effective = self._input(visit)
        parameters = self._parameters(visit, effective)
        timeout = self._number(visit, effective, "TimeoutSeconds", None)
        heartbeat = self._number(visit, effective, "HeartbeatSeconds", None)
        work = integration.prepare(parameters)
        frame = visit.frame
        self._event(frame, *integration.scheduled(parameters, timeout, heartbeat))
        self._event(frame, *integration.started())

        def submitted(answer: Any) -> None:
            self._event(frame, *integration.submitted(answer))

        try:
            result = yield Perform(
                work, definition.MAX_SECONDS if timeout is None else timeout, heartbeat, visit.token, submitted
            )
            self._limit(result, visit.state["Resource"])
        except StatesError as error:
            timed_out = error.error in {TIMEOUT, HEARTBEAT_TIMEOUT}
            self._event(frame, *(integration.timed_out(error) if timed_out else integration.failed(error)))
            raise
        self._event(frame, *integration.succeeded(result))
        return self._output(visit, self._result(visit, result))

    def _parallel(self, visit: Visit) -> Step:
        result = yield from self._retrying(visit, self._attempt_parallel)
        return result, self._next(visit)

    def _attempt_parallel(self, visit: Visit) -> Branch:
        frame = visit.frame
        parameters = self._parameters(visit, self._input(visit))
        self._event(frame, "ParallelStateStarted")
        if frame.children is None:
            frame.children = [
                Frame(branch["States"], branch["StartAt"], parameters, item=frame.item)
                for branch in visit.state["Branches"]
            ]
        children = frame.children
        for child in children:
            child.previous = frame.previous
        results = yield from self._fork(
            visit, "Parallel", [partial(self.run, child) for child in children], len(children)
        )
        return self._output(visit, self._result(visit, results))

    def _map(self, visit: Visit) -> Step:
        result = yield from self._retrying(visit, self._attempt_map)
        return result, self._next(visit)

    def _attempt_map(self, visit: Visit) -> Branch:
        frame = visit.frame
        effective = self._input(visit)
        path = visit.state.get("ItemsPath", "$")
        items = templates.lookup(path, self._scope(visit, effective), "ItemsPath")
        if not isinstance(items, list):
            raise runtime_error(f'Reference path "{path}" must point to array.')
        limit = self._number(visit, effective, "MaxConcurrency", 0)
        self._event(frame, "MapStateStarted", ("mapStateStarted", {"length": len(items)}))
        if frame.children is None:
            frame.children = [self._iteration_frame(visit, effective, index, item) for index, item in enumerate(items)]
        for child in frame.children:
            child.previous = frame.previous
        results = yield from self._fork(
            visit,
            "Map",
            [partial(self._iteration, child, visit.name, index) for index, child in enumerate(frame.children)],
            min(int(limit or _INLINE_CONCURRENCY), _INLINE_CONCURRENCY),
        )
        return self._output(visit, self._result(visit, results))

    def _iteration_frame(self, visit: Visit, effective: Any, index: int, item: Any) -> Frame:
        processor = visit.state.get("ItemProcessor") or visit.state["Iterator"]
        frame = Frame(processor["States"], processor["StartAt"], item, item={"Index": index, "Value": item})
        for field_name in ("ItemSelector", "Parameters"):
            if field_name in visit.state:
                scope = self._scope(visit, effective)
                scope.context["Map"] = {"Item": frame.item}
                frame.input = templates.fill(visit.state[field_name], scope)
        self._limit(frame.input, visit.name)
        return frame

    def _iteration(self, frame: Frame, name: str, index: int) -> Branch:
        if frame.done:  # before a redrive
            return frame.output

        def note(what: str) -> None:
            self._event(frame, f"MapIteration{what}", (f"mapIteration{what}", {"name": name, "index": index}))

        note("Started")
        try:
            output = yield from self.run(frame)
        except StatesError:
            note("Failed")
            raise
        except GeneratorExit:
            with suppress(StatesError):  # a full history
                note("Aborted")
            raise
        note("Succeeded")
        return output

    def _fork(self, visit: Visit, kind: str, branches: list[Callable[[], Branch]], limit: int) -> Branch:
        frame = visit.frame
        try:
            results = yield Fork(branches, limit)
        except StatesError:
            self._event(frame, f"{kind}StateFailed")
            raise
        self._event(frame, f"{kind}StateSucceeded")
        return results
