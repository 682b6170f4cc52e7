"""One execution environment: a process under awslambdaric, and the Runtime API that it talks to.

Source of the protocol: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import selectors
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PATH: Final = re.compile(r"/2018-06-01/runtime/(invocation/next|init/error|invocation/([^/]+)/(response|error))")
# Lambda ends an initialisation after 10 s; a busy machine gets more before the sandbox gives up.
_INIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Request:
    """One invocation, as the runtime gets it."""

    request_id: str
    payload: bytes
    arn: str
    timeout: float
    trace_id: str


@dataclass(frozen=True)
class Outcome:
    """How it ended: with an answer, with an error document, without an answer in time, or with the process's end."""

    kind: Literal["response", "error", "init-error", "timeout", "exit", "closed"]
    body: bytes = b""
    exit_status: int | None = None


@dataclass(frozen=True)
class Pause:
    """A message to the thread that waits for the outcome: the function itself waits for virtual time until ``over``."""

    over: threading.Event


Message = Outcome | Pause


class Worker:
    """A process that serves one invocation after the other. Whoever invokes it must be alone with it."""

    def __init__(
        self,
        command: Sequence[str],
        task_root: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> None:
        self.invocations = 0
        self._on_line = on_line
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._current: Request | None = None
        self._ready = threading.Event()
        self._closed = False
        self._output_lock = threading.Lock()
        self._partial = b""
        self._ended = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=task_root,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError:
            self._listener.close()
            raise
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        for target, name in ((self._accept, "runtime-api"), (self._watch, "output")):
            threading.Thread(target=target, name=f"lambda-{name}-{self._process.pid}", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can serve another invocation."""
        return not self._closed and self._process.poll() is None

    def begin(self, request: Request) -> None:
        """Hand over an invocation; the outcome comes in ``messages``."""
        self.invocations += 1
        self._current = request
        self._requests.put(request)

    def wait_ready(self) -> bool:
        """Wait until the initialisation is over; False when it takes longer than the sandbox has patience for."""
        return self._ready.wait(_INIT_SECONDS)

    def drain(self) -> None:
        """Hand over every line that the process has written so far."""
        with self._output_lock:
            self._read_output()

    def peak_memory_mb(self) -> int | None:
        """Return the most memory that the process used, where the system tells it."""
        try:
            with open(f"/proc/{self._process.pid}/status", encoding="ascii") as status:  # noqa: PTH123
                peak = next((line.split()[1] for line in status if line.startswith("VmHWM:")), None)
        except OSError:
            return None
        return None if peak is None else int(peak) // 1024

    def close(self) -> None:
        """Kill the process with its children, and stop listening."""
        if self._closed:
            return
        self._closed = True
        self._ready.set()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._requests.put(None)
        self.messages.put(Outcome("closed"))
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept() on Linux; closing wakes it elsewhere
        self._listener.close()

    # ---- the process's output

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                selector.select()
                with self._output_lock:
                    if not self._read_output():
                        break
        status = self._process.wait()
        with self._output_lock:
            self._ended = True
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._ready.set()
        self.messages.put(Outcome("exit", exit_status=status))

    def _read_output(self) -> bool:
        """Read what there is; False at the end of the output."""
        while not self._ended:
            try:
                data = os.read(self._output, 65536)
            except BlockingIOError:
                return True
            except OSError:
                data = b""
            if not data:
                if self._partial:
                    self._on_line(self._partial.decode(errors="replace"))
                    self._partial = b""
                return False
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace"))
        return False

    # ---- the Runtime API

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(connection, address), name="lambda-runtime-api", daemon=True
            ).start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        worker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                worker._next(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                worker._posted(self, body)

            def log_message(self, *_args: object) -> None:
                """Be quiet."""

        with contextlib.suppress(OSError), connection:  # a killed process resets its connections
            Handler(connection, address, None)  # type: ignore[arg-type]  # no server: it is only passed through

    def _next(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path != "/2018-06-01/runtime/invocation/next":
            _reply(handler, 404)
            return
        self._ready.set()
        request = self._requests.get()
        if request is None:
            _reply(handler, 410)
            return
        deadline = int((time.time() + request.timeout) * 1000)
        _reply(
            handler,
            200,
            request.payload,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": request.request_id,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": request.arn,
                "Lambda-Runtime-Trace-Id": request.trace_id,
            },
        )

    def _posted(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        match = _PATH.fullmatch(handler.path)
        if match is None:
            _reply(handler, 404)
            return
        current = self._current
        if match[1] == "init/error":
            self._ready.set()
            self.messages.put(Outcome("init-error", body))
        elif current is not None and match[2] == current.request_id:
            self.messages.put(Outcome("response" if match[3] == "response" else "error", body))
        _reply(handler, 202)


def _reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()
