"""A decision with its reasons, and the words in which AWS refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The code that each service answers with, and the HTTP status (errors of the services' API references); others answer
# AccessDenied, 403, as the query and REST-XML protocols do.
_CODES: Mapping[str, tuple[str, int]] = {
    "dynamodb": ("AccessDeniedException", 400),
    "ec2": ("UnauthorizedOperation", 403),
    "events": ("AccessDeniedException", 400),
    "kms": ("AccessDeniedException", 400),
    "lambda": ("AccessDeniedException", 403),
    "logs": ("AccessDeniedException", 400),
    "secretsmanager": ("AccessDeniedException", 400),
    "sns": ("AuthorizationError", 403),
    "states": ("AccessDeniedException", 400),
    "xray": ("AccessDeniedException", 403),
}

# What a service answers when its caller may not use the key that encrypts the service's resource.
_KEY_CODES: Mapping[str, tuple[str, int, str]] = {
    "dynamodb": ("AccessDeniedException", 400, "KMS key access denied error: {}"),
    "s3": ("AccessDenied", 403, "{}"),
    "secretsmanager": ("AccessDeniedException", 400, "Access to KMS is not allowed: {}"),
    "sns": ("KMSAccessDenied", 400, "{}"),
    "sqs": ("KMS.AccessDeniedException", 400, "{}"),
}


class AuthorizationNotModelled(AwsError):  # noqa: N818  AWS-like codes are the names
    """The sandbox cannot tell what AWS would decide, and says so instead of guessing."""

    def __init__(self, what: str) -> None:
        super().__init__("AuthorizationNotModelled", f"The sandbox cannot authorize this as AWS would: {what}", 501)


class AccessDenied(AwsError):  # noqa: N818  AWS-like codes are the names
    """A refusal as the service words it; ``decision`` says more than AWS would."""

    def __init__(self, code: str, message: str, status: int, decision: Decision) -> None:
        super().__init__(code, message, status)
        self.decision = decision


@dataclass(frozen=True)
class Condition:
    """One condition of a statement, with the value that the request had for its key (None: it had none)."""

    operator: str
    key: str
    expected: tuple[str, ...]
    actual: Any
    matches: bool

    def __str__(self) -> str:
        verdict = "holds" if self.matches else "fails"
        return f"{self.operator} {self.key} {list(self.expected)} {verdict}: the request has {self.actual!r}"


@dataclass(frozen=True)
class Statement:
    """A statement about the action and the principal, and what came of it."""

    source: str  # identity, boundary or resource
    role: str  # allows, denies, delegates (to the account's own policies), does not apply
    policy: str
    statement: str
    effect: str
    resource_match: bool
    condition_match: bool
    conditions: tuple[Condition, ...]

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Statement:
        """Make one of the evaluator's words."""
        return cls(
            found["source"],
            found["role"],
            found["policy"],
            found["statement"],
            found["effect"],
            found["resourceMatch"],
            found["conditionMatch"],
            tuple(
                Condition(c["operator"], c["key"], tuple(map(str, c["expected"])), c["actual"], c["matches"])
                for c in found["conditions"]
            ),
        )

    @property
    def failed_conditions(self) -> tuple[Condition, ...]:
        """The conditions that kept the statement from applying."""
        return tuple(condition for condition in self.conditions if not condition.matches)

    def __str__(self) -> str:
        text = f"{self.source} policy {self.policy}, statement {self.statement} ({self.effect}) {self.role}"
        if self.role == "does not apply":
            reasons = [] if self.resource_match else ["it is about other resources"]
            reasons += map(str, self.failed_conditions)
            text += f": {'; '.join(reasons)}"
        return text


@dataclass(frozen=True)
class Decision:
    """Whether a principal may do one action to one resource, and why."""

    principal: str
    action: str
    resource: str
    allowed: bool
    reason: str  # as AWS words it, empty when allowed
    statements: tuple[Statement, ...]
    context: Mapping[str, Any]
    via: str | None = None  # the service that acts for the principal
    source: str = ""  # where AWS says that the call needs this action

    @property
    def matched(self) -> tuple[Statement, ...]:
        """The statements that decided."""
        return tuple(statement for statement in self.statements if statement.role != "does not apply")

    @property
    def failed(self) -> tuple[Statement, ...]:
        """The statements about this action that did not apply: what came close."""
        return tuple(statement for statement in self.statements if statement.role == "does not apply")

    @property
    def message(self) -> str:
        """The sentence that AWS tells the caller."""
        on = "" if self.resource == "*" else f" on resource: {self.resource}"
        because = f" {self.reason}" if self.reason else ""
        return f"User: {self.principal} is not authorized to perform: {self.action}{on}{because}"

    def error(self) -> AccessDenied:
        """Return the refusal as the service that was called answers it."""
        if self.via is not None and self.via in _KEY_CODES:
            code, status, wording = _KEY_CODES[self.via]
            return AccessDenied(code, wording.format(self.message), status, self)
        code, status = _CODES.get(self.action.partition(":")[0], ("AccessDenied", 403))
        return AccessDenied(code, self.message, status, self)

    def explain(self) -> str:
        """Tell everything about the decision, for a person who looks for the missing permission."""
        verdict = f"{self.principal} may {self.action} on {self.resource}" if self.allowed else self.message
        lines = [verdict]
        if self.via:
            lines.append(f"asked by {self.via} on the caller's behalf{f' ({self.source})' if self.source else ''}")
        lines += [f"- {statement}" for statement in self.statements] or ["- no statement is about this action"]
        lines += [f"  {key} = {value!r}" for key, value in sorted(self.context.items())]
        return "\n".join(lines)


def wording(answer: Mapping[str, Any], action: str) -> str:
    """Say why, as IAM's "Troubleshoot access denied error messages" lists the endings."""
    kinds = {
        "identity": "identity-based policy",
        "boundary": "permissions boundary",
        "resource": "resource-based policy",
    }
    results = answer["results"]
    for kind, name in kinds.items():
        if results[kind] in ("ExplicitlyDenied", "DeniedForAccount"):
            return f"with an explicit deny in {'an' if kind == 'identity' else 'a'} {name}"
    if action.startswith("sts:"):
        return ""  # STS gives no reason, lest it tell about another account's roles
    if "pb" in answer["blockedBy"]:
        kind = "boundary"
    elif results["identity"] == "Allowed":
        kind = "resource"
    else:
        kind = "identity"
    return f"because no {kinds[kind]} allows the {action} action"
