"""The history of an execution, in the API's shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox.stepfunctions.errors import runtime_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

# Service quotas: "Maximum execution history size: 25,000 events"; the last one is the end of the execution.
MAX_EVENTS: Final = 25_000

_DATA: Final = frozenset({"input", "output", "parameters"})


class History:
    """An append-only list of events. ``on_event`` hears of each one."""

    def __init__(self, now: Callable[[], datetime], on_event: Callable[[dict[str, Any]], None]) -> None:
        self.events: list[dict[str, Any]] = []
        self._now = now
        self._on_event = on_event

    def add(
        self, kind: str, previous: int, details: tuple[str, Mapping[str, Any]] | None = None, *, last: bool = False
    ) -> int:
        """Append an event and return its id; only the execution's ``last`` one has room in a full history."""
        if len(self.events) >= MAX_EVENTS - 1 and not last:
            full = runtime_error(f"The execution reached the maximum number of history events ({MAX_EVENTS}).")
            full.located = True
            raise full
        event: dict[str, Any] = {
            "timestamp": self._now(),
            "type": kind,
            "id": len(self.events) + 1,
            "previousEventId": previous,
        }
        if details is not None:
            name, values = details
            event[f"{name}EventDetails"] = {key: value for key, value in values.items() if value is not None}
        self.events.append(event)
        self._on_event(event)
        return len(self.events)


def with_data(name: str, text: str) -> dict[str, Any]:
    """Return ``input`` or ``output`` and what the API says about it."""
    return {name: text, f"{name}Details": {"truncated": False}}


def without_data(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event as GetExecutionHistory gives it for ``includeExecutionData=False``."""
    return {
        key: {name: item for name, item in value.items() if name not in _DATA} if isinstance(value, dict) else value
        for key, value in event.items()
    }
