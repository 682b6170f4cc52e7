"""Faults on demand: what AWS does only on bad days, at the call where a test wants it."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from sandbox.core import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.core import Call

FunctionFault = Literal["raise", "timeout", "deny"]


@dataclass(frozen=True)
class Fault:
    """A rule. All patterns are shell-like (``*``, ``?``); what is not given fits everything.

    For an API call give ``service`` and ``operation``, and an ``error`` (or only a ``delay_seconds``). For a Lambda
    invocation give ``function`` and ``effect``: ``raise`` (the function fails with ``error``/``message``), ``timeout``
    (it never answers), ``deny`` (its role is refused everything). The rule skips the first ``after`` matches, then
    holds for ``times`` matches (None: for ever). With ``done`` the call is carried out first and the error comes
    instead of its answer: the crash between a call and the note of its result.
    """

    service: str = "*"
    operation: str = "*"
    principal: str = "*"
    region: str = "*"
    function: str | None = None
    effect: FunctionFault | None = None
    error: str | None = None
    message: str = "Injected by the sandbox."
    status: int = 400
    delay_seconds: float = 0.0
    after: int = 0
    times: int | None = 1
    done: bool = False
    params: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if (self.function is None) != (self.effect is None):
            raise ValueError("a fault of a function needs both its name pattern and an effect")
        if self.function is None and self.error is None and not self.delay_seconds:
            raise ValueError("a fault of an API call needs an error or a delay")

    def as_error(self) -> AwsError:
        """Return the error that the caller gets."""
        return AwsError(self.error or "InternalFailure", self.message, self.status)

    def fits_call(self, call: Call) -> bool:
        """Tell whether the rule means this call. The principal's pattern may be of its ARN or of its role's name."""
        if self.effect == "deny":  # Lambda names the session of a function's role after the function
            return fnmatchcase(call.principal.session_name or "", self.function or "")
        return (
            self.function is None
            and fnmatchcase(call.service, self.service)
            and fnmatchcase(call.operation, self.operation)
            and fnmatchcase(call.region, self.region)
            and any(fnmatchcase(name, self.principal) for name in (call.principal.arn, call.principal.role_name or ""))
            and all(fnmatchcase(str(call.params.get(key, "")), value) for key, value in (self.params or {}).items())
        )


class Throttle:
    """A token bucket: ``rate`` calls a second on average, ``burst`` at once. RDS publishes neither.

    A refused call takes nothing out of the bucket.
    """

    def __init__(self, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a throttle needs a positive rate and a burst of at least one call")
        self.rate, self.burst = rate, burst
        self._tokens, self._filled = burst, datetime.min.replace(tzinfo=UTC)

    def take(self, now: datetime) -> bool:
        """Take a token, if there is one."""
        passed = max(0.0, (now - self._filled).total_seconds())
        self._tokens, self._filled = min(self.burst, self._tokens + passed * self.rate), max(now, self._filled)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Faults:
    """The rules in force, in the order in which they were added; the first that fits wins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids = count(1)
        self._rules: dict[int, Fault] = {}
        self._seen: dict[int, int] = {}
        self._limits: dict[str, tuple[float, float]] = {}
        self._throttles: dict[tuple[str, str, str], Throttle] = {}

    def limit(self, service: str, rate: float, burst: float) -> None:
        """Let a service take only so many calls a second, in each account and region; off unless asked for."""
        Throttle(rate, burst)  # refuses what makes no sense
        with self._lock:
            self._limits[service] = (rate, burst)

    def admit(self, call: Call, now: datetime) -> None:
        """Raise the error that RDS answers a call too many with (aws-sdk: ``Throttling``, HTTP 400)."""
        with self._lock:
            limit = self._limits.get(call.service)
            if limit is None:
                return
            key = (call.service, call.account, call.region)
            admitted = self._throttles.setdefault(key, Throttle(*limit)).take(now)
        if not admitted:
            raise AwsError("Throttling", "Rate exceeded", 400)

    def add(self, rule: Fault) -> int:
        """Put a rule in force; returns its number."""
        with self._lock:
            number = next(self._ids)
            self._rules[number] = rule
            self._seen[number] = 0
        return number

    def remove(self, number: int) -> bool:
        """Take a rule back."""
        with self._lock:
            self._seen.pop(number, None)
            return self._rules.pop(number, None) is not None

    def clear(self) -> None:
        """Take all rules back."""
        with self._lock:
            self._rules.clear()
            self._seen.clear()
            self._limits.clear()
            self._throttles.clear()

    def match(self, call: Call) -> Fault | None:
        """Return the fault for this API call, and count it."""
        with self._lock:
            return self._first([number for number, rule in self._rules.items() if rule.fits_call(call)])

    def match_invocation(self, function_name: str) -> Fault | None:
        """Return the fault for this Lambda invocation, and count it."""
        with self._lock:
            return self._first(
                [
                    number
                    for number, rule in self._rules.items()
                    if rule.function is not None and rule.effect != "deny" and fnmatchcase(function_name, rule.function)
                ]
            )

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their number and how often each was matched."""
        with self._lock:
            return [
                {"id": number, "matched": self._seen[number], **asdict(rule)} for number, rule in self._rules.items()
            ]

    def _first(self, numbers: list[int]) -> Fault | None:
        for number in numbers:
            rule = self._rules[number]
            self._seen[number] += 1
            seen = self._seen[number] - rule.after
            if seen >= 1 and (rule.times is None or seen <= rule.times):
                return rule
        return None
