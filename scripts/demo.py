"""`make demo`: a real database comes back from a snapshot, on this machine, without AWS, and a person can watch it.

Through the public AWS APIs alone: the sandbox serves them, Terraform applies examples/simple, Step Functions runs the
workflow, the Lambdas run from the uploaded zip. The exit code is 0 only when everything that is shown was true.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sandbox import samples
from sandbox.server import Sandbox
from sandbox.terraform import TerraformRoot

ROOT = Path(__file__).resolve().parent.parent
ACCOUNT, REGION = "111122223333", "eu-west-1"
TARGET = "roastery-staging"
# The workflow's states by the phase that a person thinks of.
PHASES = {
    "Check and plan": ("SnapshotCheck",),
    "Restore the cluster": ("RestoreCluster", "ObserveCluster", "WaitCluster"),
    "Configure it": ("ConfigureCluster", "ObserveConfiguration", "WaitConfiguration"),
    "Create the writer": ("CreateWriter", "ObserveWriter", "WaitWriter"),
    "Create the readers": ("CreateReaders", "ObserveReaders", "WaitReaders"),
    "Set up users": ("SetupDbUsers",),
    "Verify": ("VerifyRestore",),
    "Clean up and notify": ("Cleanup", "NotifySuccess"),
}
REQUEST: dict[str, Any] = {
    "source_cluster_id": "roastery-production",
    "target_cluster_id": TARGET,
    "readers": 1,
    "users": [
        {"name": "shop_app", "access": "read_write", "databases": [samples.DATABASE]},
        {"name": "shop_reports", "access": "read_only", "databases": [samples.DATABASE]},
    ],
    "checks": [
        {
            "name": "all products are there",
            "database": samples.DATABASE,
            "sql": "SELECT COUNT(*) FROM products",
            "equals": 6,
        },
        {
            "name": "orders came along",
            "database": samples.DATABASE,
            "sql": "SELECT COUNT(*) FROM orders",
            "at_least": 20,
        },
    ],
    "tags": {"CostCenter": "staging"},
}


@dataclass
class Progress:
    """What the execution's history says of each phase, in the sandbox's virtual time."""

    started: dict[str, datetime]
    ended: dict[str, datetime]
    failed: str | None = None


def progress_of(history: list[Any]) -> Progress:
    """Fold an execution history into phases."""
    phase_of = {state: phase for phase, states in PHASES.items() for state in states}
    progress = Progress({}, {})
    current = None
    for event in history:
        entered = event.get("stateEnteredEventDetails")
        if entered is None:
            continue
        phase = phase_of.get(entered["name"])
        if current and phase != current and not entered["name"].startswith("Decide"):
            progress.ended.setdefault(current, event["timestamp"])
        if entered["name"] == "Compensate":
            progress.failed = progress.failed or current
        if phase:
            progress.started.setdefault(phase, event["timestamp"])
            current = phase
    return progress


def clock_text(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"


def phase_table(progress: Progress, now: datetime, real_seconds: float, status: str) -> Table:
    """The live picture: a line a phase."""
    begun = min(progress.started.values(), default=now)
    title = f"{status}   virtual time {clock_text((now - begun).total_seconds())}   real time {real_seconds:.0f} s"
    table = Table(title=title, title_justify="left", min_width=70)
    table.add_column("")
    table.add_column("Phase", min_width=24)
    table.add_column("Virtual time", justify="right")
    for phase in PHASES:
        start, end = progress.started.get(phase), progress.ended.get(phase)
        mark = (
            "[dim]·[/]"
            if start is None
            else "[red]✗[/]"
            if progress.failed == phase
            else "[green]✓[/]"
            if end
            else "[yellow]▶[/]"
        )
        table.add_row(mark, phase, "" if start is None else clock_text(((end or now) - start).total_seconds()))
    return table


def rows_table(title: str, header: list[str], rows: list[Any]) -> Table:
    """Plain rows with a title."""
    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


class Demo:
    """One run: every step prints what it does, and `checks` collects what must be true at the end."""

    def __init__(self, console: Console, sandbox: Sandbox, engine: samples.Engine, work: Path) -> None:
        self.console, self.sandbox, self.engine, self.work = console, sandbox, engine, work
        self.rds = sandbox.client("rds", ACCOUNT, REGION)
        self.failures: list[str] = []
        self.step_number = 0

    def step(self, text: str) -> None:
        """Announce a step."""
        self.step_number += 1
        self.console.print(f"\n[bold]{self.step_number}. {text}[/]")

    def must(self, truth: bool, claim: str) -> None:
        """Show a claim with its truth; one that is false makes the exit code 1."""
        self.console.print(f"   {'[green]✓[/]' if truth else '[red]✗[/]'} {claim}")
        if not truth:
            self.failures.append(claim)

    def make_source(self) -> tuple[samples.Source, samples.Network]:
        """A production cluster with a shop in it, its snapshot, and an order that came too late for it."""
        self.step(f"A source: {self.engine} cluster roastery-production with a coffee roastery's shop in it")
        network = samples.make_network(self.sandbox.client("ec2", ACCOUNT, REGION), self.rds)
        source = samples.make_source(self.rds, network, self.engine, "roastery-production", self.sandbox.ca_pem)
        self.console.print(f"   a real server listens at {source.host}:{source.port} (TLS)")
        self.step("Its snapshot, and then one more order that the snapshot cannot know")
        arn = samples.take_snapshot(self.rds, source.cluster_id, "roastery-before-the-release")
        taken = self.rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=arn)["DBClusterSnapshots"][0]
        self.snapshot_date = taken["SnapshotCreateTime"].strftime("%Y-%m-%d")
        connection = source.connect(self.sandbox.ca_pem)
        connection.execute("INSERT INTO orders VALUES (21, 3, 5, 99, '2026-11-23')")
        connection.close()
        return source, network

    def deploy(self, network: samples.Network) -> dict[str, Any]:
        """terraform apply examples/simple."""
        self.step("terraform apply examples/simple: packages the Lambdas, uploads the zip, makes the state machine")
        begun = time.monotonic()
        self.root = TerraformRoot(
            ROOT / "examples/simple",
            self.work / "terraform",
            self.sandbox.env(ACCOUNT, REGION),
            {
                "region": REGION,
                "subnet_ids": network.subnet_ids[:2],
                "lambda_security_group_ids": [network.security_group_id],
                "cluster_security_group_ids": [network.security_group_id],
                "table_deletion_protection": False,
                "db_subnet_group_name": network.db_subnet_group_name,
                "extra_ca_pem": self.sandbox.ca_pem,
            },
        )
        outputs = self.root.apply()
        self.console.print(f"   applied in {time.monotonic() - begun:.0f} s: {outputs['state_machine_arn']}")
        return outputs

    def restore(self, outputs: dict[str, Any]) -> str:
        """Start a restore and show it until it ends; returns its operation_id."""
        request = {
            **REQUEST,
            "snapshot_date": self.snapshot_date,
            "operation_id": "demo-restore",
        }
        self.step(f"aws stepfunctions start-execution: restore {request['source_cluster_id']} as {TARGET}")
        self.console.print(Panel(Text(json.dumps(request, indent=2)), title="execution input", width=100))
        states = self.sandbox.client("stepfunctions", ACCOUNT, REGION)
        begun = time.monotonic()
        arn = states.start_execution(
            stateMachineArn=outputs["state_machine_arn"], name=request["operation_id"], input=json.dumps(request)
        )["executionArn"]
        with Live(console=self.console, refresh_per_second=4) as live:
            while True:
                execution = states.describe_execution(executionArn=arn)
                pages = states.get_paginator("get_execution_history").paginate(executionArn=arn, maxResults=1000)
                progress = progress_of([event for page in pages for event in page["events"]])
                now = execution.get("stopDate") or self.sandbox.clock.now()
                live.update(phase_table(progress, now, time.monotonic() - begun, execution["status"]))
                if execution["status"] != "RUNNING":
                    break
                time.sleep(0.25)
        self.must(execution["status"] == "SUCCEEDED", f"the execution ended as {execution['status']}")
        if execution["status"] != "SUCCEEDED":
            self.console.print(f"   [red]{execution.get('error')}: {execution.get('cause')}[/]")
        return str(request["operation_id"])

    def show_data(self, source: samples.Source) -> None:
        """The restored rows, read by the new users with the passwords of their secrets."""
        self.step("The restored database, read over TLS by the new users")
        secrets_manager = self.sandbox.client("secretsmanager", ACCOUNT, REGION)
        names = [
            s["Name"] for page in secrets_manager.get_paginator("list_secrets").paginate() for s in page["SecretList"]
        ]
        name_of = {name.rsplit("/", 1)[-1]: name for name in names if f"/{TARGET}/" in name}
        self.must(
            set(name_of) == {"shop_app", "shop_reports"},
            f"secrets of the new users: {', '.join(sorted(name_of.values()))}",
        )

        def login(user: str) -> samples.Rows:
            secret = json.loads(secrets_manager.get_secret_value(SecretId=name_of[user])["SecretString"])
            return samples.connect(
                self.engine, secret["host"], secret["port"], secret["username"], secret["password"],
                self.sandbox.ca_pem, samples.DATABASE,
            )  # fmt: skip

        reports = login("shop_reports")
        best = reports.execute(
            "SELECT p.name, p.origin, SUM(o.quantity), SUM(o.quantity * p.price) FROM orders o"
            " JOIN products p ON p.id = o.product_id GROUP BY p.id, p.name, p.origin ORDER BY 4 DESC"
        )
        self.console.print(rows_table("Best sellers", ["coffee", "origin", "bags", "revenue"], best))
        orders = reports.execute("SELECT COUNT(*), MAX(id) FROM orders")[0]
        self.must(
            tuple(map(int, map(str, orders))) == (20, 20), "20 orders: those before the snapshot, and none after it"
        )
        try:
            reports.execute("DELETE FROM orders")
            refused = False
        except Exception:  # noqa: BLE001 - each driver has its own class for "permission denied"
            refused = True
        self.must(refused, "shop_reports (read_only) may not delete")
        reports.close()
        application = login("shop_app")
        application.execute("INSERT INTO orders VALUES (21, 2, 1, 1, '2026-11-23')")
        self.must(
            int(str(application.execute("SELECT COUNT(*) FROM orders")[0][0])) == 21, "shop_app (read_write) may insert"
        )
        application.close()
        original = source.connect(self.sandbox.ca_pem)
        self.must(
            int(str(original.execute("SELECT COUNT(*) FROM orders")[0][0])) == 21, "the source kept its own 21 orders"
        )
        original.close()

    def show_records(self, outputs: dict[str, Any], operation_id: str) -> None:
        """The state record, the audit trail and the notification."""
        self.step("What an operator and an auditor find")
        dynamodb = self.sandbox.resource("dynamodb", ACCOUNT, REGION)
        record = dynamodb.Table(outputs["state_table_name"]).get_item(Key={"operation_id": operation_id})["Item"]
        shown = ["operation_id", "status", "phase", "started_at", "finished_at", "audit_hash"]
        self.console.print(
            rows_table("AuroraRestoreState", ["attribute", "value"], [(k, record.get(k, "")) for k in shown])
        )
        resources = [(r["kind"], r["identifier"], r["state"]) for r in record["resources"]]
        self.console.print(rows_table("its resources", ["kind", "identifier", "state"], resources))
        self.must(record["status"] == "SUCCEEDED", "the record says SUCCEEDED")
        audit = dynamodb.Table(outputs["audit_table_name"]).query(
            KeyConditionExpression="operation_id = :o", ExpressionAttributeValues={":o": operation_id}
        )["Items"]
        lines = [(e["sequence"], e["at"], e["event"], e["step"], str(e["hash"])[:12]) for e in audit]
        self.console.print(rows_table("AuroraRestoreAudit", ["sequence", "time", "event", "step", "hash"], lines))
        self.must(audit[-1]["hash"] == record["audit_hash"], "the audit chain ends at the record's head hash")
        messages = [m for m in self.sandbox.messages() if operation_id in m["message"]]
        self.must(bool(messages), "a notification was published")
        if messages:
            by_protocol = json.loads(messages[-1]["message"])
            self.console.print(
                Panel(Text(by_protocol["email"].strip()), title=escape(messages[-1]["subject"]), width=100)
            )


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when everything shown was true."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--engine", choices=sorted(samples.ENGINE_VERSIONS), default="aurora-postgresql")
    parser.add_argument("--time-scale", type=float, default=40.0, help="virtual seconds per real second")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 110, emoji=False)
    begun = time.monotonic()
    console.print("[bold]Aurora Restore Pipeline[/]: a restore from end to end, on this machine, without AWS")
    with (
        tempfile.TemporaryDirectory(prefix="aurora-restore-demo-") as work,
        Sandbox(time_scale=options.time_scale) as sandbox,
    ):
        demo = Demo(console, sandbox, options.engine, Path(work))
        source, network = demo.make_source()
        outputs = demo.deploy(network)
        operation_id = demo.restore(outputs)
        if not demo.failures:
            demo.show_data(source)
            demo.show_records(outputs, operation_id)
        demo.step("Tear down")
    verdict = (
        "[green]everything shown was true[/]" if not demo.failures else f"[red]not true: {'; '.join(demo.failures)}[/]"
    )
    console.print(f"\n{verdict} ({time.monotonic() - begun:.0f} s)")
    return 1 if demo.failures else 0


if __name__ == "__main__":
    sys.exit(main())
