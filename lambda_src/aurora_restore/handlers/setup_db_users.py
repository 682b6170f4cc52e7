"""SetupDbUsers: the request's users, with exactly their privileges, and their passwords in Secrets Manager."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aurora_restore.database.access import Access, open_access
from aurora_restore.database.users import check_request, ensure_user
from aurora_restore.engine.aurora import Aurora
from aurora_restore.model import ResourceState, iso
from aurora_restore.names import user_secret_name
from aurora_restore.runtime import StepContext, Verdict, step
from aurora_restore.secrets import DatabaseUser, PendingSecret

if TYPE_CHECKING:
    from aurora_restore.model import Record, User

_SECRET = "secret"  # noqa: S105 (a kind of resource)


@step()
def handler(ctx: StepContext) -> Verdict:
    """Set up all users, one after the other; each can be repeated."""
    users = ctx.record.wanted.users
    if not users:
        return {"users": []}
    access = open_access(ctx, Aurora(ctx.aws.rds).own_cluster(ctx.record))
    check_request(access.connector, access.master, users)
    results = [_set_up(ctx, access, user) for user in users]
    ctx.update("users_ready", lambda record: record.with_result("users", results), {"users": results})
    return {"users": [user.name for user in users]}


def _set_up(ctx: StepContext, access: Access, user: User) -> dict[str, Any]:
    pending = _prepare_secret(ctx, access, user)
    ensure_user(access.connector, access.master, user, pending.password)
    access.secrets.promote(pending)
    return {
        "name": user.name,
        "access": user.access,
        "databases": list(user.databases),
        "secret_name": pending.name,
        "secret_arn": pending.arn,
    }


def _prepare_secret(ctx: StepContext, access: Access, user: User) -> PendingSecret:
    """The secret's next version. A secret that this operation makes is recorded before and after it is made."""
    target = ctx.record.wanted.target_cluster_id
    name = user_secret_name(ctx.settings.secret_prefix, target, user.name)
    if not access.secrets.exists(name):
        resource = ctx.intent(_SECRET, name)
        ctx.update("secret_intended", lambda record: record.with_resource(resource), {"secret": name})
    pending = access.secrets.prepare(
        name,
        DatabaseUser(
            username=user.name,
            engine=access.master.engine,
            host=access.master.host,
            port=access.master.port,
            database=user.databases[0],
            cluster_identifier=target,
        ),
        ctx.operation_id,
        ctx.tags,
    )
    known = ctx.record.resource(_SECRET, name)
    if known is not None and known.state is ResourceState.INTENDED:
        created = replace(known, state=ResourceState.CREATED, arn=pending.arn, created_at=iso(ctx.now))

        def made(record: Record) -> Record:
            return record.with_resource(created)

        ctx.update("secret_created", made, {"secret": name, "arn": pending.arn})
    return pending
