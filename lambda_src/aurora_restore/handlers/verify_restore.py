"""VerifyRestore: the planned versions, and with the database phase also every login and the request's checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora_restore.database.access import Access, open_access
from aurora_restore.database.problems import Problem, raise_problems
from aurora_restore.database.verification import (
    control_plane,
    probe_server,
    run_checks,
    server_problems,
    user_problems,
)
from aurora_restore.engine.aurora import Aurora
from aurora_restore.errors import UserSecretFailed
from aurora_restore.names import user_secret_name
from aurora_restore.runtime import StepContext, Verdict, step

if TYPE_CHECKING:
    from aurora_restore.database.server import Server
    from aurora_restore.model import User


@step()
def handler(ctx: StepContext) -> Verdict:
    """Look at everything, record what was found, then fail if anything is wrong."""
    plan, request = ctx.record.planned, ctx.record.wanted
    aurora = Aurora(ctx.aws.rds)
    cluster = aurora.own_cluster(ctx.record)
    instances = aurora.instances(plan.target_cluster_id)
    problems = control_plane(plan.engine_version, cluster, instances)
    report: dict[str, Any] = {"engine_version": cluster["EngineVersion"], "users": [], "checks": []}

    if plan.database_phase:
        access = open_access(ctx, cluster)
        server: Server = probe_server(access.connector, access.master)
        problems += server_problems(server, plan.engine_version)
        for user in request.users:
            problems += _login_problems(ctx, access, user)
        results = run_checks(access.connector, access.master, server, request.checks)
        problems += [result.problem for result in results if result.problem]
        report |= {
            "server_version": server.version,
            "aurora_version": server.aurora_version or "not an Aurora server: its version was not compared",
            "users": [user.name for user in request.users],
            "checks": [result.to_mapping() for result in results],
        }

    report["problems"] = [problem.text for problem in problems]
    ctx.update(
        "verification_failed" if problems else "verified",
        lambda record: record.with_result("verification", report),
        report,
    )
    raise_problems(problems)
    return {"engine_version": report["engine_version"], "checks": len(report["checks"]), "users": len(report["users"])}


def _login_problems(ctx: StepContext, access: Access, user: User) -> list[Problem]:
    name = user_secret_name(ctx.settings.secret_prefix, ctx.record.wanted.target_cluster_id, user.name)
    try:
        credentials = access.secrets.current(name)
    except UserSecretFailed as error:
        return [Problem(UserSecretFailed, error.cause)]
    return list(user_problems(access.connector, access.login(credentials), user))
