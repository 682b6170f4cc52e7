"""One execution: it drives the interpreter's branches on the virtual clock and keeps their history.

Whatever wakes a branch (the clock, an invocation's end, a returned token) takes the execution's lock and runs the
branches that are ready until all of them wait again. Only invocations have a thread.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from sandbox.core import AwsError
from sandbox.stepfunctions import paths
from sandbox.stepfunctions.errors import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT, StatesError
from sandbox.stepfunctions.history import MAX_EVENTS, History, with_data
from sandbox.stepfunctions.interpreter import Branch, Environment, Fork, Frame, Interpreter, Perform, Sleep, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sandbox.clock import Handle, VirtualClock
    from sandbox.stepfunctions.interpreter import Command
    from sandbox.stepfunctions.tasks import Integration
    from sandbox.stepfunctions.tokens import Tokens

_log = logging.getLogger(__name__)

# API reference, RedriveExecution: within 14 days of the end, and with room left in the history.
_REDRIVE_WINDOW: Final = timedelta(days=14)

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


@dataclass(frozen=True)
class Machine:
    """The state machine as it was when the execution started: a later update changes nothing of it."""

    arn: str
    name: str
    version_arn: str | None
    alias_arn: str | None
    definition: Mapping[str, Any]
    revision: Mapping[str, Any]


class Fiber:
    """A branch that runs or waits. ``wait`` counts its waits, so that a wake-up that comes late is known as such."""

    def __init__(self, branch: Branch, ended: Callable[[Any, StatesError | None], None]) -> None:
        self.branch = branch
        self.ended = ended
        self.wait = 0
        self.closed = False
        self.cleanup: Callable[[], None] = _nothing

    def close(self) -> None:
        """Cancel the branch and what it waits for."""
        if not self.closed:
            self.closed = True
            self.cleanup()
            self.branch.close()


def _nothing() -> None:
    pass


@dataclass
class Execution:
    """See the module's description; everything public may be called from any thread."""

    arn: str
    name: str
    machine: Machine
    input: str
    clock: VirtualClock
    integration: Callable[[str], Integration]
    tokens: Tokens
    on_event: Callable[[Execution, dict[str, Any]], None]
    seed: int = 0
    trace_header: str | None = None

    status: Status = field(default="RUNNING", init=False)
    output: str | None = field(default=None, init=False)
    error: str | None = field(default=None, init=False)
    cause: str | None = field(default=None, init=False)
    stopped: datetime | None = field(default=None, init=False)
    redrives: int = field(default=0, init=False)
    redriven: datetime | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.started = self.clock.now()
        self.finished = threading.Event()
        self.lock = threading.RLock()
        self.history = History(self.clock.now, lambda event: self.on_event(self, event))
        self._document = json.loads(self.input)
        self._frame = Frame(self.machine.definition["States"], self.machine.definition["StartAt"], self._document)
        self._root: Fiber | None = None
        self._ready: deque[tuple[Fiber, Any, BaseException | None]] = deque()
        self._pumping = False
        self._timer: Handle | None = None
        self._interpreter = Interpreter(
            Environment(
                context=self._context,
                history=self.history,
                # Seeded by name: the same execution in the same sandbox waits the same jitter.
                random=random.Random(f"{self.seed}:{self.arn}"),  # noqa: S311
                now=self.clock.now,
                new_token=self.tokens.new,
                integration=self.integration,
            )
        )

    # ---- from outside

    def start(self) -> None:
        """Begin."""
        with self.clock.busy(), self.lock:
            details = {
                **with_data("input", self.input),
                "roleArn": self.machine.revision["roleArn"],
                "stateMachineVersionArn": self.machine.version_arn,
                "stateMachineAliasArn": self.machine.alias_arn,
            }
            self._frame.previous = self.history.add("ExecutionStarted", 0, ("executionStarted", details))
            self._begin()

    def stop(self, error: str | None, cause: str | None) -> None:
        """Abort; what an invocation does in this moment goes on, as on AWS, and nobody hears of it."""
        with self.clock.busy(), self.lock:
            if self.status == "RUNNING":
                self._end("ABORTED", error=error, cause=cause)

    def redrive(self) -> datetime:
        """Continue from where it failed; retry counters begin anew."""
        with self.clock.busy(), self.lock:
            blocker = self.not_redrivable()
            if blocker is not None:
                raise AwsError("ExecutionNotRedrivable", blocker)
            self.redrives += 1
            self.redriven = self.clock.now()
            self.status, self.stopped, self.error, self.cause = "RUNNING", None, None, None
            self.finished.clear()
            last = len(self.history.events)
            self._frame.previous = self.history.add(
                "ExecutionRedriven", last, ("executionRedriven", {"redriveCount": self.redrives})
            )
            self._begin()
            return self.redriven

    def not_redrivable(self) -> str | None:
        """Return why the execution cannot be redriven, or None when it can."""
        if self.stopped is None:
            return "Execution is RUNNING and cannot be redriven"
        if self.status == "SUCCEEDED":
            return "Execution is SUCCEEDED and cannot be redriven"
        if self.clock.now() - self.stopped > _REDRIVE_WINDOW:
            return "Execution has exceeded the redrivable period of 14 days"
        if len(self.history.events) >= MAX_EVENTS - 1:
            return "Execution event history limit exceeded"
        return None

    def wait(self, real_seconds: float) -> bool:
        """Block (in real time) until the execution has ended; the caller must not hold the clock busy."""
        return self.finished.wait(real_seconds)

    # ---- beginning and end

    def _context(self) -> dict[str, Any]:
        execution = {
            "Id": self.arn,
            "Input": self._document,
            "Name": self.name,
            "RoleArn": self.machine.revision["roleArn"],
            "StartTime": timestamp(self.started),
            "RedriveCount": self.redrives,
        }
        if self.redriven is not None:
            execution["RedriveTime"] = timestamp(self.redriven)
        return {"Execution": execution, "StateMachine": {"Id": self.machine.arn, "Name": self.machine.name}}

    def _begin(self) -> None:
        timeout = self.machine.definition.get("TimeoutSeconds")
        if timeout is not None:
            self._timer = self.clock.call_later(timeout, self._time_out)
        self._root = Fiber(self._interpreter.run(self._frame), self._root_ended)
        self._ready.append((self._root, None, None))
        self._pump()

    def _time_out(self) -> None:
        with self.lock:
            if self.status == "RUNNING":
                self._end("TIMED_OUT", error=TIMEOUT)

    def _root_ended(self, output: Any, error: StatesError | None) -> None:
        if error is None:
            self._end("SUCCEEDED", output=paths.compact(output))
        else:
            self._end("FAILED", error=error.error, cause=error.cause)

    def _end(
        self, status: Status, *, output: str | None = None, error: str | None = None, cause: str | None = None
    ) -> None:
        self.status, self.output, self.stopped = status, output, self.clock.now()
        if status != "TIMED_OUT":  # DescribeExecution of a timed-out execution has neither
            self.error, self.cause = error, cause
        if self._timer is not None:
            self._timer.cancel()
        if self._root is not None:
            self._root.close()
        kind = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut", "ABORTED": "Aborted"}[status]
        details = {"error": error, "cause": cause} if output is None else with_data("output", output)
        previous = self._frame.previous if status == "SUCCEEDED" else len(self.history.events)
        self.history.add(f"Execution{kind}", previous, (f"execution{kind}", details), last=True)
        self.finished.set()

    # ---- the driver

    def _resume(self, fiber: Fiber, wait: int, value: Any, error: StatesError | None) -> None:
        """Wake a branch, unless it has stopped waiting for this meanwhile."""
        with self.lock:
            if fiber.closed or fiber.wait != wait:
                return
            fiber.wait += 1
            fiber.cleanup()
            fiber.cleanup = _nothing
            self._ready.append((fiber, value, error))
            self._pump()

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._ready:
                fiber, value, error = self._ready.popleft()
                if not fiber.closed:
                    self._step(fiber, value, error)
        finally:
            self._pumping = False

    def _step(self, fiber: Fiber, value: Any, error: BaseException | None) -> None:
        try:
            command = fiber.branch.send(value) if error is None else fiber.branch.throw(error)
        except StopIteration as stop:
            fiber.closed = True
            fiber.ended(stop.value, None)
        except StatesError as failure:
            fiber.closed = True
            fiber.ended(None, failure)
        except Exception as bug:  # noqa: BLE001
            # The outermost boundary of a branch: a mistake in the sandbox must end the execution, not leave it hanging.
            _log.exception("execution %s failed inside the sandbox", self.arn)
            fiber.closed = True
            fiber.ended(None, StatesError(RUNTIME, f"{type(bug).__name__} inside the sandbox: {bug}"))
        else:
            self._obey(fiber, command)

    def _obey(self, fiber: Fiber, command: Command) -> None:
        wait = fiber.wait
        match command:
            case Sleep(seconds):
                fiber.cleanup = self.clock.call_later(seconds, lambda: self._resume(fiber, wait, None, None)).cancel
            case Perform():
                self._perform(fiber, wait, command)
            case Fork():
                self._fork(fiber, wait, command)

    def _perform(self, fiber: Fiber, wait: int, command: Perform) -> None:
        def fail(error: str) -> None:
            self._resume(fiber, wait, None, StatesError(error))

        timers = {"timeout": self.clock.call_later(command.timeout, lambda: fail(TIMEOUT))}

        def beat() -> None:
            if command.heartbeat is not None:
                if "heartbeat" in timers:
                    timers["heartbeat"].cancel()
                timers["heartbeat"] = self.clock.call_later(command.heartbeat, lambda: fail(HEARTBEAT_TIMEOUT))

        def cleanup() -> None:
            for timer in timers.values():
                timer.cancel()
            if command.token is not None:
                self.tokens.retire(command.token)

        def work() -> None:
            try:
                result = command.work()
            except StatesError as error:
                self._resume(fiber, wait, None, error)
            except Exception as bug:  # noqa: BLE001  as in _step
                _log.exception("a task of execution %s failed inside the sandbox", self.arn)
                self._resume(fiber, wait, None, StatesError(RUNTIME, f"{type(bug).__name__} inside the sandbox: {bug}"))
            else:
                if command.token is None:
                    self._resume(fiber, wait, result, None)
                    return
                with self.lock:
                    if fiber.wait == wait and not fiber.closed:  # the token may have come back before
                        command.submitted(result)

        with self.lock:
            beat()
            fiber.cleanup = cleanup
            if command.token is not None:
                self.tokens.wait(
                    command.token,
                    lambda value, error: self._resume(fiber, wait, value, error),
                    lambda: self._beat(beat),
                )
            self.clock.spawn(work, f"task {self.name}")

    def _beat(self, beat: Callable[[], None]) -> None:
        with self.lock:
            beat()

    def _fork(self, parent: Fiber, wait: int, command: Fork) -> None:
        results: list[Any] = [None] * len(command.branches)
        children: list[Fiber] = []
        left = len(command.branches)

        def close_all() -> None:
            for child in children:
                child.close()

        def begin_next() -> None:
            position = len(children)
            if position == len(command.branches):
                return

            def ended(value: Any, error: StatesError | None) -> None:
                nonlocal left
                if error is not None:
                    self._resume(parent, wait, None, error)
                    return
                results[position] = value
                left -= 1
                if left:
                    begin_next()
                else:
                    self._resume(parent, wait, results, None)

            child = Fiber(command.branches[position](), ended)
            children.append(child)
            self._ready.append((child, None, None))

        parent.cleanup = close_all
        if not command.branches:
            self._resume(parent, wait, results, None)
        for _ in range(command.limit):
            begin_next()
