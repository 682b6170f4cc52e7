"""How long the phases took here before: a few numbers in the state table, learned from finished operations.

One item, ``stats#expected``, holds for each class of work (phase, engine, size of the volume; for copies also whether
they cross a region) the running mean of the logarithm of its seconds, and over how many operations that runs.
Durations spread in ratios, not in seconds, hence the logarithm: one restore that took ten times as long moves the
estimate as little as one that took a tenth. What a deployment has not seen is expected as the table in `waits` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from aurora_restore import waits
from aurora_restore.errors import StateConflict, translate
from aurora_restore.model import SourceKind, parse_time

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from aurora_restore.model import CopyRoute, Plan, PlannedCopy, Record

ITEM: Final = "stats#expected"
MEMORY: Final = 20
"""So many operations, about, weigh in: RDS and the data change with the years."""
PRIOR_WEIGHT: Final = 2
"""The table's figure is counted as so many operations, and fades as they do."""
OUTLIER: Final = math.log(3)
"""What took more than three times the expected, or less than a third, counts as three times, or a third."""
SHORTEST: Final = 10
"""Seconds; what took less was there already."""

_SIZES_GIB: Final = (100, 1024, 10_240)
_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class Stat:
    """What is known of one class of work."""

    count: int
    log_mean: float


History = Mapping[str, Stat]


def work_class(phase: str, engine: str, size_gib: int, *, cross_region: bool = False) -> str:
    """The class of a phase: instances take their time whatever the volume's size, everything else depends on it.

    All copies of an operation (``copy-1``, ``copy-2``) are of one class, but for crossing a region.
    """
    kind = phase.partition("-")[0]
    if kind == "copy":
        kind = "copy-to-region" if cross_region else "copy"
    if kind in {"writer", "readers", "configure"}:
        return f"{kind}/{engine}"
    return f"{kind}/{engine}/{sum(size_gib >= limit for limit in _SIZES_GIB)}"


def classes(engine: str, size_gib: int, source: SourceKind, *, major_upgrade: bool) -> dict[str, str]:
    """The class of each phase that takes its time, but for copies.

    A cluster is of another class by what it is restored from. What an upgrade adds is not learned: upgrades are rare,
    and the writer of a restore that upgrades is of no class.
    """
    found = {phase: work_class(phase, engine, size_gib) for phase in ("cluster", "configure", "writer", "readers")}
    if source is not SourceKind.SNAPSHOT:
        found["cluster"] = f"{source.value}/{found['cluster']}"
    if major_upgrade:
        del found["writer"]
    return found


def copies_expected(history: History, route: CopyRoute, engine: str, size_gib: int) -> CopyRoute:
    """The route with what its copies took here before."""
    copies = tuple(
        replace(copy, expected_seconds=expected(history, copy_class(copy, engine, size_gib), copy.expected_seconds))
        for copy in route.copies
    )
    return replace(route, copies=copies)


def copy_class(copy: PlannedCopy, engine: str, size_gib: int) -> str:
    """The class of a copy."""
    return work_class(copy.phase, engine, size_gib, cross_region=copy.cross_region)


def planned(plan: Plan) -> dict[str, tuple[str, int]]:
    """Of each phase of a plan from which something is learned: its class, and the seconds that the table says."""
    engine, size = plan.engine, plan.snapshot_size_gib
    table = waits.expected_by_size(size)
    table |= waits.expected_of_source(plan.source_kind, table["cluster"])
    by_phase = classes(engine, size, plan.source_kind, major_upgrade=plan.major_upgrade)
    found = {phase: (name, table[phase]) for phase, name in by_phase.items()}
    for copy in plan.copies:
        seconds = waits.copy_seconds(size, cross_region=copy.cross_region)
        found[copy.phase] = (copy_class(copy, engine, size), seconds)
    return found


def took(record: Record) -> list[tuple[str, float]]:
    """What an operation's phases took, by class, to be learned from.

    What was ready at the first look is left out: it was not waited for (no readers were asked for, a copy was found
    made). A first look that comes late makes a phase seem longer than it was, but never longer than half of what was
    expected: an expectation that is too high halves itself.
    """
    by_phase = planned(record.planned)
    return [
        (by_phase[phase][0], seconds)
        for phase, timing in record.timings.items()
        if phase in by_phase
        and timing.ready_at
        and (seconds := timing.elapsed(parse_time(timing.ready_at))) >= SHORTEST
    ]


def expected(history: History, name: str, default: float) -> int:
    """Seconds to expect of a class of work: what was learned, else the default."""
    stat = history.get(name)
    return round(default if stat is None else math.exp(stat.log_mean))


def expectations(history: History, classes: Mapping[str, str], defaults: Mapping[str, float]) -> dict[str, int]:
    """Seconds to expect of each phase; ``classes`` and ``defaults`` by phase."""
    return {phase: expected(history, classes.get(phase, ""), default) for phase, default in defaults.items()}


def learned(history: History, name: str, seconds: float, default: float) -> Stat:
    """What is known after one more operation. It begins at the default; outliers are drawn in, old operations fade."""
    value = math.log(max(1.0, seconds))
    known = history.get(name, Stat(PRIOR_WEIGHT, math.log(default) if default > 0 else value))
    value = min(max(value, known.log_mean - OUTLIER), known.log_mean + OUTLIER)
    count = min(known.count + 1, MEMORY)
    return Stat(count, known.log_mean + (value - known.log_mean) / count)


# --- the item -------------------------------------------------------------------------------------------------------


def load(dynamodb: DynamoDBClient, table: str) -> History:
    """The history; empty when there is none yet. An estimate may be a moment old: no consistent read."""
    try:
        item = dynamodb.get_item(TableName=table, Key={"operation_id": {"S": ITEM}}).get("Item")
    except ClientError as error:
        raise translate(error, "dynamodb") from error
    return _read(item)[0]


def save(
    dynamodb: DynamoDBClient, table: str, durations: Iterable[tuple[str, float]], defaults: Mapping[str, float]
) -> History:
    """Learn from one finished operation: its seconds and the table's, by class of work. Returns what is known now.

    On the condition that nobody else has learned in between; a lost race reads again.
    """
    finished = list(durations)
    for _ in range(_ATTEMPTS):
        try:
            answer = dynamodb.get_item(TableName=table, Key={"operation_id": {"S": ITEM}}, ConsistentRead=True)
            history, version = _read(answer.get("Item"))
            for name, seconds in finished:
                history = {**history, name: learned(history, name, seconds, defaults.get(name, 0))}
            dynamodb.put_item(TableName=table, **_write(history, version))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise translate(error, "dynamodb") from error
        else:
            return history
    raise StateConflict("The history of durations could not be saved: too many writers at once")


def learn(dynamodb: DynamoDBClient, table: str, record: Record) -> History:
    """Learn from a finished operation."""
    return save(dynamodb, table, took(record), dict(planned(record.planned).values()))


def _read(item: Mapping[str, Any] | None) -> tuple[History, int]:
    if item is None:
        return {}, 0
    stats = {
        name: Stat(int(value["M"]["count"]["N"]), float(value["M"]["log_mean"]["N"]))
        for name, value in item["stats"]["M"].items()
    }
    return stats, int(item["version"]["N"])


def _write(history: History, version: int) -> dict[str, Any]:
    stats = {
        name: {"M": {"count": {"N": str(stat.count)}, "log_mean": {"N": f"{stat.log_mean:.6f}"}}}
        for name, stat in sorted(history.items())
    }
    item: dict[str, Any] = {
        "operation_id": {"S": ITEM},
        "version": {"N": str(version + 1)},
        "stats": {"M": stats},
    }
    return {
        "Item": item,
        "ConditionExpression": "#version = :read" if version else "attribute_not_exists(operation_id)",
        **(
            {
                "ExpressionAttributeNames": {"#version": "version"},
                "ExpressionAttributeValues": {":read": {"N": str(version)}},
            }
            if version
            else {}
        ),
    }
