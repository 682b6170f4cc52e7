"""How the steps come to the operation's database: by which address, as whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora_restore.database.connection import Connector, Login
from aurora_restore.database.tls import client_context
from aurora_restore.errors import MasterCredentialsUnavailable, TransientDatabaseError
from aurora_restore.secrets import Credentials, Secrets

if TYPE_CHECKING:
    from aurora_restore.readiness import Described
    from aurora_restore.runtime import StepContext


@dataclass(frozen=True)
class Access:
    """The operation's database, ready to be talked to."""

    connector: Connector
    secrets: Secrets
    master: Login

    def login(self, credentials: Credentials) -> Login:
        """Another user's login to the same server."""
        return Login(self.master.engine, self.master.host, self.master.port, credentials.username, credentials.password)


def open_access(ctx: StepContext, cluster: Described) -> Access:
    """The way to the writer, by the cluster endpoint: it follows a failover, and the certificate names it."""
    name = cluster["DBClusterIdentifier"]
    secret_arn = (cluster.get("MasterUserSecret") or {}).get("SecretArn")
    if not secret_arn:
        raise MasterCredentialsUnavailable(f"The cluster {name} has no RDS-managed master user secret")
    host = cluster.get("Endpoint")
    if not host:
        raise TransientDatabaseError(f"The cluster {name} has no endpoint yet")
    settings = ctx.settings
    secrets = Secrets(ctx.aws.secretsmanager, kms_key_arn=settings.kms_key_arn, deployment=settings.deployment)
    master = secrets.master(secret_arn)
    return Access(
        connector=Connector(client_context(settings.extra_ca_pem), settings.db_connect_timeout),
        secrets=secrets,
        master=Login(ctx.record.planned.engine, host, cluster["Port"], master.username, master.password),
    )
