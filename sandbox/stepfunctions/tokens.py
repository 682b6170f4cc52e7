"""Task tokens: who waits for which, over all executions of an account and region or not (a token names its own)."""

from __future__ import annotations

import base64
import secrets
import threading
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError
from sandbox.stepfunctions.errors import StatesError

if TYPE_CHECKING:
    from collections.abc import Callable

    Resume = Callable[[Any, StatesError | None], None]


class Tokens:
    """Tokens that are waited for, and those that were: AWS answers TaskTimedOut for the latter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Resume, Callable[[], None]]] = {}
        self._retired: set[str] = set()

    @staticmethod
    def new() -> str:
        """Make a token."""
        return base64.b64encode(secrets.token_bytes(240)).decode()

    def wait(self, token: str, resume: Resume, beat: Callable[[], None]) -> None:
        """Register who waits for the token."""
        with self._lock:
            self._waiting[token] = (resume, beat)

    def retire(self, token: str) -> None:
        """Forget who waits, but not that somebody did."""
        with self._lock:
            self._waiting.pop(token, None)
            self._retired.add(token)

    def succeed(self, token: str, output: Any) -> None:
        """Give the waiting task its result."""
        self._find(token)[0](output, None)

    def fail(self, token: str, error: str | None, cause: str | None) -> None:
        """Fail the waiting task."""
        self._find(token)[0](None, StatesError(error, cause))

    def beat(self, token: str) -> None:
        """Take a heartbeat."""
        self._find(token)[1]()

    def _find(self, token: str) -> tuple[Resume, Callable[[], None]]:
        with self._lock:
            if token in self._waiting:
                return self._waiting[token]
            if token in self._retired:
                raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        try:
            known = len(base64.b64decode(token, validate=True)) > 0
        except ValueError:
            known = False
        if known:
            raise AwsError("TaskDoesNotExist", "Task does not exist")
        raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
