"""The environment of a function, read once, typed, and refused clearly when it is incomplete."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aurora_restore.errors import ConfigurationInvalid

PHASES_WITH_DEADLINES: Final = ("queue", "copy", "cluster", "configure", "instance", "compensate")
"""Keys of the module's ``deadlines``; ``queue`` is the wait for a copy's turn, ``copy`` each copy's own time."""


@dataclass(frozen=True)
class Settings:
    """What Terraform tells every function."""

    deployment: str
    state_table: str
    audit_table: str
    topic_arn: str
    kms_key_arn: str
    secret_prefix: str
    region: str
    deadlines: Mapping[str, int]
    """Seconds, by phase."""
    environment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    record_ttl_days: int = 90
    wait_floor_seconds: int = 10
    wait_cap_seconds: int = 600
    rds_calls_per_second: int = 2
    """What all operations together may ask of RDS: its limit is unpublished, and other users share it."""
    copy_lanes: int = 5
    """Copies from another region that run at once, per destination account and region (AUG-COPY: five)."""
    database_enabled: bool = False
    db_connect_timeout: int = 10
    extra_ca_pem: str = ""
    passable_role_arns: tuple[str, ...] | None = None
    """Roles, with wildcards, that a request may name; None where that is not known. Not in the environment, which is
    small: the workflow tells it to the step that checks requests."""

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn``, …, as the topic's ARN has it."""
        return self.topic_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The deployment's account, as the topic's ARN has it: no call is needed to know it."""
        return self.topic_arn.split(":")[4]

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment; raise ConfigurationInvalid that names what is wrong."""
        env = os.environ if env is None else env
        refuse_another_package(env.get("ARP_SOURCE_HASH", ""))
        topic_arn = _required(env, "ARP_TOPIC_ARN")
        if len(topic_arn.split(":")) != 6:
            raise ConfigurationInvalid("ARP_TOPIC_ARN is not the ARN of a topic", field="ARP_TOPIC_ARN")
        database = env.get("ARP_DATABASE", "disabled")
        if database not in {"enabled", "disabled"}:
            raise ConfigurationInvalid("ARP_DATABASE must be 'enabled' or 'disabled'", field="ARP_DATABASE")
        return cls(
            deployment=_required(env, "ARP_DEPLOYMENT"),
            environment=env.get("ARP_ENVIRONMENT", ""),
            state_table=_required(env, "ARP_STATE_TABLE"),
            audit_table=_required(env, "ARP_AUDIT_TABLE"),
            topic_arn=topic_arn,
            kms_key_arn=_required(env, "ARP_KMS_KEY_ARN"),
            secret_prefix=_required(env, "ARP_SECRET_PREFIX"),
            region=_required(env, "AWS_REGION"),
            tags=_texts(env, "ARP_TAGS"),
            record_ttl_days=_number(env, "ARP_RECORD_TTL_DAYS", 90),
            wait_floor_seconds=_number(env, "ARP_WAIT_FLOOR_SECONDS", 10),
            wait_cap_seconds=_number(env, "ARP_WAIT_CAP_SECONDS", 600),
            rds_calls_per_second=_number(env, "ARP_RDS_CALLS_PER_SECOND", 2),
            copy_lanes=_number(env, "ARP_COPY_LANES", 5),
            deadlines=_deadlines(env),
            database_enabled=database == "enabled",
            db_connect_timeout=_number(env, "ARP_DB_CONNECT_TIMEOUT", 10),
            extra_ca_pem=env.get("ARP_EXTRA_CA_PEM", ""),
        )


def refuse_another_package(expected: str, package: Path = Path(__file__).parent) -> None:
    """Refuse a prebuilt zip of other sources than the module's, before anything is done: a late step may be missing.

    ``expected`` is the beginning of the module's hash of them (package.tf), empty where nobody asks; the zip has its
    own (scripts/package.py).
    """
    file = package / "source_hash.txt"
    built = file.read_text().strip() if file.exists() else ""
    if not built.startswith(expected):
        raise ConfigurationInvalid(
            f"The functions' zip was built from other sources ({built[:12] or 'it does not say which'}) than this "
            f"version of the module has ({expected})",
            field="lambda_package",
            remedy="Build the zip of lambda_package again, with scripts/package.py of this version of the module.",
        )


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise ConfigurationInvalid(f"The environment variable {name} is missing", field=name)
    return value


def _number(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "") or str(default)
    try:
        value = int(text)
    except ValueError:
        raise ConfigurationInvalid(f"{name} must be a whole number, not {text!r}", field=name) from None
    if value < 1:
        raise ConfigurationInvalid(f"{name} must be at least 1, not {value}", field=name)
    return value


def _object(env: Mapping[str, str], name: str) -> Mapping[str, object]:
    try:
        value = json.loads(env.get(name, "") or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigurationInvalid(f"{name} must be a JSON object", field=name)
    return value


def _texts(env: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: str(value) for key, value in _object(env, name).items()}


def _deadlines(env: Mapping[str, str]) -> dict[str, int]:
    given = _numbers(env, "ARP_DEADLINES")
    if missing := [phase for phase in PHASES_WITH_DEADLINES if phase not in given]:
        raise ConfigurationInvalid(f"ARP_DEADLINES has no {', '.join(missing)}", field="ARP_DEADLINES")
    return given


def _numbers(env: Mapping[str, str], name: str) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for key, value in _object(env, name).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
            raise ConfigurationInvalid(f"{name}.{key} must be a number of seconds", field=name)
        numbers[key] = int(value)
    return numbers
