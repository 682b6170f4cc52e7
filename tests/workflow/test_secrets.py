"""No secret value anywhere but in Secrets Manager: a scan over everything that the pipeline writes."""

from __future__ import annotations

import json

from sandbox import samples
from tests.workflow.support import Deployment


def test_no_secret_value_in_logs_state_audit_history_or_messages(
    deployment: Deployment, source: samples.Source, target: str
) -> None:
    users = [
        {"name": "shop_app", "access": "read_write", "databases": [samples.DATABASE]},
        {"name": "shop_reports", "access": "read_only", "databases": [samples.DATABASE]},
    ]
    request = {
        "snapshot_identifier": f"{source.cluster_id}-snapshot",
        "target_cluster_id": target,
        "users": users,
        # A check that fails after the users were made: errors are where secrets like to leak.
        "checks": [{"name": "broken", "database": samples.DATABASE, "sql": "SELECT broken FROM orders", "equals": 1}],
    }
    execution = deployment.run(request)
    assert execution.status == "FAILED"

    secrets_manager = deployment.client("secretsmanager")
    passwords = {source.password}
    for page in secrets_manager.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            for version in secrets_manager.list_secret_version_ids(SecretId=secret["ARN"])["Versions"]:
                value = secrets_manager.get_secret_value(SecretId=secret["ARN"], VersionId=version["VersionId"])
                passwords.add(json.loads(value["SecretString"])["password"])
    assert len(passwords) >= 4

    written = {
        "history": json.dumps(execution.history, default=str),
        "record": json.dumps(execution.record),
        "audit": json.dumps(execution.trail),
        "messages": json.dumps(execution.messages, default=str),
        "description": f"{execution.error} {execution.cause}",
    }
    logs = deployment.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            written[group["logGroupName"]] = "\n".join(deployment.sandbox.logs(group["logGroupName"]))
    assert sum("/aws/lambda/" in name for name in written) >= 10
    assert any(len(text) > 1000 for name, text in written.items() if "setup-db-users" in name), "the logs were read"
    found = {name: text.count(p) for name, text in written.items() for p in passwords if p in text}
    assert found == {}
