"""Invocations: warm workers, timeouts, concurrency, logs, faults, and what they cost in virtual time."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import secrets
import sys
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandbox.core import AwsError, Principal
from sandbox.functions import code, operation
from sandbox.functions.worker import Outcome, Pause, Request, Worker
from sandbox.recorder import is_emf

if TYPE_CHECKING:
    from sandbox.clock import VirtualClock
    from sandbox.core import Call
    from sandbox.faults import Fault, Faults

_log = logging.getLogger(__name__)

LogSink = Callable[[str, str, str, str, Sequence[tuple[datetime, str]]], None]
"""(account, region, log group, log stream, lines with their times) → None; makes the stream if it must."""
MetricSink = Callable[[str, str, Mapping[str, Any]], object]
"""(account, region, EMF document) → whatever."""

_TAIL_BYTES: Final = 4096
_MAX_ANSWER: Final = 6 * 1024 * 1024


class Registry(Protocol):
    """Makes sessions of roles; see sandbox.principals."""

    def issue(self, role_arn: str, session_name: str) -> tuple[str, str, str]:
        """Return key, secret and token of a new session."""
        ...

    def lookup(self, access_key: str) -> Principal:
        """Return who a key belongs to."""
        ...


class Authorizer(Protocol):
    """Decides; see sandbox.authz."""

    def check_action(
        self, principal: Principal, action: str, resource: str, context: Mapping[str, str | list[str]], region: str
    ) -> None:
        """Raise AwsError when the principal may not."""
        ...


@dataclass(frozen=True)
class Invocation:
    """What an invocation gave: the answer, or with ``function_error`` the error document."""

    payload: bytes
    function_error: str | None = None
    log_tail: str = ""
    version: str = "$LATEST"


@dataclass
class _Environment:
    """A worker and what belongs to it: its role's session, its log stream."""

    worker: Worker
    principal: Principal
    stream: str
    logs: bool = True
    lines: list[str] = field(default_factory=list)
    init_seconds: float | None = None


class FunctionRunner:
    """Runs functions; as a sandbox.core.Service it answers ``lambda:Invoke``, everything else of Lambda is moto's.

    Everything public may be called from any thread.
    """

    name = "lambda"

    def __init__(
        self,
        clock: VirtualClock,
        registry: Registry,
        *,
        state_dir: Path,
        endpoint_url: str | Callable[[], str],
        log: LogSink | None = None,
        metrics: MetricSink | None = None,
        faults: Faults | None = None,
        authorizer: Authorizer | None = None,
        python: str | Path | None = None,
        virtual_duration: float = 1.0,
        max_running: int = 8,
        max_idle: int = 24,
    ) -> None:
        self._clock = clock
        self._registry = registry
        self._endpoint_url = endpoint_url
        self._log = log
        self._metrics = metrics
        self._faults = faults
        self._authorizer = authorizer
        self._python = str(python or sys.executable)
        self._virtual_duration = virtual_duration
        self._codes = code.CodeStore(state_dir / "functions")
        self._running = threading.BoundedSemaphore(max_running)
        self._max_idle = max_idle
        self._lock = threading.Lock()
        self._idle: OrderedDict[str, list[_Environment]] = OrderedDict()
        # By the very principal: workers of one function have equal ones, but each its own from the registry.
        self._busy: dict[int, _Environment] = {}
        self._in_flight: dict[str, int] = {}
        self._closed = False

    def handle(self, call: Call) -> Mapping[str, Any]:
        """Answer an API call; the gateway has authorized it."""
        return operation.invoke(self, call)

    def invoke(self, function_arn: str, payload: bytes, *, invoker: Principal | None = None) -> Invocation:
        """Invoke a function and wait for its end; ``invoker`` has been authorized, and waits with its time given up."""
        function = code.find(function_arn)
        fault = self._faults.match_invocation(function.name) if self._faults is not None else None
        with self._counted(function), self.waiting(invoker):
            if fault is not None and fault.delay_seconds:
                self._clock.sleep(fault.delay_seconds)
            invocation, cost = self._run(function, payload, fault)
            self._clock.sleep(cost)
        return invocation

    def invoke_later(self, function_arn: str, payload: bytes) -> None:
        """Invoke without waiting (InvocationType Event): a failure is tried again after one and after two minutes."""
        code.find(function_arn)  # refuses at once what does not exist

        def attempt(number: int) -> None:
            try:
                failed = self.invoke(function_arn, payload).function_error is not None
            except AwsError as error:
                _log.warning("asynchronous invocation of %s: %s", function_arn, error)
                failed = True
            if failed and number < 3:  # Developer Guide, "How Lambda handles errors and retries with asynchronous…"
                self._clock.call_later(60 * number, lambda: begin(number + 1))

        def begin(number: int) -> None:
            self._clock.spawn(lambda: attempt(number), f"event {function_arn.rsplit(':', 1)[-1]}")

        begin(1)

    @contextmanager
    def waiting(self, principal: Principal | None) -> Iterator[None]:
        """Let virtual time pass although the principal's function runs: it waits for an answer that takes time.

        To be put around whatever sleeps on the clock while it serves a call; without it, the clock would wait for the
        function, and the function for the clock.
        """
        with self._lock:
            environment = None if principal is None else self._busy.get(id(principal))
        if environment is None:
            yield
            return
        pause = Pause(threading.Event())
        environment.worker.messages.put(pause)
        try:
            yield
        finally:
            pause.over.set()

    def workers(self) -> dict[str, int]:
        """Return how many workers are busy and idle."""
        with self._lock:
            return {"busy": len(self._busy), "idle": sum(len(pool) for pool in self._idle.values())}

    def close(self) -> None:
        """Kill every worker and remove the unpacked code."""
        with self._lock:
            self._closed = True
            environments = [*self._busy.values(), *(each for pool in self._idle.values() for each in pool)]
            self._idle.clear()
        for environment in environments:
            environment.worker.close()
        self._codes.close()

    # ---- one invocation

    @contextmanager
    def _counted(self, function: code.Function) -> Iterator[None]:
        """Count the function's concurrency (all its versions together) against what is reserved for it."""
        key = function.arn.split(":function:")[0] + function.name
        with self._lock:
            running = self._in_flight.get(key, 0)
            if function.reserved_concurrency is not None and running >= function.reserved_concurrency:
                raise AwsError("TooManyRequestsException", "Rate Exceeded.", 429)
            self._in_flight[key] = running + 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight[key] -= 1

    def _run(self, function: code.Function, payload: bytes, fault: Fault | None) -> tuple[Invocation, float]:
        """Return the outcome and what it costs in virtual seconds."""
        request = Request(
            str(uuid.uuid4()),
            payload,
            function.arn,
            function.timeout,
            f"Root=1-{int(time.time()):x}-{secrets.token_hex(12)}",
        )
        effect = None if fault is None else fault.effect
        if fault is not None and effect in {"raise", "timeout"} and not fault.done:
            return self._pretend(function, request, fault)
        with self._clock.busy():
            outcome, environment = self._perform(function, request)
        if fault is not None and effect in {"raise", "timeout"}:
            return self._pretend(function, request, fault)
        cost = function.timeout if outcome.kind == "timeout" else min(self._virtual_duration, function.timeout)
        return self._answer(function, request, outcome, environment), cost

    def _perform(self, function: code.Function, request: Request) -> tuple[Outcome, _Environment]:
        with self._slot() as slot:
            environment = self._take(function)
            environment.lines.clear()
            self._write(function, environment, f"START RequestId: {request.request_id} Version: {function.version}")
            environment.worker.begin(request)
            begun = time.monotonic()
            if not environment.worker.wait_ready():
                outcome = Outcome("timeout")
            else:
                if environment.worker.invocations == 1:
                    environment.init_seconds = time.monotonic() - begun
                begun = time.monotonic()
                outcome = self._await(environment.worker, begun + function.timeout, slot)
            environment.worker.drain()
            self._report(function, request, environment, outcome, time.monotonic() - begun)
            self._give_back(function, environment, reuse=outcome.kind in {"response", "error"})
        return outcome, environment

    def _await(self, worker: Worker, deadline: float, slot: _Slot) -> Outcome:
        while True:
            try:
                message = worker.messages.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                return Outcome("timeout")
            if isinstance(message, Outcome):
                return message
            paused = time.monotonic()
            with slot.released():
                self._clock.wait_for(message.over, None)
            deadline += time.monotonic() - paused

    @contextmanager
    def _slot(self) -> Iterator[_Slot]:
        """Bound the processes that run at once: hundreds of invocations may be due in the same virtual second."""
        slot = _Slot(self._running)
        with self._running:
            yield slot

    def _answer(
        self, function: code.Function, request: Request, outcome: Outcome, environment: _Environment
    ) -> Invocation:
        tail = "\n".join(environment.lines)[-_TAIL_BYTES:]
        prefix = f"RequestId: {request.request_id}"
        match outcome.kind:
            case "response" if len(outcome.body) > _MAX_ANSWER:
                text = f"Response payload size exceeded maximum allowed payload size ({_MAX_ANSWER} bytes)."
                return self._failed(function, "Function.ResponseSizeTooLarge", text, tail)
            case "response":
                return Invocation(outcome.body, None, tail, function.version)
            case "error" | "init-error":
                return Invocation(outcome.body, "Unhandled", tail, function.version)
            case "timeout":
                text = f"{prefix} Error: Task timed out after {function.timeout:.2f} seconds"
                return self._failed(function, "Sandbox.Timedout", text, tail)
            case "exit":
                how = _exit_text(outcome.exit_status)
                return self._failed(function, "Runtime.ExitError", f"{prefix} Error: {how}", tail)
            case _:
                raise AwsError("ServiceException", "The sandbox stops.", 500)

    @staticmethod
    def _failed(function: code.Function, kind: str, message: str, tail: str) -> Invocation:
        body = json.dumps({"errorType": kind, "errorMessage": message}).encode()
        return Invocation(body, "Unhandled", tail, function.version)

    # ---- faults

    def _pretend(self, function: code.Function, request: Request, fault: Fault) -> tuple[Invocation, float]:
        """Answer as a function that raises or hangs would; it does not run (or its answer is thrown away)."""
        tail = (
            f"START RequestId: {request.request_id} Version: {function.version}\n[sandbox] {fault.effect} was injected"
        )
        if fault.effect == "timeout":
            text = f"RequestId: {request.request_id} Error: Task timed out after {function.timeout:.2f} seconds"
            return self._failed(function, "Sandbox.Timedout", text, tail), function.timeout
        document = {
            "errorMessage": fault.message,
            "errorType": fault.error or "InjectedError",
            "requestId": request.request_id,
            "stackTrace": [],
        }
        return Invocation(json.dumps(document).encode(), "Unhandled", tail, function.version), self._virtual_duration

    # ---- workers

    def _take(self, function: code.Function) -> _Environment:
        with self._lock:
            if self._closed:
                raise AwsError("ServiceException", "The sandbox stops.", 500)
            pool = self._idle.get(function.fingerprint, [])
            while pool:
                environment = pool.pop()
                if environment.worker.alive:
                    self._busy[id(environment.principal)] = environment
                    return environment
        environment = self._start(function)
        with self._lock:
            self._busy[id(environment.principal)] = environment
        self._close_late(environment)
        return environment

    def _close_late(self, environment: _Environment) -> None:
        """Close a worker that was started while the runner was closed."""
        if self._closed:
            environment.worker.close()

    def _give_back(self, function: code.Function, environment: _Environment, *, reuse: bool) -> None:
        surplus: list[_Environment] = []
        with self._lock:
            self._busy.pop(id(environment.principal), None)
            if reuse and environment.worker.alive and not self._closed:
                self._idle.setdefault(function.fingerprint, []).append(environment)
                self._idle.move_to_end(function.fingerprint)
                while sum(len(pool) for pool in self._idle.values()) > self._max_idle:
                    oldest = next(key for key, pool in self._idle.items() if pool)
                    surplus.append(self._idle[oldest].pop(0))
                for key in [key for key, pool in self._idle.items() if not pool]:
                    del self._idle[key]
            else:
                surplus.append(environment)
        for each in surplus:
            each.worker.close()

    def _start(self, function: code.Function) -> _Environment:
        task_root = self._codes.unpack(function)
        key, secret, token = self._registry.issue(function.role, function.name)  # AWS names the session so, too
        stream = f"{self._clock.now():%Y/%m/%d}/[{function.version}]{secrets.token_hex(16)}"
        endpoint = self._endpoint_url if isinstance(self._endpoint_url, str) else self._endpoint_url()
        environment = {
            # The host's PATH and nothing else of it: no credentials, profiles or endpoints leak in.
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "HOME": str(task_root.parent),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(task_root),
            **function.environment,
            "LAMBDA_TASK_ROOT": str(task_root),
            "LAMBDA_RUNTIME_DIR": str(task_root),
            "_HANDLER": function.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": function.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": token,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        holder: list[_Environment] = []
        made = threading.Event()

        def on_line(line: str) -> None:
            made.wait()
            self._write(function, holder[0], line)

        worker = Worker([self._python, "-m", "awslambdaric", function.handler], task_root, environment, on_line)
        principal = self._registry.lookup(key)
        holder.append(_Environment(worker, principal, stream, self._may_log(function, principal, stream)))
        made.set()
        return holder[0]

    # ---- logs

    def _may_log(self, function: code.Function, principal: Principal, stream: str) -> bool:
        """Tell whether the role may write the function's log; if not, it runs (on AWS, too) and its lines are lost."""
        if self._authorizer is None:
            return True
        partition, account, region = principal.partition, function.account, function.region
        resource = f"arn:{partition}:logs:{region}:{account}:log-group:{function.log_group}:log-stream:{stream}"
        try:
            self._authorizer.check_action(principal, "logs:PutLogEvents", resource, {}, region)
        except AwsError:
            return False
        return True

    def _write(self, function: code.Function, environment: _Environment, *lines: str) -> None:
        # awslambdaric ends the lines of a multi-line record with a carriage return
        written = [part for line in lines for part in line.split("\r") if part]
        environment.lines.extend(written)
        if not environment.logs:
            return
        if self._log is not None and written:
            now = self._clock.now()
            entries = [(now, line) for line in written]
            self._log(function.account, function.region, function.log_group, environment.stream, entries)
        if self._metrics is not None:
            for line in written:
                if line.startswith("{") and '"_aws"' in line:
                    with contextlib.suppress(ValueError):
                        document = json.loads(line)
                        if is_emf(document):
                            self._metrics(function.account, function.region, document)

    def _report(
        self, function: code.Function, request: Request, environment: _Environment, outcome: Outcome, seconds: float
    ) -> None:
        prefix = f"RequestId: {request.request_id}"
        lines = []
        if outcome.kind == "timeout":
            when = f"{self._clock.now():%Y-%m-%dT%H:%M:%S}Z"
            lines.append(f"{when} {request.request_id} Task timed out after {function.timeout:.2f} seconds")
        elif outcome.kind == "exit":
            lines.append(f"{prefix} Error: {_exit_text(outcome.exit_status)}")
            lines.append("Runtime.ExitError")
        milliseconds = seconds * 1000
        memory = environment.worker.peak_memory_mb() or function.memory
        report = (
            f"REPORT {prefix}\tDuration: {milliseconds:.2f} ms\tBilled Duration: {int(milliseconds) + 1} ms\t"
            f"Memory Size: {function.memory} MB\tMax Memory Used: {memory} MB\t"
        )
        if environment.worker.invocations == 1 and environment.init_seconds is not None:
            report += f"Init Duration: {environment.init_seconds * 1000:.2f} ms\t"
        self._write(function, environment, *lines, f"END {prefix}", report)


class _Slot:
    """A place among those that run, which can be left for a while."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places

    @contextmanager
    def released(self) -> Iterator[None]:
        """Give the place to others."""
        self._places.release()
        try:
            yield
        finally:
            self._places.acquire()


def _exit_text(status: int | None) -> str:
    if not status:
        return "Runtime exited without providing a reason"
    if status < 0:
        return "Runtime exited with error: signal: killed"
    return f"Runtime exited with error: exit status {status}"
