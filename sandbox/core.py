"""The few types that every part of the sandbox shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Principal:
    """Who makes a call: an account's administrator, or a session of a role.

    ``arn`` is what AWS would print in an AccessDenied message (``arn:aws:sts::…:assumed-role/<role>/<session>`` for a
    role session). An ``admin`` is not authorized against any policy, like the account's root user.
    """

    account: str
    arn: str
    role_name: str | None = None
    session_name: str | None = None
    admin: bool = False

    @property
    def partition(self) -> str:
        """The AWS partition of the principal's ARN."""
        return self.arn.split(":")[1]


@dataclass(frozen=True)
class Call:
    """One API call, parsed by the service model: ``params`` has the names and types of the botocore input shape."""

    service: str
    operation: str
    region: str
    account: str
    principal: Principal
    params: Mapping[str, Any]


class AwsError(Exception):
    """An error as AWS answers it: wire code, message and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class NotEmulated(AwsError):  # noqa: N818  the code on the wire is its name  # noqa: N818  the code on the wire is its name
    """The sandbox does not emulate what was asked; it says so instead of answering as if it did."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__("NotEmulated", f"The sandbox does not emulate {what}.{' ' + hint if hint else ''}", 501)


class Service(Protocol):
    """A service that the sandbox itself answers for (the others are moto's)."""

    name: str

    def handle(self, call: Call) -> Mapping[str, Any]:
        """Answer with the botocore output shape; raise AwsError, or NotEmulated for what is not covered."""
        ...
