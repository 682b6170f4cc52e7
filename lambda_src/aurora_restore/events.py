"""RDS's own events: some failures show nowhere else (AUG: Amazon RDS event categories and event messages)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore.errors import RestoreError, translate
from aurora_restore.model import Plan, PlannedCopy, iso
from aurora_restore.runtime import logger

if TYPE_CHECKING:
    from types_boto3_rds import RDSClient

NEWEST: Final = 10

Source = tuple[Literal["db-cluster", "db-instance", "db-cluster-snapshot"], str]


def of_cluster(plan: Plan) -> list[Source]:
    """The cluster and its instances."""
    instances: list[Source] = [("db-instance", instance.identifier) for instance in plan.instances]
    return [("db-cluster", plan.target_cluster_id), *instances]


def of_phase(plan: Plan, phase: str) -> list[Source]:
    """The cluster, and the instances that the phase is about."""
    instances = {"readers": plan.readers, "writer": (plan.writer,), "upgrade": (plan.writer,)}.get(phase, ())
    return [("db-cluster", plan.target_cluster_id), *(("db-instance", one.identifier) for one in instances)]


def of_copy(copy: PlannedCopy) -> list[Source]:
    """The copy of a snapshot."""
    return [("db-cluster-snapshot", copy.identifier)]


def read(rds: RDSClient, sources: list[Source], began: datetime, now: datetime) -> list[dict[str, str]]:
    """All that RDS said of these in that time, newest last.

    Raises:
        RestoreError: they cannot be read.
    """
    found: list[dict[str, str]] = []
    try:
        for kind, identifier in sources:
            pages = rds.get_paginator("describe_events").paginate(
                SourceType=kind, SourceIdentifier=identifier, StartTime=began, EndTime=now
            )
            found += [
                {"at": iso(event["Date"]), "source": identifier, "message": event.get("Message", "")}
                for page in pages
                for event in page["Events"]
            ]
    except (ClientError, BotoCoreError) as error:
        raise translate(error, "rds") from error
    return sorted(found, key=lambda event: event["at"])


def since(rds: RDSClient, sources: list[Source], began: datetime, now: datetime) -> list[dict[str, str]]:
    """The newest of them, to explain a failure: that they cannot be read must not hide it."""
    try:
        return read(rds, sources, began, now)[-NEWEST:]
    except RestoreError as error:
        logger.warning("events_not_read", extra={"reason": error.cause})
        return []


def told(events: list[dict[str, str]]) -> str:
    """The messages as one phrase for an error's cause; empty when there are none."""
    messages = [f"{event['source']}: {event['message']}" for event in events]
    return f" RDS events: {' | '.join(messages)}" if messages else ""
