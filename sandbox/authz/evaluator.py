"""The Node process that evaluates policies (evaluator.mjs), as a function from a request to an answer."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRIPT = Path(__file__).with_name("evaluator.mjs")
_PACKAGES = _SCRIPT.parents[1] / "node_modules" / "@cloud-copilot"


class EvaluatorUnavailable(RuntimeError):  # noqa: N818  it says what is so
    """IAM policies cannot be evaluated, so nothing that needs a decision can go on."""


class Evaluator:
    """One long-lived evaluator process, started by the first question.

    It is never restarted: an evaluator that died has a reason that somebody must see, so it is an error from then on.
    """

    def __init__(self, node: str = "node") -> None:
        self._node = node
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        # An answer depends on nothing but its question, and a polling workflow asks the same again and again.
        self._remembered = lru_cache(maxsize=4096)(self._ask)

    @property
    def pid(self) -> int | None:
        """The process, None before the first question and after the end."""
        return None if self._process is None else self._process.pid

    def evaluate(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the evaluator's answer; see evaluator.mjs for both shapes."""
        answer: dict[str, Any] = json.loads(self._remembered(json.dumps(question, sort_keys=True)))
        return answer

    def _ask(self, question: str) -> str:
        with self._lock:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(question + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except OSError as error:
                raise self._died(process) from error
            if not answer:
                raise self._died(process)
        if '"failure"' in answer and "failure" in (failed := json.loads(answer)):
            raise EvaluatorUnavailable(f"The IAM policy evaluator failed on {question}: {failed['failure']}")
        return answer

    def _start(self) -> subprocess.Popen[str]:
        if self._closed:
            raise EvaluatorUnavailable("The IAM policy evaluator was closed.")
        node = shutil.which(self._node)
        if node is None:
            raise EvaluatorUnavailable(
                f"The sandbox enforces IAM with Node.js, and there is no {self._node!r} on the PATH: "
                "install Node.js 20 or newer."
            )
        if not _PACKAGES.is_dir():
            raise EvaluatorUnavailable(
                "The sandbox's IAM policy evaluator is not installed: "
                "run `npm ci` in the folder sandbox/ (`make setup` does)."
            )
        return subprocess.Popen(
            [node, str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            # Ctrl-C is for the sandbox, which still asks while it winds up; the script ends with its input.
            start_new_session=True,
        )

    def _died(self, process: subprocess.Popen[str]) -> EvaluatorUnavailable:
        return EvaluatorUnavailable(
            f"The IAM policy evaluator (process {process.pid}) ended with status {process.wait(timeout=10)}; "
            "its own message is on the sandbox's standard error."
        )

    def close(self) -> None:
        """End the process; a later question is an error."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            if process is None:
                return
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it died before it read all
                process.stdin.close()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
