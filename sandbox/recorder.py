"""What was asked of the sandbox, by whom, and how it ended; and what came out: messages and metrics."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sandbox.core import Call

# Enough for a long test session; the oldest fall out.
_KEPT = 50_000
_ITEMS = frozenset({"ExpressionAttributeValues", "Item", "RequestItems", "TransactItems"})
_LONGEST_BLOB = 4096
_SECRETS = {"MasterUserPassword", "Plaintext", "SecretBinary", "SecretString"}


@dataclass(frozen=True)
class Record:
    """One API call. ``error`` is the wire code, None for a success."""

    time: datetime
    account: str
    region: str
    principal: str
    service: str
    operation: str
    params: Mapping[str, Any]
    error: str | None = None
    message: str | None = None

    @property
    def action(self) -> str:
        """``service:Operation``, as IAM writes it for nearly all of them."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True)
class Message:
    """One message that an SNS topic accepted."""

    time: datetime
    account: str
    region: str
    topic_arn: str
    subject: str | None
    message: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One value of one metric, from an EMF document in a function's log."""

    time: datetime
    account: str
    region: str
    namespace: str
    name: str
    unit: str
    value: float
    dimensions: Mapping[str, str]
    properties: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """Keeps everything in memory, in the order of its arrival."""

    def __init__(self, now: Callable[[], datetime], publish: Callable[[list[Metric]], None] | None = None) -> None:
        self._now = now
        self._publish = publish
        self._lock = threading.Lock()
        self._calls: deque[Record] = deque(maxlen=_KEPT)
        self._recorded = 0
        self._messages: deque[Message] = deque(maxlen=_KEPT)
        self._metrics: deque[Metric] = deque(maxlen=_KEPT)

    def record(self, call: Call, error: str | None = None, message: str | None = None) -> None:
        """Note one call and its outcome."""
        entry = Record(
            time=self._now(),
            account=call.account,
            region=call.region,
            principal=call.principal.arn,
            service=call.service,
            operation=call.operation,
            params=_presentable(_without_items(call)),
            error=error,
            message=message,
        )
        with self._lock:
            self._calls.append(entry)
            self._recorded += 1

    @property
    def recorded(self) -> int:
        """How many calls there have been, with those that have fallen out: what ``calls`` takes as ``since``."""
        with self._lock:
            return self._recorded

    def calls(
        self,
        service: str | None = None,
        operation: str | None = None,
        *,
        principal: str | None = None,
        errors: bool | None = None,
        since: int = 0,
    ) -> list[Record]:
        """Return the calls so far; ``principal`` is a part of the ARN, ``errors`` picks failures or successes."""
        with self._lock:
            fallen_out = self._recorded - len(self._calls)
            calls = list(self._calls)[max(0, since - fallen_out) :]
        return [
            call
            for call in calls
            if service in (None, call.service)
            and operation in (None, call.operation)
            and (principal is None or principal in call.principal)
            and (errors is None or errors == (call.error is not None))
        ]

    def add_message(self, message: Message) -> None:
        """Note a message that a topic accepted."""
        with self._lock:
            self._messages.append(message)

    def messages(self) -> list[Message]:
        """Return the messages so far."""
        with self._lock:
            return list(self._messages)

    def add_metrics(self, account: str, region: str, document: Mapping[str, Any]) -> list[Metric]:
        """Note and publish the values of an EMF document (CloudWatch's embedded metric format); returns them."""
        found = list(_read_emf(account, region, document, self._now()))
        with self._lock:
            self._metrics.extend(found)
        if self._publish is not None:
            self._publish(found)
        return found

    def metrics(self) -> list[Metric]:
        """Return the metric values so far."""
        with self._lock:
            return list(self._metrics)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._calls.clear()
            self._messages.clear()
            self._metrics.clear()


def as_dict(entry: Record | Message | Metric) -> dict[str, Any]:
    """Return an entry as JSON has it."""
    return {**asdict(entry), "time": entry.time.isoformat()}


def is_emf(document: Any) -> bool:
    """Tell whether a JSON document is in the embedded metric format."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("_aws"), dict)
        and "CloudWatchMetrics" in document["_aws"]
    )


def _read_emf(account: str, region: str, document: Mapping[str, Any], now: datetime) -> list[Metric]:
    metrics: list[Metric] = []
    for directive in document["_aws"]["CloudWatchMetrics"]:
        names = {name for names in directive.get("Dimensions", []) for name in names}
        metric_names = {metric["Name"] for metric in directive.get("Metrics", [])}
        described = {"_aws", *names, *metric_names}
        properties = {key: value for key, value in document.items() if key not in described}
        for metric in directive.get("Metrics", []):
            values = document.get(metric["Name"], [])
            # One metric for each set of dimensions, as CloudWatch makes them.
            for dimensions in directive.get("Dimensions") or [[]]:
                metrics.extend(
                    Metric(
                        time=now,
                        account=account,
                        region=region,
                        namespace=directive["Namespace"],
                        name=metric["Name"],
                        unit=metric.get("Unit", "None"),
                        value=float(value),
                        dimensions={name: str(document.get(name, "")) for name in dimensions},
                        properties=properties,
                    )
                    for value in (values if isinstance(values, list) else [values])
                )
    return metrics


def _without_items(call: Call) -> Mapping[str, Any]:
    """The parameters, but for what is written to tables: that is large, called often, and to be read in the tables."""
    if call.service != "dynamodb":
        return call.params
    return {name: value for name, value in call.params.items() if name not in _ITEMS}


def _presentable(value: Any) -> Any:
    """Hide secret values, and drop the content of large binary ones (a function's zip, an S3 object)."""
    if isinstance(value, bytes | bytearray):
        return bytes(value) if len(value) <= _LONGEST_BLOB else f"<{len(value)} bytes>"
    if isinstance(value, dict):
        return {key: "<secret>" if key in _SECRETS else _presentable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_presentable(item) for item in value]
    if hasattr(value, "read"):
        return "<stream>"
    return value
