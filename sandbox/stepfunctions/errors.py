"""Errors inside an execution, by their Amazon States Language names."""

from __future__ import annotations

RUNTIME = "States.Runtime"
DATA_LIMIT_EXCEEDED = "States.DataLimitExceeded"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
INTRINSIC_FAILURE = "States.IntrinsicFailure"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"

# Developer Guide, "Handling errors in Step Functions workflows": States.ALL catches neither of the two.
_TERMINAL = frozenset({RUNTIME, DATA_LIMIT_EXCEEDED})


class StatesError(Exception):
    """A state failed; what Retry, Catch and the execution's end see of it."""

    def __init__(self, error: str | None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.located = False  # whether the cause names the state already
        self.cause = cause

    def output(self) -> dict[str, str]:
        """Return the error output that a Catch hands to its target."""
        return {"Error": self.error or "", "Cause": self.cause or ""}


def runtime_error(cause: str) -> StatesError:
    """Make the error that always ends the execution."""
    return StatesError(RUNTIME, cause)


def matches(error_equals: list[str], error: str | None) -> bool:
    """Tell whether a retrier's or catcher's ``ErrorEquals`` matches the error.

    States.Runtime is never handled, whatever is listed ("isn't retriable, and will always cause the execution to
    fail"); States.DataLimitExceeded only by its own name; States.TaskFailed stands for any error but States.Timeout.
    """
    if error == RUNTIME:
        return False
    if error in error_equals:
        return True
    if error in _TERMINAL:
        return False
    return "States.ALL" in error_equals or (
        error not in {TIMEOUT, HEARTBEAT_TIMEOUT} and "States.TaskFailed" in error_equals
    )
