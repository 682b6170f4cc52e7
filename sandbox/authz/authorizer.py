"""The authorizer: every action that a call needs, decided by all the policies that have a say."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sandbox.authz.actions import needs
from sandbox.authz.decisions import AuthorizationNotModelled, Decision, Statement, wording
from sandbox.authz.evaluator import Evaluator
from sandbox.authz.needs import Context, Need
from sandbox.authz.sources import Arn, Policy, Role, Sources, Tags
from sandbox.core import AwsError, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.core import Call

# Condition keys whose absence means what it means on AWS: they are filled whenever AWS would fill them here. A name
# that ends in "/" or ":" stands for all that begin so.
_GLOBAL_KEYS = (
    *(
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltag/",
        "aws:principaltype",
        "aws:userid",
        "aws:username",
    ),
    *("aws:principalisawsservice", "aws:principalservicename", "aws:principalservicenameslist"),
    *("aws:requestedregion", "aws:requesttag/", "aws:tagkeys", "aws:resourceaccount", "aws:securetransport"),
    *("aws:viaawsservice", "aws:sourceaccount", "aws:sourcearn", "aws:sourceowner", "aws:sourceidentity"),
    *("aws:multifactorauthpresent", "aws:multifactorauthage", "aws:federatedprovider"),
    *("aws:sourceorgid", "aws:sourceorgpaths"),
)
_SERVICE_KEYS: Mapping[str, tuple[str, ...]] = {
    "kms": (
        *("kms:calleraccount", "kms:encryptioncontext:", "kms:encryptioncontextkeys", "kms:requestalias"),
        *("kms:resourcealiases", "kms:viaservice", "kms:recipientattestation:", "kms:grantisforawsresource"),
    ),
    "rds": ("rds:req-tag/", "rds:tagsfromrequest"),
    "secretsmanager": ("secretsmanager:resource/",),
}

# How services call the tags of their resources, beside aws:ResourceTag.
_RDS_TAGGED = ("cluster", "cluster-pg", "cluster-snapshot", "db", "og", "pg", "snapshot", "subgrp")
_OWN_TAG_KEYS: Mapping[str, str] = {"secretsmanager": "secretsmanager:ResourceTag", "iam": "iam:ResourceTag"}

# What "*" stands for in actions that have resources, when a service asks whether a role may do them at all.
_KINDS: Mapping[str, tuple[str, ...]] = {
    "ec2:CreateNetworkInterface": ("network-interface", "security-group", "subnet"),
}

_EVERYTHING = Policy(
    "administrator", '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
)


class Authorizer:
    """Decides for every caller but administrators, who, like an account's root user, have no policies.

    ``decisions`` keeps the latest with their reasons; ``observe`` sees each as it is made. ``organizations`` says which
    account belongs to which one; an account that is not in it belongs to none.
    """

    def __init__(
        self,
        *,
        rds_tags: Tags | None = None,
        states_tags: Tags | None = None,
        evaluator: Evaluator | None = None,
        observe: Callable[[Decision], None] | None = None,
    ) -> None:
        self._sources = Sources(rds_tags, states_tags)
        self._evaluator = evaluator or Evaluator()
        self._observe = observe
        self.decisions: deque[Decision] = deque(maxlen=10_000)
        self.organizations: dict[str, str] = {}

    def check(self, call: Call) -> None:
        """Raise the service's own error unless the caller may do all that the call needs.

        An administrator is asked about nothing but a role's trust and another account's key: those are not the
        caller's to give.
        """
        if call.principal.admin and not _is_given_by_others(call):
            return
        for need in needs(call, self._sources):
            self._require(call.principal, need, call.region)

    def check_action(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, str | list[str]],
        region: str,
        *,
        via: str | None = None,
    ) -> None:
        """Decide one action, for a service that acts in the caller's name (RDS with a key) or by a role of its own.

        ``via`` names the service that asks on the caller's behalf ("rds"): kms:ViaService follows from it.
        """
        if principal.admin and not (action.startswith("kms:") and _is_foreign(resource, principal)):
            return
        filled: dict[str, str | list[str] | None] = dict(context)
        if via is not None and action.startswith("kms:"):
            filled.setdefault("kms:ViaService", f"{via}.{region}.amazonaws.com")
        if action.startswith("kms:") and resource != "*":
            key = self._sources.key(resource, region, principal.account)
            if key is None:
                raise AwsError("NotFoundException", f"Key '{resource}' does not exist", 400)
            resource = key.arn
            filled = {**key.context, **filled}
        resources: tuple[str, ...] = (resource,)
        if resource == "*" and action in _KINDS:
            prefix = f"arn:{principal.partition}:{action.partition(':')[0]}:{region}:{principal.account}"
            resources = tuple(f"{prefix}:{kind}/*" for kind in _KINDS[action])
        asked_by = via or str(filled.get("kms:ViaService") or "").partition(".")[0] or None
        self._require(principal, Need(action, resources, filled, via=asked_by), region)

    def check_service(self, service: str, role_arn: str, source_arn: str) -> None:
        """Raise unless the role's trust policy lets a service take it on, for one of the service's own resources.

        ``service`` is its principal ("lambda.amazonaws.com"), ``source_arn`` the function, state machine, rule, …
        """
        account, region = Arn.parse(source_arn).account, Arn.parse(source_arn).region
        context = {
            "aws:RequestedRegion": region or None,
            "aws:SecureTransport": "true",
            "aws:PrincipalServiceName": service,
            "aws:PrincipalIsAWSService": "true",
            "aws:SourceAccount": account,
            "aws:SourceArn": source_arn,
            "sts:ExternalId": None,
            "sts:RoleSessionName": None,
            "sts:SourceIdentity": None,
            "sts:TransitiveTagKeys": None,
        }
        context |= self._organization("aws:Principal", None)
        need = Need("sts:AssumeRole", (role_arn,), context)
        policy = self._sources.resource_policy(role_arn)
        decision = self._evaluate(service, account, need, role_arn, context, resource_policy=policy)
        if not decision.allowed:
            raise decision.error()

    @property
    def denials(self) -> list[Decision]:
        """The refusals among the latest decisions, oldest first."""
        return [decision for decision in tuple(self.decisions) if not decision.allowed]

    def close(self) -> None:
        """End the evaluator's process."""
        self._evaluator.close()

    def _organization(self, prefix: str, account: str | None) -> dict[str, str | None]:
        """Return the condition keys of an account's organization; its paths within one are not modelled."""
        organization = self.organizations.get(account or "")
        return {f"{prefix}OrgID": organization} | ({} if organization else {f"{prefix}OrgPaths": None})

    def _require(self, principal: Principal, need: Need, region: str) -> None:
        role = None if principal.admin else self._sources.role_of(principal)
        for resource in need.resources:
            decision = self._decide(principal, role, need, resource, region)
            if not decision.allowed:
                raise decision.error()

    def _decide(self, principal: Principal, role: Role | None, need: Need, resource: str, region: str) -> Decision:
        context = {**_caller(principal, role), **self._organization("aws:Principal", principal.account)}
        context |= {"aws:RequestedRegion": region, "aws:SecureTransport": "true"}
        # Lambda puts it beside every call of a function's code, not beside its own calls by the function's role.
        context["lambda:SourceFunctionArn"] = self._sources.function_of(principal, role) if role else None
        context["aws:ViaAWSService"] = "true" if need.via else "false"
        if need.action.startswith("kms:"):
            context["kms:CallerAccount"] = principal.account
        context |= need.context
        identity = (_EVERYTHING,) if role is None else role.identity
        boundary = () if role is None else role.boundary
        policy = None if resource == "*" else self._sources.resource_policy(resource)
        return self._evaluate(principal.arn, principal.account, need, resource, context, identity, boundary, policy)

    def _evaluate(
        self,
        principal: str,
        account: str,
        need: Need,
        resource: str,
        context: Context,
        identity: tuple[Policy, ...] = (),
        boundary: tuple[Policy, ...] = (),
        resource_policy: Policy | None = None,
    ) -> Decision:
        owner = self._sources.resource_account(resource, account)
        filled: dict[str, Any] = {"aws:ResourceAccount": owner, **self._organization("aws:Resource", owner), **context}
        service = need.action.partition(":")[0]
        modelled = {*_GLOBAL_KEYS, *_SERVICE_KEYS.get(service, ()), *(key.lower() for key in filled)}
        tags = self._sources.tags(resource)
        if tags is not None:
            for prefix in _tag_prefixes(resource):
                modelled.add(f"{prefix.lower()}/")
                filled |= {f"{prefix}/{key}": value for key, value in tags.items()}
        sent = {key: value for key, value in filled.items() if value is not None}
        answer = self._evaluator.evaluate(
            {
                "principal": principal,
                "action": need.action,
                "resource": resource,
                # RDS resources have no policies: RDS knows what other accounts share, IAM asks the caller's side.
                "resourceAccount": account if service == "rds" else owner,
                "context": sent,
                "identity": [asdict(policy) for policy in identity],
                "boundary": [asdict(policy) for policy in boundary],
                "resourcePolicy": asdict(resource_policy) if resource_policy else None,
                "modelled": sorted(modelled),
            }
        )
        if answer["notModelled"]:
            raise AuthorizationNotModelled("; ".join(answer["notModelled"]))
        allowed = answer["result"] == "Allowed"
        decision = Decision(
            principal=principal,
            action=need.action,
            resource=resource,
            allowed=allowed,
            reason="" if allowed else wording(answer, need.action),
            statements=tuple(Statement.read(found) for found in answer["statements"]),
            context=sent,
            via=need.via,
            source=need.source,
        )
        self.decisions.append(decision)
        if self._observe is not None:
            self._observe(decision)
        return decision


def _is_given_by_others(call: Call) -> bool:
    key = str(call.params.get("KeyId", ""))
    return call.operation == "AssumeRole" or (call.service == "kms" and _is_foreign(key, call.principal))


def _is_foreign(resource: str, principal: Principal) -> bool:
    return resource.startswith("arn:") and Arn.parse(resource).account != principal.account


def _caller(principal: Principal, role: Role | None) -> dict[str, str | list[str] | None]:
    if role is None:
        return {
            "aws:PrincipalArn": principal.arn,
            "aws:PrincipalAccount": principal.account,
            "aws:PrincipalType": "Account",
            "aws:PrincipalIsAWSService": "false",
            "aws:userid": principal.account,
        }
    return {
        # The role's own ARN with its path, not the session's ("AWS global condition context keys").
        "aws:PrincipalArn": role.arn,
        "aws:PrincipalAccount": principal.account,
        "aws:PrincipalType": "AssumedRole",
        "aws:PrincipalIsAWSService": "false",
        "aws:userid": f"{role.unique_id}:{principal.session_name}",
        **{f"aws:PrincipalTag/{key}": value for key, value in role.tags.items()},
    }


def _tag_prefixes(resource: str) -> list[str]:
    prefixes = ["aws:ResourceTag"]
    if resource == "*":
        return prefixes
    parts = Arn.parse(resource)
    if parts.service == "rds":
        kind = re.split("[:/]", parts.resource, maxsplit=1)[0]
        prefixes += [f"rds:{kind}-tag"] if kind in _RDS_TAGGED else []
    elif own := _OWN_TAG_KEYS.get(parts.service):
        prefixes.append(own)
    return prefixes
