"""How an operation ends in its record: the one place that writes PLANNED, SUCCEEDED and FAILED; and what it left."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aurora_restore.errors import Failure
from aurora_restore.model import Record, ResourceState, Status, iso


def planned(record: Record, *, now: datetime, ttl_days: int) -> Record:
    """The record of an operation of mode "plan": it has told what it would do, and does no more."""
    done = replace(record, status=Status.PLANNED, finished_at=iso(now))
    return expiring(done, now=now, ttl_days=ttl_days)


def succeeded(record: Record, *, now: datetime, warnings: tuple[str, ...], ttl_days: int) -> Record:
    """The record of an operation that succeeded: what it made is the user's now."""
    resources = tuple(
        replace(item, state=ResourceState.HANDED_OVER) if item.state.ours else item for item in record.resources
    )
    done = replace(
        record,
        status=Status.SUCCEEDED,
        phase="NotifySuccess",
        finished_at=iso(now),
        resources=resources,
        error=None,
        last_error=None,
    )
    return expiring(done.with_warnings(*warnings), now=now, ttl_days=ttl_days)


def failed(record: Record, failure: Failure, *, now: datetime, ttl_days: int) -> Record:
    """The record of an operation that failed, with why; its phase stays the one in which it did."""
    step = failure.step or record.phase
    done = replace(record, status=Status.FAILED, finished_at=iso(now), error=replace(failure, step=step))
    return expiring(done, now=now, ttl_days=ttl_days)


def expiring(record: Record, *, now: datetime, ttl_days: int) -> Record:
    """With a time to live, if the operation is finished and nothing of its own is alive; else without one.

    A record that something alive hangs on is the only thing that knows of it, and must not expire.
    """
    alive = any(item.state.ours for item in record.resources)
    if not record.status.finished or alive:
        return replace(record, expires_at=None)
    return replace(record, expires_at=int((now + timedelta(days=ttl_days)).timestamp()))


def explained(failure: Failure, record: Record | None) -> Failure:
    """The failure with the details that the step left in the record, if it is the same one."""
    last = record.last_error if record else None
    if last is not None and (last.error, last.cause) == (failure.error, failure.cause):
        return last
    return failure


def remains(record: Record) -> str:
    """What a failure has left, in one sentence."""
    made = [item for item in record.resources if item.state is not ResourceState.FOREIGN]
    if not made:
        return "Nothing had been made."
    if alive := [item for item in made if item.state.ours]:
        told = ", ".join(f"{item.kind} {item.identifier} ({item.state})" for item in alive)
        return f"Still there (and billed): {told}."
    if any(item.state is ResourceState.RELEASED for item in made):
        return "Everything that was made has been removed, but for what other operations still use."
    return "Everything that was made has been removed."


def stands(record: Record) -> bool:
    """The restored cluster is there, and nobody is deleting it."""
    there = {ResourceState.CREATED, ResourceState.KEPT, ResourceState.HANDED_OVER}
    return any(item.kind == "db-cluster" and item.state in there for item in record.resources)
