"""The data plane's vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Engine = Literal["aurora-mysql", "aurora-postgresql"]


class DataPlaneError(Exception):
    """The data plane cannot do what was asked; the message says why and what helps."""


@dataclass(frozen=True)
class EndpointKey:
    """Whose endpoint it is. ``role`` is ``writer``, ``reader`` or the identifier of an instance."""

    account: str
    region: str
    cluster: str
    role: str


@dataclass(frozen=True)
class Endpoint:
    """Where a client connects."""

    address: str
    port: int
