"""RDS events: 14 days of them, as DescribeEvents answers (AUG-EVENTS for ids, categories and texts).

DescribeEvents does not show an event's id; EventBridge does: whoever needs it listens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.rds.errors import invalid_combination, invalid_value
from sandbox.rds.requests import check_filters, page

if TYPE_CHECKING:
    from sandbox.clock import VirtualClock
    from sandbox.rds.store import Place, Resource

KEPT = timedelta(days=14)
_SOURCE_TYPES = (
    "db-instance",
    "db-parameter-group",
    "db-security-group",
    "db-snapshot",
    "db-cluster",
    "db-cluster-snapshot",
    "custom-engine-version",
    "db-proxy",
    "blue-green-deployment",
    "db-shard-group",
    "zero-etl",
)

# Message id → category and text. Only what AUG-EVENTS documents: nothing tells that a cluster was restored or a
# cluster snapshot copied, because AWS has no such event.
MESSAGES: Mapping[str, tuple[str, str]] = {
    "RDS-EVENT-0003": ("deletion", "DB instance deleted"),
    "RDS-EVENT-0005": ("creation", "DB instance created"),
    "RDS-EVENT-0006": ("availability", "DB instance restarted"),
    "RDS-EVENT-0004": ("availability", "DB instance shutdown"),
    "RDS-EVENT-0014": ("configuration change", "Finished applying modification to DB instance class"),
    "RDS-EVENT-0016": ("configuration change", "Reset master credentials"),
    "RDS-EVENT-0071": ("failover", "Completed failover to DB instance: {0}"),
    "RDS-EVENT-0072": ("failover", "Started cross AZ failover to DB instance: {0}"),
    "RDS-EVENT-0074": ("backup", "Creating manual cluster snapshot"),
    "RDS-EVENT-0075": ("backup", "Manual cluster snapshot created"),
    "RDS-EVENT-0168": ("backup", "Creating automated cluster snapshot"),
    "RDS-EVENT-0169": ("backup", "Automated cluster snapshot created"),
    "RDS-EVENT-0170": ("creation", "DB cluster created"),
    "RDS-EVENT-0171": ("deletion", "DB cluster deleted"),
    "RDS-EVENT-0172": ("notification", "Renamed cluster from {0} to {1}"),
    "RDS-EVENT-0173": ("maintenance", "Database cluster engine version has been upgraded to {0}"),
    "RDS-EVENT-0176": ("maintenance", "Database cluster engine major version has been upgraded"),
    "RDS-EVENT-0177": ("maintenance", "Database cluster upgrade in progress"),
    "RDS-EVENT-0150": ("notification", "DB cluster stopped"),
    "RDS-EVENT-0151": ("notification", "DB cluster started"),
}


@dataclass(frozen=True)
class Event:
    """One event."""

    place: Place
    event_id: str
    source_type: str
    source: str
    source_arn: str
    message: str
    category: str
    date: datetime

    def describe(self) -> dict[str, Any]:
        """Return the botocore Event."""
        return {
            "SourceIdentifier": self.source,
            "SourceType": self.source_type,
            "Message": self.message,
            "EventCategories": [self.category] if self.category else [],
            "Date": self.date,
            "SourceArn": self.source_arn,
        }


class EventLog:
    """The events of all accounts and regions."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._events: deque[Event] = deque()
        self.listeners: list[Callable[[Event], None]] = []

    def emit(self, resource: Resource, event_id: str, *details: str) -> None:
        """Record a documented event about a resource."""
        category, text = MESSAGES[event_id]
        self.emit_text(resource, event_id, text.format(*details), category)

    def emit_text(self, resource: Resource, event_id: str, message: str, category: str) -> None:
        """Record an event with a text of its own."""
        now = self._clock.now()
        event = Event(
            resource.place, event_id, resource.source_type, resource.identifier, resource.arn, message, category, now
        )
        self._events.append(event)
        while self._events[0].date < now - KEPT:
            self._events.popleft()
        for listener in self.listeners:
            listener(event)

    def describe(self, place: Place, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer DescribeEvents: by default the last 60 minutes."""
        check_filters(params, {})
        now = self._clock.now()
        source, source_type = params.get("SourceIdentifier"), params.get("SourceType")
        if source and not source_type:
            raise invalid_combination("SourceType must be specified when SourceIdentifier is specified.")
        if source_type and source_type not in _SOURCE_TYPES:
            raise invalid_value(f"Invalid source type: {source_type}")
        begin, end = params.get("StartTime"), params.get("EndTime") or now
        if begin is None:
            begin = end - timedelta(minutes=params.get("Duration") or 60)
        elif params.get("EndTime") is None and params.get("Duration"):
            end = begin + timedelta(minutes=params["Duration"])
        if begin > end:
            raise invalid_combination("The end time must be after the start time.")
        categories = set(params.get("EventCategories") or ())
        found = [
            event
            for event in self._events
            if event.place == place
            and begin <= event.date <= end
            and event.date >= now - KEPT
            and (not source_type or event.source_type == source_type)
            and (not source or event.source == source.lower())
            and (not categories or event.category in categories)
        ]
        return page([event.describe() for event in found], "Events", params)
