"""A small world of roles, keys and calls for the authorizer's tests, in moto's backends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

import sandbox.moto_support  # noqa: F401  moto as the sandbox mends it
from sandbox.authz import AuthorizationNotModelled, Authorizer, Decision, Evaluator
from sandbox.core import AwsError, Call, Principal

ACCOUNT = "123456789012"
OTHER = "444455556666"
REGION = "eu-west-1"
DEPLOYMENT = {"aurora-restore:managed-by": "D"}


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def deny(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    return {**allow(action, resource, **condition), "Effect": "Deny"}


def tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


class World:
    def __init__(self, evaluator: Evaluator) -> None:
        self.rds_tags: dict[str, dict[str, str]] = {}
        self.authorizer = Authorizer(rds_tags=self.rds_tags.get, evaluator=evaluator)

    def role(
        self,
        *statements: Mapping[str, Any],
        name: str = "worker",
        account: str = ACCOUNT,
        boundary: str | None = None,
        trust: Mapping[str, Any] | None = None,
        path: str = "/",
        role_tags: Mapping[str, str] | None = None,
    ) -> Principal:
        backend = iam_backends[account]["aws"]
        boundary_arn = None
        if boundary is not None:
            boundary_arn = backend.create_policy("", "/", boundary, f"{name}-boundary", []).arn
        trusted = trust or {"Principal": {"Service": "lambda.amazonaws.com"}}
        backend.create_role(
            role_name=name,
            assume_role_policy_document=document({"Effect": "Allow", "Action": "sts:AssumeRole", **trusted}),
            path=path,
            permissions_boundary=boundary_arn,
            description="",
            tags=tags(role_tags or {}),
            max_session_duration="3600",
        )
        if statements:
            backend.put_role_policy(name, "inline", document(*statements))
        return self.session(name, account)

    @staticmethod
    def session(role: str, account: str = ACCOUNT, session: str = "session") -> Principal:
        return Principal(account, f"arn:aws:sts::{account}:assumed-role/{role}/{session}", role, session)

    def key(self, *statements: Mapping[str, Any], account: str = ACCOUNT) -> Any:
        policy = document(*statements) if statements else None
        return kms_backends[account][REGION].create_key(policy, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", None)

    def call(self, principal: Principal, operation: str, **params: Any) -> None:
        service, _, name = operation.partition(":")
        self.authorizer.check(Call(service, name, REGION, principal.account, principal, params))

    def denied(self, principal: Principal, operation: str, **params: Any) -> AwsError:
        """Make a call that must be refused by policies; return the refusal."""
        try:
            self.call(principal, operation, **params)
        except AuthorizationNotModelled:
            raise
        except AwsError as error:
            return error
        raise AssertionError(f"{operation} was allowed")

    @property
    def last(self) -> Decision:
        return self.authorizer.decisions[-1]


def arn(service: str, resource: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"
