"""What a call needs permission for: actions on resources, with the context that AWS puts beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.authz.sources import Sources
from sandbox.core import AwsError

if TYPE_CHECKING:
    from sandbox.core import Call

# None stands for a key that AWS would send for this action, and does not send this time.
Context: TypeAlias = Mapping[str, str | list[str] | None]


@dataclass(frozen=True)
class Need:
    """One action on each of some resources; ``via`` is the service that asks on the caller's behalf."""

    action: str
    resources: tuple[str, ...] = ("*",)
    context: Context = field(default_factory=dict)
    via: str | None = None
    source: str = ""


Mapper: TypeAlias = Callable[["Call", Sources], Iterable[Need]]


def anywhere(action: str) -> Mapper:
    """Map an operation that has no resources: its policy names "*"."""
    return lambda _call, _sources: [Need(action)]


def arn(call: Call, service: str, resource: str) -> str:
    """Name a resource of the call's account and region."""
    return f"arn:{call.principal.partition}:{service}:{call.region}:{call.account}:{resource}"


def text(value: Any) -> str | None:
    """Write a parameter as IAM compares it; None stays absent."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def request_tags(tags: Iterable[Mapping[str, str]] | None, *, also_as: str | None = None) -> Context:
    """Return the context of tags in a request; ``also_as`` is the service's own prefix for them."""
    pairs = {tag["Key"]: tag.get("Value", "") for tag in tags or []}
    context: dict[str, str | list[str]] = {f"aws:RequestTag/{key}": value for key, value in pairs.items()}
    if pairs:
        context["aws:TagKeys"] = list(pairs)
    if also_as:
        context |= {f"{also_as}/{key}": value for key, value in pairs.items()}
    return context


def key_use(
    call: Call,
    sources: Sources,
    key_id: str | None,
    actions: Iterable[str],
    encryption_context: Mapping[str, str],
    source: str,
) -> list[Need]:
    """Return the needs of a service that uses a customer's key in the caller's name.

    AWS managed keys need none: their policies allow everybody in the account, through their service.
    """
    if not key_id or key_id.rpartition(":")[2].startswith("alias/aws/"):
        return []
    key = sources.key(key_id, call.region, call.account)
    if key is None:
        raise AwsError("KMS.NotFoundException", f"The key {key_id} does not exist ({source})", 400)
    if key.aws_managed:
        return []
    context: Context = {
        **key.context,
        "kms:ViaService": f"{call.service}.{call.region}.amazonaws.com",
        "kms:EncryptionContextKeys": list(encryption_context),
        **{f"kms:EncryptionContext:{name}": value for name, value in encryption_context.items()},
    }
    return [Need(action, (key.arn,), context, via=call.service, source=source) for action in actions]
