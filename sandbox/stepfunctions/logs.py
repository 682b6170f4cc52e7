"""Execution events in CloudWatch Logs, as the state machine's logging configuration asks for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sandbox.stepfunctions.history import without_data

if TYPE_CHECKING:
    from sandbox.stepfunctions.execution import Execution

LogSink = Callable[[str, str, str, str, Sequence[tuple[datetime, str]]], None]
"""(account, region, log group, log stream, lines with their times) → None; makes the stream if it must."""

# Developer Guide, "Log levels for Step Functions execution events".
_FATAL: Final = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"})
_ERRORS: Final = ("Failed", "TimedOut", "Aborted")


class ExecutionLog:
    """Writes one execution's events to the group that is configured."""

    def __init__(
        self, configuration: Mapping[str, Any], machine: str, execution_arn: str, sink: LogSink | None
    ) -> None:
        self._level = configuration["level"] if sink is not None else "OFF"
        self._data = configuration.get("includeExecutionData", False)
        self._sink = sink
        self._machine = machine
        self._arn = execution_arn
        if self._level != "OFF":
            group_arn = configuration["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
            _, _, _, self._region, self._account, _, self._group, _ = group_arn.split(":", 7)

    def _wanted(self, kind: str) -> bool:
        if self._level == "ALL":
            return True
        if self._level == "FATAL":
            return kind in _FATAL
        return self._level == "ERROR" and kind.endswith(_ERRORS)

    def write(self, execution: Execution, event: Mapping[str, Any]) -> None:
        """Write one event, if its level is wanted."""
        if self._sink is None or not self._wanted(event["type"]):
            return
        shown = event if self._data else without_data(event)
        details: Mapping[str, Any] = next((value for key, value in shown.items() if key.endswith("EventDetails")), {})
        when: datetime = event["timestamp"]
        line = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": details,
            "redrive_count": str(execution.redrives),
            "previous_event_id": str(event["previousEventId"]),
            "event_timestamp": str(int(when.timestamp() * 1000)),
            "execution_arn": self._arn,
        }
        stream = f"states/{self._machine}/{execution.started:%Y-%m-%d-%H-%M}/{_short(self._arn)}"
        self._sink(self._account, self._region, self._group, stream, [(when, json.dumps(line))])


def _short(arn: str) -> str:
    return arn.rsplit(":", 1)[1][:36]
