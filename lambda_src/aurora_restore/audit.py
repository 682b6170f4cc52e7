"""The audit trail: append-only events, each carrying the hash of the one before.

The record keeps the sequence and hash of the last event, the log and the notification show it. So a missing, altered
or added event is found by `problems`. What this promises: tampering shows. It cannot stop who may write the table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

GENESIS: Final = "0" * 64
"""What stands for the hash before the first event."""


def event_id(sequence: int, at: str) -> str:
    """The sort key: zero-padded, so that DynamoDB's order is the order of events."""
    return f"{sequence:06d}#{at}"


def digest(event: Mapping[str, Any]) -> str:
    """SHA-256 over the event's canonical JSON, without its own hash."""
    body = {key: value for key, value in event.items() if key != "hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def build(
    *,
    operation_id: str,
    execution_arn: str,
    sequence: int,
    previous_hash: str,
    at: str,
    step: str,
    event: str,
    actor: str,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """One event, sealed."""
    sealed: dict[str, Any] = {
        "operation_id": operation_id,
        "event_id": event_id(sequence, at),
        "sequence": sequence,
        "execution_arn": execution_arn,
        "at": at,
        "step": step,
        "event": event,
        "actor": actor,
        "details": dict(details),
        "previous_hash": previous_hash or GENESIS,
    }
    sealed["hash"] = digest(sealed)
    return sealed


def problems(events: Iterable[Mapping[str, Any]], *, head: str | None = None) -> list[str]:
    """What is wrong with the trail of one execution, in order of sequence; empty when it is whole.

    ``head`` is the hash that the record, the log or the notification shows: with it a cut-off end is found, too.
    """
    found: list[str] = []
    expected_sequence = 1
    previous = GENESIS
    for event in sorted(events, key=lambda item: str(item["event_id"])):
        sequence = int(event["sequence"])
        if sequence != expected_sequence:
            found.append(f"event {expected_sequence} is missing (found {sequence})")
        if event["event_id"] != event_id(sequence, str(event["at"])):
            found.append(f"event {sequence} stands under another key")
        if event["previous_hash"] != previous:
            found.append(f"event {sequence} does not follow the one before it")
        if digest(event) != event["hash"]:
            found.append(f"event {sequence} was altered")
        previous = str(event["hash"])
        expected_sequence = sequence + 1
    if head is not None and previous != head:
        found.append("the trail does not end with the hash that the record shows")
    return found
