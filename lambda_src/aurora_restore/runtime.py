"""What every function does around its step: context, log, audit, and errors that say what to do.

A handler is ``fn(ctx: StepContext) -> Mapping`` under `@step`. The decorator makes the Lambda entry point of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any, Final

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from aurora_restore import names
from aurora_restore.errors import Failure, InternalError, OperationEnded, RestoreError, StateConflict, translate
from aurora_restore.fleet import Listings
from aurora_restore.identity import operation_id_of
from aurora_restore.model import Record, Resource, SourceRole, iso, parse_time
from aurora_restore.sessions import Clients, Sessions
from aurora_restore.settings import Settings
from aurora_restore.state import Mutation, StateStore, unchanged

logger: Final = Logger(use_rfc3339=True, utc=True)

Verdict = Mapping[str, Any]
Step = Callable[["StepContext"], Verdict]
Handler = Callable[[dict[str, Any], object], dict[str, Any]]


@cache
def settings() -> Settings:
    """The function's settings, read once per process."""
    return Settings.from_env()


@cache
def sessions() -> Sessions:
    """The function's AWS clients, made once per process."""
    return Sessions(settings().region)


class StepContext:
    """One invocation of a step: its event, its moment, its operation, and the way to AWS."""

    def __init__(self, event: Mapping[str, Any], settings: Settings, aws: Sessions) -> None:
        self.event = event
        self.settings = settings
        self.aws = aws
        self.step = str(event.get("step", "SnapshotCheck"))
        self.operation_id, self.execution_arn = _identity(event)
        self._record: Record | None = None
        self._assumed: dict[str, Clients] = {}

    def clients(self, role: SourceRole | None) -> Clients:
        """Clients of the source account by its role, or the function's own without one; assumed once an invocation."""
        if role is None:
            return self.aws
        if role.account not in self._assumed:
            self._assumed[role.account] = self.aws.assume(role, self.operation_id)
        return self._assumed[role.account]

    @cached_property
    def now(self) -> datetime:
        """When the state was entered. Steps take the time from here, never from the system clock."""
        return parse_time(str(self.event["now"]))

    @cached_property
    def store(self) -> StateStore:
        """The state and audit tables."""
        return StateStore(self.aws.dynamodb, self.settings)

    @cached_property
    def listings(self) -> Listings:
        """What is under way in RDS, as all operations of the deployment have last seen it."""
        return Listings(
            self.aws.rds,
            self.aws.dynamodb,
            self.settings.state_table,
            now=self.now,
            floor=self.settings.wait_floor_seconds,
            calls_per_second=self.settings.rds_calls_per_second,
        )

    @property
    def tags(self) -> dict[str, str]:
        """The tags of whatever the operation makes."""
        return names.operation_tags(
            deployment=self.settings.deployment,
            operation_id=self.operation_id,
            tags={**self.settings.tags, **self.record.wanted.all_tags},
        )

    @property
    def record(self) -> Record:
        """The operation's record as last loaded or saved here; refused when it is another execution's."""
        if self._record is None:
            self._record = self.store.load(self.operation_id, self.execution_arn)
        return self._record

    @property
    def has_record(self) -> bool:
        """The record is known to be this execution's, without another look."""
        return self._record is not None

    def find_record(self) -> Record | None:
        """The record if there is one and it is this execution's, else None."""
        self._record = self.store.find(self.operation_id, self.execution_arn)
        return self._record

    def intent(self, kind: str, identifier: str, role: str | None = None) -> Resource:
        """A resource that the operation is about to make, to be recorded before the call that makes it."""
        return Resource(
            kind=kind,
            identifier=identifier,
            region=self.settings.region,
            account=self.settings.account,
            tag=self.operation_id,
            role=role,
            intended_at=iso(self.now),
        )

    def claim(self, record: Record, event: str, details: Mapping[str, Any]) -> Record:
        """Create the record, or find it made by an earlier try of this execution."""
        self._record = self.store.claim(record, at=self.now, step=self.step, event=event, details=details)
        return self._record

    def update(self, event: str, mutate: Mutation = unchanged, details: Mapping[str, Any] | None = None) -> Record:
        """Change the record by a pure function, and append the audit event; both or neither."""
        self._record = self.store.update(self.record, mutate, at=self.now, step=self.step, event=event, details=details)
        head = f"{self._record.audit_sequence}:{self._record.audit_hash}"
        logger.info(event, extra={"details": dict(details or {}), "audit": head})
        return self._record


def step(*, audited: bool = True) -> Callable[[Step], Handler]:
    """Make a Lambda handler of a step.

    ``audited`` steps write a start and an end event and set the record's phase; polls do not, they write only what
    changed. A failure is logged and, when the record is this execution's, written with its details in any case.
    """

    def decorate(fn: Step) -> Handler:
        @logger.inject_lambda_context(clear_state=True)
        @wraps(fn)
        def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
            ctx: StepContext | None = None
            try:
                operation_id, execution_arn = _identity(event)
                logger.append_keys(
                    operation_id=operation_id,
                    step=event.get("step"),
                    execution_arn=execution_arn,
                    now=event.get("now"),
                )
                ctx = StepContext(event, settings(), sessions())
                if audited:
                    ctx.update("step_started", _started(ctx.step))
                verdict = dict(fn(ctx))
                if audited:
                    ctx.update("step_finished", details=verdict)
            except RestoreError as error:
                _failed(ctx, error)
                raise
            except (ClientError, BotoCoreError) as error:
                ours = translate(error)
                _failed(ctx, ours)
                raise ours from error
            except Exception as error:  # noqa: BLE001
                # The outermost boundary: whatever was not foreseen still ends with a code. Its text stays out of log
                # and record, since it may quote values (a driver's statement, a parameter); its place is enough.
                ours = InternalError(f"{type(error).__name__} in {_place(error)}")
                _failed(ctx, ours, frames=traceback.format_tb(error.__traceback__))
                raise ours from None
            return {"operation_id": ctx.operation_id, "step": ctx.step, **verdict}

        return handler

    return decorate


def refuse_late(record: Record, step: str) -> None:
    """A step that comes late (its state had timed out) must not act any more."""
    if record.status.finished:
        raise OperationEnded(f"Operation {record.operation_id} is {record.status.value}; {step} comes too late")


def _started(step: str) -> Mutation:
    """The record of a step that begins."""

    def started(record: Record) -> Record:
        refuse_late(record, step)
        return replace(record, phase=step)

    return started


def _identity(event: Mapping[str, Any]) -> tuple[str, str]:
    """The operation's id and its execution's ARN."""
    if "operation_id" in event:
        return str(event["operation_id"]), str(event["execution_arn"])
    # The steps before and after the record get what the execution was started with.
    execution = event["execution"]
    return operation_id_of(event.get("request"), execution), str(execution["id"])


def _failed(ctx: StepContext | None, error: RestoreError, frames: list[str] | None = None) -> None:
    """Log the failure, and leave its details in the record, where Compensate and NotifyFailure find them."""
    failure = Failure.of(error, ctx.step if ctx else None)
    logger.error("step_failed", extra={"failure": failure.to_mapping(), **({"frames": frames} if frames else {})})
    if ctx is None or not ctx.has_record or isinstance(error, StateConflict | OperationEnded):
        return
    try:
        ctx.update(
            "step_failed",
            lambda record: replace(record, last_error=failure),
            {"error": failure.error, "code": failure.code, "cause": failure.cause, "retryable": failure.retryable},
        )
    except (RestoreError, ClientError, BotoCoreError) as second:
        # The step's own error is the one to report; the workflow's Catch carries it on.
        logger.warning("step_failure_not_recorded", extra={"reason": str(second)})


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} ({frame.name})"
