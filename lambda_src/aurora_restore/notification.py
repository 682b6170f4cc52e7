"""The message about an outcome: pure, and without secrets (it names secrets, never what is in them).

It is not customised by editing this file: subscribers filter by the message attributes, and programs read the JSON,
whose layout is versioned; people get the text by e-mail. The JSON is also the output of an execution that succeeded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aurora_restore import identity, outcome, report
from aurora_restore.errors import Failure
from aurora_restore.model import Record, ResourceState, Status, iso, parse_time
from aurora_restore.settings import Settings

LAYOUT: Final = "1"
MAX_SUBJECT: Final = 100  # SNS's limit; ASCII, no line breaks
MAX_MESSAGE: Final = 240_000  # SNS takes 256 KiB, attributes included (SNS API reference, Publish)
MAX_OUTPUT: Final = 200_000  # Step Functions takes 256 KiB, and what Lambda adds about its answer is in it
LONG: Final = ("checks", "results")
"""What is left out where a document is too long; the record has it."""


@dataclass(frozen=True)
class Message:
    """What is published: a subject, one document for programs, one text for people, and attributes to filter by."""

    subject: str
    document: Mapping[str, Any]
    text: str
    attributes: Mapping[str, str]

    def publish_parameters(self, topic_arn: str) -> dict[str, Any]:
        """For sns:Publish; e-mail gets the text, every other protocol the document."""
        body = self._body(self.document)
        if len(body) > MAX_MESSAGE:
            body = self._body(self._short)
        return {
            "TopicArn": topic_arn,
            "Subject": self.subject,
            "MessageStructure": "json",
            "Message": body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in self.attributes.items() if value
            },
        }

    def output(self) -> Mapping[str, Any]:
        """For the execution that has succeeded."""
        return self.document if len(json.dumps(self.document)) <= MAX_OUTPUT else self._short

    @property
    def _short(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.document.items() if name not in LONG}
        return {**kept, "left_out": [name for name in LONG if name in self.document]}

    def _body(self, document: Mapping[str, Any]) -> str:
        plain = json.dumps(document, separators=(",", ":"), sort_keys=True)
        return json.dumps({"default": plain, "email": self.text, "sms": self.subject})


def build(
    *,
    settings: Settings,
    operation_id: str,
    execution_arn: str,
    now: datetime,
    record: Record | None,
    failure: Failure | None,
    request: object = None,
) -> Message:
    """The message of an operation's end; ``record`` is missing when there is none that is this execution's.

    ``request`` is what came in: not to be trusted, and asked only where the record has no request.
    """
    status = Status.FAILED if failure else Status.SUCCEEDED
    asked, mode = record.request if record else None, mode_of(record, request)
    target = asked.target_cluster_id if asked else identity.target_of(request)
    event = f"restore.{status.value.lower()}" if mode == "restore" else "plan.refused"
    document: dict[str, Any] = {
        "version": LAYOUT,
        "event": event,
        "mode": mode,
        "operation_id": operation_id,
        "status": status.value,
        "deployment": settings.deployment,
        "environment": settings.environment,
        "account": settings.account,
        "region": settings.region,
        "execution_arn": execution_arn,
        "at": iso(now),
    }
    if target:
        document["target_cluster_id"] = target
    if record:
        document |= _of_record(record, now)
    if failure:
        document["error"] = failure.to_mapping()
    if failure and record and mode == "restore":
        document["remains"] = outcome.remains(record)
    attributes = {
        "event": event,
        "mode": mode,
        "status": status.value,
        "deployment": settings.deployment,
        "environment": settings.environment,
        "operation_id": operation_id,
        "target_cluster_id": target,
        "error_code": failure.code if failure else "",
    }
    return Message(
        subject=_subject(f"[{settings.deployment}] {_EVENTS[event]}: {target or operation_id}"),
        document=document,
        text=_text(document),
        attributes=attributes,
    )


def mode_of(record: Record | None, request: object) -> str:
    """What the operation was to do, "restore" or "plan"; ``request`` is asked where the record has none."""
    return record.request.mode if record and record.request else identity.mode_of(request)


_EVENTS: Final = {
    "restore.succeeded": "Aurora restore succeeded",
    "restore.failed": "Aurora restore failed",
    "plan.refused": "Plan of an Aurora restore refused",
}


def _of_record(record: Record, now: datetime) -> dict[str, Any]:
    plan = record.plan
    began = parse_time(record.started_at)
    results = dict(record.results)
    verification = dict(results.pop("verification", {}))
    users, checks = results.pop("users", []), verification.pop("checks", [])
    facts: dict[str, Any] = {
        "phase": record.phase,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "duration_seconds": round(max(0.0, (now - began).total_seconds())),
        "warnings": list(record.warnings),
        "users": users,
        "checks": checks,
        "results": results | ({"verification": verification} if verification else {}),
        "resources": [
            {
                "kind": item.kind,
                "identifier": item.identifier,
                "state": item.state.value,
                "account": item.account,
                "region": item.region,
            }
            for item in record.resources
        ],
        "timings": {phase: _seconds(timing.started_at, timing.ready_at) for phase, timing in record.timings.items()},
        "audit": {"sequence": record.audit_sequence, "hash": record.audit_hash},
    }
    if record.requested_by:
        facts["requested_by"] = record.requested_by
    if plan:
        facts["source"] = {
            **report.source(plan),
            "engine": plan.engine,
            "engine_version": plan.snapshot_engine_version,
        }
    if record.cluster and outcome.stands(record):
        facts["cluster"] = record.cluster.to_mapping()
    return facts


def _seconds(started_at: str, ready_at: str | None) -> int | None:
    return round((parse_time(ready_at) - parse_time(started_at)).total_seconds()) if ready_at else None


def _subject(text: str) -> str:
    plain = text.encode("ascii", "replace").decode().replace("\n", " ").replace("\r", " ")
    return plain if len(plain) <= MAX_SUBJECT else f"{plain[: MAX_SUBJECT - 3]}..."


def _single(error: Mapping[str, Any]) -> list[str]:
    field = [f"Field:    {error['field']}"] if error.get("field") else []
    return [f"Cause:    {error['cause']}", *field, f"Remedy:   {error['remedy']}", ""]


def _text(document: Mapping[str, Any]) -> str:
    """For a person: what happened, to what, and what to do."""
    source, cluster, error = document.get("source"), document.get("cluster"), document.get("error")
    if document["event"] == "plan.refused":
        lines = [f"Plan of an Aurora restore REFUSED: operation {document['operation_id']}"]
        lines += ["Nothing was created or changed.", ""]
    else:
        lines = [f"Aurora restore {document['status']}: operation {document['operation_id']}", ""]
    if error:
        lines += [f"Error:    {error['code']} ({error['error']})"]
        lines += [f"Step:     {error['step']}"] if error.get("step") else []
        findings = error.get("details", {}).get("findings")
        lines += ["", *report.findings_table(findings), ""] if findings else _single(error)
    if document.get("target_cluster_id"):
        lines.append(f"Target:   {document['target_cluster_id']} ({document['account']}, {document['region']})")
    if source:
        lines.append(report.source_told(source))
        lines.append(f"Engine:   {source['engine']} {(cluster or source)['engine_version']}")
    if cluster and cluster.get("endpoint"):
        lines.append(f"Endpoint: {cluster['endpoint']}:{cluster['port']}")
    if cluster and cluster.get("master_secret_arn"):
        lines.append(f"Master user's secret: {cluster['master_secret_arn']}")
    if "duration_seconds" in document:
        lines.append(f"Duration: {document['duration_seconds']} s since {document['started_at']}")
    alive = [item for item in document.get("resources", ()) if ResourceState(item["state"]).ours]
    if error and alive:
        lines += ["", "Still there (and billed):"]
        lines += [
            f"  {item['kind']} {item['identifier']} ({item['state']}) in {item['account']}, {item['region']}"
            for item in alive
        ]
    elif "remains" in document:
        lines += ["", document["remains"]]
    if document.get("warnings"):
        lines += ["", "Warnings:", *(f"  {warning}" for warning in document["warnings"])]
    lines += ["", f"Deployment: {document['deployment']}", f"Execution:  {document['execution_arn']}"]
    if audit := document.get("audit"):
        lines.append(f"Audit head: {audit['sequence']}:{audit['hash']}")
    return "\n".join(lines) + "\n"
