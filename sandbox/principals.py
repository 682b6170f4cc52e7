"""Who calls: access keys, the principals behind them, and STS, which makes new ones."""

from __future__ import annotations

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox.core import AwsError, NotEmulated, Principal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.core import Call

ADMIN_KEY_PREFIX = "AKIASANDBOX"
ADMIN_SECRET = "sandbox"  # noqa: S105  the same for every account: it protects nothing

_ADMIN_KEY = re.compile(rf"{ADMIN_KEY_PREFIX}(\d{{12}})")
_ROLE_ARN = re.compile(r"arn:([^:]+):iam::(\d{12}):role/(?:.*/)?([^/]+)")
_KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Registry:
    """Every access key that the sandbox knows.

    ``AKIASANDBOX<12-digit account>`` is the administrator of that account: accounts need not be made. Every other key
    belongs to a role's session.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[Principal, str]] = {}

    def issue(self, role_arn: str, session_name: str) -> tuple[str, str, str]:
        """Make credentials (key, secret, token) of a session of the role.

        They do not expire: a caller counts in real time, the sandbox in virtual, and no answer would suit both.
        """
        match = _ROLE_ARN.fullmatch(role_arn)
        if match is None:
            raise AwsError("ValidationError", f"{role_arn} is not the ARN of a role")
        partition, account, role_name = match.groups()
        return self.credentials(
            Principal(
                account=account,
                arn=f"arn:{partition}:sts::{account}:assumed-role/{role_name}/{session_name}",
                role_name=role_name,
                session_name=session_name,
            )
        )

    def credentials(self, principal: Principal) -> tuple[str, str, str]:
        """Make credentials (key, secret, token) of a session that exists."""
        key = "ASIA" + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(16))
        token = secrets.token_urlsafe(96)
        with self._lock:
            self._sessions[key] = (principal, token)
        return key, secrets.token_urlsafe(30), token

    def lookup(self, access_key: str, token: str | None = None) -> Principal:
        """Return the principal of a key; a session's key without its own token is as unknown as it is to AWS."""
        admin = _ADMIN_KEY.fullmatch(access_key)
        if admin is not None:
            return admin_of(admin.group(1))
        with self._lock:
            session = self._sessions.get(access_key)
        if session is None or (token is not None and token != session[1]):
            raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        return session[0]


def admin_key(account: str) -> str:
    """Return the access key of an account's administrator."""
    key = ADMIN_KEY_PREFIX + account
    if not _ADMIN_KEY.fullmatch(key):
        raise ValueError(f"an account id has twelve digits, not {account!r}")
    return key


def admin_of(account: str) -> Principal:
    """Return the administrator of an account: like its root user, no policy stops it."""
    return Principal(account=account, arn=f"arn:aws:iam::{account}:root", admin=True)


class StsService:
    """STS, as far as a role's session needs it. ``role_id`` finds a role's unique id, None where there is no role."""

    name = "sts"

    def __init__(self, registry: Registry, role_id: Callable[[str, str], str | None]) -> None:
        self._registry = registry
        self._role_id = role_id

    def handle(self, call: Call) -> Mapping[str, Any]:
        """Answer AssumeRole and the questions about identities."""
        if call.operation == "GetCallerIdentity":
            return {"UserId": self._user_id(call.principal), "Account": call.account, "Arn": call.principal.arn}
        if call.operation == "GetAccessKeyInfo":
            return {"Account": self._registry.lookup(call.params["AccessKeyId"]).account}
        if call.operation == "AssumeRole":
            return self._assume_role(call)
        raise NotEmulated(f"sts:{call.operation}")

    def _assume_role(self, call: Call) -> Mapping[str, Any]:
        """Make a session. The trust policy was checked before: the authorizer sees this call of administrators, too."""
        arn, session_name = call.params["RoleArn"], call.params["RoleSessionName"]
        for member in ("Policy", "PolicyArns", "SerialNumber"):
            if call.params.get(member):
                raise NotEmulated(f"sts:AssumeRole with {member}")
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", session_name):
            raise AwsError(
                "ValidationError", f"Value '{session_name}' at 'roleSessionName' failed to satisfy constraint"
            )
        duration = call.params.get("DurationSeconds", 3600)
        if not 900 <= duration <= 43200:
            raise AwsError("ValidationError", f"Value '{duration}' at 'durationSeconds' failed the constraint")
        if duration > 3600 and call.principal.role_name is not None:  # IAM user guide: "Role chaining"
            raise AwsError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        match = _ROLE_ARN.fullmatch(arn)
        role_id = None if match is None else self._role_id(match.group(2), match.group(3))
        if match is None or role_id is None:
            # STS does not tell a role that does not exist from one that may not be assumed.
            raise AwsError(
                "AccessDenied",
                f"User: {call.principal.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                403,
            )
        key, secret, token = self._registry.issue(arn, session_name)
        return {
            "Credentials": {
                "AccessKeyId": key,
                "SecretAccessKey": secret,
                "SessionToken": token,
                # Real time: the caller's SDK compares it with its own clock.
                "Expiration": datetime.now(UTC) + timedelta(seconds=duration),
            },
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role_id}:{session_name}",
                "Arn": self._registry.lookup(key, token).arn,
            },
        }

    def _user_id(self, principal: Principal) -> str:
        if principal.role_name is None:
            return principal.account
        return f"{self._role_id(principal.account, principal.role_name)}:{principal.session_name}"
