"""Which operation an execution is, and what can be told of a request that was not accepted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from aurora_restore.names import identifier_problem, normal_identifier

OPERATION_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Also a legal tag value; '#' is not in it, since keys with '#' are reserved in the state table."""


def operation_id_of(request: object, execution: Mapping[str, Any]) -> str:
    """The request's operation_id if it is a valid one, else the execution's name, made fit.

    Pure, so that every step that starts from the raw request finds the same record, a request that is refused
    included. Two names that differ only in what is not allowed are told apart by a hash.
    """
    asked = request.get("operation_id") if isinstance(request, Mapping) else None
    if isinstance(asked, str) and OPERATION_ID.fullmatch(asked):
        return asked
    name = str(execution.get("name", ""))
    if OPERATION_ID.fullmatch(name):
        return name
    fit = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:100].lstrip("._-")
    return f"{fit or 'operation'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


TARGET_FIELDS: Final = ("target_cluster_id", "new_db_cluster_identifier")
"""The field that names the new cluster, and its alias."""


def mode_of(request: object) -> Literal["restore", "plan"]:
    """What was asked for, of a request that may be anything at all."""
    return "plan" if isinstance(request, Mapping) and request.get("mode") == "plan" else "restore"


def target_of(request: object) -> str:
    """The cluster that a request which may be anything names, if that is a valid name; else nothing.

    Whatever else stands there must not get into a message.
    """
    fields = request if isinstance(request, Mapping) else {}
    asked = next((fields[name] for name in TARGET_FIELDS if name in fields), None)
    return normal_identifier(asked) if isinstance(asked, str) and identifier_problem(asked) is None else ""
